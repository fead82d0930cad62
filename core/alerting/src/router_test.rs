//! The router step by step on a clock of its own.

use super::*;
use crate::import::read_alertmanager;
use crate::matching::matchers;
use crate::silence::Silence;

const CONFIG: &str = "
route:
  receiver: all
  group_by: [service]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
  routes:
  - matchers: [severity=critical]
    receiver: pager
    group_wait: 10s
  - matchers: [team=night]
    receiver: all
    mute_time_intervals: [night]
time_intervals:
- name: night
  time_intervals: [{times: [{start_time: '00:00', end_time: '06:00'}]}]
inhibit_rules:
- source_matchers: [severity=critical]
  target_matchers: [severity=warning]
  equal: [service]
receivers:
- name: all
  webhook_configs: [{url: 'http://hook.example/'}]
- name: pager
  webhook_configs: [{url: 'http://page.example/'}]
";

struct Play {
    router: Router,
    now_s: i64,
}

impl Play {
    fn new() -> Self {
        let imported = read_alertmanager("f", CONFIG).unwrap();
        Self {
            router: Router::new(imported.routing),
            // Noon, so that nights are far away.
            now_s: 43_200,
        }
    }

    fn at(&self) -> At {
        At::both(self.now_s * 1000)
    }

    fn alert(&mut self, labels: &str, fires: bool) {
        let at = self.at();
        let notice = notice(labels, at, fires);
        self.router.ingest([notice], at);
    }

    /// Goes on for so many seconds, accepts everything, and says what was told.
    fn go(&mut self, seconds: i64) -> Vec<String> {
        self.go_with(seconds, &Outcome::Accepted)
    }

    fn go_with(&mut self, seconds: i64, outcome: &Outcome) -> Vec<String> {
        let end = self.now_s + seconds;
        let start = self.now_s;
        let mut told = Vec::new();
        while self.now_s < end {
            self.now_s += 1;
            let at = self.at();
            for message in self.router.due(at) {
                told.push(format!("{}s {}", self.now_s - start, text(&message)));
                self.router.done(message.id, outcome, at);
            }
        }
        told
    }
}

fn notice(labels: &str, at: At, fires: bool) -> Notice {
    let labels = labels.split(' ').map(|pair| pair.split_once('=').unwrap());
    Notice {
        labels: Labels::new(labels),
        annotations: BTreeMap::new(),
        value: 1.0,
        query: "x".into(),
        starts_at: at,
        ended_at: (!fires).then_some(at),
        expires_at: None,
    }
}

fn text(message: &Notification) -> String {
    let alerts = message.alerts.iter().map(|told| {
        let sign = if told.is_firing { "+" } else { "-" };
        format!("{sign}{}", told.notice.labels.get("alertname"))
    });
    let alerts: Vec<String> = alerts.collect();
    format!(
        "{} {} {}",
        message.receiver,
        message.reason.name(),
        alerts.join(" ")
    )
}

fn failure(maybe_accepted: bool) -> Outcome {
    Outcome::Failed {
        why: "it answered 500".into(),
        maybe_accepted,
        wait_ms: None,
    }
}

#[test]
fn a_group_waits_tells_what_is_new_and_what_ended_and_repeats() {
    let mut play = Play::new();
    play.alert("alertname=A service=web", true);
    assert!(play.go(10).is_empty());
    play.alert("alertname=B service=web", true);
    assert_eq!(play.go(60), ["20s all first +A +B"]);
    play.alert("alertname=C service=web", true);
    play.alert("alertname=A service=web", false);
    assert_eq!(play.go(300), ["260s all new_alert +B +C -A"]);
    play.alert("alertname=B service=web", false);
    assert_eq!(play.go(300), ["260s all some_resolved +C -B"]);
    assert_eq!(play.go(4 * 3600), ["14360s all repeated +C"]);
    play.alert("alertname=C service=web", false);
    assert_eq!(play.go(300), ["260s all all_resolved -C"]);
    assert!(play.go(86_400).is_empty());
    assert_eq!(play.router.alerts().count(), 0);
    assert!(play.router.next_at().is_none());
}

#[test]
fn what_ends_before_it_was_told_is_not_told() {
    let mut play = Play::new();
    play.alert("alertname=A service=web", true);
    play.go(10);
    play.alert("alertname=A service=web", false);
    assert!(play.go(3600).is_empty());
    // A notice that is repeated for a quarter of an hour changes nothing.
    play.alert("alertname=A service=web", false);
    assert!(play.router.next_at().is_none());
}

#[test]
fn a_flap_between_two_looks_is_not_told() {
    let mut play = Play::new();
    play.alert("alertname=A service=web", true);
    assert_eq!(play.go(60).len(), 1);
    play.alert("alertname=A service=web", false);
    play.alert("alertname=A service=web", true);
    assert!(play.go(3600).is_empty());
}

