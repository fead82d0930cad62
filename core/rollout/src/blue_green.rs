//! Blue-green: the release starts beside the old one, is looked at on a preview route, takes all of the
//! traffic at once, and is looked at again while the old one stays warm.
//!
//! The order is Argo Rollouts', with its traps taken out: the old release stays until the verdict after
//! the flip is there, however short `warm` is, and a flip is over when every worker of the gateway
//! acknowledged it.

use crate::canary::{Abort, Attempt, Count, Ignored, Order, Pause};
use crate::hold::Held;
use crate::verdict::{Grade, Verdict};
use mainstay_atoms::{Fact, Moment, ReleaseNumber, span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The release that is to replace.
    pub green: ReleaseNumber,
    /// The release that serves.
    pub blue: ReleaseNumber,
    /// Instances of a whole release.
    pub instances: u32,
    /// How long green is judged before and after the flip; zero: that verdict is not asked for.
    pub before: Duration,
    /// After the flip.
    pub after: Duration,
    /// A person flips.
    pub manual: bool,
    /// How long blue stays after the verdict.
    pub warm: Duration,
    /// How long a verdict is waited for beyond its time.
    pub patience: Duration,
    /// How long instances may take to become ready.
    pub deadline: Duration,
}

/// What every worker of the gateway serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// The release that has the traffic.
    pub live: ReleaseNumber,
    /// The release on the preview route.
    pub preview: Option<ReleaseNumber>,
}

impl fmt::Display for Served {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.preview {
            Some(preview) => write!(out, "{} live, {preview} in preview", self.live),
            None => write!(out, "{} live", self.live),
        }
    }
}

/// What is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Green's instances.
    pub green: Count,
    /// Blue's instances.
    pub blue: Count,
    /// Why green cannot become ready, when it is certain.
    pub broken: Option<String>,
    /// What the gateway acknowledged last.
    pub gateway: Fact<Served>,
    /// The newest verdict; stage 0 is the one before the flip, stage 1 the one after.
    pub verdict: Option<(Attempt, Verdict)>,
    /// Other releases with instances that run: superseded ones.
    pub others: BTreeSet<ReleaseNumber>,
    /// What people ordered since the last look.
    pub orders: Vec<Order>,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Green starts.
    Starting,
    /// Green is judged on the preview route.
    Preview,
    /// A person is to flip, or to speak.
    Paused(Pause),
    /// Green has, or is about to have, the traffic, and is judged.
    Flipped,
    /// Green has the traffic and a person is to speak: there is no verdict after the flip.
    Doubted(Pause),
    /// Blue is kept.
    Warm,
    /// Blue is stopped.
    Leaving,
    /// The traffic goes back to blue.
    Back(Abort),
    /// Green is stopped.
    Stopping(Abort),
    /// Green is gone.
    Aborted(Abort),
    /// Green is the stable release.
    Done,
}

impl Phase {
    /// Why it goes back, as soon as that is decided.
    pub fn aborts(&self) -> Option<&Abort> {
        match self {
            Self::Back(why) | Self::Stopping(why) | Self::Aborted(why) => Some(why),
            _ => None,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => out.write_str("green starts"),
            Self::Preview => out.write_str("green is looked at before it has the traffic"),
            Self::Paused(why) => write!(out, "green stands still before it has the traffic: {why}"),
            Self::Flipped => out.write_str("green is looked at with all of the traffic"),
            Self::Doubted(why) => write!(out, "green stands still with all of the traffic: {why}"),
            Self::Warm => out.write_str("green was judged good, blue stays warm"),
            Self::Leaving => out.write_str("blue leaves"),
            Self::Back(why) => write!(out, "green gives the traffic back: {why}"),
            Self::Stopping(why) => write!(out, "green stops: {why}"),
            Self::Aborted(why) => write!(out, "green is gone: {why}"),
            Self::Done => out.write_str("green serves"),
        }
    }
}

