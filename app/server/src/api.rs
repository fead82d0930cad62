//! What travels over the API, version 1. The CLI prints the same types with `--json`.

pub use crate::action_api::{ActRow, ActionRow, Actions};
pub use crate::gate_api::{ApproveAsked, GateItem, GateView, TickAsked, TokenAsked, TokenMade};
pub use crate::objective_api::{BurnStatus, ObjectiveStatus};
pub use crate::pause_api::{PauseAsked, RoutePause, RouteRow};
pub use crate::scale_api::{ScaleAsked, ScaleChange, ScaleFigure, ScaleHand, ScaleRow};
use crate::shape;
pub use crate::trial_api::{TrialMetric, TrialStatus};
use mainstay_atoms::{InstanceId, ReleaseNumber, ServiceName, Wall};
use mainstay_execute::{Evidence, Happening, Phase};
use mainstay_plan::{Change, Contents, Failure, Plan, ReleaseState, Wait};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// Of the control plane: `0.1.0`.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The schema of state that it writes.
    #[serde(default)]
    pub schema: u32,
}

/// Body of `POST /v1/upgrade`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpgradeAsked {
    /// Absolute path of the program that is to take over.
    pub program: String,
}

/// Answer of `POST /v1/upgrade`: the control plane is about to become the other program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Upgrading {
    /// The version that gives way.
    pub from: String,
    /// The version that takes over.
    pub to: String,
    /// SHA-256 of the program that takes over.
    pub program: String,
    /// Where the program that gives way is kept.
    pub back: String,
    /// How many control planes there were, with this one.
    pub epoch: u64,
}

/// Answer of `GET /v1/upgrade`: which programs run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Programs {
    /// The control plane's version.
    pub version: String,
    /// SHA-256 of the control plane's program.
    pub program: String,
    /// How many control planes there were, with this one.
    pub epoch: u64,
    /// The gateway's process, once it was seen.
    pub gateway_pid: Option<u32>,
    /// Whether the gateway runs the same program.
    pub gateway_current: bool,
    /// Gateways that gave way and still finish what they carry.
    pub retired: usize,
    /// Streams that those carry.
    pub streams: u64,
}

/// Answer of `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Name of the platform; empty before a first release.
    pub platform: String,
    /// Which environment.
    pub environment: String,
    /// The release that serves: `v42`.
    pub release: Option<String>,
    /// `empty`, `moving`, `steady`, `healing`, `down`, `fenced` or `halted`.
    pub phase: String,
    /// Where it answers.
    pub urls: Vec<String>,
    /// Every service of the serving release.
    pub services: Vec<ServiceStatus>,
    /// Every store of the serving release.
    #[serde(default)]
    pub stores: Vec<StoreStatus>,
    /// What wants attention, a line each.
    pub attention: Vec<String>,
    /// What is waited for.
    pub waits: Vec<Waiting>,
    /// When the serving release was made, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Services of the release that moves that are on trial.
    #[serde(default)]
    pub trials: Vec<TrialStatus>,
    /// Routes that are paused.
    #[serde(default)]
    pub paused: Vec<RouteRow>,
    /// What services of the serving release aim at, and how that stands.
    #[serde(default)]
    pub objectives: Vec<ObjectiveStatus>,
    /// The signed page on which it says to the outside how it is; null: it has none.
    #[serde(default)]
    pub status_page: Option<PageStatus>,
}

/// The status page of [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageStatus {
    /// Where it is answered.
    pub urls: Vec<String>,
    /// The key that verifies it, for `checks: { NAME: { status, key } }` of another platform; null until a page was
    /// signed.
    pub key: Option<String>,
}

/// One store of [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreStatus {
    /// Its name.
    pub name: String,
    /// `postgres 15`, `redis 7`, `sqlite`, `volume`.
    pub kind: String,
    /// `ready`, `not_ready`, `ended`, `missing` or `external`.
    pub state: String,
    /// In words, when it is not ready.
    pub detail: Option<String>,
    /// Where its server listens.
    pub address: Option<String>,
    /// Its server's process.
    pub pid: Option<u32>,
    /// The release that last changed what its server starts with.
    pub release: Option<String>,
    /// Where its data lies.
    pub folder: String,
}

