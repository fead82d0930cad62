//! What `ledger verify` and `ledger resume` show.

use crate::show::time;
use crate::terminal::mark;
use mainstay_server::api::{LedgerLoss, LedgerResumed};
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

/// What going on would give up, and what stays as it is.
pub(crate) fn loss(loss: &LedgerLoss) -> String {
    let newest = loss.release.as_deref().unwrap_or("no release");
    let kept = match loss.kept_at_ms {
        Some(at) => format!(
            "{} entries, the last {}; {newest} is the newest release",
            loss.kept,
            time::relative(at)
        ),
        None => "nothing".into(),
    };
    let missing = match loss.missing {
        0 => format!("what timeline {} recorded", loss.timeline - 1),
        missing => format!("{missing} of {} entries", loss.signed),
    };
    format!(
        "halted    {}\nkept      {kept}\nmissing   {missing}, the last signed {} ({}), and up to a second after it\nthen      timeline \
         {} begins; what was signed is kept beside it, and the newer copy is refused from then on",
        loss.why,
        time::relative(loss.signed_at_ms),
        loss.place,
        loss.timeline,
    )
}

pub(crate) fn resumed(resumed: &LedgerResumed) -> String {
    format!(
        "{} the ledger goes on with {} entries as timeline {}; {} were given up by {}",
        mark("✓"),
        resumed.kept,
        resumed.timeline,
        resumed.missing,
        resumed.by,
    )
}
