//! What alerts do by themselves: looked at while they fire, decided, and recorded together with what is done.
//!
//! What was done is the replay of the ledger, so neither a restart of the control plane nor one of signals does it
//! again. A person outranks an alert; an alert that could not be evaluated, or of which nobody knows, does nothing.

use crate::engine::Engine;
use crate::request::Refusal;
use crate::world::{RecordFault, World};
use mainstay_alerting::action::{Action, Decision, Deed, Deeds, Present};
use mainstay_alerting::file::AlertsFile;
use mainstay_alerting::then::{Subjects, read};
use mainstay_alerting::{At, Clocks, Timeline};
use mainstay_atoms::{Actor, Moment, ReleaseNumber, RouteName, ServiceName, Wall, span};
use mainstay_plan::{Act, Event, ReleaseRecord, Runs};
use mainstay_spec::Platform;
use std::fmt;
use std::time::Duration;

/// How often it is looked at what fires.
const LOOK: Duration = Duration::from_secs(1);

/// What is known of actions beside what the ledger holds.
#[derive(Default)]
pub(crate) struct Acting {
    /// The release whose actions these are.
    of: Option<ReleaseNumber>,
    actions: Vec<Action>,
    /// What keeps the file's actions from being read, in words.
    fault: Option<String>,
    line: Option<Timeline>,
    looked: Option<Moment>,
    /// Where each action stands, by its place.
    stands: Vec<Stand>,
}

/// Where an action stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stand {
    /// Nobody knows whether its alert fires.
    Unknown,
    /// Its alert does not fire, could not be evaluated, or is silenced.
    Quiet,
    /// It was done now, or would have been.
    Acted,
    /// It was done not long ago; so many milliseconds are left.
    Cools(i64),
    /// It was done as often as it may be within a day.
    Exhausted,
    /// The count is at its bound.
    AtBound(i64),
    /// It is so already.
    Needless,
    /// Something stands in its way, in words.
    Held(String),
}

/// One action of the release that serves, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionView {
    /// What the file says.
    pub action: Action,
    /// Where it stands.
    pub stand: Stand,
    /// How often it was done within a day.
    pub today: usize,
    /// When it was last done.
    pub last: Option<Act>,
}

/// `cools down for 4 min yet`.
impl fmt::Display for Stand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => out.write_str("nobody knows whether the alert fires"),
            Self::Quiet => {
                out.write_str("the alert does not fire, is silenced, or was not evaluated")
            }
            Self::Acted => out.write_str("the alert fires, and it was done"),
            Self::Cools(left) => {
                let left = Duration::from_millis(left.unsigned_abs());
                write!(out, "cools down for {} yet", span::format(left))
            }
            Self::Exhausted => out.write_str("was done as often as it may be within a day"),
            Self::AtBound(count) => write!(out, "its bound is reached with {count}"),
            Self::Needless => out.write_str("is so already"),
            Self::Held(why) => write!(out, "is not done: {why}"),
        }
    }
}

impl Acting {
    pub(crate) fn at(&mut self, (now, wall): (Moment, Wall), last: Option<&Act>) -> At {
        let wall_ms = i64::try_from(wall.0).unwrap_or(i64::MAX);
        let line = self.line.get_or_insert_with(|| begin(wall_ms, now, last));
        line.at(wall_ms, now.0)
    }
}

/// The clock goes on from the last thing that was done; how long ago that was, the civil clock says.
fn begin(wall_ms: i64, now: Moment, last: Option<&Act>) -> Timeline {
    let clocks = |wall_ms, monotonic_ms, boot: &str| Clocks {
        wall_ms,
        monotonic_ms,
        boot: boot.to_owned(),
    };
    let last = last.map(|act| {
        let wall_ms = i64::try_from(act.at.0).unwrap_or(i64::MAX);
        let steady_ms = act.steady_ms;
        let at = At { wall_ms, steady_ms };
        (at, clocks(wall_ms, 0, "before"))
    });
    let last = last.as_ref().map(|(at, clocks)| (*at, clocks));
    Timeline::begin(&clocks(wall_ms, now.0, "now"), last)
}

