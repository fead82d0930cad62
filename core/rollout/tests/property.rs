//! A canary under any order of events: no invariant is broken, and every state that waits says for what.
//!
//! `PROPTEST_CASES=100000` runs more of them.

use mainstay_atoms::{Fact, Moment, ReleaseNumber, Share};
use mainstay_rollout::canary::{
    Act, Attempt, Count, Observed, Order, Phase, Served, Side, State, Wait, Wanted, decide,
};
use mainstay_rollout::{Baseline, Doubt, Grade, Stage, Stages, Verdict, Weights, Why};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// Something that happens between two looks.
#[derive(Debug, Clone)]
enum Event {
    Pass(u64),
    Back,
    Verdict(Option<Grade>),
    Stale(Grade),
    Order(Order),
    Ready(u32),
    Gateway(bool),
    Forget,
    Lag(bool),
    Deploy,
    Broken,
    Kill,
}

fn event() -> impl Strategy<Value = Event> {
    let grade = prop::sample::select(vec![
        Grade::Successful,
        Grade::Successful,
        Grade::Inconclusive,
        Grade::Error,
        Grade::Failed,
    ]);
    let order = prop::sample::select(vec![
        Order::Promote,
        Order::PromoteFully,
        Order::Pause,
        Order::Resume,
        Order::Retry,
        Order::Abort,
    ]);
    prop_oneof![
        12 => (1_u64..40_000).prop_map(Event::Pass),
        1 => (100_000_u64..10_000_000).prop_map(Event::Pass),
        1 => Just(Event::Back),
        4 => prop::option::of(grade.clone()).prop_map(Event::Verdict),
        1 => grade.prop_map(Event::Stale),
        3 => order.prop_map(Event::Order),
        3 => (0_u32..6).prop_map(Event::Ready),
        2 => any::<bool>().prop_map(Event::Gateway),
        1 => Just(Event::Forget),
        2 => any::<bool>().prop_map(Event::Lag),
        1 => Just(Event::Deploy),
        1 => Just(Event::Broken),
        2 => Just(Event::Kill),
    ]
}

struct World {
    wanted: Wanted,
    state: Option<State>,
    now: u64,
    verdict: Option<Grade>,
    stale: Option<Grade>,
    orders: Vec<Order>,
    ready: u32,
    gateway: bool,
    lag: bool,
    broken: bool,
    served: Served,
    canary: u32,
    baseline: u32,
    running: BTreeSet<ReleaseNumber>,
}

fn verdict(grade: Grade) -> Verdict {
    Verdict {
        grade,
        settled: grade != Grade::Successful,
        metric: "m".into(),
        why: Why::Doubt(Doubt::NoData),
        seen: String::new(),
    }
}

impl World {
    fn happen(&mut self, event: &Event) {
        match event {
            Event::Pass(ms) => self.now += ms,
            Event::Back => self.now = 1,
            Event::Verdict(grade) => self.verdict = *grade,
            Event::Stale(grade) => self.stale = Some(*grade),
            Event::Order(order) => self.orders.push(*order),
            Event::Ready(most) => self.ready = *most,
            Event::Gateway(there) => self.gateway = *there,
            Event::Forget => self.served.weights = Weights::STABLE,
            Event::Lag(lag) => self.lag = *lag,
            Event::Deploy => {
                self.wanted.release = self.wanted.release.next();
                (self.canary, self.baseline, self.broken) = (0, 0, false);
            }
            Event::Broken => self.broken = true,
            Event::Kill => {
                let text = serde_json::to_string(&self.state).unwrap();
                self.state = serde_json::from_str(&text).unwrap();
            }
        }
    }

