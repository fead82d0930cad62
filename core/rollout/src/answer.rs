//! The number in what a provider answered: JSON and a path into it.

use crate::measure::{Reading, Trouble};
use serde_json::Value;

/// Longest answer that is read, in bytes: a number with what surrounds it. The caller stops reading
/// there, so that an answer of 10 MB costs no more.
pub const ANSWER_BYTES: usize = 64 << 10;

/// Longest path, in steps.
const STEPS: usize = 16;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Field(String),
    Index(usize),
}

/// Reads `$.data.items[0].value`; a subset of RFC 9535 that names exactly one place.
pub(crate) fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() == STEPS {
            return None;
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let (index, after) = inner.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        } else {
            let inner = rest.strip_prefix('.')?;
            let end = inner.find(['.', '[']).unwrap_or(inner.len());
            let (field, after) = inner.split_at(end);
            if field.is_empty() {
                return None;
            }
            steps.push(Step::Field(field.to_owned()));
            rest = after;
        }
    }
    Some(steps)
}

/// What a provider's answer says: the number at `path`. A number may stand in quotes, as Prometheus
/// writes it (`"NaN"` then is not a number); `null` is no data; everything else is trouble.
pub fn answer(body: &[u8], path: &str) -> Reading {
    if body.len() > ANSWER_BYTES {
        return Reading::Trouble(Trouble::TooLong {
            limit_bytes: ANSWER_BYTES,
        });
    }
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return Reading::Trouble(Trouble::NotJson);
    };
    let absent = || {
        Reading::Trouble(Trouble::NothingThere {
            path: path.chars().take(60).collect(),
        })
    };
    let Some(steps) = steps(path) else {
        return absent();
    };
    let mut at = &value;
    for step in &steps {
        let next = match step {
            Step::Field(name) => at.get(name),
            Step::Index(index) => at.get(index),
        };
        let Some(next) = next else { return absent() };
        at = next;
    }
    number(at)
}

fn number(value: &Value) -> Reading {
    let found = match value {
        Value::Null => return Reading::Nothing,
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match found {
        Some(value) => Reading::Number(value),
        None => Reading::Trouble(Trouble::NotNumeric {
            found: value.to_string().chars().take(60).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_answering_nan_a_string_or_ten_megabytes_never_passes() {
        let read = |body: &str| answer(body.as_bytes(), "$.data.items[1].value");
        let inside = |value: &str| format!(r#"{{"data":{{"items":[0,{{"value":{value}}}]}}}}"#);
        assert_eq!(read(&inside("0.5")), Reading::Number(0.5));
        assert_eq!(read(&inside("\"12\"")), Reading::Number(12.0));
        assert!(matches!(read(&inside("\"NaN\"")), Reading::Number(x) if x.is_nan()));
        assert_eq!(read(&inside("null")), Reading::Nothing);
        for body in [
            &*inside("\"fine\""),
            &*inside("[1]"),
            "{}",
            "",
            "<html>",
            &"9".repeat(10 << 20),
            &"[".repeat(ANSWER_BYTES),
        ] {
            assert!(matches!(read(body), Reading::Trouble(_)), "{}", body.len());
        }
    }

    #[test]
    fn a_path_names_one_place() {
        assert_eq!(steps("$"), Some(vec![]));
        assert_eq!(steps("$.a[3].b-c").map(|steps| steps.len()), Some(3));
        for bad in [
            "",
            "a",
            "$.",
            "$..a",
            "$[x]",
            "$[1",
            "$a",
            &"$.a".repeat(40),
        ] {
            assert_eq!(steps(bad), None, "{bad}");
        }
    }
}
