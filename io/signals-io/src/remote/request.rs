//! A request of version 2.0: texts once for all of its series, and with each series what is known of its metric.
//!
//! The source: the specification of remote-write 2.0, `io.prometheus.write.v2.Request`.

use super::out::put_samples;
use crate::metadata::Meta;
use crate::wire;
use mainstay_metrics::{Label, Run};
use std::collections::HashMap;

/// Kinds of metrics by their numbers.
const KINDS: [&str; 8] = [
    "",
    "counter",
    "gauge",
    "histogram",
    "gaugehistogram",
    "summary",
    "info",
    "stateset",
];

/// A request in the making.
#[derive(Debug)]
pub(crate) struct Request {
    numbers: HashMap<String, u64>,
    symbols: Vec<u8>,
    series: Vec<u8>,
}

impl Default for Request {
    fn default() -> Self {
        let mut request = Self {
            numbers: HashMap::new(),
            symbols: Vec::new(),
            series: Vec::new(),
        };
        // Zero says that there is no text, so the first one is empty.
        request.number("");
        request
    }
}

impl Request {
    /// Bytes of it so far.
    pub(crate) fn bytes(&self) -> usize {
        self.symbols.len() + self.series.len()
    }

    fn number(&mut self, text: &str) -> u64 {
        if let Some(known) = self.numbers.get(text) {
            return *known;
        }
        let number = self.numbers.len() as u64;
        wire::put_bytes(&mut self.symbols, 4, text.as_bytes());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    /// Adds a run of a series.
    pub(crate) fn put(&mut self, labels: &[&Label], run: Run<'_>, meta: Option<&Meta>) {
        let mut series = Vec::with_capacity(64 + 16 * run.len());
        let mut references = Vec::with_capacity(2 * labels.len());
        for label in labels {
            references.push(self.number(&label.name));
            references.push(self.number(&label.value));
        }
        wire::put_numbers(&mut series, 1, references);
        put_samples(&mut series, run, 3);
        if let Some(meta) = meta {
            let kind = KINDS.iter().position(|kind| *kind == meta.kind);
            let mut part = Vec::new();
            wire::put_number(&mut part, 1, kind.unwrap_or_default() as u64);
            let (help, unit) = (self.number(&meta.help), self.number(&meta.unit));
            wire::put_number(&mut part, 3, help);
            wire::put_number(&mut part, 4, unit);
            wire::put_bytes(&mut series, 5, &part);
        }
        wire::put_bytes(&mut self.series, 5, &series);
    }

    /// The message; another one is begun.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let Self {
            symbols, series, ..
        } = std::mem::take(self);
        [symbols, series].concat()
    }
}

/// Reads `Metadata`; what is not known of a metric is empty.
pub(super) fn read_meta<'a>(
    bytes: &'a [u8],
    text: &impl Fn(u64) -> Option<&'a str>,
) -> Option<Meta> {
    let mut meta = Meta::default();
    wire::each(bytes, |number, field| {
        match number {
            1 => {
                let kind = usize::try_from(field.number()?).ok()?;
                // A kind of a later version is none that we know.
                let kind = KINDS.get(kind).copied().unwrap_or_default();
                kind.clone_into(&mut meta.kind);
            }
            3 => text(field.number()?)?.clone_into(&mut meta.help),
            4 => text(field.number()?)?.clone_into(&mut meta.unit),
            _ => {}
        }
        Some(())
    })?;
    Some(meta)
}

