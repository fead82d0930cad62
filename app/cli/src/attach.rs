//! Files that are shipped as text: rules and routes of alerts, read and judged before anything is changed.

use crate::command::test::broken;
use crate::context::PlatformFile;
use crate::failure::Failure;
use mainstay_alerting::file::AlertsFile;
use mainstay_alerting::{Query, read_alertmanager, read_rules};
use mainstay_atoms::ReleaseNumber;
use mainstay_faults::{Fault, Move};
use mainstay_rollout::Metric;
use mainstay_spec::{Attached, Platform, Resolved};

/// Most bytes of one file.
const LIMIT: u64 = 1 << 20;

/// Reads what the platform attaches, and judges it and its short form of alerts.
pub(crate) fn attach(
    file: &PlatformFile,
    resolved: &Resolved,
    platform: &mut Platform,
) -> Result<(), Failure> {
    for rules in &mut platform.signals.rules {
        let text = read(file, resolved, ("signals.rules", rules))?;
        let read = read_rules(&rules.path, &text);
        read.map_err(|faults| broken(&faults, &rules.path, &text))?;
        rules.text = text;
    }
    for routes in &mut platform.signals.alertmanager {
        let text = read(file, resolved, ("signals.alertmanager", routes))?;
        let read = read_alertmanager(&routes.path, &text);
        read.map_err(|faults| broken(&faults, &routes.path, &text))?;
        routes.text = text;
    }
    queries(file, resolved, platform)?;
    alerts(file, resolved, platform)
}

/// The queries that releases are judged by.
fn queries(file: &PlatformFile, resolved: &Resolved, platform: &Platform) -> Result<(), Failure> {
    for (name, service) in &platform.services {
        let canary = service.canary.as_ref();
        let canary = canary.map(|canary| ("canary", &canary.abort_if));
        let green = service.blue_green.as_ref();
        let green = green.map(|green| ("blue_green", &green.abort_if));
        for (way, conditions) in canary.into_iter().chain(green) {
            for condition in conditions {
                let question = condition.metric.about(name, ReleaseNumber(1), "");
                let Metric::Promql(query) = question else {
                    continue;
                };
                let read = Query::parse(&query);
                read.map_err(|fault| {
                    let key = format!("services.{name}.deploy.{way}.abort_if");
                    let message = format!("`{condition}`: the query does not read: {fault}");
                    at(file, resolved, &key, message)
                })?;
            }
        }
    }
    Ok(())
}

fn read(
    file: &PlatformFile,
    resolved: &Resolved,
    (key, attached): (&str, &Attached),
) -> Result<String, Failure> {
    let path = file.folder.join(&attached.path);
    let size = std::fs::metadata(&path).map(|found| found.len());
    let why = match size {
        Ok(size) if size > LIMIT => format!("has {size} bytes; {LIMIT} are read"),
        Ok(_) => match std::fs::read_to_string(&path) {
            Ok(text) => return Ok(text),
            Err(fault) => format!("cannot be read: {fault}"),
        },
        Err(fault) => format!("cannot be read: {fault}"),
    };
    let message = format!("`{}` {why}", attached.path);
    Err(at(file, resolved, key, message))
}

/// The short form of alerts.
fn alerts(file: &PlatformFile, resolved: &Resolved, platform: &Platform) -> Result<(), Failure> {
    let Some(alerts) = &platform.signals.alerts else {
        return Ok(());
    };
    let read = serde_json::from_value::<AlertsFile>(alerts.clone());
    let read = read.map_err(|fault| at(file, resolved, "alerts", fault.to_string()))?;
    if !read.rules.is_empty() {
        let message = "files of rules stand under `signals: { rules: [FILE] }`".to_owned();
        return Err(at(file, resolved, "alerts", message));
    }
    // Who is on call is not asked yet, so nobody may count on it.
    if !read.on_call.is_empty() || !read.escalation.is_empty() || read.heartbeat.is_some() {
        let message = "this program has no `on_call`, `escalation` and `heartbeat` yet".to_owned();
        return Err(at(file, resolved, "alerts", message));
    }
    match read.compile() {
        Ok(_) => Ok(()),
        Err(faults) => {
            let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Err(at(file, resolved, "alerts", texts.join("; ")))
        }
    }
}

fn at(file: &PlatformFile, resolved: &Resolved, key: &str, message: String) -> Failure {
    let mut fault = Fault::new(Move::You, "signals", message).under(key.to_owned());
    fault.place = mainstay_spec::place_of(resolved, key);
    Failure::of_file(vec![fault], file.sources())
}
