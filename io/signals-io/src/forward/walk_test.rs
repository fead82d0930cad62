//! What a walk makes of series: which become which metric of OTLP, what has no place, and that a small budget changes
//! nothing but the number of walks.

use super::*;
use crate::otlp::read_proto;
use crate::remote::{inflate, read_first, read_second};
use crate::store::{Bounds, Store};
use mainstay_metrics::exposition::Entry;
use mainstay_metrics::histogram::CUSTOM;
use mainstay_metrics::sample::stale;
use mainstay_metrics::{FloatHistogram, Value};

type Row<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

fn store(rows: &[Row<'_>], natives: &[(&str, i64, FloatHistogram)]) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    let mut live = store.live();
    let target = live.target("api", "one");
    for (name, at_ms, one) in natives {
        let labels = Labels::new([("__name__", *name), ("instance", "i"), ("job", "api")]);
        let seat = live.seat(target, &labels, true).unwrap();
        live.sample(seat, *at_ms, Value::Histogram(Arc::new(one.clone())));
    }
    for (labels, samples) in rows {
        let mut builder = Labels::new([("job", "api"), ("instance", "i")]).edit();
        for (name, value) in *labels {
            builder.set(name, value);
        }
        let seat = live.seat(target, &builder.build(), true).unwrap();
        for (at_ms, value) in *samples {
            live.sample(seat, *at_ms, Value::Float(*value));
        }
    }
    live.commit().unwrap();
    drop(live);
    (folder, store)
}

fn walk(store: &Store, protocol: Protocol, kinds: &[(&str, &str)]) -> (Vec<Vec<u8>>, Walked) {
    walk_within(store, protocol, kinds, FAMILY_BYTES)
}

fn walk_within(
    store: &Store,
    protocol: Protocol,
    kinds: &[(&str, &str)],
    family_bytes: usize,
) -> (Vec<Vec<u8>>, Walked) {
    let metadata = Arc::<Metadata>::default();
    for &(metric, kind) in kinds {
        metadata.note(&Entry::Type {
            metric: metric.into(),
            kind,
        });
    }
    let mark = store.mark(std::path::Path::new("/nowhere"), || 1000);
    let walk = Walk {
        view: store.view(),
        part: Part::All(mark),
        external: Labels::default(),
        protocol,
        metadata,
        after_ms: 0,
        until_ms: 1000,
        family_bytes,
    };
    let (sender, mut pieces) = mpsc::channel(1000);
    let walked = walk.read(&sender);
    drop(sender);
    let mut bodies = Vec::new();
    while let Some(piece) = pieces.blocking_recv() {
        bodies.push(match protocol {
            Protocol::RemoteWrite | Protocol::RemoteWrite2 => {
                inflate(&piece.body, 1 << 24).unwrap()
            }
            Protocol::Otlp => crate::fetch::inflate(&piece.body, 1 << 24).unwrap(),
        });
    }
    (bodies, walked)
}

/// Metrics by name, each as `kind at value…` a point.
fn metrics(bodies: &[Vec<u8>]) -> Vec<String> {
    let mut all = Vec::new();
    for metric in bodies
        .iter()
        .flat_map(|body| read_proto(body).unwrap())
        .flat_map(|one| one.metrics)
    {
        for point in &metric.points {
            let gone = if point.is_gone { " gone" } else { "" };
            let rest = match metric.kind {
                otlp::Kind::Gauge | otlp::Kind::Counter => format!("{}", point.value),
                otlp::Kind::Histogram => {
                    format!(
                        "{} {:?} {:?} {:?}",
                        point.count, point.sum, point.counts, point.bounds
                    )
                }
                otlp::Kind::Exponential => format!("{} {:?}", point.count, point.positive),
                otlp::Kind::Summary => {
                    format!("{} {:?} {:?}", point.count, point.sum, point.quantiles)
                }
            };
            all.push(format!(
                "{} {:?} {} {rest}{gone}",
                metric.name, metric.kind, point.at_ms
            ));
        }
    }
    all
}

#[test]
fn metrics_are_what_targets_said_or_what_their_names_say() {
    let name = "__name__";
    let (_folder, store) = store(
        &[
            (&[(name, "a_total")], &[(1, 1.0), (2, stale())]),
            (&[(name, "b")], &[(1, 2.0)]),
            (&[(name, "odd_total")], &[(1, 3.0)]),
            (&[(name, "runs")], &[(1, 4.0)]),
            (&[(name, "h_bucket"), ("le", "1")], &[(1, 1.0), (2, 1.0)]),
            (&[(name, "h_bucket"), ("le", "+Inf")], &[(1, 4.0), (2, 5.0)]),
            (&[(name, "h_count")], &[(1, 4.0), (2, stale())]),
            (&[(name, "h_sum")], &[(1, 9.5)]),
            (&[(name, "s"), ("quantile", "0.5")], &[(1, 7.0)]),
            (&[(name, "s_count")], &[(1, 2.0)]),
            // A family without a count has no points.
            (&[(name, "lone_bucket"), ("le", "1")], &[(1, 1.0)]),
            // What only looks like a family.
            (&[(name, "disk")], &[(1, 5.0)]),
            (&[(name, "disk_count")], &[(1, 6.0)]),
            // No number, so no bound.
            (&[(name, "odd_bucket"), ("le", "x")], &[(1, 8.0)]),
            (&[(name, "g_bucket"), ("le", "1")], &[(1, 1.0)]),
            (&[(name, "g_gcount")], &[(1, 1.0)]),
        ],
        &[],
    );
    let kinds = [
        ("odd_total", "gauge"),
        ("runs", "counter"),
        ("g", "gaugehistogram"),
    ];
    let (bodies, walked) = walk(&store, Protocol::Otlp, &kinds);
    let mut found = metrics(&bodies);
    found.sort();
    assert_eq!(
        found,
        [
            "a_total Counter 1 1",
            "a_total Counter 2 0 gone",
            "b Gauge 1 2",
            "disk Gauge 1 5",
            "disk_count Gauge 1 6",
            "h Histogram 1 4 Some(9.5) [1.0, 3.0] [1.0]",
            "h Histogram 2 0 None [] [] gone",
            "odd_bucket Gauge 1 8",
            "odd_total Gauge 1 3",
            "runs Counter 1 4",
            "s Summary 1 2 Some(0.0) [(0.5, 7.0)]",
        ]
    );
    assert_eq!((walked.is_whole, walked.left_out), (true, 3));
}

#[test]
fn what_a_target_says_of_itself_belongs_to_the_resource() {
    let (_folder, store) = store(
        &[
            (
                &[("__name__", "target_info"), ("host_name", "h")],
                &[(5, 1.0)],
            ),
            (
                &[("__name__", "b"), ("k", "v"), ("otel_scope_name", "lib")],
                &[(6, 2.0)],
            ),
        ],
        &[],
    );
    let (bodies, walked) = walk(&store, Protocol::Otlp, &[]);
    let read = read_proto(&bodies[0]).unwrap();
    let pairs = |all: &otlp::Attributes| -> Vec<String> {
        all.iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    };
    assert_eq!(read.len(), 1);
    assert_eq!(
        pairs(&read[0].attributes),
        ["host_name=h", "service.instance.id=i", "service.name=api"]
    );
    assert_eq!(pairs(&read[0].metrics[0].points[0].attributes), ["k=v"]);
    assert_eq!((read[0].metrics.len(), walked.left_out), (1, 0));
}

#[test]
fn histograms_go_as_each_protocol_has_them() {
    let native = |schema, positive: &[(i32, f64)]| FloatHistogram {
        schema,
        count: positive.iter().map(|one| one.1).sum(),
        sum: 2.5,
        positive: positive.to_vec(),
        ..FloatHistogram::default()
    };
    let custom = FloatHistogram {
        bounds: [1.0, 2.0].into(),
        ..native(CUSTOM, &[(0, 3.0), (2, 1.0)])
    };
    let gauge = FloatHistogram {
        hint: ResetHint::Gauge,
        ..native(0, &[(1, 1.0)])
    };
    let (_folder, store) = store(
        &[(&[("__name__", "n")], &[(9, stale())])],
        &[
            ("n", 1, native(3, &[(1, 2.0), (3, 1.0)])),
            ("c", 1, custom),
            ("g", 1, gauge),
        ],
    );
    let (bodies, walked) = walk(&store, Protocol::Otlp, &[]);
    let mut found = metrics(&bodies);
    found.sort();
    assert_eq!(
        found,
        [
            "c Histogram 1 4 Some(2.5) [3.0, 0.0, 1.0] [1.0, 2.0]",
            "n Exponential 1 3 Buckets { offset: 0, counts: [2.0, 0.0, 1.0] }",
            "n Exponential 9 0 Buckets { offset: 0, counts: [] } gone",
        ]
    );
    assert_eq!(walked.left_out, 1, "one that may fall");
    let (bodies, walked) = walk(&store, Protocol::RemoteWrite, &[]);
    let series = read_first(&bodies[0]).unwrap();
    let counts: Vec<(&str, usize)> = series
        .iter()
        .map(|one| (one.labels.metric(), one.samples.len()))
        .collect();
    assert_eq!(counts, [("n", 1), ("n", 1), ("g", 1)]);
    assert_eq!(walked.left_out, 1, "one with bounds of its own");
    let kinds = [("n", "histogram"), ("g", "gaugehistogram")];
    let (bodies, walked) = walk(&store, Protocol::RemoteWrite2, &kinds);
    let (series, metas) = read_second(&bodies[0]).unwrap();
    let counts: Vec<(&str, usize)> = series
        .iter()
        .map(|one| (one.labels.metric(), one.samples.len()))
        .collect();
    assert_eq!(counts, [("n", 1), ("n", 1), ("c", 1), ("g", 1)]);
    let said: Vec<(&str, &str)> = metas
        .iter()
        .map(|(metric, meta)| (metric.as_str(), meta.kind.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("n", "histogram"),
            ("n", "histogram"),
            ("g", "gaugehistogram")
        ]
    );
    assert_eq!(walked.left_out, 0);
}

#[test]
fn members_of_families_are_sent_with_what_is_known_of_those() {
    let labels = [
        [("__name__", "took_seconds_bucket"), ("le", "+Inf")],
        [("__name__", "took_seconds_sum"), ("x", "y")],
        [("__name__", "requests_total"), ("x", "y")],
        [("__name__", "load_sum"), ("x", "y")],
    ];
    let rows: Vec<Row<'_>> = labels
        .iter()
        .map(|one| (&one[..], &[(1, 2.0)][..]))
        .collect();
    let (_folder, store) = store(&rows, &[]);
    let kinds = [
        ("took_seconds", "histogram"),
        ("requests", "counter"),
        ("load", "gauge"),
    ];
    let (bodies, _) = walk(&store, Protocol::RemoteWrite2, &kinds);
    let (_, metas) = read_second(&bodies[0]).unwrap();
    let mut said: Vec<(&str, &str)> = metas
        .iter()
        .map(|(metric, meta)| (metric.as_str(), meta.kind.as_str()))
        .collect();
    said.sort_unstable();
    assert_eq!(
        said,
        [
            ("requests_total", "counter"),
            ("took_seconds", "histogram"),
            ("took_seconds", "histogram"),
        ]
    );
}

#[test]
fn requests_stay_small() {
    let samples: Vec<(i64, f64)> = (1..=999).map(|at| (at, 1.0)).collect();
    let names: Vec<String> = (0..9).map(|number| format!("m{number}")).collect();
    let pairs: Vec<[(&str, &str); 1]> = names
        .iter()
        .map(|name| [("__name__", name.as_str())])
        .collect();
    let rows: Vec<Row<'_>> = pairs.iter().map(|pair| (&pair[..], &samples[..])).collect();
    let wide: Vec<(i32, f64)> = (0..4000).map(|index| (2 * index, 1e9)).collect();
    let wide = FloatHistogram {
        positive: wide,
        ..FloatHistogram::default()
    };
    let natives: Vec<(&str, i64, FloatHistogram)> = (1..200)
        .map(|at_ms| ("wide", at_ms, wide.clone()))
        .collect();
    let (_folder, store) = store(&rows, &natives);
    for protocol in [Protocol::RemoteWrite, Protocol::Otlp] {
        let (bodies, walked) = walk(&store, protocol, &[]);
        assert!(walked.is_whole && bodies.len() > 5, "{}", bodies.len());
        assert!(bodies.iter().all(|body| body.len() < 8 * BYTES));
    }
}

#[test]
fn families_that_are_too_many_at_once_come_in_parts() {
    let numbers: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let pairs: Vec<[(&str, &str); 3]> = numbers
        .iter()
        .flat_map(|number| {
            let own = ("n", number.as_str());
            [
                [("__name__", "h_bucket"), ("le", "1"), own],
                [("__name__", "h_bucket"), ("le", "+Inf"), own],
                [("__name__", "h_count"), ("le", ""), own],
                [("__name__", "plain"), ("le", ""), own],
            ]
        })
        .collect();
    let samples = [(1, 2.0), (2, 2.0)];
    let rows: Vec<Row<'_>> = pairs.iter().map(|pair| (&pair[..], &samples[..])).collect();
    let (_folder, store) = store(&rows, &[]);
    let found = |family_bytes| {
        let (bodies, walked) = walk_within(&store, Protocol::Otlp, &[], family_bytes);
        assert!(walked.is_whole);
        let mut found = metrics(&bodies);
        found.sort();
        found
    };
    let whole = found(FAMILY_BYTES);
    assert_eq!(whole.len(), 800);
    assert_eq!(whole[0], "h Histogram 1 2 None [2.0, 0.0] [1.0]");
    assert_eq!(found(20_000), whole);
    assert_eq!(found(2_000), whole);
}
