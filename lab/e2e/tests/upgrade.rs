//! Another program takes over: no request is lost, no socket is cut, and what cannot take over does not.

use mainstay_e2e::platform::built;
use mainstay_e2e::{Load, Platform, Process, Socket, until};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The same program under another digest: bytes behind an executable change nothing in it.
fn next(platform: &Platform, name: &str) -> PathBuf {
    let mut bytes = fs::read(built("mainstay")).expect("the built binary");
    bytes.extend(name.as_bytes());
    program(platform, name, &bytes)
}

fn program(platform: &Platform, name: &str, bytes: &[u8]) -> PathBuf {
    let path = platform.folder().join(name);
    fs::write(&path, bytes).expect("a program");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    path
}

/// A program that says it is a later mainstay, and cannot serve.
fn broken(platform: &Platform, name: &str, serve: &str) -> PathBuf {
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in version*) echo '{{\"version\":\"0.2.0\",\"schema\":2}}';; *--check*) ;; *) {serve};; esac\n"
    );
    program(platform, name, text.as_bytes())
}

/// The processes of this platform that were started as `mainstay WORD`, oldest first.
fn all(platform: &Platform, word: &str) -> Vec<Process> {
    let start = format!("mainstay {word} --state");
    let all = platform.processes().into_iter();
    all.filter(|one| one.command.contains(&start)).collect()
}

fn only(platform: &Platform, word: &str) -> Process {
    until(&format!("one {word}"), || {
        let found = all(platform, word);
        (found.len() == 1).then(|| found[0].clone())
    })
}

fn running(name: &str) -> (Platform, Vec<Process>) {
    let platform = Platform::new(name);
    platform.up();
    let workloads = platform.workloads();
    (platform, workloads)
}

#[test]
fn an_upgrade_loses_no_request_and_no_socket() {
    let (platform, workloads) = running("upgrade");
    let (serve, gateway) = (only(&platform, "serve"), only(&platform, "gateway"));
    let load = Load::start(platform.port, "/", 4);
    let mut sockets: Vec<Socket> = (0..3)
        .map(|_| Socket::open(platform.port).expect("a socket"))
        .collect();
    load.more(50);
    let path = next(&platform, "next");
    let told = platform.json(&["upgrade", &path.display().to_string()]);
    assert_eq!(told["programs"]["gateway_current"], true, "{told}");
    assert_eq!(told["programs"]["program"], told["upgrade"]["program"]);
    load.more(200);
    let now = only(&platform, "serve");
    assert_eq!(
        (now.pid, now.start),
        (serve.pid, serve.start),
        "the same process"
    );
    assert_ne!(now.command, serve.command, "another program");
    assert!(gateway.runs(), "streams keep the gateway before");
    assert_eq!(platform.workloads(), workloads, "nobody was touched");
    for socket in &mut sockets {
        socket
            .echo("still there")
            .expect("an unchanged socket survives");
    }
    // The one before goes on following tables: a release takes its streams away in their own window.
    platform.edit("GREETING: hello", "GREETING: good morning");
    platform.run(&["deploy"]).exits(0);
    load.stop_without_failure();
    assert!(platform.front().starts_with("good morning from web v2"));
    for socket in sockets {
        assert_eq!(socket.closed().expect("a close"), 1001);
    }
    until("the end of the gateway before", || {
        (!gateway.runs()).then_some(())
    });
    // Twice does no harm, and the program that runs is refused.
    let same = platform.run(&["upgrade", &path.display().to_string(), "--json"]);
    assert_eq!(same.exits(1).json()["errors"][0]["code"], "unfit_program");
    let other = next(&platform, "other");
    platform
        .run(&["upgrade", &other.display().to_string()])
        .exits(0);
    assert!(platform.front().starts_with("good morning from web v2"));
    let verified = platform.json(&["ledger", "verify"]);
    assert_eq!(verified["ok"], true, "{verified}");
}

