//! What is measured of a service, and how it becomes what the decider is asked with.

use crate::world::{Used, World};
use mainstay_atoms::{Generation, InstanceId, Moment, Share, Size, span};
use mainstay_rollout::{Board, Tally};
use mainstay_spec::Scale;
use mainstay_workload::{Gauge, Member, Use};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// One instance that counts, by its place.
pub(super) struct Place {
    pub(super) id: InstanceId,
    /// Its run; none: it left no trace.
    pub(super) generation: Option<Generation>,
    pub(super) ready_since: Option<Moment>,
}

/// What was read at one moment, of all services that are looked at.
pub(super) struct Readings {
    pub(super) at: Moment,
    /// What the gateway counted since it started; none while it does not answer, or nobody asks for it.
    pub(super) board: Option<Board>,
    pub(super) used: BTreeMap<InstanceId, (Generation, Used)>,
}

impl Readings {
    /// The part that is of these.
    pub(super) fn of(&self, places: &[Place]) -> Sample {
        let ours = |id: &InstanceId| places.iter().any(|place| place.id == *id);
        let tallies = |board: &Board| {
            let all = board.tallies.iter();
            let own = all.filter(|(origin, _)| ours(&origin.instance));
            own.map(|(origin, tally)| (origin.clone(), tally.clone()))
                .collect()
        };
        let used = places.iter().filter_map(|place| {
            let used = self.used.get(&place.id)?;
            Some((place.id.clone(), *used))
        });
        Sample {
            at: self.at,
            board: self.board.as_ref().map(|board| Board {
                tallies: tallies(board),
            }),
            used: used.collect(),
        }
    }
}

/// What one look measured of one service.
pub(super) struct Sample {
    at: Moment,
    board: Option<Board>,
    used: BTreeMap<InstanceId, (Generation, Used)>,
}

/// What these use now, with the run that it is of.
pub(super) fn used<'a>(
    places: impl Iterator<Item = &'a Place>,
    world: &mut impl World,
) -> BTreeMap<InstanceId, (Generation, Used)> {
    let runs: BTreeMap<&InstanceId, Generation> = places
        .filter_map(|place| Some((&place.id, place.generation?)))
        .collect();
    let ids: Vec<InstanceId> = runs.keys().map(|id| (*id).clone()).collect();
    let found = world.used(&ids).into_iter();
    found
        .filter_map(|(id, used)| {
            let run = *runs.get(&id)?;
            Some((id, (run, used)))
        })
        .collect()
}

/// Thousandths of a core that a run used between two readings; none where they are not of one run.
pub(crate) fn millicores(
    before: Option<&(Generation, Used)>,
    now: Option<&(Generation, Used)>,
    over: Duration,
) -> Option<u64> {
    let ((run, before), (same, now)) = (before?, now?);
    let spent = now.cpu.checked_sub(before.cpu).filter(|_| run == same)?;
    let over = over.as_micros();
    let used = (spent.as_micros() * 1000).checked_div(over)?;
    u64::try_from(used).ok()
}

/// What was measured for one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// `cpu`, `memory`, `requests`, `p95` or `queue`.
    pub metric: String,
    /// The mean of the instances that count, or of a queue all that waits; none: of nobody it is known.
    pub measured: Option<u64>,
    /// What one instance is to have.
    pub target: u64,
    /// What both are parts of, or in: of a limit, thousandths of a request a second, millionths of a second.
    pub unit: FigureUnit,
}

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureUnit {
    /// Of this whole, a limit.
    Of(u64),
    /// Thousandths of a request a second.
    Rate,
    /// Microseconds.
    Time,
    /// What waits, of which an instance is to have a part.
    Count,
}

