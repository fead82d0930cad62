//! The command line: where options may stand, how files are found, exit codes, JSON and pipes.

use mainstay_e2e::platform::built;
use mainstay_e2e::{Outcome, Platform};
use serde_json::Value;
use std::fs;

const KEYS: &str = "    run: ./bin/mainstay-sample\n    port: 3000\n    ready: { path: /ready }";

#[test]
fn every_command_answers_in_json() {
    let platform = Platform::single("answers", KEYS);
    let of = |words: &[&str]| platform.json(words);
    assert_eq!(of(&["check"])["ok"], true);
    assert_eq!(of(&["version"])["control_plane"], Value::Null);
    assert_eq!(of(&["up"])["release"], "v1");
    assert!(of(&["version"])["control_plane"]["pid"].is_u64());
    let status = of(&["status"]);
    for key in ["platform", "environment", "release", "phase", "services"] {
        assert!(!status[key].is_null(), "{key}: {status}");
    }
    let instance = &status["services"][0]["instances"][0];
    for key in ["name", "address", "state", "pid", "release"] {
        assert!(!instance[key].is_null(), "{key}: {instance}");
    }
    let row = &of(&["history"])[0];
    assert_eq!(
        (&row["release"], &row["state"]),
        (&"v1".into(), &"serving".into())
    );
    assert!(row["at"].is_u64() && row["of"].is_null(), "{row}");
    let plan = of(&["plan"]);
    for key in ["id", "parent", "digest", "changes", "steps", "report"] {
        assert!(!plan[key].is_null(), "{key}: {plan}");
    }
    assert_eq!(of(&["why"])["subject"], "");
    assert_eq!(of(&["why", "web.v1.1"])["subject"], "web.v1.1");
    assert_eq!(of(&["hold", "list"]), serde_json::json!([]));
    assert_eq!(of(&["explain", "services.web.port"])["value"], "3000");
    assert_eq!(of(&["schema"])["type"], "object");
    assert_eq!(of(&["ledger", "verify"])["ok"], true);
    for line in platform
        .run(&["logs", "web", "--json"])
        .exits(0)
        .out
        .lines()
    {
        let line: Value = serde_json::from_str(line).expect("a JSON value a line");
        assert_eq!(line["instance"], "web.v1.1");
    }
    assert_eq!(of(&["down"])["ok"], true);
    assert_eq!(of(&["down"])["message"], "nothing runs");
}

#[test]
fn every_failure_answers_in_json_too() {
    let platform = Platform::single("failures", KEYS);
    let commands: [&[&str]; 10] = [
        &["status"],
        &["history"],
        &["why"],
        &["logs", "web"],
        &["deploy"],
        &["rollback"],
        &["abort"],
        &["retry"],
        &["hold", "lift", "v1"],
        &["explain", "services.nobody"],
    ];
    for words in commands {
        let mut all = words.to_vec();
        all.push("--json");
        let told = platform.run(&all).exits(1).json();
        assert_eq!(told["ok"], false, "{words:?}");
        let error = &told["errors"][0];
        assert!(
            error["code"].is_string() && error["message"].is_string(),
            "{words:?} {told}"
        );
    }
}