/// One job of `GET /v1/jobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobRow {
    /// Its name.
    pub name: String,
    /// `0 6 * * *`.
    pub schedule: Option<String>,
    /// The zone that the schedule is read in.
    pub time_zone: Option<String>,
    /// When it is due, in milliseconds since 1970.
    pub next_ms: Option<u64>,
    /// Runs that were asked for and have not begun.
    pub asked: u32,
    /// Releases that run it: `before web`.
    pub around: Vec<String>,
    /// Its last run.
    pub last: Option<RunRow>,
}

/// One run of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunRow {
    /// `digest.v3.17`: job, release that last changed it, number of the run.
    pub run: String,
    /// `running`, `ok`, `failed`, `timed_out`, `stopped` or `cut_off`.
    pub state: String,
    /// `schedule`, `asked`, `before` or `after`.
    pub cause: String,
    /// The release that it ran before or after.
    pub release: Option<String>,
    /// Who asked.
    pub by: String,
    /// When it began, in milliseconds since 1970.
    pub begun_ms: u64,
    /// The time of the schedule that it is for.
    pub due_ms: Option<u64>,
    /// How long it ran.
    pub ran_ms: Option<u64>,
    /// `exit 1`, `signal 9`, `out of memory`.
    pub exit: Option<String>,
    /// Which try it is, from 1.
    pub attempt: u32,
}

/// Answer of `GET /v1/jobs/SUBJECT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobDetail {
    /// The job.
    pub job: JobRow,
    /// Its runs, newest first, or the one that was asked about.
    pub runs: Vec<RunRow>,
}

/// Answer of `POST /v1/jobs/JOB/runs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunAsked {
    /// The number that the run will have.
    pub number: u32,
}

/// One service of [`Status`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// The release that last changed it.
    pub release: String,
    /// Instances wanted.
    pub desired: u32,
    /// Instances ready.
    pub ready: u32,
    /// Where its routes answer, and its stable local address.
    pub urls: Vec<String>,
    /// Its instances.
    pub instances: Vec<InstanceStatus>,
    /// How its count follows what is measured; null: it is fixed.
    #[serde(default)]
    pub scale: Option<ScaleRow>,
    /// What its `size` should be by what it used, in words; empty while too little is known.
    #[serde(default)]
    pub advice: Vec<String>,
}

/// One instance of [`ServiceStatus`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStatus {
    /// `web.v42.1`.
    pub name: String,
    /// Where it listens.
    pub address: Option<String>,
    /// `ready`, `starting`, `not_ready`, `draining`, `ended` or `crash_loop`.
    pub state: String,
    /// In words, when it is not ready.
    pub detail: Option<String>,
    /// Its process.
    pub pid: Option<u32>,
    /// The release it belongs to.
    pub release: String,
    /// What bounds it: `cgroup v1`, `rlimits`.
    pub isolation: Option<String>,
    /// Whose rights it has: `as user 70123, which no other service has`.
    #[serde(default)]
    pub user: Option<String>,
}

/// Something that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// In words: `web.v42.1 to be ready: 503 from GET /ready`.
    pub what: String,
    /// For how long, in milliseconds.
    pub for_ms: u64,
    /// The same for programs.
    #[schemars(with = "shape::Wait")]
    pub wait: Wait,
}

/// One release of `GET /v1/history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryRow {
    /// `v42`.
    #[schemars(with = "shape::Release")]
    pub release: ReleaseNumber,
    /// The release whose contents it brought back.
    #[schemars(with = "Option<shape::Release>")]
    pub of: Option<ReleaseNumber>,
    /// When it was made, in milliseconds since 1970.
    #[schemars(with = "u64")]
    pub at: Wall,
    /// `moving`, `serving`, `kept`, `failed`, `superseded` or `aborted`.
    pub state: String,
    /// What changed, or why it failed.
    pub reason: String,
    /// Who made it.
    pub by: String,
    /// It is on hold.
    pub held: bool,
}

