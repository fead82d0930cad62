//! Answers: the JSON of the field's HTTP API, version 1.

use mainstay_metrics::{FloatHistogram, HistogramSample, Labels, Sample, Value};
use mainstay_promql::{Answer, AnswerSeries, Fault, Level, Outcome};
use std::fmt::Write as _;

/// What went wrong, as the field's API names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiFault {
    pub(crate) kind: &'static str,
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl ApiFault {
    /// A parameter or body that has to be changed.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self {
            kind: "bad_data",
            status: 400,
            message: message.into(),
        }
    }

    /// A parameter that has to be changed.
    pub(crate) fn parameter(name: &str, why: impl std::fmt::Display) -> Self {
        Self::bad(format!("invalid parameter \"{name}\": {why}"))
    }

    /// Something that is not to be had now.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self {
            kind: "unavailable",
            status: 503,
            message: message.into(),
        }
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Vec<u8> {
        let mut out = String::from("{\"status\":\"error\",\"errorType\":");
        text(&mut out, self.kind);
        out.push_str(",\"error\":");
        text(&mut out, &self.message);
        out.push('}');
        out.into_bytes()
    }
}

impl From<Fault> for ApiFault {
    fn from(fault: Fault) -> Self {
        let (kind, status) = match &fault {
            Fault::Parse(_) => ("bad_data", 400),
            Fault::Execution(_) | Fault::TooManySamples { .. } => ("execution", 422),
            Fault::TimedOut => ("timeout", 503),
            Fault::Source(_) => ("internal", 500),
        };
        Self {
            kind,
            status,
            message: fault.to_string(),
        }
    }
}

/// Writes a text in quotes.
pub(crate) fn text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // What a page might take for markup is written as the field writes it.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                write!(out, "\\u{:04x}", u32::from(letter)).ok();
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Writes a number as the field does: plain, with an exponent only far from one.
pub(crate) fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let written = format!("{value:e}");
        // The field writes a sign, and for large ones two digits at least.
        return match written.split_once('e') {
            Some((digits, power)) if !power.starts_with('-') => format!("{digits}e+{power}"),
            _ => written,
        };
    }
    format!("{value}")
}

/// Writes a number with an exponent of two digits, as the field writes the values of alerts.
pub(crate) fn scientific(value: f64) -> String {
    if !value.is_finite() {
        return number(value);
    }
    let written = format!("{value:e}");
    let (digits, power) = written.split_once('e').unwrap_or((&written, "0"));
    let power: i32 = power.parse().unwrap_or_default();
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.unsigned_abs())
}

/// Writes a time in seconds.
pub(crate) fn time(out: &mut String, at_ms: i64) {
    let (sign, size) = if at_ms < 0 {
        ("-", at_ms.unsigned_abs())
    } else {
        ("", at_ms.unsigned_abs())
    };
    write!(out, "{sign}{}", size / 1000).ok();
    if size % 1000 != 0 {
        write!(out, ".{:03}", size % 1000).ok();
    }
}

/// Writes labels as an object.
pub(crate) fn labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (place, label) in labels.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        text(out, &label.name);
        out.push(':');
        text(out, &label.value);
    }
    out.push('}');
}

fn point(out: &mut String, at_ms: i64, value: f64) {
    out.push('[');
    time(out, at_ms);
    write!(out, ",\"{}\"]", number(value)).ok();
}

fn histogram_point(out: &mut String, at_ms: i64, histogram: &FloatHistogram) {
    out.push('[');
    time(out, at_ms);
    write!(
        out,
        ",{{\"count\":\"{}\",\"sum\":\"{}\"",
        number(histogram.count),
        number(histogram.sum)
    )
    .ok();
    let buckets = histogram.buckets();
    let mut first = true;
    for bucket in buckets.iter().filter(|bucket| bucket.count != 0.0) {
        out.push_str(if first { ",\"buckets\":[" } else { "," });
        first = false;
        // Open left, open right, both open, both closed: 1, 0, 2, 3 … as the field numbers them.
        let rule = match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        };
        write!(
            out,
            "[{rule},\"{}\",\"{}\",\"{}\"]",
            number(bucket.lower),
            number(bucket.upper),
            number(bucket.count)
        )
        .ok();
    }
    out.push_str(if first { "}]" } else { "]}]" });
}

fn vector(out: &mut String, series: &[AnswerSeries]) {
    out.push('[');
    let mut first = true;
    for one in series {
        let Some(Sample { at_ms, value }) = one.samples.last() else {
            continue;
        };
        out.push_str(if first {
            "{\"metric\":"
        } else {
            ",{\"metric\":"
        });
        first = false;
        labels(out, &one.labels);
        match value {
            Value::Float(value) => {
                out.push_str(",\"value\":");
                point(out, *at_ms, *value);
            }
            Value::Histogram(histogram) => {
                out.push_str(",\"histogram\":");
                histogram_point(out, *at_ms, histogram);
            }
        }
        out.push('}');
    }
    out.push(']');
}

