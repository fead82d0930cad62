//! Records: what the head tells a log, so that another head can be made from it.

use crate::codec::{self, Bytes};
use crate::label::{Label, Labels};
use crate::page::{GAP, PageRef};
use crate::sample::{HistogramSample, Value};
use std::sync::Arc;

/// One fact of the head.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A target began.
    Target {
        /// Its number.
        id: u32,
        /// Whose limit its series count against.
        owner: String,
        /// What tells it from others.
        key: String,
    },
    /// A group of series began.
    Group {
        /// Its number.
        id: u32,
        /// Its target.
        target: u32,
        /// Whether each series has its own times.
        own: bool,
    },
    /// A series began, or moved into another group.
    Series {
        /// Its number.
        number: u32,
        /// Its group.
        group: u32,
        /// Its place in the group.
        slot: u32,
        /// Its labels.
        labels: Labels,
    },
    /// What a group showed at one time.
    Row {
        /// Which group.
        group: u32,
        /// When, in milliseconds since 1970.
        at_ms: i64,
        /// A value a place; a gap where there was none.
        values: Vec<f64>,
    },
    /// A sample of a series with times of its own.
    Sample {
        /// Which series.
        number: u32,
        /// When, in milliseconds since 1970.
        at_ms: i64,
        /// What.
        value: Value,
    },
    /// A page of a group, which lies where this record says.
    Page {
        /// Which group.
        group: u32,
        /// Where. The offset is that of the bytes right behind this record.
        page: PageRef,
    },
    /// Everything of a group that came before is in the page at this offset.
    Paged {
        /// Which group.
        group: u32,
        /// Where its page is.
        offset: u64,
    },
}

