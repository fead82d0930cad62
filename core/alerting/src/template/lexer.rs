//! Words of a template: texts between actions, and what stands inside `{{ }}`.

use super::TemplateFault;

/// A piece of a template.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Text(String),
    /// The words of an action and its line.
    Action(usize, Vec<Word>),
}

/// A word inside an action.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Word {
    /// A name: keyword, function, `true`.
    Name(String),
    /// `.` (empty), or `.name`; whether it follows what stands before it without a blank.
    Field(String, bool),
    /// `$name`.
    Variable(String),
    Text(String),
    Integer(i64),
    Float(f64),
    /// `|`, `(`, `)`, `,`, `:=`, `=`.
    Sign(&'static str),
}

/// Splits a template into pieces.
pub(crate) fn split(text: &str) -> Result<Vec<Piece>, TemplateFault> {
    let mut pieces = Vec::new();
    let (mut at, mut trim) = (0, false);
    loop {
        let begin = text[at..].find("{{").map(|length| at + length);
        let mut plain = &text[at..begin.unwrap_or(text.len())];
        if trim {
            plain = plain.trim_start();
        }
        let Some(begin) = begin else {
            push(&mut pieces, plain);
            return Ok(pieces);
        };
        let mut action = Action {
            text,
            at: begin + 2,
            words: Vec::new(),
        };
        if action.trims_before() {
            plain = plain.trim_end();
        }
        push(&mut pieces, plain);
        let line = action.line();
        if action.comment()? {
            trim = action
                .close()
                .ok_or_else(|| action.fault("a comment must fill its action"))?;
        } else {
            trim = action.read()?;
            pieces.push(Piece::Action(line, action.words));
        }
        at = action.at;
    }
}

fn push(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// One action while it is read.
struct Action<'t> {
    text: &'t str,
    at: usize,
    words: Vec<Word>,
}

