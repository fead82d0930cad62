//! Pages step by step: who is called, who hears that it is over, and what an acknowledgement ends.

use super::*;
use crate::alert::Notice;
use crate::file::AlertsFile;
use crate::notification::Notification;
use crate::router::Outcome;

/// Ada and Bob take turns at noon; whoever does not answer within five minutes is followed by the lead, and the
/// list is gone through twice. Time begins at 1970-01-02 00:00, which is Ada's turn.
const FILE: &str = r#"{
    "channels": {
        "ada": {"command": {"run": ["ada"]}},
        "bob": {"command": {"run": ["bob"]}},
        "lead": {"command": {"run": ["lead"]}},
        "chat": {"command": {"run": ["chat"]}}
    },
    "on_call": {"primary": {"people": ["ada", "bob"], "from": "1970-01-01 12:00", "days": 1}},
    "escalation": {"night": {"levels": [{"to": ["primary"], "wait": "5m"}, {"to": ["lead"], "wait": "10m"}], "repeats": 1}},
    "to": ["chat"],
    "routes": [{"when": "severity=critical", "to": ["night", "chat"], "wait": "10s", "interval": "1m"}]
}"#;

const START_S: i64 = 86_400;

struct Play {
    router: Router,
    now_s: i64,
}

fn routing(text: &str) -> crate::route::Routing {
    let file: AlertsFile = serde_json::from_str(text).unwrap();
    file.compile().unwrap().routing
}

fn of(message: &Notification) -> String {
    let crate::ChannelKind::Command { arguments } = &message.channel.kind else {
        panic!("all are commands");
    };
    format!("{} {}", arguments[0], message.reason.name())
}

impl Play {
    fn new(text: &str) -> Self {
        Self {
            router: Router::new(routing(text)),
            now_s: START_S,
        }
    }

    fn at(&self) -> At {
        At::both(self.now_s * 1000)
    }

    fn alert(&mut self, name: &str, fires: bool) {
        let at = self.at();
        let notice = Notice {
            labels: Labels::new([(ALERT_NAME, name), ("severity", "critical")]),
            annotations: BTreeMap::new(),
            value: 1.0,
            query: "x".into(),
            starts_at: at,
            ended_at: (!fires).then_some(at),
            expires_at: None,
        };
        self.router.ingest([notice], at);
    }

    /// Goes on for so many minutes with a restart at each, and says who was told when, in seconds from now.
    fn go(&mut self, minutes: i64) -> Vec<String> {
        self.go_with(minutes, |_| Outcome::Accepted)
    }

    fn go_with(&mut self, minutes: i64, outcome: fn(&str) -> Outcome) -> Vec<String> {
        let (start, mut told) = (self.now_s, Vec::new());
        while self.now_s < start + minutes * 60 {
            self.now_s += 1;
            let at = self.at();
            for message in self.router.due(at) {
                let of = of(&message);
                told.push(format!("{} {of}", self.now_s - start));
                self.router.done(message.id, &outcome(&of), at);
            }
            if self.now_s % 60 == 0 {
                let text = self.router.to_json(at);
                let routing = self.router.routing().clone();
                self.router = Router::from_json(&text, routing).unwrap().0;
            }
        }
        told
    }
}

#[test]
fn whoever_does_not_answer_is_followed_until_the_list_ends() {
    let mut play = Play::new(FILE);
    play.alert("A", true);
    assert_eq!(
        play.go(60),
        [
            "10 ada first",
            "10 chat first",
            "310 lead first",
            "910 ada unanswered",
            "1210 lead unanswered"
        ]
    );
    play.alert("A", false);
    assert_eq!(
        play.go(5),
        [
            "10 ada all_resolved",
            "10 lead all_resolved",
            "10 chat all_resolved"
        ]
    );
}

#[test]
fn an_acknowledgement_holds_until_something_new_comes() {
    let mut play = Play::new(FILE);
    play.alert("A", true);
    assert_eq!(play.go(1), ["10 ada first", "10 chat first"]);
    let at = play.at();
    assert!(play.router.acknowledge("B", "ada", at).is_empty());
    assert_eq!(play.router.acknowledge("A", "ada", at).len(), 1);
    assert!(play.go(60).is_empty(), "somebody has it");
    assert_eq!(play.router.acknowledged().len(), 1, "over restarts too");
    play.alert("A", false);
    assert_eq!(play.go(5).len(), 2, "both hear that it is over");
    assert!(play.router.acknowledged().is_empty());
    play.alert("A", true);
    let told = play.go(10);
    assert_eq!(
        told,
        ["10 ada new_alert", "10 chat new_alert", "310 lead first"],
        "what came anew was not acknowledged"
    );
}

