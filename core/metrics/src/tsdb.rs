//! Blocks in the format of Prometheus' database, for whoever leaves: written, never read.
//!
//! A block is a folder: `chunks/000001…` hold samples, `index` says which series they are of, `meta.json` the range,
//! `tombstones` what was deleted, which is nothing. [`chunks`] compresses a series, [`BlockBuilder`] places its chunks
//! and writes the index; a [`Parcel`] carries a series from where samples are kept to where files are written.
//!
//! The source of all formats: `tsdb/docs/format` of Prometheus.

mod bit;
mod chunk;
mod float;
mod histogram;
mod index;
mod order;
mod parcel;

pub use chunk::{CHUNK_SAMPLES, Chunk, Encoding, chunks};
pub use index::{BlockBuilder, BlockStats, IndexFault, Placed, SortedBlock};
pub use parcel::{PARCEL_MAX, Parcel, ParcelFault, ParcelReader};

/// The range that a block never crosses, in milliseconds: two hours, as Prometheus cuts them.
pub const RANGE_MS: i64 = 7_200_000;

/// The file that says what was deleted: nothing. Magic, version 1, and the checksum of no bytes.
pub const TOMBSTONES: [u8; 9] = [0x01, 0x30, 0xba, 0x30, 1, 0, 0, 0, 0];

/// The file that says what the block holds; `end_ms` is not part of the range.
pub fn meta(ulid: &str, begin_ms: i64, end_ms: i64, stats: &BlockStats) -> String {
    let BlockStats {
        series,
        chunks,
        floats,
        histograms,
        ..
    } = stats;
    let samples = floats + histograms;
    format!(
        "{{\n\t\"ulid\": \"{ulid}\",\n\t\"minTime\": {begin_ms},\n\t\"maxTime\": {end_ms},\n\t\"stats\": {{\n\
         \t\t\"numSamples\": {samples},\n\t\t\"numFloatSamples\": {floats},\n\
         \t\t\"numHistogramSamples\": {histograms},\n\t\t\"numSeries\": {series},\n\t\t\"numChunks\": {chunks}\n\t}},\n\
         \t\"compaction\": {{\n\t\t\"level\": 1,\n\t\t\"sources\": [\n\t\t\t\"{ulid}\"\n\t\t]\n\t}},\n\
         \t\"version\": 1\n}}\n"
    )
}
