//! The wire format of protocol buffers, as far as metrics need it: fields by number, read and written.

/// A field's content.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Field<'a> {
    pub(crate) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(crate) fn number(self) -> Option<u64> {
        match self {
            Self::Varint(number) | Self::Fixed64(number) => Some(number),
            Self::Fixed32(number) => Some(u64::from(number)),
            Self::Bytes(_) => None,
        }
    }

    pub(crate) fn signed(self) -> Option<i64> {
        self.number().map(u64::cast_signed)
    }

    /// A signed number in zigzag form.
    pub(crate) fn zigzag(self) -> Option<i64> {
        self.number().map(zigzag)
    }

    pub(crate) fn float(self) -> Option<f64> {
        match self {
            Self::Fixed64(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// Numbers that are packed, or a single one.
    pub(crate) fn numbers(self) -> Option<Vec<u64>> {
        match self {
            Self::Bytes(mut bytes) => {
                let mut all = Vec::new();
                while !bytes.is_empty() {
                    all.push(varint(&mut bytes)?);
                }
                Some(all)
            }
            other => Some(vec![other.number()?]),
        }
    }

    /// Eight-byte numbers that are packed, or a single one.
    pub(crate) fn fixed(self) -> Option<Vec<u64>> {
        match self {
            Self::Bytes(bytes) => {
                let (all, rest) = bytes.as_chunks::<8>();
                let all = all.iter().map(|eight| u64::from_le_bytes(*eight));
                rest.is_empty().then(|| all.collect())
            }
            other => Some(vec![other.number()?]),
        }
    }
}

pub(crate) fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// The inverse of [`zigzag`].
pub(crate) fn zag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Shows every field of a message; nothing where it is damaged or the visitor does not like it.
pub(crate) fn each<'a>(
    mut bytes: &'a [u8],
    mut visit: impl FnMut(u64, Field<'a>) -> Option<()>,
) -> Option<()> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = match key & 7 {
            0 => Field::Varint(varint(&mut bytes)?),
            1 => {
                let (eight, rest) = bytes.split_first_chunk::<8>()?;
                bytes = rest;
                Field::Fixed64(u64::from_le_bytes(*eight))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (found, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Field::Bytes(found)
            }
            5 => {
                let (four, rest) = bytes.split_first_chunk::<4>()?;
                bytes = rest;
                Field::Fixed32(u32::from_le_bytes(*four))
            }
            _ => return None,
        };
        visit(key >> 3, field)?;
    }
    Some(())
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a number.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

/// Writes a float.
pub(crate) fn put_float(out: &mut Vec<u8>, field: u64, value: f64) {
    put_varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// Writes a number of eight bytes.
pub(crate) fn put_fixed(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Writes a signed number in zigzag form.
pub(crate) fn put_zigzag(out: &mut Vec<u8>, field: u64, value: i64) {
    put_number(out, field, zag(value));
}

/// Writes numbers, packed; nothing where there are none.
pub(crate) fn put_numbers(out: &mut Vec<u8>, field: u64, values: impl IntoIterator<Item = u64>) {
    let mut packed = Vec::new();
    for value in values {
        put_varint(&mut packed, value);
    }
    if !packed.is_empty() {
        put_bytes(out, field, &packed);
    }
}

/// Writes numbers of eight bytes, packed; nothing where there are none.
pub(crate) fn put_fixeds(out: &mut Vec<u8>, field: u64, values: impl IntoIterator<Item = u64>) {
    let packed: Vec<u8> = values.into_iter().flat_map(u64::to_le_bytes).collect();
    if !packed.is_empty() {
        put_bytes(out, field, &packed);
    }
}

/// Writes bytes, a text or a message.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