#[test]
fn whoever_starts_the_program_that_gave_way_gets_the_one_that_took_over() {
    let (platform, workloads) = running("again");
    let path = next(&platform, "next");
    platform
        .run(&["upgrade", &path.display().to_string()])
        .exits(0);
    let before = only(&platform, "serve");
    before.kill();
    platform.up();
    let now = only(&platform, "serve");
    assert!(now.command.contains("/programs/"), "{now:?}");
    assert_eq!(platform.workloads(), workloads);
}

#[test]
fn a_control_plane_killed_in_the_middle_converges() {
    let (platform, workloads) = running("middle");
    let load = Load::start(platform.port, "/", 2);
    let path = next(&platform, "next");
    let gateway = only(&platform, "gateway");
    let begun = platform.begin(&["upgrade", &path.display().to_string()]);
    // It has become the next program, and the gateway has not given way yet, or is about to.
    let serve = until("the next control plane", || {
        let all = all(&platform, "serve").into_iter();
        all.into_iter()
            .find(|one| one.command.contains("/programs/"))
    });
    serve.kill();
    // The command may have come to its end before, or says that the one before was brought back.
    begun.wait();
    platform.up();
    platform.steady();
    let path = next(&platform, "other");
    platform
        .run(&["upgrade", &path.display().to_string()])
        .exits(0);
    load.stop_without_failure();
    until("the end of the gateway before", || {
        (!gateway.runs()).then_some(())
    });
    only(&platform, "gateway");
    assert_eq!(platform.workloads(), workloads);
}

#[test]
fn killed_gateways_of_an_upgrade_are_replaced() {
    let (platform, _) = running("gateways");
    let before = only(&platform, "gateway");
    let socket = Socket::open(platform.port).expect("a socket");
    let path = next(&platform, "next");
    platform
        .run(&["upgrade", &path.display().to_string()])
        .exits(0);
    let mut after = all(&platform, "gateway");
    after.retain(|one| *one != before);
    assert_eq!(after.len(), 1, "{after:?}");
    // The one in place; connections wait for the next.
    after[0].kill();
    assert!(platform.front().starts_with("hello from web v1"));
    assert!(before.runs(), "its stream goes on");
    // The one that retired; nobody waits for what it carried.
    before.kill();
    drop(socket);
    platform.edit("GREETING: hello", "GREETING: good morning");
    platform.run(&["deploy"]).exits(0);
    assert!(platform.front().starts_with("good morning from web v2"));
    only(&platform, "gateway");
}

fn refusal(platform: &Platform, path: &Path, code: i32) -> Value {
    let outcome = platform.run(&["upgrade", &path.display().to_string(), "--json"]);
    outcome.exits(code).json()["errors"][0].clone()
}

#[test]
fn what_cannot_take_over_changes_nothing() {
    let (platform, workloads) = running("unfit");
    let serve = only(&platform, "serve");
    let open = program(&platform, "open", b"#!/bin/sh\n");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("a mode");
    let said = refusal(&platform, &open, 1);
    assert!(
        said["message"].to_string().contains("written to by others"),
        "{said}"
    );
    let text = broken(&platform, "old", "exit 1");
    let older = fs::read_to_string(&text)
        .expect("a script")
        .replace("\"schema\":2", "\"schema\":1");
    let said = refusal(&platform, &program(&platform, "older", older.as_bytes()), 1);
    assert!(
        said["message"].to_string().contains("schemas up to 1"),
        "{said}"
    );
    refusal(&platform, &platform.folder().join("nothing"), 1);
    assert_eq!(only(&platform, "serve"), serve);
    // It says it could, and ends at once: the one before comes back.
    let said = refusal(&platform, &text, 2);
    assert!(
        said["message"]
            .to_string()
            .contains("the one before runs again"),
        "{said}"
    );
    assert_eq!(platform.workloads(), workloads);
    // No program at all behind the name: the system does not execute it.
    let nonsense = broken(&platform, "nonsense", "exit 1");
    let text = fs::read_to_string(&nonsense).expect("a script");
    let unrunnable = text.replace("*) exit 1", "*) exec /nowhere/mainstay");
    let said = refusal(
        &platform,
        &program(&platform, "unrunnable", unrunnable.as_bytes()),
        2,
    );
    assert!(
        said["message"]
            .to_string()
            .contains("the one before runs again"),
        "{said}"
    );
    assert_eq!(platform.workloads(), workloads);
    assert!(platform.front().starts_with("hello from web v1"));
}