#[test]
fn mistakes_of_the_file_come_with_their_place_in_json() {
    let platform = Platform::single("mistakes", KEYS);
    platform.edit("    port: 3000", "    prot: 3000");
    let told = platform.run(&["check", "--json"]).exits(1).json();
    let error = &told["errors"][0];
    assert_eq!(
        (&error["line"], &error["column"]),
        (&8.into(), &5.into()),
        "{told}"
    );
    assert_eq!(error["file"], "mainstay.yaml");
    assert!(
        error["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("port")),
        "{told}"
    );
    platform
        .run(&["plan"])
        .exits(1)
        .says(&["did you mean `port`"]);
}

#[test]
fn global_options_stand_before_or_after_the_command() {
    let platform = Platform::single("options", KEYS);
    let folder = platform.folder().display().to_string();
    let file = platform.file().display().to_string();
    let ways: [&[&str]; 5] = [
        &["check", "--json", "-f", &folder],
        &["--json", "-f", &file, "check"],
        &["-f", &folder, "check", "--json"],
        &["--file", &file, "--json", "check"],
        &["--json", "check", "-e", "default"],
    ];
    for words in ways {
        let mut command = platform.command(words);
        if words.iter().any(|word| word.contains("-f")) {
            command.current_dir("/");
        }
        assert_eq!(
            platform.finish(command).exits(0).json()["ok"],
            true,
            "{words:?}"
        );
    }
}

#[test]
fn the_file_is_found_from_a_folder_below() {
    let platform = Platform::single("below", KEYS);
    let below = platform.folder().join("a/b");
    fs::create_dir_all(&below).expect("folders");
    let mut command = platform.command(&["check", "--json"]);
    command.current_dir(&below);
    assert_eq!(platform.finish(command).exits(0).json()["ok"], true);
    let mut command = platform.command(&["check"]);
    command.current_dir("/");
    platform
        .finish(command)
        .exits(1)
        .says(&["there is no `mainstay.yaml` here", "-f FILE"]);
    platform
        .run(&["check", "-f", "nowhere"])
        .exits(1)
        .says(&["`nowhere` is not there"]);
}

#[test]
fn the_state_lies_where_it_is_told() {
    let platform = Platform::single("elsewhere", KEYS);
    let state = platform.folder().join("elsewhere").display().to_string();
    platform.run(&["up", "--state", &state]).exits(0);
    assert!(!platform.folder().join(".mainstay").exists());
    platform.run(&["status"]).exits(1);
    let mut command = platform.command(&["status", "--json"]);
    command.env("MAINSTAY_STATE", &state);
    assert_eq!(platform.finish(command).exits(0).json()["release"], "v1");
    platform.run(&["down", "--state", &state]).exits(0);
    assert_eq!(platform.processes(), vec![]);
}

#[test]
fn an_environment_is_named_where_there_are_several() {
    let platform = Platform::single("several", KEYS);
    let text = fs::read_to_string(platform.file()).expect("the file");
    let more = "\nenvironments:\n  staging: {}\n  production:\n    services:\n      web: { replicas: 2 }\n";
    platform.write(&format!("{text}{more}"));
    platform
        .run(&["check"])
        .exits(0)
        .says(&["staging", "production"]);
    platform
        .run(&["up"])
        .exits(1)
        .says(&["staging", "production", "-e"]);
    platform.run(&["up", "-e", "live"]).exits(1).says(&["live"]);
    platform
        .run(&[
            "explain",
            "-e",
            "staging",
            "services.web.replicas",
            "--json",
        ])
        .exits(0);
    let live = platform.json(&["explain", "services.web.replicas", "-e", "production"]);
    assert_eq!(live["value"], "2");
}

#[test]
fn misuse_ends_with_1_and_says_what_is_meant() {
    let platform = Platform::single("misuse", KEYS);
    platform
        .run(&["deploi"])
        .exits(1)
        .says(&["deploi", "deploy"]);
    platform
        .run(&["status", "--colour"])
        .exits(1)
        .says(&["--colour"]);
    platform.run(&["rollback", "soon"]).exits(1).says(&["soon"]);
    platform.run(&["logs"]).exits(1);
    platform.run(&["hold", "lift"]).exits(1);
    platform
        .run(&["apply", "nothing.plan"])
        .exits(1)
        .says(&["nothing.plan"]);
    platform
        .run(&["apply", "mainstay.yaml"])
        .exits(1)
        .says(&["is not a kept plan"]);
    platform
        .run(&["--set", "services.web.port", "check"])
        .exits(1);
}

#[test]
fn a_set_value_is_of_the_plan_and_not_of_the_file() {
    let platform = Platform::single("set", KEYS);
    let explained = platform.json(&[
        "explain",
        "services.web.replicas",
        "--set",
        "services.web.replicas=3",
    ]);
    assert_eq!(explained["value"], "3", "{explained}");
    let plain = platform.json(&["explain", "services.web.replicas"]);
    assert_eq!(plain["value"], "1", "{plain}");
}

/// What a pipe must not get.
fn plain(outcome: &Outcome) {
    for text in [&outcome.out, &outcome.talk] {
        assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text}");
    }
}

#[test]
fn a_pipe_gets_no_escape_codes() {
    let platform = Platform::single("pipes", KEYS);
    plain(&platform.run(&["up"]).exits(0));
    platform.edit(
        "port: 3000",
        "port: 3000\n    env: { GREETING: good morning }",
    );
    let commands: [&[&str]; 12] = [
        &[],
        &["--help"],
        &["check"],
        &["plan", "--full"],
        &["deploy"],
        &["status"],
        &["why", "web"],
        &["history"],
        &["logs", "web"],
        &["ledger", "verify"],
        &["doctor"],
        &["deploi"],
    ];
    for words in commands {
        plain(&platform.run(words));
    }
}

