//! Tests of the text formats: what they may say, and what hostile bytes do.

use super::*;
use proptest::prelude::*;

fn read(body: &str, format: Format) -> Vec<String> {
    let limits = Limits::default();
    let reader = Reader::new(body.as_bytes(), format, limits).unwrap();
    let shown = reader.map(|entry| match entry {
        Ok(Entry::Sample(row)) => match row.labels(&limits) {
            Ok(labels) => format!("{labels} {} {:?}", row.value, row.at_ms),
            Err(fault) => fault.to_string(),
        },
        Ok(other) => format!("{other:?}"),
        Err(fault) => fault.to_string(),
    });
    shown.collect()
}

fn text(body: &str) -> Vec<String> {
    read(body, Format::Text)
}

#[test]
fn a_page_is_read() {
    let body = "# HELP http_requests_total All \\\"requests\\\\.\n\
                # TYPE http_requests_total counter\n\
                # a comment\n\
                http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
                my:rule 5\n\
                nothing{} +Inf\n\
                m{path=\"/users/{id}\",x=\"a,\\\"b\\\"\\n\\\\\"} NaN\n\
                {\"http.requests\", \"a.b\"=\"c\"} 1e3\n\
                spaced { a = \"b\" , } 2  3\n";
    assert_eq!(
        text(body),
        [
            r#"Help { metric: "http_requests_total", text: "All \"requests\\." }"#,
            r#"Type { metric: "http_requests_total", kind: "counter" }"#,
            r#"{__name__="http_requests_total", code="200", method="post"} 1027 Some(1395066363000)"#,
            r#"{__name__="my:rule"} 5 None"#,
            r#"{__name__="nothing"} inf None"#,
            r#"{__name__="m", path="/users/{id}", x="a,\"b\"\n\\"} NaN None"#,
            r#"{__name__="http.requests", "a.b"="c"} 1000 None"#,
            r#"{__name__="spaced", a="b"} 2 Some(3)"#,
        ]
    );
}

#[test]
fn open_metrics_has_exemplars_and_an_end() {
    let body = "# TYPE foo histogram\n\
                foo_bucket{le=\"1.0\"} 17 1.5 # {trace_id=\"KOO5S4vxi0o\"} 0.67 1520879607.789\n\
                foo_count 17 # {} 1\n# UNIT foo seconds\n# EOF\n";
    assert_eq!(
        read(body, Format::OpenMetrics),
        [
            r#"Type { metric: "foo", kind: "histogram" }"#,
            r#"{__name__="foo_bucket", le="1.0"} 17 Some(1500)"#,
            r#"{__name__="foo_count"} 17 None"#,
            r#"Unit { metric: "foo", unit: "seconds" }"#,
        ]
    );
    assert_eq!(
        read("a 1\n", Format::OpenMetrics)[1],
        "line 1: the body does not end with `# EOF`"
    );
    assert_eq!(
        read("# EOF\na 1\n", Format::OpenMetrics),
        ["line 2: something follows `# EOF`"]
    );
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (body, fault) in [
        ("a 1\nb x\n", "line 2: `x` is no value"),
        ("a{b=\"c} 1\n", "line 1: `a{b=\"c} 1` does not end"),
        ("a{b=\"c\"", "line 1: `a{b=\"c\"` does not end"),
        ("a{b=c} 1", "line 1: `\"` is expected at `c}`"),
        ("a{b=\"1\",b=\"2\"} 1", "line 1: label `b` comes twice"),
        ("a{1b=\"1\"} 1", "line 1: `1b=\"1\"}` is no name"),
        ("1a 1", "line 1: `1a` is no name"),
        ("{b=\"1\"} 1", "line 1: a sample has no metric name"),
        ("a 1 2 3", "line 1: `3` follows the sample"),
        ("a 1 x", "line 1: `x` is no timestamp"),
        (
            "a{b=\"1\"c=\"2\"} 1",
            "line 1: `,` is expected at `c=\"2\"}`",
        ),
        ("a", "line 1: `` is no value"),
    ] {
        let found = text(body);
        assert_eq!(found.last().map(String::as_str), Some(fault), "{body}");
    }
}

#[test]
fn limits_refuse_the_whole_body() {
    let limits = Limits {
        body_bytes_max: 100,
        samples_max: 2,
        labels_max: 2,
        name_bytes_max: 8,
        value_bytes_max: 4,
    };
    assert!(Reader::new(&[b'a'; 101], Format::Text, limits).is_err());
    let last = |body: &'static str| {
        let reader = Reader::new(body.as_bytes(), Format::Text, limits).unwrap();
        let faults = reader.filter_map(|entry| match entry {
            Ok(Entry::Sample(row)) => row.labels(&limits).err(),
            Ok(_) => None,
            Err(fault) => Some(fault),
        });
        faults.map(|fault| fault.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        last("a 1\nb 1\nc 1\n"),
        ["line 3: the body has more than 2 samples"]
    );
    assert_eq!(
        last("a{b=\"12345\"} 1\n"),
        ["line 1: `12345` has 5 bytes, the limit is 4"]
    );
    assert_eq!(
        last("a{b=\"1\",c=\"1\",d=\"1\"} 1\n"),
        ["line 1: a series has more than 2 labels"]
    );
    assert_eq!(
        last("abcdefghi 1\n"),
        ["line 1: `abcdefghi` has 9 bytes, the limit is 8"]
    );
}

#[test]
fn invalid_utf8_is_refused() {
    let limits = Limits::default();
    for body in [&b"a{b=\"\xff\"} 1\n"[..], b"\xff 1\n", b"# HELP a \xff\n"] {
        let entries: Vec<_> = Reader::new(body, Format::Text, limits).unwrap().collect();
        let refused = match &entries[0] {
            Ok(Entry::Sample(row)) => row.labels(&limits).is_err(),
            other => other.is_err(),
        };
        assert!(refused, "{body:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200), metrics in any::<bool>()) {
        drain(&body, metrics);
    }

    #[test]
    fn no_near_miss_makes_it_panic(body in "[a{}\",=\\\\ #\\n0-9.eE+T]{0,80}", metrics in any::<bool>()) {
        drain(body.as_bytes(), metrics);
    }

    #[test]
    fn what_is_written_reads_back(value in "\\PC{1,20}", label in "[a-z_]{1,8}", float in any::<f64>()) {
        let labels = Labels::new([("__name__", "m"), (label.as_str(), value.as_str())]);
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
        let body = format!("m{{{label}=\"{escaped}\"}} {float:?}\n");
        let limits = Limits::default();
        let entry = Reader::new(body.as_bytes(), Format::Text, limits).unwrap().next().unwrap().unwrap();
        let Entry::Sample(row) = entry else { panic!("a sample") };
        prop_assume!(label != "__name__");
        prop_assert_eq!(row.labels(&limits).unwrap(), labels);
        prop_assert!(row.value == float || float.is_nan());
    }
}

fn drain(body: &[u8], metrics: bool) {
    let limits = Limits::default();
    let format = if metrics {
        Format::OpenMetrics
    } else {
        Format::Text
    };
    for entry in Reader::new(body, format, limits).unwrap() {
        if let Ok(Entry::Sample(row)) = entry {
            row.labels(&limits).ok();
        }
    }
}