#[test]
fn a_state_of_a_newer_schema_is_refused_and_traffic_goes_on() {
    let (platform, workloads) = running("newer");
    let serve = only(&platform, "serve");
    let file = platform.state().join("schema.json");
    let text = r#"{"schema":7,"version":"3.2.1"}"#;
    fs::write(&file, text).expect("written");
    serve.signal(Signal::KILL);
    until("its end", || (!serve.runs()).then_some(()));
    for words in [&["up", "--json"][..], &["serve", "--json"]] {
        let said = platform.run(words).exits(2).json()["errors"][0].clone();
        assert_eq!(said["code"], "schema", "{said}");
        let message = said["message"].as_str().unwrap_or_default();
        assert!(
            message.starts_with("state is of schema 7, written by mainstay 3.2.1; this is"),
            "{message}"
        );
        assert!(
            said["hint"].to_string().contains("mainstay 3.2.1 or newer"),
            "{said}"
        );
    }
    assert!(platform.front().starts_with("hello from web v1"));
    assert!(workloads.iter().all(Process::runs));
    assert_eq!(fs::read_to_string(&file).expect("there"), text);
    fs::write(&file, r#"{"schema":2,"version":"0.1.0"}"#).expect("written");
    platform.up();
    assert_eq!(platform.workloads(), workloads);
}

#[test]
fn a_state_of_schema_1_is_migrated_and_goes_on() {
    let platform = Platform::new("schema1");
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/schema-1");
    copy(&from, &platform.state());
    let mode = |path: &str, mode| {
        let path = platform.state().join(path);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    mode("keys/ledger.key", 0o400);
    let before = platform.json(&["ledger", "verify"]);
    platform.write("mainstay: 1\nname: old\nservices:\n  web:\n    run: ./bin/web\n");
    let status = platform.run(&["up", "--json"]).exits(0).json();
    assert_eq!(status["release"], "v1", "{status}");
    assert_eq!(platform.workloads().len(), 1);
    let written = fs::read_to_string(platform.state().join("schema.json")).expect("it says so");
    assert!(written.contains("\"schema\":2"), "{written}");
    let after = platform.json(&["ledger", "verify"]);
    assert!(
        after["entries"].as_u64() > before["entries"].as_u64(),
        "{before} {after}"
    );
}

/// Copies a folder; git keeps of a mode only whether it is executable.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).expect("a mode");
    for entry in fs::read_dir(from).expect("the fixture").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}

#[test]
fn signals_of_the_program_before_give_way_and_keep_what_they_know() {
    let platform = Platform::new("upsignals");
    platform.write(
        &(platform.text()
            + "signals: {}\nalerts: { channels: { a: { command: { run: [/bin/true] } } }, to: [a] }\n"),
    );
    platform.up();
    let asked = |query: &str| {
        let outcome = platform.run(&["query", "--json", query]);
        (outcome.code == 0 && outcome.out.contains("\"value\"")).then_some(())
    };
    until("metrics", || asked("node_load1"));
    let before = platform.process("signals");
    let silence = ["alerts", "silence", "Anything", "2h", "--why", "kept"];
    platform.run(&silence).exits(0);
    let path = next(&platform, "next");
    platform.json(&["upgrade", &path.display().to_string()]);
    let path = path.display().to_string();
    until("signals of the next program", || {
        let now = platform.processes().into_iter();
        let mut now = now.filter(|one| one.command.contains("signals serve"));
        now.any(|one| one.pid != before.pid).then_some(())
    });
    assert!(!before.runs(), "the one before is gone: {path}");
    until("metrics again", || asked("node_load1"));
    until("what was known before", || {
        let out = platform.run(&["alerts"]).out;
        out.contains("kept").then_some(())
    });
}
