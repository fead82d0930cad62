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

/// What one look measured.
pub(super) struct Sample {
    at: Moment,
    /// What the gateway counted of each since it started; none while it does not answer.
    board: Option<Board>,
    used: BTreeMap<InstanceId, (Generation, Used)>,
}

impl Sample {
    /// Measures what the targets ask for.
    pub(super) fn take(
        places: &[Place],
        scale: &Scale,
        board: Option<&Board>,
        (at, world): (Moment, &mut impl World),
    ) -> Self {
        let ours = |id: &InstanceId| places.iter().any(|place| place.id == *id);
        let board = board.map(|board| Board {
            tallies: board
                .tallies
                .iter()
                .filter(|(origin, _)| ours(&origin.instance))
                .map(|(origin, tally)| (origin.clone(), tally.clone()))
                .collect(),
        });
        let machine = scale.cpu.is_some() || scale.memory.is_some();
        Self {
            at,
            board,
            used: used(places.iter().filter(|_| machine), world),
        }
    }
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
pub(super) fn millicores(
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
    /// `cpu`, `memory`, `requests` or `p95`.
    pub metric: String,
    /// The mean of the instances that count; none: of nobody it is known.
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
}

impl FigureUnit {
    /// In words: `62%`, `12.5/s`, `120ms`.
    pub fn tell(self, value: u64) -> String {
        match self {
            Self::Of(whole) => {
                let share = u128::from(value) * 100 / u128::from(whole.max(1));
                let share = u64::try_from(share).unwrap_or(u64::MAX / 100);
                Share(share.saturating_mul(100)).to_string()
            }
            Self::Rate => match (value / 1000, value % 1000 / 100) {
                (whole, 0) => format!("{whole}/s"),
                (whole, tenths) => format!("{whole}.{tenths}/s"),
            },
            Self::Time => span::format(Duration::from_millis(value / 1000)),
        }
    }
}

impl fmt::Display for Figure {
    /// `cpu 62% of 70%`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = self.measured.map(|value| self.unit.tell(value));
        let measured = measured.unwrap_or_else(|| "unknown".into());
        let target = self.unit.tell(self.target);
        write!(out, "{} {measured} of {target}", self.metric)
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
) -> Vec<Measured> {
    let look = Look {
        places,
        warm_up: scale.warm_up,
        now: sample.at,
    };
    let over = before.map_or(Duration::ZERO, |before| sample.at.since(before.at));
    let mut gauges = Vec::new();
    if let Some((share, limit)) = scale.cpu.zip(size.cpu.map(|cpu| cpu.limit.0)) {
        let target = (
            limit.saturating_mul(share.0) / 10_000,
            FigureUnit::Of(limit),
        );
        gauges.push(look.each("cpu", target, |id| {
            millicores(before?.used.get(id), sample.used.get(id), over)
        }));
    }
    if let Some((share, limit)) = scale.memory.zip(size.memory.map(|memory| memory.limit.0)) {
        // Divided first: a limit of memory times ten thousand may be more than fits.
        let target = (limit / 10_000 * share.0, FigureUnit::Of(limit));
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
    gauges
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
