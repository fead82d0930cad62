//! Words of a query.

use crate::fault::{ParseFault, Span};

/// Longest query, in bytes: a generated dashboard expression has a tenth of it.
pub const QUERY_MAX: usize = 16 << 10;

/// What a word is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Word {
    /// A name or keyword, as written; metric names may hold colons.
    Name(String),
    Number(f64),
    /// A number with time units, in seconds.
    Duration(f64),
    /// Unquoted; not always UTF-8.
    Text(Vec<u8>),
    /// An operator or bracket.
    Sign(&'static str),
    End,
}

/// A word and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) word: Word,
    pub(crate) span: Span,
}

/// Signs, longer ones first.
const SIGNS: [&str; 27] = [
    "==", "!=", "=~", "!~", ">=", "<=", "</", ">/", "(", ")", "{", "}", "[", "]", ",", ":", "=",
    ">", "<", "+", "-", "*", "/", "%", "^", "@", ";",
];

/// Time units in milliseconds, and their order from the largest.
const UNITS: [(&str, f64); 7] = [
    ("y", 31_536_000_000.0),
    ("w", 604_800_000.0),
    ("d", 86_400_000.0),
    ("h", 3_600_000.0),
    ("m", 60_000.0),
    ("s", 1000.0),
    ("ms", 1.0),
];

struct Lexer<'a> {
    query: &'a str,
    at: usize,
    /// Open square brackets; inside, a colon is a sign and begins no name.
    brackets: usize,
}

/// Splits a query into words.
pub(crate) fn split(query: &str) -> Result<Vec<Token>, ParseFault> {
    if query.len() > QUERY_MAX {
        return Err(ParseFault {
            position: (1, 1),
            why: format!(
                "the query has {} bytes, the limit is {QUERY_MAX}",
                query.len()
            ),
        });
    }
    let mut lexer = Lexer {
        query,
        at: 0,
        brackets: 0,
    };
    let mut tokens = Vec::new();
    loop {
        lexer.skip();
        let start = lexer.at;
        let word = lexer.word()?;
        let end = word == Word::End;
        match word {
            Word::Sign("[") => lexer.brackets += 1,
            Word::Sign("]") => lexer.brackets = lexer.brackets.saturating_sub(1),
            _ => {}
        }
        tokens.push(Token {
            word,
            span: Span::new(start, lexer.at),
        });
        if end {
            return Ok(tokens);
        }
    }
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.query[self.at..]
    }

    fn fault(&self, at: usize, why: impl Into<String>) -> ParseFault {
        ParseFault {
            position: Span::new(at, at).position(self.query),
            why: why.into(),
        }
    }

    /// Passes blanks and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
            self.at += blank;
            if !self.rest().starts_with('#') {
                return;
            }
            let rest = self.rest();
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    fn word(&mut self) -> Result<Word, ParseFault> {
        let Some(letter) = self.rest().chars().next() else {
            return Ok(Word::End);
        };
        let second = self.rest().as_bytes().get(1).copied().unwrap_or(b' ');
        if letter.is_ascii_digit() || (letter == '.' && second.is_ascii_digit()) {
            return self.number();
        }
        if matches!(letter, '"' | '\'' | '`') {
            return self.text(letter);
        }
        if letter.is_ascii_alphabetic() || letter == '_' || (letter == ':' && self.brackets == 0) {
            return Ok(self.name());
        }
        for sign in SIGNS {
            if self.rest().starts_with(sign) {
                self.at += sign.len();
                return Ok(Word::Sign(sign));
            }
        }
        Err(self.fault(self.at, format!("unexpected character: '{letter}'")))
    }

    fn name(&mut self) -> Word {
        let colons = self.brackets == 0;
        let rest = self.rest();
        let length = rest
            .find(|letter: char| {
                !(letter.is_ascii_alphanumeric() || letter == '_' || (letter == ':' && colons))
            })
            .unwrap_or(rest.len());
        let name = rest[..length].to_owned();
        self.at += length;
        match name.to_ascii_lowercase().as_str() {
            "inf" => Word::Number(f64::INFINITY),
            "nan" => Word::Number(f64::NAN),
            _ => Word::Name(name),
        }
    }

    /// A number, or a duration when units follow.
    fn number(&mut self) -> Result<Word, ParseFault> {
        let start = self.at;
        let rest = self.rest();
        if rest.starts_with("0x") || rest.starts_with("0X") {
            let length = 2 + rest[2..]
                .find(|letter: char| !(letter.is_ascii_hexdigit() || letter == '_'))
                .unwrap_or(rest.len() - 2);
            let digits = rest[2..length].replace('_', "");
            self.at += length;
            let value = u64::from_str_radix(&digits, 16).ok();
            let value = value.filter(|_| !self.continues());
            return value
                .map(|value| Word::Number(value as f64))
                .ok_or_else(|| {
                    self.fault(
                        start,
                        format!(
                            "bad number or duration syntax: {:?}",
                            &self.query[start..self.at]
                        ),
                    )
                });
        }
        let word = duration(rest).map_or_else(
            || float(rest).map(|(value, length)| (Word::Number(value), length)),
            |(value, length)| Some((Word::Duration(value), length)),
        );
        let Some((word, length)) = word else {
            return Err(self.fault(
                start,
                format!(
                    "bad number or duration syntax: {:?}",
                    rest.chars().take(20).collect::<String>()
                ),
            ));
        };
        self.at += length;
        if self.continues() {
            let shown: String = self.query[start..].chars().take(length + 1).collect();
            return Err(self.fault(start, format!("bad number or duration syntax: {shown:?}")));
        }
        Ok(word)
    }

    fn continues(&self) -> bool {
        self.rest()
            .starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_')
    }

    fn text(&mut self, quote: char) -> Result<Word, ParseFault> {
        let start = self.at;
        match unquote(self.rest(), quote) {
            Ok((text, length)) => {
                self.at += length;
                Ok(Word::Text(text))
            }
            Err(why) => Err(self.fault(start, why)),
        }
    }
}

