//! The signals process: collects metrics, keeps them, answers queries, judges rules.
//!
//! What this crate never does: write to the terminal, end the process, decide what a platform should look like.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and times become floats, as metrics are"
)]

mod answer;
mod api;
mod check;
mod client;
mod clock;
mod collect;
mod config;
mod errand;
mod export;
mod fetch;
mod filled;
mod form;
mod forward;
mod ingest;
mod memory;
mod metadata;
mod otlp;
mod own;
mod page;
mod place;
mod process;
mod query;
mod remote;
mod rules;
mod scrape;
mod store;
mod tls;
mod wire;

pub use client::{Client, ClientFault, Parcels, Reading};
pub use config::{
    Check, CheckKind, Collector, CollectorKind, Config, File, Limits, Part, Place, Process,
    Protocol, Remote, Retention, Target, Token,
};
pub use errand::{Deliver, Errand, Report, Trial, Tried};
pub use export::{Export, ExportFault, ExportedBlock, export};
pub use filled::Filled;
pub use page::{PageFault, page};
pub use process::{Settings, SignalsFault, run};
pub use store::{Bounds, StoreFault};
