//! What came of the kills.

use super::orders::Orders;
use super::{Plan, Victim};
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What the way back takes besides Mainstay's own part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Nothing.
    Plain,
    /// A store's own recovery.
    Store,
    /// A release under way, which goes on to its end.
    Release,
    /// An instance that ended before in this round, so that its restart waits 1 s, 2 s, 4 s, …
    BackOff,
}

/// Times in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Times {
    /// How many.
    pub kills: usize,
    /// Half were faster.
    pub median_ms: u64,
    /// 95 of 100 were faster.
    pub p95_ms: u64,
    /// The slowest.
    pub max_ms: u64,
}

impl Times {
    fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let at = |share: usize| times.get((times.len() * share / 100).min(times.len().max(1) - 1));
        Self {
            kills: times.len(),
            median_ms: at(50).copied().unwrap_or_default(),
            p95_ms: at(95).copied().unwrap_or_default(),
            max_ms: times.last().copied().unwrap_or_default(),
        }
    }
}

/// What takes longer is said at once.
const SLOW_MS: u64 = 2_000;

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was asked for.
    pub seed: u64,
    /// Kills in all.
    pub kills: usize,
    /// By what they met and what the way back took.
    pub steady: BTreeMap<String, Times>,
    /// Orders that were sent, and those without an acknowledgement.
    pub orders: (u64, u64),
    /// Acknowledged orders, and those without a row.
    pub acknowledged: (usize, usize),
    /// Orders that are more than one row.
    pub doubled_rows: usize,
    /// Entries that were seen and are gone.
    pub lost_entries: u64,
    /// Runs that wrote their number, and those that were doubled.
    pub runs: (usize, usize),
    /// Processes that nobody answered for.
    pub orphans: u64,
    /// What did not hold, a line each.
    pub broken: Vec<String>,
    /// `/proc/loadavg` before and after.
    pub load: [String; 2],
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, times) in &self.steady {
            writeln!(
                out,
                "{name}: {} kills, steady again after {} ms (median), {} ms (p95), {} ms (max)",
                times.kills, times.median_ms, times.p95_ms, times.max_ms
            )?;
        }
        let (sent, failed) = self.orders;
        let (acknowledged, lost) = self.acknowledged;
        let (runs, doubled) = self.runs;
        write!(
            out,
            "{} kills, seed {}: {lost} of {acknowledged} acknowledged rows lost, {} doubled; {} ledger entries lost; \
             {} orphans; {doubled} of {runs} runs doubled; {failed} of {sent} orders not acknowledged; \
             {} broken; load {} then {}",
            self.kills,
            self.seed,
            self.doubled_rows,
            self.lost_entries,
            self.orphans,
            self.broken.len(),
            self.load[0],
            self.load[1]
        )
    }
}

/// What is counted meanwhile.
pub(super) struct Tally {
    plan: Plan,
    load: String,
    times: Vec<(Victim, Class, u64)>,
    broken: Vec<String>,
    pub(super) rows: usize,
    pub(super) lost_rows: usize,
    pub(super) doubled_rows: usize,
    pub(super) lost_entries: u64,
    pub(super) runs: usize,
    pub(super) doubled_runs: usize,
    pub(super) orphans: u64,
}

impl Tally {
    pub(super) fn begin(plan: Plan) -> Result<Self> {
        Ok(Self {
            plan,
            load: crate::platform::load()?,
            times: Vec::new(),
            broken: Vec::new(),
            rows: 0,
            lost_rows: 0,
            doubled_rows: 0,
            lost_entries: 0,
            runs: 0,
            doubled_runs: 0,
            orphans: 0,
        })
    }

    #[expect(clippy::print_stderr, reason = "whoever runs it may look at once")]
    pub(super) fn took(&mut self, victim: Victim, class: Class, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.times.push((victim, class, ms));
        if ms > SLOW_MS && class != Class::BackOff {
            let number = self.times.len();
            eprintln!("kill {number}: {victim:?}, {class:?}: {ms} ms");
        }
    }

    #[expect(clippy::print_stderr, reason = "whoever runs it wants to know at once")]
    pub(super) fn broken(&mut self, what: &str) {
        let text = format!("kill {}: {what}", self.times.len());
        eprintln!("{text}");
        self.broken.push(text);
    }

    /// How far it is.
    #[expect(clippy::print_stderr, reason = "it takes half an hour")]
    pub(super) fn say(&self, orders: &Orders) {
        let (sent, failed) = orders.counts();
        eprintln!(
            "{} of {} kills; {} rows, {} lost; {failed} of {sent} orders not acknowledged; {} runs, {} doubled; {} orphans; {} broken",
            self.times.len(),
            self.plan.kills,
            self.rows,
            self.lost_rows,
            self.runs,
            self.doubled_runs,
            self.orphans,
            self.broken.len()
        );
    }

    pub(super) fn report(self, orders: &Orders) -> Result<Report> {
        let mut groups: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (victim, class, ms) in &self.times {
            let class = word(class)?;
            let names = [
                "all".into(),
                format!("all, {class}"),
                format!("{}, {class}", word(victim)?),
            ];
            for name in names {
                groups.entry(name).or_default().push(*ms);
            }
        }
        let steady = groups.into_iter();
        Ok(Report {
            seed: self.plan.seed,
            kills: self.times.len(),
            steady: steady
                .map(|(name, times)| (name, Times::of(times)))
                .collect(),
            orders: orders.counts(),
            acknowledged: (orders.acknowledged().len(), self.lost_rows),
            doubled_rows: self.doubled_rows,
            lost_entries: self.lost_entries,
            runs: (self.runs, self.doubled_runs),
            orphans: self.orphans,
            broken: self.broken,
            load: [self.load, crate::platform::load()?],
        })
    }
}

fn word(value: &impl Serialize) -> Result<String> {
    let value = serde_json::to_value(value)?;
    Ok(value.as_str().unwrap_or_default().to_owned())
}
