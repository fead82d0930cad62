//! Frames: records in a file, each with its length and checksum, so that a torn end is told from a record.

/// Bytes before each record: length and CRC-32, both little-endian.
pub(crate) const HEADER: usize = 8;

/// Longest record that is believed.
const RECORD_MAX: usize = 64 << 20;

/// Writes a record behind others.
pub(crate) fn put(out: &mut Vec<u8>, record: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0; HEADER]);
    record(out);
    let body = &out[begin + HEADER..];
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let sum = crc32fast::hash(body);
    out[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
    out[begin + 4..begin + HEADER].copy_from_slice(&sum.to_le_bytes());
}

/// The record at the beginning of some bytes; nothing where they end or are no whole record.
pub(crate) fn first(bytes: &[u8]) -> Option<&[u8]> {
    let number = |at: usize| {
        let four = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(four))
    };
    let length = usize::try_from(number(0)?).ok()?;
    if length > RECORD_MAX || length == 0 {
        return None;
    }
    let body = bytes.get(HEADER..HEADER.checked_add(length)?)?;
    (crc32fast::hash(body) == number(4)?).then_some(body)
}

/// Shows every whole record; returns how many bytes they take.
pub(crate) fn each(bytes: &[u8], mut visit: impl FnMut(&[u8])) -> usize {
    let mut at = 0;
    while let Some(body) = first(&bytes[at..]) {
        visit(body);
        at += HEADER + body.len();
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_end_is_no_record() {
        let mut bytes = Vec::new();
        for record in [&b"one"[..], b"two", b"three"] {
            put(&mut bytes, |out| out.extend_from_slice(record));
        }
        for cut in 0..=bytes.len() {
            let mut seen = Vec::new();
            let end = each(&bytes[..cut], |record| seen.push(record.to_vec()));
            let whole = [11, 22, 35].iter().filter(|end| **end <= cut).count();
            assert_eq!(seen.len(), whole, "cut at {cut}");
            assert_eq!(end, [0, 11, 22, 35][whole]);
        }
        bytes[13] ^= 1;
        assert_eq!(each(&bytes, |_| ()), 11);
    }
}
