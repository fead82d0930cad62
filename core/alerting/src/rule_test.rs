//! Rule tests: rules over series that a file gives, and whether they do what it expects.

use crate::alert::State;
use crate::at::At;
use crate::element::{Element, Outside, Store, ask};
use crate::group::{ALERT_NAME, Group};
use crate::rule::{Query, RuleGroup, RuleKind};
use crate::rule_test_file::{AlertTest, QueryTest, RuleTest, RuleTests};
use crate::span;
use crate::{Health, Place};
use mainstay_metrics::histogram::general;
use mainstay_metrics::{Labels, Memory, Sample, Value};
use mainstay_promql::Settings;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Most evaluations of one test: a year at every minute takes half of it.
const STEPS_MAX: i64 = 1_000_000;

/// What came of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestReport {
    /// The test's name.
    pub name: String,
    /// How many expectations it has.
    pub checks: usize,
    /// What is not as expected; empty when the test passes.
    pub failures: Vec<TestFailure>,
}

/// Something that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestFailure {
    /// Where the expectation stands in the test file.
    pub place: Place,
    /// What was expected and what was found, over several lines.
    pub text: String,
}

/// Runs every test of a file over the groups of its rule files. `expired` says when time is up.
pub fn run_rule_tests(
    tests: &RuleTests,
    rules: &[RuleGroup],
    expired: &dyn Fn() -> bool,
) -> Vec<TestReport> {
    tests
        .tests
        .iter()
        .map(|test| run(tests, test, rules, expired))
        .collect()
}

/// The store of one test.
struct Bench<'a> {
    memory: Memory,
    settings: Settings,
    expired: &'a dyn Fn() -> bool,
}

impl Store for Bench<'_> {
    fn query(&mut self, query: &Query, at_ms: i64) -> Result<Vec<Element>, String> {
        ask(&self.memory, query, at_ms, &self.settings, self.expired)
    }

    fn write(&mut self, at_ms: i64, samples: &[(Labels, Value)]) {
        for (labels, value) in samples {
            let value = value.clone();
            self.memory.append(labels, Sample { at_ms, value });
        }
    }
}

fn run(
    tests: &RuleTests,
    test: &RuleTest,
    rules: &[RuleGroup],
    expired: &dyn Fn() -> bool,
) -> TestReport {
    let mut report = TestReport {
        name: test.name.clone(),
        checks: test.alerts.len() + test.queries.len(),
        failures: Vec::new(),
    };
    let interval = tests.evaluation_interval_ms;
    let times = test.alerts.iter().map(|one| one.at_ms);
    let last = times
        .chain(test.queries.iter().map(|one| one.at_ms))
        .max()
        .unwrap_or(0);
    if last / interval > STEPS_MAX {
        let text = format!(
            "the test needs more than {STEPS_MAX} evaluations: choose a longer `evaluation_interval`"
        );
        report.failures.push(TestFailure {
            place: test.place,
            text,
        });
        return report;
    }
    let mut bench = Bench {
        memory: Memory::default(),
        settings: Settings {
            subquery_step_ms: interval,
            ..Settings::default()
        },
        expired,
    };
    let outside = Outside {
        labels: test.external_labels.clone(),
        url: test.external_url.clone(),
        ..Outside::default()
    };
    let mut groups = ordered(rules, &tests.group_order, interval);
    let mut given = 0;
    for step in 0..=last / interval {
        let from_start = step * interval;
        given = give(test, &mut bench, given, from_start);
        let at = At::both(test.start_ms + from_start);
        for group in &mut groups {
            group.evaluate(at, &outside, &mut bench);
            failed(group, test, from_start, &mut report);
        }
        if !report.failures.is_empty() || expired() {
            break;
        }
        let now = test
            .alerts
            .iter()
            .filter(|one| (from_start..from_start + interval).contains(&one.at_ms));
        now.for_each(|one| alerts(one, &groups, &mut report));
    }
    if expired() {
        let text = "the time for this test is up".to_owned();
        report.failures.push(TestFailure {
            place: test.place,
            text,
        });
        return report;
    }
    // What lies between the last evaluation and the last query is visible to it.
    give(test, &mut bench, given, last);
    for one in &test.queries {
        query(one, test.start_ms, tests.fuzzy, &mut bench, &mut report);
    }
    report
}

fn ordered(rules: &[RuleGroup], order: &[String], interval_ms: i64) -> Vec<Group> {
    let mut groups: Vec<_> = rules.to_vec();
    let place = |group: &RuleGroup| {
        order
            .iter()
            .position(|name| *name == group.name)
            .unwrap_or(0)
    };
    groups.sort_by_key(place);
    groups
        .into_iter()
        .map(|group| Group::with_interval(group, interval_ms))
        .collect()
}

