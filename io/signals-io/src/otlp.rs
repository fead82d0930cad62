//! OTLP: metrics as OpenTelemetry's exporters send them over HTTP, as protocol buffers or as JSON.
//!
//! They become series as the field's translation says it: names and units as suffixes, `job` and `instance` from
//! the resource, its other attributes in `target_info`. Sums that only say what changed cannot be stored as they
//! are and are refused, as in the field.

mod family;
mod json;
mod point;
mod proto;
mod sheet;

use crate::remote::Series;
use mainstay_metrics::{FloatHistogram, Labels, LabelsBuilder, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use family::{Families, Kinds, Ready, Role, kin, share};
pub(crate) use json::read as read_json;
pub(crate) use point::Writer;
pub(crate) use proto::read as read_proto;
pub(crate) use sheet::{Origin, Shape, Sheet, Targets, meta};

/// Attributes by name.
pub(crate) type Attributes = BTreeMap<String, String>;

/// What one resource says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Resource {
    pub(crate) attributes: Attributes,
    pub(crate) metrics: Vec<Metric>,
}

/// A metric with its points.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) kind: Kind,
    /// Whether values add up from a start; differences do not.
    pub(crate) is_cumulative: bool,
    pub(crate) points: Vec<Point>,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Gauge,
    Counter,
    Histogram,
    Exponential,
    Summary,
}

/// A point of any kind; what a kind does not have stays empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Point {
    pub(crate) attributes: Attributes,
    pub(crate) at_ms: i64,
    pub(crate) value: f64,
    pub(crate) count: f64,
    pub(crate) sum: Option<f64>,
    pub(crate) counts: Vec<f64>,
    pub(crate) bounds: Vec<f64>,
    pub(crate) quantiles: Vec<(f64, f64)>,
    pub(crate) scale: i32,
    pub(crate) zero_count: f64,
    pub(crate) zero_threshold: f64,
    pub(crate) positive: Buckets,
    pub(crate) negative: Buckets,
    /// Whether it says that there is no value any more.
    pub(crate) is_gone: bool,
}

/// Counts of neighbouring buckets from an index on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Buckets {
    pub(crate) offset: i32,
    pub(crate) counts: Vec<f64>,
}

/// Buckets of one point that are believed.
const BUCKETS_MAX: usize = 10_000;

/// Units of the field by those of OpenTelemetry.
const UNITS: [(&str, &str); 18] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("kBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("Cel", "celsius"),
    ("V", "volts"),
    ("A", "amperes"),
    ("%", "percent"),
];

/// A unit as OpenTelemetry writes it; one that is not known stays as it is.
fn unit(field: &str) -> String {
    let theirs = |unit: &str| {
        let whole = |ours: &str| ours == unit || ours.strip_suffix('s') == Some(unit);
        let found = UNITS.iter().find(|(_, ours)| whole(ours));
        found.map_or_else(|| unit.to_owned(), |(theirs, _)| (*theirs).to_owned())
    };
    match field.split_once("_per_") {
        Some((unit, per)) => format!("{}/{}", theirs(unit), theirs(per)),
        None if field == "ratio" => "1".to_owned(),
        None => theirs(field),
    }
}

