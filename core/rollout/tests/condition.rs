//! The grammar of conditions: what reads, and what each fault points at.

use mainstay_faults::Place;
use mainstay_rollout::Condition;
use proptest::prelude::*;

fn place() -> Place {
    Place {
        file: "mainstay.yaml".into(),
        line: 12,
        column: 20,
        width: 1,
    }
}

/// Each text, and how it is written back.
const GOOD: &[(&str, &str)] = &[
    ("error_rate > 1%", "error_rate > 1%"),
    ("error_rate>1%", "error_rate > 1%"),
    (
        "error_rate(web) ≥ 0.5% for 1m",
        "error_rate(web) >= 0.5% for 1m",
    ),
    ("p95 > 400ms", "p95 > 400ms"),
    ("p999(api-2) > 1s500ms", "p999(api-2) > 1s500ms"),
    (
        "error_rate(web) > 2 × baseline",
        "error_rate(web) > 2 × baseline",
    ),
    (
        "error_rate(web) > 2 x baseline",
        "error_rate(web) > 2 × baseline",
    ),
    (
        "error_rate(web) > 2x baseline",
        "error_rate(web) > 2 × baseline",
    ),
    (
        "error_rate(web) > 2.5*baseline",
        "error_rate(web) > 2.5 × baseline",
    ),
    ("p95 > baseline", "p95 > 1 × baseline"),
    ("requests < 50/s", "requests < 50/s"),
    ("requests < 90/m", "requests < 1.5/s"),
    ("restarts > 0", "restarts > 0"),
    ("cpu > 90%", "cpu > 90%"),
    ("memory > 512Mi", "memory > 512Mi"),
    (
        "promql(\"sum(rate(x{a=\\\"b\\\"}[1m]))\") > 0.9 for 10m",
        "promql(\"sum(rate(x{a=\\\"b\\\"}[1m]))\") > 0.9 for 10m",
    ),
    (
        "http(\"https://a.example/q\") < 3",
        "http(\"https://a.example/q\", \"$\") < 3",
    ),
    (
        "http(\"/state\", \"$.data[0].lag\") >= 30",
        "http(\"/state\", \"$.data[0].lag\") >= 30",
    ),
    ("job(smoke) > 0", "job(smoke) > 0"),
];

#[test]
fn conditions_read_and_print_back() {
    for (text, written) in GOOD {
        let condition = Condition::parse(text, &place());
        let condition = condition.unwrap_or_else(|fault| panic!("{text}: {}", fault.message));
        assert_eq!(condition.to_string(), *written);
        let again = Condition::parse(written, &place()).unwrap();
        assert_eq!(again, condition, "{text}");
    }
}

/// Each text, the part that its fault points at, its code, and a word of its message or hint.
const BAD: &[(&str, &str, &str, &str)] = &[
    (
        "eror_rate > 1%",
        "eror_rate",
        "unknown_metric",
        "did you mean `error_rate`?",
    ),
    (
        "error-rate > 1%",
        "error-rate",
        "unknown_metric",
        "did you mean `error_rate`?",
    ),
    ("latency > 1s", "latency", "unknown_metric", "`p95`"),
    ("p100 > 1s", "p100", "unknown_metric", "metrics are"),
    ("p0 > 1s", "p0", "unknown_metric", ""),
    (
        "error_rate > 400ms",
        "400ms",
        "unit_mismatch",
        "a share such as `1%`",
    ),
    (
        "error_rate > 0.01",
        "0.01",
        "unit_mismatch",
        "a share such as `1%`",
    ),
    (
        "p95 > 1%",
        "1%",
        "unit_mismatch",
        "a duration such as `400ms`",
    ),
    ("p95 > 400", "400", "unit_mismatch", "a duration"),
    (
        "requests > 50",
        "50",
        "unit_mismatch",
        "a rate such as `50/s`",
    ),
    ("memory > 90%", "90%", "unit_mismatch", "a size"),
    ("restarts > 1.5", "1.5", "unit_mismatch", "a whole number"),
    (
        "promql(\"x\") > 3%",
        "3%",
        "unit_mismatch",
        "without a unit",
    ),
    ("error_rate > 100%", "100%", "bad_threshold", "never holds"),
    ("error_rate > 101%", "101%", "unit_mismatch", "a share"),
    ("error_rate >= 0%", "0%", "bad_threshold", "always holds"),
    ("p95 < 0s", "0s", "bad_threshold", "never holds"),
    (
        "error_rate > 0.5 × baseline",
        "0.5",
        "bad_ratio",
        "from 1 to 1000",
    ),
    (
        "error_rate > 2000 × baseline",
        "2000",
        "bad_ratio",
        "from 1 to 1000",
    ),
    ("error_rate < 2 × baseline", "2", "bad_ratio", "`>`"),
    (
        "promql(\"x\") > 2 × baseline",
        "2",
        "bad_ratio",
        "no baseline",
    ),
    (
        "error_rate > 2 × base",
        "base",
        "condition_malformed",
        "`baseline`",
    ),
    (
        "error_rate > 2% × baseline",
        "2%",
        "bad_ratio",
        "plain number",
    ),
    ("error_rate 1%", "1%", "condition_malformed", "`>`"),
    (
        "error_rate == 1%",
        "==",
        "condition_malformed",
        "compares nothing",
    ),
    (
        "error_rate >",
        "",
        "condition_malformed",
        "ends where a limit belongs",
    ),
    ("", "", "condition_malformed", "a metric"),
    (
        "error_rate > 1% for",
        "",
        "condition_malformed",
        "a duration",
    ),
    (
        "error_rate > 1% for 5x",
        "5x",
        "bad_duration",
        "not a duration",
    ),
    (
        "error_rate > 1% or p95 > 1s",
        "or",
        "condition_goes_on",
        "entry of its own",
    ),
    (
        "error_rate(Web!) > 1%",
        "Web",
        "bad_name",
        "name of a service",
    ),
    ("error_rate(web > 1%", ">", "condition_malformed", "`)`"),
    ("promql(\"x) > 1", "\"x) > 1", "text_unended", "no end"),
    ("promql(\" \") > 1", "\" \"", "text_empty", "empty"),
    (
        "http(\"ftp://x\") > 1",
        "\"ftp://x\"",
        "bad_address",
        "http://",
    ),
    (
        "http(\"/x\", \"data\") > 1",
        "\"data\"",
        "bad_json_path",
        "$.data.value",
    ),
    (
        "job(\"x\") > 1",
        "\"x\"",
        "condition_malformed",
        "name of a job",
    ),
];