/// Makes samples visible up to a time; returns the step that comes next.
fn give(test: &RuleTest, bench: &mut Bench<'_>, from: usize, until_ms: i64) -> usize {
    let steps = usize::try_from(until_ms / test.interval_ms).unwrap_or(0) + 1;
    for (labels, points) in &test.series {
        let here = points.iter().enumerate().take(steps).skip(from);
        for (place, value) in here.filter_map(|(place, value)| Some((place, value.as_ref()?))) {
            let offset = i64::try_from(place)
                .unwrap_or(i64::MAX)
                .saturating_mul(test.interval_ms);
            let at_ms = test.start_ms.saturating_add(offset);
            let value = value.clone();
            bench.memory.append(labels, Sample { at_ms, value });
        }
    }
    steps.max(from)
}

/// A rule that fails fails the test.
fn failed(group: &Group, test: &RuleTest, at_ms: i64, report: &mut TestReport) {
    for state in &group.rules {
        if let Health::Failed(why) = &state.health {
            let text = format!(
                "rule: {}, time: {}, err: {why}",
                state.rule.name(),
                span::format(at_ms)
            );
            report.failures.push(TestFailure {
                place: test.place,
                text,
            });
        }
    }
}

type Firing = (Labels, BTreeMap<String, String>);

fn alerts(test: &AlertTest, groups: &[Group], report: &mut TestReport) {
    let rules = groups.iter().flat_map(|group| &group.rules);
    let rules = rules.filter(|state| {
        matches!(state.rule.kind, RuleKind::Alerting(_)) && state.rule.name() == test.alert
    });
    let mut found: Vec<Firing> = rules
        .flat_map(|state| state.alerts.values())
        .filter(|alert| alert.state == State::Firing)
        .map(|alert| {
            let labels = alert.labels.filtered(|label| &*label.name != ALERT_NAME);
            (labels, alert.annotations.clone())
        })
        .collect();
    let mut expected = test.expected.clone();
    found.sort();
    expected.sort();
    if found != expected {
        let mut text = format!(
            "alertname: {}, time: {}\n",
            test.alert,
            span::format(test.at_ms)
        );
        write!(
            text,
            "    exp: {}\n    got: {}",
            shown(&expected),
            shown(&found)
        )
        .unwrap_or_default();
        report.failures.push(TestFailure {
            place: test.place,
            text,
        });
    }
}

fn shown(alerts: &[Firing]) -> String {
    let alerts = alerts.iter().map(|(labels, annotations)| {
        let annotations = Labels::new(annotations);
        format!("Labels:{labels} Annotations:{annotations}")
    });
    format!("[{}]", alerts.collect::<Vec<_>>().join(", "))
}

fn query(
    test: &QueryTest,
    start_ms: i64,
    fuzzy: bool,
    bench: &mut Bench<'_>,
    report: &mut TestReport,
) {
    let at_ms = start_ms.saturating_add(test.at_ms);
    let title = format!(
        "expr: {}, time: {}",
        test.query.text,
        span::format(test.at_ms)
    );
    let mut found = match bench.query(&test.query, at_ms) {
        Ok(found) => found,
        Err(why) => {
            let text = format!("{title}, err: {why}");
            report.failures.push(TestFailure {
                place: test.place,
                text,
            });
            return;
        }
    };
    let mut expected = test.expected.clone();
    found.sort_by(|one, two| one.labels.cmp(&two.labels));
    expected.sort_by(|one, two| one.0.cmp(&two.0));
    let same = found.len() == expected.len()
        && found.iter().zip(&expected).all(|(found, (labels, value))| {
            found.labels == *labels && equal(&found.value, value, fuzzy)
        });
    if !same {
        let found = found
            .iter()
            .map(|element| sample(&element.labels, &element.value));
        let expected = expected.iter().map(|(labels, value)| sample(labels, value));
        let (found, expected): (Vec<_>, Vec<_>) = (found.collect(), expected.collect());
        let text = format!(
            "{title}\n    exp: {}\n    got: {}",
            list(&expected),
            list(&found)
        );
        report.failures.push(TestFailure {
            place: test.place,
            text,
        });
    }
}

fn list(samples: &[String]) -> String {
    if samples.is_empty() {
        return "nil".into();
    }
    samples.join(", ")
}

fn sample(labels: &Labels, value: &Value) -> String {
    match value {
        Value::Float(number) => format!("{labels} {}", general(*number)),
        Value::Histogram(histogram) => format!("{labels} {histogram}"),
    }
}

