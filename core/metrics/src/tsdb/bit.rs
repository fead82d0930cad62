//! Bits: numbers of few bits one after the other, the first in the highest place of a byte.

/// Bits that are written.
#[derive(Debug, Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    /// Places of the last byte that nothing stands in.
    free: u32,
}

/// How wide a number is written, with the prefix that says so, shortest first; what fits none has 64 bits.
type Widths = &'static [(u32, u64, u32)];

/// Widths of a change of distances in time, in chunks of floats.
const TIMES: Widths = &[(14, 0b10, 2), (17, 0b110, 3), (20, 0b1110, 4)];

/// Widths in chunks of histograms.
const VARBIT: Widths = &[
    (3, 0b10, 2),
    (6, 0b110, 3),
    (9, 0b1110, 4),
    (12, 0b1_1110, 5),
    (18, 0b11_1110, 6),
    (25, 0b111_1110, 7),
    (56, 0b1111_1110, 8),
];

impl Bits {
    /// Goes on behind bytes.
    pub(super) fn after(bytes: Vec<u8>) -> Self {
        Self { bytes, free: 0 }
    }

    /// The bytes; what is left of the last one is zero.
    pub(super) fn done(self) -> Vec<u8> {
        self.bytes
    }

    /// Writes the low bits of a value.
    pub(super) fn put(&mut self, value: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let some = left.min(self.free);
            let part = (value >> (left - some)) & ((1 << some) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (part << (self.free - some)) as u8;
            }
            self.free -= some;
            left -= some;
        }
    }

    /// Writes a byte.
    pub(super) fn byte(&mut self, byte: u8) {
        self.put(u64::from(byte), 8);
    }

    /// Writes a float as it is.
    pub(super) fn float(&mut self, value: f64) {
        self.put(value.to_bits(), 64);
    }

    fn signed(&mut self, value: i64, widths: Widths, last: (u64, u32)) {
        if value == 0 {
            return self.put(0, 1);
        }
        // The highest pattern of a width is the largest positive number: it reaches one farther there.
        let fits = |width: u32| -(1i64 << (width - 1)) < value && value <= 1i64 << (width - 1);
        let (width, prefix) = match widths.iter().find(|one| fits(one.0)) {
            Some((width, prefix, length)) => (*width, (*prefix, *length)),
            None => (64, last),
        };
        self.put(prefix.0, prefix.1);
        self.put(value.cast_unsigned(), width);
    }

    /// Writes a change of distances in time, as in chunks of floats.
    pub(super) fn time(&mut self, value: i64) {
        self.signed(value, TIMES, (0b1111, 4));
    }

    /// Writes a signed number, as in chunks of histograms.
    pub(super) fn varbit(&mut self, value: i64) {
        self.signed(value, VARBIT, (0b1111_1111, 8));
    }

    /// Writes an unsigned number, as in chunks of histograms.
    pub(super) fn varbit_unsigned(&mut self, value: u64) {
        if value == 0 {
            return self.put(0, 1);
        }
        let needed = 64 - value.leading_zeros();
        let (width, prefix, length) = VARBIT
            .iter()
            .find(|one| needed <= one.0)
            .copied()
            .unwrap_or((64, 0b1111_1111, 8));
        self.put(prefix, length);
        self.put(value, width);
    }
}

/// A float of a column: what differs from the one before is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Xor {
    bits: u64,
    /// Zeros before and behind the digits that were written last; nothing before the first.
    window: Option<(u32, u32)>,
}

impl Xor {
    /// Writes the first one.
    pub(super) fn begin(bits: &mut Bits, value: f64) -> Self {
        bits.float(value);
        Self {
            bits: value.to_bits(),
            window: None,
        }
    }

    /// Writes the next one.
    pub(super) fn put(&mut self, bits: &mut Bits, value: f64) {
        let delta = std::mem::replace(&mut self.bits, value.to_bits()) ^ value.to_bits();
        if delta == 0 {
            return bits.put(0, 1);
        }
        bits.put(1, 1);
        // Five bits say how many zeros lead.
        let leading = delta.leading_zeros().min(31);
        let trailing = delta.trailing_zeros();
        if let Some((first, last)) = self.window
            && leading >= first
            && trailing >= last
        {
            bits.put(0, 1);
            return bits.put(delta >> last, 64 - first - last);
        }
        self.window = Some((leading, trailing));
        bits.put(1, 1);
        bits.put(u64::from(leading), 5);
        let digits = 64 - leading - trailing;
        // Sixty-four does not fit into six bits, and is read from a zero.
        bits.put(u64::from(digits), 6);
        bits.put(delta >> trailing, digits);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Reads what was written, by the description of the format and not by the code above.
    pub(crate) struct Reader<'a> {
        pub(crate) bytes: &'a [u8],
        pub(crate) at: usize,
    }

    impl Reader<'_> {
        pub(crate) fn bits(&mut self, count: u32) -> u64 {
            (0..count).fold(0, |value, _| {
                let bit = self.bytes[self.at / 8] >> (7 - self.at % 8) & 1;
                self.at += 1;
                value << 1 | u64::from(bit)
            })
        }

        fn prefix(&mut self, most: usize) -> usize {
            (0..most).take_while(|_| self.bits(1) == 1).count()
        }

        fn signed(&mut self, widths: &[u32]) -> i64 {
            let ones = self.prefix(widths.len());
            let Some(width) = ones.checked_sub(1).map(|place| widths[place]) else {
                return 0;
            };
            let bits = self.bits(width);
            if width < 64 && bits > 1 << (width - 1) {
                bits.cast_signed() - (1 << width)
            } else {
                bits.cast_signed()
            }
        }

        pub(crate) fn time(&mut self) -> i64 {
            self.signed(&[14, 17, 20, 64])
        }

