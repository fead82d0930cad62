//! Parcels: a series with its chunks on the way from where samples are kept to where files are written.
//!
//! A parcel is its length in four bytes, the low one first, and its content. A stream of parcels ends with
//! [`Parcel::End`] or [`Parcel::Fault`]; one that does not was cut off.

use super::chunk::{Chunk, Encoding};
use super::order::{put_signed, put_text, put_unsigned};
use crate::codec::Bytes;
use crate::label::Labels;

/// Bytes of one parcel at most.
pub const PARCEL_MAX: usize = 64 << 20;

/// Labels of one series at most, chunks of one parcel at most, and remarks.
const COUNT_MAX: usize = 100_000;

const SERIES: u8 = 1;
const END: u8 = 2;
const FAULT: u8 = 3;

/// One piece of what is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parcel {
    /// Chunks of a series, in the order of time. More of the same series may follow at once.
    Series {
        /// Which series.
        labels: Labels,
        /// Its samples.
        chunks: Vec<Chunk>,
    },
    /// Everything was carried.
    End {
        /// What could not be read.
        remarks: Vec<String>,
    },
    /// The rest cannot be carried.
    Fault {
        /// Why.
        why: String,
        /// Whether it may go well when it is asked for again.
        is_passing: bool,
    },
}

/// Why parcels cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParcelFault {
    /// It says that it is too long.
    #[error("a parcel says that it has {found} bytes, the limit is {PARCEL_MAX}")]
    Long {
        /// How long it says it is.
        found: usize,
    },
    /// It is none.
    #[error("a parcel cannot be read")]
    Garbled,
}

impl Parcel {
    /// Writes it behind others.
    pub fn put(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&[0; 4]);
        match self {
            Self::Series { labels, chunks } => {
                out.push(SERIES);
                put_unsigned(out, labels.len() as u64);
                for label in labels {
                    put_text(out, &label.name);
                    put_text(out, &label.value);
                }
                put_unsigned(out, chunks.len() as u64);
                for chunk in chunks {
                    put_chunk(out, chunk);
                }
            }
            Self::End { remarks } => {
                out.push(END);
                put_unsigned(out, remarks.len() as u64);
                for remark in remarks {
                    put_text(out, remark);
                }
            }
            Self::Fault { why, is_passing } => {
                out.extend_from_slice(&[FAULT, u8::from(*is_passing)]);
                put_text(out, why);
            }
        }
        let length = (out.len() - begin - 4) as u32;
        out[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let found = match bytes.take(1)?[0] {
            SERIES => {
                let mut builder = Labels::default().edit();
                for _ in 0..count(&mut bytes)? {
                    let name = bytes.text()?;
                    builder.set(name, bytes.text()?);
                }
                let count = count(&mut bytes)?;
                let chunks: Option<Vec<Chunk>> = (0..count).map(|_| chunk(&mut bytes)).collect();
                Self::Series {
                    labels: builder.build(),
                    chunks: chunks?,
                }
            }
            END => {
                let count = count(&mut bytes)?;
                let remarks: Option<Vec<String>> =
                    (0..count).map(|_| Some(bytes.text()?.into())).collect();
                Self::End { remarks: remarks? }
            }
            FAULT => Self::Fault {
                is_passing: bytes.take(1)?[0] != 0,
                why: bytes.text()?.into(),
            },
            _ => return None,
        };
        bytes.0.is_empty().then_some(found)
    }
}

fn count(bytes: &mut Bytes<'_>) -> Option<usize> {
    bytes.length().filter(|count| *count <= COUNT_MAX)
}

fn put_chunk(out: &mut Vec<u8>, chunk: &Chunk) {
    put_signed(out, chunk.first_ms);
    put_signed(out, chunk.last_ms);
    put_unsigned(out, u64::from(chunk.samples));
    out.push(chunk.encoding as u8);
    out.push(u8::from(chunk.is_custom));
    put_unsigned(out, chunk.bytes.len() as u64);
    out.extend_from_slice(&chunk.bytes);
}

fn chunk(bytes: &mut Bytes<'_>) -> Option<Chunk> {
    let (first_ms, last_ms) = (bytes.signed()?, bytes.signed()?);
    let samples = u16::try_from(bytes.unsigned()?).ok()?;
    let encoding = match bytes.take(1)?[0] {
        1 => Encoding::Float,
        3 => Encoding::FloatHistogram,
        _ => return None,
    };
    let is_custom = bytes.take(1)?[0] != 0;
    let length = bytes.length()?;
    Some(Chunk {
        first_ms,
        last_ms,
        samples,
        encoding,
        is_custom,
        bytes: bytes.take(length)?.to_vec(),
    })
}

/// Reads parcels from bytes as they come. It holds no more than one parcel and what was given last.
#[derive(Debug, Default)]
pub struct ParcelReader {
    bytes: Vec<u8>,
    at: usize,
}

impl ParcelReader {
    /// Takes bytes.
    pub fn give(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next parcel; nothing while it is not whole.
    pub fn take(&mut self) -> Result<Option<Parcel>, ParcelFault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > PARCEL_MAX {
            return Err(ParcelFault::Long { found: length });
        }
        let Some(content) = rest.get(..length) else {
            return Ok(None);
        };
        let parcel = Parcel::read(content).ok_or(ParcelFault::Garbled)?;
        self.at += 4 + length;
        Ok(Some(parcel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Parcel> {
        let chunk = |encoding| Chunk {
            first_ms: -4,
            last_ms: 1_700_000_000_000,
            samples: 3,
            encoding,
            is_custom: encoding == Encoding::FloatHistogram,
            bytes: vec![1, 2, 3],
        };
        vec![
            Parcel::Series {
                labels: Labels::new([("__name__", "a"), ("città", "Zürich 東京")]),
                chunks: [Encoding::Float, Encoding::FloatHistogram]
                    .map(chunk)
                    .into(),
            },
            Parcel::End {
                remarks: vec!["one".into(), String::new()],
            },
            Parcel::Fault {
                why: "gone".into(),
                is_passing: true,
            },
        ]
    }

    #[test]
    fn parcels_are_read_however_their_bytes_come() {
        let mut bytes = Vec::new();
        for one in all() {
            one.put(&mut bytes);
        }
        for step in [1, 3, 17, bytes.len()] {
            let mut reader = ParcelReader::default();
            let mut read = Vec::new();
            for some in bytes.chunks(step) {
                reader.give(some);
                while let Some(parcel) = reader.take().unwrap() {
                    read.push(parcel);
                }
            }
            assert_eq!(read, all());
        }
    }

    #[test]
    fn what_is_none_is_refused_before_memory_is_taken() {
        let mut reader = ParcelReader::default();
        reader.give(&u32::MAX.to_le_bytes());
        assert!(matches!(reader.take(), Err(ParcelFault::Long { .. })));
        let mut bytes = Vec::new();
        all()[0].put(&mut bytes);
        for place in 4..bytes.len() {
            // Whatever stands there, it is read or refused.
            let mut bytes = bytes.clone();
            bytes[place] ^= 0xff;
            let mut reader = ParcelReader::default();
            reader.give(&bytes);
            drop(reader.take());
            let mut reader = ParcelReader::default();
            let length = (place - 4) as u32;
            reader.give(&length.to_le_bytes());
            reader.give(&bytes[4..place]);
            assert_eq!(reader.take(), Err(ParcelFault::Garbled));
        }
    }
}
