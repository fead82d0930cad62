//! Decides the order in which a release replaces instances.
//!
//! In: how many are wanted, how many there are, and the rules of a rolling update. Out: [`Turn`]s.
//! The arithmetic is Kubernetes' (`maxSurge` rounds up, `maxUnavailable` rounds down).
//!
//! What this crate never does: know what an instance is. It counts; the plan names.

mod turn;

pub use turn::{Counts, Rules, Turn, all_at_once, rolling};
