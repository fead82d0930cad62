//! OTLP metrics as protocol buffers: `ExportMetricsServiceRequest` of opentelemetry-proto 1.

use super::{Attributes, Buckets, Kind, Metric, Point, Resource};
use crate::wire::{self, Field};

/// Reads a request; nothing where it is none.
pub(crate) fn read(body: &[u8]) -> Option<Vec<Resource>> {
    let mut all = Vec::new();
    wire::each(body, |number, field| {
        if number == 1 {
            all.push(resource(field.bytes()?)?);
        }
        Some(())
    })?;
    Some(all)
}

fn resource(bytes: &[u8]) -> Option<Resource> {
    let mut found = Resource::default();
    wire::each(bytes, |number, field| {
        match number {
            1 => wire::each(field.bytes()?, |number, field| {
                if number == 1 {
                    attribute(field, &mut found.attributes)?;
                }
                Some(())
            })?,
            2 => wire::each(field.bytes()?, |number, field| {
                if number == 2 {
                    found.metrics.push(metric(field.bytes()?)?);
                }
                Some(())
            })?,
            _ => {}
        }
        Some(())
    })?;
    Some(found)
}

fn attribute(field: Field<'_>, into: &mut Attributes) -> Option<()> {
    let (mut name, mut value) = (String::new(), String::new());
    wire::each(field.bytes()?, |number, field| {
        match number {
            1 => field.text()?.clone_into(&mut name),
            2 => wire::each(field.bytes()?, |number, field| {
                match number {
                    1 => field.text()?.clone_into(&mut value),
                    2 => value = (field.number()? != 0).to_string(),
                    3 => value = field.signed()?.to_string(),
                    4 => value = crate::answer::number(field.float()?),
                    // Lists and maps have no place in a label.
                    _ => {}
                }
                Some(())
            })?,
            _ => {}
        }
        Some(())
    })?;
    into.insert(name, value);
    Some(())
}

fn metric(bytes: &[u8]) -> Option<Metric> {
    let mut found = Metric::default();
    wire::each(bytes, |number, field| {
        let kind = match number {
            1 => {
                field.text()?.clone_into(&mut found.name);
                return Some(());
            }
            3 => {
                field.text()?.clone_into(&mut found.unit);
                return Some(());
            }
            5 => Kind::Gauge,
            7 => Kind::Counter,
            9 => Kind::Histogram,
            10 => Kind::Exponential,
            11 => Kind::Summary,
            _ => return Some(()),
        };
        found.kind = kind;
        let mut is_monotonic = false;
        wire::each(field.bytes()?, |number, field| {
            match number {
                1 => found.points.push(point(field.bytes()?, kind)?),
                2 => found.is_cumulative = field.number()? == 2,
                3 => is_monotonic = field.number()? != 0,
                _ => {}
            }
            Some(())
        })?;
        // A sum that falls is a gauge.
        if kind == Kind::Counter && !is_monotonic && found.is_cumulative {
            found.kind = Kind::Gauge;
        }
        Some(())
    })?;
    Some(found)
}

fn milliseconds(field: Field<'_>) -> Option<i64> {
    i64::try_from(field.number()? / 1_000_000).ok()
}

fn floats(field: Field<'_>) -> Option<Vec<f64>> {
    Some(field.fixed()?.into_iter().map(f64::from_bits).collect())
}

fn counts(numbers: Vec<u64>) -> Vec<f64> {
    numbers.into_iter().map(|number| number as f64).collect()
}

fn point(bytes: &[u8], kind: Kind) -> Option<Point> {
    let mut found = Point::default();
    wire::each(bytes, |number, field| {
        match (kind, number) {
            (_, 3) => found.at_ms = milliseconds(field)?,
            (Kind::Gauge | Kind::Counter | Kind::Summary, 7)
            | (Kind::Histogram, 9)
            | (Kind::Exponential, 1) => {
                attribute(field, &mut found.attributes)?;
            }
            (Kind::Gauge | Kind::Counter, 4) => found.value = field.float()?,
            (Kind::Gauge | Kind::Counter, 6) => found.value = field.signed()? as f64,
            (Kind::Gauge | Kind::Counter | Kind::Summary, 8)
            | (Kind::Histogram | Kind::Exponential, 10) => {
                found.is_gone = field.number()? & 1 == 1;
            }
            (_, 4) => found.count = field.number()? as f64,
            (_, 5) => found.sum = Some(field.float()?),
            (Kind::Histogram, 6) => found.counts.extend(counts(field.fixed()?)),
            (Kind::Histogram, 7) => found.bounds.extend(floats(field)?),
            (Kind::Summary, 6) => found.quantiles.push(quantile(field.bytes()?)?),
            (Kind::Exponential, 6) => found.scale = i32::try_from(field.zigzag()?).ok()?,
            (Kind::Exponential, 7) => found.zero_count = field.number()? as f64,
            (Kind::Exponential, 8) => found.positive = buckets(field.bytes()?)?,
            (Kind::Exponential, 9) => found.negative = buckets(field.bytes()?)?,
            (Kind::Exponential, 14) => found.zero_threshold = field.float()?,
            _ => {}
        }
        Some(())
    })?;
    Some(found)
}

fn quantile(bytes: &[u8]) -> Option<(f64, f64)> {
    let mut found = (0.0, 0.0);
    wire::each(bytes, |number, field| {
        match number {
            1 => found.0 = field.float()?,
            2 => found.1 = field.float()?,
            _ => {}
        }
        Some(())
    })?;
    Some(found)
}

fn buckets(bytes: &[u8]) -> Option<Buckets> {
    let mut found = Buckets::default();
    wire::each(bytes, |number, field| {
        match number {
            1 => found.offset = i32::try_from(field.zigzag()?).ok()?,
            2 => found.counts.extend(counts(field.numbers()?)),
            _ => {}
        }
        Some(())
    })?;
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read() {
        let mut value = Vec::new();
        wire::put_bytes(&mut value, 1, b"api");
        let mut attribute = Vec::new();
        wire::put_bytes(&mut attribute, 1, b"service.name");
        wire::put_bytes(&mut attribute, 2, &value);
        let mut inner = Vec::new();
        wire::put_bytes(&mut inner, 1, &attribute);
        let mut point = Vec::new();
        wire::put_float(&mut point, 4, 2.5);
        wire::put_number(&mut point, 3, 5_000_000);
        let mut gauge = Vec::new();
        wire::put_bytes(&mut gauge, 1, &point);
        let mut metric = Vec::new();
        wire::put_bytes(&mut metric, 1, b"load");
        wire::put_bytes(&mut metric, 5, &gauge);
        let mut scope = Vec::new();
        wire::put_bytes(&mut scope, 2, &metric);
        let mut resource = Vec::new();
        wire::put_bytes(&mut resource, 1, &inner);
        wire::put_bytes(&mut resource, 2, &scope);
        let mut body = Vec::new();
        wire::put_bytes(&mut body, 1, &resource);
        let read = read(&body).unwrap();
        assert_eq!(read[0].attributes["service.name"], "api");
        let metric = &read[0].metrics[0];
        assert_eq!((metric.name.as_str(), metric.kind), ("load", Kind::Gauge));
        assert_eq!((metric.points[0].at_ms, metric.points[0].value), (5, 2.5));
        for cut in 1..body.len() {
            // Cut anywhere, it is refused or read in part, and never more.
            drop(super::read(&body[..cut]));
        }
    }
}
