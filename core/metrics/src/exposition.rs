//! The text formats that targets expose: Prometheus text 0.0.4 and 1.0, and `OpenMetrics` 1.0.

use crate::label::Labels;
use crate::series::{self, SeriesFault};
use memchr::{memchr, memchr2};
use std::borrow::Cow;

/// Which format a body is in, as its content type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text: times in milliseconds.
    Text,
    /// `OpenMetrics`: times in seconds, exemplars, `# EOF` last.
    OpenMetrics,
}

/// What one body may hold. A body past a limit is refused as a whole: half a scrape looks like series that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the body.
    pub body_bytes_max: usize,
    /// Samples.
    pub samples_max: usize,
    /// Labels a series.
    pub labels_max: usize,
    /// Bytes of a label's or metric's name.
    pub name_bytes_max: usize,
    /// Bytes of a label's value.
    pub value_bytes_max: usize,
}

impl Default for Limits {
    /// Ten times what large exporters send; a label of a kilobyte is a mistake everywhere.
    fn default() -> Self {
        Self {
            body_bytes_max: 64 << 20,
            samples_max: 200_000,
            labels_max: 64,
            name_bytes_max: 512,
            value_bytes_max: 4096,
        }
    }
}

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct ExpositionFault {
    /// Line, from one.
    pub line: usize,
    /// What is wrong there.
    pub kind: ExpositionKind,
}

/// What is wrong in a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpositionKind {
    /// The body is too long.
    #[error("the body has {found} bytes, the limit is {limit}")]
    Body {
        /// Bytes.
        found: usize,
        /// Limit.
        limit: usize,
    },
    /// Too many samples.
    #[error("the body has more than {limit} samples")]
    Samples {
        /// Limit.
        limit: usize,
    },
    /// The series cannot be read.
    #[error("{0}")]
    Series(SeriesFault),
    /// The value cannot be read.
    #[error("`{found}` is no value")]
    Value {
        /// What stands there, cut.
        found: String,
    },
    /// The time cannot be read.
    #[error("`{found}` is no timestamp")]
    Time {
        /// What stands there, cut.
        found: String,
    },
    /// Something follows the sample.
    #[error("`{found}` follows the sample")]
    Rest {
        /// What stands there, cut.
        found: String,
    },
    /// `OpenMetrics` ends with `# EOF`.
    #[error("the body does not end with `# EOF`")]
    End,
    /// Something stands after the end.
    #[error("something follows `# EOF`")]
    AfterEnd,
    /// A text that is not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
}

/// One sample. The series is as it is written: a scraper that has seen it before needs not read it again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    /// Name and labels, as written.
    pub series: &'a [u8],
    /// The value.
    pub value: f64,
    /// When, in milliseconds since 1970, where the target says so.
    pub at_ms: Option<i64>,
    /// Line, from one.
    pub line: usize,
}

impl Row<'_> {
    /// Reads the series.
    pub fn labels(&self, limits: &Limits) -> Result<Labels, ExpositionFault> {
        series::parse(self.series, limits).map_err(|fault| ExpositionFault {
            line: self.line,
            kind: ExpositionKind::Series(fault),
        })
    }
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry<'a> {
    /// A sample.
    Sample(Row<'a>),
    /// `# TYPE`: the kind of a metric family.
    Type {
        /// Which family.
        metric: Cow<'a, str>,
        /// `counter`, `gauge`, …
        kind: &'a str,
    },
    /// `# HELP`: what a metric family is.
    Help {
        /// Which family.
        metric: Cow<'a, str>,
        /// The text, unescaped.
        text: Cow<'a, str>,
    },
    /// `# UNIT`: the unit of a metric family.
    Unit {
        /// Which family.
        metric: Cow<'a, str>,
        /// The unit.
        unit: &'a str,
    },
}

/// Reads a body entry by entry, without copying it.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    format: Format,
    limits: Limits,
    line: usize,
    samples: usize,
    ended: bool,
    failed: bool,
}

impl<'a> Reader<'a> {
    /// Begins with a body.
    pub fn new(body: &'a [u8], format: Format, limits: Limits) -> Result<Self, ExpositionFault> {
        if body.len() > limits.body_bytes_max {
            return Err(ExpositionFault {
                line: 1,
                kind: ExpositionKind::Body {
                    found: body.len(),
                    limit: limits.body_bytes_max,
                },
            });
        }
        Ok(Self {
            rest: body,
            format,
            limits,
            line: 0,
            samples: 0,
            ended: false,
            failed: false,
        })
    }

