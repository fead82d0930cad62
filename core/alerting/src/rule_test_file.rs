//! Rule tests in promtool's format: reading the file.

use crate::document::{Place, parse};
use crate::fault::FileFault;
use crate::reader::{Fields, Reader, Value};
use crate::rule::Query;
use mainstay_metrics::{Labels, Value as Number};
use mainstay_promql::notation;
use std::collections::BTreeMap;

/// A file of rule tests.
#[derive(Debug, Clone)]
pub struct RuleTests {
    /// Rule files, as paths or patterns beside the test file.
    pub rule_files: Vec<String>,
    /// How often rules run, in milliseconds.
    pub evaluation_interval_ms: i64,
    /// Names of groups in the order in which they run.
    pub group_order: Vec<String>,
    /// Whether values may differ in their last place.
    pub fuzzy: bool,
    /// The tests.
    pub tests: Vec<RuleTest>,
}

/// One test: series, and what is expected of them.
#[derive(Debug, Clone)]
pub struct RuleTest {
    /// Its name, or its place in the file.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// The step of the series, in milliseconds.
    pub interval_ms: i64,
    /// The series, a place a step.
    pub series: Vec<(Labels, Vec<Option<Number>>)>,
    /// Labels of the installation.
    pub external_labels: Labels,
    /// The address of the installation.
    pub external_url: String,
    /// When it begins, in milliseconds since 1970.
    pub start_ms: i64,
    /// Which alerts fire when.
    pub alerts: Vec<AlertTest>,
    /// What queries yield when.
    pub queries: Vec<QueryTest>,
}

/// Which alerts of a name fire at a time.
#[derive(Debug, Clone)]
pub struct AlertTest {
    /// Where it stands.
    pub place: Place,
    /// When, in milliseconds from the start.
    pub at_ms: i64,
    /// The alert's name.
    pub alert: String,
    /// The alerts: labels without `alertname`, and annotations.
    pub expected: Vec<(Labels, BTreeMap<String, String>)>,
}

/// What a query yields at a time.
#[derive(Debug, Clone)]
pub struct QueryTest {
    /// Where it stands.
    pub place: Place,
    /// When, in milliseconds from the start.
    pub at_ms: i64,
    /// The query.
    pub query: Query,
    /// Its result.
    pub expected: Vec<(Labels, Number)>,
}

/// Reads a file of rule tests.
pub fn read_rule_tests(file: &str, text: &str) -> Result<RuleTests, Vec<FileFault>> {
    let place = Place { line: 1, column: 1 };
    let empty = || vec![FileFault::new(file, place, "", "the file holds no `tests`")];
    let root = parse(file, text)
        .map_err(|fault| vec![fault])?
        .ok_or_else(empty)?;
    let mut reader = Reader::new(file);
    let root = Value {
        node: &root,
        path: String::new(),
    };
    let known = [
        "rule_files",
        "evaluation_interval",
        "group_eval_order",
        "tests",
        "fuzzy_compare",
    ];
    let fields = reader.map(&root, &known);
    let interval = above_zero(&mut reader, &fields, "evaluation_interval").unwrap_or(60_000);
    let group_order = reader.texts_of(&fields, "group_eval_order");
    for (place, name) in group_order.iter().enumerate() {
        if group_order[..place].contains(name) {
            let message = format!("group `{name}` is there twice");
            reader.fault(fields.place, "group_eval_order", message);
        }
    }
    let listed = fields
        .get("tests")
        .map(|value| reader.list(&value))
        .unwrap_or_default();
    let tests = listed
        .iter()
        .map(|value| test(&mut reader, value, interval))
        .collect();
    let tests = RuleTests {
        rule_files: reader.texts_of(&fields, "rule_files"),
        evaluation_interval_ms: interval,
        group_order,
        fuzzy: reader.truth_of(&fields, "fuzzy_compare").unwrap_or(false),
        tests,
    };
    reader.end(tests)
}

fn above_zero(reader: &mut Reader, fields: &Fields<'_>, key: &str) -> Option<i64> {
    reader
        .duration_of(fields, key)
        .filter(|duration| *duration > 0)
}

fn test(reader: &mut Reader, value: &Value<'_>, evaluation_ms: i64) -> RuleTest {
    let known = [
        "interval",
        "input_series",
        "alert_rule_test",
        "promql_expr_test",
        "external_labels",
        "external_url",
        "name",
        "start_timestamp",
    ];
    let fields = reader.map(value, &known);
    let name = reader.text_of(&fields, "name");
    let external = reader.pairs_of(&fields, "external_labels");
    let listed = |reader: &mut Reader, key: &str| {
        let value = fields.get(key);
        value.map(|value| reader.list(&value)).unwrap_or_default()
    };
    let series = listed(reader, "input_series");
    let alerts = listed(reader, "alert_rule_test");
    let queries = listed(reader, "promql_expr_test");
    RuleTest {
        name: if name.is_empty() {
            value.path.clone()
        } else {
            name
        },
        place: value.place(),
        interval_ms: above_zero(reader, &fields, "interval").unwrap_or(evaluation_ms),
        series: series
            .iter()
            .filter_map(|value| input(reader, value))
            .collect(),
        external_labels: Labels::new(external.iter().map(|pair| (&pair.name, &pair.value))),
        external_url: reader.text_of(&fields, "external_url"),
        start_ms: start(reader, &fields),
        alerts: alerts.iter().map(|value| alert(reader, value)).collect(),
        queries: queries
            .iter()
            .filter_map(|value| query(reader, value))
            .collect(),
    }
}

