//! Decides which instances of a service are kept, missing, dead or out of place.
//!
//! In: what a service wants ([`Wanted`]) and the instances that are seen ([`Instance`]).
//! Out: a [`Census`] that sorts every instance into exactly one place. Nothing is started here; the
//! plan turns a census into steps.
//!
//! What this crate never does: decide an order between services, name addresses of the gateway, or
//! read a clock.

mod census;
mod desired;
mod observed;
mod restart;

pub use census::{Census, census};
pub use desired::Wanted;
pub use observed::{Exit, Instance, Readiness, Running};
pub use restart::{Attempts, STEADY, restart_at};
