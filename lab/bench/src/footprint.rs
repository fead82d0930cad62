//! What it costs to be there: memory, start of the command line, the way back, coming back after a kill.

use crate::platform::Platform;
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// What was measured; times in milliseconds, memory in KiB.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `mainstay --help`, best of twenty, wall time.
    pub help_ms: f64,
    /// Size of the stripped binary.
    pub binary_kib: u64,
    /// Resident memory of the control plane, idle.
    pub control_plane_kib: u64,
    /// Resident memory of the gateway, idle.
    pub gateway_kib: u64,
    /// Largest private memory of a shim.
    pub shim_private_kib: u64,
    /// `rollback`, from the command to its end: all traffic on the old contents.
    pub rollback_ms: u64,
    /// From `up` after the control plane was killed in the middle of a deploy until the release serves.
    pub resumed_ms: u64,
    /// `check` and `plan` of 200 services, cold, CPU time of the command.
    pub plan_200_services_ms: (f64, f64),
}

/// Runs the measurement.
pub fn measure() -> Result<Report> {
    let platform = Platform::new(2, "")?;
    platform.must(&["up"])?;
    platform.must(&["deploy", "--set", "services.web.env.GREETING=second"])?;
    let began = Instant::now();
    platform.must(&["rollback"])?;
    let rollback_ms = u64::try_from(began.elapsed().as_millis())?;
    let (control_plane_kib, gateway_kib, shim_private_kib) = memory(&platform)?;
    let binary = std::env::current_exe()?.with_file_name("mainstay");
    Ok(Report {
        help_ms: help(&binary)?,
        binary_kib: fs::metadata(&binary)?.len() / 1024,
        control_plane_kib,
        gateway_kib,
        shim_private_kib,
        rollback_ms,
        resumed_ms: resumed(&platform)?,
        plan_200_services_ms: plan_200(&binary)?,
    })
}

fn memory(platform: &Platform) -> Result<(u64, u64, u64)> {
    let (mut control, mut gateway, mut shim) = (0, 0, 0);
    for (pid, line) in platform.processes()? {
        if line.contains(" serve ") {
            control = field(pid, "smaps_rollup", "Rss:");
        } else if line.contains(" gateway ") {
            gateway = field(pid, "smaps_rollup", "Rss:");
        } else if line.contains(" shim ") {
            let dirty = field(pid, "smaps_rollup", "Private_Dirty:");
            shim = shim.max(dirty + field(pid, "smaps_rollup", "Private_Clean:"));
        }
    }
    Ok((control, gateway, shim))
}

/// A line's number in a file of `/proc/PID`.
pub(crate) fn field(pid: u32, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn help(binary: &std::path::Path) -> Result<f64> {
    let mut best = f64::MAX;
    for _ in 0..20 {
        let began = Instant::now();
        Command::new(binary).arg("--help").output()?;
        best = best.min(began.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(best)
}

/// Kills the control plane while a deploy waits, and brings it back.
fn resumed(platform: &Platform) -> Result<u64> {
    let mut deploy = Command::new(std::env::current_exe()?.with_file_name("mainstay"))
        .args([
            "deploy",
            "--set",
            "services.web.env.GREETING=third",
            "--set",
            "services.web.env.FAULT_UNREADY_MS=0",
        ])
        .current_dir(platform.folder())
        .env("XDG_STATE_HOME", platform.folder().join("anchors"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let status = platform.json(&["status", "--json"])?;
        if status["phase"] == "moving" {
            break;
        }
    }
    let control = platform
        .processes()?
        .into_iter()
        .find(|(_, line)| line.contains(" serve "));
    let (pid, _) = control.context("a control plane runs")?;
    Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()?;
    deploy.wait()?;
    let began = Instant::now();
    platform.must(&["up"])?;
    Ok(u64::try_from(began.elapsed().as_millis())?)
}

/// `check` and `plan` of 200 services that need no build: CPU time of each command.
fn plan_200(binary: &std::path::Path) -> Result<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("bin"))?;
    fs::copy("/bin/true", folder.path().join("bin/program"))?;
    let mut text = String::from("mainstay: 1\nname: large\nservices:\n");
    for number in 0..200 {
        writeln!(
            text,
            "  s{number}:\n    run: ./bin/program --number {number}\n    port: 3000\n    replicas: 2\n    ready: /ready"
        )?;
    }
    text.push_str("domains: { localhost: { routes: { /: { to: s0 } } } }\n");
    fs::write(folder.path().join("mainstay.yaml"), text)?;
    let cpu = |command: &str| -> Result<f64> {
        let before = children_cpu_ms()?;
        Command::new(binary)
            .arg(command)
            .current_dir(folder.path())
            .output()?;
        Ok(children_cpu_ms()? - before)
    };
    Ok((cpu("check")?, cpu("plan")?))
}

/// CPU time of all children so far.
fn children_cpu_ms() -> Result<f64> {
    cpu_ms("self", 13)
}

/// CPU time of a process, user and system, in milliseconds (`/proc/PID/stat`; from field 11 after the name on
/// its own, from 13 on that of its ended children).
pub(crate) fn cpu_ms(pid: &str, from: usize) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = stat.rsplit_once(')').context("a stat line")?.1;
    let ticks: f64 = rest
        .split_whitespace()
        .skip(from)
        .take(2)
        .filter_map(|text| text.parse::<f64>().ok())
        .sum();
    Ok(ticks * 10.0)
}