#[test]
fn a_failing_channel_is_tried_again_and_told_over_another() {
    let mut play = Play::new();
    play.alert("alertname=A service=web severity=critical", true);
    let told = play.go_with(60, &failure(false));
    let tries: Vec<_> = told
        .iter()
        .map(|line| line.split('s').next().unwrap())
        .collect();
    assert_eq!(tries, ["10", "11", "13", "17", "25", "41"]);
    let mut told = Vec::new();
    for _ in 0..60 {
        play.now_s += 1;
        let at = play.at();
        for message in play.router.due(at) {
            told.push(text(&message));
            let outcome = if message.receiver == "pager" {
                failure(false)
            } else {
                Outcome::Accepted
            };
            play.router.done(message.id, &outcome, at);
        }
    }
    assert!(
        told.contains(&"all first +ChannelFailing".to_owned()),
        "{told:?}"
    );
    let failing = play.router.failing().next().unwrap();
    assert_eq!(
        (failing.receiver.as_str(), failing.kind.as_str()),
        ("pager", "webhook")
    );
    let told = play.go(400);
    assert!(
        told.iter().any(|line| line.ends_with("pager first +A")),
        "{told:?}"
    );
    assert!(
        told.iter()
            .any(|line| line.ends_with("all all_resolved -ChannelFailing")),
        "{told:?}"
    );
    assert_eq!(play.router.failing().count(), 0);
}

#[test]
fn a_refusal_is_tried_again_only_when_the_group_is_looked_at() {
    let mut play = Play::new();
    play.alert("alertname=A service=web severity=critical", true);
    let refused = Outcome::Refused {
        why: "it answered 404".into(),
    };
    let told = play.go_with(320, &refused);
    let pager = told
        .iter()
        .filter(|line| line.contains(" pager first +A"))
        .count();
    assert_eq!(pager, 2, "{told:?}");
    assert!(
        told.iter()
            .any(|line| line.contains("all first +ChannelFailing")),
        "told at once: {told:?}"
    );
}

#[test]
fn what_ended_before_any_attempt_worked_is_dropped_unless_it_may_have_been_heard() {
    for (maybe, expected) in [(false, 0), (true, 1)] {
        let mut play = Play::new();
        play.alert("alertname=A service=web", true);
        assert!(!play.go_with(100, &failure(maybe)).is_empty());
        play.alert("alertname=A service=web", false);
        // Until the group is looked at again, attempts go on failing.
        play.go_with(229, &failure(maybe));
        let told = play.go(600);
        let ended: Vec<_> = told
            .iter()
            .filter(|line| line.contains("all_resolved -A"))
            .collect();
        assert_eq!(ended.len(), expected, "{told:?}");
        assert!(!told.iter().any(|line| line.contains("+A")), "{told:?}");
    }
}

#[test]
fn two_attempts_at_one_channel_are_never_under_way_at_once() {
    let mut play = Play::new();
    play.alert("alertname=A service=web", true);
    play.now_s += 30;
    let first = play.router.due(play.at()).remove(0);
    play.alert("alertname=B service=web", true);
    play.now_s += 600;
    assert!(play.router.due(play.at()).is_empty());
    play.router.done(first.id, &Outcome::Accepted, play.at());
    assert_eq!(play.go(1), ["1s all new_alert +A +B"]);
}

#[test]
fn a_silence_holds_back_and_what_ended_meanwhile_is_told_after_it() {
    let mut play = Play::new();
    play.alert("alertname=A service=web", true);
    assert_eq!(play.go(60).len(), 1);
    let silence = Silence {
        id: "s".into(),
        matchers: matchers("service=web").unwrap(),
        starts_ms: play.at().wall_ms,
        ends_ms: play.at().wall_ms + 3_600_000,
        by: "ada".into(),
        comment: "quiet".into(),
    };
    play.router
        .silences
        .set(silence, play.at().wall_ms)
        .unwrap();
    play.alert("alertname=A service=web", false);
    play.alert("alertname=B service=web", true);
    let labels = Labels::new([("alertname", "B"), ("service", "web")]);
    assert_eq!(
        play.router.mute(&labels, play.at()),
        Some(Mute::Silenced("s".into()))
    );
    assert!(play.go(3500).is_empty());
    assert_eq!(play.go(400).len(), 1);
}

#[test]
fn an_alert_keeps_another_silent_while_it_fires() {
    let mut play = Play::new();
    play.alert("alertname=A service=web severity=critical", true);
    play.alert("alertname=B service=web severity=warning", true);
    play.alert("alertname=C service=db severity=warning", true);
    assert_eq!(play.go(60), ["10s pager first +A", "30s all first +C"]);
    play.alert("alertname=A service=web severity=critical", false);
    let told = play.go(600);
    assert!(
        told.iter()
            .any(|line| line.ends_with("pager all_resolved -A"))
    );
    assert!(
        told.iter().any(|line| line.ends_with("all first +B")),
        "{told:?}"
    );
}