impl FigureUnit {
    /// In words: `62%`, `12.5/s`, `120ms`.
    fn tell(self, value: u64) -> String {
        match self {
            Self::Of(whole) => {
                let whole = u128::from(whole.max(1));
                let share = (u128::from(value) * 100 + whole / 2) / whole;
                let share = u64::try_from(share).unwrap_or(u64::MAX);
                Share(share.saturating_mul(100)).to_string()
            }
            Self::Rate => match (value / 1000, value % 1000 / 100) {
                (whole, 0) => format!("{whole}/s"),
                (whole, tenths) => format!("{whole}.{tenths}/s"),
            },
            Self::Time => span::format(Duration::from_millis(value / 1000)),
            Self::Count => value.to_string(),
        }
    }
}

impl Figure {
    /// What is measured, in words; none: it is not known.
    pub fn measured(&self) -> Option<String> {
        self.measured.map(|value| self.unit.tell(value))
    }

    /// What one instance is to have, in words.
    pub fn target(&self) -> String {
        let target = self.unit.tell(self.target);
        match self.unit {
            FigureUnit::Count => format!("{target} each"),
            _ => target,
        }
    }
}

impl fmt::Display for Figure {
    /// `cpu 62% of 70%`, `queue 450 of 100 each`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = self.measured().unwrap_or_else(|| "unknown".into());
        write!(out, "{} {measured} of {}", self.metric, self.target())
    }
}

/// One target, as the decider takes it and as people read it.
pub(super) struct Measured {
    pub(super) gauge: Gauge,
    pub(super) figure: Figure,
}

/// What the instances are measured with.
struct Look<'a> {
    places: &'a [Place],
    warm_up: Duration,
    now: Moment,
}

impl Look<'_> {
    /// A target of each instance.
    fn each(
        &self,
        metric: &str,
        (target, unit): (u64, FigureUnit),
        of: impl Fn(&InstanceId) -> Option<u64>,
    ) -> Measured {
        let member = |place: &Place| Member {
            used: of(&place.id).map_or(Use::Missing, Use::Known),
            ready_since: place.ready_since,
        };
        let members: Vec<Member> = self.places.iter().map(member).collect();
        let counted = |one: &&Member| {
            let ready = one.ready_since;
            ready.is_some_and(|since| self.now.since(since) >= self.warm_up)
        };
        let known = members
            .iter()
            .filter(counted)
            .filter_map(|one| match one.used {
                Use::Known(used) => Some(used),
                Use::Missing => None,
            });
        let (sum, count) = known.fold((0_u64, 0_u64), |(sum, count), used| {
            (sum.saturating_add(used), count + 1)
        });
        Measured {
            figure: Figure {
                metric: metric.into(),
                measured: sum.checked_div(count),
                target,
                unit,
            },
            gauge: Gauge::Each {
                target,
                warm_up: self.warm_up,
                members,
            },
        }
    }

    fn unread(metric: &str, (target, unit): (u64, FigureUnit), why: &str) -> Measured {
        Measured {
            figure: Figure {
                metric: metric.into(),
                measured: None,
                target,
                unit,
            },
            gauge: Gauge::Unread { why: why.into() },
        }
    }
}