/// Body of `POST /v1/plan`, `/v1/deploy`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// What is to run; its artifacts are in the store.
    #[schemars(with = "shape::Contents")]
    pub contents: Contents,
    /// Contents on hold may be shipped.
    #[serde(default)]
    pub confirmed: bool,
    /// The token of a lease, for those who prepare from outside.
    #[serde(default)]
    pub lease: Option<u64>,
}

/// Answer of `POST /v1/plan`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    /// The plan as it would be executed.
    #[schemars(with = "shape::Plan")]
    pub plan: Plan,
    /// What changes against the serving release.
    #[schemars(with = "Vec<shape::Change>")]
    pub changes: Vec<Change>,
    /// What is not as the serving release says, in words.
    pub drift: Vec<String>,
    /// Services that are to earn their traffic.
    #[serde(default)]
    pub trials: Vec<Prospect>,
}

/// A service that is to earn its traffic: what will judge it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prospect {
    /// Which.
    #[schemars(with = "String")]
    pub service: ServiceName,
    /// In which way, in words.
    pub way: String,
    /// Requests a second in the last minute; none before they were counted.
    pub per_second: Option<f64>,
    /// What it is judged by; empty: by nothing.
    pub judges: Vec<Judge>,
}

/// One condition of a [`Prospect`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judge {
    /// `error_rate > 1%`.
    pub condition: String,
    /// How long a verdict takes at the present traffic, in words; none where that cannot be said.
    pub needs: Option<String>,
    /// It can be decided while a step waits for it.
    pub in_time: bool,
}

/// Body of `POST /v1/apply`: a saved plan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    /// The plan.
    #[schemars(with = "shape::Plan")]
    pub plan: Plan,
    /// The contents it is for.
    #[schemars(with = "shape::Contents")]
    pub contents: Contents,
}

/// Body of `POST /v1/rollback`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackAsked {
    /// Where to; the release that served before, unless said.
    #[schemars(with = "Option<shape::Release>")]
    pub to: Option<ReleaseNumber>,
}

/// Body of `POST /v1/promote`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteAsked {
    /// To all of the traffic; else to the next step.
    #[serde(default)]
    pub fully: bool,
}

/// A release under way: answer of `deploy`, `apply`, `rollback` and `retry`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moving {
    /// Its number.
    #[schemars(with = "shape::Release")]
    pub release: ReleaseNumber,
    /// The release it took over from before that one served.
    #[schemars(with = "Option<shape::Release>")]
    pub superseded: Option<ReleaseNumber>,
    /// Number of the last happening before it; watch from here.
    pub after: u64,
    /// Services that are to earn their traffic.
    #[serde(default)]
    pub trials: Vec<Prospect>,
}

/// Answer of `GET /v1/progress?after=N&release=vN`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// What happened since.
    #[schemars(with = "Vec<shape::Happening>")]
    pub happenings: Vec<Happening>,
    /// Number of the newest happening.
    pub newest: u64,
    /// The state of the whole.
    #[schemars(with = "String")]
    pub phase: Phase,
    /// What became of the release that was asked about.
    #[schemars(with = "Option<shape::ReleaseState>")]
    pub state: Option<ReleaseState>,
    /// What is waited for.
    pub waits: Vec<Waiting>,
    /// Services under way: name, wanted, ready of the new, draining.
    pub services: Vec<Moved>,
    /// Requests under way and answered, as the gateway counts.
    pub traffic: Traffic,
    /// Why it failed.
    pub failure: Option<Failed>,
    /// The release that serves meanwhile.
    #[schemars(with = "Option<shape::Release>")]
    pub serving: Option<ReleaseNumber>,
}