#[test]
fn conditions_with_unknown_metrics_units_and_thresholds_say_where() {
    for (text, part, code, word) in BAD {
        let Err(fault) = Condition::parse(text, &place()) else {
            panic!("`{text}` reads");
        };
        assert_eq!(fault.code, *code, "{text}: {}", fault.message);
        let at = fault.place.expect("a fault has a place");
        let begin = at.column - 20;
        let found: String = text.chars().skip(begin).take(at.width).collect();
        assert_eq!(found, *part, "{text}");
        assert_eq!((at.line, &*at.file), (12, "mainstay.yaml"));
        let said = format!("{} {}", fault.message, fault.hint.unwrap_or_default());
        assert!(said.contains(word), "{text}: {said}");
    }
}

#[test]
fn hostile_text_is_bounded_and_harmless() {
    let long = format!("promql(\"{}\") > 1", "x".repeat(2000));
    let fault = Condition::parse(&long, &place()).unwrap_err();
    assert_eq!(fault.code, "condition_too_long");
    let fault = Condition::parse("\u{1b}[2J > 1%", &place()).unwrap_err();
    assert!(!fault.message.contains('\u{1b}'), "{}", fault.message);
    let nested = "(".repeat(1000);
    assert!(Condition::parse(&nested, &place()).is_err());
    for number in ["99999999999999999999%", "1e308%", "9.9.9%", "999999999999d"] {
        assert!(Condition::parse(&format!("error_rate > {number}"), &place()).is_err());
    }
}

proptest! {
    #[test]
    fn any_text_reads_or_says_why(text in "\\PC{0,80}") {
        if let Ok(condition) = Condition::parse(&text, &place()) {
            let again = Condition::parse(&condition.to_string(), &place());
            prop_assert_eq!(again.map_err(|fault| fault.message), Ok(condition));
        }
    }

    #[test]
    fn any_pieces_in_any_order_read_or_say_why(
        pieces in proptest::collection::vec(
            prop::sample::select(vec![
                "error_rate", "p95", "(", ")", "web", ">", "<=", "1%", "400ms", "2", "×", "x",
                "baseline", "for", "5m", "promql", "\"a\\\"b\"", "http", ",", "\"/a\"", "\"$.a\"",
                "job", "3.25", "50/s", "restarts", "memory", "2Mi",
            ]),
            0..10,
        ),
    ) {
        let text = pieces.join(" ");
        match Condition::parse(&text, &place()) {
            Ok(condition) => {
                let again = Condition::parse(&condition.to_string(), &place());
                prop_assert_eq!(again.map_err(|fault| fault.message), Ok(condition));
            }
            Err(fault) => {
                let at = fault.place.unwrap();
                prop_assert!(at.column >= 20 && at.column + at.width <= 21 + text.chars().count().max(1));
            }
        }
    }
}
