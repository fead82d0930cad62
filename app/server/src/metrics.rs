//! What the control plane tells of itself, in the text format of Prometheus, beside what the gateway does.

use mainstay_execute::Engine;
use mainstay_plan::{History, ReleaseEnd, ReleaseState};
use mainstay_workload::Instance;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One family: its head, and a line for each set of labels.
struct Family<'t> {
    text: &'t mut String,
    name: &'static str,
}

impl<'t> Family<'t> {
    fn begin(text: &'t mut String, name: &'static str, kind: &str, help: &str) -> Self {
        // Writing to a text cannot fail.
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
        Self { text, name }
    }

    /// Names of services and jobs need no escapes.
    fn line(&mut self, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        writeln!(self.text, "{}{labels} {value}", self.name).ok();
    }
}

/// Everything the engine knows.
pub(crate) fn working(engine: &Engine, now: mainstay_atoms::Wall) -> String {
    let mut text = String::new();
    let history = engine.history();
    halted(&mut text, false);
    releases(&mut text, history);
    services(&mut text, engine);
    jobs(&mut text, engine, now);
    text
}

/// How often somebody showed a token that nobody knows; signals tell the same of their own door.
pub(crate) fn refused(count: u64) -> String {
    let mut text = String::new();
    let help = "Requests that were refused because of the token that they showed.";
    let mut family = Family::begin(&mut text, "mainstay_access_refused_total", "counter", help);
    family.line(&[("door", "api")], count);
    text
}

/// Whether the ledger must not be written to.
pub(crate) fn halted(text: &mut String, halted: bool) {
    let help = "Whether the ledger is halted: 1 while nothing may be changed.";
    let mut family = Family::begin(text, "mainstay_ledger_halted", "gauge", help);
    family.line(&[], u64::from(halted));
}

fn releases(text: &mut String, history: &History) {
    let mut counts = BTreeMap::from([
        ("failed", 0),
        ("aborted", 0),
        ("superseded", 0),
        ("served", 0),
    ]);
    for made in history.releases.values() {
        let outcome = match &made.state {
            ReleaseState::Moving => continue,
            ReleaseState::Serving | ReleaseState::Kept => "served",
            ReleaseState::Ended { end } => match end {
                ReleaseEnd::Failed { .. } => "failed",
                ReleaseEnd::Aborted => "aborted",
                ReleaseEnd::Superseded => "superseded",
            },
        };
        *counts.entry(outcome).or_default() += 1;
    }
    let help = "Releases by how they ended.";
    let mut family = Family::begin(text, "mainstay_releases_total", "counter", help);
    for (outcome, count) in counts {
        family.line(&[("outcome", outcome)], count);
    }
}

fn services(text: &mut String, engine: &Engine) {
    let Some(record) = engine.serving_record() else {
        return;
    };
    let services = &record.contents.platform.services;
    let help = "Instances that the release that serves wants.";
    let mut family = Family::begin(text, "mainstay_service_instances_wanted", "gauge", help);
    for (name, service) in services {
        let wanted = engine.wanted(name, service);
        family.line(&[("service", name.as_str())], wanted.into());
    }
    let seen: Vec<&Instance> = engine
        .seen()
        .iter()
        .flat_map(|seen| &seen.instances)
        .collect();
    let help = "Instances that run and are ready.";
    let mut family = Family::begin(text, "mainstay_service_instances_ready", "gauge", help);
    for name in services.keys() {
        let ready = seen
            .iter()
            .filter(|one| one.id.service == *name && one.runs() && one.ready_since().is_some());
        family.line(&[("service", name.as_str())], ready.count() as u64);
    }
    let help = "Ends of instances by themselves.";
    let mut family = Family::begin(text, "mainstay_service_restarts_total", "counter", help);
    for name in services.keys() {
        let restarts = engine.history().restarts.get(name).copied();
        family.line(&[("service", name.as_str())], restarts.unwrap_or(0));
    }
}

fn jobs(text: &mut String, engine: &Engine, now: mainstay_atoms::Wall) {
    let Some(record) = engine.serving_record() else {
        return;
    };
    let jobs = &record.contents.platform.jobs;
    let help = "Runs of jobs by how they ended.";
    let mut family = Family::begin(text, "mainstay_job_runs_total", "counter", help);
    for name in jobs.keys() {
        let [good, bad] = engine
            .history()
            .run_ends
            .get(name)
            .copied()
            .unwrap_or_default();
        family.line(
            &[("job_name", name.as_str()), ("outcome", "succeeded")],
            good,
        );
        family.line(&[("job_name", name.as_str()), ("outcome", "failed")], bad);
    }
    let help = "When the next run is due.";
    let mut family = Family::begin(
        text,
        "mainstay_job_next_run_timestamp_seconds",
        "gauge",
        help,
    );
    for (name, job) in jobs {
        let due = job
            .schedule
            .as_ref()
            .and_then(|schedule| schedule.next(now));
        if let Some(due) = due {
            family.line(&[("job_name", name.as_str())], due.0 / 1000);
        }
    }
}
