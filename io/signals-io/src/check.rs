//! Checks: probes from this machine, with the names of the field's `blackbox_exporter`.

use crate::clock;
use crate::collect::{Page, Sink, ticks};
use crate::config::{Check, CheckKind, Place};
use crate::fetch::{Answer, Connection, FetchFault, Request};
use crate::scrape::Ground;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Longest answer that is looked at.
const ANSWER_MAX: usize = 1 << 20;

/// Probes until it is told to stop.
pub(crate) async fn run(check: Check, ground: Ground, mut stop: watch::Receiver<bool>) {
    let mut sink = Sink::new(&ground, &check.job, &check.instance, &check.labels);
    let mut ticks = ticks(&format!("{} {}", check.job, check.instance), check.every_ms);
    let limit = Duration::from_millis(check.timeout_ms.min(check.every_ms.max(100)));
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            // A sender that is gone says the same.
            _ = stop.changed() => break,
        }
        let (begun, at_ms) = (Instant::now(), clock::wall_ms());
        let mut page = Page::default();
        let probed = tokio::time::timeout(limit, probe(&check.kind, &mut page)).await;
        page.kind("probe_success", "gauge");
        page.put(
            "probe_success",
            &[],
            f64::from(u8::from(probed.unwrap_or(false))),
        );
        page.kind("probe_duration_seconds", "gauge");
        page.put("probe_duration_seconds", &[], begun.elapsed().as_secs_f64());
        sink.take(Some(&page), at_ms, begun.elapsed());
    }
    sink.leave();
}

async fn probe(kind: &CheckKind, page: &mut Page) -> bool {
    match kind {
        CheckKind::Http {
            place,
            host,
            path,
            status,
            contains,
        } => {
            let Ok(answer) = ask(place, host, path, page).await else {
                return false;
            };
            page.kind("probe_http_status_code", "gauge");
            page.put("probe_http_status_code", &[], f64::from(answer.status));
            page.kind("probe_http_content_length", "gauge");
            page.put("probe_http_content_length", &[], answer.body.len() as f64);
            let right = match status {
                Some(status) => answer.status == *status,
                None => (200..300).contains(&answer.status),
            };
            let body = String::from_utf8_lossy(&answer.body);
            right && contains.as_ref().is_none_or(|text| body.contains(text))
        }
        CheckKind::Tcp { address } => TcpStream::connect(address).await.is_ok(),
        CheckKind::Dns { name } => {
            let begun = Instant::now();
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let count = found.map_or(0, Iterator::count);
            page.kind("probe_dns_lookup_time_seconds", "gauge");
            page.put(
                "probe_dns_lookup_time_seconds",
                &[],
                begun.elapsed().as_secs_f64(),
            );
            page.kind("probe_dns_answer_rrs", "gauge");
            page.put("probe_dns_answer_rrs", &[], count as f64);
            count > 0
        }
    }
}

async fn ask(place: &Place, host: &str, path: &str, page: &mut Page) -> Result<Answer, FetchFault> {
    let host = match place {
        _ if !host.is_empty() => host,
        Place::Tcp(address) | Place::Tls(address) => address,
        Place::Unix(_) => "localhost",
    };
    let request = Request {
        method: "GET",
        host,
        path,
        fields: "User-Agent: mainstay-signals\r\nConnection: close\r\n",
        body: &[],
        bytes_max: ANSWER_MAX,
    };
    let mut connection = Connection::open(place, false).await?;
    if let Some(end) = connection.certificate_end() {
        page.kind("probe_ssl_earliest_cert_expiry", "gauge");
        page.put("probe_ssl_earliest_cert_expiry", &[], end as f64);
    }
    connection.exchange(&request, &mut Vec::new()).await
}
