//! Routes of the API: path, question to the engine, answer.

use crate::actor::Peer;
use crate::api::{
    LeaseAsked, LeaseGiven, LedgerLoss, LedgerResumed, LogLine, Logs, LossAccepted, Moving,
    Planned, PromoteAsked, Proposal, RollbackAsked, SavedPlan, Version,
};
use crate::brought::{Asked, At, BODY_LIMIT, Body};
use crate::desk::{Desk, Office, Standing};
use crate::limit::{Buckets, limit};
use crate::refused::{Answer, problem, refused};
use crate::{action, gate, ledger, objective, pause, scale};
use crate::{upgrade, view};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use mainstay_atoms::{Actor, ReleaseNumber, ServiceName};
use mainstay_execute::{Engine, LeaseFault, Refusal, Ship, Shipped};
use mainstay_plan::{Contents, changes};
use mainstay_rollout::canary::Order;
use mainstay_world::RealWorld;
use serde::Deserialize;

/// Most lines of one answer about logs.
const LINES_LIMIT: usize = 10_000;

/// All routes.
pub(crate) fn router(desk: Desk, limits: Buckets) -> Router {
    Router::new()
        .route("/v1/version", get(version))
        .route("/v1/upgrade", get(upgrade::programs).post(upgrade::begin))
        .route("/v1/openapi.json", get(document))
        .route("/v1/status", get(objective::status))
        .route("/v1/history", get(history))
        .route("/v1/why", get(why_all))
        .route("/v1/why/{subject}", get(why))
        .route("/v1/logs/{subject}", get(logs))
        .route("/v1/progress", get(progress))
        .route("/v1/metrics", get(metrics))
        .route("/v1/contents", get(contents))
        .route("/v1/plan", post(plan))
        .route("/v1/deploy", post(deploy))
        .route("/v1/apply", post(apply))
        .route("/v1/rollback", post(rollback))
        .route("/v1/abort", post(abort))
        .route("/v1/promote", post(promote))
        .route("/v1/pause", post(pause))
        .route("/v1/resume", post(resume))
        .route("/v1/retry", post(retry))
        .route("/v1/holds", get(holds))
        .route("/v1/holds/{release}", delete(lift))
        .route("/v1/gate", get(gate::gate))
        .route("/v1/approve", post(gate::approve))
        .route("/v1/checklist/{item}", post(gate::tick))
        .route("/v1/tokens", get(gate::tokens).post(gate::make_token))
        .route("/v1/tokens/{name}", delete(gate::revoke_token))
        .route("/v1/scale", get(scale::scales))
        .route("/v1/scale/{service}", post(scale::set).delete(scale::free))
        .route("/v1/actions", get(action::actions))
        .route("/v1/routes", get(pause::routes))
        .route("/v1/pauses/{route}", post(pause::set).delete(pause::end))
        .route("/v1/leases", post(lease))
        .route("/v1/jobs", get(jobs))
        .route("/v1/jobs/{job}", get(job))
        .route("/v1/jobs/{job}/runs", post(run_job))
        .route("/v1/ledger/loss", get(ledger_loss))
        .route("/v1/ledger/resume", post(ledger_resume))
        .route("/v1/up", post(up))
        .route("/v1/down", post(down))
        .fallback(|| async {
            problem(
                StatusCode::NOT_FOUND,
                "unknown_path",
                "the API has no such path",
                None,
                1,
            )
        })
        .method_not_allowed_fallback(|| async {
            let message = "the API has this path, and does not do that with it";
            let code = StatusCode::METHOD_NOT_ALLOWED;
            problem(code, "method", message, None, 1)
        })
        .layer(from_fn_with_state(limits, limit))
        .layer(from_fn_with_state(desk.clone(), gate::speaker))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(desk)
}

pub(crate) type Answered<T> = Result<Json<T>, Answer>;

/// Asks the engine; a halted ledger refuses with its reason.
pub(crate) async fn working<T: Send + 'static>(
    desk: &Desk,
    question: impl FnOnce(&mut Engine, &mut RealWorld) -> Result<T, Answer> + Send + 'static,
) -> Answered<T> {
    desk.ask(|office| match &mut office.standing {
        Standing::Working { engine, world } => question(engine, world),
        Standing::Halted { why, .. } => {
            let hint = "`mainstay status` says what still works and which ways lead out";
            Err(problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "halted",
                why,
                Some(hint),
                4,
            ))
        }
    })
    .await?
    .map(Json)
}

