//! The user's file: text in, [`Platform`] or all its mistakes out.
//!
//! [`parse_file`] makes a [`Tree`] of `mainstay.yaml` in which every node knows its place;
//! [`resolve`] lays one environment and the command line over it, follows `extends` and walks the
//! result against the table of keys (`shape`, `key`), which is also what [`schema()`] and
//! [`reference()`] are made of; [`explain()`] says of a key what it is and who set it.
//!
//! Invariants:
//! - A key that this program cannot honour is a fault, never accepted and ignored.
//! - All independent mistakes come in one run, each on the token that is wrong or its key, in the
//!   order of the file; a mistake that follows from another is not reported.
//! - Any bytes are answered, within fixed budgets of size, depth, nodes and aliases; no input makes
//!   it panic.
//! - Equal meaning gives equal [`Platform`]s: every default is filled in, every name resolved.
//!
//! What it never does: read a file, a clock or the environment, run anything, evaluate an expression
//! or a template, or put a value of `env` into a fault.

mod alert;
mod budget;
mod explain;
mod extend;
mod faults;
mod gate;
mod gate_key;
mod job;
mod key;
mod kind;
mod later;
mod layer;
mod merge;
#[cfg(test)]
mod mutation;
mod nearest;
mod node;
mod parse;
mod path;
mod platform;
mod reference;
mod resolve;
mod scale;
mod scale_key;
mod schema;
mod set;
mod shape;
mod signals;
mod sound;
mod status_key;
mod status_page;
mod store;
mod syntax;
mod tree;
mod walk;

pub use explain::{Explanation, Origin, explain, place_of};
pub use gate::{ChecklistItem, Gates};
pub use job::{Job, Missed, Overlap};
pub use parse::parse_file;
pub use platform::{
    Amount, BlueGreen, Canary, GatewayPorts, Injection, Platform, Rolling, Service,
};
pub use reference::{documents, reference};
pub use resolve::{Resolved, check, resolve, sources};
pub use scale::{Floor, Queue, Scale, Waiting};
pub use schema::schema;
pub use set::{COMMAND_LINE, Set};
pub use signals::{Attached, Metrics, Protocol, Remote, Signals, Slo, Target};
pub use status_page::StatusPage;
pub use store::{Postgres, Redis, Store, StoreKind, StoreOrder, StoreUser};
pub use tree::Tree;