/// What came between two looks, for every target. What the machine cannot say is missing; while the gateway
/// does not answer, its figures cannot be read.
pub(super) fn gauges(
    scale: &Scale,
    size: &Size,
    places: &[Place],
    (before, sample): (Option<&Sample>, &Sample),
    waiting: Option<&Result<u64, String>>,
) -> Vec<Measured> {
    let look = Look {
        places,
        warm_up: scale.warm_up,
        now: sample.at,
    };
    let over = before.map_or(Duration::ZERO, |before| sample.at.since(before.at));
    let mut gauges = Vec::new();
    if let Some((share, limit)) = scale.cpu.zip(size.cpu.map(|cpu| cpu.limit.0)) {
        let target = (part(limit, share), FigureUnit::Of(limit));
        gauges.push(look.each("cpu", target, |id| {
            millicores(before?.used.get(id), sample.used.get(id), over)
        }));
    }
    if let Some((share, limit)) = scale.memory.zip(size.memory.map(|memory| memory.limit.0)) {
        let target = (part(limit, share), FigureUnit::Of(limit));
        gauges.push(look.each("memory", target, |id| {
            sample.used.get(id).map(|(_, used)| used.memory.0)
        }));
    }
    let came = before.and_then(|before| {
        let (now, before) = (sample.board.as_ref()?, before.board.as_ref()?);
        (!over.is_zero()).then(|| now.since(before))
    });
    let silent = match (&sample.board, before) {
        (None, _) => "the gateway does not answer",
        _ => "nothing was counted before",
    };
    if let Some(target) = scale.requests {
        let target = (target, FigureUnit::Rate);
        gauges.push(match &came {
            Some(came) => look.each("requests", target, |id| {
                Some(rate(&tally(came, |other| other == id), over))
            }),
            None => Look::unread("requests", target, silent),
        });
    }
    if let Some(target) = scale.p95 {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let target = (micros(target), FigureUnit::Time);
        gauges.push(match &came {
            Some(came) => {
                // Of all together: the few requests of one instance say little. None asked: none waited.
                let all = tally(came, |_| true).latencies.quantile(950);
                let all = all.map_or(0, micros);
                look.each("p95", target, |_| Some(all))
            }
            None => Look::unread("p95", target, silent),
        });
    }
    if let Some(per) = scale.queue.as_ref().map(|queue| queue.per) {
        let target = (per, FigureUnit::Count);
        gauges.push(match waiting {
            Some(Ok(value)) => Measured {
                figure: Figure {
                    metric: "queue".into(),
                    measured: Some(*value),
                    target: per,
                    unit: FigureUnit::Count,
                },
                gauge: Gauge::Total { per, value: *value },
            },
            Some(Err(why)) => Look::unread("queue", target, why),
            None => Look::unread("queue", target, "nobody was asked"),
        });
    }
    gauges
}

/// A share of a limit.
fn part(limit: u64, share: Share) -> u64 {
    let part = u128::from(limit) * u128::from(share.0) / 10_000;
    u64::try_from(part).unwrap_or(u64::MAX)
}

fn tally(board: &Board, ours: impl Fn(&InstanceId) -> bool) -> Tally {
    let mut sum = Tally::default();
    for (origin, tally) in &board.tallies {
        if ours(&origin.instance) {
            sum.merge(tally);
        }
    }
    sum
}

