//! The state of a canary: recorded after each look, and all that is needed to go on.

use super::Attempt;
use crate::hold::Held;
use crate::verdict::{Verdict, Why};
use crate::weight::Weights;
use mainstay_atoms::{Moment, ReleaseNumber, Share, span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// Why a release is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Abort {
    /// A person said so.
    Ordered,
    /// The verdict was bad.
    Verdict {
        /// The metric.
        metric: String,
        /// What it rests on.
        why: Why,
        /// The figures, in words.
        seen: String,
    },
    /// It did not become ready in time.
    NotReady {
        /// How long was waited, in milliseconds.
        waited_ms: u64,
    },
    /// It cannot become ready.
    Broken {
        /// Why, in words.
        why: String,
    },
}

impl fmt::Display for Abort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ordered => out.write_str("ordered"),
            Self::Verdict { metric, seen, .. } if !seen.is_empty() => {
                write!(out, "{metric}: {seen}")
            }
            Self::Verdict { metric, why, .. } => write!(out, "{metric}: {why}"),
            Self::NotReady { waited_ms } => {
                let waited = span::format(Duration::from_millis(*waited_ms));
                write!(out, "not ready after {waited}")
            }
            Self::Broken { why } => out.write_str(why),
        }
    }
}

/// Why a release stands still until a person speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// A person said so.
    Ordered,
    /// There is no verdict, and more waiting would bring none.
    Doubt {
        /// The metric.
        metric: String,
        /// What it rests on.
        why: Why,
    },
    /// The first release fails, and there is none to go back to.
    NothingBefore {
        /// The metric.
        metric: String,
        /// What it rests on.
        why: Why,
    },
}

impl fmt::Display for Pause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ordered => out.write_str("ordered"),
            Self::Doubt { metric, why } if metric.is_empty() => write!(out, "no verdict: {why}"),
            Self::Doubt { metric, why } => write!(out, "no verdict: {metric}: {why}"),
            Self::NothingBefore { metric, why } => {
                write!(out, "it fails, and nothing came before it: {metric}: {why}")
            }
        }
    }
}

/// Where a canary is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its first instances start; it has no traffic.
    Starting {
        /// Since when.
        held: Held,
    },
    /// It has, or is about to have, the share of a stage; the stage after the last is the bake.
    Stage {
        /// Which, from 0.
        stage: usize,
        /// The share it had before: served until this stage's instances are ready.
        from: Share,
        /// Every worker of the gateway served by this stage's weights once.
        reached: bool,
        /// Its metrics are being measured.
        judged: bool,
        /// How long its weights held, and how long it was on its way before.
        held: Held,
        /// Why it stands still.
        paused: Option<Pause>,
    },
    /// Its traffic is given back.
    Aborting {
        /// Why.
        why: Abort,
    },
    /// It has no traffic and is stopped.
    Stopping {
        /// Why.
        why: Abort,
    },
    /// It is gone.
    Aborted {
        /// Why.
        why: Abort,
    },
    /// It is the stable release.
    Done,
}

impl Phase {
    /// Why it goes back, as soon as that is decided.
    pub fn aborts(&self) -> Option<&Abort> {
        match self {
            Self::Aborting { why } | Self::Stopping { why } | Self::Aborted { why } => Some(why),
            Self::Starting { .. } | Self::Stage { .. } | Self::Done => None,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting { .. } => out.write_str("its first instances start"),
            Self::Stage {
                paused: Some(why), ..
            } => write!(out, "stands still: {why}"),
            Self::Stage { stage, reached, .. } => {
                let goes = if *reached { "is judged at" } else { "goes to" };
                write!(out, "{goes} step {}", stage + 1)
            }
            Self::Aborting { why } => write!(out, "gives its traffic back: {why}"),
            Self::Stopping { why } => write!(out, "stops: {why}"),
            Self::Aborted { why } => write!(out, "is gone: {why}"),
            Self::Done => out.write_str("was judged good"),
        }
    }
}

