//! Classic histograms made native ones with custom bounds.

use mainstay_metrics::histogram::CUSTOM;
use mainstay_metrics::label::{BUCKET, NAME};
use mainstay_metrics::{FloatHistogram, Labels, Value};
use std::collections::BTreeMap;

type Points = Vec<Option<Value>>;

/// What is known of one classic histogram, a place a point.
#[derive(Default)]
struct Classic {
    buckets: BTreeMap<u64, (f64, Points)>,
    count: Points,
    sum: Points,
}

fn renamed(labels: &Labels, ending: &str) -> Option<Labels> {
    let name = labels.metric().strip_suffix(ending)?;
    let mut edited = labels.edit();
    edited.remove(BUCKET);
    edited.set(NAME, name);
    Some(edited.build())
}

fn float(points: &Points, place: usize) -> Option<f64> {
    match points.get(place)? {
        Some(Value::Float(value)) => Some(*value),
        _ => None,
    }
}

/// Orders floats as integers do.
fn ordered(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

/// The native histograms of the series of one load.
pub(crate) fn native(series: &[(Labels, Points)]) -> Vec<(Labels, Points)> {
    let mut all: BTreeMap<Labels, Classic> = BTreeMap::new();
    for (labels, points) in series {
        if let Some(name) = renamed(labels, "_bucket")
            && let Ok(upper) = labels.get(BUCKET).parse::<f64>()
        {
            all.entry(name)
                .or_default()
                .buckets
                .insert(ordered(upper), (upper, points.clone()));
        } else if let Some(name) = renamed(labels, "_count") {
            all.entry(name).or_default().count.clone_from(points);
        } else if let Some(name) = renamed(labels, "_sum") {
            all.entry(name).or_default().sum.clone_from(points);
        }
    }
    let classics = all
        .into_iter()
        .filter(|(_, classic)| !classic.buckets.is_empty());
    classics
        .map(|(labels, classic)| (labels, classic.points()))
        .collect()
}

impl Classic {
    fn points(&self) -> Points {
        let lists = self.buckets.values().map(|(_, points)| points.len());
        let length = lists.max().unwrap_or(0);
        (0..length).map(|place| self.point(place)).collect()
    }

    fn point(&self, place: usize) -> Option<Value> {
        let counts = self
            .buckets
            .values()
            .filter_map(|(upper, points)| Some((*upper, float(points, place)?)));
        let counts: Vec<(f64, f64)> = counts.collect();
        let highest = counts.last()?.1;
        let count = float(&self.count, place).unwrap_or(highest);
        let bounds: Vec<f64> = counts
            .iter()
            .map(|(upper, _)| *upper)
            .filter(|upper| upper.is_finite())
            .collect();
        let mut below = 0.0;
        let mut buckets = Vec::new();
        for (index, (_, cumulative)) in (0..).zip(counts.iter().take(bounds.len())) {
            buckets.push((index, cumulative - below));
            below = *cumulative;
        }
        buckets.push((
            i32::try_from(bounds.len()).unwrap_or(i32::MAX),
            count - below,
        ));
        let histogram = FloatHistogram {
            schema: CUSTOM,
            count,
            sum: float(&self.sum, place).unwrap_or(0.0),
            positive: FloatHistogram::packed(buckets),
            bounds: bounds.into(),
            ..FloatHistogram::default()
        };
        Some(Value::Histogram(histogram.into()))
    }
}
