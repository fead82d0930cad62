//! Questions about who is on duty and about checks; acknowledgements, overrides, trials of channels.

use super::{Api, Asked, Ready};
use crate::answer::{self, ApiFault};
use crate::rules::{Answer, Order, Tries};
use mainstay_alerting::Outcome;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::oneshot;

/// Longest wait for the rules' thread: a query of a rule has half a minute.
const PATIENCE: Duration = Duration::from_secs(35);

/// Longest wait for what comes of a trial: an attempt has ten seconds, and others may be before it.
const TRIAL: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Acknowledge {
    alert: String,
    by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StandIn {
    #[serde(default)]
    rotation: Option<String>,
    person: String,
    for_ms: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TryOut {
    to: String,
}

fn read<'b, T: Deserialize<'b>>(asked: &'b Asked) -> Result<T, ApiFault> {
    serde_json::from_slice(&asked.body)
        .map_err(|fault| ApiFault::bad(format!("the order cannot be read: {fault}")))
}

fn success(value: &impl Serialize) -> Result<Ready, ApiFault> {
    let text = serde_json::to_string(value);
    let text = text.map_err(|fault| ApiFault::unavailable(fault.to_string()))?;
    Ok(Ready::json(answer::success(&text)))
}

impl Api {
    /// Asks the rules' thread something.
    async fn asked<T>(&self, order: impl FnOnce(Answer<T>) -> Order) -> Result<T, ApiFault> {
        let (tell, told) = oneshot::channel();
        let sent = self.process.order().send(order(tell));
        let away = || ApiFault::unavailable("the rules are not evaluated");
        sent.map_err(|_| away())?;
        let told = tokio::time::timeout(PATIENCE, told).await;
        let told = told.map_err(|_| away())?.map_err(|_| away())?;
        told.map_err(ApiFault::bad)
    }

    /// Somebody takes every alert of a name that fires.
    pub(super) async fn acknowledge(&self, asked: &Asked) -> Result<Ready, ApiFault> {
        let Acknowledge { alert, by } = read(asked)?;
        let count = self
            .asked(|tell| Order::Acknowledge(alert, by, tell))
            .await?;
        success(&json!({ "alerts": count }))
    }

    /// Who is on duty, and what somebody has taken.
    pub(super) async fn on_call(&self) -> Result<Ready, ApiFault> {
        let duties = self.asked(Order::OnCall).await?;
        let taken = self.process.rules.shown().taken;
        success(&json!({ "rotations": duties, "acknowledged": taken }))
    }

    /// Checks and what came of them.
    pub(super) fn checks(&self) -> Result<Ready, ApiFault> {
        let verdicts = self.process.verdicts();
        let rows = verdicts.iter().map(|(check, verdict)| {
            json!({
                "check": check.labels.get("check"),
                "instance": check.instance,
                "at_ms": verdict.at_ms,
                "took_ms": verdict.at_ms.map(|_| verdict.took.as_secs_f64() * 1000.0),
                "success": verdict.at_ms.map(|_| verdict.why.is_none()),
                "why": verdict.why,
                "remark": verdict.remark,
            })
        });
        success(&rows.collect::<Vec<Value>>())
    }

    /// Somebody stands in.
    pub(super) async fn stand_in(&self, asked: &Asked) -> Result<Ready, ApiFault> {
        let StandIn {
            rotation,
            person,
            for_ms,
        } = read(asked)?;
        let duty = self
            .asked(|tell| Order::StandIn(rotation, person, for_ms, tell))
            .await?;
        success(&duty)
    }

    /// Tries a channel out, and waits for what comes of it.
    pub(super) async fn try_out(&self, asked: &Asked) -> Result<Ready, ApiFault> {
        let TryOut { to } = read(asked)?;
        let tries = self.asked(|tell| Order::TryOut(to, tell)).await?;
        let ends = tokio::time::Instant::now() + TRIAL;
        let mut rows = Vec::new();
        for one in tries {
            rows.push(row(one, ends).await);
        }
        success(&rows)
    }
}

async fn row(tries: Tries, ends: tokio::time::Instant) -> Value {
    let Tries {
        kind,
        whom,
        person,
        tried,
    } = tries;
    let mut row = json!({ "channel": kind, "whom": whom, "person": person });
    let tried = tokio::time::timeout_at(ends, tried).await;
    let why = match tried {
        Ok(Ok(tried)) => {
            row["title"] = json!(tried.title);
            row["answer"] = json!(tried.answer);
            row["remark"] = json!(tried.remark);
            match tried.outcome {
                Outcome::Accepted => None,
                Outcome::Failed { why, .. } | Outcome::Refused { why } => Some(why),
            }
        }
        _ => Some("nothing was heard of it in time".to_owned()),
    };
    row["accepted"] = json!(why.is_none());
    row["why"] = json!(why);
    row
}
