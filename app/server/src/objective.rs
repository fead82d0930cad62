//! How objectives stand, for the status: asked of signals beside the engine, which waits for nobody.

use crate::api::{BurnStatus, ObjectiveStatus, Status};
use crate::desk::{Desk, Office, Standing};
use crate::route::Answered;
use axum::Json;
use axum::extract::State;
use mainstay_world::{Aim, AimStanding};

/// The platform as it stands.
pub(crate) async fn status(State(desk): State<Desk>) -> Answered<Status> {
    let looked = desk.ask(|office| (office.status(), aims(office), office.state()));
    let (mut status, aims, state) = looked.await?;
    if !aims.is_empty() {
        // Its own thread: a process that hangs holds up this answer for a moment, and no other one.
        let asked = tokio::task::spawn_blocking(move || objectives(&state, &aims));
        status.objectives = asked.await.unwrap_or_default();
    }
    Ok(Json(status))
}

fn aims(office: &Office) -> Vec<Aim> {
    let Standing::Working { engine, .. } = &office.standing else {
        return vec![];
    };
    let serving = engine.serving_record();
    serving.map_or_else(Vec::new, |record| {
        mainstay_world::aims(&record.contents.platform)
    })
}

fn objectives(state: &mainstay_world::State, aims: &[Aim]) -> Vec<ObjectiveStatus> {
    match mainstay_world::standings(state, aims) {
        Ok(standings) => {
            let rows = aims.iter().zip(standings);
            rows.map(|(aim, stands)| row(aim, Ok(stands))).collect()
        }
        Err(why) => aims.iter().map(|aim| row(aim, Err(&why))).collect(),
    }
}

fn row(aim: &Aim, stands: Result<AimStanding, &str>) -> ObjectiveStatus {
    let objective = &aim.objective;
    let mut row = ObjectiveStatus {
        service: objective.service.clone(),
        kind: aim.key().into(),
        objective: aim.text.clone(),
        target: objective.target,
        window_ms: objective.window_ms.unsigned_abs(),
        attained: None,
        budget_left: None,
        burns: vec![],
        why: None,
    };
    match stands {
        Err(why) => row.why = Some(why.to_owned()),
        Ok(stands) => {
            row.attained = stands.attained;
            row.budget_left = stands.left;
            row.burns = stands
                .burns
                .iter()
                .map(|burn| BurnStatus {
                    window_ms: burn.window_ms.unsigned_abs(),
                    rate: burn.rate,
                    limit: burn.limit,
                })
                .collect();
            if row.attained.is_none() {
                row.why = Some("no requests were counted yet".into());
            }
        }
    }
    row
}