fn matrix(out: &mut String, series: &[AnswerSeries]) {
    out.push('[');
    for (place, one) in series.iter().enumerate() {
        out.push_str(if place == 0 {
            "{\"metric\":"
        } else {
            ",{\"metric\":"
        });
        labels(out, &one.labels);
        let floats = one.samples.iter().filter_map(|sample| match sample.value {
            Value::Float(value) => Some((sample.at_ms, value)),
            Value::Histogram(_) => None,
        });
        for (place, (at_ms, value)) in floats.clone().enumerate() {
            out.push_str(if place == 0 { ",\"values\":[" } else { "," });
            point(out, at_ms, value);
        }
        if floats.count() > 0 {
            out.push(']');
        }
        let histograms = one.samples.iter().filter_map(|sample| match &sample.value {
            Value::Histogram(histogram) => Some(HistogramSample {
                at_ms: sample.at_ms,
                histogram: histogram.clone(),
            }),
            Value::Float(_) => None,
        });
        let mut any = false;
        for sample in histograms {
            out.push_str(if any { "," } else { ",\"histograms\":[" });
            any = true;
            histogram_point(out, sample.at_ms, &sample.histogram);
        }
        if any {
            out.push(']');
        }
        out.push('}');
    }
    out.push(']');
}

/// Writes what a query has come to, with its remarks.
pub(crate) fn outcome(
    mut outcome: Outcome,
    query: &str,
    at_ms: i64,
    remarks: Vec<String>,
    limit: Option<usize>,
) -> Vec<u8> {
    let mut warnings = remarks;
    let mut infos = Vec::new();
    for one in &outcome.annotations {
        let list = match one.level {
            Level::Warning => &mut warnings,
            Level::Info => &mut infos,
        };
        list.push(one.message(query));
    }
    if let (Some(limit), Answer::Vector(series) | Answer::Matrix(series)) =
        (limit, &mut outcome.answer)
        && series.len() > limit
    {
        series.truncate(limit);
        warnings.push("results truncated due to limit".into());
    }
    let mut out = String::with_capacity(4096);
    out.push_str("{\"status\":\"success\",\"data\":{\"resultType\":");
    match &outcome.answer {
        Answer::Scalar { at_ms, value } => {
            out.push_str("\"scalar\",\"result\":");
            point(&mut out, *at_ms, *value);
        }
        Answer::Text(found) => {
            out.push_str("\"string\",\"result\":[");
            time(&mut out, at_ms);
            out.push(',');
            text(&mut out, found);
            out.push(']');
        }
        Answer::Vector(series) => {
            out.push_str("\"vector\",\"result\":");
            vector(&mut out, series);
        }
        Answer::Matrix(series) => {
            out.push_str("\"matrix\",\"result\":");
            matrix(&mut out, series);
        }
    }
    out.push('}');
    remarks_into(&mut out, "warnings", &warnings);
    remarks_into(&mut out, "infos", &infos);
    out.push('}');
    out.into_bytes()
}

fn remarks_into(out: &mut String, name: &str, remarks: &[String]) {
    if remarks.is_empty() {
        return;
    }
    write!(out, ",\"{name}\":").ok();
    list(out, remarks.iter().map(String::as_str));
}

/// Writes texts as a list.
pub(crate) fn list<'a>(out: &mut String, texts: impl IntoIterator<Item = &'a str>) {
    out.push('[');
    for (place, one) in texts.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        text(out, one);
    }
    out.push(']');
}

/// Puts data that are JSON already into an answer.
pub(crate) fn success(data: &str) -> Vec<u8> {
    format!("{{\"status\":\"success\",\"data\":{data}}}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_the_fields() {
        for (value, expected) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (-0.0, "-0"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-7"),
            (1e-6, "0.000001"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(number(value), expected);
        }
        assert_eq!(scientific(1.0), "1e+00");
        assert_eq!(scientific(0.015), "1.5e-02");
        assert_eq!(scientific(f64::INFINITY), "+Inf");
        for (at_ms, expected) in [
            (1_435_781_430_781, "1435781430.781"),
            (5000, "5"),
            (-1500, "-1.500"),
            (50, "0.050"),
        ] {
            let mut out = String::new();
            time(&mut out, at_ms);
            assert_eq!(out, expected);
        }
        let mut out = String::new();
        text(&mut out, "a\"<b>\u{1}");
        assert_eq!(out, r#""a\"\u003cb\u003e\u0001""#);
    }
}
