//! A world that exists only in memory: seeded clock, processes, gateway, disk.
//!
//! The shipped engine and deciders run in it unchanged, thousands of times, while processes crash,
//! the gateway is away, the disk is full and the control plane is killed at any step. Every effect is
//! held against the promises ([`World::broken`] collects what was broken); a [`Schedule`] is one life
//! under one seed and can be replayed from that number.
//!
//! What this crate never does: touch a real clock, process, socket or file.

mod calm;
mod crowd;
mod kill;
pub mod mutant;
mod pausing;
mod platform;
pub mod rehearsal;
mod scaling;
mod schedule;
pub mod stage;
mod world;

pub use crowd::{Tally, live_all};
pub use kill::{KINDS, Kill, KillPoint, kill_points, kind};
pub use platform::{contents, job, service, service_digests, with_stores};
pub use rehearsal::{Ending, Injury, Rehearsal, rehearse};
pub use scaling::{by_load, by_queue};
pub use schedule::{Schedule, Story};
pub use world::{Faults, Victim, World};
