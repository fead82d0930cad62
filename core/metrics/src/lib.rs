//! Series, samples and their forms: labels, matchers, native histograms.
//!
//! - [`Labels`] names a series; [`Matcher`] selects by labels.
//! - [`Value`] is a float or a [`FloatHistogram`]; the stale marker is a float ([`sample::is_stale`]).
//! - [`exposition::Reader`] reads what targets expose, without copying it.
//! - [`Source`] is what a query reads from: [`Head`] holds the newest samples, [`Block`] older ones as bytes
//!   ([`write_block`]), [`Memory`] small results, and [`Union`] joins them.
//!
//! Units: times are milliseconds since 1970-01-01 UTC, as in the field's formats.
//!
//! What this crate never does: open a file or a socket, read a clock. Bytes come in, samples go out.
#![expect(
    clippy::float_cmp,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "numbers of metrics are floats, compared exactly where the format says so"
)]

pub mod arithmetic;
mod block;
mod block_writer;
mod codec;
pub mod exposition;
mod head;
pub mod histogram;
pub mod label;
mod matcher;
mod memory;
mod pattern;
mod postings;
pub mod sample;
mod series;
mod source;
mod union;

pub use block::{Block, BlockFault};
pub use block_writer::{WriteFault, write as write_block};
pub use head::{Appended, Full, Head, SeriesId, TargetId};
pub use histogram::{FloatHistogram, ResetHint};
pub use label::{Label, Labels, LabelsBuilder};
pub use matcher::{MatchOp, Matcher, all_match};
pub use memory::Memory;
pub use pattern::{Pattern, PatternFault, compile};
pub use sample::{HistogramSample, Sample, Value};
pub use series::SeriesFault;
pub use source::{Select, SeriesView, Source, SourceFault};
pub use union::Union;
