//! `signals export`: samples in the text format, or as blocks of Prometheus' database.

use super::signals::{asked, client, encoded, refused};
use crate::argument::{Arguments, SignalsAction};
use crate::failure::Failure;
use crate::terminal;
use jiff::{SignedDuration, Timestamp};
use mainstay_faults::{Exit, chain};
use mainstay_world::{ExportedBlock, SignalsExport, SignalsExportFault, export_signals};
use serde_json::json;
use std::path::Path;

pub(crate) fn run(arguments: &Arguments, action: &SignalsAction) -> Result<Exit, Failure> {
    let SignalsAction::Export {
        blocks,
        from,
        to,
        matchers,
    } = action
    else {
        return Ok(Exit::Done);
    };
    let (from_ms, until_ms) = (time("--from", from.as_ref())?, time("--to", to.as_ref())?);
    if let (Some(from_ms), Some(until_ms)) = (from_ms, until_ms)
        && until_ms < from_ms
    {
        return Err(Failure::you("signals", "`--to` is before `--from`"));
    }
    match blocks {
        None => text(arguments, from_ms, until_ms, matchers),
        Some(folder) => {
            let wanted = SignalsExport {
                folder: folder.clone(),
                from_ms,
                until_ms,
                matchers: matchers.clone(),
            };
            write(arguments, &wanted)
        }
    }
}

/// A time as the field writes it, in milliseconds since 1970.
fn time(option: &str, text: Option<&String>) -> Result<Option<i64>, Failure> {
    let Some(text) = text else {
        return Ok(None);
    };
    let since = text.parse().ok().map(SignedDuration::try_from_secs_f64);
    let seconds = since.and_then(|since| Timestamp::from_duration(since.ok()?).ok());
    let found: Option<Timestamp> = seconds.or_else(|| text.parse().ok());
    if let Some(at) = found {
        return Ok(Some(at.as_millisecond()));
    }
    let message = format!("`{option} {text}` is no time");
    let hint = format!("such as `{option} {:.0}`", Timestamp::now());
    Err(Failure::you("signals", message).hint(hint))
}

fn text(
    arguments: &Arguments,
    from_ms: Option<i64>,
    until_ms: Option<i64>,
    matchers: &[String],
) -> Result<Exit, Failure> {
    let client = client(arguments)?;
    let bound = |name: &str, at_ms: Option<i64>| {
        let at = Timestamp::from_millisecond(at_ms?).ok()?;
        Some(format!("{name}={}", encoded(&at.to_string())))
    };
    let selectors = matchers
        .iter()
        .map(|one| format!("match[]={}", encoded(one)));
    let times = [bound("start", from_ms), bound("end", until_ms)];
    let parameters: Vec<String> = times.into_iter().flatten().chain(selectors).collect();
    let path = format!("/v1/export?{}", parameters.join("&"));
    let (status, body) = asked(&client, "GET", &path, &[])?;
    if status != 200 {
        return Err(refused(&body));
    }
    let text = String::from_utf8_lossy(&body);
    // Whoever keeps the output in a file would not see it there.
    if let Some(cut) = text
        .lines()
        .next_back()
        .and_then(|line| line.strip_prefix("# "))
    {
        terminal::say(cut);
    }
    terminal::say_out(&text);
    Ok(Exit::Done)
}

fn write(arguments: &Arguments, wanted: &SignalsExport) -> Result<Exit, Failure> {
    let client = client(arguments)?;
    let mut blocks: Vec<ExportedBlock> = Vec::new();
    let written = export_signals(&client, wanted, &mut |block| {
        if !arguments.json {
            terminal::say_out(&line(block));
        }
        blocks.push(block.clone());
    });
    let remarks = written.map_err(|fault| failure(&fault, wanted, &blocks))?;
    let sum = |of: fn(&ExportedBlock) -> u64| blocks.iter().map(of).sum::<u64>();
    let histograms = sum(|one| one.stats.histograms);
    let customs = sum(|one| one.stats.customs);
    if arguments.json {
        let list: Vec<_> = blocks.iter().map(listed).collect();
        terminal::json(&json!({
            "ok": remarks.is_empty(),
            "blocks": list,
            "histograms": histograms,
            "histograms_with_bounds_of_their_own": customs,
            "not_read": remarks,
        }));
    } else {
        end(&wanted.folder, &blocks);
    }
    if histograms > 0 {
        terminal::say(&format!(
            "{histograms} native histograms are among them: Prometheus reads them since version 2.42"
        ));
    }
    if customs > 0 {
        terminal::say(&format!(
            "{customs} of them have bounds of their own: Prometheus reads those since version 3.0"
        ));
    }
    for remark in &remarks {
        terminal::say(&format!("not everything could be read: {remark}"));
    }
    Ok(if remarks.is_empty() {
        Exit::Done
    } else {
        Exit::Ours
    })
}

fn at(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn line(block: &ExportedBlock) -> String {
    let stats = block.stats;
    format!(
        "{}  {} … {}  {} series, {} samples",
        block.ulid,
        at(block.begin_ms),
        at(block.end_ms),
        stats.series,
        stats.floats + stats.histograms
    )
}

fn listed(block: &ExportedBlock) -> serde_json::Value {
    let stats = block.stats;
    json!({
        "ulid": block.ulid,
        "begin_ms": block.begin_ms,
        "end_ms": block.end_ms,
        "series": stats.series,
        "chunks": stats.chunks,
        "floats": stats.floats,
        "histograms": stats.histograms,
    })
}

fn end(folder: &Path, blocks: &[ExportedBlock]) {
    let folder = folder.display();
    terminal::say(&match blocks.len() {
        0 => "nothing is stored of that: no block was written".to_owned(),
        count => format!(
            "{count} blocks are in `{folder}`: stop Prometheus, copy them into its data folder, start it with a \
             `--storage.tsdb.retention.time` that reaches back so far"
        ),
    });
}

fn failure(
    fault: &SignalsExportFault,
    wanted: &SignalsExport,
    blocks: &[ExportedBlock],
) -> Failure {
    let on = match blocks.last() {
        None => String::new(),
        Some(last) => format!(
            "; {} blocks are whole, go on with `--from {}`",
            blocks.len(),
            at(last.end_ms)
        ),
    };
    let message = chain(fault);
    let folder = wanted.folder.display();
    match fault {
        SignalsExportFault::Overlap { .. } => Failure::you("signals", message).hint(
            "name another folder, or a time of which it holds no block, with `--from` and `--to`",
        ),
        SignalsExportFault::Running { .. } => {
            Failure::you("signals", message).hint("wait until it has ended, or name another folder")
        }
        _ if fault.is_full() => Failure::operator("signals", message).hint(format!(
            "nothing half is left; make room where `{folder}` is (`df -h {folder}`){on}"
        )),
        SignalsExportFault::Client(_) => Failure::operator("signals", message).hint(format!(
            "metrics are kept once the file says `signals: {{}}` and a release with it serves; \
             `mainstay status` says how it stands{on}"
        )),
        _ => Failure::operator("signals", message)
            .hint(format!("nothing half is left{on}; ask again")),
    }
}
