//! Decides how a release replaces another: in which order, how fast, and on what evidence.
//!
//! - [`rolling`] counts the turns of a rolling update; the arithmetic is Kubernetes' (`maxSurge` rounds up,
//!   `maxUnavailable` rounds down).
//! - [`Condition`] is what a file says a release is judged by; a [`Tally`] or a provider's [`answer`] gives
//!   a [`Reading`], [`measure()`] says what one reading means, [`Run`] what all of them mean over time.
//! - [`Compared`] tells a worse canary from a good one however often it is looked at, and [`need`] says
//!   beforehand how long that takes (`docs/verdicts.md`).
//! - [`canary`] and [`blue_green`] decide the next acts of a release from what is wanted and seen.
//! - [`gate`] says whether people and the calendar let a release begin.
//!
//! Invariants: what is missing, not a number or too little never passes; a failed verdict outranks every
//! order; weights add up to the whole; nothing stops before the gateway acknowledged a table without it;
//! every state that waits says for what. Holds are counted in time that was looked at, so a jump of a
//! clock neither shortens nor ends one.
//!
//! What this crate never does: start an instance, read a clock, or know how a gateway is told.

mod answer;
mod beyond;
pub mod blue_green;
pub mod canary;
mod compare;
mod condition;
pub mod gate;
mod hold;
mod measure;
mod metric;
mod reach;
mod tally;
mod turn;
mod verdict;
mod weight;

pub use answer::{ANSWER_BYTES, answer};
pub use beyond::beyond;
pub use compare::{ALPHA, Arm, BETA, BLOCK, Compared, Need, Standing, Traffic, Zone, need};
pub use condition::{Argument, Comparison, Condition, Level, Limit, Metric, Ratio, Unit};
pub use hold::{Held, LONGEST_LOOK};
pub use measure::{Doubt, Judged, Outcome, Reading, Sight, Trouble, measure};
pub use metric::{ERROR_RETRY, Measured, Measurement, Most, Rules as MetricRules};
pub use reach::{Reach, reach};
pub use tally::{Board, Class, Latencies, Origin, Tally};
pub use turn::{Counts, Rules, Turn, all_at_once, recreate, rolling};
pub use verdict::{Grade, Run, RunRules, Verdict, Why};
pub use weight::{Baseline, ScheduleFault, Stage, Stages, Weights};
