//! Which alerts something may be done about: those that fire by an evaluation that worked, and not long ago.

use crate::alert::State;
use crate::at::At;
use crate::group::{Group, Health, RuleState};
use crate::rule::RuleKind;
use mainstay_metrics::Labels;
use std::collections::BTreeSet;

/// How long after its next run was due what a rule said counts, in milliseconds: longer than a query may take.
const LATE_MS: i64 = 45_000;

/// Names of alerts that fire and that nobody silences. A rule that could not be evaluated, that did not run since
/// the process began, or whose last run is long ago says nothing, whatever it knew.
pub fn firing<'g>(
    groups: impl IntoIterator<Item = &'g Group>,
    is_silenced: impl Fn(&Labels) -> bool,
    now: At,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for group in groups {
        let oldest = group.interval_ms.saturating_add(LATE_MS);
        let counts = |state: &&RuleState| {
            let fresh = state.evaluated_at.is_some_and(|at| now.since(at) <= oldest);
            fresh && state.health == Health::Good
        };
        for state in group.rules.iter().filter(counts) {
            let RuleKind::Alerting(alerting) = &state.rule.kind else {
                continue;
            };
            let mut alerts = state.alerts.values();
            if alerts.any(|alert| alert.state == State::Firing && !is_silenced(&alert.labels)) {
                names.insert(alerting.alert.clone());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::{Element, Outside, Store};
    use crate::rule::Query;
    use crate::rule_file::read_rules;
    use mainstay_metrics::Value;

    /// Answers every query with one element, or not at all.
    struct Answers(bool);

    impl Store for Answers {
        fn query(&mut self, _: &Query, _: i64) -> Result<Vec<Element>, String> {
            let element = Element {
                labels: Labels::new([("check", "home")]),
                value: Value::Float(1.0),
            };
            self.0.then(|| vec![element]).ok_or_else(|| "away".into())
        }

        fn write(&mut self, _: i64, _: &[(Labels, Value)]) {}
    }

    fn group() -> Group {
        let text = "groups:\n- name: own\n  interval: 1s\n  rules:\n  - alert: HomeFails\n    expr: up == 0\n";
        let mut read = read_rules("rules.yml", text).unwrap();
        Group::new(read.remove(0))
    }

    #[test]
    fn only_what_was_evaluated_well_and_lately_counts() {
        let mut group = group();
        let at = At::both(1_000_000);
        let fires = |group: &Group, now: At| !firing([group], |_| false, now).is_empty();
        assert!(!fires(&group, at), "it has not run");
        group.evaluate(at, &Outside::default(), &mut Answers(true));
        assert!(fires(&group, at));
        assert!(fires(&group, at.plus(45_000)));
        assert!(!fires(&group, at.plus(60_000)), "nobody knows any more");
        let silenced = firing([&group], |labels| labels.get("check") == "home", at);
        assert!(silenced.is_empty());
        group.evaluate(at.plus(1000), &Outside::default(), &mut Answers(false));
        assert!(!fires(&group, at.plus(1000)), "it could not be evaluated");
        let alert = group.rules[0].alerts.values().next().unwrap();
        assert_eq!(alert.state, State::Firing, "it fires all the same");
        group.evaluate(at.plus(2000), &Outside::default(), &mut Answers(true));
        assert!(fires(&group, at.plus(2000)));
    }
}
