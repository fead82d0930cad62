//! Regular expressions of matchers: RE2's syntax, anchored at both ends, bounded in size.

use regex::{Regex, RegexBuilder};
use std::fmt::Write as _;

/// Largest compiled expression, in bytes: a label matcher of a dashboard needs a thousandth of it.
const SIZE_MAX: usize = 2 << 20;

/// Longest expression, in bytes.
const LENGTH_MAX: usize = 8 << 10;

/// Deepest nesting of groups.
const NESTING_MAX: u32 = 100;

/// Why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {why}: `{pattern}`")]
pub struct PatternFault {
    /// The expression, cut at 200 characters.
    pub pattern: String,
    /// What is wrong.
    pub why: String,
}

/// An expression that a whole text must match.
#[derive(Debug, Clone)]
pub struct Pattern {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// `.*`
    Anything,
    /// `.+`
    Something,
    /// `a|b|c` without any special character.
    OneOf(Vec<String>),
    /// `abc.*`
    Prefix(String),
    Expression(Box<Regex>),
}

impl Pattern {
    /// Compiles; the whole text is matched and a dot matches a line end too.
    pub fn new(pattern: &str) -> Result<Self, PatternFault> {
        let kind = match pattern {
            ".*" => Kind::Anything,
            ".+" => Kind::Something,
            _ if is_literal(pattern.replace('|', "").as_str()) => {
                Kind::OneOf(pattern.split('|').map(str::to_owned).collect())
            }
            _ => match pattern.strip_suffix(".*").filter(|text| is_literal(text)) {
                Some(prefix) => Kind::Prefix(prefix.to_owned()),
                None => Kind::Expression(Box::new(compile(pattern)?)),
            },
        };
        Ok(Self { kind })
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        match &self.kind {
            Kind::Anything => true,
            Kind::Something => !text.is_empty(),
            Kind::OneOf(texts) => texts.iter().any(|one| one == text),
            Kind::Prefix(prefix) => text.starts_with(prefix),
            Kind::Expression(regex) => regex.is_match(text),
        }
    }
}

/// Compiles an expression that must match a whole text, with its groups.
pub fn compile(pattern: &str) -> Result<Regex, PatternFault> {
    let fault = |why: String| PatternFault {
        pattern: pattern.chars().take(200).collect(),
        why,
    };
    if pattern.len() > LENGTH_MAX {
        return Err(fault(format!("longer than {LENGTH_MAX} bytes")));
    }
    RegexBuilder::new(&format!("^(?s:{})$", translate(pattern)))
        .size_limit(SIZE_MAX)
        .dfa_size_limit(SIZE_MAX)
        .nest_limit(NESTING_MAX)
        .build()
        .map_err(|fault_of_regex| fault(reason(&fault_of_regex)))
}

fn reason(fault: &regex::Error) -> String {
    match fault {
        regex::Error::CompiledTooBig(limit) => format!("larger than {limit} bytes"),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    }
}

fn is_literal(text: &str) -> bool {
    !text.bytes().any(|byte| {
        matches!(
            byte,
            b'.' | b'*'
                | b'+'
                | b'?'
                | b'('
                | b')'
                | b'['
                | b']'
                | b'{'
                | b'}'
                | b'^'
                | b'$'
                | b'\\'
                | b'|'
        )
    })
}

