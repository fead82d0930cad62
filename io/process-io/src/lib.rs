//! Real processes: stored artifacts, one shim per instance, probes.
//!
//! What runs is always a stored copy ([`Artifacts`]), under a small process of its own (the shim) that
//! holds its output, its limits and its exit, and that outlives the control plane. [`Runtime`] gives
//! orders and observes; [`Prober`] asks instances whether they live and are ready.
//!
//! State, all below one folder: `artifacts/DIGEST/`, `instances/ID/{launch,shim,groups,state,exit}.json`,
//! `instances/ID/home/` (HOME and TMPDIR of one run), `run/ID.sock`, `logs/SERVICE/ID/NNNNNNNNNN.log`.
//!
//! Invariants:
//! - an instance is found again by pid and start time, never by pid alone;
//! - the workload dies with its shim, and its whole group dies with it;
//! - whoever holds a higher (epoch, generation) refuses a lower one;
//! - an exit status is durable before the shim ends;
//! - as root no program runs as root: each service has a user that no other on the machine has, and
//!   where that is impossible the reason is part of what is observed.
//!
//! What this crate never does: decide what should run, restart anything, or use unsafe code.
//! Entry points: [`Runtime`], [`Artifacts`], [`Prober`]; [`shim_main`] and [`launch_main`] for the binary.

mod artifact;
mod check;
mod control;
mod fault;
mod group;
mod isolation;
mod launch;
mod layout;
mod listener;
mod log;
mod machine;
mod manifest;
mod observe;
mod presence;
mod probe;
mod process;
mod reader;
mod record;
mod runtime;
mod shim;
mod smoke;
mod used;
mod user;
mod view;

pub use artifact::{Artifacts, Swept};
pub use fault::{
    ForgetFault, LogFault, ObserveFault, StartFault, StopFault, StoreFault, UserFault,
};
pub use isolation::{Holder, Isolation, KillBy};
pub use launch::launch_main;
pub use listener::Listener;
pub use machine::{Kernel, holder, kernel, most_files, open_files, try_limits};
pub use observe::{InstanceFact, InstanceState};
pub use probe::{Answer, ProbeFact, ProbeSide, Prober, Watched};
pub use reader::{Cursor, LogLine, LogSource, Stream};
pub use record::{Ended, Exit};
pub use runtime::{Here, Runtime};
pub use shim::shim_main;
pub use smoke::{Smoked, Smoker};
pub use used::Used;
pub use user::{RunsAs, cannot_change};
pub use view::Reach;
