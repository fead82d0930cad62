//! What people ask of the engine, and why it may refuse.

use crate::engine::Engine;
use crate::pause::RouteRefusal;
use crate::scale::ScaleRefusal;
use crate::world::{RecordFault, World};
use mainstay_atoms::{Actor, Digest, Generation, PlanId, ReleaseNumber, ServiceName};
use mainstay_plan::{
    Contents, Event, Pace, Parent, Plan, PlanEnd, Purpose, ReleaseEnd, ReleaseRecord, ReleaseState,
};
use mainstay_rollout::gate::{Gate, Rejected};
use serde::{Deserialize, Serialize};

/// Contents to be released.
#[derive(Debug, Clone)]
pub struct Ship {
    /// What.
    pub contents: Contents,
    /// What changed, in a few words.
    pub reason: String,
    /// Who asks.
    pub by: Actor,
    /// Asked again and confirmed: contents on hold may be shipped.
    pub confirmed: bool,
}

/// A release under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipped {
    /// Its number.
    pub release: ReleaseNumber,
    /// The release it took over from before that one served.
    pub superseded: Option<ReleaseNumber>,
}

/// A release about to be made.
struct Making {
    contents: Contents,
    of: Option<ReleaseNumber>,
    reason: String,
    pace: Pace,
    /// Recorded together with it.
    with: Vec<Event>,
}

impl Making {
    fn rolling(contents: Contents, of: Option<ReleaseNumber>, reason: String) -> Self {
        Self {
            contents,
            of,
            reason,
            pace: Pace::Rolling,
            with: vec![],
        }
    }
}

/// Why a request changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The serving release has these contents already.
    #[error("{serving} serves these contents already")]
    Same {
        /// The release that serves.
        serving: ReleaseNumber,
    },
    /// These contents were taken back.
    #[error("these contents are on hold since {release} was taken back")]
    Held {
        /// The release that was taken back.
        release: ReleaseNumber,
    },
    /// No such release.
    #[error("there is no release {release}")]
    Unknown {
        /// What was asked for.
        release: ReleaseNumber,
    },
    /// Nothing of the release that moves is on trial.
    #[error("{release} is not on trial, so there is nothing to promote, pause or resume")]
    NoTrial {
        /// The release that moves.
        release: ReleaseNumber,
    },
    /// The release that moves is another, or contains something else than what was shown.
    #[error("{asked} as it was shown is not what waits; {moving} does")]
    OtherRecord {
        /// What was asked for.
        asked: ReleaseNumber,
        /// The release that moves.
        moving: ReleaseNumber,
    },
    /// The release has passed its gates.
    #[error("{release} has passed its gates")]
    Begun {
        /// Which.
        release: ReleaseNumber,
    },
    /// The environment asks for no approvals.
    #[error("{release} needs no approvals")]
    NoApprovals {
        /// Which.
        release: ReleaseNumber,
    },
    /// The approval would not count.
    #[error("an approval of {by} does not count: {by} {why}")]
    NotCounted {
        /// Who gave it.
        by: Actor,
        /// Why.
        why: Rejected,
    },
    /// No such item.
    #[error("the checklist has no item `{item}`")]
    UnknownItem {
        /// What was asked for.
        item: String,
        /// The items that it has.
        known: Vec<String>,
    },
    /// A saved plan would go round the gates.
    #[error("the release may not begin yet: {missing}")]
    Gate {
        /// What is missing.
        missing: String,
    },
    /// No such token.
    #[error("there is no token `{name}`")]
    NoToken {
        /// What was asked for.
        name: String,
    },
    /// There is nothing to go back to.
    #[error("there is no earlier release that served other contents")]
    NoPrevious,
    /// The release never served.
    #[error("{release} never served, so there is nothing to go back to")]
    NeverServed {
        /// What was asked for.
        release: ReleaseNumber,
    },
    /// Between the two releases something was done that cannot be undone.
    #[error("going back to {to} would cross `{job}` of {release}, which cannot be undone")]
    OneWay {
        /// What was asked for.
        to: ReleaseNumber,
        /// The release that did it.
        release: ReleaseNumber,
        /// The job.
        job: ServiceName,
    },
    /// There is no release, so nothing knows the job.
    #[error("no release serves")]
    NothingServes,
    /// The serving release has no such job.
    #[error("the serving release has no job `{job}`")]
    UnknownJob {
        /// What was asked for.
        job: ServiceName,
        /// The jobs that it has.
        known: Vec<ServiceName>,
    },
    /// Many runs were asked for already.
    #[error("runs of `{job}` are asked for faster than they end")]
    TooMany {
        /// The job.
        job: ServiceName,
    },
    /// A count is not set.
    #[error(transparent)]
    Scale(ScaleRefusal),
    /// A route is not paused or resumed.
    #[error(transparent)]
    Route(RouteRefusal),
    /// Nothing is under way.
    #[error("nothing is under way")]
    Idle,
    /// No release failed or was stopped.
    #[error("no release has failed or was aborted since the last one served")]
    NothingToRetry,
    /// A saved plan was made from another state.
    #[error("the plan no longer fits: {moved}")]
    Moved {
        /// What moved since.
        moved: String,
    },
    /// The second mind objects.
    #[error("the plan breaks invariants: {0}")]
    Unsound(String),
    /// Everything is being stopped.
    #[error("the platform is being stopped")]
    GoingDown,
    /// No such hold.
    #[error("{release} has no hold")]
    NoHold {
        /// What was asked for.
        release: ReleaseNumber,
    },
    /// It could not be recorded, so it was not done.
    #[error("the request could not be recorded")]
    Record(#[source] RecordFault),
}

