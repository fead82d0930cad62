//! What an alert may do by itself (`then:`), and the bounds within which it does.

use crate::at::At;
use std::collections::BTreeMap;
use std::fmt;

/// Something that an alert does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The rule whose alert does it.
    pub alert: String,
    /// What.
    pub deed: Deed,
    /// How long it waits before it does it again, in milliseconds.
    pub cool_down_ms: i64,
    /// Most times within a day; zero is no limit.
    pub daily_max: u32,
    /// Whether it only says what it would do.
    pub dry_run: bool,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// Instances are added (or taken away, below zero) within the service's bounds.
    Scale {
        /// The service.
        service: String,
        /// How many.
        by: i64,
        /// Fewest.
        least: i64,
        /// Most.
        most: i64,
        /// For how long, in milliseconds; then the count follows what is measured again.
        lasts_ms: i64,
    },
    /// A job runs.
    Run {
        /// The job.
        job: String,
    },
    /// A route answers "unavailable".
    Pause {
        /// The route: host and path.
        route: String,
        /// For how long, in milliseconds; then it is answered as before.
        lasts_ms: i64,
    },
    /// A store takes more connections.
    RaisePool {
        /// The store.
        store: String,
        /// How many more.
        by: i64,
        /// Most.
        most: i64,
    },
    /// A ledger takes no new transactions.
    HaltLedger {
        /// The ledger.
        ledger: String,
    },
}

impl Deed {
    /// The service, job, route, store or ledger that it is about.
    pub fn subject(&self) -> &str {
        match self {
            Self::Scale { service, .. } => service,
            Self::Run { job } => job,
            Self::Pause { route, .. } => route,
            Self::RaisePool { store, .. } => store,
            Self::HaltLedger { ledger } => ledger,
        }
    }
}

/// What is known of what a deed changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present {
    /// A number: instances, connections.
    Number(i64),
    /// Whether it is done already: paused, halted, running.
    Done(bool),
    /// Nobody could look.
    Unknown,
}

/// What comes of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Do it; the number is the one to reach, where there is one.
    Act(Deed, Option<i64>),
    /// It would be done, but this is a dry run.
    WouldAct(Deed, Option<i64>),
    /// It was done not long ago; again from this steady time on.
    Cools(i64),
    /// It was done as often as it may be within a day.
    Exhausted,
    /// The bound is reached.
    AtBound(i64),
    /// It is so already.
    Needless,
    /// What it would change could not be looked at, so nothing is done.
    Blind,
}

/// When deeds were done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deeds {
    /// By the alert and the deed in words.
    pub(crate) done: BTreeMap<String, Vec<At>>,
}

/// As people read it, and as it is remembered.
impl fmt::Display for Deed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scale { service, by, .. } => write!(out, "scale {service} by {by}"),
            Self::Run { job } => write!(out, "run {job}"),
            Self::Pause { route, .. } => write!(out, "pause {route}"),
            Self::RaisePool { store, by, .. } => write!(out, "raise the pool of {store} by {by}"),
            Self::HaltLedger { ledger } => write!(out, "halt {ledger}"),
        }
    }
}

const DAY_MS: i64 = 86_400_000;

impl Deeds {
    /// Takes in that a deed was done (or would have been), from where that is written down; the earliest first.
    pub fn remember(&mut self, alert: &str, deed: &str, at: At) {
        self.done.entry(key(alert, deed)).or_default().push(at);
    }

    /// Decides about an action whose alert fires, and remembers it when it is done (or would be).
    pub fn decide(&mut self, action: &Action, present: Present, at: At) -> Decision {
        let key = key(&action.alert, &action.deed.to_string());
        let times = self.done.entry(key).or_default();
        times.retain(|time| at.since(*time) < DAY_MS.max(action.cool_down_ms));
        if let Some(last) = times
            .last()
            .filter(|last| at.since(**last) < action.cool_down_ms)
        {
            return Decision::Cools(last.steady_ms.saturating_add(action.cool_down_ms));
        }
        let today = times
            .iter()
            .filter(|time| at.since(**time) < DAY_MS)
            .count();
        if action.daily_max > 0 && today >= action.daily_max as usize {
            return Decision::Exhausted;
        }
        let number = match reach(&action.deed, present) {
            Ok(number) => number,
            Err(decision) => return decision,
        };
        times.push(at);
        if action.dry_run {
            return Decision::WouldAct(action.deed.clone(), number);
        }
        Decision::Act(action.deed.clone(), number)
    }
}

/// What a deed is remembered by.
fn key(alert: &str, deed: &str) -> String {
    format!("{alert}: {deed}")
}