/// Seconds since 1970, or a time as RFC 3339 writes it.
fn start(reader: &mut Reader, fields: &Fields<'_>) -> i64 {
    let Some(value) = fields.get("start_timestamp") else {
        return 0;
    };
    let text = reader.text(&value);
    let seconds = text
        .parse::<f64>()
        .ok()
        .filter(|seconds| seconds.abs() < 1e12);
    let seconds = seconds.map(|seconds| (seconds * 1000.0) as i64);
    let time = || {
        text.parse::<jiff::Timestamp>()
            .ok()
            .map(jiff::Timestamp::as_millisecond)
    };
    seconds.or_else(time).unwrap_or_else(|| {
        let message = format!(
            "`{text}` is neither seconds since 1970 nor a time such as `2026-01-01T00:00:00Z`"
        );
        reader.fault(value.place(), &value.path, message);
        0
    })
}

fn input(reader: &mut Reader, value: &Value<'_>) -> Option<(Labels, Vec<Option<Number>>)> {
    let fields = reader.map(value, &["series", "values"]);
    let labels = series_labels(reader, &fields, "series")?;
    let values = fields.get("values");
    let text = values
        .as_ref()
        .map(|value| reader.text(value))
        .unwrap_or_default();
    match notation::points(&text) {
        Ok(points) => Some((labels, points)),
        Err(fault) => {
            let place = values.map_or(fields.place, |value| value.place());
            reader.fault(place, &fields.path, fault.to_string());
            None
        }
    }
}

/// Labels in the notation of series; none where the key is absent.
fn series_labels(reader: &mut Reader, fields: &Fields<'_>, key: &str) -> Option<Labels> {
    let Some(value) = fields.get(key) else {
        return Some(Labels::default());
    };
    let text = reader.text(&value);
    if text.trim().is_empty() {
        return Some(Labels::default());
    }
    let why = match notation::labels(&text) {
        Ok((labels, rest)) if rest.trim().is_empty() => return Some(labels),
        Ok((_, rest)) => format!("`{}` follows the series", rest.trim()),
        Err(fault) => fault.to_string(),
    };
    reader.fault(value.place(), &value.path, why);
    None
}

fn at(reader: &mut Reader, fields: &Fields<'_>) -> i64 {
    reader.duration_of(fields, "eval_time").unwrap_or(0)
}

fn alert(reader: &mut Reader, value: &Value<'_>) -> AlertTest {
    let fields = reader.map(value, &["eval_time", "alertname", "exp_alerts"]);
    let name = reader.text_of(&fields, "alertname");
    if name.is_empty() {
        reader.fault(fields.place, &fields.path, "`alertname` is missing");
    }
    let listed = fields
        .get("exp_alerts")
        .map(|value| reader.list(&value))
        .unwrap_or_default();
    let expected = listed.iter().map(|value| {
        let fields = reader.map(value, &["exp_labels", "exp_annotations"]);
        let labels = reader.pairs_of(&fields, "exp_labels");
        let annotations = reader.pairs_of(&fields, "exp_annotations");
        (
            Labels::new(labels.iter().map(|pair| (&pair.name, &pair.value))),
            annotations
                .into_iter()
                .map(|pair| (pair.name, pair.value))
                .collect(),
        )
    });
    AlertTest {
        place: value.place(),
        alert: name,
        expected: expected.collect(),
        at_ms: at(reader, &fields),
    }
}

fn query(reader: &mut Reader, value: &Value<'_>) -> Option<QueryTest> {
    let fields = reader.map(value, &["expr", "eval_time", "exp_samples"]);
    let text = reader.text_of(&fields, "expr");
    let query = match Query::parse(&text) {
        Ok(query) => Some(query),
        Err(fault) => {
            let place = fields
                .get("expr")
                .map_or(fields.place, |value| value.place());
            reader.fault(
                place,
                &fields.path,
                format!("could not parse expression: {fault}"),
            );
            None
        }
    };
    let listed = fields
        .get("exp_samples")
        .map(|value| reader.list(&value))
        .unwrap_or_default();
    let expected = listed
        .iter()
        .filter_map(|value| sample(reader, value))
        .collect();
    Some(QueryTest {
        place: value.place(),
        at_ms: at(reader, &fields),
        query: query?,
        expected,
    })
}

fn sample(reader: &mut Reader, value: &Value<'_>) -> Option<(Labels, Number)> {
    let fields = reader.map(value, &["labels", "value", "histogram"]);
    let labels = series_labels(reader, &fields, "labels")?;
    let (key, text) = match fields.get("histogram") {
        Some(value) => ("histogram", reader.text(&value)),
        None => ("value", reader.text_of(&fields, "value")),
    };
    let text = if text.is_empty() { "0" } else { &text };
    let number = match yaml_number(text) {
        Some(number) => Some(Number::Float(number)),
        None => notation::points(text)
            .ok()
            .and_then(|points| match points.as_slice() {
                [Some(value)] => Some(value.clone()),
                _ => None,
            }),
    };
    if number.is_none() {
        let place = fields.get(key).map_or(fields.place, |value| value.place());
        reader.fault(place, &fields.path, format!("`{text}` is not one value"));
    }
    Some((labels, number?))
}

/// A number as YAML writes it: `.inf`, `1e3`, `0x10`.
fn yaml_number(text: &str) -> Option<f64> {
    let lower = text.to_lowercase();
    let (sign, rest) = match lower.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, lower.strip_prefix('+').unwrap_or(&lower)),
    };
    match rest {
        ".inf" => Some(sign * f64::INFINITY),
        ".nan" => Some(f64::NAN),
        _ => {
            let hexadecimal = rest
                .strip_prefix("0x")
                .and_then(|digits| i64::from_str_radix(digits, 16).ok());
            hexadecimal
                .map(|number| sign * number as f64)
                .or_else(|| text.parse().ok())
        }
    }
}
