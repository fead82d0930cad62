//! Numbers of whole bytes, in the order that this format has: high bytes first.

/// Writes an unsigned number of one to ten bytes.
pub(super) use crate::codec::put as put_unsigned;
/// Writes a signed number of one to ten bytes.
pub(super) use crate::codec::put_signed;

/// The checksum of the format: CRC-32 with Castagnoli's polynomial, high byte first.
pub(super) fn checksum(crc: u32) -> [u8; 4] {
    crc.to_be_bytes()
}

/// Writes a text with its length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_unsigned(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}