/// Writes RE2's syntax as that of the crate: classes are of ASCII, `\Q…\E` quotes, a brace that begins no
/// repetition is itself, and set operations inside classes do not exist.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut class = false;
    while let Some(letter) = rest.chars().next() {
        let mut width = letter.len_utf8();
        match letter {
            '\\' => width = escape(rest, class, &mut out),
            '[' if !class => {
                class = true;
                out.push('[');
                let after = &rest[1..];
                let negated = after.starts_with('^');
                if negated {
                    out.push('^');
                    width += 1;
                }
                // A bracket that comes first is itself.
                if after[usize::from(negated)..].starts_with(']') {
                    out.push_str("\\]");
                    width += 1;
                }
            }
            '[' => match rest.find(":]").filter(|_| rest.starts_with("[:")) {
                Some(end) => {
                    out.push_str(&rest[..end + 2]);
                    width = end + 2;
                }
                None => out.push_str("\\["),
            },
            ']' if class => {
                class = false;
                out.push(']');
            }
            '&' | '~' if class => {
                out.push('\\');
                out.push(letter);
            }
            '-' if class && rest.starts_with("--") => out.push_str("\\-"),
            '{' if !class && !repeats(rest) => out.push_str("\\{"),
            other => out.push(other),
        }
        rest = &rest[width..];
    }
    out
}

/// Whether a brace begins `{n}`, `{n,}` or `{n,m}`.
fn repeats(text: &str) -> bool {
    let Some(inner) = text[1..]
        .split('}')
        .next()
        .filter(|inner| inner.len() + 1 < text.len())
    else {
        return false;
    };
    let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
    !low.is_empty()
        && [low, high]
            .iter()
            .all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Writes what a backslash begins; returns how many bytes it took.
fn escape(text: &str, class: bool, out: &mut String) -> usize {
    let Some(letter) = text[1..].chars().next() else {
        out.push('\\');
        return 1;
    };
    let width = 1 + letter.len_utf8();
    let set = match letter {
        'd' | 'D' => "0-9",
        'w' | 'W' => "0-9A-Za-z_",
        's' | 'S' => "\\t\\n\\x0c\\r ",
        'Q' if !class => {
            let quoted = &text[2..];
            let (inner, length) = match quoted.find("\\E") {
                Some(end) => (&quoted[..end], 2 + end + 2),
                None => (quoted, text.len()),
            };
            out.push_str(&regex::escape(inner));
            return length;
        }
        'b' | 'B' if !class => {
            // Inverted ASCII boundaries could split a letter, so that one stays Unicode's.
            out.push_str(if letter == 'b' { "(?-u:\\b)" } else { "\\B" });
            return width;
        }
        digit @ '1'..='7' => {
            let digits: String = text[1..]
                .chars()
                .take(3)
                .take_while(|one| ('0'..='7').contains(one))
                .collect();
            if digits.len() == 3 {
                write!(
                    out,
                    "\\x{{{:x}}}",
                    u32::from_str_radix(&digits, 8).unwrap_or(0)
                )
                .ok();
                return 4;
            }
            out.push('\\');
            out.push(digit);
            return width;
        }
        other => {
            out.push('\\');
            out.push(other);
            return width;
        }
    };
    let negated = letter.is_ascii_uppercase();
    match (class, negated) {
        (true, false) => out.push_str(set),
        (_, true) => write!(out, "[^{set}]").unwrap_or_default(),
        (false, false) => write!(out, "[{set}]").unwrap_or_default(),
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_whole_texts() {
        for (pattern, text, expected) in [
            ("pro.*", "production", true),
            ("pro", "production", false),
            ("a|b|", "", true),
            (".*(?i:DUC).*", "production", true),
            ("a.b", "a\nb", true),
            ("\\d+", "12", true),
            ("\\d+", "١", false),
            ("[\\d_]+", "1_2", true),
            ("a{", "a{", true),
            ("a{2}", "aa", true),
            ("{x}", "{x}", true),
            ("\\Qa.b\\E", "a.b", true),
            ("\\Qa.b\\E", "axb", false),
            ("[a&&b]", "&", true),
            ("[]a]", "]", true),
            ("[[:alpha:]]+", "abc", true),
            (".+", "", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).unwrap().matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn what_is_wrong_or_too_large_is_refused() {
        for pattern in ["(.*", "a{9999}{9999}", "(a{1000}){1000}", "[z-a]"] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::new(&"(a|b)".repeat(10_000)).is_err());
    }
}
