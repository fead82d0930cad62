//! Samples as text, for whoever leaves.
//!
//! The text format has no place for the buckets of a native histogram: as in the field it becomes its count, its sum
//! and the bucket that holds everything. With bounds of its own it has buckets like a classic one, and keeps them.
//! How many were cut is said at the end.

use super::data::{range_of, wanted};
use super::{Api, Asked, Ready};
use crate::answer::{self, ApiFault};
use crate::store::View;
use mainstay_metrics::sample::is_stale;
use mainstay_metrics::{
    FloatHistogram, Labels, Matcher, Select, SeriesView, Source as _, SourceFault, all_match,
};
use std::fmt::Write as _;

/// Bytes of one answer with samples as text.
const EXPORT_MAX: usize = 32 << 20;

impl Api {
    /// Samples as text with their times; a range at a time.
    pub(super) async fn export(&self, asked: Asked) -> Result<Ready, ApiFault> {
        let (lists, range) = (wanted(&asked.form)?, range_of(&asked.form)?);
        let store = self.process.store.clone();
        let text = self.process.pool.run(move || {
            let (mut text, mut cut) = (String::new(), Cut::default());
            let walked = each(&store.view(), &lists, range, &mut |one| {
                cut.add(put_series(&mut text, one));
                text.len() <= EXPORT_MAX
            });
            walked.map_err(|fault| ApiFault::unavailable(fault.to_string()))?;
            if text.len() > EXPORT_MAX {
                let why = format!("more than {EXPORT_MAX} bytes; ask for less time at once");
                return Err(ApiFault::bad(why));
            }
            text.push_str(&cut.said());
            let mut ready = Ready::text(200, text);
            ready.fields = vec![("x-histograms-cut", cut.histograms)];
            Ok(ready)
        });
        text.await
            .map_err(|busy| ApiFault::unavailable(busy.to_string()))?
    }
}

/// Shows every series that fulfils one of the lists of conditions, each once.
pub(super) fn each(
    view: &View,
    lists: &[Vec<Matcher>],
    (after_ms, until_ms): (i64, i64),
    visit: &mut dyn FnMut(SeriesView<'_>) -> bool,
) -> Result<(), SourceFault> {
    let mut goes_on = true;
    for (place, matchers) in lists.iter().enumerate() {
        let select = Select {
            matchers,
            after_ms,
            until_ms,
        };
        view.select(&select, &mut |one| {
            let mut before = lists[..place].iter();
            if !before.any(|matchers| all_match(matchers, one.labels)) {
                goes_on = visit(one);
            }
            goes_on
        })?;
        if !goes_on {
            break;
        }
    }
    Ok(())
}

/// Native histograms whose buckets were cut off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) histograms: usize,
    series: usize,
}

impl Cut {
    pub(super) fn add(&mut self, histograms: usize) {
        self.histograms += histograms;
        self.series += usize::from(histograms > 0);
    }

    /// A comment that says so; empty where nothing was cut.
    pub(super) fn said(self) -> String {
        let Self { histograms, series } = self;
        if histograms == 0 {
            return String::new();
        }
        format!(
            "# {histograms} native histograms of {series} series are here without their buckets: this format has no \
             place for them; remote-write and OTLP have\n"
        )
    }
}

/// A metric with its labels, as a line begins.
fn begin(metric: &str, labels: &Labels) -> String {
    let rest = labels.without_name().to_string();
    match (
        mainstay_metrics::label::is_plain_metric(metric),
        rest.as_str(),
    ) {
        (true, "{}") => metric.to_owned(),
        (true, rest) => format!("{metric}{rest}"),
        (false, rest) => {
            let metric = mainstay_metrics::label::quoted(metric.as_bytes());
            format!("{{{metric}, {}", &rest[1..]).replace(", }", "}")
        }
    }
}

