//! `printf` with Go's verbs.

use super::number::{general, significant};
use super::value::Value;
use std::fmt::Write as _;

/// Widest field: wider ones serve nobody and cost memory.
const WIDTH_MAX: usize = 256;

#[derive(Default)]
struct Verb {
    minus: bool,
    plus: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Formats; what does not fit is written into the result as Go writes it.
pub(crate) fn format(text: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut letters = text.chars().peekable();
    let mut given = arguments.iter();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut verb = Verb::default();
        while let Some(flag) = letters.next_if(|one| matches!(one, '-' | '+' | '0' | ' ' | '#')) {
            match flag {
                '-' => verb.minus = true,
                '+' => verb.plus = true,
                '0' => verb.zero = true,
                _ => {}
            }
        }
        verb.width = number(&mut letters);
        if letters.next_if_eq(&'.').is_some() {
            verb.precision = Some(number(&mut letters).unwrap_or(0));
        }
        match letters.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(kind) => match given.next() {
                None => write!(out, "%!{kind}(MISSING)").unwrap_or_default(),
                Some(value) => out.push_str(&verb.padded(kind, value)),
            },
        }
    }
    let extra: Vec<String> = given
        .map(|value| format!("{}={}", go_kind(value), value.print()))
        .collect();
    if !extra.is_empty() {
        write!(out, "%!(EXTRA {})", extra.join(", ")).unwrap_or_default();
    }
    out
}

fn number(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = letters.peek().and_then(|one| one.to_digit(10)) {
        letters.next();
        number = Some((number.unwrap_or(0) * 10 + digit as usize).min(WIDTH_MAX));
    }
    number
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::Truth(_) => "bool",
        Value::Integer(_) => "int",
        Value::Float(_) => "float64",
        Value::Text(_) => "string",
        Value::List(_) => "[]interface {}",
        Value::Texts(_) | Value::Object(_) => "map[string]string",
    }
}

impl Verb {
    fn padded(&self, kind: char, value: &Value) -> String {
        let text = self.bare(kind, value);
        let Some(width) = self.width else {
            return text;
        };
        let missing = width.saturating_sub(text.chars().count());
        if self.minus {
            return format!("{text}{}", " ".repeat(missing));
        }
        let numeric = matches!(value, Value::Integer(_) | Value::Float(_));
        if self.zero && numeric {
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => (&text[..1], digits),
                None => ("", text.as_str()),
            };
            return format!("{sign}{}{digits}", "0".repeat(missing));
        }
        format!("{}{text}", " ".repeat(missing))
    }

    fn bare(&self, kind: char, value: &Value) -> String {
        match (kind, value) {
            ('v', Value::Float(number)) => self.signed(*number, |number| match self.precision {
                Some(precision) => significant(number, precision),
                None => general(number),
            }),
            ('s' | 'v', Value::Text(text)) => match self.precision {
                Some(most) => text.chars().take(most).collect(),
                None => text.clone(),
            },
            ('v', Value::Nil) => "<nil>".into(),
            ('v', other) => other.print(),
            ('t', Value::Truth(truth)) => truth.to_string(),
            ('q', Value::Text(text)) => mainstay_metrics::label::quoted(text.as_bytes()),
            ('x', Value::Text(text)) => text.bytes().fold(String::new(), |mut out, byte| {
                write!(out, "{byte:02x}").unwrap_or_default();
                out
            }),
            ('d', Value::Integer(number)) if self.plus => format!("{number:+}"),
            ('d', Value::Integer(number)) => number.to_string(),
            ('x', Value::Integer(number)) => format!("{number:x}"),
            ('X', Value::Integer(number)) => format!("{number:X}"),
            ('o', Value::Integer(number)) => format!("{number:o}"),
            ('b', Value::Integer(number)) => format!("{number:b}"),
            ('c', Value::Integer(number)) => {
                let letter = u32::try_from(*number).ok().and_then(char::from_u32);
                letter.unwrap_or('\u{fffd}').to_string()
            }
            ('f' | 'F', Value::Float(number)) => self.signed(*number, |number| {
                if number.is_finite() {
                    format!("{number:.*}", self.precision.unwrap_or(6))
                } else {
                    general(number)
                }
            }),
            ('g' | 'G', Value::Float(number)) => {
                self.signed(*number, |number| match self.precision {
                    Some(precision) => significant(number, precision),
                    None => general(number),
                })
            }
            ('e' | 'E', Value::Float(number)) => self.signed(*number, |number| {
                exponential(number, self.precision.unwrap_or(6))
            }),
            ('s', Value::List(_) | Value::Texts(_) | Value::Object(_)) => value.print(),
            (kind, other) => format!("%!{kind}({}={})", go_kind(other), other.print()),
        }
    }

    fn signed(&self, number: f64, digits: impl Fn(f64) -> String) -> String {
        let text = digits(number);
        if self.plus && !text.starts_with(['-', '+']) {
            return format!("+{text}");
        }
        text
    }
}

fn exponential(number: f64, precision: usize) -> String {
    if !number.is_finite() {
        return general(number);
    }
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_those_of_go() {
        let float = Value::Float(3.142_6);
        for (text, arguments, expected) in [
            ("%.2f%%", vec![float.clone()], "3.14%"),
            (
                "%8.3f|%-8.1f|",
                vec![float.clone(), float.clone()],
                "   3.143|3.1     |",
            ),
            (
                "%d/%05d",
                vec![Value::Integer(5), Value::Integer(-42)],
                "5/-0042",
            ),
            (
                "%s %q %v",
                vec![
                    Value::Text("a".into()),
                    Value::Text("b\"".into()),
                    Value::Truth(true),
                ],
                "a \"b\\\"\" true",
            ),
            ("%d", vec![Value::Float(1.0)], "%!d(float64=1)"),
            ("%s", vec![], "%!s(MISSING)"),
            ("x", vec![Value::Integer(1)], "x%!(EXTRA int=1)"),
            (
                "%+.1e %g",
                vec![Value::Float(12345.0), Value::Float(1e6)],
                "+1.2e+04 1e+06",
            ),
            ("%", vec![], "%!(NOVERB)"),
            (
                "%999999999999d",
                vec![Value::Integer(1)],
                &format!("{}1", " ".repeat(255)),
            ),
        ] {
            assert_eq!(format(text, &arguments), expected, "{text}");
        }
    }
}
