//! Series as rule tests and the acceptance language write them: `up{job="a"} 0+1x10 _ stale {{count:3}}`.

use crate::lexer::unquote;
use mainstay_metrics::label::NAME;
use mainstay_metrics::sample::stale;
use mainstay_metrics::{FloatHistogram, Labels, LabelsBuilder, ResetHint, Value};

/// Most samples that one line may stand for.
const POINTS_MAX: usize = 1_000_000;

/// Why a line is not a series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotationFault(String);

type Read<T> = Result<T, NotationFault>;

fn fault<T>(why: impl Into<String>) -> Read<T> {
    Err(NotationFault(why.into()))
}

/// Reads a label set at the beginning of a text; returns what follows.
pub fn labels(text: &str) -> Read<(Labels, &str)> {
    let text = text.trim_start();
    let length = text
        .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(length);
    let mut builder = LabelsBuilder::default();
    builder.set(NAME, name);
    if !rest.starts_with('{') || rest.starts_with("{{") {
        if name.is_empty() {
            return fault(format!(
                "no series in `{}`",
                text.chars().take(80).collect::<String>()
            ));
        }
        return Ok((builder.build(), rest));
    }
    let mut rest = rest[1..].trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((builder.build(), after));
        }
        let (name, quoted, after) = label_name(rest)?;
        rest = after.trim_start();
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            let Some(quote) = after
                .chars()
                .next()
                .filter(|quote| matches!(quote, '"' | '\'' | '`'))
            else {
                return fault(format!("label `{name}` has no value"));
            };
            let (value, length) = unquote(after, quote).map_err(NotationFault)?;
            builder.set(&name, &String::from_utf8_lossy(&value));
            rest = after[length..].trim_start();
        } else if quoted {
            builder.set(NAME, &name);
        } else {
            return fault(format!("label `{name}` has no value"));
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return fault("a comma or a brace is missing between labels"),
        }
    }
}

fn label_name(text: &str) -> Read<(String, bool, &str)> {
    if let Some(quote) = text
        .chars()
        .next()
        .filter(|quote| matches!(quote, '"' | '\'' | '`'))
    {
        let (name, length) = unquote(text, quote).map_err(NotationFault)?;
        return Ok((
            String::from_utf8_lossy(&name).into_owned(),
            true,
            &text[length..],
        ));
    }
    let length = text
        .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
        .unwrap_or(text.len());
    if length == 0 {
        return fault("a label has no name");
    }
    Ok((text[..length].to_owned(), false, &text[length..]))
}

/// Reads points: one place a step, nothing where there is no sample.
pub fn points(text: &str) -> Read<Vec<Option<Value>>> {
    let mut points = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        rest = if rest.starts_with("{{") {
            histograms(rest, &mut points)?
        } else {
            floats(rest, &mut points)?
        };
        if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
            return fault(format!(
                "points must be apart: `{}`",
                rest.chars().take(40).collect::<String>()
            ));
        }
        rest = rest.trim_start();
        if points.len() > POINTS_MAX {
            return fault(format!("a line stands for more than {POINTS_MAX} samples"));
        }
    }
    Ok(points)
}

/// Reads a float with its repetition.
fn floats<'a>(text: &'a str, points: &mut Vec<Option<Value>>) -> Read<&'a str> {
    if let Some(rest) = text.strip_prefix('_') {
        let (times, rest) = times(rest)?;
        points.extend(std::iter::repeat_n(None, times.unwrap_or(1)));
        return Ok(rest);
    }
    let (start, rest) = match text.strip_prefix("stale") {
        Some(rest) => (stale(), rest),
        None => number(text)?,
    };
    let (step, rest) = if rest.starts_with(['+', '-']) {
        let negative = rest.starts_with('-');
        let (step, rest) = number(&rest[1..])?;
        (if negative { -step } else { step }, rest)
    } else {
        (0.0, rest)
    };
    let (times, rest) = times(rest)?;
    let mut value = start;
    points.push(Some(Value::Float(value)));
    for _ in 0..times.unwrap_or(0) {
        if step != 0.0 {
            value += step;
        }
        points.push(Some(Value::Float(value)));
    }
    Ok(rest)
}

/// Reads `xN`.
fn times(text: &str) -> Read<(Option<usize>, &str)> {
    let Some(digits) = text.strip_prefix('x') else {
        return Ok((None, text));
    };
    let length = digits
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(digits.len());
    match digits[..length].parse() {
        Ok(times) if times <= POINTS_MAX => Ok((Some(times), &digits[length..])),
        _ => fault(format!("no repetition in `x{}`", &digits[..length])),
    }
}

/// Reads a float at the beginning of a text. Hexadecimal numbers do not exist here: `0x3` is four zeros.
fn number(text: &str) -> Read<(f64, &str)> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let sign = text.len() - unsigned.len();
    for (word, value) in [("inf", f64::INFINITY), ("nan", f64::NAN)] {
        if unsigned
            .get(..3)
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
        {
            let value = if text.starts_with('-') { -value } else { value };
            return Ok((value, &unsigned[3..]));
        }
    }
    let bytes = unsigned.as_bytes();
    let mut end = 0;
    while end < bytes.len() {
        let exponent = end > 0 && matches!(bytes[end - 1], b'e' | b'E');
        let fits = bytes[end].is_ascii_digit()
            || matches!(bytes[end], b'.' | b'e' | b'E')
            || (exponent && matches!(bytes[end], b'+' | b'-'));
        if !fits {
            break;
        }
        end += 1;
    }
    match text[..sign + end].parse() {
        Ok(value) if sign <= 1 => Ok((value, &text[sign + end..])),
        _ => fault(format!(
            "no number in `{}`",
            text.chars().take(40).collect::<String>()
        )),
    }
}

