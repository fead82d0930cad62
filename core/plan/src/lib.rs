//! Joins the deciders: what is wanted and what is seen become steps and a report.
//!
//! - [`decide`] is given the target release, the observation and the limits, and returns steps that
//!   leave no choice: ids, addresses, generations and order are all named.
//! - [`check()`] is the second mind: it knows only invariants, shares no function with `decide`, and
//!   looks at every plan before it is recorded.
//! - [`judge`] says of a step that waits whether it is done, still waits, or failed.
//! - [`Event`] and [`History`] are what the ledger holds and what a replay of it knows.
//!
//! What this crate never does: start anything, read a clock, or keep state between calls.

mod acted;
mod address;
mod around;
mod back;
mod change;
pub mod check;
mod contents;
mod decide;
mod down;
mod draft;
mod event;
mod history;
mod hold;
mod job;
mod judge;
mod launch;
mod news;
mod observed;
mod pause;
mod place;
mod report;
mod run;
mod scaled;
mod serving;
mod step;
mod store;
mod trial;

pub use acted::{Act, Acts};
pub use address::{PORTS, local_address};
pub use change::{Change, Field, Mark, changes};
pub use check::check;
pub use contents::{Contents, ReleaseRecord};
pub use decide::{Decision, Limits, Pace, Target, decide};
pub use event::{Event, PlanEnd, ReleaseEnd};
pub use history::{Frozen, History, Hold, OpenPlan, Release, ReleaseState};
pub use job::{JobDecision, decide_jobs};
pub use judge::{Failure, Judgement, judge};
pub use launch::reached;
pub use news::{News, Standing};
pub use observed::{GatewaySeen, Load, Observed};
pub use pause::{Pause, Paused, Resumption};
pub use report::{Report, ServiceLine, StoreAction, StoreLine, Wait};
pub use run::{Run, RunEnd, Runs};
pub use scaled::{Count, Counts};
pub use serving::{Routes, Serving};
pub use step::{Parent, Plan, Publish, Purpose, Step};
pub use store::{order_digest, store_order};
pub use trial::{Goal, Trial};