/// A decimal number at the beginning of a text, single underscores between digits allowed.
fn float(text: &str) -> Option<(f64, usize)> {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while at < bytes.len()
            && (bytes[at].is_ascii_digit()
                || (bytes[at] == b'_'
                    && at > 0
                    && bytes[at - 1].is_ascii_digit()
                    && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)))
        {
            at += 1;
        }
        at
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if bytes
        .get(end)
        .is_some_and(|byte| matches!(byte, b'e' | b'E'))
    {
        let signed = end
            + 1
            + usize::from(
                bytes
                    .get(end + 1)
                    .is_some_and(|byte| matches!(byte, b'+' | b'-')),
            );
        let last = digits(signed);
        if last > signed {
            end = last;
        }
    }
    let value = text[..end].replace('_', "").parse().ok()?;
    Some((value, end))
}

/// A duration at the beginning of a text, in seconds: `1h30m`, units from the largest, each once.
pub(crate) fn duration(text: &str) -> Option<(f64, usize)> {
    let (mut at, mut allowed, mut total) = (0, 0, 0.0);
    while let Some(digits) = text[at..]
        .find(|letter: char| !letter.is_ascii_digit())
        .filter(|digits| *digits > 0)
    {
        let number: f64 = text[at..at + digits].parse().ok()?;
        let unit = &text[at + digits..];
        let letters = unit
            .find(|letter: char| !letter.is_ascii_alphabetic())
            .unwrap_or(unit.len());
        let Some(place) = UNITS.iter().position(|(name, _)| *name == &unit[..letters]) else {
            break;
        };
        if place < allowed {
            return None;
        }
        allowed = place + 1;
        total += number * UNITS[place].1;
        at += digits + letters;
    }
    let whole = at > 0 && !text[at..].starts_with(|letter: char| letter.is_ascii_digit());
    whole.then_some((total / 1000.0, at))
}

/// Reads a quoted text at the beginning of another; returns its bytes and how long it was with its quotes.
pub(crate) fn unquote(text: &str, quote: char) -> Result<(Vec<u8>, usize), String> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 1;
    let raw = quote == '`';
    loop {
        let Some(&byte) = bytes.get(at) else {
            return Err(if raw {
                "unterminated raw string"
            } else {
                "unterminated quoted string"
            }
            .into());
        };
        if byte == quote as u8 {
            return Ok((out, at + 1));
        }
        if byte == b'\n' && !raw {
            return Err("unterminated quoted string".into());
        }
        if byte != b'\\' || raw {
            out.push(byte);
            at += 1;
            continue;
        }
        at += 1 + escape(&bytes[at + 1..], quote, &mut out)?;
    }
}

/// Reads what follows a backslash, as Go's literals are read; returns how many bytes.
fn escape(rest: &[u8], quote: char, out: &mut Vec<u8>) -> Result<usize, String> {
    let unknown = || "unknown escape sequence".to_owned();
    let &letter = rest.first().ok_or("escape sequence not terminated")?;
    let number = |from: usize, digits: usize, radix: u32| {
        let text = rest
            .get(from..from + digits)
            .and_then(|part| std::str::from_utf8(part).ok());
        let text = text.filter(|text| text.chars().all(|one| one.is_digit(radix)));
        text.and_then(|text| u32::from_str_radix(text, radix).ok())
            .ok_or_else(unknown)
    };
    let plain = match letter {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' => b'\\',
        other if other == quote as u8 => other,
        b'x' => {
            out.push(u8::try_from(number(1, 2, 16)?).map_err(|_| unknown())?);
            return Ok(3);
        }
        b'0'..=b'7' => {
            out.push(u8::try_from(number(0, 3, 8)?).map_err(|_| unknown())?);
            return Ok(3);
        }
        b'u' | b'U' => {
            let digits = if letter == b'u' { 4 } else { 8 };
            let letter = char::from_u32(number(1, digits, 16)?)
                .ok_or("escape sequence is an invalid Unicode code point")?;
            out.extend(letter.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(1 + digits);
        }
        _ => return Err(unknown()),
    };
    out.push(plain);
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(query: &str) -> Vec<Word> {
        split(query)
            .unwrap()
            .into_iter()
            .map(|token| token.word)
            .collect()
    }

    #[test]
    fn words_are_told_apart() {
        assert_eq!(
            words("sum(a:b{x=~\"y\\x41\"}[5m:1h30m]) # end"),
            [
                Word::Name("sum".into()),
                Word::Sign("("),
                Word::Name("a:b".into()),
                Word::Sign("{"),
                Word::Name("x".into()),
                Word::Sign("=~"),
                Word::Text(b"yA".to_vec()),
                Word::Sign("}"),
                Word::Sign("["),
                Word::Duration(300.0),
                Word::Sign(":"),
                Word::Duration(5400.0),
                Word::Sign("]"),
                Word::Sign(")"),
                Word::End
            ]
        );
    }

    #[test]
    fn numbers_have_many_forms() {
        for (text, value) in [
            ("0x1F", 31.0),
            ("1_000", 1000.0),
            (".5", 0.5),
            ("2.", 2.0),
            ("1e-3", 0.001),
            ("iNf", f64::INFINITY),
        ] {
            assert_eq!(words(text)[0], Word::Number(value), "{text}");
        }
        for bad in ["5x", "1m1h", "0xg", "1__0", "'a", "\"\\q\"", "5m3", "~"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
