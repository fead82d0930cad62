//! One field line, judged (RFC 9110, 5; RFC 9112, 5).

use crate::refuse::Reason;

/// Splits a line without its CRLF into name and value, both checked; the value without outer blanks.
pub(crate) fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Reason::FoldedField);
    }
    let colon = memchr::memchr(b':', line).ok_or(Reason::FieldName)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    check_name(name)?;
    check_value(value)?;
    Ok((name, trim(value)))
}

fn check_name(name: &[u8]) -> Result<(), Reason> {
    if name.is_empty() {
        return Err(Reason::FieldName);
    }
    let mut underscore = false;
    for byte in name {
        if !is_token(*byte) {
            return Err(Reason::FieldName);
        }
        underscore |= *byte == b'_';
    }
    if underscore {
        Err(Reason::UnderscoreName)
    } else {
        Ok(())
    }
}

/// Refuses CR, NUL and every other control character but the tab (RFC 9110, 5.5).
pub(crate) fn check_value(value: &[u8]) -> Result<(), Reason> {
    let bad = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    if !value.iter().fold(false, |found, byte| found | bad(*byte)) {
        return Ok(());
    }
    if value.contains(&b'\r') {
        return Err(Reason::BareCarriageReturn);
    }
    Err(Reason::ControlCharacter)
}

/// Whether a byte may stand in a token (RFC 9110, 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    const TABLE: [bool; 256] = token_table();
    TABLE[usize::from(byte)]
}

const fn token_table() -> [bool; 256] {
    let marks = b"!#$%&'*+-.^_`|~";
    let mut table = [false; 256];
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = true;
        }
        byte += 1;
    }
    table
}

/// Without spaces and tabs at either end.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The elements of a comma-separated list, trimmed, the empty ones left out (RFC 9110, 5.6.1).
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// Whether a field says where a message ends, where it goes, or who speaks: it may be neither
/// nominated by `Connection` nor sent as a trailer.
pub(crate) fn is_protected(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 9] = [
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"authorization",
        b"cookie",
        b"forwarded",
        b"x-real-ip",
        b"content-type",
        b"content-encoding",
    ];
    let forwarded = b"x-forwarded-";
    NAMES.iter().any(|other| name.eq_ignore_ascii_case(other))
        || (name.len() > forwarded.len() && name[..forwarded.len()].eq_ignore_ascii_case(forwarded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_and_judged() {
        assert_eq!(split(b"A: b "), Ok((&b"A"[..], &b"b"[..])));
        assert_eq!(split(b"A:"), Ok((&b"A"[..], &b""[..])));
        for (line, reason) in [
            (&b" A: b"[..], Reason::FoldedField),
            (b"A", Reason::FieldName),
            (b"A : b", Reason::FieldName),
            (b": b", Reason::FieldName),
            (b"A_B: c", Reason::UnderscoreName),
            (b"A: \0", Reason::ControlCharacter),
            (b"A: \x7f", Reason::ControlCharacter),
            (b"A: \rb", Reason::BareCarriageReturn),
        ] {
            assert_eq!(split(line), Err(reason));
        }
    }
}
