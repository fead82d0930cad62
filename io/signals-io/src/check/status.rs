//! Status pages of other platforms: asked for, verified, and held against the one before.

use super::{flow, gauge, truth};
use crate::clock;
use crate::collect::Page;
use crate::tls::Seen;
use mainstay_alerting::StatusProbe;
use mainstay_status::{BODY_MAX, Expected, PublicKey, State, believe};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What one check remembers of the pages that it believed.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Epoch and sequence of the last.
    last: Option<(u64, u64)>,
    /// What the last one said that is no failure.
    pub(super) remark: Option<String>,
}

/// Asks for the page. It fails where there is none, where it is not believed, and where it says that the platform is
/// down; a degraded one is told apart.
pub(super) async fn run(
    probe: &StatusProbe,
    secrets: &BTreeMap<String, PathBuf>,
    seen: &Seen,
    page: &mut Page,
    memory: &mut Memory,
) -> Result<(), String> {
    let key = probe.key.parse::<PublicKey>();
    let key = key.map_err(|fault| format!("the key of the page: {fault}"))?;
    let answer = flow::ask(&probe.step, secrets, seen, BODY_MAX).await?;
    gauge(page, "probe_http_status_code", f64::from(answer.status));
    if !(200..300).contains(&answer.status) {
        return Err(format!("it answered {}, and 2xx is right", answer.status));
    }
    let now_ms = u64::try_from(clock::wall_ms()).unwrap_or(0);
    let expected = Expected {
        key: &key,
        now_ms,
        age_ms: probe.age_ms,
        last: memory.last,
    };
    let told = believe(&answer.body, &expected).map_err(|doubt| doubt.to_string())?;
    memory.last = Some((told.epoch, told.sequence));
    let age_ms = now_ms.saturating_sub(told.made_ms);
    gauge(
        page,
        "probe_status_page_age_seconds",
        age_ms as f64 / 1000.0,
    );
    let degraded = truth(told.state == State::Degraded);
    gauge(page, "probe_status_page_degraded", degraded);
    gauge(
        page,
        "probe_status_page_down",
        truth(told.state == State::Down),
    );
    if let Some(trouble) = told.trouble() {
        return Err(trouble);
    }
    let remarks = told.remarks();
    memory.remark = (!remarks.is_empty()).then(|| format!("degraded: {remarks}"));
    Ok(())
}
