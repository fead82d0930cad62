//! Cuts the text of a condition into tokens that know their place.

use std::ops::Range;

/// Longest condition, in bytes: no honest one comes near, and a hostile one costs nothing.
pub(super) const LONGEST: usize = 1024;

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Bytes of the text.
    pub(super) at: Range<usize>,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `error_rate`, `for`, `baseline`, `x`.
    Word,
    /// Digits with whatever unit follows without a space: `1%`, `400ms`, `50/s`, `2x`.
    Number,
    /// `"…"`, with `\"` and `\\` inside.
    Text,
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// `,`.
    Comma,
    /// `×` or `*`.
    Times,
    /// `>`, `>=`, `≥`, `<`, `<=`, `≤`, and what people write instead: `=`, `==`, `!=`.
    Compare,
    /// Anything else; never part of a condition.
    Strange,
    /// A text that has no end.
    Unended,
}

/// All tokens of a text, in order; total for any text.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        if first.is_whitespace() {
            start += first.len_utf8();
            continue;
        }
        let (kind, width) = token(&text[start..], first);
        let at = start..start + width;
        start = at.end;
        tokens.push(Token { kind, at });
    }
    tokens
}

/// Kind and width in bytes of the token that a text begins with.
fn token(text: &str, first: char) -> (Kind, usize) {
    let while_in = |wanted: fn(char) -> bool| {
        text.find(|found: char| !wanted(found))
            .unwrap_or(text.len())
    };
    match first {
        '(' => (Kind::Open, 1),
        ')' => (Kind::Close, 1),
        ',' => (Kind::Comma, 1),
        '×' | '*' => (Kind::Times, first.len_utf8()),
        '≥' | '≤' => (Kind::Compare, first.len_utf8()),
        '>' | '<' | '=' | '!' => {
            let width = 1 + usize::from(text[1..].starts_with('='));
            (Kind::Compare, width)
        }
        '"' => quoted(text),
        _ if first.is_ascii_digit() => (Kind::Number, number(text)),
        _ if first.is_alphabetic() || first == '_' => (
            Kind::Word,
            while_in(|found| found.is_alphanumeric() || matches!(found, '_' | '-' | '.')),
        ),
        _ => (Kind::Strange, first.len_utf8()),
    }
}

fn quoted(text: &str) -> (Kind, usize) {
    let mut escaped = false;
    for (at, found) in text.char_indices().skip(1) {
        match found {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return (Kind::Text, at + 1),
            _ => {}
        }
    }
    (Kind::Unended, text.len())
}

/// Width of a number with its unit; `×` ends it, so that `2×baseline` reads.
fn number(text: &str) -> usize {
    text.find(|found: char| !(found.is_ascii_alphanumeric() || matches!(found, '.' | '%' | '/')))
        .unwrap_or(text.len())
}