#[test]
fn a_new_alert_in_a_group_that_was_taken_pages_again() {
    let mut play =
        Play::new(&FILE.replace("\"wait\": \"10s\"", "\"wait\": \"10s\", \"group_by\": []"));
    play.alert("A", true);
    play.go(2);
    let at = play.at();
    play.router.acknowledge("A", "ada", at);
    assert!(play.go(10).is_empty());
    play.alert("B", true);
    let told: Vec<String> = play.go(10);
    assert_eq!(
        told,
        ["1 ada new_alert", "10 chat new_alert", "301 lead first"],
        "the lead hears of it though A was taken"
    );
}

#[test]
fn the_one_on_duty_is_called_and_the_one_before_hears_the_end() {
    let mut play = Play::new(FILE);
    play.now_s = START_S + 12 * 3600 - 120;
    play.alert("A", true);
    let told = play.go(30);
    assert_eq!(told[..2], ["10 ada first", "10 chat first"]);
    let at = play.at();
    assert!(
        told.contains(&"130 bob first".to_owned()),
        "the turn changed: {told:?}"
    );
    assert!(!told.contains(&"910 ada unanswered".to_owned()), "{told:?}");
    assert!(told.contains(&"910 bob unanswered".to_owned()), "{told:?}");
    play.router.acknowledge("A", "bob", at);
    play.alert("A", false);
    let ended = play.go(5);
    for one in ["ada", "bob", "lead", "chat"] {
        assert!(
            ended.contains(&format!("10 {one} all_resolved")),
            "{ended:?}"
        );
    }
}

#[test]
fn a_level_at_which_nobody_is_on_duty_is_passed_over() {
    let file = FILE.replace("\"days\": 1", "\"days\": 1, \"only\": [\"noon\"]");
    let file = file.replace(
        "\"to\": [\"chat\"],",
        "\"to\": [\"chat\"], \"times\": {\"noon\": [{\"hours\": [\"12:00-13:00\"]}]},",
    );
    let mut play = Play::new(&file);
    play.alert("A", true);
    assert_eq!(
        play.go(30),
        ["10 lead first", "10 chat first", "610 lead unanswered"]
    );
}

#[test]
fn a_silence_holds_the_page_and_a_channel_that_fails_holds_nobody_up() {
    let mut play = Play::new(FILE);
    let silence = crate::silence::Silence {
        id: "s".into(),
        matchers: crate::matching::matchers("alertname=A").unwrap(),
        starts_ms: 0,
        ends_ms: (START_S + 3600) * 1000,
        by: "me".into(),
        comment: String::new(),
    };
    play.router.silences.set(silence, START_S * 1000).unwrap();
    play.alert("A", true);
    assert!(play.go(59).is_empty());
    let told = play.go_with(8, |of| {
        if of.starts_with("ada") {
            Outcome::Refused { why: "no".into() }
        } else {
            Outcome::Accepted
        }
    });
    let first = |name: &str| {
        let mut all = told.iter();
        let found = all.find(|one| one.contains(name) && one.ends_with("first"));
        let (seconds, _) = found.unwrap().split_once(' ').unwrap();
        seconds.parse::<i64>().unwrap()
    };
    assert!(first("ada") <= 120, "{told:?}");
    assert_eq!(first("lead"), first("ada") + 300, "{told:?}");
}

#[test]
fn whoever_stands_in_is_called_over_restarts_and_until_it_ends() {
    let file = FILE.replace(
        "\"to\": [\"chat\"],",
        "\"to\": [\"chat\"], \"people\": {\"eve\": [\"lead\"]},",
    );
    let mut play = Play::new(&file);
    let now = play.now_s * 1000;
    let swap = |person: &str, from_ms, until_ms| crate::duty::Override {
        person: person.to_owned(),
        from_ms,
        until_ms,
    };
    let hour = 3_600_000;
    for (rotation, person, until, why) in [
        (
            Some("primery"),
            "bob",
            now + hour,
            "did you mean `primary`?",
        ),
        (None, "bub", now + hour, "did you mean `bob`?"),
        (None, "bob", now, "ends before"),
    ] {
        let refused = play
            .router
            .stand_in(rotation, swap(person, now, until))
            .unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    let taken = play.router.stand_in(None, swap("bob", now, now + hour));
    assert_eq!(taken.unwrap(), "primary");
    play.alert("A", true);
    let told = play.go(5);
    assert_eq!(told[0], "10 bob first", "{told:?}");
    let at = play.at();
    play.router.acknowledge("A", "bob", at);
    play.alert("A", false);
    play.go(60);
    assert!(play.router.swaps().is_empty(), "what has ended is let go");
    play.alert("A", true);
    let told = play.go(1);
    assert!(
        told.contains(&"10 ada new_alert".to_owned()) || told.contains(&"10 ada first".to_owned()),
        "{told:?}"
    );
    // Somebody who takes no turns may stand in all the same.
    let now = play.now_s * 1000;
    play.router
        .stand_in(Some("primary"), swap("eve", now, now + hour))
        .unwrap();
    let told = play.go(3);
    assert!(told.iter().any(|one| one.contains("lead")), "{told:?}");
}
