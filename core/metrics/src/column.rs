//! Columns: a series' samples outside of any store, added part by part.

use crate::label::Labels;
use crate::sample::HistogramSample;
use crate::source::SeriesView;

/// Times with their values, and histograms, each sorted by time.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// When the floats were, in milliseconds since 1970.
    pub at_ms: Vec<i64>,
    /// The floats, one a time.
    pub values: Vec<f64>,
    /// Native histograms.
    pub histograms: Vec<HistogramSample>,
}

impl Columns {
    /// Adds samples. Where two have one time, the one that was there first stays.
    pub fn add(&mut self, view: SeriesView<'_>) {
        let follows = match (self.at_ms.last(), view.at_ms.first()) {
            (Some(last), Some(first)) => last < first,
            _ => true,
        };
        if follows {
            self.at_ms.extend_from_slice(view.at_ms);
            self.values.extend_from_slice(view.values);
        } else {
            self.merge(view);
        }
        self.add_histograms(view.histograms);
    }

    /// Adds one float that is later than all others.
    pub fn push(&mut self, at_ms: i64, value: f64) {
        if self.at_ms.last().is_none_or(|last| *last < at_ms) {
            self.at_ms.push(at_ms);
            self.values.push(value);
        }
    }

    fn merge(&mut self, view: SeriesView<'_>) {
        let own = self.at_ms.iter().zip(&self.values);
        let more = view.at_ms.iter().zip(view.values);
        let pairs = own.chain(more).map(|(at, value)| (*at, *value));
        let mut pairs: Vec<(i64, f64)> = pairs.collect();
        // Stable: what was there first comes first.
        pairs.sort_by_key(|(at, _)| *at);
        pairs.dedup_by_key(|(at, _)| *at);
        (self.at_ms, self.values) = pairs.into_iter().unzip();
    }

    fn add_histograms(&mut self, histograms: &[HistogramSample]) {
        let Some(first) = histograms.first() else {
            return;
        };
        let follows = self
            .histograms
            .last()
            .is_none_or(|last| last.at_ms < first.at_ms);
        self.histograms.extend_from_slice(histograms);
        if !follows {
            self.histograms.sort_by_key(|one| one.at_ms);
            self.histograms.dedup_by_key(|one| one.at_ms);
        }
    }

    /// Takes everything away and keeps the room.
    pub fn clear(&mut self) {
        self.at_ms.clear();
        self.values.clear();
        self.histograms.clear();
    }

    /// Lends the samples as a series'.
    pub fn view<'a>(&'a self, labels: &'a Labels) -> SeriesView<'a> {
        SeriesView {
            labels,
            at_ms: &self.at_ms,
            values: &self.values,
            histograms: &self.histograms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_join_by_time_and_the_first_stays() {
        let labels = Labels::default();
        let part = |at_ms: &[i64], value: f64| Columns {
            at_ms: at_ms.to_vec(),
            values: vec![value; at_ms.len()],
            histograms: Vec::new(),
        };
        let mut all = part(&[10, 20, 30], 1.0);
        all.add(part(&[40], 2.0).view(&labels));
        all.add(part(&[5, 20, 25, 50], 3.0).view(&labels));
        assert_eq!(all.at_ms, [5, 10, 20, 25, 30, 40, 50]);
        assert_eq!(all.values, [3.0, 1.0, 1.0, 3.0, 1.0, 2.0, 3.0]);
    }
}
