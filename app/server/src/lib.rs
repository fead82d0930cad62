//! The control plane: one engine on its own thread, one HTTP API on a unix socket.
//!
//! [`serve`] opens the state, replays the ledger, starts the engine over the real world and answers
//! the API until it is told to stop or everything was brought down. Requests become closures that run
//! on the engine's thread between two ticks ([`Desk`]), so nothing is ever decided in two places.
//!
//! Invariants: one control plane per state, by a kernel lock that death frees; a state that
//! contradicts its signed checkpoint is served read-only while traffic goes on; who acts is the login
//! name of the socket's peer.
//!
//! What this crate never does: name an acting crate (only `world` does), or talk to the terminal.

pub mod api;
mod actor;
mod desk;
mod openapi;
mod route;
mod serve;
mod view;

pub use desk::Desk;
pub use openapi::openapi;
pub use serve::{Options, ServeFault, serve};
