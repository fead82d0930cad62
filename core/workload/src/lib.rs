//! Decides how many instances a service wants, and which are kept, missing, dead or out of place.
//!
//! In: what a service wants ([`Wanted`]) and the instances that are seen ([`Instance`]).
//! Out: a [`Census`] that sorts every instance into exactly one place. Nothing is started here; the
//! plan turns a census into steps. [`scale`] says how many are wanted, where the file leaves it to metrics,
//! and [`advise`] how large they should be.
//!
//! What this crate never does: decide an order between services, name addresses of the gateway, or
//! read a clock.

mod census;
mod desired;
mod observed;
mod restart;
mod scale;

pub use census::{Census, census};
pub use desired::Wanted;
pub use observed::{Exit, Instance, Readiness, Running};
pub use restart::{Attempts, STEADY, restart_at};
pub use scale::{
    Advice, Bounds, BoundsFault, Floor, GROWTH_PERIOD, Gauge, LEAST_SAMPLES, Member, Override,
    Recommendation, SHRINK_WINDOW, ScaleRules, ScaleWhy, Scaled, Use, WARMING, Window, advise,
    recommend, scale,
};
