//! Decides where a request goes: the routing table, matching, balancing, framing rules.
//!
//! - [`Table`] is what a gateway is given; [`Router`] is the same, compiled for look-ups.
//! - [`Scanner`] reads the bytes of a client before any HTTP library does and refuses every byte
//!   sequence that two programs could read in two ways (RFC 9112 leaves several).
//! - [`Host`] and [`path::normalise`] turn a request's host and target into the one form that is both
//!   matched and forwarded.
//! - [`balance::pick`], [`Outlier`], [`retry::decide`] and [`Budget`] choose an instance, set a failing
//!   one aside, and say whether a failed attempt may be made again.
//! - [`Split::at`] says which side of a release on trial answers, [`Place`] keeps a client on its side, and
//!   [`cookie`] reads where it says its place.
//! - [`Pauses`] says which routes nobody answers for but the gateway itself, and until when.
//! - [`Frames`] finds the frame boundaries of a WebSocket, so that a close frame can be put between two.
//! - [`histogram`] places a latency in a bucket.
//!
//! Invariants: everything here is total (any bytes, any order of calls: no panic), deterministic, and
//! the good path of a request allocates nothing. Times are [`mainstay_atoms::Moment`] arguments and
//! random numbers are `u64` arguments.
//!
//! What this crate never does: open a socket, read a clock, draw a random number; the gateway process
//! in `io/gateway-io` does, and asks here.

pub mod balance;
mod budget;
mod chunk;
pub mod cookie;
mod field;
mod frame;
mod head;
mod host;
mod outlier;
pub mod path;
pub mod pause;
mod place;
mod refuse;
pub mod retry;
mod router;
mod scanner;
mod share;
mod table;

pub use budget::Budget;
pub use frame::Frames;
pub use host::{Host, HostFault};
pub use mainstay_atoms::Chosen;
pub use mainstay_atoms::histogram;
pub use outlier::{Admission, Outlier};
pub use pause::Pauses;
pub use place::Place;
pub use refuse::{Reason, Refuse};
pub use router::{Match, Router};
pub use scanner::{Scan, Scanner, Then};
pub use share::{is_within, next_place};
pub use table::{Backend, Listener, Pool, Route, Side, Split, Table};