    fn observed(&mut self) -> Observed {
        let attempt = self.state.as_ref().and_then(|state| match &state.phase {
            Phase::Stage {
                stage,
                judged: true,
                ..
            } => Some(Attempt {
                number: state.number,
                stage: *stage,
            }),
            _ => None,
        });
        let stale = self.stale.take().map(|grade| {
            let number = self.state.as_ref().map_or(7, |state| state.number + 7);
            (Attempt { number, stage: 0 }, verdict(grade))
        });
        Observed {
            canary: Count {
                running: self.canary,
                ready: self.canary.min(self.ready),
            },
            baseline: Count {
                running: self.baseline,
                ready: self.baseline.min(self.ready),
            },
            broken: self.broken.then(|| "a crash loop".into()),
            gateway: if self.gateway {
                Fact::Known {
                    value: self.served,
                    at: Moment(self.now),
                }
            } else {
                Fact::Missing {
                    reason: "away".into(),
                }
            },
            verdict: stale.or(attempt.zip(self.verdict.map(verdict))),
            running: self.running.clone(),
            orders: std::mem::take(&mut self.orders),
        }
    }

    /// Looks once, checks what was decided, and does it.
    fn look(&mut self) -> Result<(), TestCaseError> {
        let observed = self.observed();
        let before = self.state.clone();
        let now = Moment(self.now);
        let decision = decide(&self.wanted, &observed, before.clone(), now);
        let again = decide(&self.wanted, &observed, before.clone(), now);
        prop_assert_eq!(&decision, &again);
        let over = matches!(decision.state.phase, Phase::Done | Phase::Aborted { .. });
        prop_assert!(over || !decision.report.waits.is_empty(), "{:?}", decision);
        prop_assert!(decision.report.weights.whole());
        if let Some((Attempt { number, .. }, verdict)) = &observed.verdict {
            let ours = before.as_ref().is_some_and(|state| {
                let under_way = matches!(state.phase, Phase::Stage { .. });
                under_way && state.number == *number && state.release == self.wanted.release
            });
            if ours && verdict.grade == Grade::Failed && self.wanted.stable.is_some() {
                let aborted = matches!(
                    decision.state.phase,
                    Phase::Aborting { .. } | Phase::Stopping { .. } | Phase::Aborted { .. }
                );
                prop_assert!(aborted, "a failure outranks {:?}", observed.orders);
            }
        }
        stages(before.as_ref(), &decision.state, &observed)?;
        for act in &decision.acts {
            self.act(*act, &observed)?;
        }
        self.state = Some(decision.state);
        Ok(())
    }

    fn act(&mut self, act: Act, observed: &Observed) -> Result<(), TestCaseError> {
        match act {
            Act::Publish(served) => {
                prop_assert!(served.weights.whole());
                prop_assert!(served.weights.canary == Share(0) || observed.canary.ready > 0);
                if self.gateway && !self.lag {
                    self.served = served;
                }
            }
            Act::Stop(release) => {
                // The gateway was seen to serve without it.
                let seen = observed.gateway.known();
                let named = seen
                    .is_none_or(|seen| seen.release == release && seen.weights.canary > Share(0));
                prop_assert!(!named, "stopped {release} while it is served");
                self.running.remove(&release);
                if release == self.wanted.release {
                    self.canary = 0;
                }
            }
            Act::Scale {
                side: Side::Canary,
                instances,
            } => {
                prop_assert!(instances >= 1 && instances <= self.wanted.instances);
                self.canary = instances;
                self.running.insert(self.wanted.release);
            }
            Act::Scale { instances, .. } => self.baseline = instances,
            Act::Judge(_) => self.verdict = None,
            Act::Finish => {}
        }
        Ok(())
    }
}

/// A stage is left upwards one at a time, by a person or by a good verdict.
fn stages(before: Option<&State>, after: &State, observed: &Observed) -> Result<(), TestCaseError> {
    let stage = |state: &State| match &state.phase {
        Phase::Stage { stage, .. } => Some(*stage),
        _ => None,
    };
    let same = before.filter(|before| before.release == after.release);
    let (Some(from), Some(to)) = (same.and_then(stage), stage(after)) else {
        return Ok(());
    };
    prop_assert!(to >= from, "from stage {from} to {to}");
    let promoted = observed
        .orders
        .iter()
        .any(|order| matches!(order, Order::Promote | Order::PromoteFully));
    if to > from && !promoted {
        let good = observed.verdict.as_ref().map(|(_, verdict)| verdict.grade);
        prop_assert_eq!(to, from + 1);
        prop_assert_eq!(good, Some(Grade::Successful));
    }
    Ok(())
}