/// The number that a deed reaches within its bounds, or why it is not done.
fn reach(deed: &Deed, present: Present) -> Result<Option<i64>, Decision> {
    let (by, least, most) = match deed {
        Deed::Scale {
            by, least, most, ..
        } => (*by, *least, *most),
        Deed::RaisePool { by, most, .. } => (*by, 0, *most),
        Deed::Run { .. } | Deed::Pause { .. } | Deed::HaltLedger { .. } => {
            return match present {
                Present::Done(true) => Err(Decision::Needless),
                Present::Done(false) => Ok(None),
                // To halt or pause too much is the lesser harm.
                _ if !matches!(deed, Deed::Run { .. }) => Ok(None),
                _ => Err(Decision::Blind),
            };
        }
    };
    let Present::Number(now) = present else {
        return Err(Decision::Blind);
    };
    let wanted = now.saturating_add(by).min(most).max(least.min(most));
    // A bound never turns a step around: who is above it already stays.
    let goes_on = if by >= 0 { wanted > now } else { wanted < now };
    if goes_on {
        Ok(Some(wanted))
    } else {
        Err(Decision::AtBound(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(deed: Deed, dry_run: bool) -> Action {
        Action {
            alert: "PoolExhausted".into(),
            deed,
            cool_down_ms: 600_000,
            daily_max: 3,
            dry_run,
        }
    }

    fn pool() -> Deed {
        Deed::RaisePool {
            store: "db".into(),
            by: 50,
            most: 220,
        }
    }

    #[test]
    fn a_deed_cools_down_and_stops_at_its_bound() {
        let mut deeds = Deeds::default();
        let action = action(pool(), false);
        let mut decide =
            |present, minutes: i64| deeds.decide(&action, present, At::both(minutes * 60_000));
        assert_eq!(
            decide(Present::Number(100), 0),
            Decision::Act(pool(), Some(150))
        );
        assert_eq!(decide(Present::Number(150), 5), Decision::Cools(600_000));
        assert_eq!(
            decide(Present::Number(200), 10),
            Decision::Act(pool(), Some(220))
        );
        assert_eq!(decide(Present::Number(220), 30), Decision::AtBound(220));
        assert_eq!(
            decide(Present::Number(500), 40),
            Decision::AtBound(500),
            "never lowered"
        );
        assert_eq!(decide(Present::Unknown, 50), Decision::Blind);
        assert_eq!(
            decide(Present::Number(100), 60),
            Decision::Act(pool(), Some(150))
        );
        assert_eq!(decide(Present::Number(100), 90), Decision::Exhausted);
        assert_eq!(
            decide(Present::Number(100), 1441),
            Decision::Act(pool(), Some(150))
        );
    }

    #[test]
    fn scaling_goes_both_ways_and_halting_needs_no_eyes() {
        let scale = |by| Deed::Scale {
            service: "web".into(),
            by,
            least: 2,
            most: 5,
            lasts_ms: 3_600_000,
        };
        for (by, now, expected) in [
            (2, 3, Ok(Some(5))),
            (2, 4, Ok(Some(5))),
            (-2, 3, Ok(Some(2))),
            (-1, 2, Err(Decision::AtBound(2))),
        ] {
            assert_eq!(reach(&scale(by), Present::Number(now)), expected);
        }
        let halt = Deed::HaltLedger {
            ledger: "impact".into(),
        };
        assert_eq!(reach(&halt, Present::Unknown), Ok(None));
        assert_eq!(reach(&halt, Present::Done(true)), Err(Decision::Needless));
        let run = Deed::Run {
            job: "clean".into(),
        };
        assert_eq!(reach(&run, Present::Unknown), Err(Decision::Blind));
        let mut deeds = Deeds::default();
        assert_eq!(
            deeds.decide(
                &action(run.clone(), true),
                Present::Done(false),
                At::both(0)
            ),
            Decision::WouldAct(run, None)
        );
    }

    #[test]
    fn a_restart_does_not_shorten_the_cool_down() {
        let mut deeds = Deeds::default();
        let action = action(pool(), false);
        deeds.decide(&action, Present::Number(100), At::both(0));
        let mut again = Deeds::from_json(&deeds.to_json()).unwrap();
        assert_eq!(again, deeds);
        let decision = again.decide(&action, Present::Number(100), At::both(1000));
        assert_eq!(decision, Decision::Cools(600_000));
        let mut told = Deeds::default();
        told.remember("PoolExhausted", &pool().to_string(), At::both(0));
        assert_eq!(told.to_json(), deeds.to_json());
        assert!(Deeds::from_json("[]").is_err());
    }
}
