//! Measures: an open-loop load generator, and the gateway beside nginx.
//!
//! - [`load`]: requests leave when the schedule says so, whether or not earlier ones were answered; a
//!   latency counts from the scheduled time, so a pause of the server shows in every request that it
//!   delayed. Nothing is ever sent twice. The binary `mainstay-load` prints the same summary as JSON.
//! - [`gateway`]: on-CPU time per request of our gateway and of Debian's nginx, in shuffled pairs; the
//!   figure is the median of the ratios of pairs. The binary `bench` runs it: `bench gateway`.
//!
//! - [`crash`]: kills at random points of a platform with stores and jobs; what is lost, and how long until
//!   it is back.
//! - [`deploys`]: rolling deploys of a real platform under load, and how many requests were lost.
//! - [`ways`]: the same for deploys of all ways, aborted and superseded ones among them.
//! - [`footprint`]: memory, start-up, the way back, coming back after a kill.
//! - [`fleet`]: one control plane over many real processes.
//! - [`ledger`]: appends a second beside bare write + fdatasync, on disk and in memory.
//! - [`upgrade`]: upgrades of Mainstay itself under load, with open WebSockets.
//! - [`shift`]: how soon all workers of a gateway follow a change of shares.
//! - [`signals`]: memory, processor time and bytes of samples beside Debian's `prometheus`.
//! - [`spec`]: CPU time of parsing, checking and planning large files.
//!
//! What this crate never does: correct a figure. Latencies are microseconds, CPU times nanoseconds.

pub mod crash;
pub mod deploys;
pub mod fleet;
pub mod footprint;
pub mod gateway;
pub mod ledger;
pub mod load;
pub mod platform;
pub mod shift;
pub mod signals;
pub mod spec;
pub mod upgrade;
pub mod upstream;
pub mod ways;