fn put(out: &mut String, begin: &str, value: f64, at_ms: i64) {
    let value = answer::number(value);
    // Writing to a text cannot fail.
    writeln!(out, "{begin} {value} {at_ms}").ok();
}

/// Writes the samples of a series; returns how many histograms have lost their buckets by it.
pub(super) fn put_series(out: &mut String, view: SeriesView<'_>) -> usize {
    let (labels, metric) = (view.labels, view.labels.metric());
    let series = begin(metric, labels);
    for (at_ms, value) in view.at_ms.iter().zip(view.values) {
        if !is_stale(*value) {
            put(out, &series, *value, *at_ms);
        }
    }
    if view.histograms.is_empty() {
        return 0;
    }
    let (count, sum) = (
        begin(&format!("{metric}_count"), labels),
        begin(&format!("{metric}_sum"), labels),
    );
    let mut cut = 0;
    for one in view.histograms {
        let (at_ms, histogram) = (one.at_ms, &*one.histogram);
        for (bound, upto) in upto(histogram) {
            let mut builder = labels.edit();
            builder.set("le", &answer::number(bound));
            let bucket = begin(&format!("{metric}_bucket"), &builder.build());
            put(out, &bucket, upto, at_ms);
        }
        put(out, &sum, histogram.sum, at_ms);
        put(out, &count, histogram.count, at_ms);
        cut += usize::from(!histogram.is_custom());
    }
    cut
}

/// Observations up to each bound; the last bound is infinity.
fn upto(histogram: &FloatHistogram) -> Vec<(f64, f64)> {
    let (mut all, mut sum) = (Vec::new(), 0.0);
    for (index, bound) in (0i32..).zip(histogram.bounds.iter()) {
        if let Ok(place) = histogram.positive.binary_search_by_key(&index, |one| one.0) {
            sum += histogram.positive[place].1;
        }
        all.push((*bound, sum));
    }
    all.push((f64::INFINITY, histogram.count));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_metrics::HistogramSample;
    use mainstay_metrics::histogram::CUSTOM;
    use std::sync::Arc;

    #[test]
    fn what_has_no_place_is_counted() {
        let exponential = FloatHistogram {
            schema: 2,
            count: 7.0,
            sum: 1.5,
            positive: vec![(1, 3.0), (4, 4.0)],
            ..FloatHistogram::default()
        };
        let custom = FloatHistogram {
            schema: CUSTOM,
            count: 6.0,
            sum: 9.0,
            positive: vec![(0, 1.0), (2, 5.0)],
            bounds: [0.5, 2.0].into(),
            ..FloatHistogram::default()
        };
        let samples = [(10, exponential), (20, custom)].map(|(at_ms, one)| HistogramSample {
            at_ms,
            histogram: Arc::new(one),
        });
        let labels = Labels::new([("__name__", "h"), ("job", "j")]);
        let stale = mainstay_metrics::sample::stale();
        let view = SeriesView {
            labels: &labels,
            at_ms: &[5, 30],
            values: &[2.0, stale],
            histograms: &samples,
        };
        let (mut text, mut cut) = (String::new(), Cut::default());
        cut.add(put_series(&mut text, view));
        assert_eq!(
            text,
            "h{job=\"j\"} 2 5\n\
             h_bucket{job=\"j\", le=\"+Inf\"} 7 10\n\
             h_sum{job=\"j\"} 1.5 10\n\
             h_count{job=\"j\"} 7 10\n\
             h_bucket{job=\"j\", le=\"0.5\"} 1 20\n\
             h_bucket{job=\"j\", le=\"2\"} 1 20\n\
             h_bucket{job=\"j\", le=\"+Inf\"} 6 20\n\
             h_sum{job=\"j\"} 9 20\n\
             h_count{job=\"j\"} 6 20\n"
        );
        let said = cut.said();
        assert!(
            said.starts_with("# 1 native histograms of 1 series"),
            "{said}"
        );
        assert!(Cut::default().said().is_empty());
    }
}
