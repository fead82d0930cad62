//! Checks: probes from this machine, with the names of the field's `blackbox_exporter`.

mod flow;
mod status;

use crate::clock;
use crate::collect::{Page, Sink, ticks};
use crate::config::{Check, CheckKind, Place};
use crate::fetch::Connection;
use crate::scrape::Ground;
use crate::tls::Seen;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What came of a check the last time, for whoever asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    /// When it began, in milliseconds since 1970.
    pub(crate) at_ms: Option<i64>,
    pub(crate) took: Duration,
    /// Why it failed.
    pub(crate) why: Option<String>,
    /// What else it saw, though it did not fail.
    pub(crate) remark: Option<String>,
}

/// What the peers of one check showed.
type Certificates = Seen;

/// Probes until it is told to stop.
pub(crate) async fn run(
    check: Check,
    ground: Ground,
    verdict: Arc<Mutex<Verdict>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut sink = Sink::new(&ground, &check.job, &check.instance, &check.labels);
    let key = format!("{} {} {:?}", check.job, check.instance, check.labels);
    let mut ticks = ticks(&key, check.every_ms);
    let limit_ms = check.timeout_ms.min(check.every_ms.max(100));
    let mut memory = status::Memory::default();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            // A sender that is gone says the same.
            _ = stop.changed() => break,
        }
        let (begun, at_ms) = (Instant::now(), clock::wall_ms());
        let mut page = Page::default();
        let seen = Certificates::default();
        let limit = Duration::from_millis(limit_ms);
        let probed =
            tokio::time::timeout(limit, probe(&check, &seen, &mut page, &mut memory)).await;
        let took = begun.elapsed();
        let probed = probed.unwrap_or_else(|_| Err(format!("no answer within {limit_ms} ms")));
        let probed = probed.and_then(|()| soon_enough(&check, took));
        if let Some(end) = *seen.lock().unwrap_or_else(PoisonError::into_inner) {
            gauge(&mut page, "probe_ssl_earliest_cert_expiry", end as f64);
        }
        gauge(&mut page, "probe_success", truth(probed.is_ok()));
        gauge(&mut page, "probe_duration_seconds", took.as_secs_f64());
        sink.take(Some(&page), at_ms, took);
        *verdict.lock().unwrap_or_else(PoisonError::into_inner) = Verdict {
            at_ms: Some(at_ms),
            took,
            why: probed.err(),
            remark: memory.remark.take(),
        };
    }
    sink.leave();
}

fn soon_enough(check: &Check, took: Duration) -> Result<(), String> {
    match check.latency_ms {
        Some(limit) if took > Duration::from_millis(limit) => Err(format!(
            "it took {} ms, and {limit} ms are right",
            took.as_millis()
        )),
        _ => Ok(()),
    }
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn gauge(page: &mut Page, metric: &str, value: f64) {
    page.kind(metric, "gauge");
    page.put(metric, &[], value);
}

async fn probe(
    check: &Check,
    seen: &Seen,
    page: &mut Page,
    memory: &mut status::Memory,
) -> Result<(), String> {
    match &check.kind {
        CheckKind::Http { steps } => flow::run(steps, &check.secrets, seen, page).await,
        CheckKind::Status { page: probe } => {
            status::run(probe, &check.secrets, seen, page, memory).await
        }
        CheckKind::Tcp { address } => {
            let opened = Connection::open(&Place::Tcp(address.clone()), false).await;
            opened.map(drop).map_err(|fault| fault.to_string())
        }
        CheckKind::Dns { name, address } => dns(name, address.as_deref(), page).await,
        CheckKind::Certificate { address, left_ms } => {
            let opened = Connection::open_seen(&Place::Tls(address.clone()), seen).await;
            opened.map(drop).map_err(|fault| fault.to_string())?;
            let end = *seen.lock().unwrap_or_else(PoisonError::into_inner);
            let left = end.map(|end| end.saturating_mul(1000).saturating_sub(clock::wall_ms()));
            match left.map(|left| left.max(0).unsigned_abs()) {
                None => Err("its certificate says no end".into()),
                Some(left) if left < *left_ms => Err(format!(
                    "its certificate ends in {} days",
                    left / 86_400_000
                )),
                Some(_) => Ok(()),
            }
        }
    }
}

async fn dns(name: &str, address: Option<&str>, page: &mut Page) -> Result<(), String> {
    let begun = Instant::now();
    let found = tokio::net::lookup_host((name, 0)).await;
    let took = begun.elapsed().as_secs_f64();
    gauge(page, "probe_dns_lookup_time_seconds", took);
    let found: Vec<IpAddr> = match found {
        Ok(found) => found.map(|one| one.ip().to_canonical()).collect(),
        Err(fault) => {
            gauge(page, "probe_dns_answer_rrs", 0.0);
            return Err(format!("`{name}` has no address: {fault}"));
        }
    };
    gauge(page, "probe_dns_answer_rrs", found.len() as f64);
    let wanted = address.and_then(|text| text.parse::<IpAddr>().ok());
    match wanted.filter(|wanted| !found.contains(&wanted.to_canonical())) {
        _ if found.is_empty() => Err(format!("`{name}` has no address")),
        Some(wanted) => Err(format!("`{name}` has addresses, and not {wanted}")),
        None => Ok(()),
    }
}
