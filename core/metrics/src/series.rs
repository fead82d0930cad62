//! Series as text formats write them: `name{label="value",…}` or `{"quoted.name",…}`.

use crate::exposition::{Limits, shown, trimmed};
use crate::label::{Label, Labels, NAME, is_plain, is_plain_metric};
use memchr::memchr2;
use std::borrow::Cow;

/// Why a series cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeriesFault {
    /// There is no name.
    #[error("a sample has no metric name")]
    NoName,
    /// A name holds what a name does not.
    #[error("`{found}` is no name")]
    Name {
        /// What stands there, cut.
        found: String,
    },
    /// Quotes or braces do not end.
    #[error("`{found}` does not end")]
    Open {
        /// What stands there, cut.
        found: String,
    },
    /// A sign is missing or wrong.
    #[error("`{expected}` is expected at `{found}`")]
    Sign {
        /// What should be there.
        expected: char,
        /// What stands there, cut.
        found: String,
    },
    /// A label comes twice.
    #[error("label `{name}` comes twice")]
    Twice {
        /// Its name.
        name: String,
    },
    /// A text is not UTF-8.
    #[error("`{found}` is not UTF-8")]
    Utf8 {
        /// What stands there, cut.
        found: String,
    },
    /// Too many labels.
    #[error("a series has more than {limit} labels")]
    Labels {
        /// Limit.
        limit: usize,
    },
    /// A text is too long.
    #[error("`{found}` has {length} bytes, the limit is {limit}")]
    Long {
        /// What stands there, cut.
        found: String,
        /// Bytes.
        length: usize,
        /// Limit.
        limit: usize,
    },
}

/// How many bytes of a line the series takes. Braces inside quotes do not end it.
pub(crate) fn length(line: &[u8]) -> Result<usize, SeriesFault> {
    let name = line
        .iter()
        .position(|byte| matches!(byte, b'{' | b' ' | b'\t'))
        .unwrap_or(line.len());
    let blanks = line[name..]
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    if line.get(name + blanks) != Some(&b'{') {
        return if name == 0 {
            Err(SeriesFault::NoName)
        } else {
            Ok(name)
        };
    }
    let mut at = name + blanks + 1;
    loop {
        let Some(next) = memchr2(b'"', b'}', &line[at..]) else {
            return Err(SeriesFault::Open { found: shown(line) });
        };
        at += next + 1;
        if line[at - 1] == b'}' {
            return Ok(at);
        }
        at += closing(&line[at..]).ok_or_else(|| SeriesFault::Open { found: shown(line) })? + 1;
    }
}

/// Where the quotes end that began before a text.
fn closing(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', &text[at..])?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
        if at > text.len() {
            return None;
        }
    }
}

/// Reads a quoted text at the beginning of another; returns it and how many bytes it took with its quotes.
pub(crate) fn quoted(text: &[u8]) -> Result<(Cow<'_, str>, usize), SeriesFault> {
    let open = || SeriesFault::Open { found: shown(text) };
    let inner = text.get(1..).ok_or_else(open)?;
    let end = closing(inner).ok_or_else(open)?;
    let inner = std::str::from_utf8(&inner[..end]).map_err(|_| SeriesFault::Utf8 {
        found: shown(&inner[..end]),
    })?;
    if !inner.contains('\\') {
        return Ok((Cow::Borrowed(inner), end + 2));
    }
    let mut out = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => out.push('\n'),
            Some(next @ ('\\' | '"')) => out.push(next),
            // The format knows three escapes; what stands after another backslash is kept with it.
            Some(next) => out.extend(['\\', next]),
            None => out.push('\\'),
        }
    }
    Ok((Cow::Owned(out), end + 2))
}

fn within(text: &str, limit: usize) -> Result<(), SeriesFault> {
    if text.len() <= limit {
        return Ok(());
    }
    Err(SeriesFault::Long {
        found: shown(text.as_bytes()),
        length: text.len(),
        limit,
    })
}

