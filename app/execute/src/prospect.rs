//! What will judge a release, and how long that takes: said before it begins.

use crate::engine::Engine;
use crate::measure;
use crate::trial::{Subject, Way, subjects};
use mainstay_atoms::{ReleaseNumber, ServiceName, Share, span};
use mainstay_plan::{Contents, Pace, ReleaseRecord};
use mainstay_rollout::{Baseline, Reach, reach};
use std::time::Duration;

/// All of the traffic.
const WHOLE: Share = Share(10_000);

/// A service that is to earn its traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Prospect {
    /// Which.
    pub service: ServiceName,
    /// In which way, in words: `canary 5% → 25% → 100%, each held for 5m`.
    pub way: String,
    /// Requests a second in the last minute; none before the gateway was asked twice.
    pub per_second: Option<f64>,
    /// What it is judged by; empty: by nothing.
    pub judges: Vec<Judge>,
}

/// One condition, and how long it takes to be decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Judge {
    /// `error_rate > 1%`.
    pub condition: String,
    /// The time, in words; none for what does not count requests, and where the traffic is not known.
    pub needs: Option<String>,
    /// It can be decided while a step waits for it.
    pub in_time: bool,
}

impl Engine {
    /// What will judge the next release, if it has these contents.
    pub fn prospects(&self, contents: Contents) -> Vec<Prospect> {
        let number = self.history.next_release();
        let record = ReleaseRecord::over(self.serving_record(), number, contents);
        self.prospects_of(number, &record)
    }

    /// What judges the release that moves.
    pub fn moving_prospects(&self) -> Vec<Prospect> {
        let moving = self.moving.as_ref();
        let moving = moving.filter(|moving| moving.pace == Pace::Rolling);
        moving.map_or_else(Vec::new, |moving| {
            self.prospects_of(moving.release, &moving.record)
        })
    }

    fn prospects_of(&self, release: ReleaseNumber, record: &ReleaseRecord) -> Vec<Prospect> {
        let serving = self.serving.as_ref().zip(self.history.serving);
        let Some((serving, stable)) = serving else {
            return vec![];
        };
        let counts = self.counts();
        let subjects = subjects(release, record, (stable, serving), &counts);
        subjects.iter().map(|one| self.prospect(one)).collect()
    }

    fn prospect(&self, subject: &Subject<'_>) -> Prospect {
        let traffic = self.traffics.of(subject.name);
        let (weight, baseline, waits) = smallest(subject.way);
        let rules = measure::rules(subject);
        let judge = |(condition, rules): (&String, &mainstay_rollout::MetricRules)| {
            let needed = traffic.and_then(|traffic| reach(rules, traffic, weight, baseline, waits));
            Judge {
                condition: condition.clone(),
                in_time: needed.as_ref().is_none_or(Reach::in_time),
                needs: needed.map(|reach| reach.to_string()),
            }
        };
        Prospect {
            service: subject.name.clone(),
            way: words(subject.way),
            per_second: traffic.map(|traffic| traffic.per_second),
            judges: rules.iter().map(judge).collect(),
        }
    }
}

/// The share of the first stage, what it is compared with, and how long a verdict is waited for there.
fn smallest(way: Way<'_>) -> (Share, Baseline, Duration) {
    match way {
        Way::Canary(way) => {
            let first = way.steps.all().first();
            let hold = first.map_or(Some(way.bake), |stage| stage.hold);
            let waits = hold.map_or(Duration::MAX, |hold| hold.saturating_add(way.patience));
            let weight = first.map_or(WHOLE, |stage| stage.weight);
            (weight, way.baseline, waits)
        }
        Way::BlueGreen(way) => {
            let waits = way.after.saturating_add(way.patience);
            (WHOLE, Baseline::Stable, waits)
        }
    }
}

fn words(way: Way<'_>) -> String {
    match way {
        Way::Canary(way) => {
            let step = |stage: &mainstay_rollout::Stage| {
                let held = match stage.hold {
                    Some(hold) => format!("for {}", span::format(hold)),
                    None => "until `promote`".into(),
                };
                format!("{} {held}", stage.weight)
            };
            let mut steps: Vec<String> = way.steps.all().iter().map(step).collect();
            steps.push(format!("100% watched for {}", span::format(way.bake)));
            format!("canary: {}", steps.join(" → "))
        }
        Way::BlueGreen(way) => {
            let mut parts = Vec::new();
            if let Some(preview) = &way.preview {
                parts.push(format!("preview at {preview}"));
            }
            if !way.before.is_zero() {
                parts.push(format!("judged for {}", span::format(way.before)));
            }
            let by = if way.manual { " by `promote`" } else { "" };
            parts.push(format!("all of the traffic{by}"));
            if !way.after.is_zero() {
                parts.push(format!("watched for {}", span::format(way.after)));
            }
            format!("blue-green: {}", parts.join(" → "))
        }
    }
}
