//! Cookies of a request, as far as a gateway reads them: `name=value; name=value` (RFC 6265, 4.2.1).
//!
//! The gateway's own cookie is a word between it and the client. It is not passed on: an instance sees the same
//! request with and without a trial, so a release is judged by what it does and not by what it makes of a cookie,
//! and nothing behind the gateway comes to depend on it.

use crate::{Place, field};
use memchr::memmem;

/// What the names of all cookies of ours begin with; the name of a service follows.
pub const PREFIX: &str = "mainstay-";

/// The name and value of each pair of one field; what is no pair is left out.
pub fn pairs(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    field.split(|byte| *byte == b';').filter_map(pair)
}

fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = memchr::memchr(b'=', text)?;
    let (name, value) = (&text[..equals], &text[equals + 1..]);
    Some((field::trim(name), field::trim(value)))
}

/// What of one field an instance gets, piece by piece, to be joined by `; `: everything but our own cookies. A field
/// without any is one piece, as it is.
pub fn foreign(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ours = memmem::find(field, PREFIX.as_bytes()).is_some();
    let whole = (!ours).then_some(field);
    let pieces = ours.then(|| field.split(|byte| *byte == b';').map(field::trim));
    let pieces = pieces.into_iter().flatten();
    let foreign = pieces.filter(|piece| !piece.is_empty() && !is_ours(piece));
    whole.into_iter().chain(foreign)
}

/// A cookie of ours: its name alone could be an application's, with a place as its value it is not.
fn is_ours(text: &[u8]) -> bool {
    pair(text).is_some_and(|(name, value)| {
        name.starts_with(PREFIX.as_bytes()) && Place::parse(value).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passed(field: &str) -> String {
        let pieces: Vec<_> = foreign(field.as_bytes()).collect();
        String::from_utf8(pieces.join(&b"; "[..])).unwrap()
    }

    #[test]
    fn our_own_cookies_stay_behind() {
        for (field, expected) in [
            ("a=1;b=2", "a=1;b=2"),
            ("", ""),
            ("mainstay-web=00ff", ""),
            ("a=1; mainstay-web=00ff; b=2", "a=1; b=2"),
            ("mainstay-web=00ff;mainstay-api=1234;c=3", "c=3"),
            ("mainstay-web=mine; x", "mainstay-web=mine; x"),
            ("Mainstay-web=00ff", "Mainstay-web=00ff"),
            ("x-mainstay-web=00ff", "x-mainstay-web=00ff"),
        ] {
            assert_eq!(passed(field), expected, "{field}");
        }
    }

    #[test]
    fn pairs_are_read_as_they_stand() {
        let text = " a = 1 ;;b;c==;=d; e=\"f\"";
        let found: Vec<_> = pairs(text.as_bytes()).collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"a", b"1"), (b"c", b"="), (b"", b"d"), (b"e", b"\"f\"")];
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn nothing_else_is_lost_or_made_up(
            values in prop::collection::vec(("[a-z]{1,3}", "[a-z0-9]{0,5}"), 0..9),
            ours in any::<u16>(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut all: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let before = all.join("; ");
            all.insert(at.index(all.len() + 1), format!("mainstay-web={}", Place(ours)));
            prop_assert_eq!(passed(&all.join("; ")), before);
        }

        #[test]
        fn any_bytes_are_read(field in prop::collection::vec(any::<u8>(), 0..64)) {
            let length: usize = foreign(&field).map(<[u8]>::len).sum();
            prop_assert!(length <= field.len());
            prop_assert!(pairs(&field).count() <= field.len());
        }
    }
}
