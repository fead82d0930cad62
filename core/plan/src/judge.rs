//! Whether a waiting step is done.

use crate::Observed;
use crate::report::Wait;
use crate::step::Step;
use mainstay_atoms::{Fact, Generation, InstanceId, Moment, ServiceName, span};
use mainstay_workload::{Exit, Readiness, Running};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What is to be said of a step that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// The wait is over.
    Done,
    /// Not yet.
    Waits(Wait),
    /// It will not be.
    Failed(Failure),
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "failure")]
pub enum Failure {
    /// An instance was not ready in time.
    NotReady {
        /// Which.
        instance: InstanceId,
        /// Which run.
        generation: Generation,
        /// How long was waited.
        within: Duration,
        /// The probe's last answer.
        seen: String,
    },
    /// An instance ended before it was ready.
    Ended {
        /// Which.
        instance: InstanceId,
        /// Which run.
        generation: Generation,
        /// How.
        exit: Exit,
    },
    /// A gateway did not take the table in time.
    NotAcknowledged {
        /// Number of the table.
        generation: Generation,
        /// What was seen of it.
        seen: String,
    },
    /// A run of a job did not succeed.
    Run {
        /// Which.
        instance: InstanceId,
        /// How it ended; none when it did not end in time.
        exit: Option<Exit>,
        /// It is tried again.
        again: bool,
    },
    /// A process did not end even by force.
    NotStopped {
        /// Which.
        instance: InstanceId,
        /// Which run.
        generation: Generation,
    },
    /// A release was judged, and is worse than it may be.
    Judged {
        /// The service.
        service: ServiceName,
        /// By what, with the figures.
        why: String,
    },
    /// An effect cannot work.
    Effect {
        /// What was tried.
        step: String,
        /// What went wrong.
        why: String,
        /// The instance it was about, if one.
        instance: Option<InstanceId>,
    },
}

impl Failure {
    /// The instance to show logs and answers of.
    pub fn instance(&self) -> Option<&InstanceId> {
        match self {
            Self::NotReady { instance, .. }
            | Self::Ended { instance, .. }
            | Self::Run { instance, .. }
            | Self::NotStopped { instance, .. } => Some(instance),
            Self::Effect { instance, .. } => instance.as_ref(),
            Self::NotAcknowledged { .. } | Self::Judged { .. } => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady {
                instance, within, ..
            } => {
                write!(
                    out,
                    "{instance} was not ready within {}",
                    span::format(*within)
                )
            }
            Self::Ended { instance, exit, .. } => {
                write!(out, "{instance} ended before it was ready: {exit}")
            }
            Self::NotAcknowledged { generation, seen } => {
                write!(out, "the gateway did not take table {generation}: {seen}")
            }
            Self::Run {
                instance,
                exit: Some(exit),
                ..
            } => write!(out, "{instance} failed: {exit}"),
            Self::Run { instance, .. } => write!(out, "{instance} did not end in time"),
            Self::NotStopped { instance, .. } => write!(out, "{instance} did not stop"),
            Self::Judged { service, why } => write!(out, "{service} is worse: {why}"),
            Self::Effect { why, .. } => out.write_str(why),
        }
    }
}

/// Judges a step that began to wait at `began`. Steps that do not wait are done.
pub fn judge(step: &Step, observed: &Observed, began: Moment, now: Moment) -> Judgement {
    match step {
        Step::AwaitReady {
            instance,
            generation,
            stays,
            within,
        } => {
            let late = now.since(began) >= *within;
            judge_ready(
                observed,
                (instance, *generation),
                *stays,
                *within,
                (late, now),
            )
        }
        Step::AwaitAcknowledged { generation, within } => {
            judge_acknowledged(observed, *generation, now.since(began) >= *within)
        }
        Step::AwaitDrained {
            instance,
            generation,
            within,
        } => judge_drained(observed, instance, *generation, now.since(began) >= *within),
        Step::AwaitStopped {
            instance,
            generation,
            within,
        } => match observed.run(instance, *generation) {
            Some(one) if one.runs() && now.since(began) >= *within => {
                let (instance, generation) = (instance.clone(), *generation);
                Judgement::Failed(Failure::NotStopped {
                    instance,
                    generation,
                })
            }
            Some(one) if one.runs() => Judgement::Waits(Wait::Stop {
                instance: instance.clone(),
            }),
            _ => Judgement::Done,
        },
        Step::AwaitRun {
            instance,
            succeeds,
            within,
            ..
        } => judge_run(observed, instance, *succeeds, now.since(began) >= *within),
        Step::Start { .. }
        | Step::Smoke { .. }
        | Step::Publish(_)
        | Step::Stop { .. }
        | Step::Clear { .. }
        | Step::Prepare { .. }
        | Step::Provision { .. }
        | Step::Serve { .. } => Judgement::Done,
    }
}

