//! What is judged where it is shipped from: files of rules and routes, which are read and shipped as text, the short
//! form of alerts with what they do by themselves, checks, and objectives.

use crate::command::test::broken;
use crate::context::PlatformFile;
use crate::failure::Failure;
use mainstay_alerting::file::AlertsFile;
use mainstay_alerting::ready::{self, Ready};
use mainstay_alerting::slo::{BUDGET_BURNS, SloFile};
use mainstay_alerting::then::{self, Subjects};
use mainstay_alerting::{CheckFile, Query, RuleKind, read_alertmanager, read_checks, read_rules};
use mainstay_atoms::ReleaseNumber;
use mainstay_faults::{Fault, Move};
use mainstay_rollout::Metric;
use mainstay_spec::{Attached, Platform, Resolved};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

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
    for (name, target) in &mut platform.signals.targets {
        let key = format!("signals.targets.{name}.ca");
        for ca in &mut target.ca {
            ca.text = certificates(file, resolved, (&key, ca))?;
        }
    }
    queries(file, resolved, platform)?;
    alerts(file, resolved, platform)?;
    checks(file, resolved, platform)?;
    objectives(file, resolved, platform)
}

/// Certificates in PEM. A key beside them would be kept with the release for everybody to read, so it is refused.
fn certificates(
    file: &PlatformFile,
    resolved: &Resolved,
    (key, attached): (&str, &Attached),
) -> Result<String, Failure> {
    let text = read(file, resolved, (key, attached))?;
    let path = &attached.path;
    let why = if text.contains("PRIVATE KEY-----") {
        "holds a private key; give the certificates alone"
    } else if !text.contains("-----BEGIN CERTIFICATE-----") {
        "holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)"
    } else {
        return Ok(text);
    };
    Err(at(file, resolved, key, format!("`{path}` {why}")))
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
    match read.compile() {
        Ok(_) => actions(file, resolved, (platform, &read)),
        Err(faults) => {
            let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Err(at(file, resolved, "alerts", texts.join("; ")))
        }
    }
}

/// What alerts do by themselves.
fn actions(
    file: &PlatformFile,
    resolved: &Resolved,
    (platform, alerts): (&Platform, &AlertsFile),
) -> Result<(), Failure> {
    let subjects = Subjects {
        alerts: Some(names(platform)),
        ..mainstay_execute::subjects(platform)
    };
    let Err(faults) = then::read(alerts, &subjects) else {
        return Ok(());
    };
    let faults = faults
        .into_iter()
        .map(|one| fault(resolved, &format!("alerts.{}", one.path), one.why));
    Err(Failure::of_file(faults.collect(), file.sources()))
}

/// Alerts that rules make: those of the platform's files, of Mainstay, and of objectives.
fn names(platform: &Platform) -> BTreeSet<String> {
    let files = platform.signals.rules.iter();
    let read = files.flat_map(|file| read_rules(&file.path, &file.text).unwrap_or_default());
    let rules = read.flat_map(|group| group.rules);
    let mut names: BTreeSet<String> = rules
        .filter_map(|rule| match rule.kind {
            RuleKind::Alerting(alerting) => Some(alerting.alert),
            RuleKind::Recording(_) => None,
        })
        .collect();
    let ready = ready::all().filter(|rule| rule.waits_for.is_empty());
    names.extend(ready.map(Ready::alert));
    if platform.services.values().any(|one| one.slo.is_some()) {
        names.insert(BUDGET_BURNS.to_owned());
    }
    names
}

/// What is asked from outside.
fn checks(file: &PlatformFile, resolved: &Resolved, platform: &Platform) -> Result<(), Failure> {
    let checks = platform.signals.checks.as_ref();
    let mut read = BTreeMap::new();
    for (name, check) in checks.and_then(Value::as_object).into_iter().flatten() {
        let one = serde_json::from_value::<CheckFile>(check.clone());
        let key = format!("checks.{name}");
        let one = one.map_err(|fault| at(file, resolved, &key, fault.to_string()))?;
        read.insert(name.clone(), one);
    }
    let Err(faults) = read_checks(&read) else {
        return Ok(());
    };
    let faults = faults
        .into_iter()
        .map(|one| fault(resolved, &one.path, one.why));
    Err(Failure::of_file(faults.collect(), file.sources()))
}

/// What services aim at.
fn objectives(
    file: &PlatformFile,
    resolved: &Resolved,
    platform: &Platform,
) -> Result<(), Failure> {
    for (name, service) in &platform.services {
        let Some(slo) = &service.slo else { continue };
        let read = SloFile {
            service: name.to_string(),
            availability: slo.availability.clone(),
            latency: slo.latency.clone(),
        };
        if let Err((key, fault)) = read.read() {
            let key = format!("services.{name}.slo.{key}");
            return Err(at(file, resolved, &key, fault.to_string()));
        }
    }
    Ok(())
}

fn at(file: &PlatformFile, resolved: &Resolved, key: &str, message: String) -> Failure {
    Failure::of_file(vec![fault(resolved, key, message)], file.sources())
}

fn fault(resolved: &Resolved, key: &str, message: String) -> Fault {
    let mut fault = Fault::new(Move::You, "signals", message).under(key.to_owned());
    fault.place = mainstay_spec::place_of(resolved, key);
    fault
}
