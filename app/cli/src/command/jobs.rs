//! `jobs`, `jobs run NAME`, `jobs show NAME|RUN`.

use crate::argument::{Arguments, JobAction};
use crate::client::Client;
use crate::failure::Failure;
use crate::show::table::Table;
use crate::show::time;
use crate::{context, terminal};
use mainstay_faults::{Exit, escaped};
use mainstay_server::api::{JobDetail, JobRow, Logs, RunAsked, RunRow};
use std::time::{Duration, Instant};

/// Lines of a run's log that `show` prints.
const LINES: usize = 30;

/// How often a run is asked after.
const POLL: Duration = Duration::from_millis(100);

pub(crate) fn run(arguments: &Arguments, action: Option<&JobAction>) -> Result<Exit, Failure> {
    let place = context::place(arguments)?;
    let client = Client::must(&place)?;
    match action {
        None => list(arguments, &client),
        Some(JobAction::Run { job, detach }) => run_now(arguments, &client, job, *detach),
        Some(JobAction::Show { subject }) => show(arguments, &client, subject),
    }
}

fn list(arguments: &Arguments, client: &Client) -> Result<Exit, Failure> {
    let jobs: Vec<JobRow> = client.get("/v1/jobs")?;
    if arguments.json {
        terminal::json(&jobs);
        return Ok(Exit::Done);
    }
    if jobs.is_empty() {
        terminal::say_out("the serving release has no jobs");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["JOB", "RUNS", "NEXT", "LAST", "STATE", "TOOK"]);
    for job in jobs {
        table.row(row(&job));
    }
    terminal::say_out(&table.text());
    Ok(Exit::Done)
}

fn row(job: &JobRow) -> Vec<String> {
    let schedule = job.schedule.clone().map(|cron| match &job.time_zone {
        Some(zone) if zone != "UTC" => format!("{cron} {zone}"),
        _ => cron,
    });
    let when = schedule.into_iter().chain(job.around.iter().cloned());
    let when = when.collect::<Vec<_>>().join(", ");
    let last = job.last.as_ref();
    vec![
        job.name.clone(),
        if when.is_empty() {
            "when asked".into()
        } else {
            when
        },
        job.next_ms.map_or_else(|| "-".into(), time::ahead),
        last.map_or_else(|| "never".into(), |run| time::relative(run.begun_ms)),
        last.map_or_else(|| "-".into(), state),
        last.and_then(|run| run.ran_ms)
            .map_or_else(|| "-".into(), time::span),
    ]
}

fn state(run: &RunRow) -> String {
    let word = run.state.replace('_', " ");
    match (&run.exit, run.state.as_str()) {
        (Some(exit), "failed") => format!("{word}: {}", escaped(exit)),
        _ => word,
    }
}

/// Asks for a run and waits for its end, unless told not to.
fn run_now(
    arguments: &Arguments,
    client: &Client,
    job: &str,
    detach: bool,
) -> Result<Exit, Failure> {
    let asked: RunAsked = client.post(&format!("/v1/jobs/{job}/runs"), &())?;
    if detach {
        if arguments.json {
            terminal::json(&asked);
        } else {
            terminal::say_out(&format!("run {} of {job} was asked for", asked.number));
        }
        return Ok(Exit::Done);
    }
    let began = Instant::now();
    let mut said = false;
    loop {
        let detail: JobDetail = client.get(&format!("/v1/jobs/{job}"))?;
        let ending = format!(".{}", asked.number);
        let found = detail.runs.iter().find(|run| run.run.ends_with(&ending));
        match found {
            Some(run) if run.state != "running" => return Ok(ended(arguments, client, run)),
            Some(run) if !said && !arguments.json => {
                terminal::say(&format!("  run      {} {}", terminal::mark("▸"), run.run));
                said = true;
            }
            None if !said && began.elapsed() > Duration::from_secs(2) && !arguments.json => {
                terminal::say(
                    "  run      waits for an earlier run, or for what the job needs; `mainstay why` says",
                );
                said = true;
            }
            _ => {}
        }
        std::thread::sleep(POLL);
    }
}

fn ended(arguments: &Arguments, client: &Client, run: &RunRow) -> Exit {
    let fine = run.state == "ok";
    if arguments.json {
        terminal::json(run);
    } else {
        let mark = terminal::mark(if fine { "✓" } else { "✗" });
        let took = run
            .ran_ms
            .map_or_else(String::new, |ms| format!(" after {}", time::span(ms)));
        terminal::say_out(&format!("{mark} {} {}{took}", run.run, state(run)));
        for line in lines(client, &run.run) {
            terminal::say_out(&format!("  {line}"));
        }
    }
    if fine { Exit::Done } else { Exit::Yours }
}

/// The last lines of a run; one that wrote nothing left no log.
fn lines(client: &Client, run: &str) -> Vec<String> {
    let logs = client.get::<Logs>(&format!("/v1/logs/{run}?lines={LINES}"));
    let lines = logs.map(|logs| logs.lines).unwrap_or_default();
    lines
        .iter()
        .map(|line| escaped(&line.line).into_owned())
        .collect()
}

fn show(arguments: &Arguments, client: &Client, subject: &str) -> Result<Exit, Failure> {
    let detail: JobDetail = client.get(&format!("/v1/jobs/{subject}"))?;
    if arguments.json {
        terminal::json(&detail);
        return Ok(Exit::Done);
    }
    if detail.runs.is_empty() {
        terminal::say_out(&format!("{} has never run", detail.job.name));
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["RUN", "WHEN", "WHY", "TRY", "STATE", "TOOK", "BY"]).right(3);
    for run in &detail.runs {
        let cause = match &run.release {
            Some(release) => format!("{} {release}", run.cause),
            None => run.cause.clone(),
        };
        table.row(vec![
            run.run.clone(),
            time::relative(run.begun_ms),
            cause,
            run.attempt.to_string(),
            state(run),
            run.ran_ms.map_or_else(|| "-".into(), time::span),
            run.by.clone(),
        ]);
    }
    terminal::say_out(&table.text());
    if detail.job.name != subject {
        for line in lines(client, subject) {
            terminal::say_out(&format!("  {line}"));
        }
    }
    Ok(Exit::Done)
}
