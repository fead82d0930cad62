//! Remote-write in versions 1.0 and 2.0: what others send, and what is sent.

mod out;
mod request;

use crate::metadata::Meta;
use crate::wire::{self, Field};
use mainstay_metrics::histogram::CUSTOM;
use mainstay_metrics::{FloatHistogram, Labels, LabelsBuilder, ResetHint, Value};
pub(crate) use out::put_series;
pub(crate) use request::{Request, family};
use std::sync::Arc;

/// A series with its samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) samples: Vec<(i64, Value)>,
}

/// Why a request is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RemoteFault {
    #[error("the body is not compressed by snappy")]
    Snappy,
    #[error("the body says that it has {found} bytes, the limit is {limit}")]
    Long { found: usize, limit: usize },
    #[error("the body is no message of remote-write")]
    Message,
}

/// Inflates a body. What it says of its length is checked before any memory is taken.
pub(crate) fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, RemoteFault> {
    let found = snap::raw::decompress_len(body).map_err(|_| RemoteFault::Snappy)?;
    if found > limit {
        return Err(RemoteFault::Long { found, limit });
    }
    let mut decoder = snap::raw::Decoder::new();
    decoder
        .decompress_vec(body)
        .map_err(|_| RemoteFault::Snappy)
}

/// Reads `prometheus.WriteRequest`.
pub(crate) fn read_first(body: &[u8]) -> Result<Vec<Series>, RemoteFault> {
    let mut all = Vec::new();
    let read = wire::each(body, |number, field| {
        if number == 1 {
            all.push(series(
                field.bytes()?,
                |number, field, builder| {
                    if number != 1 {
                        return Some(());
                    }
                    let (mut name, mut value) = ("", "");
                    wire::each(field.bytes()?, |number, field| {
                        match number {
                            1 => name = field.text()?,
                            2 => value = field.text()?,
                            _ => {}
                        }
                        Some(())
                    })?;
                    builder.set(name, value);
                    Some(())
                },
                (2, 4),
            )?);
        }
        Some(())
    });
    read.map(|()| all).ok_or(RemoteFault::Message)
}

/// What a request of version 2.0 holds: series, and what is said of their metrics.
pub(crate) type Second = (Vec<Series>, Vec<(String, Meta)>);

/// Reads `io.prometheus.write.v2.Request`.
pub(crate) fn read_second(body: &[u8]) -> Result<Second, RemoteFault> {
    let mut symbols: Vec<&str> = Vec::new();
    let read = wire::each(body, |number, field| {
        if number == 4 {
            symbols.push(field.text()?);
        }
        Some(())
    });
    read.ok_or(RemoteFault::Message)?;
    let text = |symbol: u64| symbols.get(usize::try_from(symbol).ok()?).copied();
    let (mut all, mut metas) = (Vec::new(), Vec::new());
    let read = wire::each(body, |number, field| {
        if number == 5 {
            let mut meta = None;
            let one = series(
                field.bytes()?,
                |number, field, builder| {
                    if number == 5 {
                        meta = Some(request::read_meta(field.bytes()?, &text)?);
                    }
                    if number != 1 {
                        return Some(());
                    }
                    for pair in field.numbers()?.chunks(2) {
                        let [name, value] = pair else {
                            return None;
                        };
                        builder.set(text(*name)?, text(*value)?);
                    }
                    Some(())
                },
                (2, 3),
            )?;
            if let Some(meta) = meta.filter(|meta| *meta != Meta::default()) {
                metas.push((family(one.labels.metric(), &meta.kind).to_owned(), meta));
            }
            all.push(one);
        }
        Some(())
    });
    read.map(|()| (all, metas)).ok_or(RemoteFault::Message)
}

/// Reads a series; the fields of samples and histograms have the numbers `kinds`.
fn series<'a>(
    bytes: &'a [u8],
    mut label: impl FnMut(u64, Field<'a>, &mut LabelsBuilder) -> Option<()>,
    kinds: (u64, u64),
) -> Option<Series> {
    let mut builder = Labels::default().edit();
    let mut samples = Vec::new();
    wire::each(bytes, |number, field| {
        if number == kinds.0 {
            let (mut value, mut at_ms) = (0.0, 0);
            wire::each(field.bytes()?, |number, field| {
                match number {
                    1 => value = field.float()?,
                    2 => at_ms = field.signed()?,
                    _ => {}
                }
                Some(())
            })?;
            samples.push((at_ms, Value::Float(value)));
            Some(())
        } else if number == kinds.1 {
            samples.push(histogram(field.bytes()?)?);
            Some(())
        } else {
            label(number, field, &mut builder)
        }
    })?;
    // Senders keep the order of a series; those that do not lose nothing by this.
    samples.sort_by_key(|(at_ms, _)| *at_ms);
    Some(Series {
        labels: builder.build(),
        samples,
    })
}