/// What a platform has that alerts may change; which alerts there are is asked where its file is shipped from.
pub fn subjects(platform: &Platform) -> Subjects {
    let services = platform.services.iter().map(|(name, service)| {
        let bounds = service.scale.as_ref();
        let bounds = bounds.map(|scale| (i64::from(scale.min), i64::from(scale.max)));
        (name.to_string(), bounds)
    });
    let hosts = platform.domains.iter();
    Subjects {
        services: services.collect(),
        jobs: platform.jobs.keys().map(ToString::to_string).collect(),
        routes: hosts
            .flat_map(|(host, routes)| routes.keys().map(move |prefix| format!("{host}{prefix}")))
            .collect(),
        alerts: None,
    }
}

fn actions(record: &ReleaseRecord) -> Result<Vec<Action>, String> {
    let platform = &record.contents.platform;
    let Some(alerts) = platform.signals.alerts.clone() else {
        return Ok(vec![]);
    };
    let file: AlertsFile = serde_json::from_value(alerts).map_err(|fault| fault.to_string())?;
    read(&file, &subjects(platform)).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        faults.join("; ")
    })
}

impl Engine {
    /// Looks at what fires, once a second, and does what is to be done; whether anything was.
    pub(crate) fn act(&mut self, world: &mut impl World) -> Result<bool, RecordFault> {
        let clocks = world.now();
        let due = |looked: Moment| clocks.0 < looked || clocks.0.since(looked) >= LOOK;
        if self.history.down || !self.acting.looked.is_none_or(due) {
            return Ok(false);
        }
        self.acting.looked = Some(clocks.0);
        self.follow_actions();
        if self.acting.actions.is_empty() {
            return Ok(false);
        }
        let at = self.acting.at(clocks, self.history.acts.last());
        let firing = world.firing();
        let mut acted = false;
        for (place, action) in self.acting.actions.clone().into_iter().enumerate() {
            let stand = match &firing {
                None => Stand::Unknown,
                Some(firing) if !firing.contains(&action.alert) => Stand::Quiet,
                Some(_) => self.act_on(&action, at, world)?,
            };
            acted |= stand == Stand::Acted;
            if let Some(stands) = self.acting.stands.get_mut(place) {
                *stands = stand;
            }
        }
        Ok(acted)
    }

    /// Takes the actions of the release that serves.
    fn follow_actions(&mut self) {
        let serves = self.history.serving;
        let moves = self.moving.as_ref().map(|moving| moving.release);
        // A release that is about to serve has not moved its record yet.
        if self.acting.of == serves || (serves.is_some() && moves == serves) {
            return;
        }
        self.acting.of = self.history.serving;
        let read = self.serving.as_ref().map_or(Ok(vec![]), actions);
        self.acting.fault = read.as_ref().err().cloned();
        self.acting.actions = read.unwrap_or_default();
        self.acting.stands = vec![Stand::Unknown; self.acting.actions.len()];
    }

    /// Decides about one action whose alert fires, and does it.
    fn act_on(
        &mut self,
        action: &Action,
        at: At,
        world: &mut impl World,
    ) -> Result<Stand, RecordFault> {
        let present = match self.present(action, (at, world.now().1)) {
            Ok(present) => present,
            Err(why) => return Ok(Stand::Held(why)),
        };
        let mut deeds = self.remembered(action);
        let (number, dry_run) = match deeds.decide(action, present, at) {
            Decision::Act(_, number) => (number, false),
            Decision::WouldAct(_, number) => (number, true),
            Decision::Cools(until) => return Ok(Stand::Cools(until.saturating_sub(at.steady_ms))),
            Decision::Exhausted => return Ok(Stand::Exhausted),
            Decision::AtBound(now) => return Ok(Stand::AtBound(now)),
            Decision::Needless => return Ok(Stand::Needless),
            Decision::Blind => return Ok(Stand::Held("it cannot be looked at".into())),
        };
        let reaches = number.and_then(|number| u32::try_from(number).ok());
        match self.do_deed(action, (reaches, dry_run), at, world) {
            Ok(()) => Ok(Stand::Acted),
            Err(Refusal::Record(fault)) => Err(fault),
            Err(refusal) => Ok(Stand::Held(refusal.to_string())),
        }
    }

    /// When an action was done, as the ledger says.
    fn remembered(&self, action: &Action) -> Deeds {
        let mut deeds = Deeds::default();
        let deed = action.deed.to_string();
        for act in self.history.acts.of(&action.alert, &deed) {
            let at = At {
                wall_ms: i64::try_from(act.at.0).unwrap_or(i64::MAX),
                steady_ms: act.steady_ms,
            };
            deeds.remember(&action.alert, &deed, at);
        }
        deeds
    }

