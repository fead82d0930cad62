//! Blue-green in a world that does what it is told. Words are those of the canary's table; settings are
//! `before 1m`, `after 1m`, `manual`, `warm 1m`.

use super::{listed, said, seconds};
use mainstay_atoms::{Fact, Moment, ReleaseNumber};
use mainstay_rollout::Verdict;
use mainstay_rollout::blue_green::{Act, Decision, Observed, Phase, Served, State, Wanted, decide};
use mainstay_rollout::canary::{Count, Order};
use std::time::Duration;

pub(crate) struct Scene {
    wanted: Wanted,
    state: Option<State>,
    now: u64,
    green: u32,
    blue: u32,
    ready: bool,
    served: Served,
    gateway: bool,
    verdict: Option<Verdict>,
    orders: Vec<Order>,
    acts: Vec<Act>,
    others: std::collections::BTreeSet<ReleaseNumber>,
}

impl Scene {
    pub(crate) fn new(settings: &str) -> Self {
        let minute = Duration::from_secs(60);
        let mut wanted = Wanted {
            green: ReleaseNumber(2),
            blue: ReleaseNumber(1),
            instances: 2,
            before: minute,
            after: minute,
            manual: false,
            warm: minute,
            patience: minute,
            deadline: 5 * minute,
        };
        for setting in settings.split(", ").filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once(' ').unwrap_or((setting, ""));
            match key {
                "before" => wanted.before = seconds(value),
                "after" => wanted.after = seconds(value),
                "warm" => wanted.warm = seconds(value),
                "manual" => wanted.manual = true,
                other => panic!("`{other}`"),
            }
        }
        Self {
            wanted,
            state: None,
            now: 1_000_000,
            green: 0,
            blue: 2,
            ready: true,
            served: Served {
                live: ReleaseNumber(1),
                preview: None,
            },
            gateway: true,
            verdict: None,
            orders: Vec::new(),
            acts: Vec::new(),
            others: std::collections::BTreeSet::new(),
        }
    }

    pub(crate) fn step(&mut self, row: &str) -> String {
        self.acts.clear();
        let mut looked = None;
        for word in row.split(' ') {
            if word.as_bytes()[0].is_ascii_digit() {
                for _ in 0..seconds(word).as_secs() {
                    self.now += 1000;
                    looked = Some(self.look());
                }
            } else {
                self.change(word);
            }
        }
        let decision = looked.unwrap_or_else(|| self.look());
        let phase = match &decision.state.phase {
            Phase::Starting => "starting".to_owned(),
            Phase::Preview => "preview".to_owned(),
            Phase::Paused(why) => format!("paused before the flip ({why})"),
            Phase::Flipped => "flipped".to_owned(),
            Phase::Doubted(why) => format!("paused after the flip ({why})"),
            Phase::Warm => "blue kept warm".to_owned(),
            Phase::Leaving => "blue leaves".to_owned(),
            Phase::Back(why) => format!("going back ({why})"),
            Phase::Stopping(why) => format!("green stops ({why})"),
            Phase::Aborted(why) => format!("aborted ({why})"),
            Phase::Done => "done".to_owned(),
        };
        let mut cells = vec![phase];
        if !self.acts.is_empty() {
            cells.push(listed(&self.acts));
        }
        if !decision.waits.is_empty() {
            cells.push(format!("waits for {}", listed(&decision.waits)));
        }
        cells.extend(decision.ignored.iter().map(ToString::to_string));
        cells.join(" | ")
    }

    fn change(&mut self, word: &str) {
        if let Some(verdict) = said(word) {
            self.verdict = Some(verdict);
            return;
        }
        match word {
            "silent" => self.verdict = None,
            "stuck" => self.ready = false,
            "deploy-v3" => {
                self.others.insert(self.wanted.green);
                self.wanted.green = ReleaseNumber(3);
                self.green = 0;
            }
            "away" => self.gateway = false,
            "back" => self.gateway = true,
            "reload" => {
                let text = serde_json::to_string(&self.state).unwrap();
                self.state = serde_json::from_str(&text).unwrap();
            }
            "promote" => self.orders.push(Order::Promote),
            "pause" => self.orders.push(Order::Pause),
            "resume" => self.orders.push(Order::Resume),
            "retry" => self.orders.push(Order::Retry),
            "abort" => self.orders.push(Order::Abort),
            other => panic!("`{other}`"),
        }
    }

    fn look(&mut self) -> Decision {
        let ready = if self.ready { self.green } else { 0 };
        let judged = self.state.as_ref().and_then(|state| state.judged);
        let gateway = if self.gateway {
            Fact::Known {
                value: self.served,
                at: Moment(self.now),
            }
        } else {
            Fact::Missing {
                reason: "the gateway is away".into(),
            }
        };
        let observed = Observed {
            green: Count {
                running: self.green,
                ready,
            },
            blue: Count {
                running: self.blue,
                ready: self.blue,
            },
            broken: None,
            gateway,
            verdict: judged.zip(self.verdict.clone()),
            others: self.others.clone(),
            orders: std::mem::take(&mut self.orders),
        };
        let decision = decide(
            &self.wanted,
            &observed,
            self.state.clone(),
            Moment(self.now),
        );
        self.state = Some(decision.state.clone());
        for act in &decision.acts {
            if self.acts.last() != Some(act) {
                self.acts.push(*act);
            }
            match *act {
                Act::Start(instances) => self.green = instances,
                Act::Publish(served) if self.gateway => self.served = served,
                Act::Stop(release) if release == self.wanted.green => self.green = 0,
                Act::Stop(release) if self.others.remove(&release) => {}
                Act::Stop(_) => self.blue = 0,
                Act::Judge(_) => self.verdict = self.verdict.take().filter(|_| false),
                _ => {}
            }
        }
        decision
    }
}
