//! OTLP metrics as JSON: names in camel case, large integers as texts.

use super::{Attributes, Buckets, Kind, Metric, Point, Resource};
use serde_json::Value;

/// Reads a request; nothing where it is none.
pub(crate) fn read(body: &[u8]) -> Option<Vec<Resource>> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let resources = value.as_object()?.get("resourceMetrics");
    Some(list(resources).map(resource).collect())
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn resource(value: &Value) -> Resource {
    let scopes = list(value.get("scopeMetrics"));
    Resource {
        attributes: attributes(value.get("resource").unwrap_or(&Value::Null)),
        metrics: scopes
            .flat_map(|scope| list(scope.get("metrics")))
            .map(metric)
            .collect(),
    }
}

fn attributes(of: &Value) -> Attributes {
    let pairs = list(of.get("attributes")).filter_map(|pair| {
        let (kind, value) = pair.get("value")?.as_object()?.iter().next()?;
        let text = match (kind.as_str(), value) {
            ("stringValue" | "intValue", Value::String(text)) => text.clone(),
            ("boolValue", Value::Bool(truth)) => truth.to_string(),
            ("intValue" | "doubleValue", Value::Number(number)) => number.to_string(),
            // Lists and maps have no place in a label.
            _ => String::new(),
        };
        Some((pair.get("key")?.as_str()?.to_owned(), text))
    });
    pairs.collect()
}

fn text(of: &Value, name: &str) -> String {
    of.get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A number, or a text that is one.
fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok(),
        },
        _ => None,
    }
}

fn numbers(value: Option<&Value>) -> Vec<f64> {
    list(value).filter_map(|one| number(Some(one))).collect()
}

fn metric(value: &Value) -> Metric {
    let kinds = [
        ("gauge", Kind::Gauge),
        ("sum", Kind::Counter),
        ("histogram", Kind::Histogram),
        ("exponentialHistogram", Kind::Exponential),
        ("summary", Kind::Summary),
    ];
    let found = kinds
        .into_iter()
        .find_map(|(name, kind)| Some((value.get(name)?, kind)));
    let (data, mut kind) = found.unwrap_or((&Value::Null, Kind::Gauge));
    let is_cumulative = match data.get("aggregationTemporality") {
        Some(Value::String(text)) => text == "AGGREGATION_TEMPORALITY_CUMULATIVE",
        other => number(other) == Some(2.0),
    };
    let is_monotonic = data
        .get("isMonotonic")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    // A sum that falls is a gauge.
    if kind == Kind::Counter && !is_monotonic && is_cumulative {
        kind = Kind::Gauge;
    }
    Metric {
        name: text(value, "name"),
        unit: text(value, "unit"),
        kind,
        is_cumulative,
        points: list(data.get("dataPoints")).map(point).collect(),
    }
}

fn point(value: &Value) -> Point {
    let nanoseconds = match value.get("timeUnixNano") {
        Some(Value::String(text)) => text.parse::<u64>().unwrap_or_default(),
        Some(Value::Number(number)) => number.as_u64().unwrap_or_default(),
        _ => 0,
    };
    let buckets = |name: &str| {
        let side = value.get(name).unwrap_or(&Value::Null);
        Buckets {
            offset: number(side.get("offset")).unwrap_or_default() as i32,
            counts: numbers(side.get("bucketCounts")),
        }
    };
    let own = |name: &str| number(value.get(name));
    let quantiles = list(value.get("quantileValues")).map(|one| {
        let part = |name: &str| number(one.get(name)).unwrap_or_default();
        (part("quantile"), part("value"))
    });
    Point {
        attributes: attributes(value),
        at_ms: i64::try_from(nanoseconds / 1_000_000).unwrap_or(i64::MAX),
        value: own("asDouble").or_else(|| own("asInt")).unwrap_or_default(),
        count: own("count").unwrap_or_default(),
        sum: own("sum"),
        counts: numbers(value.get("bucketCounts")),
        bounds: numbers(value.get("explicitBounds")),
        quantiles: quantiles.collect(),
        scale: own("scale").unwrap_or_default() as i32,
        zero_count: own("zeroCount").unwrap_or_default(),
        zero_threshold: own("zeroThreshold").unwrap_or_default(),
        positive: buckets("positive"),
        negative: buckets("negative"),
        is_gone: own("flags").unwrap_or_default() as u64 & 1 == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder of the example, or nothing where it is absent.
    fn example() -> Option<Vec<u8>> {
        let root = std::env::var_os("MAINSTAY_CONFORMANCE").map(std::path::PathBuf::from);
        let folder = root.or_else(|| {
            let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
            let mut above = here
                .ancestors()
                .map(|folder| folder.join("../shared/conformance"));
            above.find(|folder| folder.is_dir())
        });
        std::fs::read(folder?.join("otlp/metrics.json")).ok()
    }

    #[test]
    fn the_projects_example_is_read() {
        let Some(body) = example() else {
            eprintln_skipped();
            return;
        };
        let read = read(&body).unwrap();
        let kinds: Vec<Kind> = read[0].metrics.iter().map(|metric| metric.kind).collect();
        assert_eq!(
            kinds,
            [
                Kind::Counter,
                Kind::Gauge,
                Kind::Histogram,
                Kind::Exponential
            ]
        );
        let (series, refused) = crate::otlp::translate(&read);
        assert!(refused.unwrap().contains("my.counter"));
        let gauge = series
            .iter()
            .find(|one| one.labels.metric() == "my_gauge_ratio")
            .unwrap();
        assert_eq!(gauge.labels.get("job"), "my.service");
        assert_eq!(gauge.samples[0].0, 1_544_712_660_300);
    }

    #[expect(clippy::print_stderr, reason = "a test says what it does not do")]
    fn eprintln_skipped() {
        eprintln!("skipped: ../shared/conformance/otlp is absent");
    }
}