/// The state of a canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The release.
    pub release: ReleaseNumber,
    /// Where it is.
    pub phase: Phase,
    /// Which try.
    pub number: u32,
    /// Releases that it superseded and that still run; they have no traffic any longer.
    pub leaving: BTreeSet<ReleaseNumber>,
    /// The last look.
    pub looked: Moment,
}

impl State {
    /// A release that begins now. One that was under way before hands over to it.
    pub(super) fn begin(release: ReleaseNumber, before: Option<Self>, now: Moment) -> Self {
        let leaving = before.map_or_else(BTreeSet::new, |before| {
            let mut leaving = before.leaving;
            if !matches!(before.phase, Phase::Done | Phase::Aborted { .. }) {
                leaving.insert(before.release);
            }
            leaving
        });
        Self {
            release,
            phase: Phase::Starting {
                held: Held::new(now),
            },
            number: 0,
            leaving,
            looked: now,
        }
    }

    pub(super) fn attempt(&self, stage: usize) -> Attempt {
        Attempt {
            number: self.number,
            stage,
        }
    }

    pub(super) fn abort(&mut self, why: Abort) {
        self.phase = Phase::Aborting { why };
    }

    pub(super) fn retry(&mut self) {
        self.number += 1;
        self.phase = Phase::Starting {
            held: Held::new(self.looked),
        };
    }

    pub(super) fn enter(&mut self, stage: usize, from: Share) {
        self.phase = Phase::Stage {
            stage,
            from,
            reached: false,
            judged: false,
            held: Held::new(self.looked),
            paused: None,
        };
    }

    /// Enters a stage from another that has the share `weight`; past the last one it is done. A stage that
    /// was never reached leaves the share that it came from.
    pub(super) fn go_on(&mut self, stage: usize, stages: usize, weight: Share) {
        let from = match &self.phase {
            Phase::Stage {
                reached: false,
                from,
                ..
            } => *from,
            _ => weight,
        };
        if stage > stages {
            self.phase = Phase::Done;
        } else {
            self.enter(stage, from);
        }
    }

    /// The stage is judged from the beginning; it keeps its weights.
    pub(super) fn judge_anew(&mut self) {
        self.number += 1;
        if let Phase::Stage { judged, held, .. } = &mut self.phase {
            *judged = false;
            *held = Held::new(self.looked);
        }
    }
}

/// What a canary waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Its instances, or those of its baseline.
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
        /// What it is to serve by.
        wanted: Weights,
        /// What it serves by, or why that is not known.
        seen: Result<Weights, String>,
    },
    /// The hold of the stage.
    Hold {
        /// What is left of it.
        left: Duration,
        /// What the verdict would be now.
        so_far: Verdict,
    },
    /// The hold is over, and there is no verdict.
    Verdict {
        /// How long it waits yet.
        left: Duration,
        /// What the verdict would be now.
        so_far: Verdict,
    },
    /// A person's promotion: the stage has no end of its own.
    Promotion,
    /// A person's word.
    Paused(Pause),
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
            } => write!(out, "{ready} of {needed} ready, {} left", rounded(*left)),
            Self::Gateway {
                wanted,
                seen: Ok(seen),
            } => write!(out, "the gateway to serve {wanted}; it serves {seen}"),
            Self::Gateway {
                wanted,
                seen: Err(why),
            } => write!(out, "the gateway to serve {wanted}; {why}"),
            Self::Hold { left, so_far } => {
                write!(out, "{} of the hold; {so_far}", rounded(*left))
            }
            Self::Verdict { left, so_far } => {
                write!(out, "a verdict, for {} more; {so_far}", rounded(*left))
            }
            Self::Promotion => out.write_str("a promotion"),
            Self::Paused(why) => write!(out, "a person: {why}"),
            Self::Gone(release) => write!(out, "{release} to be gone"),
        }
    }
}

/// What is left, in whole seconds: nobody counts thousandths while waiting.
fn rounded(left: Duration) -> String {
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    span::format(Duration::from_secs(seconds))
}