fn judge_ready(
    observed: &Observed,
    (instance, generation): (&InstanceId, Generation),
    stays: Duration,
    within: Duration,
    (late, now): (bool, Moment),
) -> Judgement {
    let seen = match observed.run(instance, generation) {
        None => "its process is not seen".to_owned(),
        Some(one) => match (&one.running, &one.readiness) {
            (Running::Ended { exit, .. }, _) => {
                let (instance, exit) = (instance.clone(), *exit);
                return Judgement::Failed(Failure::Ended {
                    instance,
                    generation,
                    exit,
                });
            }
            (_, Readiness::Ready { since }) if now.since(*since) >= stays => {
                return Judgement::Done;
            }
            (_, Readiness::Ready { .. }) => {
                format!("ready, to stay so for {}", span::format(stays))
            }
            (_, Readiness::NotReady { seen }) => seen.clone(),
        },
    };
    let instance = instance.clone();
    if late {
        Judgement::Failed(Failure::NotReady {
            instance,
            generation,
            within,
            seen,
        })
    } else {
        Judgement::Waits(Wait::Ready { instance, seen })
    }
}

/// A run has ended when that is recorded: what was seen of it is gone soon after.
fn judge_run(observed: &Observed, instance: &InstanceId, succeeds: bool, late: bool) -> Judgement {
    let run = observed
        .jobs
        .get(&instance.service)
        .and_then(|runs| runs.find(instance));
    let end = run.and_then(|run| run.end.as_ref());
    let again = run.is_some_and(|run| run.job.retries > 0);
    match end {
        Some(end) if end.exit.succeeded() || !succeeds => Judgement::Done,
        Some(end) => Judgement::Failed(Failure::Run {
            instance: instance.clone(),
            exit: Some(end.exit),
            // What a crash cut off may have done its work.
            again: again && !end.exit.lost,
        }),
        None if late => Judgement::Failed(Failure::Run {
            instance: instance.clone(),
            exit: None,
            again: false,
        }),
        None => Judgement::Waits(Wait::Run {
            instance: instance.clone(),
        }),
    }
}

fn judge_acknowledged(observed: &Observed, generation: Generation, late: bool) -> Judgement {
    let seen = match &observed.gateway {
        Fact::Known { value, .. } if value.generation >= generation => return Judgement::Done,
        Fact::Known { value, .. } => format!("it serves table {}", value.generation),
        Fact::Missing { reason } => reason.clone(),
    };
    if late {
        Judgement::Failed(Failure::NotAcknowledged { generation, seen })
    } else {
        Judgement::Waits(Wait::Gateway { generation, seen })
    }
}

/// A run is drained when the gateway sees nothing under way at it, when it ended by itself, or when
/// its time is up. A gateway that is not seen proves nothing, so time has to pass.
fn judge_drained(
    observed: &Observed,
    instance: &InstanceId,
    generation: Generation,
    late: bool,
) -> Judgement {
    let runs = observed
        .run(instance, generation)
        .is_some_and(mainstay_workload::Instance::runs);
    if late || !runs {
        return Judgement::Done;
    }
    let load = observed
        .gateway
        .known()
        .map(|seen| seen.load(instance, generation));
    match load {
        Some(load) if load.in_flight + load.streams == 0 => Judgement::Done,
        _ => {
            let load = load.unwrap_or_default();
            Judgement::Waits(Wait::Drain {
                instance: instance.clone(),
                in_flight: load.in_flight,
                streams: load.streams,
            })
        }
    }
}