/// The metric that a series belongs to: members of classic histograms and summaries have endings.
pub(crate) fn family<'a>(name: &'a str, kind: &str) -> &'a str {
    let endings: &[&str] = match kind {
        "histogram" => &["_bucket", "_count", "_sum"],
        "gaugehistogram" => &["_bucket", "_gcount", "_gsum"],
        "summary" => &["_count", "_sum"],
        _ => &[],
    };
    let bare = endings.iter().find_map(|one| name.strip_suffix(one));
    bare.unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::read_second;
    use mainstay_metrics::histogram::CUSTOM;
    use mainstay_metrics::{FloatHistogram, HistogramSample, Labels, Value};
    use std::sync::Arc;

    fn meta(kind: &str, help: &str, unit: &str) -> Meta {
        Meta {
            kind: kind.into(),
            help: help.into(),
            unit: unit.into(),
        }
    }

    fn labels(name: &str) -> Labels {
        Labels::new([("__name__", name), ("job", "a"), ("città", "Zürich")])
    }

    #[test]
    fn what_is_written_is_read() {
        let histogram = FloatHistogram {
            schema: CUSTOM,
            count: 6.0,
            sum: 9.5,
            positive: vec![(0, 1.0), (2, 5.0)],
            bounds: [0.5, 2.0].into(),
            ..FloatHistogram::default()
        };
        let native = [HistogramSample {
            at_ms: 7,
            histogram: Arc::new(histogram.clone()),
        }];
        let mut request = Request::default();
        let mut put = |name: &str, run: Run<'_>, meta: Option<&Meta>| {
            let labels = labels(name);
            let labels: Vec<&Label> = labels.iter().collect();
            request.put(&labels, run, meta);
        };
        let took = meta("histogram", "How long.", "seconds");
        let gauge = meta("gauge", "", "");
        put(
            "took_seconds_bucket",
            Run::Floats(&[1, 2], &[3.0, 4.0]),
            Some(&took),
        );
        put("took_seconds", Run::Histograms(&native), Some(&took));
        put("load", Run::Floats(&[-5], &[f64::INFINITY]), Some(&gauge));
        put("other", Run::Floats(&[5], &[0.0]), Some(&Meta::default()));
        put("bare", Run::Floats(&[5], &[0.0]), None);
        let bytes = request.bytes();
        let body = request.take();
        assert_eq!(body.len(), bytes);
        // Each text is there once; the first one is empty.
        assert_eq!(body[..2], [4 << 3 | 2, 0]);
        for text in ["Zürich", "took_seconds_bucket", "How long."] {
            let count = body
                .windows(text.len())
                .filter(|some| *some == text.as_bytes());
            assert_eq!(count.count(), 1, "{text}");
        }
        let (series, metas) = read_second(&body).unwrap();
        let names: Vec<&str> = series.iter().map(|one| one.labels.metric()).collect();
        assert_eq!(
            names,
            [
                "took_seconds_bucket",
                "took_seconds",
                "load",
                "other",
                "bare"
            ]
        );
        assert!(series.iter().all(|one| one.labels.get("città") == "Zürich"));
        assert_eq!(
            series[0].samples,
            [(1, Value::Float(3.0)), (2, Value::Float(4.0))]
        );
        assert_eq!(
            series[1].samples,
            [(7, Value::Histogram(Arc::new(histogram)))]
        );
        assert_eq!(
            metas,
            [
                ("took_seconds".to_owned(), took.clone()),
                ("took_seconds".to_owned(), took),
                ("load".to_owned(), gauge),
            ]
        );
        // Another one begins with no text of this one.
        assert_eq!(request.take(), [4 << 3 | 2, 0]);
        for cut in 0..body.len() {
            // Nothing that is cut anywhere is taken for more than it is.
            if let Ok((series, _)) = read_second(&body[..cut]) {
                assert!(series.len() <= 5);
            }
        }
    }

    #[test]
    fn members_belong_to_their_family() {
        for (name, kind, expected) in [
            ("a_bucket", "histogram", "a"),
            ("a_sum", "summary", "a"),
            ("a_bucket", "summary", "a_bucket"),
            ("a_gcount", "gaugehistogram", "a"),
            ("a_count", "gauge", "a_count"),
            ("a_total", "counter", "a_total"),
        ] {
            assert_eq!(family(name, kind), expected, "{name} {kind}");
        }
    }
}