impl Engine {
    /// Records that another program is about to take over.
    pub fn note_upgrade(
        &mut self,
        (from, to): (&str, &str),
        program: mainstay_atoms::Digest,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<(), Refusal> {
        let begun = Event::UpgradeBegun {
            from: from.into(),
            to: to.into(),
            program,
        };
        self.record(world, by, vec![begun]).map_err(Refusal::Record)
    }

    /// Makes a release of these contents; it supersedes one that is under way.
    pub fn ship(&mut self, ship: Ship, world: &mut impl World) -> Result<Shipped, Refusal> {
        let digest = ship.contents.digest();
        if let Some(serving) = self.serves_already(digest) {
            return Err(Refusal::Same { serving });
        }
        if let Some((release, _)) = self.history().hold_on(digest)
            && !ship.confirmed
        {
            return Err(Refusal::Held { release });
        }
        let making = Making::rolling(ship.contents, None, ship.reason);
        self.release(making, &ship.by, world)
    }

    /// Brings back the contents of an earlier release as a new one, and holds those it leaves.
    pub fn roll_back(
        &mut self,
        to: Option<ReleaseNumber>,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<Shipped, Refusal> {
        let to = match to {
            Some(to) => to,
            // While a release is moving, going back means the one that serves.
            None if self.history().moving.is_some() => return self.abort_as_rollback(by, world),
            None => match (self.history().frozen(), self.history().serving) {
                // What serves is what going back would bring, and what was done stays done.
                (Some(frozen), Some(to)) => {
                    let (release, job) = (frozen.release, frozen.job.clone());
                    return Err(Refusal::OneWay { to, release, job });
                }
                _ => self.history().previous().ok_or(Refusal::NoPrevious)?,
            },
        };
        let made = self
            .history()
            .releases
            .get(&to)
            .ok_or(Refusal::Unknown { release: to })?;
        let (contents, record) = (made.contents, made.record);
        if matches!(
            made.state,
            ReleaseState::Ended { .. } | ReleaseState::Moving
        ) {
            return Err(Refusal::NeverServed { release: to });
        }
        if let Some(serving) = self.serves_already(contents) {
            return Err(Refusal::Same { serving });
        }
        self.crosses_no_one_way(to)?;
        let record = fetch_record(world, record)?;
        let making = Making {
            contents: record.contents,
            of: Some(to),
            reason: format!("{to} again"),
            pace: Pace::AtOnce,
            with: self.hold_on_present(),
        };
        self.release(making, by, world)
    }

    /// Refused when a release after `to` did what cannot be undone.
    fn crosses_no_one_way(&self, to: ReleaseNumber) -> Result<(), Refusal> {
        let later = self.history().releases.range(to.next()..);
        let crossed = later.rev().find_map(|(release, made)| {
            let job = made.one_way.clone()?;
            Some((*release, job))
        });
        match crossed {
            Some((release, job)) => Err(Refusal::OneWay { to, release, job }),
            None => Ok(()),
        }
    }

    fn abort_as_rollback(
        &mut self,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<Shipped, Refusal> {
        let serving = self.history().serving.ok_or(Refusal::NoPrevious)?;
        let hold = self.hold_on_present();
        let release = self.stop_moving(hold, by, world)?;
        Ok(Shipped {
            release: serving,
            superseded: Some(release),
        })
    }

    /// A hold on the release that moves, else on the one that serves.
    fn hold_on_present(&self) -> Vec<Event> {
        let history = self.history();
        let present = history.moving.or(history.serving);
        let made = present.and_then(|number| history.releases.get(&number));
        let hold = |made: &mainstay_plan::Release| Event::HoldSet {
            release: made.release,
            contents: made.contents,
        };
        made.map(hold).into_iter().collect()
    }

    fn serves_already(&self, contents: Digest) -> Option<ReleaseNumber> {
        let history = self.history();
        let serving = history
            .serving
            .filter(|_| history.moving.is_none() && !history.down)?;
        (history.releases.get(&serving)?.contents == contents).then_some(serving)
    }

    fn release(
        &mut self,
        making: Making,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<Shipped, Refusal> {
        let Making {
            contents,
            of,
            reason,
            pace,
            with,
        } = making;
        if self.history().down {
            return Err(Refusal::GoingDown);
        }
        let number = self.history().next_release();
        let digest = contents.digest();
        let record = ReleaseRecord::over(self.serving_record(), number, contents);
        let kept = world.keep(&record.to_bytes()).map_err(Refusal::Record)?;
        let superseded = self.history().moving;
        let mut events = self.end_of_plan(PlanEnd::Superseded);
        events.extend(superseded.map(|release| Event::ReleaseEnded {
            release,
            end: ReleaseEnd::Superseded,
        }));
        events.push(Event::ReleaseMade {
            release: number,
            contents: digest,
            record: kept,
            of,
            reason,
            jobs: record.contents.platform.jobs.keys().cloned().collect(),
        });
        events.extend(self.first_scaled(&record.contents));
        events.extend(with);
        self.record(world, by, events).map_err(Refusal::Record)?;
        self.set_moving(number, record, pace, by.clone());
        Ok(Shipped {
            release: number,
            superseded,
        })
    }

    /// Ships the contents of the last release that failed or was aborted, as a new one.
    pub fn retry(&mut self, by: &Actor, world: &mut impl World) -> Result<Shipped, Refusal> {
        let last = self.history().releases.values().next_back();
        let ended = last.filter(|made| {
            matches!(
                made.state,
                ReleaseState::Ended {
                    end: ReleaseEnd::Failed { .. } | ReleaseEnd::Aborted
                }
            )
        });
        let ended = ended.ok_or(Refusal::NothingToRetry)?;
        let (number, record) = (ended.release, ended.record);
        let record = fetch_record(world, record)?;
        let reason = format!("{number} again");
        self.release(
            Making::rolling(record.contents, Some(number), reason),
            by,
            world,
        )
    }

    /// Stops a release that is under way; the one that served takes its place again.
    pub fn abort(&mut self, by: &Actor, world: &mut impl World) -> Result<ReleaseNumber, Refusal> {
        self.stop_moving(vec![], by, world)
    }

    fn stop_moving(
        &mut self,
        with: Vec<Event>,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<ReleaseNumber, Refusal> {
        let release = self.history().moving.ok_or(Refusal::Idle)?;
        let mut events = self.end_of_plan(PlanEnd::Aborted);
        events.push(Event::ReleaseEnded {
            release,
            end: ReleaseEnd::Aborted,
        });
        events.extend(with);
        self.record(world, by, events).map_err(Refusal::Record)?;
        self.moving_ended();
        Ok(release)
    }

    /// Lets contents that were taken back be released again.
    pub fn lift_hold(
        &mut self,
        release: ReleaseNumber,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<(), Refusal> {
        if !self.history().holds.contains_key(&release) {
            return Err(Refusal::NoHold { release });
        }
        self.record(world, by, vec![Event::HoldLifted { release }])
            .map_err(Refusal::Record)
    }

    /// Stops everything: drains, stops, and then nothing of the platform runs.
    pub fn go_down(&mut self, by: &Actor, world: &mut impl World) -> Result<(), Refusal> {
        if self.history().down {
            return Ok(());
        }
        let mut events = self.end_of_plan(PlanEnd::Superseded);
        events.extend(self.history().moving.map(|release| Event::ReleaseEnded {
            release,
            end: ReleaseEnd::Superseded,
        }));
        events.push(Event::DownAsked);
        self.record(world, by, events).map_err(Refusal::Record)?;
        self.moving_ended();
        Ok(())
    }

    /// Lets the last release run again after [`Engine::go_down`].
    pub fn come_up(&mut self, by: &Actor, world: &mut impl World) -> Result<(), Refusal> {
        if !self.history().down {
            return Ok(());
        }
        let mut events = self.end_of_plan(PlanEnd::Superseded);
        events.push(Event::UpAsked);
        self.record(world, by, events).map_err(Refusal::Record)?;
        self.moving_ended();
        Ok(())
    }

    /// The plan that shipping these contents now would execute. Nothing is recorded.
    pub fn preview(&mut self, contents: Contents, by: &Actor, world: &mut impl World) -> Plan {
        let number = self.history().next_release();
        let record = ReleaseRecord::over(self.serving_record(), number, contents);
        self.plan_for(number, record, by, world)
    }

    /// Executes exactly this plan, or refuses with what moved since it was made.
    pub fn apply_plan(
        &mut self,
        plan: Plan,
        contents: Contents,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<Shipped, Refusal> {
        self.still_fits(&plan, &contents)?;
        let number = self.history().next_release();
        let record = ReleaseRecord::over(self.serving_record(), number, contents);
        self.scaling.assumed = self.first_counts(&record.contents);
        let notes = self.notes(&plan, Some(&record), world);
        self.scaling.assumed.clear();
        if !notes.is_empty() {
            return Err(Refusal::Unsound(notes));
        }
        let missing = self.gate_before(number, &record, by, world);
        if !missing.is_empty() {
            let missing = missing.join("; ");
            return Err(Refusal::Gate { missing });
        }
        let reason = format!("saved plan {}", plan.id());
        let shipped = self.release(Making::rolling(record.contents, None, reason), by, world)?;
        self.begin_plan(plan, by, world).map_err(Refusal::Record)?;
        Ok(shipped)
    }

    /// What a release that is about to be made would wait for.
    fn gate_before(
        &self,
        release: ReleaseNumber,
        record: &ReleaseRecord,
        by: &Actor,
        world: &impl World,
    ) -> Vec<String> {
        let moving = crate::engine::Moving {
            release,
            record: record.clone(),
            pace: Pace::Rolling,
            by: by.clone(),
        };
        let (_, now) = world.now();
        match self.gate_fresh(&moving, now) {
            Gate::Open => vec![],
            Gate::Shut(missing) => missing.iter().map(|one| one.tell(now)).collect(),
        }
    }

    fn still_fits(&self, plan: &Plan, contents: &Contents) -> Result<(), Refusal> {
        let history = self.history();
        let moved = |moved: String| Err(Refusal::Moved { moved });
        let Parent {
            release,
            generation,
            ..
        } = plan.parent;
        if let Some(moving) = history.moving {
            return moved(format!("{moving} is under way"));
        }
        if release != history.serving {
            let name =
                |one: Option<ReleaseNumber>| one.map_or("nothing".into(), |one| one.to_string());
            return moved(format!(
                "{} served then, {} serves now",
                name(release),
                name(history.serving)
            ));
        }
        if generation != history.generation {
            return moved(self.moved_since(generation));
        }
        if plan.contents != Some(contents.digest()) || plan.release != Some(history.next_release())
        {
            return moved("it is for another release than its contents".into());
        }
        if !matches!(plan.purpose, Purpose::Deploy | Purpose::Trial) {
            return moved("it was not made to ship a release".into());
        }
        Ok(())
    }

    fn moved_since(&self, generation: Generation) -> String {
        format!(
            "instances or routes have changed since (generation {generation} then, {} now)",
            self.history().generation
        )
    }

    /// The id of the plan that is under way.
    pub fn open_plan(&self) -> Option<PlanId> {
        self.history().open.as_ref().map(|open| open.plan)
    }
}

fn fetch_record(world: &mut impl World, digest: Digest) -> Result<ReleaseRecord, Refusal> {
    let bytes = world.fetch(digest).map_err(Refusal::Record)?;
    serde_json::from_slice(&bytes).map_err(|fault| {
        Refusal::Record(RecordFault(format!("record {}: {fault}", digest.short())))
    })
}