    fn entry(&mut self) -> Result<Option<Entry<'a>>, ExpositionKind> {
        while !self.rest.is_empty() {
            let end = memchr(b'\n', self.rest).unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            self.line += 1;
            let text = trimmed(line);
            if text.is_empty() {
                continue;
            }
            if self.ended {
                return Err(ExpositionKind::AfterEnd);
            }
            if text[0] == b'#' {
                if self.format == Format::OpenMetrics && text == b"# EOF" {
                    self.ended = true;
                    continue;
                }
                match comment(&text[1..])? {
                    Some(entry) => return Ok(Some(entry)),
                    None => continue,
                }
            }
            self.samples += 1;
            if self.samples > self.limits.samples_max {
                return Err(ExpositionKind::Samples {
                    limit: self.limits.samples_max,
                });
            }
            return self.sample(text).map(|row| Some(Entry::Sample(row)));
        }
        if self.format == Format::OpenMetrics && !self.ended {
            return Err(ExpositionKind::End);
        }
        Ok(None)
    }

    fn sample(&self, text: &'a [u8]) -> Result<Row<'a>, ExpositionKind> {
        let end = series::length(text).map_err(ExpositionKind::Series)?;
        let (series, rest) = (&text[..end], trimmed(&text[end..]));
        // An exemplar follows a value; a value holds no number sign.
        let rest = match memchr(b'#', rest) {
            Some(mark) if self.format == Format::OpenMetrics => trimmed(&rest[..mark]),
            _ => rest,
        };
        let (value, rest) = word(rest);
        let value = float(value).ok_or_else(|| ExpositionKind::Value {
            found: shown(value),
        })?;
        let (time, rest) = word(rest);
        if !rest.is_empty() {
            return Err(ExpositionKind::Rest { found: shown(rest) });
        }
        let at_ms = if time.is_empty() {
            None
        } else {
            Some(
                self.time(time)
                    .ok_or_else(|| ExpositionKind::Time { found: shown(time) })?,
            )
        };
        Ok(Row {
            series: trimmed(series),
            value,
            at_ms,
            line: self.line,
        })
    }

    fn time(&self, text: &[u8]) -> Option<i64> {
        let text = std::str::from_utf8(text).ok()?;
        match self.format {
            Format::Text => text.parse().ok(),
            Format::OpenMetrics => {
                let milliseconds = (text.parse::<f64>().ok()? * 1000.0).round();
                // Within the years that `i64` milliseconds have.
                (milliseconds.abs() < 9e18).then_some(milliseconds as i64)
            }
        }
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Entry<'a>, ExpositionFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.entry() {
            Ok(entry) => entry.map(Ok),
            Err(kind) => {
                self.failed = true;
                Some(Err(ExpositionFault {
                    line: self.line.max(1),
                    kind,
                }))
            }
        }
    }
}

/// Without blanks at both ends.
pub(crate) fn trimmed(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = text
        .iter()
        .position(|byte| !blank(byte))
        .unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(begin, |last| last + 1);
    &text[begin..end]
}

/// The first word, and what follows the blanks after it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr2(b' ', b'\t', text).unwrap_or(text.len());
    (&text[..end], trimmed(&text[end..]))
}

/// A part of a hostile text, fit for a message.
pub(crate) fn shown(text: &[u8]) -> String {
    let cut = &text[..text.len().min(60)];
    let text = String::from_utf8_lossy(cut);
    text.chars()
        .map(|letter| {
            if letter.is_control() {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

fn float(text: &[u8]) -> Option<f64> {
    // The usual value is a short whole number.
    if !text.is_empty() && text.len() <= 15 && text.iter().all(u8::is_ascii_digit) {
        let digits = text
            .iter()
            .fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        return Some(digits as f64);
    }
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok()
}

/// Reads what follows a number sign; a plain comment says nothing.
fn comment(text: &[u8]) -> Result<Option<Entry<'_>>, ExpositionKind> {
    if !text
        .first()
        .is_some_and(|byte| matches!(byte, b' ' | b'\t'))
    {
        return Ok(None);
    }
    let (keyword, rest) = word(trimmed(text));
    if !matches!(keyword, b"TYPE" | b"HELP" | b"UNIT") {
        return Ok(None);
    }
    let (metric, rest) = if rest.first() == Some(&b'"') {
        let (name, length) = series::quoted(rest).map_err(ExpositionKind::Series)?;
        (name, trimmed(&rest[length..]))
    } else {
        let (name, rest) = word(rest);
        (Cow::Borrowed(utf8(name)?), rest)
    };
    let text = utf8(rest)?;
    Ok(Some(match keyword {
        b"TYPE" => Entry::Type { metric, kind: text },
        b"UNIT" => Entry::Unit { metric, unit: text },
        _ => Entry::Help {
            metric,
            text: unescaped(text),
        },
    }))
}

fn utf8(text: &[u8]) -> Result<&str, ExpositionKind> {
    std::str::from_utf8(text).map_err(|_| ExpositionKind::Utf8)
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, letters.as_str().chars().next()) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some(next @ ('\\' | '"'))) => out.push(next),
            _ => {
                out.push(letter);
                continue;
            }
        }
        letters.next();
    }
    Cow::Owned(out)
}

#[cfg(test)]
#[path = "exposition_test.rs"]
mod tests;
