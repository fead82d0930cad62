//! The gateway process: serves from a table, hands in-flight counts back, outlives its control plane.
//!
//! [`run`] is the whole process. Inside, the main thread owns the control socket and the listening
//! sockets; each worker is a thread with a runtime, listeners, pools and counters of its own, so a
//! request touches no lock and no other core. [`Client`] is the control plane's side.
//!
//! A request is one task: `source` judges and reads it, `exchange` finds who answers, `prepare` writes
//! its head, `outgoing` and `link` carry it to an instance, `reply` brings the body of the answer and
//! `http1` writes it. What HTTP/2 clients send is read by a library and joins at `exchange`.
//!
//! - A table is taken or refused whole. All workers turn to it at one moment, and it is acknowledged once they
//!   have; from then on no request picks an instance that left, and [`Status`] tells what still goes on there.
//! - A request is routed by the table that was current when its head arrived.
//! - While a release is on trial, `turn` says which side a request belongs to, once for all its attempts, and `pool`
//!   who answers; `mirror` sends copies to the canary, of which no user notices anything.
//! - Bytes reach an instance only re-serialised from a request that `mainstay_routing::Scanner` passed.
//! - The table lies on disk too: a gateway that was killed serves again without a control plane, and
//!   [`Listeners`] kept elsewhere let connections wait meanwhile.
//!
//! - A gateway may be started beside one that runs: it adopts the listening sockets, serves from the same
//!   table, and takes the place. The one before retires: no connection is refused, no stream is cut.
//!
//! What this crate never does: write to the terminal, end the process, replay a request of which an
//! instance may have seen a byte unless its method is idempotent, give a user what was answered to a copy, close a listener or a stream because
//! of an unrelated change. Times are `Duration`s, latencies are counted in microseconds.

mod accept;
mod answer;
mod client;
mod client_io;
mod config;
mod connection;
mod control;
mod date;
mod download;
mod exchange;
mod fields;
mod gateway;
mod head;
mod http1;
mod lifeline;
mod link;
mod listener;
mod metrics;
mod mirror;
mod name;
mod outgoing;
mod own;
mod page;
mod piece;
mod pieces;
mod pool;
mod prepare;
mod presence;
mod reply;
mod request;
mod saying;
mod series;
mod serving;
mod sniff;
mod socket;
mod source;
mod stage;
mod store;
mod stranger;
mod sweep;
mod tunnel;
mod turn;
mod unchunk;
mod upload;
mod upstream;
mod wire;
mod worker;

pub use client::{Client, ClientFault, Listeners};
pub use config::{Config, Limits};
pub use gateway::{GatewayFault, run};
pub use presence::others;
pub use wire::{
    Acknowledged, InstanceStatus, Latency, Page, Refusal, ReleaseLatency, Request, Response,
    Serving, Stage, Status,
};