impl<'t> Action<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn line(&self) -> usize {
        1 + self.text[..self.at].matches('\n').count()
    }

    fn fault(&self, why: impl Into<String>) -> TemplateFault {
        TemplateFault::new(self.line(), why)
    }

    /// `{{- ` takes the blanks before it away.
    fn trims_before(&mut self) -> bool {
        let mut letters = self.rest().chars();
        let trims = letters.next() == Some('-') && letters.next().is_some_and(char::is_whitespace);
        if trims {
            self.at += 1;
        }
        trims
    }

    fn blanks(&mut self) -> bool {
        let rest = self.rest();
        let after = rest.trim_start();
        self.at += rest.len() - after.len();
        rest.len() != after.len()
    }

    fn comment(&mut self) -> Result<bool, TemplateFault> {
        let before = self.at;
        self.blanks();
        if !self.rest().starts_with("/*") {
            self.at = before;
            return Ok(false);
        }
        let end = self
            .rest()
            .find("*/")
            .ok_or_else(|| self.fault("a comment is never closed"))?;
        self.at += end + 2;
        Ok(true)
    }

    /// Takes `}}` or ` -}}`; whether blanks after it go, or `None` where the action goes on.
    fn close(&mut self) -> Option<bool> {
        let blank = self.blanks();
        if blank && self.rest().starts_with("-}}") {
            self.at += 3;
            return Some(true);
        }
        self.rest().starts_with("}}").then(|| {
            self.at += 2;
            false
        })
    }

    fn read(&mut self) -> Result<bool, TemplateFault> {
        loop {
            let before = self.at;
            if let Some(trims) = self.close() {
                return Ok(trims);
            }
            let adjoins = self.at == before && !self.words.is_empty();
            let word = self.word(adjoins)?;
            self.words.push(word);
        }
    }

    fn word(&mut self, adjoins: bool) -> Result<Word, TemplateFault> {
        let rest = self.rest();
        let Some(letter) = rest.chars().next() else {
            return Err(self.fault("an action is never closed with `}}`"));
        };
        for sign in [":=", "|", "(", ")", ",", "="] {
            if rest.starts_with(sign) {
                self.at += sign.len();
                return Ok(Word::Sign(sign));
            }
        }
        match letter {
            '"' => self.quoted(),
            '`' => {
                let end = rest[1..]
                    .find('`')
                    .ok_or_else(|| self.fault("a raw text is never closed"))?;
                self.at += end + 2;
                Ok(Word::Text(rest[1..=end].to_owned()))
            }
            '\'' => {
                let end = rest[1..]
                    .find('\'')
                    .ok_or_else(|| self.fault("a letter is never closed"))?;
                let mut inner = rest[1..=end].chars();
                self.at += end + 2;
                match (inner.next(), inner.next()) {
                    (Some(one), None) => Ok(Word::Integer(i64::from(u32::from(one)))),
                    _ => Err(self.fault("a letter in `'` is exactly one")),
                }
            }
            '$' => Ok(Word::Variable(self.name(1))),
            '.' if !rest[1..].starts_with(|one: char| one.is_ascii_digit()) => {
                Ok(Word::Field(self.name(1), adjoins))
            }
            '0'..='9' | '+' | '-' | '.' => self.number(),
            letter if letter == '_' || letter.is_alphabetic() => Ok(Word::Name(self.name(0))),
            other => Err(self.fault(format!("unexpected `{}`", other.escape_debug()))),
        }
    }

    /// Takes letters, digits and underscores after so many bytes.
    fn name(&mut self, skip: usize) -> String {
        let text = &self.rest()[skip..];
        let end = text.find(|one: char| one != '_' && !one.is_alphanumeric());
        let name = &text[..end.unwrap_or(text.len())];
        self.at += skip + name.len();
        name.to_owned()
    }

    fn number(&mut self) -> Result<Word, TemplateFault> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with(['+', '-']));
        let mut end = sign;
        let bytes = rest.as_bytes();
        while end < bytes.len() {
            let exponent = end > sign && matches!(bytes[end - 1], b'e' | b'E');
            let fits = bytes[end].is_ascii_alphanumeric()
                || matches!(bytes[end], b'.' | b'_')
                || (exponent && matches!(bytes[end], b'+' | b'-'));
            if !fits {
                break;
            }
            end += 1;
        }
        let text = rest[..end].replace('_', "");
        self.at += end;
        let hexadecimal = text
            .strip_prefix("0x")
            .and_then(|digits| i64::from_str_radix(digits, 16).ok());
        if let Some(number) = hexadecimal.or_else(|| text.parse().ok()) {
            return Ok(Word::Integer(number));
        }
        let digits = text
            .trim_start_matches(['+', '-'])
            .starts_with(|one: char| one.is_ascii_digit() || one == '.');
        match text.parse() {
            Ok(number) if digits => Ok(Word::Float(number)),
            _ => Err(self.fault(format!("`{text}` is not a number"))),
        }
    }

    fn quoted(&mut self) -> Result<Word, TemplateFault> {
        let mut out = String::new();
        let mut letters = self.rest().char_indices().skip(1);
        while let Some((place, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.at += place + 1;
                    return Ok(Word::Text(out));
                }
                '\n' => break,
                '\\' => {
                    let Some((_, escaped)) = letters.next() else {
                        break;
                    };
                    match escaped {
                        'n' => out.push('\n'),
                        't' => out.push('\t'),
                        'r' => out.push('\r'),
                        '"' | '\\' | '\'' => out.push(escaped),
                        'x' | 'u' | 'U' => {
                            let width = match escaped {
                                'x' => 2,
                                'u' => 4,
                                _ => 8,
                            };
                            let digits: String =
                                letters.by_ref().take(width).map(|(_, one)| one).collect();
                            let code = u32::from_str_radix(&digits, 16)
                                .ok()
                                .and_then(char::from_u32);
                            let code = code.ok_or_else(|| {
                                self.fault(format!("`\\{escaped}{digits}` is no letter"))
                            })?;
                            out.push(code);
                        }
                        other => return Err(self.fault(format!("`\\{other}` is not an escape"))),
                    }
                }
                other => out.push(other),
            }
        }
        Err(self.fault("a text is never closed"))
    }
}
