//! What the gateway counts per route, instance and release, and how counts are added and compared.

use crate::compare::Arm;
use crate::condition::Metric;
use crate::measure::Reading;
use mainstay_atoms::{InstanceId, ReleaseNumber, ServiceName, histogram};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Which requests a tally is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// Domain and path of the route: `shop.example/`.
    pub route: String,
    /// Who answered.
    pub instance: InstanceId,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// 1xx to 3xx.
    Good,
    /// 4xx: the client's doing.
    ClientError,
    /// 5xx of the instance.
    ServerError,
    /// The instance refused the connection, or it broke before the answer was whole.
    Broken,
    /// No answer in time.
    TimedOut,
    /// The client left first: nobody's error, and no proof of health.
    ClientLeft,
}

impl Class {
    /// The class of a status that an instance answered.
    pub fn of_status(status: u16) -> Self {
        match status {
            ..400 => Self::Good,
            400..500 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// The release is to blame.
    pub fn is_error(self) -> bool {
        matches!(self, Self::ServerError | Self::Broken | Self::TimedOut)
    }
}

/// Latencies, counted in the buckets of [`histogram`]: a quantile is within 3.2 % of the true one.
/// Sparse, and two of them add up exactly, in any order (as with Masson et al., `DDSketch`, 2019).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    buckets: BTreeMap<u16, u64>,
}

impl Latencies {
    /// Counts one.
    pub fn add(&mut self, latency: Duration) {
        self.add_bucket(histogram::bucket(latency), 1);
    }

    /// Counts `count` in a bucket of [`histogram`]; one beyond the last counts in the last.
    pub fn add_bucket(&mut self, bucket: usize, count: u64) {
        if count == 0 {
            return;
        }
        let last = histogram::COUNT - 1;
        let bucket = u16::try_from(bucket.min(last)).unwrap_or(u16::MAX);
        let held = self.buckets.entry(bucket).or_default();
        *held = held.saturating_add(count);
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            self.add_bucket(usize::from(*bucket), *count);
        }
    }

    /// What came since an earlier state; all of it when a count fell, because counting began anew.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |bucket: &u16| earlier.buckets.get(bucket).copied().unwrap_or(0);
        let anew = earlier
            .buckets
            .iter()
            .any(|(bucket, count)| self.buckets.get(bucket).copied().unwrap_or(0) < *count);
        if anew {
            return self.clone();
        }
        let came = |(bucket, count): (&u16, &u64)| {
            let more = count - before(bucket);
            (more > 0).then_some((*bucket, more))
        };
        Self {
            buckets: self.buckets.iter().filter_map(came).collect(),
        }
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.buckets
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The latency below which so many thousandths stayed; none when nothing was counted.
    pub fn quantile(&self, per_mille: u16) -> Option<Duration> {
        let mut counts = vec![0; histogram::COUNT];
        for (bucket, count) in &self.buckets {
            if let Some(held) = counts.get_mut(usize::from(*bucket)) {
                *held = *count;
            }
        }
        histogram::quantile(&counts, f64::from(per_mille.min(1000)) / 1000.0)
    }
}

/// Requests of one origin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// By how they ended.
    pub classes: BTreeMap<Class, u64>,
    /// How long they took.
    pub latencies: Latencies,
}

impl Tally {
    /// Counts one.
    pub fn add(&mut self, class: Class, latency: Duration) {
        let held = self.classes.entry(class).or_default();
        *held = held.saturating_add(1);
        self.latencies.add(latency);
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        for (class, count) in &other.classes {
            let held = self.classes.entry(*class).or_default();
            *held = held.saturating_add(*count);
        }
        self.latencies.merge(&other.latencies);
    }

    /// What came since an earlier state; all of it when any count fell.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |class: &Class| earlier.classes.get(class).copied().unwrap_or(0);
        let fell =
            |(class, count): (&Class, &u64)| self.classes.get(class).copied().unwrap_or(0) < *count;
        if earlier.classes.iter().any(fell) {
            return self.clone();
        }
        let classes = self.classes.iter();
        let classes = classes.map(|(class, count)| (*class, count - before(class)));
        Self {
            classes: classes.filter(|(_, count)| *count > 0).collect(),
            latencies: self.latencies.since(&earlier.latencies),
        }
    }

    /// Requests that say something of the release: those whose client left say nothing.
    pub fn requests(&self) -> u64 {
        self.sum(|class| class != Class::ClientLeft)
    }

    fn sum(&self, wanted: impl Fn(Class) -> bool) -> u64 {
        let classes = self.classes.iter().filter(|(class, _)| wanted(**class));
        classes.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Requests and errors, for a comparison.
    pub fn arm(&self) -> Arm {
        Arm {
            requests: self.requests(),
            errors: self.sum(Class::is_error),
        }
    }

    /// What it reads of a metric, `over` being the time it was counted in. A metric that no gateway
    /// counts (memory, a query) reads as nothing.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    pub fn reading(&self, metric: &Metric, over: Duration) -> Reading {
        let of = self.requests();
        match metric {
            Metric::ErrorRate => Reading::Counts {
                hits: self.sum(Class::is_error),
                of,
            },
            Metric::ClientErrorRate => Reading::Counts {
                hits: self.sum(|class| class == Class::ClientError),
                of,
            },
            Metric::Requests if !over.is_zero() => Reading::Number(of as f64 / over.as_secs_f64()),
            Metric::Latency(per_mille) => match self.latencies.quantile(*per_mille) {
                Some(latency) => Reading::Sampled {
                    value: latency.as_secs_f64(),
                    samples: self.latencies.total(),
                },
                None => Reading::Nothing,
            },
            _ => Reading::Nothing,
        }
    }
}

