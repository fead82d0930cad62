//! One control plane over many real processes: what it costs idle, and how soon it sees and does something.

use crate::footprint::{cpu_ms, field};
use crate::platform::{Platform, load};
use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use std::process::Command;
use std::time::{Duration, Instant};

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Services, each on its own port and probed.
    pub services: u32,
    /// Replicas of each.
    pub replicas: u32,
    /// How long it is watched idle.
    pub seconds: u64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Processes of services.
    pub processes: u32,
    /// From nothing to all of them ready, in milliseconds.
    pub up_ms: u128,
    /// CPU time of the idle control plane, in percent of a core.
    pub idle_percent: f64,
    /// Its resident memory, in KiB.
    pub control_plane_kib: u64,
    /// From kill -9 of one process until it is not reported as running any more or again, in milliseconds; median
    /// and longest of ten.
    pub seen_ms: (u128, u128),
    /// From the same moment until all run and are ready again.
    pub healed_ms: (u128, u128),
    /// CPU time that the control plane took to plan, record and ship a change of one service, beyond idling.
    pub change_cpu_ms: f64,
    /// `/proc/loadavg` before and after.
    pub load: (String, String),
}

/// Longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Rounds of kill and heal.
const ROUNDS: usize = 10;

/// Runs the measurement.
pub fn measure(plan: Plan) -> Result<Report> {
    let before = load()?;
    let names: Vec<String> = (0..plan.services)
        .map(|number| format!("s{number}"))
        .collect();
    let services: Vec<(&str, u32)> = names
        .iter()
        .map(|name| (name.as_str(), plan.replicas))
        .collect();
    let platform = Platform::many(&services, "")?;
    let processes = plan.services * plan.replicas;
    let began = Instant::now();
    platform.must(&["up"])?;
    until(|| Ok(ready(&platform)?.len() == processes as usize))?;
    let up_ms = began.elapsed().as_millis();

    let control = platform
        .processes()?
        .into_iter()
        .find(|(_, line)| line.contains(" serve "))
        .context("a control plane runs")?
        .0;
    let cpu = || cpu_ms(&control.to_string(), 11);
    let (began, at) = (cpu()?, Instant::now());
    std::thread::sleep(Duration::from_secs(plan.seconds));
    let idle = (cpu()? - began) / at.elapsed().as_secs_f64() / 1000.0;

    let (mut seen, mut healed) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let all = ready(&platform)?;
        let victim = all[round * all.len() / ROUNDS];
        let at = Instant::now();
        Command::new("kill")
            .args(["-9", &victim.to_string()])
            .status()?;
        until(|| Ok(!ready(&platform)?.contains(&victim)))?;
        seen.push(at.elapsed().as_millis());
        until(|| Ok(ready(&platform)?.len() == processes as usize))?;
        healed.push(at.elapsed().as_millis());
    }

    let (began, at) = (cpu()?, Instant::now());
    platform.must(&["deploy", "--set", "services.s0.env.GREETING=changed"])?;
    let change = cpu()? - began - idle * at.elapsed().as_secs_f64() * 1000.0;
    Ok(Report {
        processes,
        up_ms,
        idle_percent: idle * 100.0,
        control_plane_kib: field(control, "smaps_rollup", "Rss:"),
        seen_ms: middle_and_most(seen),
        healed_ms: middle_and_most(healed),
        change_cpu_ms: change,
        load: (before, load()?),
    })
}

/// Process ids of the instances that are ready.
fn ready(platform: &Platform) -> Result<Vec<u64>> {
    let status = platform.json(&["status", "--json"])?;
    let services = status["services"]
        .as_array()
        .context("status lists services")?;
    let instances = services
        .iter()
        .filter_map(|one| one["instances"].as_array())
        .flatten();
    let ready = instances.filter(|one| one["state"] == "ready");
    Ok(ready.filter_map(|one| one["pid"].as_u64()).collect())
}

fn until(mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !done()? {
        if Instant::now() > deadline {
            bail!("not within {} s", PATIENCE.as_secs());
        }
    }
    Ok(())
}

fn middle_and_most(mut all: Vec<u128>) -> (u128, u128) {
    all.sort_unstable();
    (all[all.len() / 2], all[all.len() - 1])
}
