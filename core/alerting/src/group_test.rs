//! Groups over a store in memory: states, series and notices, step by step.

use super::*;
use crate::element::ask;
use crate::rule_file::read_rules;
use crate::wire::Table;
use mainstay_metrics::{Memory, Sample};
use mainstay_promql::Settings;

/// Seconds a step.
const STEP_S: i64 = 60;

struct World {
    memory: Memory,
    broken: bool,
}

impl Store for World {
    fn query(&mut self, query: &crate::rule::Query, at_ms: i64) -> Result<Vec<Element>, String> {
        if self.broken {
            return Err("the store is away".into());
        }
        ask(&self.memory, query, at_ms, &Settings::default(), &|| false)
    }

    fn write(&mut self, at_ms: i64, samples: &[(Labels, Value)]) {
        for (labels, value) in samples {
            let value = value.clone();
            self.memory.append(labels, Sample { at_ms, value });
        }
    }
}

struct Play {
    world: World,
    group: Group,
    step: i64,
}

impl Play {
    fn new(rules: &str) -> Self {
        let text = format!("groups:\n- name: g\n  rules:\n{rules}");
        let mut groups = read_rules("f", &text).unwrap();
        Self {
            world: World {
                memory: Memory::default(),
                broken: false,
            },
            group: Group::new(groups.remove(0)),
            step: -1,
        }
    }

    fn at(&self) -> At {
        At::both(self.step * STEP_S * 1000)
    }

    /// Goes a step on with these values of `x`, and says what was told.
    fn go(&mut self, values: &[(&str, f64)]) -> Vec<String> {
        self.step += 1;
        let at = self.at();
        for (instance, value) in values {
            let labels = Labels::new([(NAME, "x"), ("instance", instance)]);
            self.world
                .write(at.wall_ms, &[(labels, Value::Float(*value))]);
        }
        let evaluated = self
            .group
            .evaluate(at, &Outside::default(), &mut self.world);
        told(&evaluated.notices)
    }

    fn query(&mut self, text: &str) -> Vec<String> {
        let at = self.at().wall_ms;
        let query = crate::rule::Query::parse(text).unwrap();
        let found = self.world.query(&query, at).unwrap();
        found
            .iter()
            .map(|element| format!("{} {}", element.labels, element.number()))
            .collect()
    }

    fn states(&self) -> Vec<&'static str> {
        let alerts = self
            .group
            .rules
            .iter()
            .flat_map(|rule| rule.alerts.values());
        alerts.map(|alert| alert.state.name()).collect()
    }
}

fn told(notices: &[Notice]) -> Vec<String> {
    let told = notices.iter().map(|notice| {
        let state = if notice.ended_at.is_some() {
            "resolved"
        } else {
            "firing"
        };
        format!("{} {state} {}", notice.labels.get("instance"), notice.value)
    });
    told.collect()
}

const FOR: &str = "  - {alert: A, expr: x > 0, for: 2m, keep_firing_for: 2m, labels: {severity: '{{ $labels.instance }}!'}, annotations: {s: 'v={{ $value }}'}}\n";

