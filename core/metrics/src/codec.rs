//! Numbers as bytes: variable-length integers, columns of times, columns of values.

use crate::histogram::{CUSTOM, FloatHistogram, ResetHint, SCHEMAS};
use crate::sample::HistogramSample;

/// Most decimal places that a column of integers is scaled by: metrics have up to nine (nanoseconds).
const PLACES_MAX: u8 = 12;

/// Largest integer of which every smaller one is a float too.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// How a column of values is written.
const RAW: u8 = 255;

/// Powers of ten up to the most decimal places.
const POWERS: [f64; 13] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
];

/// Writes an unsigned integer, seven bits a byte, low ones first.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a signed integer so that small ones of both signs are short.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, (value << 1 ^ value >> 63).cast_unsigned());
}

/// Bytes being read; every reading can fail, because a block may be damaged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.unsigned()?).ok()
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(crate) fn float(&mut self) -> Option<f64> {
        let bytes = self.take(8)?;
        Some(f64::from_bits(u64::from_le_bytes(bytes.try_into().ok()?)))
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).ok()
    }
}

/// Writes rising times as the change of their distances, which are mostly zero.
pub(crate) fn put_times(out: &mut Vec<u8>, times: &[i64]) {
    put(out, times.len() as u64);
    let (mut before, mut distance) = (0i64, 0i64);
    for time in times {
        let next = time.wrapping_sub(before);
        put_signed(out, next.wrapping_sub(distance));
        (before, distance) = (*time, next);
    }
}

/// Reads times; they must rise.
pub(crate) fn times(bytes: &mut Bytes<'_>) -> Option<Vec<i64>> {
    let count = bytes.length().filter(|count| *count <= bytes.0.len())?;
    let mut times = Vec::with_capacity(count);
    let (mut before, mut distance) = (0i64, 0i64);
    for _ in 0..count {
        distance = distance.wrapping_add(bytes.signed()?);
        let time = before.wrapping_add(distance);
        if times.last().is_some_and(|last| *last >= time) {
            return None;
        }
        times.push(time);
        before = time;
    }
    Some(times)
}

/// Writes values: as integers scaled by a power of ten where that loses nothing, else bit by bit. NaN and
/// infinities among integers are listed beside them.
pub(crate) fn put_values(out: &mut Vec<u8>, values: &[f64]) {
    let Some(places) = places(values) else {
        out.push(RAW);
        let mut before = 0u64;
        for value in values {
            let bits = value.to_bits();
            out.extend((bits ^ before).to_le_bytes());
            before = bits;
        }
        return;
    };
    out.push(places);
    let special = |value: &f64| !is_plain(*value);
    let exceptions = values
        .iter()
        .enumerate()
        .filter(|(_, value)| special(value));
    put(out, exceptions.clone().count() as u64);
    for (place, value) in exceptions {
        put(out, place as u64);
        out.extend(value.to_bits().to_le_bytes());
    }
    let mut before = 0;
    for value in values {
        let scaled = if special(value) {
            before
        } else {
            scale(*value, places) as i64
        };
        put_signed(out, scaled - before);
        before = scaled;
    }
}

/// Whether a value can be an integer: minus zero cannot.
fn is_plain(value: f64) -> bool {
    value.is_finite() && !(value == 0.0 && value.is_sign_negative())
}

fn scale(value: f64, places: u8) -> f64 {
    (value * POWERS[usize::from(places)]).round()
}

/// The fewest decimal places with which every value reads back to the bit.
fn places(values: &[f64]) -> Option<u8> {
    let mut places = 0;
    for value in values.iter().filter(|value| is_plain(**value)) {
        let fits = |places: u8| {
            let scaled = scale(*value, places);
            scaled.abs() < EXACT_MAX
                && (scaled / POWERS[usize::from(places)]).to_bits() == value.to_bits()
        };
        while !fits(places) {
            places += 1;
            if places > PLACES_MAX {
                return None;
            }
        }
    }
    // A later value may have needed more places than an earlier one can have.
    let all_fit = values
        .iter()
        .filter(|value| is_plain(**value))
        .all(|value| {
            let scaled = scale(*value, places);
            scaled.abs() < EXACT_MAX
                && (scaled / POWERS[usize::from(places)]).to_bits() == value.to_bits()
        });
    all_fit.then_some(places)
}