/// Thousandths of a request a second.
fn rate(tally: &Tally, over: Duration) -> u64 {
    let millis = u64::try_from(over.as_millis()).unwrap_or(u64::MAX).max(1);
    tally.latencies.total().saturating_mul(1_000_000) / millis
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_atoms::{Bytes, Millicores, Range};
    use mainstay_rollout::{Class, Origin};
    use mainstay_workload::{Recommendation, recommend};

    fn id(ordinal: u32) -> InstanceId {
        format!("web.v1.{ordinal}").parse().unwrap()
    }

    fn scale() -> Scale {
        Scale {
            min: 1,
            max: 9,
            cpu: Some(Share(5_000)),
            memory: Some(Share(8_000)),
            requests: Some(20_000),
            p95: Some(Duration::from_millis(400)),
            queue: None,
            every: Scale::EVERY,
            settle: Scale::SETTLE,
            warm_up: Duration::ZERO,
            at: vec![],
        }
    }

    fn size() -> Size {
        Size {
            cpu: Some(Range::exactly(Millicores(500))),
            memory: Some(Range::exactly(Bytes(100 << 20))),
            ..Size::default()
        }
    }

    /// Instances that are ready, with their run.
    fn places(runs: &[u64]) -> Vec<Place> {
        let place = |(ordinal, run): (u32, &u64)| Place {
            id: id(ordinal),
            generation: Some(Generation(*run)),
            ready_since: Some(Moment(0)),
        };
        (1..).zip(runs).map(place).collect()
    }

    /// Seconds, and of each instance: run, milliseconds of processor time, requests.
    fn readings(seconds: u64, of: &[(u64, u64, u64)]) -> Readings {
        let mut board = Board::default();
        let mut used = BTreeMap::new();
        for (ordinal, (run, cpu, requests)) in (1..).zip(of) {
            let mut tally = Tally::default();
            for _ in 0..*requests {
                tally.add(Class::Good, Duration::from_millis(200));
            }
            let origin = Origin {
                route: String::new(),
                instance: id(ordinal),
            };
            board.tallies.insert(origin, tally);
            let reading = Used {
                cpu: Duration::from_millis(*cpu),
                memory: Bytes(60 << 20),
            };
            used.insert(id(ordinal), (Generation(*run), reading));
        }
        Readings {
            at: Moment(seconds * 1000),
            board: Some(board),
            used,
        }
    }

    fn measured(places: &[Place], before: Option<&Readings>, now: &Readings) -> Vec<Measured> {
        let before = before.map(|before| before.of(places));
        gauges(
            &scale(),
            &size(),
            places,
            (before.as_ref(), &now.of(places)),
            None,
        )
    }

    fn told(gauges: &[Measured]) -> Vec<String> {
        gauges.iter().map(|one| one.figure.to_string()).collect()
    }

    #[test]
    fn figures_are_what_came_between_two_looks() {
        let places = places(&[1, 2]);
        let before = readings(10, &[(1, 1_000, 50), (2, 3_000, 10)]);
        let now = readings(20, &[(1, 2_000, 350), (2, 7_000, 110)]);
        let gauges = measured(&places, Some(&before), &now);
        // 1 s and 4 s of processor time in 10 s: a quarter of a core each, half of its limit.
        let words = [
            "cpu 50% of 50%",
            "memory 60% of 80%",
            "requests 20/s of 20/s",
        ];
        assert_eq!(told(&gauges)[..3], words);
        let p95 = gauges[3].figure.measured.unwrap();
        assert!((190_000..=210_000).contains(&p95), "{p95} µs");
        let asked = recommend(&gauges[0].gauge, 2, Moment(20_000));
        assert_eq!(asked, Recommendation::Instances(2));
    }

    #[test]
    fn without_a_look_before_only_memory_says_something() {
        let places = places(&[1]);
        let now = readings(20, &[(1, 2_000, 350)]);
        let gauges = measured(&places, None, &now);
        let words = [
            "cpu unknown of 50%",
            "memory 60% of 80%",
            "requests unknown of 20/s",
            "p95 unknown of 400ms",
        ];
        assert_eq!(told(&gauges), words);
    }

    #[test]
    fn another_run_or_a_sum_that_fell_is_not_measured() {
        let places = places(&[1, 3, 4]);
        let before = readings(10, &[(1, 9_000, 0), (2, 1_000, 0), (4, 0, 0)]);
        let now = readings(20, &[(1, 2_000, 0), (3, 2_000, 0), (4, 5_000, 0)]);
        let gauges = measured(&places, Some(&before), &now);
        let Gauge::Each { members, .. } = &gauges[0].gauge else {
            panic!("of each");
        };
        let used: Vec<Use> = members.iter().map(|one| one.used).collect();
        assert_eq!(used, [Use::Missing, Use::Missing, Use::Known(500)]);
    }

    #[test]
    fn nobody_asked_is_no_load_and_a_silent_gateway_is_no_figure() {
        let places = places(&[1]);
        let before = readings(10, &[(1, 0, 7)]);
        let mut now = readings(20, &[(1, 0, 7)]);
        let gauges = measured(&places, Some(&before), &now);
        let words = ["requests 0/s of 20/s", "p95 0s of 400ms"];
        assert_eq!(told(&gauges)[2..], words);
        now.board = None;
        let gauges = measured(&places, Some(&before), &now);
        let why = "the gateway does not answer".to_owned();
        assert_eq!(gauges[2].gauge, Gauge::Unread { why });
    }

    #[test]
    fn a_gateway_that_began_anew_counts_from_there() {
        let places = places(&[1]);
        let before = readings(10, &[(1, 0, 5_000)]);
        let now = readings(20, &[(1, 0, 100)]);
        let gauges = measured(&places, Some(&before), &now);
        assert_eq!(told(&gauges)[2], "requests 10/s of 20/s");
    }
}