    /// What is known of what a deed changes, or why it is not to be changed now.
    fn present(&self, action: &Action, (at, wall): (At, Wall)) -> Result<Present, String> {
        match &action.deed {
            Deed::Scale { service, by, .. } => self.count_of(service, *by, wall),
            Deed::Run { job } => {
                let name = named(job)?;
                let runs = self.history.jobs.get(&name);
                let busy = |runs: &Runs| !runs.asked.is_empty() || runs.running().next().is_some();
                Ok(Present::Done(runs.is_some_and(busy)))
            }
            Deed::Pause { route, .. } => self.pause_of(route, action.cool_down_ms, (at, wall)),
            Deed::RaisePool { .. } | Deed::HaltLedger { .. } => {
                Err("this program cannot do that yet".into())
            }
        }
    }

    /// How many instances of a service are wanted. What a person set is left alone, and so is a service that a
    /// release moves.
    fn count_of(&self, service: &str, by: i64, wall: Wall) -> Result<Present, String> {
        let name = named(service)?;
        let mut scaled = self.scales(wall).into_iter();
        let row = scaled.find(|row| row.service == name);
        let row = row.ok_or_else(|| format!("`{service}` is not scaled"))?;
        if let Some(hand) = row.hand.as_ref().filter(|hand| !hand.by.is_alert()) {
            return Err(format!("{} set its count", hand.by));
        }
        if let Some(still) = self.stands(&name)
            && !(still.grows && by > 0)
        {
            return Err(still.why);
        }
        // What an alert set a moment ago may not be the count that was decided yet.
        let count = row.hand.map_or(row.count, |hand| hand.instances);
        Ok(Present::Number(i64::from(count)))
    }

    /// Records that an alert acts together with what it does, all or none.
    fn do_deed(
        &mut self,
        action: &Action,
        (reaches, dry_run): (Option<u32>, bool),
        at: At,
        world: &mut impl World,
    ) -> Result<(), Refusal> {
        let by = Actor::alert(&action.alert);
        let acted = vec![Event::AlertActed {
            alert: action.alert.clone(),
            deed: action.deed.to_string(),
            subject: action.deed.subject().to_owned(),
            reaches,
            dry_run,
            steady_ms: at.steady_ms,
        }];
        if dry_run {
            return self.record(world, &by, acted).map_err(Refusal::Record);
        }
        let lasts = |ms: &i64| Duration::from_millis(ms.unsigned_abs());
        let name = ServiceName::new(action.deed.subject()).ok();
        match (&action.deed, name, reaches) {
            (Deed::Scale { lasts_ms, .. }, Some(service), Some(count)) => {
                let wish = (&service, (count, lasts(lasts_ms)));
                self.set_scale_with(acted, wish, &by, world).map(drop)
            }
            (Deed::Run { .. }, Some(job), _) => {
                self.ask_run_with(acted, &job, &by, world).map(drop)
            }
            (Deed::Pause { route, lasts_ms }, ..) => {
                let Ok(route) = RouteName::new(route) else {
                    return Ok(());
                };
                let wish = (&route, (lasts(lasts_ms), format!("{} fires", action.alert)));
                self.pause_route_with(acted, wish, &by, world).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// What alerts may do by the release that serves, and where each stands.
    pub fn actions(&self, now: Moment) -> Vec<ActionView> {
        let acting = &self.acting;
        let mut line = acting.line.clone();
        let rows = acting.actions.iter().zip(&acting.stands);
        let view = |(action, stand): (&Action, &Stand)| {
            let deed = action.deed.to_string();
            let acts: Vec<&Act> = self.history.acts.of(&action.alert, &deed).collect();
            let now = line.as_mut().map(|line| line.at(0, now.0).steady_ms);
            let today = |act: &&&Act| now.is_none_or(|now| now - act.steady_ms < DAY_MS);
            ActionView {
                action: action.clone(),
                stand: stand.clone(),
                today: acts.iter().filter(today).count(),
                last: acts.last().copied().cloned(),
            }
        };
        rows.map(view).collect()
    }

    /// What keeps the actions of the release that serves from being read, in words.
    pub fn action_fault(&self) -> Option<&str> {
        self.acting.fault.as_deref()
    }
}

const DAY_MS: i64 = 86_400_000;

fn named(name: &str) -> Result<ServiceName, String> {
    ServiceName::new(name).map_err(|fault| format!("`{name}`: {fault}"))
}
