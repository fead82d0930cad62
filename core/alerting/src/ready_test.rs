//! Every rule with its own test, and the rows of the alert table one by one.

use super::*;
use crate::rule_file::read_rules;
use crate::rule_test::run_rule_tests;
use crate::rule_test_file::read_rule_tests;

fn everything() -> Parts {
    Parts(all().map(|rule| rule.need).collect())
}

#[test]
fn every_rule_fires_where_it_should_and_is_quiet_where_it_should() {
    for rule in all() {
        let rules = read_rules(rule.id, &rule_file_of(rule).unwrap());
        let rules = rules.unwrap_or_else(|faults| panic!("{}", faults[0]));
        let text = rule_test_of(rule);
        let tests = read_rule_tests(rule.id, &text)
            .unwrap_or_else(|faults| panic!("{}\n{text}", faults[0]));
        for report in run_rule_tests(&tests, &rules, &|| false) {
            assert!(
                report.failures.is_empty(),
                "{}: {}",
                report.name,
                report.failures[0].text
            );
        }
    }
}

#[test]
fn a_clock_that_nobody_keeps_is_told_and_one_that_is_about_to_be_kept_is_not() {
    let rule = all().find(|rule| rule.id == "clock-off").unwrap();
    let rules = read_rules(rule.id, &rule_file_of(rule).unwrap()).unwrap();
    for (maxerror, kept, told) in [(16.0, 0, true), (16.0, 1, false), (2.0, 0, false)] {
        let expected = if told { "[{value: 1}]" } else { "[]" };
        let text = format!(
            "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n  \
             - {{series: node_timex_offset_seconds, values: \"0x20\"}}\n  \
             - {{series: node_timex_maxerror_seconds, values: \"{maxerror}x20\"}}\n  \
             - {{series: node_timex_sync_status, values: \"{kept}x20\"}}\n  promql_expr_test:\n  \
             - expr: group(ALERTS{{alertname=\"ClockOff\", alertstate=\"firing\"}})\n    eval_time: 15m\n    \
             exp_samples: {expected}\n"
        );
        let tests = read_rule_tests(rule.id, &text).unwrap();
        let reports = run_rule_tests(&tests, &rules, &|| false);
        assert_eq!(reports.len(), 1);
        assert!(
            reports[0].failures.is_empty(),
            "{maxerror} {kept}: {}",
            reports[0].failures[0].text
        );
    }
}

#[test]
fn every_row_of_the_alert_table_is_answered() {
    // Who asks, and a word of the row.
    let rows = [
        ("V", "booking step latency"),
        ("V", "booking step age"),
        ("V", "escrow mismatch"),
        ("V", "paymaster low balance"),
        ("V", "indexer behind"),
        ("V", "high dispute rate"),
        ("V", "fraud patterns"),
        ("V", "contract events"),
        ("V", "gas per function"),
        ("V", "paymaster drain"),
        ("V", "booking anomalies"),
        ("V", "error logs"),
        ("V", "gas per booking"),
        ("V", "gas per region"),
        ("V", "abuse"),
        ("V", "anomalous attempts"),
        ("S", "disk space"),
        ("S", "memory usage"),
        ("S", "error rate"),
        ("S", "response time"),
        ("S", "certificate expiry"),
        ("S", "deployment failures"),
        ("S", "uptime"),
        ("D", "transaction failure rate"),
        ("D", "low user activity"),
        ("D", "API latency"),
        ("D", "database connections"),
        ("D", "provider down"),
        ("D", "cost / free-tier usage"),
        ("N", "API error rate, high"),
        ("N", "DB query latency, high"),
        ("N", "disk space, low"),
        ("N", "service downtime"),
        ("N", "API error rate, moderate"),
        ("N", "DB query latency, moderate"),
        ("N", "disk usage, medium"),
        ("O", "API error rate"),
        ("O", "connection pool exhausted"),
        ("O", "Redis memory"),
        ("O", "ledger inconsistency"),
        ("O", "proof processor latency"),
        ("O", "player wallet update failed"),
    ];
    for (who, row) in rows {
        let answered = all().any(|rule| {
            let mut answers = rule.answers.iter();
            answers.any(|answer| answer.starts_with(&format!("{who}: ")) && answer.contains(row))
        });
        assert!(answered, "{who}: {row}");
    }
}

#[test]
fn every_rule_says_what_happened_and_what_to_do() {
    let mut ids = BTreeSet::new();
    for rule in all() {
        assert!(ids.insert(rule.id), "{} is there twice", rule.id);
        assert!(
            rule.summary.len() > 5 && rule.runbook.len() > 20,
            "{}",
            rule.id
        );
        assert!(rule.expr.contains("$limit"), "{}", rule.id);
    }
    assert!(ids.len() > 60, "{}", ids.len());
}

#[test]
fn a_platform_runs_the_rules_of_what_it_contains() {
    let none = ready(&Parts::default(), &Presets::new()).unwrap();
    let names: Vec<_> = none
        .iter()
        .flat_map(|group| &group.rules)
        .map(|rule| rule.name().to_owned())
        .collect();
    assert!(names.contains(&"DeployFailed".to_owned()) && !names.contains(&"DiskUsed".to_owned()));
    let all_groups = ready(&everything(), &Presets::new()).unwrap();
    let rules: Vec<_> = all_groups.iter().flat_map(|group| &group.rules).collect();
    assert!(rules.len() >= 40, "{}", rules.len());
    assert!(
        !rules.iter().any(|rule| rule.name() == "IndexerBehind"),
        "it waits for its source"
    );
    let waiting = all().filter(|rule| {
        matches!(
            stand(rule, &everything(), &Presets::new()),
            Stand::Waiting(_)
        )
    });
    assert_eq!(waiting.count(), 12);
}

#[test]
fn presets_set_threshold_wait_severity_channel_and_metrics() {
    let preset = |limit, severity: &str| Preset {
        limit: Some(limit),
        for_ms: Some(60_000),
        severity: Some(severity.into()),
        channel: Some("on-call".into()),
        ..Preset::default()
    };
    let mut presets = Presets::from([("error-rate".to_owned(), preset(0.02, "critical"))]);
    let failures = Preset {
        metrics: BTreeMap::from([
            ("failed".to_owned(), "tx_total{state=\"failed\"}".to_owned()),
            ("all".to_owned(), "tx_total".to_owned()),
        ]),
        ..Preset::default()
    };
    presets.insert("transaction-failures".into(), failures);
    presets.insert(
        "disk-used".into(),
        Preset {
            off: true,
            ..Preset::default()
        },
    );
    let groups = ready(&everything(), &presets).unwrap();
    let find = |name: &str| {
        groups
            .iter()
            .flat_map(|group| &group.rules)
            .find(|rule| rule.name() == name)
    };
    let rule = find("ErrorRate").unwrap();
    assert!(rule.query.text.ends_with("> 0.02"));
    assert_eq!(rule.labels["severity"].text(), "critical");
    assert_eq!(rule.labels["channel"].text(), "on-call");
    assert!(
        find("TransactionFailures")
            .unwrap()
            .query
            .text
            .contains("tx_total{state=\"failed\"}")
    );
    assert!(find("DiskUsed").is_none());
    presets.insert("no-such-rule".into(), Preset::default());
    presets
        .get_mut("transaction-failures")
        .unwrap()
        .metrics
        .insert("all".into(), "tx(".into());
    presets.get_mut("error-rate").unwrap().limit = Some(f64::NAN);
    let faults = ready(&everything(), &presets).unwrap_err();
    assert_eq!(faults.len(), 3, "{faults:?}");
}
