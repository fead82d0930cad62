//! What is exported is read by the field's own programs, which answer as this one does.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "numbers of samples are floats, and small"
)]

mod support;

use mainstay_signals_io::{Export, ExportFault, ExportedBlock, export};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use support::Signals;
use support::prometheus::{Prometheus, encoded, program};

const STALE: u64 = 0x7ff0_0000_0000_0002;
const HOUR: i64 = 3_600_000;
const STEP: i64 = 15_000;

// Messages of remote-write, as far as they are needed here.

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn float(out: &mut Vec<u8>, field: u64, value: f64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// A native histogram: a bucket's number and count, one after the other.
#[derive(Clone, Debug)]
struct Native {
    zero: u64,
    sum: f64,
    positive: Vec<(i64, u64)>,
}

#[derive(Clone, Debug)]
enum Sample {
    Float(f64),
    Native(Native),
}

type Series = (Vec<(&'static str, String)>, Vec<(i64, Sample)>);

fn message(all: &[Series]) -> Vec<u8> {
    let mut request = Vec::new();
    for (labels, samples) in all {
        let mut series = Vec::new();
        for (name, value) in labels {
            let mut label = Vec::new();
            bytes(&mut label, 1, name.as_bytes());
            bytes(&mut label, 2, value.as_bytes());
            bytes(&mut series, 1, &label);
        }
        for (at_ms, sample) in samples {
            let mut one = Vec::new();
            match sample {
                Sample::Float(value) => {
                    float(&mut one, 1, *value);
                    number(&mut one, 2, at_ms.cast_unsigned());
                    bytes(&mut series, 2, &one);
                }
                Sample::Native(native) => {
                    let count: u64 = native.positive.iter().map(|bucket| bucket.1).sum();
                    number(&mut one, 1, count + native.zero);
                    float(&mut one, 3, native.sum);
                    number(&mut one, 4, zigzag(2));
                    float(&mut one, 5, 1e-3);
                    number(&mut one, 6, native.zero);
                    let (mut deltas, mut before, mut behind) = (Vec::new(), 0, 0);
                    for (index, count) in &native.positive {
                        let mut span = Vec::new();
                        number(&mut span, 1, zigzag(index - behind));
                        number(&mut span, 2, 1);
                        bytes(&mut one, 11, &span);
                        behind = index + 1;
                        varint(&mut deltas, zigzag(count.cast_signed() - before));
                        before = count.cast_signed();
                    }
                    bytes(&mut one, 12, &deltas);
                    number(&mut one, 15, at_ms.cast_unsigned());
                    bytes(&mut series, 4, &one);
                }
            }
        }
        bytes(&mut request, 1, &series);
    }
    snap::raw::Encoder::new().compress_vec(&request).unwrap()
}

fn named(name: &str, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let mut labels = vec![("__name__", name.to_owned()), ("job", "shop".to_owned())];
    labels.extend(
        more.iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    labels.sort();
    labels
}

/// Everything of five hours: counters that begin again, numbers that are none, a series that ends and goes on,
/// histograms of both kinds.
fn everything(begin_ms: i64) -> Vec<Series> {
    let count = 5 * HOUR / STEP;
    let series = |name: &str, more: &[(&'static str, &str)], value: &dyn Fn(i64) -> Option<f64>| {
        let samples = (0..count).filter_map(|step| {
            let value = Sample::Float(value(step)?);
            Some((begin_ms + step * STEP, value))
        });
        (named(name, more), samples.collect())
    };
    let mut all: Vec<Series> = vec![
        series("requests_total", &[("city", "Zürich 東京")], &|step| {
            Some((step % 700 * 3) as f64)
        }),
        series("requests_total", &[("city", "a \"b\" \\ c")], &|step| {
            Some(step as f64 * 0.1)
        }),
        series("temperature", &[], &|step| match step {
            step if step % 50 == 7 => Some(f64::NAN),
            step if step % 50 == 9 => Some(f64::INFINITY),
            step if step % 50 == 11 => Some(-f64::from_bits(1)),
            step => Some(((step * 7919) % 1000) as f64 / 8.0 - 40.0),
        }),
        series("queue", &[], &|step| match step {
            ..400 => Some(step as f64),
            400 | 800 => Some(f64::from_bits(STALE)),
            401..500 => None,
            _ => Some(-1.0),
        }),
        series("constant", &[], &|_| Some(1.0)),
    ];
    for (bound, factor) in [("0.1", 1), ("1", 3), ("+Inf", 4)] {
        all.push(series("took_seconds_bucket", &[("le", bound)], &|step| {
            Some((step % 900 * factor) as f64)
        }));
    }
    let mut native = Vec::new();
    for step in 0..count {
        let at_ms = begin_ms + step * STEP;
        if step == 600 {
            native.push((at_ms, Sample::Float(f64::from_bits(STALE))));
            continue;
        }
        // It begins again, and gets buckets that it did not have.
        let grown = (step % 500).cast_unsigned();
        let mut positive = vec![(-2, 1 + grown), (3, 2 * grown + 1)];
        if step % 500 > 200 {
            positive.insert(1, (1, grown - 200));
        }
        native.push((
            at_ms,
            Sample::Native(Native {
                zero: grown / 2,
                sum: grown as f64 * 1.5,
                positive,
            }),
        ));
    }
    all.push((named("latency", &[("città", "Forlì")]), native));
    all
}

fn push(signals: &Signals, all: &[Series]) {
    let answer = signals.client().ask_typed(
        "POST",
        "/api/v1/write",
        "application/x-protobuf",
        &message(all),
    );
    let (status, text) = answer.unwrap();
    assert_eq!(status, 204, "{}", String::from_utf8_lossy(&text));
}

/// A number of an answer, to fourteen digits: bounds of buckets are powers, whose last digit is each program's own. All
/// that are none are the same.
fn canonical(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.parse::<f64>() {
            Ok(number) if number.is_nan() => "NaN".into(),
            Ok(number) => format!("{number:.13e}").into(),
            Err(_) => value.clone(),
        },
        Value::Array(all) => all.iter().map(canonical).collect(),
        Value::Object(all) => {
            let all = all.iter().map(|(name, one)| (name.clone(), canonical(one)));
            Value::Object(all.collect())
        }
        other => other.clone(),
    }
}

/// What a query yields, by labels.
fn results(answer: &str) -> BTreeMap<String, Value> {
    let answer: Value = serde_json::from_str(answer).unwrap();
    assert_eq!(answer["status"], "success", "{answer}");
    let all = answer["data"]["result"].as_array().unwrap();
    let pair = |one: &Value| {
        let rest = serde_json::json!([one["values"], one["histograms"]]);
        (one["metric"].to_string(), canonical(&rest))
    };
    all.iter().map(pair).collect()
}

fn blocks(signals: &Signals, wanted: &Export) -> Result<Vec<ExportedBlock>, ExportFault> {
    let mut blocks = Vec::new();
    let remarks = export(&signals.client(), wanted, &mut |one| {
        blocks.push(one.clone());
    })?;
    assert_eq!(remarks, [""; 0]);
    Ok(blocks)
}

/// A store with everything in it, up to some minutes ago; when it begins.
fn filled() -> (Signals, i64, Vec<Series>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now_ms = i64::try_from(now.as_millis()).unwrap();
    // Not at the edges of steps that are asked for: versions differ in whether those belong to a range.
    let begin_ms = (now_ms - 5 * HOUR) / 60_000 * 60_000 + 7;
    let signals = Signals::start();
    let all = everything(begin_ms);
    push(&signals, &all);
    (signals, begin_ms, all)
}

fn promtool(arguments: &[&str], folder: &Path) -> String {
    let out = Command::new("promtool")
        .args(arguments)
        .arg(folder)
        .output();
    let out = out.unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{arguments:?}: {text}{out:?}");
    text
}

#[test]
fn prometheus_answers_as_we_do() {
    let Some(program) = program("prometheus") else {
        return;
    };
    let (signals, begin_ms, all) = filled();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("data");
    let wanted = Export {
        folder: folder.clone(),
        ..Export::default()
    };
    let blocks = blocks(&signals, &wanted).unwrap();
    assert!((3..=4).contains(&blocks.len()), "{blocks:?}");
    for block in &blocks {
        assert_eq!(
            block.begin_ms.div_euclid(2 * HOUR),
            (block.end_ms - 1).div_euclid(2 * HOUR)
        );
        assert_eq!(block.stats.series, all.len() as u64);
    }
    let floats: u64 = blocks.iter().map(|one| one.stats.floats).sum();
    let natives: u64 = blocks.iter().map(|one| one.stats.histograms).sum();
    let pushed: usize = all.iter().map(|one| one.1.len()).sum();
    assert_eq!((floats + natives) as usize, pushed);
    assert_eq!(natives, 1199);
    let prometheus = Prometheus::start(&program, &folder, &["--enable-feature=native-histograms"]);
    let (start, end) = (begin_ms / 1000, (begin_ms + 5 * HOUR) / 1000 + 600);
    for query in [
        "requests_total",
        "temperature",
        "queue",
        "constant",
        "latency",
        "{__name__=~\".+\", job=\"shop\"}",
        "requests_total{city=\"Zürich 東京\"}",
        "rate(requests_total[5m])",
        "resets(requests_total[1h])",
        "count_over_time(queue[10m])",
        "changes(temperature[30m])",
        "histogram_quantile(0.9, rate(took_seconds_bucket[5m]))",
        "histogram_count(rate(latency[5m]))",
        "histogram_sum(increase(latency[10m]))",
        "count({job=\"shop\"})",
        "count by (__name__) ({job=\"shop\"})",
    ] {
        let path = format!(
            "/api/v1/query_range?start={start}&end={end}&step=60&query={}",
            encoded(query)
        );
        let (status, ours) = signals.get(&path);
        assert_eq!(status, 200, "{query}: {ours}");
        let (status, theirs) = prometheus.get(&path).unwrap();
        assert_eq!(status, 200, "{query}: {theirs}");
        let (ours, theirs) = (results(&ours), results(&theirs));
        assert!(!ours.is_empty(), "{query}");
        for (metric, one) in &ours {
            let other = theirs.get(metric).unwrap_or(&Value::Null);
            assert_eq!(one, other, "{query}: {metric}");
        }
        assert_eq!(ours.len(), theirs.len(), "{query}");
    }
}

#[test]
fn promtool_finds_every_sample() {
    if program("promtool").is_none() {
        return;
    }
    let (signals, begin_ms, all) = filled();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("data");
    let wanted = Export {
        folder: folder.clone(),
        ..Export::default()
    };
    let blocks = blocks(&signals, &wanted).unwrap();
    // It looks for what a running Prometheus has there.
    std::fs::create_dir(folder.join("wal")).unwrap();
    let listed = promtool(&["tsdb", "list"], &folder);
    for block in &blocks {
        assert!(listed.contains(&block.ulid), "{listed}");
        let mut analyze = Command::new("promtool");
        analyze
            .args(["tsdb", "analyze"])
            .arg(&folder)
            .arg(&block.ulid);
        let out = analyze.output().unwrap();
        assert!(out.status.success(), "{out:?}");
    }
    let mut dumped: BTreeMap<(String, i64), f64> = BTreeMap::new();
    for line in promtool(&["tsdb", "dump"], &folder).lines() {
        let (rest, at_ms) = line.rsplit_once(' ').unwrap();
        let (labels, value) = rest.rsplit_once(' ').unwrap();
        let key = (labels.to_owned(), at_ms.parse().unwrap());
        assert!(
            dumped.insert(key, value.parse().unwrap()).is_none(),
            "{line}"
        );
    }
    let mut floats = 0;
    let is_plain = |one: &&Series| one.0.iter().all(|label| label.1 != "latency");
    // It dumps floats alone, and of a series only those before the first histogram.
    for (labels, samples) in all.iter().filter(is_plain) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        let labels = format!("{{{}}}", labels.join(", "));
        for (at_ms, sample) in samples {
            let Sample::Float(value) = sample else {
                continue;
            };
            let found = dumped.get(&(labels.clone(), *at_ms));
            let same = |found: &f64| found == value || found.is_nan() && value.is_nan();
            assert!(
                found.is_some_and(same),
                "{labels} {at_ms}: {found:?}, {value}"
            );
            floats += 1;
        }
    }
    assert_eq!(dumped.len(), floats);
    // A part, by selectors and times, in a folder of its own.
    let wanted = Export {
        folder: place.path().join("part"),
        from_ms: Some(begin_ms + HOUR),
        until_ms: Some(begin_ms + 3 * HOUR - STEP),
        matchers: vec![
            "constant".into(),
            "{job=\"shop\", __name__!=\"latency\"}".into(),
        ],
    };
    let part = self::blocks(&signals, &wanted).unwrap();
    let count: u64 = part.iter().map(|one| one.stats.floats).sum();
    let inside = |at_ms: &i64| (begin_ms + HOUR..begin_ms + 3 * HOUR).contains(at_ms);
    let times = all.iter().filter(is_plain).flat_map(|one| &one.1);
    let expected = times.filter(|one| inside(&one.0)).count();
    assert_eq!(count as usize, expected);
    std::fs::create_dir(wanted.folder.join("wal")).unwrap();
    let dump = promtool(&["tsdb", "dump"], &wanted.folder);
    assert_eq!(dump.lines().count(), expected);
}

#[test]
fn nothing_is_written_twice_and_refusals_are_told() {
    let (signals, begin_ms, _) = filled();
    let place = tempfile::tempdir().unwrap();
    let wanted = |matcher: &str| Export {
        folder: place.path().to_owned(),
        matchers: vec![matcher.to_owned()],
        ..Export::default()
    };
    let first = blocks(&signals, &wanted("constant")).unwrap();
    let index = place.path().join(&first[0].ulid).join("index");
    let before = std::fs::metadata(&index).unwrap().modified().unwrap();
    let fault = blocks(&signals, &wanted("constant")).unwrap_err();
    assert!(matches!(fault, ExportFault::Overlap { .. }), "{fault}");
    assert_eq!(
        std::fs::metadata(&index).unwrap().modified().unwrap(),
        before
    );
    let fault = blocks(
        &signals,
        &Export {
            folder: place.path().join("other"),
            ..wanted("constant{")
        },
    );
    let why = fault.unwrap_err();
    let why = chain(&why);
    assert!(why.contains("match[]"), "{why}");
    let none = Export {
        folder: place.path().join("none"),
        until_ms: Some(begin_ms - 1),
        ..wanted("constant")
    };
    assert_eq!(blocks(&signals, &none).unwrap(), []);
    assert_eq!(
        std::fs::read_dir(place.path().join("other"))
            .unwrap()
            .count(),
        0
    );
}

/// A fault with its causes.
fn chain(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(one) = source {
        // Writing to a text cannot fail.
        write!(text, ": {one}").ok();
        source = one.source();
    }
    text
}