#[test]
fn a_route_is_mute_in_its_interval() {
    let mut play = Play::new();
    play.now_s = 86_400 + 3600;
    play.alert("alertname=A team=night", true);
    assert!(play.go(4 * 3600).is_empty());
    assert_eq!(play.go(2 * 3600).len(), 1);
}

#[test]
fn an_alert_from_elsewhere_ends_by_itself() {
    let mut play = Play::new();
    let at = play.at();
    let mut pushed = notice("alertname=A service=web", at, true);
    pushed.expires_at = Some(at.plus(120_000));
    play.router.ingest([pushed], at);
    assert_eq!(
        play.go(400),
        ["30s all first +A", "330s all all_resolved -A"]
    );
}

#[test]
fn an_alert_that_fired_long_ago_does_not_wait_again() {
    let mut play = Play::new();
    let at = play.at();
    let old = notice("alertname=A service=web", at.plus(-60_000), true);
    play.router.ingest([old], at);
    assert_eq!(play.go(1), ["1s all first +A"]);
}

#[test]
fn a_restart_changes_nothing() {
    let mut play = Play::new();
    play.alert("alertname=A service=web", true);
    play.alert("alertname=D service=db", true);
    let mut twin = Play::new();
    twin.router = play.router.clone();
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for step in 0..200 {
        if step == 40 {
            for side in [&mut play, &mut twin] {
                side.alert("alertname=A service=web", false);
                side.alert("alertname=B service=db", true);
            }
        }
        one.extend(play.go(7));
        two.extend(twin.go(7));
        let written = twin.router.to_json(twin.at());
        let (router, at) = Router::from_json(&written, twin.router.routing().clone()).unwrap();
        assert_eq!(at, twin.at());
        assert_eq!(router.to_json(at), written);
        twin.router = router;
    }
    assert_eq!(one, two);
    assert!(one.len() > 3);
}

#[test]
fn an_attempt_cut_off_by_a_restart_is_made_again_under_its_id() {
    let mut play = Play::new();
    play.alert("alertname=A service=web", true);
    play.now_s += 30;
    let first = play.router.due(play.at()).remove(0);
    let written = play.router.to_json(play.at());
    let (router, _) = Router::from_json(&written, play.router.routing().clone()).unwrap();
    play.router = router;
    play.now_s += 5;
    let again = play.router.due(play.at());
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].id, &again[0].alerts), (first.id, &first.alerts));
    assert!(
        Router::from_json(
            &written.replace("\"version\":1", "\"version\":7"),
            play.router.routing().clone()
        )
        .is_err()
    );
}

#[test]
fn a_channel_that_is_taken_away_fails_no_more() {
    let mut play = Play::new();
    play.alert("alertname=A service=web severity=critical", true);
    let refused = Outcome::Refused {
        why: "it answered 404".into(),
    };
    for _ in 0..60 {
        play.now_s += 1;
        let at = play.at();
        for message in play.router.due(at) {
            let is_pager = message.receiver == "pager";
            let outcome = if is_pager {
                &refused
            } else {
                &Outcome::Accepted
            };
            play.router.done(message.id, outcome, at);
        }
    }
    assert_eq!(play.router.failing().count(), 1);
    let without = CONFIG.replace("receiver: pager", "receiver: all").replace(
        "- name: pager\n  webhook_configs: [{url: 'http://page.example/'}]\n",
        "",
    );
    let routing = read_alertmanager("f", &without).unwrap().routing;
    play.router.reroute(routing, play.at());
    assert_eq!(play.router.failing().count(), 0);
    let told = play.go(600);
    assert!(
        told.iter().any(|line| line.ends_with("all first +A")),
        "{told:?}"
    );
    assert!(
        !play
            .router
            .alerts()
            .any(|alert| alert.labels.get("alertname") == CHANNEL_FAILING
                && alert.ended_at.is_none())
    );
}

#[test]
fn the_only_receiver_fails_without_an_alert_that_nobody_hears() {
    let text =
        "route: {receiver: r}\nreceivers: [{name: r, webhook_configs: [{url: 'http://h/'}]}]";
    let mut play = Play::new();
    play.router = Router::new(read_alertmanager("f", text).unwrap().routing);
    play.alert("alertname=A", true);
    assert!(!play.go_with(300, &failure(false)).is_empty());
    assert_eq!(
        (play.router.failing().count(), play.router.alerts().count()),
        (1, 1)
    );
}
