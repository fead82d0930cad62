//! Rolling deploys under open-loop load, over both protocols at once: how many requests are lost.

use crate::load::{self, Protocol, Summary};
use crate::platform::Platform;
use anyhow::Result;
use serde::Serialize;
use std::time::Instant;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Deploys, one after the other.
    pub deploys: u32,
    /// Requests a second, half over each protocol.
    pub rate: f64,
    /// Drain switched off and instances killed: the load generator has to see failures.
    pub control: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Deploys that succeeded.
    pub deploys: u32,
    /// Requests that failed, both protocols.
    pub lost: u64,
    /// Requests in all.
    pub requests: u64,
    /// Longest and median deploy, in milliseconds.
    pub deploy_ms: (u64, u64),
    /// Over HTTP/1.1.
    pub http1: Summary,
    /// Over HTTP/2.
    pub http2: Summary,
}

/// Runs the measurement.
pub fn measure(plan: Plan) -> Result<Report> {
    let off = "    stop: { signal: QUIT, drain: 0s, streams: 0s }\n";
    let platform = Platform::new(3, if plan.control { off } else { "" })?;
    platform.must(&["up"])?;
    let started = |protocol| {
        let mut wanted = load::Plan::new(platform.address, plan.rate / 2.0);
        wanted.protocol = protocol;
        wanted.connections = if protocol == Protocol::Http2 { 8 } else { 64 };
        if plan.control {
            // A POST is never sent twice, so one that is cut is seen.
            wanted.method = http::Method::POST;
            wanted.path = "/slow?ms=50".into();
        }
        load::start(wanted)
    };
    let (first, second) = (started(Protocol::Http1), started(Protocol::Http2));
    let mut times = Vec::new();
    for number in 0..plan.deploys {
        let began = Instant::now();
        let set = format!("services.web.env.GREETING=\"hello {number}\"");
        platform.must(&["deploy", "--set", &set])?;
        times.push(u64::try_from(began.elapsed().as_millis())?);
    }
    let (http1, http2) = (first.stop()?, second.stop()?);
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(Report {
        deploys: plan.deploys,
        lost: http1.failed() + http2.failed(),
        requests: http1.sent + http2.sent,
        deploy_ms: (times.last().copied().unwrap_or_default(), middle),
        http1,
        http2,
    })
}