impl Record {
    /// The record as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Target { id, owner, key } => {
                out.push(1);
                codec::put(&mut out, u64::from(*id));
                put_text(&mut out, owner);
                put_text(&mut out, key);
            }
            Self::Group { id, target, own } => {
                out.push(2);
                codec::put(&mut out, u64::from(*id));
                codec::put(&mut out, u64::from(*target));
                out.push(u8::from(*own));
            }
            Self::Series {
                number,
                group,
                slot,
                labels,
            } => {
                out.push(3);
                for number in [*number, *group, *slot] {
                    codec::put(&mut out, u64::from(number));
                }
                codec::put(&mut out, labels.len() as u64);
                for label in labels {
                    put_text(&mut out, &label.name);
                    put_text(&mut out, &label.value);
                }
            }
            Self::Row {
                group,
                at_ms,
                values,
            } => put_row(&mut out, *group, *at_ms, values),
            Self::Sample {
                number,
                at_ms,
                value,
            } => put_sample(&mut out, *number, *at_ms, value),
            Self::Page { group, page } => {
                out.push(7);
                codec::put(&mut out, u64::from(*group));
                codec::put(&mut out, u64::from(page.length));
                codec::put(&mut out, u64::from(page.raw));
                codec::put_signed(&mut out, page.first_ms);
                codec::put_signed(&mut out, page.last_ms);
            }
            Self::Paged { group, offset } => {
                out.push(8);
                codec::put(&mut out, u64::from(*group));
                codec::put(&mut out, *offset);
            }
        }
        out
    }

    /// Reads a record; `behind` is the offset of the byte right behind it, for pages.
    pub fn read(bytes: &[u8], behind: u64) -> Option<Self> {
        let mut rest = Bytes(bytes);
        let kind = rest.take(1)?[0];
        let number = |rest: &mut Bytes<'_>| u32::try_from(rest.unsigned()?).ok();
        Some(match kind {
            1 => Self::Target {
                id: number(&mut rest)?,
                owner: rest.text()?.to_owned(),
                key: rest.text()?.to_owned(),
            },
            2 => Self::Group {
                id: number(&mut rest)?,
                target: number(&mut rest)?,
                own: rest.take(1)?[0] == 1,
            },
            3 => Self::Series {
                number: number(&mut rest)?,
                group: number(&mut rest)?,
                slot: number(&mut rest)?,
                labels: labels(&mut rest)?,
            },
            4 => row(&mut rest)?,
            5 => Self::Sample {
                number: number(&mut rest)?,
                at_ms: rest.signed()?,
                value: Value::Float(rest.float()?),
            },
            6 => {
                let number = number(&mut rest)?;
                let sample = codec::histograms(&mut rest)?.into_iter().next()?;
                Self::Sample {
                    number,
                    at_ms: sample.at_ms,
                    value: Value::Histogram(sample.histogram),
                }
            }
            7 => Self::Page {
                group: number(&mut rest)?,
                page: PageRef {
                    offset: behind,
                    length: number(&mut rest)?,
                    raw: number(&mut rest)?,
                    first_ms: rest.signed()?,
                    last_ms: rest.signed()?,
                },
            },
            8 => Self::Paged {
                group: number(&mut rest)?,
                offset: rest.unsigned()?,
            },
            _ => return None,
        })
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    codec::put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn labels(rest: &mut Bytes<'_>) -> Option<Labels> {
    let count = rest.length().filter(|count| *count <= rest.0.len())?;
    let labels: Option<Vec<Label>> = (0..count)
        .map(|_| {
            Some(Label {
                name: Arc::from(rest.text()?),
                value: Arc::from(rest.text()?),
            })
        })
        .collect();
    let labels = labels?;
    labels
        .is_sorted_by(|one, two| one.name < two.name)
        .then(|| Labels::from_sorted(labels))
}

/// Writes a row: runs of gaps and of values in turn.
pub fn put_row(out: &mut Vec<u8>, group: u32, at_ms: i64, values: &[f64]) {
    out.push(4);
    codec::put(out, u64::from(group));
    codec::put_signed(out, at_ms);
    codec::put(out, values.len() as u64);
    let is_gap = |value: &f64| value.to_bits() == GAP;
    let mut rest = values;
    while !rest.is_empty() {
        let gaps = rest.iter().take_while(|value| is_gap(value)).count();
        let run = rest[gaps..].iter().take_while(|value| !is_gap(value));
        let run = run.count();
        codec::put(out, gaps as u64);
        codec::put(out, run as u64);
        for value in &rest[gaps..gaps + run] {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        rest = &rest[gaps + run..];
    }
}

/// Most places of a row that are believed: groups are far smaller.
const ROW_MAX: usize = 1 << 16;

fn row(rest: &mut Bytes<'_>) -> Option<Record> {
    let group = u32::try_from(rest.unsigned()?).ok()?;
    let at_ms = rest.signed()?;
    let count = rest.length().filter(|count| *count <= ROW_MAX)?;
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        let (gaps, run) = (rest.length()?, rest.length()?);
        if gaps.checked_add(run)?.checked_add(values.len())? > count || gaps + run == 0 {
            return None;
        }
        values.resize(values.len() + gaps, f64::from_bits(GAP));
        for _ in 0..run {
            values.push(rest.float()?);
        }
    }
    Some(Record::Row {
        group,
        at_ms,
        values,
    })
}

/// Writes a sample of a series with times of its own.
pub fn put_sample(out: &mut Vec<u8>, number: u32, at_ms: i64, value: &Value) {
    match value {
        Value::Float(float) => {
            out.push(5);
            codec::put(out, u64::from(number));
            codec::put_signed(out, at_ms);
            out.extend_from_slice(&float.to_bits().to_le_bytes());
        }
        Value::Histogram(histogram) => {
            out.push(6);
            codec::put(out, u64::from(number));
            let sample = HistogramSample {
                at_ms,
                histogram: histogram.clone(),
            };
            codec::put_histograms(out, &[sample]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_read_back() {
        let gap = f64::from_bits(GAP);
        let labels = Labels::new([("__name__", "a"), ("job", "b")]);
        for record in [
            Record::Target {
                id: 3,
                owner: "api".into(),
                key: "http://[::1]:1/metrics".into(),
            },
            Record::Group {
                id: 1,
                target: 3,
                own: true,
            },
            Record::Series {
                number: 7,
                group: 1,
                slot: 2,
                labels,
            },
            Record::Sample {
                number: 7,
                at_ms: -5,
                value: Value::Float(1.5),
            },
            Record::Sample {
                number: 7,
                at_ms: 5,
                value: Value::Histogram(Arc::default()),
            },
            Record::Page {
                group: 1,
                page: PageRef {
                    offset: 99,
                    length: 3,
                    raw: 10,
                    first_ms: 1,
                    last_ms: 2,
                },
            },
            Record::Paged {
                group: 1,
                offset: 77,
            },
        ] {
            assert_eq!(Record::read(&record.bytes(), 99), Some(record));
        }
        for values in [
            vec![],
            vec![gap, gap],
            vec![1.0, 2.0, gap],
            vec![gap, 1.0, gap, gap, 2.0],
        ] {
            let record = Record::Row {
                group: 1,
                at_ms: 12,
                values: values.clone(),
            };
            let Some(Record::Row { values: read, .. }) = Record::read(&record.bytes(), 0) else {
                panic!("no row");
            };
            let bits = |list: &[f64]| list.iter().map(|one| one.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&read), bits(&values));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Record::read(&bytes, 0);
        }
    }
}
