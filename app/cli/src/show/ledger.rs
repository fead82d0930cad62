//! What `ledger verify` shows.

use crate::show::time;
use crate::terminal::mark;
use mainstay_world::LedgerReport;
use serde_json::{Value, json};

pub(crate) fn text(report: &LedgerReport) -> String {
    let root = report.root.to_hex();
    let checkpoint = report
        .checkpoint
        .as_ref()
        .map_or("no checkpoint yet".into(), |signed| {
            format!(
                "checkpoint {} signed {}",
                signed.size,
                time::relative(signed.at.0)
            )
        });
    format!(
        "operations   {} entries   root {}{}{}   {checkpoint}   {} complete, unaltered",
        report.entries,
        &root[..4],
        mark("…"),
        &root[62..],
        mark("✓"),
    )
}

pub(crate) fn json(report: &LedgerReport) -> Value {
    json!({
        "ok": report.is_good(),
        "entries": report.entries,
        "root": report.root,
        "checkpoint": report.checkpoint.as_ref().map(|signed| json!({
            "size": signed.size,
            "root": signed.root,
            "signed_ms": signed.at.0,
        })),
        "findings": report.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