#[expect(
    clippy::float_cmp,
    reason = "the format asks for exact equality unless it is told otherwise"
)]
fn equal(found: &Value, expected: &Value, fuzzy: bool) -> bool {
    match (found, expected) {
        (Value::Float(one), Value::Float(two)) => {
            let near = fuzzy && (one.next_up() == *two || one.next_down() == *two);
            one == two || near || (one.is_nan() && two.is_nan())
        }
        (Value::Histogram(one), Value::Histogram(two)) => one == two,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule_file::read_rules;
    use crate::rule_test_file::read_rule_tests;

    const RULES: &str = "groups:\n- name: g\n  rules:\n  - {record: y, expr: x * 2}\n  - {alert: A, expr: y > 4, for: 1m, labels: {s: p}, annotations: {v: '{{ $value }} {{ $externalLabels.env }}'}}\n";

    fn play(test: &str) -> Vec<TestReport> {
        let rules = read_rules("r", RULES).unwrap();
        let tests = read_rule_tests("t", &format!("tests:\n- {test}")).unwrap();
        run_rule_tests(&tests, &rules, &|| false)
    }

    #[test]
    fn a_test_passes_or_says_what_was_expected_and_found() {
        let input = "input_series: [{series: 'x{a=\"b\"}', values: '1+1x5'}]\n  external_labels: {env: prod}\n  ";
        let good = format!(
            "{input}alert_rule_test: [{{eval_time: 2m, alertname: A, exp_alerts: []}}, {{eval_time: 3m, alertname: A, exp_alerts: [{{exp_labels: {{a: b, s: p}}, exp_annotations: {{v: '8 prod'}}}}]}}]\n  promql_expr_test: [{{expr: y, eval_time: 1m, exp_samples: [{{labels: 'y{{a=\"b\"}}', value: 4}}]}}]"
        );
        let report = &play(&good)[0];
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        assert_eq!((report.checks, report.name.as_str()), (3, "tests[0]"));
        let bad = good
            .replace("8 prod", "9 prod")
            .replace("value: 4", "value: 5");
        let report = &play(&bad)[0];
        assert_eq!(report.failures.len(), 2);
        assert!(
            report.failures[0]
                .text
                .contains("got: [Labels:{a=\"b\", s=\"p\"} Annotations:{v=\"8 prod\"}]"),
            "{}",
            report.failures[0].text
        );
        assert!(
            report.failures[1].text.ends_with(
                "exp: {__name__=\"y\", a=\"b\"} 5\n    got: {__name__=\"y\", a=\"b\"} 4"
            )
        );
    }

    #[test]
    fn a_rule_that_fails_fails_the_test() {
        let rules = read_rules(
            "r",
            "groups: [{name: g, rules: [{record: y, expr: x, labels: {a: c}}]}]",
        )
        .unwrap();
        let text = "tests: [{input_series: [{series: 'x{a=\"1\"}', values: 1}, {series: 'x{a=\"2\"}', values: 1}]}]";
        let report = &run_rule_tests(&read_rule_tests("t", text).unwrap(), &rules, &|| false)[0];
        assert!(
            report.failures[0]
                .text
                .contains("rule: y, time: 0s, err: vector contains")
        );
    }

    #[test]
    fn hostile_tests_are_refused_or_end() {
        for text in [
            "",
            "tests: [{input_series: [{series: 'x{', values: 1}]}]",
            "tests: [{nope: 1}]",
            "tests: [{input_series: [{series: x, values: '1x999999999'}]}]",
            "tests: [{promql_expr_test: [{expr: 'x +', eval_time: 0}]}]",
            "tests: [{promql_expr_test: [{expr: x, eval_time: 1z}]}]",
            "tests: [{start_timestamp: never}]",
            "group_eval_order: [a, a]",
            "tests: [{alert_rule_test: [{eval_time: 0}]}]",
        ] {
            assert!(read_rule_tests("t", text).is_err(), "{text}");
        }
        let report = &play("promql_expr_test: [{expr: x, eval_time: 200y}]")[0];
        assert!(report.failures[0].text.contains("evaluations"));
        let tests = read_rule_tests("t", "tests: [{}]").unwrap();
        let report = &run_rule_tests(&tests, &[], &|| true)[0];
        assert!(report.failures[0].text.contains("time"));
    }

    #[test]
    fn a_start_and_values_beyond_the_plain_are_read() {
        let report = &play(
            "start_timestamp: 1970-01-01T00:01:00Z\n  input_series: [{series: x, values: '.5 NaN -Inf'}]\n  promql_expr_test: [{expr: timestamp(x), eval_time: 0, exp_samples: [{value: 60}]}, {expr: x, eval_time: 1m, exp_samples: [{labels: x, value: .nan}]}, {expr: x, eval_time: 2m, exp_samples: [{labels: x, value: -.inf}]}]",
        )[0];
        assert!(report.failures.is_empty(), "{:?}", report.failures);
    }
}
