//! A release while it moves: redrawn in place on a terminal, a line an event in a pipe.

use crate::client::Client;
use crate::failure::Failure;
use crate::show::time;
use crate::terminal::{self, mark};
use mainstay_atoms::ReleaseNumber;
use mainstay_faults::{Exit, escaped};
use mainstay_plan::{Event, ReleaseEnd, ReleaseState, Step, Wait};
use mainstay_server::api::{Moved, Moving, Progress};
use mainstay_spec::Platform;
use std::time::{Duration, Instant};

/// How often a release is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How long the end of a failed process is waited for: the usual grace, and a little.
const ENDING: Duration = Duration::from_secs(15);

/// Cells of a bar.
const BAR: u32 = 12;

/// What the end of a release is called, and what the last line says of it.
struct Ending {
    /// Where it answers, said after a first release.
    urls: Vec<String>,
    rollback: bool,
}

pub(crate) fn watch(
    client: &Client,
    moving: &Moving,
    platform: &Platform,
    json: bool,
) -> Result<Exit, Failure> {
    let port = platform.gateway.http;
    let urls = platform
        .domains
        .keys()
        .map(|host| format!("http://{host}:{port}/"))
        .collect();
    follow(
        client,
        moving,
        &Ending {
            urls,
            rollback: false,
        },
        json,
    )
}

pub(crate) fn watch_rollback(
    client: &Client,
    moving: &Moving,
    json: bool,
) -> Result<Exit, Failure> {
    follow(
        client,
        moving,
        &Ending {
            urls: vec![],
            rollback: true,
        },
        json,
    )
}

pub(crate) fn watch_retry(client: &Client, moving: &Moving, json: bool) -> Result<Exit, Failure> {
    follow(
        client,
        moving,
        &Ending {
            urls: vec![],
            rollback: false,
        },
        json,
    )
}

fn follow(client: &Client, moving: &Moving, ending: &Ending, json: bool) -> Result<Exit, Failure> {
    let began = Instant::now();
    if !json {
        for line in super::prospect::lines(&moving.trials) {
            terminal::say_out(&line);
        }
    }
    let mut after = moving.after;
    let mut drawn = 0;
    let mut before = None;
    let mut last = None;
    let mut gates = Vec::new();
    loop {
        let path = format!("/v1/progress?after={after}&release={}", moving.release);
        let progress: Progress = client.get(&path)?;
        let base = *before.get_or_insert(progress.traffic);
        if !json && terminal::live() {
            drawn = redraw(&progress, moving.release, base.requests, began, drawn);
        } else if !json {
            tell(&progress);
            gates = tell_gates(&progress, &gates);
        }
        after = progress.newest;
        match &progress.state {
            Some(ReleaseState::Moving) | None => std::thread::sleep(LOOK),
            Some(_)
                if is_ending(&progress)
                    && Instant::now() < *last.get_or_insert(Instant::now() + ENDING) =>
            {
                std::thread::sleep(LOOK);
            }
            Some(state) => return end(&progress, state, moving, ending, began, json),
        }
    }
}

/// The process of a failed release was asked to stop, and how it ends belongs to what is told.
fn is_ending(progress: &Progress) -> bool {
    progress
        .failure
        .as_ref()
        .is_some_and(|failed| !failed.evidence.ended)
}

fn end(
    progress: &Progress,
    state: &ReleaseState,
    moving: &Moving,
    ending: &Ending,
    began: Instant,
    json: bool,
) -> Result<Exit, Failure> {
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let failed = match state {
        ReleaseState::Ended { end } => Some(end),
        _ => None,
    };
    if json {
        terminal::json(&serde_json::json!({
            "ok": failed.is_none(),
            "release": moving.release,
            "state": state,
            "trials": moving.trials,
            "took_ms": took,
            "failure": progress.failure,
        }));
    } else if let Some(end) = failed {
        terminal::say_out(&failure(end, progress, moving));
    } else {
        terminal::say_out(&success(moving, ending, took));
    }
    match failed {
        None => Ok(Exit::Done),
        Some(_) => Err(Failure::shown(Exit::Yours)),
    }
}

fn success(moving: &Moving, ending: &Ending, took: u64) -> String {
    let (release, took) = (moving.release, time::span(took));
    let mut text = format!("{} {release} serves after {took}.", mark("✓"));
    if ending.rollback {
        text.push_str("\n  hold: nothing ships what was taken back by itself until `mainstay hold lift` names it");
    } else if release.0 > 1 {
        text.push_str(" `mainstay rollback` takes it back.");
    }
    for url in ending.urls.iter().filter(|_| release.0 == 1) {
        text.push_str("\n  ");
        text.push_str(url);
    }
    text
}

