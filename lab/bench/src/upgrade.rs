//! Upgrades of Mainstay itself under open-loop load, over both protocols at once and with open
//! WebSockets: what is lost, what survives, and how long it takes.

use crate::load::{self, Protocol, Summary};
use crate::platform::Platform;
use anyhow::{Context as _, Result};
use mainstay_e2e::Socket;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Upgrades, one after the other.
    pub upgrades: u32,
    /// Requests a second, half over each protocol.
    pub rate: f64,
    /// `WebSocket`s that are opened before and asked all the time.
    pub sockets: usize,
    /// The gateway is killed instead: the load generator and the sockets have to see it.
    pub control: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Upgrades that succeeded.
    pub upgrades: u32,
    /// Requests that failed, both protocols.
    pub lost: u64,
    /// Requests in all.
    pub requests: u64,
    /// Sockets that were open from the first moment to the last.
    pub sockets_kept: usize,
    /// Longest and median upgrade, in milliseconds, from the command to its end.
    pub upgrade_ms: (u64, u64),
    /// The machine's load at the end.
    pub loadavg: String,
    /// Over HTTP/1.1.
    pub http1: Summary,
    /// Over HTTP/2.
    pub http2: Summary,
}

/// Load on either side of the upgrades.
const MARGIN: Duration = Duration::from_secs(2);

/// Runs the measurement.
pub fn measure(plan: Plan) -> Result<Report> {
    let platform = Platform::new(2, "")?;
    platform.must(&["up"])?;
    let port = platform.address.port();
    let sockets = (0..plan.sockets).map(|_| Socket::open(port));
    let mut sockets: Vec<Socket> = sockets.collect::<std::io::Result<_>>()?;
    let started = |protocol| {
        let mut wanted = load::Plan::new(platform.address, plan.rate / 2.0);
        wanted.protocol = protocol;
        wanted.connections = if protocol == Protocol::Http2 { 8 } else { 64 };
        load::start(wanted)
    };
    let (first, second) = (started(Protocol::Http1), started(Protocol::Http2));
    thread::sleep(MARGIN);
    let mut times = Vec::new();
    for number in 0..plan.upgrades {
        let began = Instant::now();
        if plan.control {
            kill_gateways(&platform)?;
            thread::sleep(MARGIN);
        } else {
            let program = other(&platform, number)?;
            platform.must(&["upgrade", &program.display().to_string()])?;
        }
        times.push(u64::try_from(began.elapsed().as_millis())?);
        for socket in &mut sockets {
            // Whether it was cut is counted at the end.
            drop(socket.echo("between two upgrades"));
        }
    }
    thread::sleep(MARGIN);
    let (http1, http2) = (first.stop()?, second.stop()?);
    let kept = sockets
        .iter_mut()
        .filter_map(|socket| socket.echo("at the end").ok());
    let sockets_kept = kept.count();
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(Report {
        upgrades: plan.upgrades,
        lost: http1.failed() + http2.failed(),
        requests: http1.sent + http2.sent,
        sockets_kept,
        upgrade_ms: (times.last().copied().unwrap_or_default(), middle),
        loadavg: crate::platform::load()?,
        http1,
        http2,
    })
}

/// The same program under another digest: bytes behind an executable change nothing in it.
fn other(platform: &Platform, number: u32) -> Result<PathBuf> {
    let path = platform.folder().join(format!("mainstay-{number}"));
    let mut bytes = fs::read(platform.binary()).context("the built binary")?;
    bytes.extend(number.to_be_bytes());
    fs::write(&path, bytes)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&path, mode)?;
    Ok(path)
}

fn kill_gateways(platform: &Platform) -> Result<()> {
    for (pid, line) in platform.processes()? {
        let is_gateway = line.contains(" gateway --state");
        if is_gateway && Path::new(&format!("/proc/{pid}")).exists() {
            let pid = rustix::process::Pid::from_raw(i32::try_from(pid)?).context("a pid")?;
            rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
        }
    }
    Ok(())
}
