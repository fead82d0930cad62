//! Hostile queries: each is refused, none makes the process panic, recurse without bound or take long.

use mainstay_metrics::{Labels, Memory, Sample, Value};
use mainstay_promql::{Fault, Options, Settings, When, evaluate, parse};
use proptest::prelude::*;
use std::cell::Cell;

fn store(series: usize, samples: i64) -> Memory {
    let mut memory = Memory::default();
    for one in 0..series {
        let labels = Labels::new([("__name__", "m"), ("x", &one.to_string())]);
        for at in 0..samples {
            memory.append(
                &labels,
                Sample {
                    at_ms: at * 1000,
                    value: Value::Float(1.0),
                },
            );
        }
    }
    memory
}

fn run(query: &str, when: When, settings: Settings) -> Result<(), Fault> {
    let expr = parse(query, Options { experimental: true }).map_err(Fault::Parse)?;
    evaluate(&store(20, 100), query, &expr, when, &settings, &|| false).map(|_| ())
}

#[test]
fn deep_and_long_queries_are_refused() {
    for query in [
        "(".repeat(50_000),
        "(".repeat(8000) + "1" + &")".repeat(8000),
        "sum(".repeat(10_000),
        "sum(".repeat(4000),
        "-".repeat(16_000) + "1",
        "1+".repeat(8000) + "1",
        "1^".repeat(8000) + "1",
        format!("m[{}1{}]", "(".repeat(5000), ")".repeat(5000)),
        format!("m[{}1]", "-".repeat(5000)),
        format!("m{}", "[1m:1m]".repeat(2000)),
        "m or ".repeat(3000) + "m",
    ] {
        assert!(
            parse(&query, Options::default()).is_err(),
            "{}…",
            &query[..20]
        );
    }
    // What people write is far from the limits.
    let chain = "m or ".repeat(200) + "m";
    assert!(run(&chain, When::Instant(0), Settings::default()).is_ok());
}

#[test]
fn budgets_end_a_query() {
    let small = Settings {
        samples_max: 500,
        ..Settings::default()
    };
    let found = run("sum(rate(m[1m]))", When::Instant(99_000), small);
    assert_eq!(found, Err(Fault::TooManySamples { limit: 500 }));
    let narrow = Settings {
        bytes_max: 1000,
        ..Settings::default()
    };
    assert!(run("m", When::Instant(99_000), narrow).is_err());
    for query in [
        "sum_over_time(m[100y:1ms])",
        "max_over_time(vector(1)[1000y:1ms])",
    ] {
        assert!(
            run(query, When::Instant(99_000), Settings::default()).is_err(),
            "{query}"
        );
    }
    let endless = When::Range {
        start_ms: i64::MIN / 4,
        end_ms: i64::MAX / 4,
        step_ms: 1,
    };
    assert!(run("1", endless, Settings::default()).is_err());
}

#[test]
fn time_ends_a_query() {
    let query = "sum_over_time(m[1m:1ms])";
    let expr = parse(query, Options::default()).unwrap();
    let asked = Cell::new(0);
    let expired = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    let found = evaluate(
        &store(20, 100),
        query,
        &expr,
        When::Instant(99_000),
        &Settings::default(),
        &expired,
    );
    assert_eq!(found.map(|_| ()), Err(Fault::TimedOut));
}

#[test]
fn hostile_expressions_are_bounded() {
    for query in [
        "m{x=~\"(a{1000}){1000}\"}",
        "m{x=~\"(.*.*.*.*)*$\"}",
        "label_replace(m, \"y\", \"$1\", \"x\", \"((a*)*)*b\")",
    ] {
        run(query, When::Instant(0), Settings::default()).ok();
    }
}

#[test]
fn experimental_parts_are_refused_by_name() {
    for (query, name) in [
        ("limitk(1, m)", "limitk"),
        ("info(m)", "info"),
        ("mad_over_time(m[5m])", "mad_over_time"),
        ("rate(m[5m] anchored)", "anchored"),
        ("m + fill(0) m", "fill"),
    ] {
        let fault = parse(query, Options::default()).unwrap_err();
        assert!(
            fault.why.contains(&format!("`{name}` is experimental")),
            "{fault}"
        );
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(query in "\\PC{0,60}") {
        run(&query, When::Instant(50_000), Settings::default()).ok();
    }

    #[test]
    fn no_near_miss_makes_it_panic(parts in proptest::collection::vec(prop::sample::select(vec![
        "m", "sum", "(", ")", "[5m]", "[1m:10s]", "rate", "+", "-", "*", "/", "^", "</", "1", "0", "NaN", "by", "(x)", "{x=\"1\"}",
        "offset", "@", "1m", "topk", ",", "or", "unless", "on", "group_left", "bool", "==", "histogram_quantile", "0.5", "\"a\"", "label_replace",
    ]), 0..14)) {
        let query = parts.join(" ");
        let range = When::Range { start_ms: 0, end_ms: 90_000, step_ms: 7000 };
        run(&query, range, Settings::default()).ok();
        run(&query, When::Instant(50_000), Settings::default()).ok();
    }
}