        pub(crate) fn varbit(&mut self) -> i64 {
            self.signed(&[3, 6, 9, 12, 18, 25, 56, 64])
        }

        pub(crate) fn varbit_unsigned(&mut self) -> u64 {
            let widths = [3, 6, 9, 12, 18, 25, 56, 64];
            let ones = self.prefix(widths.len());
            match ones.checked_sub(1) {
                None => 0,
                Some(place) => self.bits(widths[place]),
            }
        }

        pub(crate) fn xor(&mut self, before: f64, window: &mut (u32, u32)) -> f64 {
            if self.bits(1) == 0 {
                return before;
            }
            if self.bits(1) == 1 {
                let leading = self.bits(5) as u32;
                let digits = match self.bits(6) as u32 {
                    0 => 64,
                    digits => digits,
                };
                *window = (leading, 64 - leading - digits);
            }
            let digits = self.bits(64 - window.0 - window.1);
            f64::from_bits(before.to_bits() ^ digits << window.1)
        }
    }

    /// The edges that Prometheus' own tests try.
    #[test]
    fn numbers_at_the_edges_of_widths() {
        let numbers = [
            i64::MIN,
            -36_028_797_018_963_968,
            -36_028_797_018_963_967,
            -16_777_216,
            -16_777_215,
            -131_072,
            -131_071,
            -2048,
            -2047,
            -256,
            -255,
            -32,
            -31,
            -4,
            -3,
            -1,
            0,
            1,
            4,
            5,
            32,
            33,
            256,
            257,
            2048,
            2049,
            131_072,
            131_073,
            16_777_216,
            16_777_217,
            36_028_797_018_963_968,
            36_028_797_018_963_969,
            i64::MAX,
        ];
        let mut bits = Bits::default();
        for number in numbers {
            bits.varbit(number);
            bits.time(number);
            bits.varbit_unsigned(number.cast_unsigned());
        }
        let bytes = bits.done();
        let mut reader = Reader {
            bytes: &bytes,
            at: 0,
        };
        for number in numbers {
            assert_eq!(reader.varbit(), number);
            assert_eq!(reader.time(), number);
            assert_eq!(reader.varbit_unsigned(), number.cast_unsigned());
        }
    }

    /// Lengths that Prometheus' own tests name, and the tables of its description.
    #[test]
    fn numbers_have_the_lengths_of_the_format() {
        let length = |write: &dyn Fn(&mut Bits)| {
            let mut bits = Bits::default();
            write(&mut bits);
            bits.bytes.len() * 8 - bits.free as usize
        };
        // A time of these years; a quarter of a minute.
        assert_eq!(length(&|bits| bits.varbit(1_700_000_000_000)), 64);
        assert_eq!(length(&|bits| bits.varbit(15_000)), 24);
        for (number, expected) in [(0, 1), (4, 5), (5, 9), (-3, 5), (-4, 9), (2049, 24)] {
            assert_eq!(length(&|bits| bits.varbit(number)), expected, "{number}");
        }
        for (number, expected) in [(0, 1), (7, 5), (8, 9), (63, 9), (64, 13), (33_554_431, 32)] {
            let found = length(&|bits| bits.varbit_unsigned(number));
            assert_eq!(found, expected, "{number}");
        }
        for (number, expected) in [
            (0, 1),
            (8192, 16),
            (8193, 20),
            (-8191, 16),
            (-8192, 20),
            (65_537, 24),
            (524_289, 68),
        ] {
            assert_eq!(length(&|bits| bits.time(number)), expected, "{number}");
        }
    }

    /// The values of the paper that the compression comes from (Gorilla, VLDB 2015, figure 5), with the zeros that it
    /// counts.
    #[test]
    fn floats_as_in_the_paper() {
        let values = [12.0, 24.0, 15.0, 12.0, 35.0];
        let mut bits = Bits::default();
        let mut xor = Xor::begin(&mut bits, values[0]);
        let mut windows = Vec::new();
        for value in &values[1..] {
            xor.put(&mut bits, *value);
            windows.push(xor.window.unwrap());
        }
        // 12 xor 24 is 0x0010_0000_0000_0000, 24 xor 15 is 0x0016_…, 15 xor 12 is 0x0006_…, 12 xor 35 is 0x0069_8….
        assert_eq!(windows, [(11, 52), (11, 49), (11, 49), (9, 47)]);
        let bytes = bits.done();
        let mut reader = Reader {
            bytes: &bytes,
            at: 64,
        };
        let (mut before, mut window) = (values[0], (0, 0));
        for value in &values[1..] {
            before = reader.xor(before, &mut window);
            assert_eq!(before.to_bits(), value.to_bits());
        }
        // One bit, one bit, five, six and the digits; then twice one, one and the digits that fit.
        assert_eq!(reader.at - 64, (13 + 1) + (13 + 4) + (2 + 4) + (13 + 8));
    }

    #[test]
    fn all_digits_of_a_float_may_change() {
        let most = [0.0, f64::from_bits(u64::MAX), 1.0, f64::from_bits(1), 1.0];
        // They differ in their last digit alone: more zeros lead than five bits can say.
        let least = [1.0, 1.0f64.next_up(), 1.0];
        for values in [&most[..], &least] {
            let mut bits = Bits::default();
            let mut xor = Xor::begin(&mut bits, values[0]);
            for value in &values[1..] {
                xor.put(&mut bits, *value);
            }
            let bytes = bits.done();
            let mut reader = Reader {
                bytes: &bytes,
                at: 64,
            };
            let (mut before, mut window) = (values[0], (0, 0));
            for value in &values[1..] {
                before = reader.xor(before, &mut window);
                assert_eq!(before.to_bits(), value.to_bits());
            }
        }
    }
}
