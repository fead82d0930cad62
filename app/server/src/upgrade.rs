//! Another program takes over from this one: `POST /v1/upgrade`.

use crate::actor::Peer;
use crate::api::{Programs, UpgradeAsked, Upgrading};
use crate::brought::Body;
use crate::desk::{Desk, Office, Standing};
use crate::refused::{Answer, problem, refused};
use crate::route::Answered;
use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use mainstay_atoms::Actor;
use mainstay_faults::chain;
use mainstay_world::{Admitted, UpgradeFault, admit, begin_upgrade, own_digest};
use std::path::PathBuf;

const OWN: &str = env!("CARGO_PKG_VERSION");

/// What this process is about to become, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// The program that takes over.
    pub next: PathBuf,
    /// The program that runs: it comes back if the other cannot start.
    pub back: PathBuf,
}

/// Which programs run.
pub(crate) async fn programs(State(desk): State<Desk>) -> Answered<Programs> {
    let program = tokio::task::spawn_blocking(own_digest).await;
    let program = program.ok().and_then(Result::ok);
    let program = program
        .map(mainstay_atoms::Digest::to_hex)
        .unwrap_or_default();
    let answer = desk.ask(move |office| {
        let epoch = office.history().epoch.0;
        let mut answer = Programs {
            version: OWN.into(),
            program,
            epoch,
            gateway_pid: None,
            gateway_current: false,
            retired: 0,
            streams: 0,
        };
        if let Standing::Working { world, .. } = &mut office.standing {
            answer.gateway_pid = world.gateway.pid();
            answer.gateway_current = world.gateway.is_current();
            (answer.retired, answer.streams) = world.gateway.retired();
        }
        answer
    });
    Ok(Json(answer.await?))
}

/// Looks at the program, records who wants it, and lets the engine's thread end with it.
pub(crate) async fn begin(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    Body(asked): Body<UpgradeAsked>,
) -> Answered<Upgrading> {
    let state = desk.ask(|office| office.state()).await?;
    let path = PathBuf::from(asked.program);
    // Copied, hashed and run: that takes longer than a tick may.
    let admitted = tokio::task::spawn_blocking(move || admit(&state, &path)).await;
    let admitted = admitted.map_err(|_| fault("the program could not be looked at"))?;
    let admitted = admitted.map_err(|fault| unfit(&fault))?;
    desk.ask(move |office| leave(office, &admitted, &by))
        .await?
        .map(Json)
}

/// Recorded before done.
fn leave(office: &mut Office, admitted: &Admitted, by: &Actor) -> Result<Upgrading, Answer> {
    if office.leaving.is_some() {
        return Err(fault("an upgrade is under way already"));
    }
    let state = office.state();
    let Standing::Working { engine, world } = &mut office.standing else {
        let why = "the ledger is halted, and an upgrade is recorded there first";
        let hint = Some("`mainstay status` says which ways lead out");
        return Err(problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "halted",
            why,
            hint,
            4,
        ));
    };
    let versions = (OWN, admitted.version.as_str());
    let noted = engine.note_upgrade(versions, admitted.digest, by, &mut **world);
    noted.map_err(|refusal| refused(&refusal))?;
    let epoch = engine.history().epoch.0;
    let back = begin_upgrade(&state, admitted.digest)
        .map_err(|source| fault(&format!("the upgrade cannot be written down: {source}")))?;
    office.leaving = Some(Leaving {
        next: admitted.path.clone(),
        back: back.clone(),
    });
    Ok(Upgrading {
        from: OWN.into(),
        to: admitted.version.clone(),
        program: admitted.digest.to_hex(),
        back: back.display().to_string(),
        epoch,
    })
}

fn fault(message: &str) -> Answer {
    let hint = Some("`mainstay doctor` looks at the machine");
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "upgrade",
        message,
        hint,
        2,
    )
}

fn unfit(found: &UpgradeFault) -> Answer {
    let hint = match found {
        UpgradeFault::Same { .. } => "nothing needs to be done",
        UpgradeFault::Older { .. } => "use that version or a newer one than runs",
        UpgradeFault::Keep { .. } => return fault(&chain(found)),
        UpgradeFault::Read { .. } | UpgradeFault::Unfit { .. } => {
            "name a `mainstay` program that belongs to root or to the control plane's user, mode 0755"
        }
    };
    problem(
        StatusCode::CONFLICT,
        "unfit_program",
        &chain(found),
        Some(hint),
        1,
    )
}
