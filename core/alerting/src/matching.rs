//! Matchers as routes, inhibitions and silences write them: `severity="critical"`, `{a=b, "c d"=~"x.*"}`.

use mainstay_metrics::{MatchOp, Matcher};

/// Why a text is not a list of matchers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a matcher such as `severity=\"critical\"`: {why}")]
pub struct MatchingFault {
    /// What was found, cut at 120 characters.
    pub found: String,
    /// What is wrong.
    pub why: String,
}

/// Operators, longest first.
const OPERATORS: [(&str, MatchOp); 4] = [
    ("=~", MatchOp::Regex),
    ("!~", MatchOp::NotRegex),
    ("!=", MatchOp::NotEqual),
    ("=", MatchOp::Equal),
];

/// Reads a list of matchers: by the newer grammar, where names and values may be any quoted text, and where that
/// fails by the older one, where a value without quotes reaches to the next comma.
pub fn matchers(text: &str) -> Result<Vec<Matcher>, MatchingFault> {
    let fault = |why: String| MatchingFault {
        found: text.chars().take(120).collect(),
        why,
    };
    newer(text).or_else(|why| classic(text).map_err(|_| fault(why)))
}

/// A matcher from its parts, as `match` and `match_re` give them.
pub fn matcher(name: &str, op: MatchOp, value: &str) -> Result<Matcher, MatchingFault> {
    Matcher::new(name, op, value).map_err(|fault| MatchingFault {
        found: format!("{name}{}{value}", op.sign())
            .chars()
            .take(120)
            .collect(),
        why: fault.to_string(),
    })
}

fn made(name: &str, op: MatchOp, value: &str) -> Result<Matcher, String> {
    if name.is_empty() {
        return Err("a label's name is missing".into());
    }
    Matcher::new(name, op, value).map_err(|fault| fault.to_string())
}

fn newer(text: &str) -> Result<Vec<Matcher>, String> {
    let text = text.trim();
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or("the brace is never closed")?,
        None if text.ends_with('}') => return Err("the brace was never opened".into()),
        None => text,
    };
    let mut rest = inner.trim_start();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (name, after) = word(rest)?;
        let (op, after) = operator(after.trim_start())?;
        let (value, after) = word(after.trim_start())?;
        found.push(made(&name, op, &value)?);
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => {}
            None => return Err("a comma is missing".into()),
        }
    }
    Ok(found)
}

fn operator(text: &str) -> Result<(MatchOp, &str), String> {
    let found = OPERATORS
        .iter()
        .find_map(|(sign, op)| Some((*op, text.strip_prefix(sign)?)));
    found.ok_or_else(|| "an operator is missing: `=`, `!=`, `=~` or `!~`".into())
}

/// A word in quotes, or without them up to a sign or blank.
fn word(text: &str) -> Result<(String, &str), String> {
    if text.starts_with('"') {
        return quoted(text);
    }
    let ends = |letter: char| letter.is_whitespace() || "{}!=~,\\\"'`".contains(letter);
    let end = text.find(ends).unwrap_or(text.len());
    if end == 0 {
        return Err("a name or value is missing".into());
    }
    Ok((text[..end].to_owned(), &text[end..]))
}

fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Ok((out, &text[place + 1..])),
            '\\' => match letters.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push('\t'),
                Some((_, escaped @ ('"' | '\\'))) => out.push(escaped),
                // What is no escape stays as it is, so that expressions need not be escaped twice.
                Some((_, other)) => out.extend(['\\', other]),
                None => break,
            },
            other => out.push(other),
        }
    }
    Err("a quote is never closed".into())
}

fn classic(text: &str) -> Result<Vec<Matcher>, String> {
    let text = text.trim();
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    parts(text)
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .map(one_classic)
        .collect()
}

/// Splits at commas outside of quotes.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (place, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&text[from..place]);
                from = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn one_classic(text: &str) -> Result<Matcher, String> {
    let text = text.trim();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':');
    let end = text.find(|letter| !plain(letter)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let (op, rest) = operator(rest.trim_start())?;
    let rest = rest.trim();
    let value = match rest.starts_with('"') {
        true => match quoted(rest)? {
            (value, "") => value,
            _ => return Err("something follows the value".into()),
        },
        false if rest.ends_with('"') && !rest.ends_with("\\\"") => {
            return Err("a quote is never opened".into());
        }
        false => rest.to_owned(),
    };
    made(name, op, &value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_grammars_are_read() {
        for (text, expected) in [
            ("severity=\"critical\"", "severity=\"critical\""),
            ("severity = critical", "severity=\"critical\""),
            ("{a=b,c!=\"d,e\"}", "a=\"b\" c!=\"d,e\""),
            ("a=~\"x.*|y\", b!~z,", "a=~\"x.*|y\" b!~\"z\""),
            ("\"c d\"=\"\\\"q\\\"\"", "c d=\"\\\"q\\\"\""),
            ("größe=1", "größe=\"1\""),
            ("a=~^(foo|bar)$", "a=~\"^(foo|bar)$\""),
            ("a=b=c", "a=\"b=c\""),
            ("a=", "a=\"\""),
            ("", ""),
            ("{}", ""),
        ] {
            let found = matchers(text).unwrap();
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        for text in ["a", "=b", "a=\"b", "{a=b,,c}", "a=~\"(\"", "a b=c"] {
            assert!(matchers(text).is_err(), "{text}");
        }
    }
}
