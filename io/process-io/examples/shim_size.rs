//! How long a start takes, and how much private memory one idle shim holds.
//!
//! `cargo build --release -p mainstay-process-io --bins --examples`, then
//! `target/release/examples/shim_size target/release/mainstay-shim`
#![expect(clippy::print_stdout, reason = "a measuring tool")]

use mainstay_atoms::{Digest, Epoch, Generation, InstanceId, Launch, Size, Stop};
use mainstay_process_io::{Artifacts, Runtime};
use std::path::Path;
use std::time::{Duration, Instant};

fn launch(instance: &InstanceId, artifact: Digest) -> Launch {
    let command = "seq 100000; exec sleep 1000";
    Launch {
        instance: instance.clone(),
        generation: Generation(1),
        contents: Digest::of(b""),
        artifact,
        run: ["sh", "-c", command].map(Into::into).into(),
        env: std::collections::BTreeMap::new(),
        address: None,
        size: Size::default(),
        ready: None,
        health: None,
        stop: Stop::default(),
        told: std::collections::BTreeMap::new(),
        server: None,
        job: None,
    }
}

fn main() {
    let binary = std::env::args().nth(1).expect("the shim's binary");
    let binary = Path::new(&binary).canonicalize().expect("a binary");
    let state = tempfile::tempdir().expect("a folder");
    std::fs::write(state.path().join("file"), "").expect("a file");
    let artifacts = Artifacts::new(state.path());
    let artifact = artifacts.store(state.path(), &["file".into()]);
    let runtime = Runtime::new(state.path(), &binary);
    let instance: InstanceId = "web.v1.1".parse().expect("an id");
    let begin = Instant::now();
    let launch = launch(&instance, artifact.expect("stored"));
    runtime.start(&launch, Epoch(1)).expect("started");
    println!("started in {} us", begin.elapsed().as_micros());
    // Long enough for the output to be written and the shim to be idle.
    std::thread::park_timeout(Duration::from_secs(1));
    let fact = runtime.observe().expect("observed").remove(0);
    let pid = fact.shim_pid.expect("a shim");
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
    let wanted = ["Rss", "Private", "Anonymous"];
    for line in rollup.expect("a rollup").lines() {
        if wanted.iter().any(|name| line.starts_with(name)) {
            println!("{line}");
        }
    }
    let stop = Stop {
        grace: Duration::ZERO,
        ..Stop::default()
    };
    let stopped = runtime.stop(&instance, Generation(2), &stop, Epoch(1));
    stopped.expect("stopped");
    while !matches!(
        runtime.observe().expect("observed")[0].state,
        mainstay_process_io::InstanceState::Exited(_)
    ) {
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
