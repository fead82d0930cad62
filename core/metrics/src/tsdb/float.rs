//! Chunks of floats.

use super::bit::{Bits, Xor};
use super::order;

/// Writes floats with their times, which rise: at least one, at most 65,535.
pub(super) fn encode(at_ms: &[i64], values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32 + 2 * at_ms.len());
    bytes.extend_from_slice(&(at_ms.len() as u16).to_be_bytes());
    let (Some(first_ms), Some(first)) = (at_ms.first(), values.first()) else {
        return bytes;
    };
    order::put_signed(&mut bytes, *first_ms);
    let mut bits = Bits::after(bytes);
    let mut xor = Xor::begin(&mut bits, *first);
    let (mut before_ms, mut distance) = (*first_ms, None);
    for (at_ms, value) in at_ms.iter().zip(values).skip(1) {
        let next = at_ms.wrapping_sub(before_ms);
        match distance {
            None => {
                let mut whole = Vec::new();
                order::put_unsigned(&mut whole, next.cast_unsigned());
                for byte in whole {
                    bits.byte(byte);
                }
            }
            Some(distance) => bits.time(next.wrapping_sub(distance)),
        }
        (before_ms, distance) = (*at_ms, Some(next));
        xor.put(&mut bits, *value);
    }
    bits.done()
}

#[cfg(test)]
mod tests {
    use super::super::bit::tests::Reader;
    use super::*;

    fn varint(reader: &mut Reader<'_>) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = reader.bits(8);
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    fn decode(bytes: &[u8]) -> Vec<(i64, u64)> {
        let mut reader = Reader { bytes, at: 0 };
        let count = reader.bits(16);
        let (mut all, mut window) = (Vec::new(), (0, 0));
        let (mut at_ms, mut distance, mut value) = (0, 0, 0.0);
        for place in 0..count {
            match place {
                0 => {
                    let zigzag = varint(&mut reader);
                    at_ms = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
                    value = f64::from_bits(reader.bits(64));
                }
                1 => distance = varint(&mut reader).cast_signed(),
                _ => distance += reader.time(),
            }
            if place > 0 {
                at_ms += distance;
                value = reader.xor(value, &mut window);
            }
            all.push((at_ms, value.to_bits()));
        }
        all
    }

    #[test]
    fn what_is_written_is_read() {
        let at_ms = [-5, 10, 25, 41, 55, 70_000, 70_001, 9_000_000_000];
        let values = [
            1.0,
            1.0,
            f64::NAN,
            crate::sample::stale(),
            f64::NEG_INFINITY,
            -0.0,
            1e-300,
            12.5,
        ];
        for count in 1..=at_ms.len() {
            let read = decode(&encode(&at_ms[..count], &values[..count]));
            let bits = values.iter().map(|value| value.to_bits());
            let expected: Vec<(i64, u64)> = at_ms.iter().copied().zip(bits).take(count).collect();
            assert_eq!(read, expected);
        }
    }

    /// By hand, by the description of the format.
    #[test]
    fn bytes_are_those_of_the_format() {
        // 1.0 is 0x3ff0…, 1.5 is 0x3ff8…: their difference has twelve zeros before its one digit.
        let found = encode(&[5000, 15_000], &[1.0, 1.5]);
        let expected = [
            [0x00, 0x02].as_slice(),         // two samples
            &[0x90, 0x4e],                   // 5000 in zigzag form
            &[0x3f, 0xf0, 0, 0, 0, 0, 0, 0], // one
            &[0x90, 0x4e],                   // 10,000 later
            // Changed (1), other zeros (1), 12 of them (01100), one digit (000001), the digit (1), and two bits of rest.
            &[0b1101_1000, 0b0000_1100],
        ];
        assert_eq!(found, expected.concat());
    }
}
