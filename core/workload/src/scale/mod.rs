//! Decides how many instances a service wants, from what is measured of it.
//!
//! The rules are those of Kubernetes' horizontal autoscaler (`pkg/controller/podautoscaler`), in whole
//! numbers: [`recommend`] says what one metric asks for, [`scale`] joins the metrics and applies, in this
//! order, what blocks a shrink, the window, the rate of growth, and the bounds. What a person set by hand
//! for a time outranks the metrics, and the bounds outrank that.
//!
//! Only the group's own instances count: neither a rollout's surge nor the other side of a canary does, so
//! a deploy at constant load scales nothing.

mod advice;
mod bound;
mod recommend;
mod window;

pub use advice::{Advice, LEAST_SAMPLES, advise};
pub use bound::{Bounds, BoundsFault, Floor, Override};
pub use recommend::{Gauge, Member, Recommendation, Use, WARMING, recommend};
pub use window::{GROWTH_PERIOD, SHRINK_WINDOW, Window};

use mainstay_atoms::{Actor, Moment, Wall};
use std::fmt;
use std::time::Duration;

/// What a service says about its scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleRules {
    /// Least and most.
    pub bounds: Bounds,
    /// Minimums by the calendar.
    pub floors: Vec<Floor>,
    /// What a person set for a time.
    pub hand: Option<Override>,
    /// How long fewer must do before it shrinks; [`SHRINK_WINDOW`] unless the file says otherwise.
    pub settle: Duration,
}

/// Why the count is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScaleWhy {
    /// The metrics ask for this, or for so little else that it does not matter.
    Metrics {
        /// The metric that asks for most.
        metric: String,
    },
    /// Fewer would do, but not for so long yet.
    Window {
        /// What the metrics ask for.
        asked: u32,
        /// How long.
        settle: Duration,
    },
    /// More are asked for, but growth is limited for a quarter of a minute.
    Rate {
        /// What the metrics ask for.
        asked: u32,
    },
    /// Fewer would do by the metrics that can be read; another cannot.
    Blocked {
        /// The metric that cannot be read.
        metric: String,
        /// Why.
        why: String,
    },
    /// No metric can be read: the count stays.
    Blind {
        /// The first that cannot.
        metric: String,
        /// Why.
        why: String,
    },
    /// The file's least.
    Least {
        /// What was asked for.
        asked: u32,
    },
    /// The file's most.
    Most {
        /// What was asked for.
        asked: u32,
    },
    /// A minimum by the calendar.
    Floor {
        /// What was asked for.
        asked: u32,
    },
    /// A person said so.
    Hand {
        /// Who.
        by: Actor,
        /// Until when.
        until: Wall,
    },
}

impl fmt::Display for ScaleWhy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metrics { metric } => write!(out, "{metric}"),
            Self::Window { asked, settle } => {
                let settle = mainstay_atoms::span::format(*settle);
                write!(out, "{asked} would do, not for {settle} yet")
            }
            Self::Rate { asked } => write!(out, "{asked} asked for, growing by rate"),
            Self::Blocked { metric, why } => write!(out, "no shrink: {metric}: {why}"),
            Self::Blind { metric, why } => write!(out, "no change: {metric}: {why}"),
            Self::Least { asked } => write!(out, "the least; {asked} asked for"),
            Self::Most { asked } => write!(out, "the most; {asked} asked for"),
            Self::Floor { asked } => write!(out, "scheduled minimum; {asked} asked for"),
            Self::Hand { by, .. } => write!(out, "set by {by}"),
        }
    }
}

/// What [`scale`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaled {
    /// How many instances the group wants.
    pub wanted: u32,
    /// Why, the last rule that changed something.
    pub why: ScaleWhy,
    /// To be given to the next call and recorded.
    pub window: Window,
}

/// Decides how many instances a group wants. `current` is how many it wants now (not how many run),
/// `gauges` what is measured, by name. Asked every quarter of a minute; asking oftener does no harm.
pub fn scale(
    rules: &ScaleRules,
    current: u32,
    gauges: &[(String, Gauge)],
    window: &Window,
    now: Moment,
    wall: Wall,
) -> Scaled {
    let mut window = window.clone();
    window.look(current, rules.settle, now);
    if let Some(hand) = rules.hand.as_ref().filter(|hand| wall < hand.until) {
        let why = ScaleWhy::Hand {
            by: hand.by.clone(),
            until: hand.until,
        };
        let (wanted, why) = bounded(rules, hand.instances, why, wall);
        window.grew(current, wanted, now);
        return Scaled {
            wanted,
            why,
            window,
        };
    }
    let (asked, why) = joined(gauges, current, now);
    let (steady, why) = window.settle(current, (asked, why), rules.settle, now);
    let (wanted, why) = bounded(rules, steady, why, wall);
    window.grew(current, wanted, now);
    Scaled {
        wanted,
        why,
        window,
    }
}

/// The largest recommendation; one that cannot be read blocks a shrink, and no more.
fn joined(gauges: &[(String, Gauge)], current: u32, now: Moment) -> (u32, ScaleWhy) {
    let mut largest: Option<(u32, &String)> = None;
    let mut blind = None;
    for (name, gauge) in gauges {
        match recommend(gauge, current, now) {
            Recommendation::Instances(asked) => {
                if largest.is_none_or(|(most, _)| asked > most) {
                    largest = Some((asked, name));
                }
            }
            Recommendation::Unknown(why) => {
                blind.get_or_insert((name, why));
            }
        }
    }
    match (largest, blind) {
        (Some((asked, _)), Some((metric, why))) if asked < current => {
            let metric = metric.clone();
            (current, ScaleWhy::Blocked { metric, why })
        }
        (Some((asked, metric)), _) => {
            let metric = metric.clone();
            (asked, ScaleWhy::Metrics { metric })
        }
        (None, Some((metric, why))) => {
            let metric = metric.clone();
            (current, ScaleWhy::Blind { metric, why })
        }
        (None, None) => {
            let (metric, why) = (String::from("scale"), "nothing is measured".into());
            (current, ScaleWhy::Blind { metric, why })
        }
    }
}

fn bounded(rules: &ScaleRules, asked: u32, why: ScaleWhy, wall: Wall) -> (u32, ScaleWhy) {
    let (least, most) = (rules.bounds.least(), rules.bounds.most());
    let floors = rules.floors.iter().filter(|floor| floor.holds(wall));
    let floor = floors.map(|floor| floor.least).max().unwrap_or(0).min(most);
    if asked > most {
        (most, ScaleWhy::Most { asked })
    } else if asked < floor && floor > least {
        (floor, ScaleWhy::Floor { asked })
    } else if asked < least {
        (least, ScaleWhy::Least { asked })
    } else {
        (asked, why)
    }
}