fn failure(end: &ReleaseEnd, progress: &Progress, moving: &Moving) -> String {
    let release = moving.release;
    let serves = progress.serving.map_or("nothing serves".into(), |serving| {
        format!("{serving} serves as before")
    });
    let why = match end {
        ReleaseEnd::Superseded => {
            return format!("{} {release} was superseded by a newer release", mark("✗"));
        }
        ReleaseEnd::Aborted => {
            return format!("{} {release} was aborted; {serves}", mark("✗"));
        }
        ReleaseEnd::Failed { why } => why,
    };
    let mut lines = vec![
        format!("{} {release} failed; {serves}", mark("✗")),
        String::new(),
        format!("  {}", escaped(why)),
    ];
    let Some(failed) = &progress.failure else {
        return lines.join("\n");
    };
    let mut part = |name: &str, text: &str, first: bool| {
        let head = if first {
            format!("    {name:<8} ")
        } else {
            " ".repeat(13)
        };
        lines.push(format!("{head}{}", escaped(text)).trim_end().to_owned());
    };
    for (place, line) in failed.evidence.probe.iter().enumerate() {
        part("probe", line, place == 0);
    }
    if let Some(process) = &failed.evidence.process {
        part("process", process, true);
    }
    let log = &failed.evidence.log;
    for (place, line) in log.iter().enumerate() {
        part("log", line, place == 0);
    }
    let hint = match &failed.instance {
        Some(instance) => format!(
            "`mainstay logs {instance}` shows everything it wrote; `mainstay retry` tries again"
        ),
        None => "`mainstay doctor` looks at the machine; `mainstay retry` tries again".into(),
    };
    lines.push(String::new());
    lines.push(format!("hint: {hint}"));
    lines.join("\n")
}

/// Gates that a release waits at, each told once; which ones it waits at now.
fn tell_gates(progress: &Progress, told: &[String]) -> Vec<String> {
    let kind = |wait: &Wait| match wait {
        Wait::Gate { missing, .. } => missing.split(',').next().map(ToOwned::to_owned),
        _ => None,
    };
    let waits: Vec<(String, &str)> = progress
        .waits
        .iter()
        .filter_map(|wait| Some((kind(&wait.wait)?, wait.what.as_str())))
        .collect();
    for (_, what) in waits.iter().filter(|(kind, _)| !told.contains(kind)) {
        terminal::say(&format!(
            "{}  waits for {}",
            time::clock(time::now()),
            escaped(what)
        ));
    }
    waits.into_iter().map(|(kind, _)| kind).collect()
}

/// One line an event, each with time and subject.
fn tell(progress: &Progress) {
    for happening in &progress.happenings {
        let at = time::clock(happening.at.0);
        let text = match &happening.event {
            Event::StepBegun { step, .. } if !matches!(step, Step::Clear { .. }) => {
                step.to_string()
            }
            Event::PlanEnded {
                end: mainstay_plan::PlanEnd::Deviated { seen },
                ..
            } => {
                format!("the plan is made anew: {seen}")
            }
            Event::InstanceEnded { instance, exit, .. } => format!("{instance} ended: {exit}"),
            Event::Canary {
                service,
                state,
                weights,
            } => format!("{service}: {}; {weights}", state.phase),
            Event::BlueGreen { service, state } => format!("{service}: {}", state.phase),
            Event::ReleaseEnded {
                end: mainstay_plan::ReleaseEnd::Failed { why },
                ..
            } => why.clone(),
            _ => continue,
        };
        terminal::say(&format!("{at}  {text}"));
    }
}

/// Draws over what was drawn before; returns how many lines now stand there.
fn redraw(
    progress: &Progress,
    release: ReleaseNumber,
    requests_before: u64,
    began: Instant,
    drawn: usize,
) -> usize {
    let mut lines = vec![format!(
        "{release}   {}",
        time::span(u64::try_from(began.elapsed().as_millis()).unwrap_or(0))
    )];
    for service in progress.services.iter().filter(|service| service.moves) {
        lines.push(bar(service));
    }
    let requests = progress.traffic.requests.saturating_sub(requests_before);
    lines.push(format!("  traffic  {requests} requests"));
    lines.extend(progress.waits.iter().take(2).map(|wait| {
        format!(
            "  waits    for {} ({})",
            escaped(&wait.what),
            time::span(wait.for_ms)
        )
    }));
    terminal::redraw(&lines.join("\n"), drawn)
}

fn bar(service: &Moved) -> String {
    let done = (service.new * BAR)
        .checked_div(service.wanted.max(1))
        .unwrap_or(0)
        .min(BAR);
    let (full, empty) = if terminal::utf8() {
        ("█", "░")
    } else {
        ("#", ".")
    };
    let state = if service.new >= service.wanted {
        "✓"
    } else {
        "▸"
    };
    format!(
        "  {:<8} {} {}{} {} of {} new · {} ready · {} draining",
        service.service,
        mark(state),
        full.repeat(done as usize),
        empty.repeat((BAR - done) as usize),
        service.new,
        service.wanted,
        service.ready,
        service.draining,
    )
}
