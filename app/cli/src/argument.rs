//! The command line.

use clap::{Parser, Subcommand};
use mainstay_atoms::ReleaseNumber;
use std::path::PathBuf;

/// Mainstay runs a company's platform from one file.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "mainstay",
    version,
    disable_help_subcommand = false,
    propagate_version = false
)]
#[command(override_usage = "mainstay COMMAND [OPTIONS]", max_term_width = 100)]
pub(crate) struct Arguments {
    /// The platform file, or the folder it lies in; else `mainstay.yaml` here or in a folder above
    #[arg(short = 'f', long = "file", global = true, value_name = "FILE|FOLDER")]
    pub(crate) file: Option<PathBuf>,
    /// Which environment of the file
    #[arg(short = 'e', long = "environment", global = true, value_name = "ENV")]
    pub(crate) environment: Option<String>,
    /// The state folder; else `.mainstay` beside the file
    #[arg(long, global = true, value_name = "DIR", env = "MAINSTAY_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// Set one value over the file, for this release only: `services.web.replicas=3`
    #[arg(long = "set", global = true, value_name = "PATH=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Answer every question with yes
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Find all mistakes in the file
    Check {
        #[command(subcommand)]
        action: Option<CheckAction>,
    },
    /// Show what a deploy would change; exit 3 when there are changes
    Plan {
        /// Keep the plan in a file, for `apply`
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Show every step
        #[arg(long)]
        full: bool,
    },
    /// Play the next deploy in the simulator, with one failure at a time; nothing is changed
    Rehearse {
        /// Show every step
        #[arg(long)]
        full: bool,
    },
    /// Execute exactly a kept plan
    Apply {
        /// The file that `plan --out` wrote
        plan: PathBuf,
    },
    /// Start everything; ships a first release, else brings the last one back
    Up,
    /// Ship the file as a new release
    Deploy,
    /// Bring back an earlier release as a new one
    Rollback {
        /// Which, such as `v41`; else the one that served before
        release: Option<ReleaseNumber>,
    },
    /// Stop the release that is under way
    Abort,
    /// Give the release on trial its next share of the traffic
    Promote {
        /// All of it at once
        #[arg(long)]
        full: bool,
    },
    /// Hold the release on trial where it is
    Pause,
    /// Let the release on trial go on
    Resume,
    /// Agree to what the release that waits contains; without a release, show it
    Approve {
        /// Which, such as `v42`
        release: Option<ReleaseNumber>,
    },
    /// The checklist of the release that waits: show it, answer it
    Checklist {
        #[command(subcommand)]
        action: Option<ChecklistAction>,
    },
    /// Tokens: names under which people and machines may act
    Token {
        #[command(subcommand)]
        action: TokenAction,
    },
    /// Ship the last failed or aborted release again
    Retry,
    /// Show or lift holds on releases that were taken back
    Hold {
        #[command(subcommand)]
        action: HoldAction,
    },
    /// How many instances run of services that are scaled, and why; set a count for a time
    Scale(ScaleWish),
    /// Routes of the gateway; pause one, which the gateway then answers itself, or resume it
    Routes {
        #[command(subcommand)]
        action: Option<RouteAction>,
    },
    /// How the platform stands
    Status {
        /// Go on looking: redrawn on a terminal, a line a change in a pipe, until Ctrl-C
        #[arg(short, long)]
        watch: bool,
    },
    /// Why a service, an instance or a route is as it is
    Why {
        /// A service, an instance or a route, such as `web` or `web.v42.1`; else the whole
        subject: Option<String>,
    },
    /// Every release
    History,
    /// What a service or an instance wrote
    Logs {
        /// A service or an instance, such as `web` or `web.v42.1`
        subject: String,
        /// How many lines
        #[arg(short = 'n', long, default_value_t = 100)]
        lines: usize,
        /// Go on as more is written
        #[arg(long)]
        follow: bool,
    },
    /// Jobs: when they run, their last run; run one now
    Jobs {
        #[command(subcommand)]
        action: Option<JobAction>,
    },
    /// Ask the metrics in `PromQL`
    Query {
        /// Such as `sum by (service) (rate(gateway_requests_total[5m]))`
        query: String,
        /// Over so much time until now, drawn as a plot
        #[arg(long, value_name = "DURATION")]
        range: Option<String>,
    },
    /// Alerts: what fires; acknowledge, silence, rules, who is on call, a test message
    Alerts {
        #[command(subcommand)]
        action: Option<AlertsAction>,
    },
    /// The signals process: its address for other tools, its data
    Signals {
        #[command(subcommand)]
        action: SignalsAction,
    },
    /// Run rule tests in the form of promtool
    Test {
        #[command(subcommand)]
        action: TestAction,
    },
    /// Give or list secrets, such as the address of a store that somebody else runs
    Secret {
        #[command(subcommand)]
        action: SecretAction,
    },
    /// What a value of the file is, and who set it
    Explain {
        /// Such as `services.web.replicas`
        path: String,
    },
    /// Print the JSON Schema of the file
    Schema,
    /// Check the ledger, or go on after a loss
    Ledger {
        #[command(subcommand)]
        action: LedgerAction,
    },
    /// Look at the machine: what is missing, and the command that installs it
    Doctor,
    /// Drain and stop everything
    Down {
        /// Delete the data of a store as well; asks for its name
        #[arg(long, value_name = "STORE")]
        delete_data: Option<String>,
    },
    /// Have the system run this platform's control plane (Debian, root)
    Install {
        /// Only show every file with its text and every command
        #[arg(long)]
        dry_run: bool,
        /// Put everything below this folder, and run no command
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
    },
    /// Replace control plane and gateway by another program, without losing a request
    Upgrade {
        /// The program that takes over
        program: PathBuf,
    },
    /// Run the control plane in the foreground
    Serve {
        /// Only look whether this program could open the state
        #[arg(long, hide = true)]
        check: bool,
        /// The program that comes back if this one cannot start (given by an upgrade)
        #[arg(long, hide = true, value_name = "PROGRAM")]
        replaces: Option<PathBuf>,
    },
    /// Run the gateway (started by the control plane)
    #[command(hide = true)]
    Gateway {
        /// Take the place of the one that runs, once told to
        #[arg(long)]
        beside: bool,
    },
    /// Versions of this program and of the control plane
    Version,
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ScaleWish {
    /// Which service; else all are shown
    pub(crate) service: Option<String>,
    /// How many instances run, whatever is measured
    #[arg(conflicts_with = "auto", requires = "service")]
    pub(crate) count: Option<u32>,
    /// For how long, such as `30m`
    #[arg(
        long = "for",
        value_name = "DURATION",
        default_value = "1h",
        conflicts_with = "auto"
    )]
    pub(crate) lasts: String,
    /// Leave the count to what is measured again
    #[arg(long, requires = "service")]
    pub(crate) auto: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RouteAction {
    /// Answer 503 for it, for a time
    Pause {
        /// Host and path, such as `shop.example/api`
        route: String,
        /// How long, such as `10m`; at most a day
        lasts: String,
        /// Why, for those who look
        #[arg(long)]
        why: String,
    },
    /// End the pause before its time
    Resume {
        /// Host and path, such as `shop.example/api`
        route: String,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum CheckAction {
    /// Whether a status page that was fetched is believed, and what it says
    Page {
        /// The page as it was answered; `-` reads standard input
        file: PathBuf,
        /// Who signs it, as `mainstay status` shows it where the page is made
        #[arg(long)]
        key: String,
        /// How old it may be
        #[arg(long, value_name = "DURATION", default_value = "2m")]
        age: String,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum JobAction {
    /// Run a job now, and wait for its end
    Run {
        /// Which
        job: String,
        /// Do not wait
        #[arg(long)]
        detach: bool,
    },
    /// Show the runs of a job, or one run with its log
    Show {
        /// A job, or a run such as `digest.v3.17`
        subject: String,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SecretAction {
    /// Keep what stands on standard input under this name
    Set {
        /// Such as `DB_URL`
        name: String,
    },
    /// Names of what is kept; never the values
    List,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ChecklistAction {
    /// Say that an item is fine
    Tick {
        /// Which
        item: String,
    },
    /// Run the commands that answer items
    Run {
        /// Only this one
        item: Option<String>,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TokenAction {
    /// Make a token, shown this once; whoever shows it in `MAINSTAY_TOKEN` acts under the name
    Make {
        /// The name
        name: String,
    },
    /// Names of the tokens
    List,
    /// Let nobody act under a name any longer
    Revoke {
        /// The name
        name: String,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AlertsAction {
    /// Tell nobody of an alert for a while
    Silence {
        /// The alert's name
        alert: String,
        /// How long, such as `2h`
        lasts: String,
        /// Why, for those who look
        #[arg(long)]
        why: String,
    },
    /// End a silence
    Unsilence {
        /// Its id, as `alerts` shows it
        id: String,
    },
    /// Take an alert: nobody further is called for it until something new comes
    Ack {
        /// The alert's name
        alert: String,
    },
    /// Who is on duty now, and who comes next
    OnCall {
        #[command(subcommand)]
        action: Option<OnCallAction>,
    },
    /// Send a test message through a channel, or to whoever is on duty, and say what was answered
    Test {
        /// A channel, a person, a rotation or an escalation
        channel: String,
    },
    /// What is asked from outside: what came of it the last time, and why it failed
    Checks,
    /// What alerts do by themselves (`then`): where each stands, and what was done
    Actions,
    /// Rules that come with Mainstay: which run here, and what each answers; objectives and their budgets
    Rules,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum OnCallAction {
    /// Somebody stands in from now on
    Override {
        /// Who: somebody of the rotation, or of `people`
        person: String,
        /// For how long, such as `4h`
        #[arg(long = "for", value_name = "DURATION")]
        lasts: String,
        /// In which rotation; needed where there are several
        #[arg(long)]
        rotation: Option<String>,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SignalsAction {
    /// An address with a token that reads for fifteen minutes, for promtool and its like
    Url,
    /// Where samples are sent to as well: how far that has come, and what the other side says
    Remotes,
    /// Samples in the text format, or all of them as blocks of Prometheus' database
    Export {
        /// Write blocks into this folder, to be put into Prometheus' data folder
        #[arg(long, value_name = "FOLDER")]
        blocks: Option<PathBuf>,
        /// Not what is earlier: `2026-03-02T09:00:00Z`, or seconds since 1970
        #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
        from: Option<String>,
        /// Not what is later
        #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
        to: Option<String>,
        /// Which series, such as `up{job="web"}`; of several selectors one has to fit
        #[arg(default_value = "{__name__=~\".+\"}")]
        matchers: Vec<String>,
    },
    /// Run the process (started by the control plane)
    #[command(hide = true)]
    Serve,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TestAction {
    /// Rule tests: `tests`, `rule_files`, `input_series`
    Rules {
        /// Files of tests
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum HoldAction {
    /// Show all holds
    List,
    /// Let contents that were taken back be shipped again
    Lift {
        /// The release that was taken back
        release: ReleaseNumber,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum LedgerAction {
    /// Hash everything again and hold it against the signed checkpoint
    Verify {
        /// A ledger folder; else that of the platform
        dir: Option<PathBuf>,
    },
    /// Go on with a halted ledger without the entries that are gone
    Resume {
        /// How many entries are missing: names what is given up, where nobody can be asked
        #[arg(long, value_name = "COUNT")]
        missing: Option<u64>,
    },
}
