//! Leases of those who prepare a deploy from outside: they expire, and the newest wins.

use mainstay_atoms::{Moment, span};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a lease lasts unless it is renewed: a killed client is forgotten after this.
pub const TERM: Duration = Duration::from_secs(30);

/// The right to ship what is being built. Tokens rise; shipping with a token lower than one that
/// shipped already is refused, so a slow client never overtakes a newer one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Fencing token.
    pub token: u64,
    /// Who holds it.
    pub owner: String,
    /// Until when, unless renewed.
    pub until: Moment,
}

/// Why a lease does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseFault {
    /// It was not renewed in time, or never given.
    #[error(
        "the lease {token} has run out; it lasts {} unless renewed",
        span::format(TERM)
    )]
    Expired {
        /// Its token.
        token: u64,
    },
    /// A newer deploy has shipped meanwhile.
    #[error("a newer deploy by {owner} has shipped since this one began")]
    Overtaken {
        /// Who shipped it.
        owner: String,
    },
}

/// All leases given by one control plane.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    last: u64,
    held: Vec<Lease>,
    shipped: Option<(u64, String)>,
}

impl Leases {
    /// Gives a lease.
    pub fn take(&mut self, owner: String, now: Moment) -> Lease {
        self.expire(now);
        self.last += 1;
        let lease = Lease {
            token: self.last,
            owner,
            until: now.after(TERM),
        };
        self.held.push(lease.clone());
        lease
    }

    /// Makes a lease last on.
    pub fn renew(&mut self, token: u64, now: Moment) -> Result<Lease, LeaseFault> {
        self.expire(now);
        let found = self.held.iter_mut().find(|lease| lease.token == token);
        let lease = found.ok_or(LeaseFault::Expired { token })?;
        lease.until = now.after(TERM);
        Ok(lease.clone())
    }

    /// Uses a lease up to ship.
    pub fn ship(&mut self, token: u64, now: Moment) -> Result<(), LeaseFault> {
        self.expire(now);
        if let Some((newest, owner)) = &self.shipped
            && *newest > token
        {
            return Err(LeaseFault::Overtaken {
                owner: owner.clone(),
            });
        }
        let place = self.held.iter().position(|lease| lease.token == token);
        let lease = self
            .held
            .swap_remove(place.ok_or(LeaseFault::Expired { token })?);
        self.shipped = Some((token, lease.owner));
        Ok(())
    }

    fn expire(&mut self, now: Moment) {
        self.held.retain(|lease| lease.until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_client_is_forgotten_and_a_slow_one_is_overtaken() {
        let mut leases = Leases::default();
        let slow = leases.take("ci".into(), Moment(0)).token;
        let dead = leases.take("gone".into(), Moment(0)).token;
        let quick = leases.take("root".into(), Moment(10)).token;
        leases.renew(slow, Moment(25_000)).unwrap();
        assert_eq!(leases.ship(quick, Moment(26_000)), Ok(()));
        assert_eq!(
            leases.ship(slow, Moment(27_000)),
            Err(LeaseFault::Overtaken {
                owner: "root".into()
            })
        );
        assert_eq!(
            leases.renew(dead, Moment(40_000)),
            Err(LeaseFault::Expired { token: dead })
        );
    }
}
