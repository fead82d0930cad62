//! What a file, a program or a machine can do wrong: each is told clearly, and what served goes on.

use mainstay_e2e::process::{self, Process};
use mainstay_e2e::{Outcome, Platform, get, traffic, until};
use std::fs;
use std::net::TcpListener;

/// A service that is soon given up when it does not get ready.
const KEYS: &str = "    run: ./bin/mainstay-sample
    port: 3000
    ready: { path: /ready, after: 2s }
    stop: { grace: 1s }
    env:
      QUIET: \"1\"
      GREETING: hello";

fn keys(program: &str, more: &str) -> String {
    format!(
        "    run: {program}\n    artifact: [bin]\n    port: 3000
    ready: {{ path: /ready, after: 10s }}\n    stop: {{ grace: 1s }}{more}"
    )
}

/// A platform whose first release serves, and its workloads.
fn serving(name: &str) -> (Platform, Vec<Process>) {
    let platform = Platform::single(name, KEYS);
    platform.up();
    let workloads = platform.workloads();
    assert_eq!(workloads.len(), 1);
    (platform, workloads)
}

/// The first release serves as if nothing had been tried.
#[track_caller]
fn serves_as_before(platform: &Platform, workloads: &[Process]) {
    assert!(platform.front().starts_with("hello from web v1"));
    assert_eq!(platform.steady()["release"], "v1");
    assert_eq!(platform.workloads(), workloads, "nobody was restarted");
    until("the end of what was tried", || {
        let status = platform.status()?;
        let instances = status["services"][0]["instances"].as_array()?.len();
        (instances == 1).then_some(())
    });
}

/// Ships a file that cannot work over one that does; what was said.
#[track_caller]
fn fails(name: &str, from: &str, to: &str) -> Outcome {
    let (platform, workloads) = serving(name);
    platform.edit(from, to);
    let outcome = platform.run(&["deploy"]).exits(1);
    serves_as_before(&platform, &workloads);
    outcome
}

#[test]
fn a_missing_program_changes_nothing() {
    let outcome = fails("missing", "./bin/mainstay-sample", "./bin/shop");
    outcome.says(&["web", "bin/shop", "mainstay.yaml:7", "hint:"]);
}

#[test]
fn a_program_that_is_not_executable_changes_nothing() {
    let (platform, workloads) = serving("mode");
    fs::write(platform.folder().join("bin/notes"), "no program\n").expect("a file");
    platform.edit("./bin/mainstay-sample", "./bin/notes");
    let outcome = platform.run(&["deploy"]).exits(1);
    outcome.says(&["not executable", "mainstay.yaml:7", "hint:"]);
    serves_as_before(&platform, &workloads);
}

#[test]
fn a_build_that_fails_starts_nothing() {
    let keys = format!("    build: sh -c 'echo no compiler; exit 3'\n{KEYS}");
    let platform = Platform::single("build", &keys);
    let outcome = platform.run(&["up"]).exits(1);
    outcome.says(&[
        "the build of web failed",
        "no compiler",
        "mainstay.yaml:7",
        "hint:",
    ]);
    assert_eq!(platform.processes(), vec![]);
    assert!(!platform.state().join("ledger/ledger.db").exists());
    platform.run(&["status"]).exits(1);
}

#[test]
fn a_program_that_exits_at_once_fails_with_its_last_words() {
    let (platform, workloads) = serving("exits");
    platform.script("quits", "echo DATABASE_URL is not set; exit 7");
    platform.edit("./bin/mainstay-sample", "./bin/quits");
    let outcome = platform.run(&["deploy"]).exits(1);
    outcome.says(&[
        "v2 failed",
        "web.v2.1",
        "exit",
        "7",
        "DATABASE_URL is not set",
        "hint:",
    ]);
    serves_as_before(&platform, &workloads);
    assert_eq!(platform.history()[0]["state"], "failed");
}

#[test]
fn a_program_that_is_never_ready_fails_with_the_probe_and_its_answer() {
    let to = "hello\n      FAULT_UNREADY: \"1\"";
    let outcome = fails("unready", "hello", to);
    outcome.says(&[
        "v2 failed",
        "web.v2.1 was not ready within 2s",
        "/ready",
        "503",
        "not ready",
        "listens on",
        "process  ran until we stopped it; exit",
        "hint: `mainstay logs web.v2.1`",
    ]);
}

