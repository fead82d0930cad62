//! Series, samples and their forms: labels, matchers, native histograms.
//!
//! - [`Labels`] names a series; [`Matcher`] selects by labels.
//! - [`Value`] is a float or a [`FloatHistogram`]; the stale marker is a float ([`sample::is_stale`]).
//! - [`exposition::Reader`] reads what targets expose, without copying it.
//! - [`Head`] holds the newest samples, row by row; they become [`Page`]s after some minutes and a [`Block`] after
//!   hours. What it tells as [`Record`]s makes another head of the same content.
//! - [`tsdb`] writes blocks of Prometheus, for whoever leaves.
//! - [`Source`] is what a query reads from: a block, [`Memory`] for small results, [`Union`] for several.
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
mod block_index;
mod block_writer;
mod codec;
mod column;
pub mod exposition;
mod head;
pub mod histogram;
pub mod label;
mod matcher;
mod memory;
mod page;
mod pattern;
mod postings;
mod record;
mod run;
pub mod sample;
mod series;
mod source;
mod storage;
pub mod tsdb;
mod union;

pub use block::{Block, BlockFault, BlockReader, Found};
pub use block_writer::{BlockWriter, WriteFault, write as write_block};
pub use column::Columns;
pub use head::{
    Appended, Frozen, Full, GroupId, Head, Located, Seat, SeriesId, TargetId, gap, is_gap,
};
pub use histogram::{FloatHistogram, ResetHint};
pub use label::{Label, Labels, LabelsBuilder};
pub use matcher::{MatchOp, Matcher, all_match};
pub use memory::Memory;
pub use page::{Page, PageReader, PageRef};
pub use pattern::{Pattern, PatternFault, compile};
pub use record::{Record, put_row, put_sample};
pub use run::{Run, runs};
pub use sample::{HistogramSample, Sample, Value};
pub use series::SeriesFault;
pub use source::{Select, SeriesView, Source, SourceFault};
pub use storage::Storage;
pub use union::Union;
