//! Tests of blocks: what is written reads back, and damage is told.

use super::*;
use crate::histogram::FloatHistogram;
use crate::matcher::{MatchOp, Matcher};
use crate::sample::HistogramSample;
use crate::write_block;

struct Owned {
    labels: Labels,
    at_ms: Vec<i64>,
    values: Vec<f64>,
    histograms: Vec<HistogramSample>,
}

fn data() -> Vec<Owned> {
    let mut all = Vec::new();
    for instance in 0..50 {
        for metric in ["cpu_seconds_total", "memory_bytes", "ratio"] {
            let at_ms: Vec<i64> = (0..480)
                .map(|step| 1_700_000_000_000 + 15_000 * step + instance % 5)
                .collect();
            let value = |step: usize| match metric {
                "cpu_seconds_total" => (step * 13 % 7 + step * 9) as f64 / 100.0 + instance as f64,
                "memory_bytes" => 1e8 + (step * 7919 % 4096 * 4096) as f64,
                _ => (step as f64 * 0.1).sin(),
            };
            all.push(Owned {
                labels: Labels::new([
                    ("__name__", metric),
                    ("instance", &format!("10.0.0.{instance}:9100")),
                    ("job", "node"),
                ]),
                values: (0..480).map(value).collect(),
                at_ms,
                histograms: Vec::new(),
            });
        }
    }
    let histogram = FloatHistogram {
        count: 3.0,
        sum: 4.5,
        positive: vec![(1, 1.0), (4, 2.0)],
        ..FloatHistogram::default()
    };
    all.push(Owned {
        labels: Labels::new([("__name__", "latency")]),
        at_ms: vec![1_700_000_000_000],
        values: vec![crate::sample::stale()],
        histograms: vec![HistogramSample {
            at_ms: 1_700_000_015_000,
            histogram: histogram.into(),
        }],
    });
    all
}

fn bytes(data: &[Owned]) -> Vec<u8> {
    let mut views: Vec<_> = data.iter().map(view).collect();
    write_block(&mut views).unwrap()
}

fn view(one: &Owned) -> SeriesView<'_> {
    SeriesView {
        labels: &one.labels,
        at_ms: &one.at_ms,
        values: &one.values,
        histograms: &one.histograms,
    }
}

fn select(
    source: &dyn Source,
    matchers: &[Matcher],
    after_ms: i64,
    until_ms: i64,
) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let select = Select {
        matchers,
        after_ms,
        until_ms,
    };
    source
        .select(&select, &mut |view| {
            found.push((
                view.labels.to_string(),
                view.values.len() + view.histograms.len(),
            ));
            true
        })
        .unwrap();
    found
}

#[test]
fn what_is_written_reads_back() {
    let data = data();
    let block = Block::open(Arc::<[u8]>::from(bytes(&data))).unwrap();
    assert_eq!(block.len(), data.len());
    let mut seen = 0;
    let any = Matcher::new("__name__", MatchOp::Regex, ".+").unwrap();
    let all = Select {
        matchers: &[any],
        after_ms: i64::MIN,
        until_ms: i64::MAX,
    };
    block
        .select(&all, &mut |found| {
            let written = data.iter().find(|one| one.labels == *found.labels).unwrap();
            let bits = |list: &[f64]| list.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(
                (found.at_ms, bits(found.values)),
                (&written.at_ms[..], bits(&written.values))
            );
            assert_eq!(found.histograms, &written.histograms[..]);
            seen += 1;
            true
        })
        .unwrap();
    assert_eq!(seen, data.len());
}

#[test]
fn conditions_and_times_select() {
    let data = data();
    let block = Block::open(Arc::<[u8]>::from(bytes(&data))).unwrap();
    let matcher = |name, op, value| Matcher::new(name, op, value).unwrap();
    let begin = 1_700_000_000_000;
    let one = [
        Matcher::equal("__name__", "ratio"),
        Matcher::equal("instance", "10.0.0.7:9100"),
    ];
    assert_eq!(select(&block, &one, begin, begin + 60_000).len(), 1);
    assert_eq!(select(&block, &one, begin - 1000, begin + 60_000)[0].1, 4);
    let some = [
        matcher("instance", MatchOp::Regex, "10.0.0.1.*"),
        matcher("__name__", MatchOp::NotEqual, "ratio"),
    ];
    assert_eq!(select(&block, &some, 0, i64::MAX).len(), 22);
    let without = [
        Matcher::equal("__name__", "latency"),
        Matcher::equal("job", ""),
    ];
    assert_eq!(
        select(&block, &without, 0, i64::MAX),
        [("{__name__=\"latency\"}".to_owned(), 2)]
    );
    assert!(select(&block, &some, begin + 100_000_000, i64::MAX).is_empty());
    assert_eq!(block.label_values("job"), ["node"]);
}

#[test]
fn a_block_is_small() {
    let data = data();
    let samples: usize = data.iter().map(|one| one.values.len()).sum();
    let per_sample = bytes(&data).len() as f64 / samples as f64;
    // A third of the series are sines with all their digits; the rest are as real ones.
    assert!(per_sample < 4.0, "{per_sample} bytes a sample");
}

#[test]
fn damage_is_told_and_never_read_as_samples() {
    let whole = bytes(&data());
    assert_eq!(
        Block::open(Arc::<[u8]>::from(&whole[..whole.len() - 1])).unwrap_err(),
        BlockFault::NotABlock
    );
    assert_eq!(
        Block::open(Arc::<[u8]>::from([])).unwrap_err(),
        BlockFault::NotABlock
    );
    let mut newer = whole.clone();
    newer[7] = 9;
    assert_eq!(
        Block::open(Arc::<[u8]>::from(newer)).unwrap_err(),
        BlockFault::Version { found: 9 }
    );
    let any = [Matcher::new("__name__", MatchOp::Regex, ".+").unwrap()];
    let all = Select {
        matchers: &any,
        after_ms: i64::MIN,
        until_ms: i64::MAX,
    };
    for at in (8..whole.len()).step_by(whole.len() / 97) {
        let mut broken = whole.clone();
        broken[at] ^= 0x55;
        let told = match Block::open(Arc::<[u8]>::from(broken)) {
            Err(_) => true,
            Ok(block) => block.select(&all, &mut |_| true).is_err(),
        };
        assert!(told, "byte {at} of {}", whole.len());
    }
}