#[test]
fn a_failed_release_is_told_in_json_too() {
    let (platform, workloads) = serving("json");
    platform.edit("hello", "hello\n      FAULT_UNREADY: \"1\"");
    let told = platform.run(&["deploy", "--json"]).exits(1).json();
    assert_eq!(
        (&told["ok"], &told["release"]),
        (&false.into(), &"v2".into())
    );
    assert_eq!(told["failure"]["instance"], "web.v2.1");
    assert_eq!(told["failure"]["evidence"]["ended"], true);
    let evidence = told["failure"]["evidence"].to_string();
    assert!(evidence.contains("ran until we stopped it"), "{evidence}");
    assert!(
        evidence.contains("503") && evidence.contains("listens on"),
        "{evidence}"
    );
    let attention = platform.steady()["attention"].to_string();
    assert!(attention.contains("v2 failed"), "{attention}");
    serves_as_before(&platform, &workloads);
}

#[test]
fn a_first_release_that_fails_leaves_nothing_that_serves() {
    let keys = format!("{KEYS}\n      FAULT_UNREADY: \"1\"");
    let platform = Platform::single("first", &keys);
    platform.run(&["up"]).exits(1).says(&["v1 failed", "503"]);
    until("the end of its instance", || {
        let files = process::below(&platform.state().join("artifacts"));
        files.is_empty().then_some(())
    });
    platform.edit("FAULT_UNREADY: \"1\"", "OTHER: \"1\"");
    platform.run(&["deploy"]).exits(0).says(&["v2 serves"]);
    assert!(platform.front().starts_with("hello from web v2"));
}

#[test]
fn a_program_that_ignores_the_request_to_end_is_ended_by_force() {
    let keys = format!("{KEYS}\n      FAULT_IGNORE_TERM: \"1\"");
    let platform = Platform::single("ignores", &keys);
    platform.up();
    let old = platform.workloads();
    platform.edit("hello", "good morning");
    platform.run(&["deploy"]).exits(0);
    until("the end of the old instance", || {
        (!old[0].runs()).then_some(())
    });
    assert!(platform.front().starts_with("good morning from web v2"));
    platform.run(&["down"]).exits(0);
    assert_eq!(platform.processes(), vec![]);
}

#[test]
fn children_of_a_program_end_with_it() {
    let platform = Platform::single("forks", &keys("./bin/forks", ""));
    let text = "sleep 3600 &\nsetsid sleep 3600 &\n(sleep 3600 &) &\nexec ./bin/mainstay-sample";
    platform.script("forks", text);
    platform.up();
    let sleeping = || {
        let all = platform.processes().into_iter();
        all.filter(|process| process.command.starts_with("sleep 3600"))
            .count()
    };
    until("the children", || (sleeping() == 3).then_some(()));
    platform.workloads()[0].kill();
    until("new children and none of the old", || {
        (platform.workloads().len() == 1 && sleeping() == 3).then_some(())
    });
    platform.run(&["down"]).exits(0);
    assert_eq!(platform.processes(), vec![], "no orphan");
}

#[test]
fn a_flood_on_stdout_neither_fills_the_disk_nor_hides_the_end() {
    let platform = Platform::single("floods", &keys("./bin/floods", "").replace("10s", "1m"));
    let text = "yes 'a line that nobody needs' | head -c 48000000\necho the end\nexec ./bin/mainstay-sample";
    platform.script("floods", text);
    platform.up();
    assert_eq!(platform.steady()["services"][0]["ready"], 1);
    platform
        .run(&["logs", "web", "-n", "50"])
        .exits(0)
        .says(&["the end"]);
    let size = size(&platform.state());
    let program =
        fs::metadata(platform.folder().join("bin/mainstay-sample")).map_or(0, |it| it.len());
    assert!(size < program + 40_000_000, "{size} bytes of state");
}

