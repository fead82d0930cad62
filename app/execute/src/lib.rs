//! Executes plans: observe → decide → check → record → apply, over a [`World`].
//!
//! The [`Engine`] is one object, driven by [`Engine::tick`]. It never blocks, sleeps or spawns: a
//! tick looks at the world, does what can be done now and says when to look again. Everything it
//! knows is the replay of what it recorded, so a new engine over the same ledger carries on where the
//! last one was killed.
//!
//! Invariants: nothing is applied that was not recorded; a step's outcome is recorded before the next
//! step; what is executed is what was planned; no plan is recorded that [`mainstay_plan::check()`]
//! objects to.

mod act;
mod answer;
mod engine;
mod flip;
mod gate;
mod job;
mod lease;
mod look;
mod measure;
mod order;
mod pause;
mod progress;
mod prospect;
mod request;
mod scale;
mod sight;
mod traffic;
mod trial;
mod view;
mod wait;
mod world;

pub use act::{ActionView, Stand, subjects};
pub use answer::Phase;
pub use engine::{Engine, StartFault, Tick};
pub use gate::{AtGate, ItemRow};
pub use lease::{Lease, LeaseFault, Leases, TERM};
pub use measure::MetricView;
pub use pause::{RouteRefusal, RouteView};
pub use progress::{Happening, Progress};
pub use prospect::{Judge, Prospect};
pub use request::{Refusal, Ship, Shipped};
pub use scale::{Figure, Looked, ScaleRefusal, ScaleView, SizeAdvice};
pub use view::TrialView;
pub use world::{EffectFault, Entry, Evidence, Order, RecordFault, Seen, Used, World};