#[test]
fn a_locale_without_utf8_gets_ascii() {
    let platform = Platform::single("ascii", KEYS);
    for words in [&["check"][..], &["plan"], &["doctor"]] {
        let mut command = platform.command(words);
        command.env("LC_ALL", "C");
        let outcome = platform.finish(command);
        assert!(outcome.out.is_ascii(), "{}", outcome.out);
    }
}

#[test]
fn help_says_what_there_is() {
    let platform = Platform::single("help", KEYS);
    let overview = platform.run(&[]).exits(0).out;
    let help = platform.run(&["--help"]).exits(0).out;
    for command in [
        "up",
        "plan",
        "apply",
        "deploy",
        "status",
        "why",
        "history",
        "rollback",
        "abort",
        "retry",
        "hold",
        "logs",
        "explain",
        "check",
        "schema",
        "ledger",
        "doctor",
        "down",
        "version",
        "completions",
    ] {
        assert!(overview.contains(command), "{command} in the overview");
        assert!(help.contains(command), "{command} in the help");
        platform.run(&[command, "--help"]).exits(0).says(&["Usage"]);
    }
    platform.run(&["--version"]).exits(0).says(&["mainstay 0."]);
    platform
        .run(&["version"])
        .exits(0)
        .says(&["mainstay", "0."]);
}

#[test]
fn completions_know_every_command() {
    let platform = Platform::single("shells", KEYS);
    for shell in ["bash", "zsh", "fish"] {
        platform
            .run(&["completions", shell])
            .exits(0)
            .says(&["rollback", "explain", "doctor"]);
    }
    platform.run(&["completions", "cmd"]).exits(1);
}

/// What `doctor` says about a subject: its state and its text.
fn diagnosed(platform: &Platform, subject: &str) -> (String, String) {
    let told = platform.run(&["doctor", "--json"]).json();
    let found = told.as_array().into_iter().flatten();
    let mut found = found.filter(|finding| finding["subject"] == subject);
    let finding = found.next().expect("a finding");
    let word = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    (word("state"), word("text"))
}

#[test]
fn doctor_looks_at_the_machine_and_at_what_runs_here() {
    let platform = Platform::single("doctor", KEYS);
    let told = platform.run(&["doctor", "--json"]).json();
    let subjects: Vec<&str> = told
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|finding| finding["subject"].as_str())
        .collect();
    let all = [
        "disk",
        "inodes",
        "state",
        "cgroups",
        "kill",
        "users",
        "ports",
        "files",
        "kernel",
        "clock",
        "anchor",
        "processes",
    ];
    assert_eq!(subjects, all);
    let port = platform.port;
    assert_eq!(diagnosed(&platform, "ports").1, format!("{port} is free"));
    let stranger = std::net::TcpListener::bind(("0.0.0.0", port)).expect("a free port");
    let (state, text) = diagnosed(&platform, "ports");
    assert_eq!(state, "bad");
    assert!(
        text.contains(&format!("(pid {})", std::process::id())),
        "{text}"
    );
    platform.run(&["doctor"]).exits(1).says(&["ports", "fix: "]);
    drop(stranger);
    platform.up();
    let (serve, gateway) = (platform.process("serve"), platform.process("gateway"));
    let text = format!("{port} is the running gateway's");
    assert_eq!(diagnosed(&platform, "ports"), ("good".into(), text));
    let text = format!(
        "the control plane runs as pid {}, the gateway as pid {}",
        serve.pid, gateway.pid
    );
    assert_eq!(diagnosed(&platform, "processes"), ("good".into(), text));
    assert_eq!(diagnosed(&platform, "anchor").0, "good");
    fs::remove_dir_all(platform.folder().join("xdg")).expect("the anchors");
    assert_eq!(diagnosed(&platform, "anchor").0, "warn");
    serve.kill();
    assert_eq!(diagnosed(&platform, "processes").0, "warn");
}

#[test]
fn doctor_needs_no_sound_file() {
    let platform = Platform::single("broken", "    replcas: [");
    platform.run(&["doctor"]).says(&["disk", "kernel"]);
}

#[test]
fn the_schema_names_its_keys_and_needs_no_file() {
    let platform = Platform::single("schema", KEYS);
    let mut command = platform.command(&["schema"]);
    command.current_dir("/");
    let schema = platform.finish(command).exits(0).json();
    assert!(schema["properties"]["services"].is_object(), "{schema}");
    assert!(built("mainstay").is_file());
}