fn size(folder: &std::path::Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => size(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn bytes_that_are_no_text_are_shown_and_break_nothing() {
    let platform = Platform::single("bytes", &keys("./bin/bytes", ""));
    let text = "printf 'caf\\351 \\377\\376 \\033[2J done\\n'\nexec ./bin/mainstay-sample";
    platform.script("bytes", text);
    platform.up();
    let shown = platform.run(&["logs", "web"]).exits(0).out;
    assert!(
        shown.contains("caf\u{fffd}") && shown.contains("done"),
        "{shown}"
    );
    assert!(!shown.contains('\u{1b}'), "control characters are escaped");
    for line in platform
        .run(&["logs", "web", "--json"])
        .exits(0)
        .out
        .lines()
    {
        serde_json::from_str::<serde_json::Value>(line).expect("a JSON value a line");
    }
}

#[test]
fn a_gateway_port_taken_by_a_stranger_is_named_and_up_works_once_it_is_free() {
    let platform = Platform::single("stranger", KEYS);
    let stranger = TcpListener::bind(("0.0.0.0", platform.port)).expect("a free port");
    let outcome = platform.run(&["up"]).exits(1);
    let pid = std::process::id().to_string();
    outcome.says(&["v1 failed", &platform.port.to_string(), &pid, "faults"]);
    drop(stranger);
    platform.run(&["up"]).exits(0);
    assert!(platform.front().starts_with("hello from web v2"));
}

#[test]
fn a_new_gateway_port_that_a_stranger_holds_changes_nothing() {
    let (platform, workloads) = serving("moves");
    let port = mainstay_e2e::platform::free_port();
    let stranger = TcpListener::bind(("0.0.0.0", port)).expect("a free port");
    platform.edit(
        &format!("http: {}", platform.port),
        &format!("http: {port}"),
    );
    platform.edit("hello", "good morning");
    let outcome = platform.run(&["deploy"]).exits(1);
    let outcome = outcome.says(&[&port.to_string(), &std::process::id().to_string()]);
    assert!(!outcome.talk.contains("start web.v2.1"), "{}", outcome.talk);
    until("the first release alone", || {
        let status = platform.status()?;
        let instances = status["services"][0]["instances"].as_array()?.len();
        (instances == 1).then_some(())
    });
    serves_as_before(&platform, &workloads);
    drop(stranger);
}

#[test]
fn a_state_folder_that_cannot_be_written_is_named() {
    let platform = Platform::single("state", KEYS);
    fs::write(platform.folder().join(".mainstay"), "in the way").expect("a file");
    let outcome = platform.run(&["up"]).exits(2);
    outcome.says(&["the state folder", ".mainstay", "hint:", "--state"]);
    assert_eq!(platform.processes(), vec![]);
}

#[test]
fn an_unknown_key_changes_nothing_and_is_pointed_at() {
    let outcome = fails("unknown", "    stop:", "    stopp:");
    outcome.says(&[
        "unknown key `stopp`",
        "mainstay.yaml:10",
        "did you mean `stop`",
        "^",
    ]);
}

#[test]
fn an_instance_that_ends_by_itself_is_restarted_and_told() {
    let (platform, workloads) = serving("ends");
    // It may end before it has answered.
    drop(traffic::post(platform.port, "/fault?exit=3"));
    until("the end of the instance", || {
        (!workloads[0].runs()).then_some(())
    });
    until("a new instance", || {
        let now = platform.workloads();
        (now.len() == 1 && now != workloads).then_some(())
    });
    assert!(platform.front().starts_with("hello from web v1"));
}

#[test]
fn a_crash_loop_is_a_state_with_the_last_exit() {
    let (platform, _) = serving("loops");
    platform.edit(
        "hello",
        "hello\n      FAULT_EXIT_AFTER_MS: \"400\"\n      FAULT_EXIT_CODE: \"9\"",
    );
    // Ready before it ends: it may serve, and then its ends are what is to be seen.
    platform.run(&["deploy"]);
    let told = until("a word about the ends", || {
        let status = platform.status()?.to_string();
        let loops = status.contains("crash loop") || status.contains("v2 failed");
        loops.then_some(status)
    });
    assert!(told.contains('9') || told.contains("crash loop"), "{told}");
}

#[test]
fn a_slow_start_is_waited_for() {
    let (platform, old) = serving("slow");
    platform.edit("hello", "good morning\n      FAULT_READY_AFTER_MS: \"900\"");
    platform.run(&["deploy"]).exits(0);
    assert!(platform.front().starts_with("good morning from web v2"));
    until("the end of the old instance", || {
        (!old[0].runs()).then_some(())
    });
}

#[test]
fn errors_and_latency_of_a_program_are_passed_on_as_they_are() {
    let keys = format!("{KEYS}\n      FAULT_ERROR_RATE: \"0.5\"\n      FAULT_LATENCY_MS: \"20\"");
    let platform = Platform::single("errors", &keys);
    platform.up();
    let codes: Vec<u16> = (0..10)
        .map(|_| get(platform.port, "/").expect("an answer").status)
        .collect();
    let failed = codes.iter().filter(|code| **code == 500).count();
    assert_eq!(failed, 5, "{codes:?}");
    assert_eq!(platform.steady()["services"][0]["ready"], 1);
}
