//! Decides where a request goes: the routing table, matching, balancing, framing rules.
//!
//! What this crate never does: open a socket, read a clock, draw a random number; the gateway process
//! in `io/gateway-io` does, and asks here.

mod table;

pub use table::{Backend, Listener, Pool, Route, Table};
