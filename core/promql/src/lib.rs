//! `PromQL`: the query language of the field, with the semantics of Prometheus 3.
//!
//! - [`parse`] turns a text into a checked tree whose nodes know their places.
//! - [`evaluate`] computes it over a [`mainstay_metrics::Source`] at one time or at many: every expression is
//!   computed for all steps at once, series by series.
//! - [`notation`] reads series as rule tests and the acceptance language write them.
//!
//! Invariants: no text makes it panic or recurse without bound; no query reads, makes or holds more than its
//! [`Settings`] allow; ranges exclude their left end; names that functions take away go at the very end.
//!
//! What this crate never does: read a clock (a caller's closure says when time is up), open a file, keep
//! anything between two queries.
#![expect(
    clippy::float_cmp,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "the language computes with floats, and compares them exactly"
)]

mod aggregate;
mod annotation;
mod ast;
mod binary;
mod calendar;
mod call;
mod check;
mod classic;
mod edge;
mod eval;
mod fault;
mod function;
mod hash;
mod info;
mod lexer;
mod matching;
mod math;
mod native;
pub mod notation;
mod order;
mod over_time;
mod parse;
mod quantile;
mod rank;
mod rate;
mod relabel;
mod select;
mod selector;
mod trim;
mod value;
mod window;

pub use annotation::{Annotation, Level};
pub use ast::*;
pub use eval::{Outcome, Settings, When, evaluate};
pub use fault::{Fault, ParseFault, Span};
pub use function::{FUNCTIONS, Function};
pub use lexer::QUERY_MAX;
pub use parse::{DEPTH_MAX, OPERATORS_MAX, Options, parse};
pub use value::{Answer, AnswerSeries};
