//! A canary in a world that does what it is told, unless a row says otherwise.
//!
//! Settings: `first`, `steps 5 25`, `hold 1m`, `patience 2m`, `bake 1m`, `replicas 4`, `against stable`.
//! A row is one or more words: a time to let pass (`30s`, a look a second), a verdict (`good`, `bad`, `open`, `doubt`,
//! `trouble`, `silent`), an order, or a change of the world (`stuck`, `crashed`, `broken`, `away`, `back`,
//! `forgot`, `slow`, `jump 1h`, `jump back`, `deploy v3`).

use super::{listed, said, seconds};
use mainstay_atoms::{Fact, Moment, ReleaseNumber, Share};
use mainstay_rollout::canary::{
    Act, Count, Decision, Observed, Order, Phase, Served, Side, State, Wanted, decide,
};
use mainstay_rollout::{Baseline, Stages, Verdict, Weights};
use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) struct Scene {
    wanted: Wanted,
    state: Option<State>,
    now: u64,
    running: BTreeSet<ReleaseNumber>,
    canary: u32,
    baseline: u32,
    served: Served,
    gateway: bool,
    ready: bool,
    broken: Option<String>,
    verdict: Option<Verdict>,
    orders: Vec<Order>,
    obeys: bool,
    acts: Vec<Act>,
}

impl Scene {
    pub(crate) fn new(settings: &str) -> Self {
        let mut wanted = Wanted {
            release: ReleaseNumber(2),
            stable: Some(ReleaseNumber(1)),
            instances: 4,
            stages: Stages::held([5, 50], Duration::from_secs(60)).unwrap(),
            baseline: Baseline::SameAge,
            patience: Duration::from_secs(120),
            bake: Duration::from_secs(60),
            deadline: Duration::from_secs(300),
        };
        let mut hold = Some(Duration::from_secs(60));
        let mut weights = vec![5, 50];
        for setting in settings.split(", ").filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once(' ').unwrap_or((setting, ""));
            match key {
                "first" => wanted.stable = None,
                "steps" => weights = value.split(' ').map(|step| step.parse().unwrap()).collect(),
                "hold" => hold = (value != "forever").then(|| seconds(value)),
                "patience" => wanted.patience = seconds(value),
                "bake" => wanted.bake = seconds(value),
                "replicas" => wanted.instances = value.parse().unwrap(),
                "against" => wanted.baseline = Baseline::Stable,
                other => panic!("`{other}`"),
            }
        }
        let stage = |weight: u64| mainstay_rollout::Stage {
            weight: Share(weight * 100),
            hold,
        };
        wanted.stages = Stages::new(weights.into_iter().map(stage).collect()).unwrap();
        Self {
            wanted,
            state: None,
            now: 1_000_000,
            running: BTreeSet::new(),
            canary: 0,
            baseline: 0,
            served: Served {
                release: ReleaseNumber(1),
                weights: Weights::STABLE,
            },
            gateway: true,
            ready: true,
            broken: None,
            verdict: None,
            orders: Vec::new(),
            obeys: true,
            acts: Vec::new(),
        }
    }

    pub(crate) fn step(&mut self, row: &str) -> String {
        self.acts.clear();
        let words: Vec<&str> = row.split(' ').collect();
        let mut looked = None;
        let mut at = 0;
        while at < words.len() {
            at += 1;
            match words[at - 1] {
                "jump" => {
                    self.now = if words[at] == "back" {
                        500
                    } else {
                        self.now + seconds(words[at]).as_secs() * 1000
                    };
                    at += 1;
                }
                "deploy" => {
                    self.wanted.release = words[at].parse().unwrap();
                    (self.canary, self.baseline) = (0, 0);
                    at += 1;
                }
                word if word.as_bytes()[0].is_ascii_digit() => {
                    for _ in 0..seconds(word).as_secs() {
                        self.now += 1000;
                        looked = Some(self.look());
                    }
                }
                word => self.change(word),
            }
        }
        let decision = looked.unwrap_or_else(|| self.look());
        self.shown(&decision)
    }

    fn change(&mut self, word: &str) {
        if let Some(verdict) = said(word) {
            self.verdict = Some(verdict);
            return;
        }
        match word {
            "silent" => self.verdict = None,
            "stuck" => self.ready = false,
            "well" => self.ready = true,
            "broken" => self.broken = Some("a crash loop".into()),
            "away" => self.gateway = false,
            "back" => self.gateway = true,
            "slow" => self.obeys = false,
            "brisk" => self.obeys = true,
            "forgot" => self.served.weights = Weights::STABLE,
            "reload" => {
                // The control plane was killed: only what it wrote down is left.
                let text = serde_json::to_string(&self.state).unwrap();
                self.state = serde_json::from_str(&text).unwrap();
            }
            "promote" => self.orders.push(Order::Promote),
            "promote-fully" => self.orders.push(Order::PromoteFully),
            "pause" => self.orders.push(Order::Pause),
            "resume" => self.orders.push(Order::Resume),
            "retry" => {
                self.verdict = None;
                self.orders.push(Order::Retry);
            }
            "abort" => self.orders.push(Order::Abort),
            other => panic!("`{other}`"),
        }
    }

    fn look(&mut self) -> Decision {
        let count = |running: u32| Count {
            running,
            ready: if self.ready { running } else { 0 },
        };
        let attempt = self.state.as_ref().and_then(|state| match &state.phase {
            Phase::Stage {
                stage,
                judged: true,
                ..
            } => Some(mainstay_rollout::canary::Attempt {
                number: state.number,
                stage: *stage,
            }),
            _ => None,
        });
        let observed = Observed {
            canary: count(self.canary),
            baseline: count(self.baseline),
            broken: self.broken.clone(),
            gateway: if self.gateway {
                Fact::Known {
                    value: self.served,
                    at: Moment(self.now),
                }
            } else {
                Fact::Missing {
                    reason: "the gateway is away".into(),
                }
            },
            verdict: attempt.zip(self.verdict.clone()),
            running: self.running.clone(),
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
            if self.obeys {
                self.obey(*act);
            }
        }
        decision
    }

    fn obey(&mut self, act: Act) {
        match act {
            Act::Scale {
                side: Side::Canary,
                instances,
            } => {
                self.canary = instances;
                self.running.insert(self.wanted.release);
            }
            Act::Scale { instances, .. } => self.baseline = instances,
            Act::Publish(served) if self.gateway => self.served = served,
            Act::Stop(release) => {
                self.running.remove(&release);
                if release == self.wanted.release {
                    self.canary = 0;
                }
            }
            _ => {}
        }
    }

    fn shown(&self, decision: &Decision) -> String {
        let phase = match &decision.state.phase {
            Phase::Starting { .. } => "starting".to_owned(),
            Phase::Stage { stage, held, .. } => {
                let weight = self.wanted.stages.all().get(*stage);
                let weight = weight.map_or("100%".to_owned(), |stage| stage.weight.to_string());
                format!(
                    "at {weight}, held {}",
                    mainstay_atoms::span::format(held.time)
                )
            }
            Phase::Aborting { why } => format!("aborting ({why})"),
            Phase::Stopping { why } => format!("stopping ({why})"),
            Phase::Aborted { why } => format!("aborted ({why})"),
            Phase::Done => "done".to_owned(),
        };
        let mut cells = vec![phase];
        if !self.acts.is_empty() {
            cells.push(listed(&self.acts));
        }
        if !decision.report.waits.is_empty() {
            cells.push(format!("waits for {}", listed(&decision.report.waits)));
        }
        cells.extend(decision.report.ignored.iter().map(ToString::to_string));
        cells.join(" | ")
    }
}
