//! How things look.

pub(crate) mod ledger;
pub(crate) mod objective;
pub(crate) mod plan;
pub(crate) mod plot;
pub(crate) mod progress;
pub(crate) mod prospect;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod trial;

/// A word as part of a URL's path: everything but letters, digits, `.`, `-` and `_` is encoded.
pub(crate) fn in_path(word: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    word.bytes().map(encoded).collect::<Vec<_>>().concat()
}