async fn office<T: Send + 'static>(
    desk: &Desk,
    question: impl FnOnce(&mut Office) -> T + Send + 'static,
) -> Answered<T> {
    Ok(Json(desk.ask(question).await?))
}

/// The published description of the API, which a test makes from the types themselves (`openapi.rs`).
async fn document() -> ([(HeaderName, &'static str); 1], &'static str) {
    let json = [(CONTENT_TYPE, "application/json")];
    (json, include_str!("../../../docs/openapi.json"))
}

async fn version() -> Json<Version> {
    Json(Version {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        schema: mainstay_world::SCHEMA,
    })
}

async fn history(State(desk): State<Desk>) -> Answered<Vec<crate::api::HistoryRow>> {
    office(&desk, |office| office.rows()).await
}

async fn holds(State(desk): State<Desk>) -> Answered<Vec<crate::api::HoldRow>> {
    office(&desk, |office| office.holds()).await
}

async fn why_all(State(desk): State<Desk>) -> Answered<crate::api::Why> {
    explain_why(&desk, String::new()).await
}

async fn why(State(desk): State<Desk>, At(subject): At<String>) -> Answered<crate::api::Why> {
    explain_why(&desk, subject).await
}

async fn explain_why(desk: &Desk, subject: String) -> Answered<crate::api::Why> {
    working(desk, move |engine, world| {
        view::why(engine, world, &subject).ok_or_else(|| unknown_subject(&subject))
    })
    .await
}

fn unknown_subject(subject: &str) -> Answer {
    let message = format!("`{subject}` is no service or instance of the serving release");
    problem(
        StatusCode::NOT_FOUND,
        "unknown_subject",
        &message,
        Some("`mainstay status` lists them"),
        1,
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogsAsked {
    #[serde(default)]
    lines: Option<usize>,
    #[serde(default)]
    cursor: Option<u64>,
}

async fn logs(
    State(desk): State<Desk>,
    At(subject): At<String>,
    Asked(asked): Asked<LogsAsked>,
) -> Answered<Logs> {
    desk.ask(move |office| {
        let io =
            |fault: String| problem(StatusCode::INTERNAL_SERVER_ERROR, "logs", &fault, None, 2);
        let Standing::Working { world, .. } = &mut office.standing else {
            return Err(problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "halted",
                "the ledger is halted",
                None,
                4,
            ));
        };
        let (rows, cursor) = if let Some(number) = asked.cursor {
            let mut tail = office
                .tails
                .take(number)
                .ok_or_else(|| unknown_subject(&subject))?;
            let rows = world.lines_since(&subject, &mut tail).map_err(io)?;
            (rows, office.tails.keep(tail))
        } else {
            let count = asked.lines.unwrap_or(100).min(LINES_LIMIT);
            let found = world.last_lines(&subject, count).map_err(io)?;
            let (rows, tail) = found.ok_or_else(|| unknown_subject(&subject))?;
            (rows, office.tails.keep(tail))
        };
        let lines = rows
            .into_iter()
            .map(|row| LogLine {
                at_ms: row.at.0,
                instance: row.instance.to_string(),
                stream: if row.to_stderr { "stderr" } else { "stdout" }.into(),
                line: row.line,
            })
            .collect();
        Ok(Logs { lines, cursor })
    })
    .await?
    .map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgressAsked {
    #[serde(default)]
    after: u64,
    release: Option<ReleaseNumber>,
}

async fn progress(
    State(desk): State<Desk>,
    Asked(asked): Asked<ProgressAsked>,
) -> Answered<crate::api::Progress> {
    working(&desk, move |engine, world| {
        Ok(view::progress(engine, world, asked.after, asked.release))
    })
    .await
}

async fn metrics(State(desk): State<Desk>) -> Result<String, Answer> {
    let text = desk.ask(|office| {
        let refused = crate::metrics::refused(office.refused);
        match &mut office.standing {
            Standing::Working { engine, world } => {
                let (_, now) = mainstay_execute::World::now(&**world);
                let own = crate::metrics::working(engine, now);
                let gateway = world.gateway.metrics();
                // What the gateway cannot tell now is missing, and the rest is not.
                refused + &own + &gateway.unwrap_or_default()
            }
            Standing::Halted { .. } => {
                let mut text = refused;
                crate::metrics::halted(&mut text, true);
                text
            }
        }
    });
    Ok(text.await?)
}

/// The contents of the release that serves.
async fn contents(State(desk): State<Desk>) -> Answered<Option<mainstay_plan::Contents>> {
    working(&desk, |engine, _| {
        Ok(engine
            .serving_record()
            .map(|record| record.contents.clone()))
    })
    .await
}

async fn plan(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    Body(proposal): Body<Proposal>,
) -> Answered<Planned> {
    working(&desk, move |engine, world| {
        unobstructed(world, &proposal.contents)?;
        let before = engine
            .serving_record()
            .map(|record| record.contents.clone());
        let changes = changes(before.as_ref(), Some(&proposal.contents));
        let drift = engine.drift(world);
        let trials = view::prospects(engine.prospects(proposal.contents.clone()));
        let plan = engine.preview(proposal.contents, &by, world);
        Ok(Planned {
            plan,
            changes,
            drift,
            trials,
        })
    })
    .await
}

/// Refuses contents that no file can say or this machine cannot run, before anything is started.
fn unobstructed(world: &RealWorld, contents: &Contents) -> Result<(), Answer> {
    if let Some(why) = contents.platform.unsound() {
        let code = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(problem(code, "contents", &why, None, 1));
    }
    let obstacles = world.obstacles(contents);
    let Some(first) = obstacles.first() else {
        return Ok(());
    };
    let messages: Vec<&str> = obstacles.iter().map(|one| one.message.as_str()).collect();
    Err(problem(
        StatusCode::CONFLICT,
        "lacking",
        &messages.join("; "),
        Some(&first.hint),
        1,
    ))
}

/// Runs a request that puts a release under way; new contents are looked at first.
async fn release(
    desk: &Desk,
    contents: Option<Contents>,
    request: impl FnOnce(&mut Engine, &mut RealWorld) -> Result<Shipped, Refusal> + Send + 'static,
) -> Answered<Moving> {
    working(desk, move |engine, world| {
        contents.map_or(Ok(()), |contents| unobstructed(world, &contents))?;
        let after = engine.progress().newest();
        let shipped = request(engine, world).map_err(|refusal| refused(&refusal))?;
        Ok(Moving {
            release: shipped.release,
            superseded: shipped.superseded,
            after,
            trials: view::prospects(engine.moving_prospects()),
        })
    })
    .await
}

async fn deploy(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    Body(proposal): Body<Proposal>,
) -> Answered<Moving> {
    if let Some(token) = proposal.lease {
        desk.ask(move |office| office.ship_lease(token))
            .await?
            .map_err(|fault| lease_refused(&fault))?;
    }
    let contents = Some(proposal.contents.clone());
    release(&desk, contents, move |engine, world| {
        let before = engine.serving_record().map(|record| &record.contents);
        let reason = crate::view_reason(&changes(before, Some(&proposal.contents)));
        let Proposal {
            contents,
            confirmed,
            ..
        } = proposal;
        engine.ship(
            Ship {
                contents,
                reason,
                by,
                confirmed,
            },
            world,
        )
    })
    .await
}

fn lease_refused(fault: &LeaseFault) -> Answer {
    let code = match fault {
        LeaseFault::Expired { .. } => "lease_expired",
        LeaseFault::Overtaken { .. } => "lease_overtaken",
    };
    problem(
        StatusCode::CONFLICT,
        code,
        &fault.to_string(),
        Some("run `mainstay deploy` again"),
        1,
    )
}

async fn lease(
    State(desk): State<Desk>,
    ConnectInfo(Peer(Actor(by), _)): ConnectInfo<Peer>,
    Body(asked): Body<LeaseAsked>,
) -> Answered<LeaseGiven> {
    let given = desk
        .ask(move |office| office.lease(asked.token, by))
        .await?;
    given.map(Json).map_err(|fault| lease_refused(&fault))
}

async fn apply(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    Body(saved): Body<SavedPlan>,
) -> Answered<Moving> {
    let contents = Some(saved.contents.clone());
    release(&desk, contents, move |engine, world| {
        engine.apply_plan(saved.plan, saved.contents, &by, world)
    })
    .await
}

async fn rollback(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    Body(asked): Body<RollbackAsked>,
) -> Answered<Moving> {
    release(&desk, None, move |engine, world| {
        engine.roll_back(asked.to, &by, world)
    })
    .await
}

async fn abort(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
) -> Answered<Moving> {
    release(&desk, None, move |engine, world| {
        let release = engine.abort(&by, world)?;
        Ok(Shipped {
            release,
            superseded: None,
        })
    })
    .await
}

async fn promote(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    Body(asked): Body<PromoteAsked>,
) -> Answered<Moving> {
    let order = if asked.fully {
        Order::PromoteFully
    } else {
        Order::Promote
    };
    order_trials(&desk, order, by).await
}

async fn pause(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
) -> Answered<Moving> {
    order_trials(&desk, Order::Pause, by).await
}

async fn resume(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
) -> Answered<Moving> {
    order_trials(&desk, Order::Resume, by).await
}

async fn order_trials(desk: &Desk, order: Order, by: Actor) -> Answered<Moving> {
    release(desk, None, move |engine, world| {
        let release = engine.order_trials(order, &by, world)?;
        Ok(Shipped {
            release,
            superseded: None,
        })
    })
    .await
}

async fn retry(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
) -> Answered<Moving> {
    release(&desk, None, move |engine, world| engine.retry(&by, world)).await
}

async fn lift(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    At(release): At<String>,
) -> Answered<()> {
    let number = release.parse::<ReleaseNumber>().map_err(|fault| {
        problem(
            StatusCode::BAD_REQUEST,
            "release",
            &fault.to_string(),
            None,
            1,
        )
    })?;
    working(&desk, move |engine, world| {
        engine
            .lift_hold(number, &by, world)
            .map_err(|refusal| refused(&refusal))
    })
    .await
}

async fn jobs(State(desk): State<Desk>) -> Answered<Vec<crate::api::JobRow>> {
    working(&desk, |engine, world| Ok(crate::job::jobs(engine, world))).await
}

async fn job(State(desk): State<Desk>, At(subject): At<String>) -> Answered<crate::api::JobDetail> {
    working(&desk, move |engine, world| {
        let found = crate::job::job(engine, world, &subject);
        found.ok_or_else(|| {
            let message = format!("`{subject}` is no job or run of the serving release");
            problem(
                StatusCode::NOT_FOUND,
                "unknown_job",
                &message,
                Some("`mainstay jobs` lists them"),
                1,
            )
        })
    })
    .await
}

async fn run_job(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    At(job): At<String>,
) -> Answered<crate::api::RunAsked> {
    let name = ServiceName::new(job.as_str()).map_err(|fault| {
        let message = format!("`{job}` cannot be a job: {fault}");
        problem(StatusCode::BAD_REQUEST, "job", &message, None, 1)
    })?;
    working(&desk, move |engine, world| {
        let number = engine.ask_run(&name, &by, world);
        let number = number.map_err(|refusal| refused(&refusal))?;
        Ok(crate::api::RunAsked { number })
    })
    .await
}

async fn ledger_loss(State(desk): State<Desk>) -> Answered<LedgerLoss> {
    desk.ask(ledger::loss).await?.map(Json)
}

async fn ledger_resume(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
    Body(accepted): Body<LossAccepted>,
) -> Answered<LedgerResumed> {
    desk.ask(move |office| ledger::resume(office, accepted, &by))
        .await?
        .map(Json)
}

async fn up(State(desk): State<Desk>, ConnectInfo(Peer(by, _)): ConnectInfo<Peer>) -> Answered<()> {
    working(&desk, move |engine, world| {
        engine
            .come_up(&by, world)
            .map_err(|refusal| refused(&refusal))
    })
    .await
}

async fn down(
    State(desk): State<Desk>,
    ConnectInfo(Peer(by, _)): ConnectInfo<Peer>,
) -> Answered<()> {
    working(&desk, move |engine, world| {
        engine
            .go_down(&by, world)
            .map_err(|refusal| refused(&refusal))
    })
    .await
}
