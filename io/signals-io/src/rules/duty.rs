//! On duty: who is called now, who stands in, who has taken what; and trials of channels.

use super::Loop;
use crate::errand::{Deliver, Errand, Report, Trial, Tried};
use mainstay_alerting::duty::Override;
use mainstay_alerting::{
    At, CHANNEL_FAILING, Channel, HEARTBEAT_FAILING, Labels, Notice, Notification, Outcome, hint_of,
};
use serde::Serialize;
use tokio::sync::oneshot;

/// Longest override, in milliseconds: a longer absence belongs in the file.
const OVERRIDE_MAX_MS: i64 = 31 * 86_400_000;

/// One rotation, now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Duty {
    pub(crate) rotation: String,
    /// Who is on duty; nobody outside of its hours.
    pub(crate) person: Option<String>,
    /// Until when, in milliseconds since 1970.
    pub(crate) until_ms: Option<i64>,
    /// Who comes then.
    pub(crate) then: Option<String>,
    /// Whether somebody stands in, by the file or by hand.
    pub(crate) stands_in: bool,
    pub(crate) zone: String,
}

/// An alert that somebody has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Taken {
    pub(crate) alert: String,
    pub(crate) labels: std::collections::BTreeMap<String, String>,
    pub(crate) by: String,
    pub(crate) at_ms: i64,
}

/// One message that was sent to try a channel out.
pub(crate) struct Tries {
    pub(crate) kind: String,
    pub(crate) whom: String,
    pub(crate) person: Option<String>,
    pub(crate) tried: oneshot::Receiver<Tried>,
}

impl Loop {
    /// Who is on duty now.
    pub(super) fn duties(&self, now: At) -> Vec<Duty> {
        let rotations = self.router.routing().rotations.values();
        let duty = |one: &mainstay_alerting::duty::Rotation| {
            let until_ms = one.until(now.wall_ms);
            let mut swaps = one.overrides.iter();
            let then = until_ms.and_then(|until| one.on_duty(until));
            Duty {
                rotation: one.name.clone(),
                person: one.on_duty(now.wall_ms).map(str::to_owned),
                until_ms,
                then: then.map(str::to_owned),
                stands_in: swaps.any(|swap| (swap.from_ms..swap.until_ms).contains(&now.wall_ms)),
                zone: one.zone.iana_name().unwrap_or("UTC").to_owned(),
            }
        };
        rotations.map(duty).collect()
    }

    /// What somebody has taken.
    pub(super) fn taken(&self) -> Vec<Taken> {
        let all = self.router.acknowledged().iter();
        all.map(|(labels, one)| Taken {
            alert: labels.get(mainstay_alerting::ALERT_NAME).to_owned(),
            labels: pairs(labels),
            by: one.by.clone(),
            at_ms: one.at.wall_ms,
        })
        .collect()
    }

    /// Alerts of the process about itself, which no rule makes.
    pub(super) fn own_alerts(&self) -> Vec<Notice> {
        let own = |one: &&Notice| {
            let name = one.labels.get(mainstay_alerting::ALERT_NAME);
            one.ended_at.is_none() && [CHANNEL_FAILING, HEARTBEAT_FAILING].contains(&name)
        };
        self.router.alerts().filter(own).cloned().collect()
    }

    /// Somebody takes every alert of a name that fires; how many those are.
    pub(super) fn acknowledge(&mut self, alert: &str, by: &str, now: At) -> Result<usize, String> {
        let taken = self.router.acknowledge(alert, by, now);
        if taken.is_empty() {
            let firing = self.router.firing_names(now);
            let hint = hint_of(alert, firing.iter());
            return Err(format!("no alert `{alert}` fires{hint}"));
        }
        Ok(taken.len())
    }

    /// Somebody stands in for some time from now on; what the rotation says then.
    pub(super) fn stand_in(
        &mut self,
        rotation: Option<&str>,
        person: String,
        for_ms: i64,
        now: At,
    ) -> Result<Duty, String> {
        if !(60_000..=OVERRIDE_MAX_MS).contains(&for_ms) {
            return Err("somebody stands in for a minute at least and 31 days at most".into());
        }
        let swap = Override {
            person,
            from_ms: now.wall_ms,
            until_ms: now.wall_ms.saturating_add(for_ms),
        };
        let stands_in = self.router.stand_in(rotation, swap);
        let name = stands_in.map_err(|fault| fault.to_string())?;
        let mut duties = self.duties(now).into_iter();
        duties
            .find(|one| one.rotation == name)
            .ok_or_else(|| format!("rotation `{name}` is gone"))
    }

    /// Sends a message to everybody whom a name stands for now; of an escalation to its first level.
    pub(super) fn try_out(
        &self,
        name: &str,
        now: At,
        deliver: &mut Deliver,
        report: &Report,
    ) -> Result<Vec<Tries>, String> {
        let Some(channels) = self.targets.get(name) else {
            let hint = hint_of(name, self.targets.keys());
            return Err(format!("channel `{name}` is not known{hint}"));
        };
        let called = |one: &&Channel| {
            let first = one.turn.level.as_ref().is_none_or(|(_, level)| *level == 0);
            first && self.router.routing().is_on_duty(&one.turn, now.wall_ms)
        };
        let called: Vec<&Channel> = channels.iter().filter(called).collect();
        if called.is_empty() {
            return Err(format!("nobody is on duty in `{name}` now"));
        }
        let tries = called.into_iter().enumerate().map(|(place, channel)| {
            let (tell, tried) = oneshot::channel();
            let message = Notification::test(name, place, channel.clone(), now);
            deliver(Errand::Trial(Box::new(message), Trial(tell)), report);
            Tries {
                kind: channel.kind.name().to_owned(),
                whom: channel.kind.whom(),
                person: channel.turn.duty.as_ref().map(|duty| duty.1.clone()),
                tried,
            }
        });
        Ok(tries.collect())
    }

    /// Sends the heartbeat when its time has come.
    pub(super) fn beat(&mut self, now: At, deliver: &mut Deliver, report: &Report) {
        if let Some(beat) = self.heartbeat.due(now) {
            deliver(Errand::Beat(beat), report);
        }
    }

    /// Takes in what came of a heartbeat, or that none is asked for any more.
    pub(super) fn beaten(&mut self, outcome: Option<&Outcome>, now: At) {
        if let Some(outcome) = outcome {
            self.heartbeat.done(outcome, now);
        }
        let took = outcome == Some(&Outcome::Accepted);
        let fires = self.router.fires(HEARTBEAT_FAILING, now);
        let notice = self.heartbeat.notice(fires, took, now);
        self.router.ingest(notice, now);
    }
}

fn pairs(labels: &Labels) -> std::collections::BTreeMap<String, String> {
    let pairs = labels.iter();
    pairs
        .map(|label| (label.name.to_string(), label.value.to_string()))
        .collect()
}