/// One side of a histogram as it is sent: spans, and counts as differences or as they are.
#[derive(Default)]
struct Side {
    spans: Vec<(i64, u64)>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

/// Buckets of a histogram that are believed.
const BUCKETS_MAX: usize = 10_000;

impl Side {
    fn span(&mut self, bytes: &[u8]) -> Option<()> {
        let (mut offset, mut length) = (0, 0);
        wire::each(bytes, |number, field| {
            match number {
                1 => offset = field.zigzag()?,
                2 => length = field.number()?,
                _ => {}
            }
            Some(())
        })?;
        self.spans.push((offset, length));
        Some(())
    }

    fn buckets(self) -> Option<Vec<(i32, f64)>> {
        let mut sum = 0i64;
        let counts = if self.counts.is_empty() {
            let deltas = self.deltas.iter().map(|delta| {
                sum = sum.wrapping_add(*delta);
                sum as f64
            });
            deltas.collect()
        } else {
            self.counts
        };
        let total: u64 = self
            .spans
            .iter()
            .try_fold(0u64, |sum, span| sum.checked_add(span.1))?;
        if total != counts.len() as u64 || counts.len() > BUCKETS_MAX {
            return None;
        }
        let mut index = 0i64;
        let mut counts = counts.into_iter();
        let mut buckets = Vec::new();
        for (offset, length) in self.spans {
            index = index.checked_add(offset)?;
            for count in counts.by_ref().take(usize::try_from(length).ok()?) {
                buckets.push((i32::try_from(index).ok()?, count));
                index += 1;
            }
        }
        let rises = buckets.is_sorted_by(|one, two| one.0 < two.0);
        rises.then(|| FloatHistogram::packed(buckets))
    }
}

fn histogram(bytes: &[u8]) -> Option<(i64, Value)> {
    let mut found = FloatHistogram::default();
    let (mut positive, mut negative) = (Side::default(), Side::default());
    let mut at_ms = 0;
    let floats = |field: Field<'_>| {
        let bits = field.fixed()?;
        Some(bits.into_iter().map(f64::from_bits).collect::<Vec<f64>>())
    };
    let deltas = |field: Field<'_>| {
        let numbers = field.numbers()?;
        Some(numbers.into_iter().map(wire::zigzag).collect::<Vec<i64>>())
    };
    wire::each(bytes, |number, field| {
        match number {
            1 => found.count = field.number()? as f64,
            2 => found.count = field.float()?,
            3 => found.sum = field.float()?,
            4 => found.schema = i32::try_from(field.zigzag()?).ok()?,
            5 => found.zero_threshold = field.float()?,
            6 => found.zero_count = field.number()? as f64,
            7 => found.zero_count = field.float()?,
            8 => negative.span(field.bytes()?)?,
            9 => negative.deltas.extend(deltas(field)?),
            10 => negative.counts.extend(floats(field)?),
            11 => positive.span(field.bytes()?)?,
            12 => positive.deltas.extend(deltas(field)?),
            13 => positive.counts.extend(floats(field)?),
            14 => {
                found.hint = match field.number()? {
                    1 => ResetHint::Reset,
                    2 => ResetHint::NotReset,
                    3 => ResetHint::Gauge,
                    _ => ResetHint::Unknown,
                }
            }
            15 => at_ms = field.signed()?,
            16 => found.bounds = floats(field)?.into(),
            _ => {}
        }
        Some(())
    })?;
    let known =
        found.schema == CUSTOM || mainstay_metrics::histogram::SCHEMAS.contains(&found.schema);
    found.positive = positive.buckets()?;
    found.negative = negative.buckets()?;
    known.then(|| (at_ms, Value::Histogram(Arc::new(found))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_length_takes_no_memory() {
        // Four gigabytes, declared in five bytes.
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
        let fault = inflate(&bomb, 1 << 20).unwrap_err();
        assert!(matches!(fault, RemoteFault::Long { .. }), "{fault}");
    }

    #[test]
    fn spans_must_fit_their_counts() {
        let side = Side {
            spans: vec![(-1, 2), (3, 1)],
            deltas: vec![1, 2, -1],
            counts: Vec::new(),
        };
        assert_eq!(side.buckets().unwrap(), [(-1, 1.0), (0, 3.0), (4, 2.0)]);
        let side = Side {
            spans: vec![(0, u64::MAX), (0, 2)],
            ..Side::default()
        };
        assert!(side.buckets().is_none());
    }
}