/// All tallies of a gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Board {
    /// By origin.
    pub tallies: BTreeMap<Origin, Tally>,
}

impl Board {
    /// What came since an earlier state, each origin by itself: one that began anew counts from there, and the
    /// others keep what they have.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let since = |(origin, tally): (&Origin, &Tally)| {
            let came = match earlier.tallies.get(origin) {
                Some(before) => tally.since(before),
                None => tally.clone(),
            };
            (origin.clone(), came)
        };
        Self {
            tallies: self.tallies.iter().map(since).collect(),
        }
    }

    /// The sum over one service's instances that a choice names.
    pub fn sum(&self, service: &ServiceName, wanted: impl Fn(&InstanceId) -> bool) -> Tally {
        let mut sum = Tally::default();
        for (origin, tally) in &self.tallies {
            if origin.instance.service == *service && wanted(&origin.instance) {
                sum.merge(tally);
            }
        }
        sum
    }

    /// The sum over a release of one service.
    pub fn release(&self, service: &ServiceName, release: ReleaseNumber) -> Tally {
        self.sum(service, |instance| instance.release == release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tally(errors: u64, good: u64) -> Tally {
        let mut tally = Tally::default();
        for at in 0..errors + good {
            let class = if at < errors {
                Class::of_status(503)
            } else {
                Class::of_status(200)
            };
            tally.add(class, Duration::from_millis(20 + at));
        }
        tally
    }

    #[test]
    fn who_is_to_blame() {
        let mut seen = tally(3, 7);
        seen.add(Class::ClientLeft, Duration::from_secs(9));
        seen.add(Class::of_status(404), Duration::from_millis(1));
        assert_eq!(
            seen.reading(&Metric::ErrorRate, Duration::ZERO),
            Reading::Counts { hits: 3, of: 11 }
        );
        assert_eq!(
            seen.reading(&Metric::ClientErrorRate, Duration::ZERO),
            Reading::Counts { hits: 1, of: 11 }
        );
        assert_eq!(
            seen.reading(&Metric::Memory, Duration::ZERO),
            Reading::Nothing
        );
    }

    #[test]
    fn a_board_adds_up_by_release() {
        let mut board = Board::default();
        for (instance, errors) in [
            ("web.v1.1", 1),
            ("web.v1.2", 2),
            ("web.v2.1", 5),
            ("api.v2.1", 9),
        ] {
            for route in ["a/", "b/"] {
                let origin = Origin {
                    route: route.into(),
                    instance: instance.parse().unwrap(),
                };
                board.tallies.insert(origin, tally(errors, 1));
            }
        }
        let web = ServiceName::new("web").unwrap();
        let arm = board.release(&web, ReleaseNumber(1)).arm();
        assert_eq!((arm.requests, arm.errors), (10, 6));
        assert_eq!(board.release(&web, ReleaseNumber(2)).arm().errors, 10);
    }

    #[test]
    fn one_that_began_anew_takes_nothing_from_the_others() {
        let board = |counts: &[(&str, u64, u64)]| {
            let mut board = Board::default();
            for (instance, errors, good) in counts {
                let origin = Origin {
                    route: String::new(),
                    instance: instance.parse().unwrap(),
                };
                board.tallies.insert(origin, tally(*errors, *good));
            }
            board
        };
        let before = board(&[("web.v1.1", 2, 50), ("web.v1.2", 1, 90)]);
        let after = board(&[("web.v1.1", 1, 3), ("web.v1.2", 1, 100), ("web.v1.3", 0, 4)]);
        let web = ServiceName::new("web").unwrap();
        let arm = after.since(&before).release(&web, ReleaseNumber(1)).arm();
        assert_eq!((arm.requests, arm.errors), (4 + 10 + 4, 1));
    }

    proptest! {
        #[test]
        fn quantiles_are_within_a_twentieth_and_sums_are_exact(
            left in proptest::collection::vec(11_u64..50_000_000, 1..200),
            right in proptest::collection::vec(11_u64..50_000_000, 0..200),
            per_mille in 1_u16..1000,
        ) {
            let count = |all: &[u64]| {
                let mut latencies = Latencies::default();
                for micros in all {
                    latencies.add(Duration::from_micros(*micros));
                }
                latencies
            };
            let mut sum = count(&left);
            sum.merge(&count(&right));
            let mut all = [left.clone(), right].concat();
            prop_assert_eq!(&sum, &count(&all));
            prop_assert_eq!(sum.since(&count(&left)).total() + left.len() as u64, sum.total());
            all.sort_unstable();
            let rank = (all.len() * usize::from(per_mille)).div_ceil(1000).max(1);
            let exact = Duration::from_micros(all[rank - 1]).as_secs_f64() * 1e6;
            let found = sum.quantile(per_mille).unwrap().as_secs_f64() * 1e6;
            prop_assert!((found / exact - 1.0).abs() <= 0.05, "{found} for {exact}");
        }
    }
}
