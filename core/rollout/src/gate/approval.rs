//! Approvals: so many distinct people, not the author, for exactly this plan, not too long ago.

use super::{Gate, Missing};
use mainstay_atoms::{Actor, Digest, Wall};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// An approval as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who gave it.
    pub by: Actor,
    /// The plan that was shown to them.
    pub plan: Digest,
    /// When, in civil time: it is a promise between people and outlives a restart of the machine.
    pub at: Wall,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvals {
    /// How many people; 0: none.
    pub need: u32,
    /// Who may; empty: everyone.
    pub from: BTreeSet<String>,
    /// The author's own counts not.
    pub not_author: bool,
    /// How long one holds.
    pub expiry: Duration,
}

impl Approvals {
    /// An approval holds half an hour where nothing is said.
    pub const EXPIRY: Duration = Duration::from_secs(1800);
}

/// Why an approval does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// Its giver wrote the change.
    Author,
    /// Its giver has approved already.
    Twice,
    /// Its giver is not among those who may.
    NotAllowed,
    /// It is of another plan than this.
    OtherPlan,
    /// It is too old.
    Expired,
    /// It says that it was given in the future.
    Future,
}

impl fmt::Display for Rejected {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Author => "is the author",
            Self::Twice => "approved already",
            Self::NotAllowed => "may not approve",
            Self::OtherPlan => "approved another plan",
            Self::Expired => "approved too long ago",
            Self::Future => "approved in the future",
        })
    }
}

/// Clocks of two machines may differ so much before an approval counts as given in the future.
const SKEW: Duration = Duration::from_secs(60);

/// Whether enough people agreed to the plan `plan` of `author` by `now`. People are told apart by name,
/// case aside.
pub fn approvals(
    wanted: &Approvals,
    given: &[Approval],
    author: &Actor,
    plan: Digest,
    now: Wall,
) -> Gate {
    let name = |actor: &Actor| actor.to_string().trim().to_lowercase();
    let allowed: BTreeSet<String> = wanted.from.iter().map(|one| one.to_lowercase()).collect();
    let mut counted: BTreeMap<String, Wall> = BTreeMap::new();
    let mut rejected = Vec::new();
    for approval in given {
        let by = name(&approval.by);
        let age = now.0.checked_sub(approval.at.0);
        let reason = if approval.plan != plan {
            Some(Rejected::OtherPlan)
        } else if wanted.not_author && by == name(author) {
            Some(Rejected::Author)
        } else if !(allowed.is_empty() || allowed.contains(&by)) {
            Some(Rejected::NotAllowed)
        } else if approval.at.0.saturating_sub(now.0) > millis(SKEW) {
            Some(Rejected::Future)
        } else if age.unwrap_or(0) >= millis(wanted.expiry) {
            Some(Rejected::Expired)
        } else if counted.contains_key(&by) {
            Some(Rejected::Twice)
        } else {
            None
        };
        match reason {
            Some(reason) => rejected.push((approval.by.to_string(), reason)),
            None => {
                counted.insert(by, approval.at);
            }
        }
    }
    let have = u32::try_from(counted.len()).unwrap_or(u32::MAX);
    if have >= wanted.need {
        return Gate::Open;
    }
    let first = counted.values().min();
    let expires = first.map(|at| Wall(at.0.saturating_add(millis(wanted.expiry))));
    Gate::Shut(vec![Missing::Approvals {
        have,
        need: wanted.need,
        rejected,
        expires,
    }])
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(100_000_000);

    fn approval(by: &str, plan: &[u8], minutes_ago: u64) -> Approval {
        Approval {
            by: Actor(by.into()),
            plan: Digest::of(plan),
            at: Wall(NOW.0 - minutes_ago * 60_000),
        }
    }

    fn ask(given: &[Approval]) -> Gate {
        let wanted = Approvals {
            need: 2,
            from: ["ann", "bob", "cyd", "eve"].map(String::from).into(),
            not_author: true,
            expiry: Approvals::EXPIRY,
        };
        let author = Actor("ann".into());
        approvals(&wanted, given, &author, Digest::of(b"plan"), NOW)
    }

    fn why(second: Approval) -> Rejected {
        let Gate::Shut(missing) = ask(&[approval("bob", b"plan", 3), second]) else {
            panic!("one approval is not enough");
        };
        match &missing[..] {
            [
                Missing::Approvals {
                    have: 1,
                    need: 2,
                    rejected,
                    expires: Some(expires),
                },
            ] => {
                assert_eq!(*expires, Wall(NOW.0 + 27 * 60_000));
                rejected[0].1
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn two_people_who_did_not_write_it() {
        let two = [approval("bob", b"plan", 3), approval("cyd", b"plan", 29)];
        assert_eq!(ask(&two), Gate::Open);
    }

    #[test]
    fn an_approver_who_is_the_author_does_not_count() {
        assert_eq!(why(approval("ann", b"plan", 1)), Rejected::Author);
        assert_eq!(why(approval("ANN", b"plan", 1)), Rejected::Author);
    }

    #[test]
    fn the_same_person_twice_counts_once() {
        assert_eq!(why(approval("bob", b"plan", 1)), Rejected::Twice);
        assert_eq!(why(approval("Bob", b"plan", 1)), Rejected::Twice);
    }

    #[test]
    fn an_expired_or_altered_approval_does_not_count() {
        assert_eq!(why(approval("cyd", b"plan", 30)), Rejected::Expired);
        assert_eq!(why(approval("cyd", b"plam", 1)), Rejected::OtherPlan);
        assert_eq!(why(approval("mal", b"plan", 1)), Rejected::NotAllowed);
        let future = Approval {
            at: Wall(NOW.0 + 61_000),
            ..approval("cyd", b"plan", 0)
        };
        assert_eq!(why(future), Rejected::Future);
    }
}