/// Reads as many values as there are times.
pub(crate) fn values(bytes: &mut Bytes<'_>, count: usize) -> Option<Vec<f64>> {
    if count > bytes.0.len() {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    let places = bytes.take(1)?[0];
    if places == RAW {
        let mut before = 0u64;
        for _ in 0..count {
            before ^= u64::from_le_bytes(bytes.take(8)?.try_into().ok()?);
            values.push(f64::from_bits(before));
        }
        return Some(values);
    }
    if places > PLACES_MAX {
        return None;
    }
    let exceptions = bytes.length().filter(|exceptions| *exceptions <= count)?;
    let mut special = Vec::with_capacity(exceptions);
    for _ in 0..exceptions {
        special.push((bytes.length()?, bytes.float()?));
    }
    let factor = POWERS[usize::from(places)];
    let mut before = 0i64;
    for _ in 0..count {
        before = before.wrapping_add(bytes.signed()?);
        values.push(before as f64 / factor);
    }
    for (place, value) in special {
        *values.get_mut(place)? = value;
    }
    Some(values)
}

/// Writes histograms.
pub(crate) fn put_histograms(out: &mut Vec<u8>, histograms: &[HistogramSample]) {
    put(out, histograms.len() as u64);
    let mut before = 0i64;
    for sample in histograms {
        put_signed(out, sample.at_ms.wrapping_sub(before));
        before = sample.at_ms;
        let histogram = &*sample.histogram;
        out.push(match histogram.hint {
            ResetHint::Unknown => 0,
            ResetHint::Reset => 1,
            ResetHint::NotReset => 2,
            ResetHint::Gauge => 3,
        });
        put_signed(out, i64::from(histogram.schema));
        for value in [
            histogram.zero_threshold,
            histogram.zero_count,
            histogram.count,
            histogram.sum,
        ] {
            out.extend(value.to_bits().to_le_bytes());
        }
        for side in [&histogram.positive, &histogram.negative] {
            put(out, side.len() as u64);
            for (index, count) in side {
                put_signed(out, i64::from(*index));
                out.extend(count.to_bits().to_le_bytes());
            }
        }
        put(out, histogram.bounds.len() as u64);
        for bound in &*histogram.bounds {
            out.extend(bound.to_bits().to_le_bytes());
        }
    }
}

/// Reads histograms; times must rise and buckets be sorted.
pub(crate) fn histograms(bytes: &mut Bytes<'_>) -> Option<Vec<HistogramSample>> {
    let count = bytes.length().filter(|count| *count <= bytes.0.len())?;
    let mut samples: Vec<HistogramSample> = Vec::with_capacity(count);
    let mut at_ms = 0i64;
    for _ in 0..count {
        at_ms = at_ms.wrapping_add(bytes.signed()?);
        if samples.last().is_some_and(|last| last.at_ms >= at_ms) {
            return None;
        }
        let histogram = histogram(bytes)?.into();
        samples.push(HistogramSample { at_ms, histogram });
    }
    Some(samples)
}

fn histogram(bytes: &mut Bytes<'_>) -> Option<FloatHistogram> {
    let hint = match bytes.take(1)?[0] {
        0 => ResetHint::Unknown,
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => return None,
    };
    let schema = i32::try_from(bytes.signed()?)
        .ok()
        .filter(|schema| *schema == CUSTOM || SCHEMAS.contains(schema))?;
    let mut histogram = FloatHistogram {
        hint,
        schema,
        zero_threshold: bytes.float()?,
        zero_count: bytes.float()?,
        count: bytes.float()?,
        sum: bytes.float()?,
        ..FloatHistogram::default()
    };
    for side in [&mut histogram.positive, &mut histogram.negative] {
        let count = bytes.length().filter(|count| *count <= bytes.0.len())?;
        for _ in 0..count {
            side.push((i32::try_from(bytes.signed()?).ok()?, bytes.float()?));
        }
        if !side.is_sorted_by(|one, two| one.0 < two.0) {
            return None;
        }
    }
    let count = bytes.length().filter(|count| *count <= bytes.0.len())?;
    let bounds: Option<Vec<f64>> = (0..count).map(|_| bytes.float()).collect();
    histogram.bounds = bounds?.into();
    Some(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::stale;
    use proptest::prelude::*;

    fn round(list: &[f64]) -> usize {
        let mut out = Vec::new();
        put_values(&mut out, list);
        let read = values(&mut Bytes(&out), list.len()).unwrap();
        let bits = |list: &[f64]| list.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(list));
        out.len()
    }

    #[test]
    fn values_read_back_and_are_short() {
        let gauge: Vec<f64> = (0..100).map(|step| f64::from(step) / 100.0).collect();
        assert!(round(&gauge) < 110);
        let counter: Vec<f64> = (0..100).map(|step| 1e9 + f64::from(step * 7)).collect();
        assert!(round(&counter) < 120);
        round(&[1.0, stale(), f64::NAN, f64::INFINITY, -0.0, 0.1, -2.5]);
        round(&[std::f64::consts::PI, 1e300, 5e-324]);
        round(&[]);
    }

    proptest! {
        #[test]
        fn any_values_read_back(list in proptest::collection::vec(any::<f64>(), 0..50)) {
            round(&list);
        }

        #[test]
        fn any_rising_times_read_back(mut list in proptest::collection::vec(any::<i64>(), 0..50)) {
            list.sort_unstable();
            list.dedup();
            let mut out = Vec::new();
            put_times(&mut out, &list);
            prop_assert_eq!(times(&mut Bytes(&out)).unwrap(), list);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            times(&mut Bytes(&bytes));
            values(&mut Bytes(&bytes), 20);
            histograms(&mut Bytes(&bytes));
        }
    }
}
