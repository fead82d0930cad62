//! The control plane is killed at each kind of step: before its effect, between effect and outcome, after it.
//!
//! The kinds are those that the planner's own source names, so a new one has its rows at once, and fails them
//! unless the release below comes by it. A debug build kills itself where the file `kill-at` says.

use mainstay_e2e::{Platform, Process, until};
use serde_json::Value;
use std::fs;

/// `AwaitReady` of `pub enum Step` as the ledger has it: `await_ready`.
fn kinds() -> Vec<String> {
    let source = include_str!("../../../core/plan/src/step.rs");
    let (_, body) = source.split_once("pub enum Step {\n").expect("the steps");
    let (body, _) = body.split_once("\n}\n").expect("their end");
    let variants = body.lines().filter_map(|line| {
        let name = line.strip_prefix("    ")?;
        let name = name.split([' ', '(', ',']).next()?;
        let first = name.chars().next()?;
        first.is_ascii_uppercase().then_some(name)
    });
    let kinds: Vec<String> = variants.map(snake).collect();
    assert!(kinds.len() >= 12, "{kinds:?}");
    kinds
}

fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// A release of it comes by every kind of step: a store that is set anew, a job before, one instance replaced
/// after it passed its smoke test.
fn every_step(name: &str) -> Platform {
    let keys = "    run: ./bin/mainstay-sample
    port: 3000
    needs: [cache]
    ready: { path: /ready }
    stop: { drain: 1s }
    env: { GREETING: hello 0 }
    deploy: { before: [check], smoke: { home: { get: / } } }";
    let platform = Platform::single(name, keys);
    let text = fs::read_to_string(platform.file()).expect("the file");
    platform.write(&format!(
        "{text}\njobs:\n  check:\n    run: [/bin/true]\n    artifact: []\n\nstores:\n  cache: {{ redis: 7, memory: 32Mi }}\n"
    ));
    platform
}

/// Those that a kill of the control plane must not touch.
fn others(platform: &Platform) -> Vec<Process> {
    vec![platform.process("gateway"), platform.server("cache")]
}

fn checks(platform: &Platform) -> Vec<Value> {
    let detail = platform.json(&["jobs", "show", "check"]);
    detail["runs"].as_array().cloned().unwrap_or_default()
}

fn killed_at_every_step(point: &str) {
    if !cfg!(debug_assertions) {
        return mainstay_e2e::say("skipped: a release build does not kill itself");
    }
    let platform = every_step(&point.replace('_', "-"));
    platform.up();
    let kept = others(&platform);
    for (turn, kind) in (1_u32..).zip(kinds()) {
        let here = format!("{kind} {point}");
        platform.edit(&format!("hello {}", turn - 1), &format!("hello {turn}"));
        let memory = |turn: u32| format!("memory: {}Mi", 32 + turn);
        platform.edit(&memory(turn - 1), &memory(turn));
        let serve = platform.process("serve");
        fs::write(platform.state().join("kill-at"), &here).expect("the state takes a file");
        let deploy = platform.begin(&["deploy"]);
        until(&format!("the kill at `{here}`"), || {
            (!serve.runs()).then_some(())
        });
        // It says that its control plane is gone.
        drop(deploy.wait());
        platform.up();
        let release = format!("v{}", turn + 1);
        until(&format!("{release} after the kill at `{here}`"), || {
            let status = platform.steady();
            (status["release"] == release.as_str()).then_some(())
        });
        let front = platform.front();
        assert!(
            front.starts_with(&format!("hello {turn} from web {release}")),
            "{here}: {front}"
        );
        assert_eq!(platform.workloads().len(), 1, "{here}");
        assert_eq!(others(&platform), kept, "{here}: they go on");
        let runs = checks(&platform);
        let ran = usize::try_from(turn).expect("few") + 1;
        assert_eq!(runs.len(), ran, "{here}: one run a release: {runs:?}");
        assert!(
            runs.iter().all(|run| run["state"] == "ok"),
            "{here}: {runs:?}"
        );
    }
    assert_eq!(platform.json(&["ledger", "verify"])["ok"], true);
}

#[test]
fn before_the_effect_of_each_kind_of_step() {
    killed_at_every_step("before_effect");
}

#[test]
fn between_effect_and_outcome_of_each_kind_of_step() {
    killed_at_every_step("before_outcome");
}

#[test]
fn after_the_outcome_of_each_kind_of_step() {
    killed_at_every_step("after_outcome");
}