/// A name with only the letters that the field's names have.
fn plain(name: &str, metric: bool) -> String {
    let mut out = String::with_capacity(name.len());
    for letter in name.chars() {
        let fits = letter.is_ascii_alphanumeric() || letter == '_' || (metric && letter == ':');
        match letter {
            _ if fits => out.push(letter),
            // Several that do not fit become one.
            _ if out.ends_with('_') => {}
            _ => out.push('_'),
        }
    }
    if out.starts_with(|letter: char| letter.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

/// The name of a metric in the field's manner.
fn metric_name(metric: &Metric) -> String {
    let mut name = plain(&metric.name, true);
    let mut push = |suffix: &str| {
        let parts: Vec<&str> = name.split('_').collect();
        if !suffix.is_empty() && !parts.contains(&suffix) {
            name = format!("{}_{suffix}", name.trim_end_matches('_'));
        }
    };
    let (unit, per) = metric.unit.split_once('/').unwrap_or((&metric.unit, ""));
    let known = |unit: &str| {
        let found = UNITS.iter().find(|(theirs, _)| *theirs == unit);
        found.map_or_else(|| plain(unit, false), |(_, ours)| (*ours).to_owned())
    };
    if !unit.contains('{') && unit != "1" {
        push(&known(unit.trim()));
    }
    if !per.is_empty() && !per.contains('{') {
        let per = known(per.trim());
        push(&format!("per_{}", per.trim_end_matches('s')));
    }
    if metric.unit == "1" && metric.kind == Kind::Gauge {
        push("ratio");
    }
    if metric.kind == Kind::Counter && !name.ends_with("_total") {
        name.push_str("_total");
    }
    name
}

/// Makes series of what was sent; returns them and how many points cannot be stored, with why.
pub(crate) fn translate(resources: &[Resource]) -> (Vec<Series>, Option<String>) {
    let mut found: BTreeMap<Labels, Vec<(i64, Value)>> = BTreeMap::new();
    let mut refused = None;
    for resource in resources {
        let base = identity(&resource.attributes);
        let mut newest_ms = None;
        for metric in &resource.metrics {
            let adds_up = !matches!(metric.kind, Kind::Gauge | Kind::Summary);
            if adds_up && !metric.is_cumulative {
                refused.get_or_insert_with(|| {
                    format!(
                        "`{}` only says what changed (delta); send sums",
                        metric.name
                    )
                });
                continue;
            }
            let name = metric_name(metric);
            for point in &metric.points {
                newest_ms = newest_ms.max(Some(point.at_ms));
                add(&mut found, &base, &name, metric.kind, point);
            }
        }
        if let Some(at_ms) = newest_ms {
            target_info(&mut found, &base, &resource.attributes, at_ms);
        }
    }
    let series = found.into_iter().map(|(labels, mut samples)| {
        samples.sort_by_key(|(at_ms, _)| *at_ms);
        Series { labels, samples }
    });
    (series.collect(), refused)
}

const IDENTITY: [&str; 3] = ["service.name", "service.namespace", "service.instance.id"];

fn identity(attributes: &Attributes) -> Labels {
    let get = |name: &str| attributes.get(name).map(String::as_str).unwrap_or_default();
    let mut builder = Labels::default().edit();
    let (name, namespace) = (get(IDENTITY[0]), get(IDENTITY[1]));
    if namespace.is_empty() {
        builder.set("job", name);
    } else {
        builder.set("job", &format!("{namespace}/{name}"));
    }
    builder.set("instance", get(IDENTITY[2]));
    builder.build()
}

/// Series that are put together.
type Gathered = BTreeMap<Labels, Vec<(i64, Value)>>;

fn target_info(found: &mut Gathered, base: &Labels, attributes: &Attributes, at_ms: i64) {
    let rest = attributes
        .iter()
        .filter(|(name, _)| !IDENTITY.contains(&name.as_str()));
    let rest: Vec<_> = rest.collect();
    // Without other attributes, or without a job to join by, it would say nothing.
    if rest.is_empty() || base.is_empty() {
        return;
    }
    let mut builder = base.edit();
    builder.set("__name__", "target_info");
    for (name, value) in rest {
        builder.set(&plain(name, false), value);
    }
    put(found, builder.build(), at_ms, Value::Float(1.0));
}

fn put(found: &mut Gathered, labels: Labels, at_ms: i64, value: Value) {
    found.entry(labels).or_default().push((at_ms, value));
}

fn add(found: &mut Gathered, base: &Labels, name: &str, kind: Kind, point: &Point) {
    let mut own = Labels::default().edit();
    for (attribute, value) in &point.attributes {
        own.set(&plain(attribute, false), value);
    }
    for label in base {
        own.set(&label.name, &label.value);
    }
    let own = own.build();
    let labels = |suffix: &str, more: &[(&str, &str)]| {
        let mut builder: LabelsBuilder = own.edit();
        builder.set("__name__", &format!("{name}{suffix}"));
        for (label, value) in more {
            builder.set(label, value);
        }
        builder.build()
    };
    let float = |value: f64| {
        Value::Float(if point.is_gone {
            mainstay_metrics::sample::stale()
        } else {
            value
        })
    };
    let at_ms = point.at_ms;
    match kind {
        Kind::Gauge | Kind::Counter => put(found, labels("", &[]), at_ms, float(point.value)),
        Kind::Exponential => {
            if let Some(histogram) = exponential(point) {
                let value = Value::Histogram(Arc::new(histogram));
                put(found, labels("", &[]), at_ms, value);
            }
        }
        Kind::Histogram => {
            let mut sum = 0.0;
            for (bound, count) in point.bounds.iter().zip(&point.counts) {
                sum += count;
                let bound = crate::answer::number(*bound);
                put(
                    found,
                    labels("_bucket", &[("le", &bound)]),
                    at_ms,
                    float(sum),
                );
            }
            put(
                found,
                labels("_bucket", &[("le", "+Inf")]),
                at_ms,
                float(point.count),
            );
            put(found, labels("_count", &[]), at_ms, float(point.count));
            if let Some(sum) = point.sum {
                put(found, labels("_sum", &[]), at_ms, float(sum));
            }
        }
        Kind::Summary => {
            for (quantile, value) in &point.quantiles {
                let quantile = crate::answer::number(*quantile);
                put(
                    found,
                    labels("", &[("quantile", &quantile)]),
                    at_ms,
                    float(*value),
                );
            }
            put(found, labels("_count", &[]), at_ms, float(point.count));
            put(
                found,
                labels("_sum", &[]),
                at_ms,
                float(point.sum.unwrap_or_default()),
            );
        }
    }
}

/// A native histogram; scales finer than 8 are merged until they are 8, coarser ones than -4 are none.
fn exponential(point: &Point) -> Option<FloatHistogram> {
    let shift = (point.scale - 8).max(0);
    let schema = point.scale.min(8);
    if schema < -4 || shift > 31 {
        return None;
    }
    let side = |buckets: &Buckets| {
        if buckets.counts.len() > BUCKETS_MAX {
            return None;
        }
        let mut merged: BTreeMap<i32, f64> = BTreeMap::new();
        for (place, count) in (0i64..).zip(&buckets.counts) {
            // Theirs are numbered by lower bounds, ours by upper ones.
            let index = ((i64::from(buckets.offset) + place) >> shift) + 1;
            *merged.entry(i32::try_from(index).ok()?).or_default() += count;
        }
        Some(FloatHistogram::packed(merged.into_iter().collect()))
    };
    Some(FloatHistogram {
        schema,
        zero_threshold: point.zero_threshold,
        zero_count: point.zero_count,
        count: point.count,
        sum: point.sum.unwrap_or_default(),
        positive: side(&point.positive)?,
        negative: side(&point.negative)?,
        ..FloatHistogram::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, unit: &str, kind: Kind) -> String {
        metric_name(&Metric {
            name: name.into(),
            unit: unit.into(),
            kind,
            ..Metric::default()
        })
    }

    #[test]
    fn names_are_the_fields() {
        for (name, unit, kind, expected) in [
            (
                "http.server.request.duration",
                "s",
                Kind::Histogram,
                "http_server_request_duration_seconds",
            ),
            (
                "http.requests",
                "{request}",
                Kind::Counter,
                "http_requests_total",
            ),
            ("memory.used", "By", Kind::Gauge, "memory_used_bytes"),
            ("memory_bytes", "By", Kind::Gauge, "memory_bytes"),
            ("cpu.utilization", "1", Kind::Gauge, "cpu_utilization_ratio"),
            ("speed", "m/s", Kind::Gauge, "speed_m_per_second"),
            ("2nd..try", "", Kind::Gauge, "_2nd_try"),
        ] {
            assert_eq!(named(name, unit, kind), expected);
        }
    }

    #[test]
    fn units_go_both_ways() {
        for (field, theirs) in [
            ("seconds", "s"),
            ("bytes", "By"),
            ("ratio", "1"),
            ("meters_per_second", "meters/s"),
            ("requests", "requests"),
        ] {
            assert_eq!(unit(field), theirs);
        }
    }

    #[test]
    fn differences_are_refused_and_the_rest_is_taken() {
        let point = Point {
            at_ms: 5,
            value: 7.0,
            ..Point::default()
        };
        let metric = |name: &str, kind, is_cumulative| Metric {
            name: name.into(),
            kind,
            is_cumulative,
            points: vec![point.clone()],
            ..Metric::default()
        };
        let resource = Resource {
            attributes: [("service.name", "api"), ("host.name", "h")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            metrics: vec![
                metric("a", Kind::Counter, false),
                metric("b", Kind::Counter, true),
            ],
        };
        let (series, refused) = translate(&[resource]);
        let labels: Vec<String> = series.iter().map(|one| one.labels.to_string()).collect();
        assert_eq!(
            labels,
            [
                "{__name__=\"b_total\", job=\"api\"}",
                "{__name__=\"target_info\", host_name=\"h\", job=\"api\"}"
            ]
        );
        assert!(refused.unwrap().contains("`a`"));
    }
}