fn world(stable: bool, baseline: Baseline, holds: bool) -> World {
    let stage = |weight: u64| Stage {
        weight: Share(weight * 100),
        hold: holds.then_some(Duration::from_secs(30)),
    };
    World {
        wanted: Wanted {
            release: ReleaseNumber(2),
            stable: stable.then_some(ReleaseNumber(1)),
            instances: 4,
            stages: Stages::new(vec![stage(5), stage(25), stage(50)]).unwrap(),
            baseline,
            patience: Duration::from_secs(60),
            bake: Duration::from_secs(30),
            deadline: Duration::from_secs(120),
        },
        state: None,
        now: 1_000_000,
        verdict: None,
        stale: None,
        orders: Vec::new(),
        ready: 4,
        gateway: true,
        lag: false,
        broken: false,
        served: Served {
            release: ReleaseNumber(1),
            weights: Weights::STABLE,
        },
        canary: 0,
        baseline: 0,
        running: BTreeSet::new(),
    }
}

proptest! {
    #[test]
    fn no_order_of_events_breaks_an_invariant(
        events in proptest::collection::vec(event(), 1..80),
        stable in prop::bool::weighted(0.9),
        same_age in any::<bool>(),
        holds in prop::bool::weighted(0.8),
    ) {
        let baseline = if same_age { Baseline::SameAge } else { Baseline::Stable };
        let mut world = world(stable, baseline, holds);
        for event in &events {
            world.happen(event);
            world.look()?;
        }
    }

    #[test]
    fn a_quiet_world_comes_to_an_end(
        events in proptest::collection::vec(event(), 0..40),
        same_age in any::<bool>(),
    ) {
        let baseline = if same_age { Baseline::SameAge } else { Baseline::Stable };
        let mut world = world(true, baseline, true);
        for event in &events {
            world.happen(event);
            world.look()?;
        }
        // From here on the world is well, and a person resumes once what was paused.
        (world.gateway, world.lag, world.broken, world.ready) = (true, false, false, 4);
        world.orders.push(Order::Resume);
        for _ in 0..2000 {
            world.verdict = Some(Grade::Successful);
            world.now += 1000;
            world.look()?;
        }
        let state = world.state.unwrap();
        prop_assert!(matches!(state.phase, Phase::Done | Phase::Aborted { .. }), "{state:?}");
        prop_assert!(state.leaving.is_empty(), "{state:?}");
    }

    #[test]
    fn a_hold_is_never_shorter_than_it_says(steps in proptest::collection::vec(1_u64..20_000, 1..200)) {
        let mut world = world(true, Baseline::Stable, true);
        let mut shifted = None;
        for ms in steps {
            world.now += ms;
            world.verdict = Some(Grade::Successful);
            world.look()?;
            let state = world.state.clone().unwrap();
            match state.phase {
                Phase::Stage { stage: 0, reached: true, .. } => {
                    shifted.get_or_insert(world.now);
                }
                Phase::Stage { stage: 1, .. } => {
                    prop_assert!(world.now - shifted.unwrap() >= 30_000);
                    return Ok(());
                }
                _ => {}
            }
        }
    }
}

#[test]
fn from_the_deciding_measurement_to_no_traffic_is_one_look() {
    let mut world = world(true, Baseline::SameAge, true);
    for _ in 0..20 {
        world.now += 1000;
        world.look().unwrap();
    }
    assert_eq!(world.served.weights.canary, Share(500));
    world.verdict = Some(Grade::Failed);
    world.look().unwrap();
    assert_eq!(world.served.weights, Weights::STABLE);
}

#[test]
fn a_wait_is_printed_for_people() {
    let wait = Wait::Ready {
        ready: 1,
        needed: 2,
        left: Duration::from_secs(61),
    };
    assert_eq!(wait.to_string(), "1 of 2 ready, 1m1s left");
}