/// The state; it serialises, and is all that is needed to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Green.
    pub release: ReleaseNumber,
    /// Where it is.
    pub phase: Phase,
    /// How long, looked-at time only.
    pub held: Held,
    /// Which try.
    pub number: u32,
    /// The stage that is being measured.
    pub judged: Option<Attempt>,
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// So many instances of green are to run.
    Start(u32),
    /// The gateway is to serve so.
    Publish(Served),
    /// A run of the metrics begins.
    Judge(Attempt),
    /// A release that no table names is to be drained and stopped.
    Stop(ReleaseNumber),
    /// Green is the stable release from now on.
    Finish,
}

impl fmt::Display for Act {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(instances) => write!(out, "run {instances} of green"),
            Self::Publish(served) => write!(out, "publish {served}"),
            Self::Judge(at) if at.stage == 0 => out.write_str("judge before the flip"),
            Self::Judge(_) => out.write_str("judge after the flip"),
            Self::Stop(release) => write!(out, "stop {release}"),
            Self::Finish => out.write_str("finish"),
        }
    }
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Green's instances.
    Ready {
        /// How many are.
        ready: u32,
        /// How many are needed.
        needed: u32,
        /// How long it waits yet.
        left: Duration,
    },
    /// Every worker of the gateway.
    Gateway {
        /// What it is to serve.
        wanted: Served,
        /// What it serves, or why that is not known.
        seen: Result<Served, String>,
    },
    /// A verdict.
    Verdict {
        /// How long it waits yet at most.
        left: Duration,
        /// What the verdict would be now.
        so_far: Verdict,
    },
    /// A person's word.
    Paused(Pause),
    /// The end of blue's warm time.
    Warm {
        /// What is left of it.
        left: Duration,
    },
    /// The end of a release's instances.
    Gone(ReleaseNumber),
}

impl fmt::Display for Wait {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready {
                ready,
                needed,
                left,
            } => write!(
                out,
                "{ready} of {needed} ready, {} left",
                span::format(*left)
            ),
            Self::Gateway { wanted, seen } => match seen {
                Ok(seen) => write!(out, "the gateway to serve {wanted}; it serves {seen}"),
                Err(why) => write!(out, "the gateway to serve {wanted}; {why}"),
            },
            Self::Verdict { left, so_far } => {
                write!(out, "a verdict, for {} more; {so_far}", span::format(*left))
            }
            Self::Paused(why) => write!(out, "a person: {why}"),
            Self::Warm { left } => write!(out, "{} of keeping blue warm", span::format(*left)),
            Self::Gone(release) => write!(out, "{release} to be gone"),
        }
    }
}

/// What [`decide`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The state to keep and to record.
    pub state: State,
    /// What is to be done now.
    pub acts: Vec<Act>,
    /// What is waited for; never empty before the end.
    pub waits: Vec<Wait>,
    /// Orders that had no effect, and why.
    pub ignored: Vec<Ignored>,
}

/// Decides the next state. A state of another release is given up: green begins anew, and the other
/// stops once the gateway serves a table that does not name it.
pub fn decide(wanted: &Wanted, observed: &Observed, state: Option<State>, now: Moment) -> Decision {
    let fresh = || State {
        release: wanted.green,
        phase: Phase::Starting,
        held: Held::new(now),
        number: 0,
        judged: None,
    };
    let state = state.filter(|state| state.release == wanted.green);
    let mut decider = Decider {
        wanted,
        observed,
        state: state.unwrap_or_else(fresh),
        acts: Vec::new(),
        waits: Vec::new(),
        ignored: Vec::new(),
        now,
    };
    decider.fail();
    for order in &observed.orders {
        decider.obey(*order);
    }
    // Each turn stays or goes on to another phase; there is no way round.
    for _ in 0..8 {
        let before = decider.state.phase.clone();
        decider.acts.retain(|act| *act == Act::Finish);
        decider.waits.clear();
        decider.turn();
        if decider.state.phase == before {
            break;
        }
    }
    decider.leave();
    Decision {
        state: decider.state,
        acts: decider.acts,
        waits: decider.waits,
        ignored: decider.ignored,
    }
}