/// Reads a series as it is written.
pub(crate) fn parse(text: &[u8], limits: &Limits) -> Result<Labels, SeriesFault> {
    let brace = memchr::memchr(b'{', text).unwrap_or(text.len());
    let plain = trimmed(&text[..brace]);
    let mut labels: Vec<Label> = Vec::with_capacity(8);
    if !plain.is_empty() {
        let name = std::str::from_utf8(plain).map_err(|_| SeriesFault::Utf8 {
            found: shown(plain),
        })?;
        if !is_plain_metric(name) {
            return Err(SeriesFault::Name {
                found: shown(plain),
            });
        }
        push(&mut labels, NAME, name, limits)?;
    }
    if brace < text.len() {
        pairs(&text[brace + 1..], &mut labels, limits)?;
    }
    labels.sort_by(|one, two| one.name.cmp(&two.name));
    if let Some(pair) = labels.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(SeriesFault::Twice {
            name: shown(pair[0].name.as_bytes()),
        });
    }
    // An empty value says the same as no label.
    labels.retain(|label| !label.value.is_empty());
    if !labels.iter().any(|label| &*label.name == NAME) {
        return Err(SeriesFault::NoName);
    }
    Ok(Labels::from_sorted(labels))
}

fn push(
    labels: &mut Vec<Label>,
    name: &str,
    value: &str,
    limits: &Limits,
) -> Result<(), SeriesFault> {
    if labels.len() > limits.labels_max {
        return Err(SeriesFault::Labels {
            limit: limits.labels_max,
        });
    }
    within(name, limits.name_bytes_max)?;
    let limit = if name == NAME {
        limits.name_bytes_max
    } else {
        limits.value_bytes_max
    };
    within(value, limit)?;
    labels.push(Label {
        name: name.into(),
        value: value.into(),
    });
    Ok(())
}

fn pairs(text: &[u8], labels: &mut Vec<Label>, limits: &Limits) -> Result<(), SeriesFault> {
    let mut rest = trimmed(text);
    loop {
        if rest.first() == Some(&b'}') {
            return Ok(());
        }
        let (name, is_quoted) = if rest.first() == Some(&b'"') {
            let (name, length) = quoted(rest)?;
            rest = trimmed(&rest[length..]);
            (name, true)
        } else {
            let end = rest
                .iter()
                .position(|byte| matches!(byte, b'=' | b' ' | b'\t' | b',' | b'}' | b'"'))
                .unwrap_or(rest.len());
            let name = std::str::from_utf8(&rest[..end]).map_err(|_| SeriesFault::Utf8 {
                found: shown(&rest[..end]),
            })?;
            if !is_plain(name) {
                return Err(SeriesFault::Name { found: shown(rest) });
            }
            rest = trimmed(&rest[end..]);
            (Cow::Borrowed(name), false)
        };
        if rest.first() == Some(&b'=') {
            rest = trimmed(&rest[1..]);
            if rest.first() != Some(&b'"') {
                return Err(SeriesFault::Sign {
                    expected: '"',
                    found: shown(rest),
                });
            }
            if name.is_empty() {
                return Err(SeriesFault::Name { found: shown(rest) });
            }
            let (value, length) = quoted(rest)?;
            rest = trimmed(&rest[length..]);
            push(labels, &name, &value, limits)?;
        } else if is_quoted && labels.is_empty() && !name.is_empty() {
            push(labels, NAME, &name, limits)?;
        } else {
            return Err(SeriesFault::Sign {
                expected: '=',
                found: shown(rest),
            });
        }
        match rest.first() {
            Some(b',') => rest = trimmed(&rest[1..]),
            Some(b'}') => {}
            _ => {
                return Err(SeriesFault::Sign {
                    expected: ',',
                    found: shown(rest),
                });
            }
        }
    }
}
