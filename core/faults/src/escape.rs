//! Keeping a user's text from steering the terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal would act on this character instead of showing it: controls (ECMA-48) and the
/// marks that turn the direction of text or join it invisibly (Unicode UAX #9, "Trojan Source").
fn steers(found: char) -> bool {
    found.is_control()
        || matches!(found, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Writes every character that would steer a terminal as its code: `\u{1b}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for found in text.chars() {
        if steers(found) {
            write!(safe, "\\u{{{:x}}}", u32::from(found)).expect("a String takes everything");
        } else {
            safe.push(found);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(escaped("plain é 日本"), "plain é 日本");
        assert_eq!(escaped("\u{1b}[2J"), "\\u{1b}[2J");
        assert_eq!(escaped("a\u{202e}b\u{9b}c\r"), "a\\u{202e}b\\u{9b}c\\u{d}");
    }
}