/// How far one service has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    /// Which.
    #[schemars(with = "String")]
    pub service: ServiceName,
    /// Instances wanted.
    pub wanted: u32,
    /// New instances that take traffic.
    pub new: u32,
    /// Instances that take traffic, old and new.
    pub ready: u32,
    /// Old instances that still run and take no new requests.
    pub draining: u32,
    /// Its instances change with this release.
    pub moves: bool,
}

/// What the gateway counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Requests sent to instances so far.
    pub requests: u64,
    /// Attempts that failed: no connection, no answer, or a 5xx.
    pub failures: u64,
}

/// A failed release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failed {
    /// In one line.
    pub why: String,
    /// For programs.
    #[schemars(with = "shape::Failure")]
    pub failure: Failure,
    /// What there is to show.
    #[schemars(with = "shape::Evidence")]
    pub evidence: Evidence,
    /// The instance it is about.
    #[schemars(with = "Option<String>")]
    pub instance: Option<InstanceId>,
}

/// Body of `POST /v1/leases`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseAsked {
    /// An earlier lease, to be renewed.
    #[serde(default)]
    pub token: Option<u64>,
}

/// Answer of `POST /v1/leases`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseGiven {
    /// Fencing token for `deploy`.
    pub token: u64,
    /// It lasts so long unless renewed, in milliseconds.
    pub for_ms: u64,
}

/// One hold of `GET /v1/holds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HoldRow {
    /// The release that was taken back.
    #[schemars(with = "shape::Release")]
    pub release: ReleaseNumber,
    /// Since when, in milliseconds since 1970.
    #[schemars(with = "u64")]
    pub since: Wall,
    /// Who set it.
    pub by: String,
}

/// Answer of `GET /v1/ledger/loss`: what going on with a halted ledger would give up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerLoss {
    /// Why it is halted.
    pub why: String,
    /// The timeline that would begin.
    pub timeline: u32,
    /// Entries that are left.
    pub kept: u64,
    /// When the last of them was recorded, in milliseconds since 1970.
    pub kept_at_ms: Option<u64>,
    /// Entries that were signed.
    pub signed: u64,
    /// When, in milliseconds since 1970.
    pub signed_at_ms: u64,
    /// Where that is known from: `checkpoint`, or an anchor's path.
    pub place: String,
    /// Signed entries that are gone.
    pub missing: u64,
    /// The newest release that is left.
    pub release: Option<String>,
}

/// Body of `POST /v1/ledger/resume`: the loss that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LossAccepted {
    /// As [`LedgerLoss`] said.
    pub kept: u64,
    /// As [`LedgerLoss`] said.
    pub missing: u64,
}

/// Answer of `POST /v1/ledger/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerResumed {
    /// The timeline that began.
    pub timeline: u32,
    /// Entries that were kept.
    pub kept: u64,
    /// Entries that were given up.
    pub missing: u64,
    /// Who accepted that.
    pub by: String,
}

/// Answer of `GET /v1/why/SUBJECT`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// What was asked about.
    pub subject: String,
    /// In one line: `web serves v42 with 3 of 3 ready`.
    pub summary: String,
    /// What it waits for.
    pub waits: Vec<Waiting>,
    /// Further facts, a line each: `seen`, `since`, `then`, `next`.
    pub facts: Vec<(String, String)>,
}

/// Answer of `GET /v1/logs/SUBJECT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Logs {
    /// Oldest first.
    pub lines: Vec<LogLine>,
    /// Ask again with it for what comes after.
    pub cursor: u64,
}

/// One line that an instance wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who.
    pub instance: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// What; bytes that are no UTF-8 are replaced.
    pub line: String,
}

/// The code of a change that came too fast after others of the same user: nothing of it was done.
pub const TOO_FAST: &str = "too_fast";

/// A refusal or failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A stable word for programs.
    pub code: String,
    /// Lower case, subject first.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The exit code that a command line gives it.
    pub exit: u8,
}