#[test]
fn an_alert_waits_fires_stays_and_ends() {
    let mut play = Play::new(FOR);
    assert!(play.go(&[("a", 1.0)]).is_empty());
    assert_eq!(play.states(), ["pending"]);
    assert_eq!(
        play.query("ALERTS"),
        [
            r#"{__name__="ALERTS", alertname="A", alertstate="pending", instance="a", severity="a!"} 1"#
        ]
    );
    assert!(play.go(&[("a", 2.0)]).is_empty());
    assert_eq!(play.go(&[("a", 3.0)]), ["a firing 3"]);
    assert_eq!(
        play.query("ALERTS"),
        [
            r#"{__name__="ALERTS", alertname="A", alertstate="firing", instance="a", severity="a!"} 1"#
        ]
    );
    assert_eq!(
        play.query("ALERTS_FOR_STATE"),
        [r#"{__name__="ALERTS_FOR_STATE", alertname="A", instance="a", severity="a!"} 0"#]
    );
    // The element is gone: it is kept for two minutes, and the timer begins anew when it returns.
    assert_eq!(play.go(&[("a", 0.0)]), ["a firing 3"]);
    assert_eq!(play.go(&[("a", 4.0)]), ["a firing 4"]);
    assert_eq!(play.go(&[("a", 0.0)]), ["a firing 4"]);
    assert_eq!(play.go(&[("a", 0.0)]), ["a firing 4"]);
    assert_eq!(play.go(&[("a", 0.0)]), ["a resolved 4"]);
    assert!(play.query("ALERTS").is_empty(), "the series ends at once");
    // It is told again for fifteen minutes, then forgotten.
    for _ in 0..15 {
        assert_eq!(play.go(&[]), ["a resolved 4"]);
    }
    assert!(play.go(&[]).is_empty());
    assert!(play.states().is_empty());
}

#[test]
fn a_pending_alert_that_goes_says_nothing() {
    let mut play = Play::new(FOR);
    play.go(&[("a", 1.0), ("b", 1.0)]);
    assert!(play.go(&[("a", 0.0), ("b", 1.0)]).is_empty());
    assert_eq!(play.go(&[("a", 1.0), ("b", 1.0)]), ["b firing 1"]);
    assert_eq!(play.states(), ["pending", "firing"]);
}

#[test]
fn an_alert_that_comes_back_is_another() {
    let mut play = Play::new("  - {alert: A, expr: x > 0}\n");
    assert_eq!(play.go(&[("a", 1.0)]), ["a firing 1"]);
    assert_eq!(play.go(&[("a", 0.0)]), ["a resolved 1"]);
    assert_eq!(play.go(&[("a", 1.0)]), ["a firing 1"]);
    let alert = play.group.rules[0].alerts.values().next().unwrap();
    assert_eq!(alert.active_at, At::both(120_000));
}

#[test]
fn a_failing_query_keeps_everything() {
    let mut play = Play::new(FOR);
    for _ in 0..3 {
        play.go(&[("a", 1.0)]);
    }
    play.world.broken = true;
    for _ in 0..20 {
        assert_eq!(play.go(&[]), ["a firing 1"], "told again, never resolved");
    }
    assert_eq!(
        play.group.rules[0].health,
        Health::Failed("the store is away".into())
    );
    play.world.broken = false;
    assert_eq!(play.go(&[("a", 1.0)]), ["a firing 1"]);
    assert_eq!(play.group.rules[0].health, Health::Good);
}

#[test]
fn later_rules_see_what_earlier_ones_record() {
    let mut play =
        Play::new("  - {record: y, expr: x * 2, labels: {k: v}}\n  - {alert: B, expr: y > 3}\n");
    assert_eq!(play.go(&[("a", 2.0)]), ["a firing 4"]);
    assert_eq!(
        play.query("y"),
        [r#"{__name__="y", instance="a", k="v"} 4"#]
    );
}

#[test]
fn results_that_collide_are_an_error_and_tell_nothing() {
    let mut play = Play::new(
        "  - {record: y, expr: x, labels: {instance: same}}\n  - {alert: B, expr: x, labels: {instance: same}}\n",
    );
    assert!(play.go(&[("a", 1.0), ("b", 1.0)]).is_empty());
    for rule in &play.group.rules {
        assert!(matches!(&rule.health, Health::Failed(why) if why.contains("same labelset")));
    }
    assert!(play.query("y").is_empty());
}

#[test]
fn a_limit_keeps_what_was_there() {
    let mut play = Play::new("  - {alert: B, expr: x}\n");
    play.group.limit = 1;
    assert_eq!(play.go(&[("a", 1.0)]), ["a firing 1"]);
    assert_eq!(play.go(&[("a", 1.0), ("b", 1.0)]), ["a firing 1"]);
    assert!(
        matches!(&play.group.rules[0].health, Health::Failed(why) if why.contains("limit of 1 with 2 alerts"))
    );
}

#[test]
fn a_raised_wait_demotes_but_its_end_is_told() {
    let mut play = Play::new(FOR);
    for _ in 0..3 {
        play.go(&[("a", 1.0)]);
    }
    let text = format!(
        "groups:\n- name: g\n  rules:\n{}",
        FOR.replace("for: 2m, keep", "for: 1h, keep")
    );
    let mut group = Group::new(read_rules("f", &text).unwrap().remove(0));
    let at = play.at();
    let old = std::mem::replace(&mut play.group, group.clone());
    let notices = group.take_over(old, at, &Outside::default(), &mut play.world);
    assert!(notices.is_empty());
    play.group = group;
    assert!(play.go(&[("a", 1.0)]).is_empty());
    assert_eq!(play.states(), ["pending"]);
    assert_eq!(play.go(&[("a", 0.0)]), ["a resolved 1"]);
}

#[test]
fn a_rule_that_is_taken_away_resolves_what_it_told() {
    let mut play = Play::new("  - {alert: B, expr: x}\n  - {record: y, expr: x}\n");
    play.go(&[("a", 1.0)]);
    let text = "groups: [{name: g, rules: []}]";
    let mut group = Group::new(read_rules("f", text).unwrap().remove(0));
    play.step += 1;
    let at = play.at();
    let old = std::mem::replace(&mut play.group, group.clone());
    let notices = group.take_over(old, at, &Outside::default(), &mut play.world);
    assert_eq!(told(&notices), ["a resolved 1"]);
    assert!(play.query("y").is_empty() && play.query("ALERTS").is_empty());
}

#[test]
fn the_table_comes_back_exactly() {
    let mut play = Play::new(FOR);
    play.go(&[("a", 1.0), ("b", f64::INFINITY)]);
    play.go(&[("a", 1.0), ("b", 2.0)]);
    play.go(&[("a", f64::NAN), ("b", 2.0), ("c", 1.0)]);
    let before = play.group.clone();
    let text = Table::of([&before], play.at()).to_json();
    let table = Table::from_json(&text).unwrap();
    assert_eq!(table.at(), play.at());
    let definition = format!("groups:\n- name: g\n  rules:\n{FOR}");
    let mut groups = vec![Group::new(read_rules("f", &definition).unwrap().remove(0))];
    assert_eq!(table.restore(&mut groups), 0);
    assert_eq!(groups[0].rules[0].alerts, before.rules[0].alerts);
    assert_eq!(groups[0].rules[0].written, before.rules[0].written);
    play.group = groups.remove(0);
    assert_eq!(play.go(&[("b", 2.0), ("c", 1.0)]), ["b firing 2"]);
    assert!(Table::from_json(&text.replace("\"version\":1", "\"version\":9")).is_err());
    assert!(Table::from_json("{}").is_err());
}

#[test]
fn a_clock_that_jumps_neither_fires_nor_ends_anything() {
    let mut play = Play::new(FOR);
    let tell = |play: &mut Play, wall_ms: i64, steady_ms: i64, value: f64| {
        let labels = Labels::new([(NAME, "x"), ("instance", "a")]);
        play.world.write(wall_ms, &[(labels, Value::Float(value))]);
        let at = At { wall_ms, steady_ms };
        told(
            &play
                .group
                .evaluate(at, &Outside::default(), &mut play.world)
                .notices,
        )
    };
    let hour = 3_600_000;
    assert!(tell(&mut play, 0, 0, 1.0).is_empty());
    assert!(
        tell(&mut play, hour, 60_000, 1.0).is_empty(),
        "an hour on the clock is a minute"
    );
    assert_eq!(tell(&mut play, 2 * hour, 120_000, 1.0), ["a firing 1"]);
    assert!(tell(&mut play, 3 * hour, 121_000, 1.0).is_empty());
}

#[test]
fn groups_are_spread_and_never_pile_up() {
    let play = Play::new(FOR);
    let phase = play.group.phase_ms();
    assert!((0..60_000).contains(&phase));
    let next = play.group.next_after(1_000_000);
    assert!(next > 1_000_000 && next <= 1_060_000 && (next - phase) % 60_000 == 0);
    assert_eq!(play.group.next_after(next), next + 60_000);
}