struct Decider<'a> {
    wanted: &'a Wanted,
    observed: &'a Observed,
    state: State,
    acts: Vec<Act>,
    waits: Vec<Wait>,
    ignored: Vec<Ignored>,
    now: Moment,
}

impl Decider<'_> {
    fn enter(&mut self, phase: Phase) {
        self.state.phase = phase;
        self.state.held = Held::new(self.now);
    }

    /// What was superseded stops once no table names it.
    fn leave(&mut self) {
        let served = self.observed.gateway.known();
        for other in &self.observed.others {
            let free = served
                .is_some_and(|served| served.live != *other && served.preview != Some(*other));
            if free {
                self.acts.push(Act::Stop(*other));
            }
            self.waits.push(Wait::Gone(*other));
        }
    }

    fn may_fail(&self) -> bool {
        matches!(
            self.state.phase,
            Phase::Starting
                | Phase::Preview
                | Phase::Paused(_)
                | Phase::Flipped
                | Phase::Doubted(_)
                | Phase::Warm
        )
    }

    fn fail(&mut self) {
        if !self.may_fail() {
            return;
        }
        if let Some(why) = &self.observed.broken {
            return self.enter(Phase::Back(Abort::Broken { why: why.clone() }));
        }
        let Some((attempt, verdict)) = &self.observed.verdict else {
            return;
        };
        let ours = attempt.number == self.state.number;
        if ours && verdict.settled && verdict.grade == Grade::Failed {
            let (metric, why) = (verdict.metric.clone(), verdict.why.clone());
            let seen = verdict.seen.clone();
            self.enter(Phase::Back(Abort::Verdict { metric, why, seen }));
        }
    }

    fn obey(&mut self, order: Order) {
        let why = match (&self.state.phase, order) {
            (Phase::Aborted(_), Order::Retry) => {
                self.state.number += 1;
                self.state.judged = None;
                return self.enter(Phase::Starting);
            }
            (_, Order::Abort) if self.may_fail() => {
                return self.enter(Phase::Back(Abort::Ordered));
            }
            (Phase::Preview | Phase::Paused(_), Order::Promote | Order::PromoteFully) => {
                return self.enter(Phase::Flipped);
            }
            (Phase::Flipped | Phase::Doubted(_), Order::Promote | Order::PromoteFully) => {
                return self.accept();
            }
            (Phase::Preview, Order::Pause) => return self.enter(Phase::Paused(Pause::Ordered)),
            (Phase::Flipped, Order::Pause) => return self.enter(Phase::Doubted(Pause::Ordered)),
            (Phase::Paused(_), Order::Resume) => return self.again(Phase::Preview),
            (Phase::Doubted(_), Order::Resume) => return self.again(Phase::Flipped),
            (Phase::Starting, _) => "green is not ready yet",
            (Phase::Warm | Phase::Leaving | Phase::Done, _) => "green is accepted",
            (Phase::Back(_) | Phase::Stopping(_), _) => "it is being aborted",
            (Phase::Aborted(_), _) => "it was aborted; a retry begins anew",
            _ => "there is nothing to resume",
        };
        self.ignored.push(Ignored { order, why });
    }

    fn again(&mut self, phase: Phase) {
        self.state.number += 1;
        self.state.judged = None;
        self.enter(phase);
    }

    fn accept(&mut self) {
        self.acts.push(Act::Finish);
        self.enter(Phase::Warm);
    }

    fn turn(&mut self) {
        let (green, blue) = (self.wanted.green, self.wanted.blue);
        match self.state.phase.clone() {
            Phase::Starting => self.start(),
            Phase::Preview => {
                if self.serve(blue, Some(green)) {
                    self.judge(0, self.wanted.before);
                }
            }
            Phase::Paused(why) => {
                self.serve(blue, Some(green));
                self.waits.push(Wait::Paused(why));
            }
            Phase::Flipped => {
                if self.serve(green, None) {
                    self.judge(1, self.wanted.after);
                }
            }
            Phase::Doubted(why) => {
                self.serve(green, None);
                self.waits.push(Wait::Paused(why));
            }
            Phase::Warm => {
                let served = self.serve(green, None);
                self.state.held.look(self.now, served);
                let left = self.state.held.left(self.wanted.warm);
                if served && left.is_zero() {
                    self.enter(Phase::Leaving);
                } else {
                    self.waits.push(Wait::Warm { left });
                }
            }
            Phase::Leaving => {
                if self.serve(green, None) && self.gone(blue, self.observed.blue) {
                    self.enter(Phase::Done);
                }
            }
            Phase::Back(why) => {
                if self.serve(blue, None) {
                    self.enter(Phase::Stopping(why));
                }
            }
            Phase::Stopping(why) => {
                if self.serve(blue, None) && self.gone(green, self.observed.green) {
                    self.enter(Phase::Aborted(why));
                }
            }
            Phase::Aborted(_) | Phase::Done => {}
        }
    }

    fn start(&mut self) {
        let needed = self.wanted.instances;
        let Count { running, ready } = self.observed.green;
        self.state.held.look(self.now, true);
        let left = self.state.held.left(self.wanted.deadline);
        if ready >= needed {
            return self.enter(Phase::Preview);
        }
        if left.is_zero() {
            let waited_ms = u64::try_from(self.state.held.time.as_millis()).unwrap_or(u64::MAX);
            return self.enter(Phase::Back(Abort::NotReady { waited_ms }));
        }
        if running < needed {
            self.acts.push(Act::Start(needed));
        }
        self.waits.push(Wait::Ready {
            ready,
            needed,
            left,
        });
    }

    fn judge(&mut self, stage: usize, time: Duration) {
        if time.is_zero() {
            return self.judged_well(stage);
        }
        let attempt = Attempt {
            number: self.state.number,
            stage,
        };
        let begun = self.state.judged == Some(attempt);
        self.state.held.look(self.now, begun);
        if !begun {
            self.state.judged = Some(attempt);
            self.acts.push(Act::Judge(attempt));
        }
        let verdict = match &self.observed.verdict {
            Some((of, verdict)) if *of == attempt => verdict.clone(),
            _ => Verdict::nothing(),
        };
        let held = self.state.held.time;
        if held >= time && verdict.grade == Grade::Successful {
            return self.judged_well(stage);
        }
        let doubted = verdict.settled && verdict.grade > Grade::Successful;
        if doubted || held >= time + self.wanted.patience {
            let (metric, why) = (verdict.metric, verdict.why);
            let pause = Pause::Doubt { metric, why };
            let paused = [Phase::Paused(pause.clone()), Phase::Doubted(pause)];
            let [before, after] = paused;
            return self.enter(if stage == 0 { before } else { after });
        }
        self.waits.push(Wait::Verdict {
            left: self.state.held.left(time + self.wanted.patience),
            so_far: verdict,
        });
    }

    fn judged_well(&mut self, stage: usize) {
        match (stage, self.wanted.manual) {
            (0, true) => self.enter(Phase::Paused(Pause::Ordered)),
            (0, false) => self.enter(Phase::Flipped),
            _ => self.accept(),
        }
    }

    /// Whether every worker serves so; asks for it else.
    fn serve(&mut self, live: ReleaseNumber, preview: Option<ReleaseNumber>) -> bool {
        let wanted = Served { live, preview };
        let seen = match &self.observed.gateway {
            Fact::Known { value, .. } if *value == wanted => return true,
            Fact::Known { value, .. } => Ok(*value),
            Fact::Missing { reason } => Err(reason.clone()),
        };
        self.acts.push(Act::Publish(wanted));
        self.waits.push(Wait::Gateway { wanted, seen });
        false
    }

    fn gone(&mut self, release: ReleaseNumber, count: Count) -> bool {
        if count.running == 0 {
            return true;
        }
        self.acts.push(Act::Stop(release));
        self.waits.push(Wait::Gone(release));
        false
    }
}
