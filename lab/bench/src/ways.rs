//! Deploys of all ways under open-loop load, over both protocols: how many requests are lost.

use crate::load::{self, Protocol, Summary};
use crate::platform::Platform;
use anyhow::{Result, bail};
use serde::Serialize;
use std::fmt::Write as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Each way with one and with three instances.
const SERVICES: [(&str, u32, &str); 6] = [
    ("rolling-one", 1, ""),
    ("rolling-three", 3, ""),
    ("canary-one", 1, CANARY),
    ("canary-three", 3, CANARY),
    ("green-one", 1, GREEN),
    ("green-three", 3, GREEN),
];

const CANARY: &str = "    deploy:\n      canary: { steps: [50%], hold: 1s, bake: 1s, every: 1s, least: 1, \
                      baseline: stable, abort_if: [error_rate > 50%] }\n";

const GREEN: &str = "    deploy:\n      blue_green: { after: 1s, warm: 1s, every: 1s, least: 1, \
                     abort_if: [error_rate > 50%] }\n";

/// How long a deploy may take to begin to move.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Releases that came to serve.
    pub served: u32,
    /// Aborted while they were under way.
    pub aborted: u32,
    /// Superseded while they were under way.
    pub superseded: u32,
    /// Requests that failed.
    pub lost: u64,
    /// Requests in all.
    pub requests: u64,
    /// Of each service and protocol.
    pub loads: Vec<(String, Summary)>,
}

/// So many deploys, every tenth of them aborted, and every tenth superseded by the next one, at this rate of
/// requests, spread evenly over the services and both protocols.
pub fn measure(deploys: u32, rate: f64) -> Result<Report> {
    let platform = Platform::of(&text()?)?;
    platform.must(&["up"])?;
    let mut loads = Vec::new();
    for (name, ..) in SERVICES {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let mut wanted = load::Plan::new(platform.address, rate / 12.0);
            wanted.host = format!("{name}.localhost");
            wanted.protocol = protocol;
            wanted.connections = if protocol == Protocol::Http2 { 2 } else { 24 };
            loads.push((format!("{name} {protocol:?}"), load::start(wanted)));
        }
    }
    let mut report = Report::default();
    for number in 0..deploys {
        let (name, ..) = SERVICES[number as usize % SERVICES.len()];
        // Seven and six have no common factor, so each way meets each end.
        match number / 7 % 10 {
            3 => {
                let begun = begin(&platform, name, number)?;
                let ended = platform.run(&["abort"])?.status.success();
                let served = finish(begun)?;
                report.aborted += u32::from(ended && !served);
                report.served += u32::from(served);
            }
            7 => {
                let begun = begin(&platform, name, number)?;
                platform.must(&["deploy", "--set", &greeting(name, "later", number)])?;
                let served = finish(begun)?;
                report.superseded += u32::from(!served);
                report.served += 1 + u32::from(served);
            }
            _ => {
                platform.must(&["deploy", "--set", &greeting(name, "hello", number)])?;
                report.served += 1;
            }
        }
    }
    for (name, load) in loads {
        let summary = load.stop()?;
        report.lost += summary.failed();
        report.requests += summary.sent;
        report.loads.push((name, summary));
    }
    Ok(report)
}

fn text() -> Result<String> {
    let mut services = String::from("services:\n");
    let mut domains = String::from("domains:\n");
    for (name, replicas, way) in SERVICES {
        write!(
            services,
            "  {name}:\n    run: ./bin/sample\n    port: 3000\n    replicas: {replicas}\n    ready: /ready\n    \
             env: {{ GREETING: hello, QUIET: \"1\" }}\n{way}"
        )?;
        writeln!(domains, "  {name}.localhost: {{ to: {name} }}")?;
    }
    Ok(services + &domains)
}

fn greeting(service: &str, word: &str, number: u32) -> String {
    format!("services.{service}.env.GREETING=\"{word} {number}\"")
}

/// Begins a deploy and waits until it is under way.
fn begin(platform: &Platform, service: &str, number: u32) -> Result<Child> {
    let set = greeting(service, "hello", number);
    let mut deploy = platform.command(&["deploy", "--set", &set]);
    let mut deploy = deploy.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = platform.json(&["status", "--json"])?;
        if status["phase"] == "moving" || deploy.try_wait()?.is_some() {
            return Ok(deploy);
        }
        if Instant::now() > deadline {
            bail!("deploy {number} does not begin: {status}");
        }
    }
}

/// Whether its release came to serve.
fn finish(mut deploy: Child) -> Result<bool> {
    Ok(deploy.wait()?.success())
}
