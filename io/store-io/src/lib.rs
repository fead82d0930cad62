//! The outside of stores: folders, the machine's own database servers, and those who use them.
//!
//! [`Stores`] makes a store's folder and configuration ([`Stores::prepare`]), says how its server is
//! started ([`Stores::command`]), lets its users in ([`Stores::provision`]), asks whether it accepts
//! writes ([`Stores::readiness`]), tells users where it is ([`Stores::tell`]), and asks how much waits
//! in a queue ([`Stores::waiting`]). What takes long is
//! done on a thread of its own and asked for again until it is done.
//!
//! Invariants: data is made once and never removed or overwritten; a folder of another kind or major
//! version is refused; passwords are in [`Secrets`] and in what a user is told, and nowhere else.
//!
//! What this crate never does: start or stop a server, or decide when one should run.

mod client;
mod fault;
mod folder;
mod inherit;
mod initdb;
mod postgres;
mod program;
mod readiness;
mod redis;
mod secret;
mod stores;
mod tell;
mod waiting;

pub use fault::StoreFault;
pub use program::{Missing, missing, version};
pub use readiness::Readiness;
pub use secret::{FileSecrets, Secret, SecretFault, Secrets};
pub use stores::{Done, ServerCommand, Stores};
