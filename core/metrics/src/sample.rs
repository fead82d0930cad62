//! Samples: values of a series at points in time.

use crate::histogram::FloatHistogram;
use std::sync::Arc;

/// Bits of the NaN that says "this series ended here". The field's convention since Prometheus 2.0.
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The marker itself.
pub fn stale() -> f64 {
    f64::from_bits(STALE_BITS)
}

/// Whether a value is the marker; any other NaN is a value.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// What a sample holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number, or the stale marker.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

/// A value and when it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// What was seen.
    pub value: Value,
}

/// A histogram and when it was.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSample {
    /// Milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// What was seen; shared, because queries hand it on.
    pub histogram: Arc<FloatHistogram>,
}