/// Reads a histogram with its repetition.
fn histograms<'a>(text: &'a str, points: &mut Vec<Option<Value>>) -> Read<&'a str> {
    let (start, rest) = histogram(text)?;
    let (step, rest) = if rest.starts_with("+{{") || rest.starts_with("-{{") {
        let (step, after) = histogram(&rest[1..])?;
        (Some((step, rest.starts_with('-'))), after)
    } else {
        (None, rest)
    };
    let (times, rest) = times(rest)?;
    let mut value = start;
    let mut push =
        |value: &FloatHistogram| points.push(Some(Value::Histogram(value.clone().into())));
    push(&value);
    for _ in 0..times.unwrap_or(0) {
        if let Some((step, negative)) = &step {
            let hint = value.hint;
            let joined = if *negative {
                value.subtract(step)
            } else {
                value.add(step)
            };
            joined.map_err(|incompatible| NotationFault(incompatible.to_string()))?;
            value.hint = hint;
        }
        push(&value);
    }
    Ok(rest)
}

/// Reads `{{key:value …}}` at the beginning of a text.
fn histogram(text: &str) -> Read<(FloatHistogram, &str)> {
    let Some((inner, rest)) = text
        .strip_prefix("{{")
        .and_then(|text| text.split_once("}}"))
    else {
        return fault("a histogram does not end");
    };
    let mut histogram = FloatHistogram::default();
    let (mut buckets, mut offset) = (Vec::new(), 0);
    let (mut negative, mut negative_offset) = (Vec::new(), 0);
    let mut left = inner.trim();
    while !left.is_empty() {
        let Some((key, after)) = left.split_once(':') else {
            return fault(format!("`{left}` is no pair of a histogram"));
        };
        let (value, after) = if let Some(list) = after.strip_prefix('[') {
            list.split_once(']')
                .ok_or_else(|| NotationFault("a list does not end".into()))?
        } else {
            let end = after.find([' ', '\t']).unwrap_or(after.len());
            after.split_at(end)
        };
        let single = || float(value);
        match key {
            "schema" => histogram.schema = single()? as i32,
            "sum" => histogram.sum = single()?,
            "count" => histogram.count = single()?,
            "z_bucket" => histogram.zero_count = single()?,
            "z_bucket_w" => histogram.zero_threshold = single()?,
            "buckets" => buckets = list(value)?,
            "n_buckets" => negative = list(value)?,
            "offset" => offset = single()? as i32,
            "n_offset" => negative_offset = single()? as i32,
            "custom_values" => histogram.bounds = list(value)?.into(),
            "counter_reset_hint" => histogram.hint = hint(value)?,
            other => return fault(format!("a histogram has no `{other}`")),
        }
        left = after.trim_start();
    }
    let indexed =
        |counts: Vec<f64>, offset: i32| FloatHistogram::packed((offset..).zip(counts).collect());
    histogram.positive = indexed(buckets, offset);
    histogram.negative = indexed(negative, negative_offset);
    Ok((histogram, rest))
}

fn float(text: &str) -> Read<f64> {
    match number(text)? {
        (value, "") => Ok(value),
        _ => fault(format!("`{text}` is no number")),
    }
}

fn list(text: &str) -> Read<Vec<f64>> {
    text.split_whitespace().map(float).collect()
}

fn hint(text: &str) -> Read<ResetHint> {
    Ok(match text {
        "unknown" => ResetHint::Unknown,
        "reset" => ResetHint::Reset,
        "not_reset" => ResetHint::NotReset,
        "gauge" => ResetHint::Gauge,
        _ => return fault(format!("`{text}` is no counter reset hint")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats_of(text: &str) -> Vec<Option<f64>> {
        let float = |value| match value {
            Value::Float(value) => value,
            Value::Histogram(_) => f64::NAN,
        };
        points(text)
            .unwrap()
            .into_iter()
            .map(|point| point.map(float))
            .collect()
    }

    #[test]
    fn points_repeat_and_step() {
        assert_eq!(floats_of("1 _ -2.5"), [Some(1.0), None, Some(-2.5)]);
        assert_eq!(
            floats_of("1+2x2 _x2 3x1"),
            [
                Some(1.0),
                Some(3.0),
                Some(5.0),
                None,
                None,
                Some(3.0),
                Some(3.0)
            ]
        );
        assert_eq!(
            floats_of("0x2 1-1x1 1e3"),
            [
                Some(0.0),
                Some(0.0),
                Some(0.0),
                Some(1.0),
                Some(0.0),
                Some(1000.0)
            ]
        );
        assert!(points("1+").is_err());
        assert!(points("1x99999999").is_err());
    }

    #[test]
    fn labels_are_read_in_any_quotes() {
        let (labels, rest) = labels("a:b{x='1', \"y.z\"=\"2\",} 5").unwrap();
        assert_eq!(
            (labels.to_string().as_str(), rest),
            (r#"{__name__="a:b", x="1", "y.z"="2"}"#, " 5")
        );
    }

    #[test]
    fn histograms_are_read() {
        let points = points("{{schema:1 count:3 sum:2 buckets:[1 0 2] offset:-1 counter_reset_hint:gauge}}+{{count:1}}x1").unwrap();
        let Some(Value::Histogram(second)) = &points[1] else {
            panic!("a histogram");
        };
        assert_eq!(
            (second.count, second.hint, second.schema),
            (4.0, ResetHint::Gauge, 0)
        );
    }
}
