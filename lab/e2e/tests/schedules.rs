//! Times of a schedule: a run comes by itself, meets one that still runs, or was missed.

use mainstay_e2e::clock::{Clock, far, library};
use mainstay_e2e::{Platform, until};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

const MINUTE: u64 = 60_000;

/// A platform with one job that waits until the file `go` is there and comes at these minutes of one hour, the
/// clock of its control plane, and half past that hour.
fn scheduled(name: &str, minutes: &str, more: &str) -> Option<(Platform, Clock, u64)> {
    let library = library()?;
    let (hour, half_past) = far();
    let cron = format!("{minutes} {hour} * * *");
    let keys = "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }";
    let platform = Platform::single(name, keys);
    platform.script("wait", "until [ -e \"$PLACE/go\" ]; do sleep 0.05; done");
    let place = platform.folder().join("place");
    fs::create_dir(&place).expect("a folder");
    for path in [platform.folder(), &place] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("its mode");
    }
    let text = fs::read_to_string(platform.file()).expect("the file");
    platform.write(&format!(
        "{text}\njobs:\n  turn:\n    run: [./bin/wait]\n    artifact: [bin]\n    env: {{ PLACE: {} }}\n    stop: {{ grace: 1s }}\n    schedule: \"{cron}\"\n{more}",
        place.display()
    ));
    platform.up();
    let clock = Clock::new(&platform, library);
    platform.process("serve").kill();
    clock.up(&platform);
    Some((platform, clock, half_past))
}

fn go(platform: &Platform) {
    fs::write(platform.folder().join("place/go"), "").expect("a file");
}

/// The runs, oldest first.
fn runs(platform: &Platform) -> Vec<Value> {
    let detail = platform.json(&["jobs", "show", "turn"]);
    let mut runs = detail["runs"].as_array().cloned().unwrap_or_default();
    runs.reverse();
    runs
}

/// Waits until the runs are these: the time each is for, in minutes from `from`, and its state.
#[track_caller]
fn becomes(platform: &Platform, from: u64, wanted: &[(u64, &str)]) {
    let mut seen = Vec::new();
    let wanted: Vec<(u64, String)> = wanted
        .iter()
        .map(|(minute, state)| (from + minute * MINUTE, (*state).to_owned()))
        .collect();
    until(&format!("{wanted:?}"), || {
        let now: Vec<(u64, String)> = runs(platform)
            .iter()
            .filter_map(|run| Some((run["due_ms"].as_u64()?, run["state"].as_str()?.to_owned())))
            .collect();
        if now != seen {
            mainstay_e2e::say(&format!("{now:?}"));
            seen.clone_from(&now);
        }
        (now == wanted).then_some(())
    });
}

#[test]
fn a_time_of_the_schedule_has_its_run_by_itself() {
    let Some((platform, clock, from)) = scheduled("cron", "30", "") else {
        return;
    };
    go(&platform);
    clock.set(from - 2_000);
    becomes(&platform, from, &[(0, "ok")]);
    let run = &runs(&platform)[0];
    assert_eq!(
        (&run["cause"], &run["attempt"]),
        (&"schedule".into(), &1.into())
    );
    let begun = run["begun_ms"].as_u64().expect("a time");
    assert!(begun >= from, "not before its time: {run}");
    platform.run(&["jobs"]).exits(0).says(&["turn", "* * *"]);
}

/// A second job, which comes at minute 31 and ends at once: when it has run, that minute was decided on.
const BESIDE: &str =
    "  beside:\n    run: [/bin/true]\n    artifact: []\n    schedule: \"31 * * * *\"\n";

#[test]
fn what_is_forbidden_to_overlap_skips_the_time() {
    let more = format!("    overlap: forbid\n{BESIDE}");
    let Some((platform, clock, from)) = scheduled("forbid", "30,31,40", &more) else {
        return;
    };
    clock.set(from - 1_000);
    becomes(&platform, from, &[(0, "running")]);
    clock.set(from + MINUTE + 1_000);
    until("the minute of the other job", || {
        let beside = platform.json(&["jobs", "show", "beside"]);
        let last = &beside["runs"][0];
        (last["due_ms"] == from + MINUTE && last["state"] == "ok").then_some(())
    });
    go(&platform);
    becomes(&platform, from, &[(0, "ok")]);
    clock.set(from + 10 * MINUTE + 1_000);
    becomes(&platform, from, &[(0, "ok"), (10, "ok")]);
}

#[test]
fn what_is_replaced_is_stopped_for_the_next() {
    let more = "    overlap: replace\n    retries: 3\n";
    let Some((platform, clock, from)) = scheduled("replace", "30,31,40", more) else {
        return;
    };
    clock.set(from - 1_000);
    becomes(&platform, from, &[(0, "running")]);
    clock.set(from + MINUTE + 1_000);
    becomes(&platform, from, &[(0, "stopped"), (1, "running")]);
    go(&platform);
    becomes(&platform, from, &[(0, "stopped"), (1, "ok")]);
    clock.set(from + 10 * MINUTE + 1_000);
    becomes(&platform, from, &[(0, "stopped"), (1, "ok"), (10, "ok")]);
}

#[test]
fn what_queues_runs_right_after() {
    let more = "    overlap: queue\n";
    let Some((platform, clock, from)) = scheduled("queue", "30,31,40", more) else {
        return;
    };
    clock.set(from - 1_000);
    becomes(&platform, from, &[(0, "running")]);
    clock.set(from + MINUTE + 1_000);
    go(&platform);
    becomes(&platform, from, &[(0, "ok"), (1, "ok")]);
    clock.set(from + 10 * MINUTE + 1_000);
    becomes(&platform, from, &[(0, "ok"), (1, "ok"), (10, "ok")]);
}

/// Nobody is there from the first time on until long after the second.
fn outage(platform: &Platform, clock: &Clock, to: u64) {
    platform.kill_everything();
    clock.set(to);
    clock.up(platform);
}

#[test]
fn times_that_were_missed_are_made_up_for_by_one_run() {
    let Some((platform, clock, from)) = scheduled("missed", "30,40,50", "") else {
        return;
    };
    go(&platform);
    clock.set(from - 5 * MINUTE);
    platform.steady();
    outage(&platform, &clock, from + 180 * MINUTE);
    becomes(&platform, from, &[(20, "ok")]);
    clock.set(from + 24 * 60 * MINUTE + 1_000);
    becomes(&platform, from, &[(20, "ok"), (24 * 60, "ok")]);
}

#[test]
fn times_that_were_missed_are_forgotten_where_the_file_says_so() {
    let more = "    missed: skip\n";
    let Some((platform, clock, from)) = scheduled("skip", "30", more) else {
        return;
    };
    go(&platform);
    clock.set(from - 5 * MINUTE);
    platform.steady();
    outage(&platform, &clock, from + 180 * MINUTE);
    clock.set(from + 24 * 60 * MINUTE + 1_000);
    becomes(&platform, from, &[(24 * 60, "ok")]);
}

#[test]
fn a_run_that_was_cut_off_hides_no_time_that_was_missed_after_it() {
    let Some((platform, clock, from)) = scheduled("cut", "30,50", "") else {
        return;
    };
    clock.set(from - 1_000);
    becomes(&platform, from, &[(0, "running")]);
    outage(&platform, &clock, from + 180 * MINUTE);
    go(&platform);
    becomes(&platform, from, &[(0, "cut_off"), (20, "ok")]);
}
