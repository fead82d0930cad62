//! What one metric asks for.

use mainstay_atoms::Moment;
use std::time::Duration;

/// Tolerance in thousandths: within a tenth of the target nothing changes.
const TOLERANCE: u128 = 100;

/// An instance that became ready less than this ago is set aside, where the file says nothing: its use is
/// that of its start (`--horizontal-pod-autoscaler-initial-readiness-delay` of Kubernetes).
pub const WARMING: Duration = Duration::from_secs(30);

/// Use of one instance, in thousandths of any unit (of a core, of what was asked for, of a request a
/// second, of a second).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Measured.
    Known(u64),
    /// Not measured.
    Missing,
}

/// One instance of the group; surge and the other side of a canary are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// What it uses.
    pub used: Use,
    /// Since when it is ready; none: it is not.
    pub ready_since: Option<Moment>,
}

impl Member {
    fn counts(&self, warm_up: Duration, now: Moment) -> bool {
        self.ready_since
            .is_some_and(|since| now.since(since) >= warm_up)
    }
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gauge {
    /// Of each instance: processor, memory, requests, latency.
    Each {
        /// What one instance is to use, in the same unit.
        target: u64,
        /// How long after it became ready an instance is set aside.
        warm_up: Duration,
        /// The instances of the group.
        members: Vec<Member>,
    },
    /// Of all together: the length of a queue.
    Total {
        /// What one instance is to have of it.
        per: u64,
        /// How much there is.
        value: u64,
    },
    /// It cannot be read.
    Unread {
        /// Why, in words.
        why: String,
    },
}

/// What a metric asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recommendation {
    /// So many instances.
    Instances(u32),
    /// Nothing can be said, and why.
    Unknown(String),
}

/// `ceil(current × metric / target)`, within a tolerance of 10 %.
///
/// Instances that are not ready, or only just, are set aside. One that is ready and not measured counts as
/// 100 % of the target when shrinking and as 0 % when growing; when growing, those set aside count as 0 %
/// too, because they are about to help. Where that turns the direction round, nothing changes; nor where more
/// use than the target would ask for fewer, because not all that are wanted run, or less for more.
pub fn recommend(gauge: &Gauge, current: u32, now: Moment) -> Recommendation {
    match gauge {
        Gauge::Unread { why } => Recommendation::Unknown(why.clone()),
        Gauge::Total { per: 0, .. } | Gauge::Each { target: 0, .. } => {
            Recommendation::Unknown("the target is 0".into())
        }
        Gauge::Total { per, value } => {
            let sum = u128::from(*value);
            let level = Level {
                sum,
                target: u128::from(*per),
                count: u128::from(current),
            };
            if level.within() {
                Recommendation::Instances(current)
            } else {
                Recommendation::Instances(level.instances())
            }
        }
        Gauge::Each {
            target,
            warm_up,
            members,
        } => {
            let counts = |member: &&Member| member.counts(*warm_up, now);
            each(u128::from(*target), members, counts, current)
        }
    }
}

fn each(
    target: u128,
    members: &[Member],
    counts: impl Fn(&&Member) -> bool + Clone,
    current: u32,
) -> Recommendation {
    let counted = members.iter().filter(counts);
    let aside = members.len() - counted.clone().count();
    let known = counted.clone().filter_map(|member| match member.used {
        Use::Known(used) => Some(u128::from(used)),
        Use::Missing => None,
    });
    let (sum, count) = (known.clone().sum(), known.count() as u128);
    let missing = counted.count() as u128 - count;
    if count == 0 {
        return Recommendation::Unknown("no ready instance is measured".into());
    }
    let first = Level { sum, target, count };
    let aside = if first.grows() { aside as u128 } else { 0 };
    let second = Level {
        sum: if first.grows() {
            sum
        } else {
            sum + target * missing
        },
        target,
        count: count + missing + aside,
    };
    let turned = first.grows() != second.grows();
    let instances = second.instances();
    let against = if second.grows() {
        instances < current
    } else {
        instances > current
    };
    if second.within() || turned || against {
        return Recommendation::Instances(current);
    }
    Recommendation::Instances(instances)
}

/// A sum of use over a count of instances, beside the target of one.
#[derive(Clone, Copy)]
struct Level {
    sum: u128,
    target: u128,
    count: u128,
}

impl Level {
    fn grows(self) -> bool {
        self.sum > self.target * self.count
    }

    /// The mean is within a tenth of the target.
    fn within(self) -> bool {
        let wanted = self.target * self.count;
        self.sum.abs_diff(wanted) * 1000 <= wanted * TOLERANCE
    }

    fn instances(self) -> u32 {
        u32::try_from(self.sum.div_ceil(self.target)).unwrap_or(u32::MAX)
    }
}
