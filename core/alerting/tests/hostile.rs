//! Texts of strangers: whatever they hold, they are read or refused, and nothing panics.

use mainstay_alerting::template::NoQueries;
use mainstay_alerting::{
    Router, Routing, Table, Template, business, matching, read_alertmanager, read_rule_tests,
    read_rules, run_rule_tests,
};
use proptest::prelude::*;

const RULES: &str = "groups:\n- name: g\n  interval: 30s\n  limit: 5\n  labels: {a: b}\n  rules:\n  - record: a:b\n    expr: sum by (x) (rate(a[5m]))\n  - alert: A\n    expr: a:b > 1\n    for: 1m\n    annotations: {s: '{{ range $i, $e := query \"up\" }}{{ $e.Value | humanize }}{{ end }}'}\n";
const ROUTES: &str = "global: {smtp_smarthost: 'a:25', smtp_from: a@b}\nroute:\n  receiver: r\n  group_by: [a, b]\n  routes:\n  - matchers: ['a=\"b\"', 'c=~\"d|e\"']\n    receiver: r\n    mute_time_intervals: [n]\ntime_intervals: [{name: n, time_intervals: [{times: [{start_time: '09:00', end_time: '17:00'}], weekdays: ['monday:friday'], days_of_month: ['-3:-1']}]}]\nreceivers: [{name: r, email_configs: [{to: a@b}], slack_configs: [{api_url: 'https://h/', text: '{{ .Status }}'}]}]\n";
const TESTS: &str = "evaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series: [{series: 'a{x=\"y\"}', values: '1+1x5 _ stale'}]\n  alert_rule_test: [{eval_time: 3m, alertname: A, exp_alerts: []}]\n  promql_expr_test: [{expr: a, eval_time: 2m, exp_samples: [{labels: a, value: 3}]}]\n";

/// A text with one part replaced by another.
fn broken(text: &str, at: usize, length: usize, with: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let at = at % letters.len();
    let end = (at + length).min(letters.len());
    letters[..at]
        .iter()
        .chain(with.chars().collect::<Vec<_>>().iter())
        .chain(&letters[end..])
        .collect()
}

/// That it returned is all that is asked.
fn refused_or_not<T, F>(_: &Result<T, F>) {}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn files_are_read_or_refused(at in 0_usize..2000, length in 0_usize..20, with in "[-:{}\\[\\]\"'&*!|>%@`#,?a-z0-9$(). \n]{0,12}") {
        let rules = read_rules("f", &broken(RULES, at, length, &with));
        let routes = read_alertmanager("f", &broken(ROUTES, at, length, &with));
        if let Err(faults) = &rules {
            prop_assert!(!faults.is_empty() && faults.iter().all(|fault| fault.place.line > 0));
        }
        if let Err(faults) = &routes {
            prop_assert!(!faults.is_empty());
        }
        if let (Ok(tests), Ok(rules)) = (read_rule_tests("f", &broken(TESTS, at, length, &with)), rules) {
            let looks = std::cell::Cell::new(0);
            let expired = || {
                looks.set(looks.get() + 1);
                looks.get() > 2000
            };
            run_rule_tests(&tests, &rules, &expired);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        refused_or_not(&read_rules("f", &text));
        refused_or_not(&read_alertmanager("f", &text));
        refused_or_not(&matching::matchers(&text));
        refused_or_not(&business::written_out(&text));
        refused_or_not(&Table::from_json(&text));
        let routing = || -> Routing { read_alertmanager("f", ROUTES).unwrap().routing };
        refused_or_not(&Router::from_json(&text, routing()));
    }

    #[test]
    fn templates_are_expanded_or_refused(text in "(\\{\\{-?( |\\.|\\$|if|range|with|end|else|query|printf|\"%[a-z0-9.]{0,4}\"|\\||\\(|\\)|[0-9]{1,3}|label|index|slice|:=|=|,|x){0,8}-?\\}\\}|[a-z]){0,8}") {
        if let Ok(template) = Template::of_rule(&text) {
            let value = mainstay_alerting::template::Value::Nil;
            refused_or_not(&template.expand(&value, &[], &mut NoQueries));
        }
    }
}
