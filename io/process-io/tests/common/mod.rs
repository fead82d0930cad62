//! A state folder, small programs, and waiting, for tests on real processes.

use mainstay_atoms::{
    Digest, Epoch, Generation, InstanceId, Launch, ReleaseNumber, ServiceName, Size, Stop,
};
use mainstay_process_io::{
    Artifacts, Exit, InstanceFact, InstanceState, LogSource, Prober, Runtime,
};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const EPOCH: Epoch = Epoch(1);

/// One environment's state, ended with the test.
pub(crate) struct Stage {
    pub(crate) state: PathBuf,
    pub(crate) runtime: Runtime,
    _folder: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::below("")
    }

    pub(crate) fn below(path: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join(path);
        fs::create_dir_all(&state).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
        Self {
            runtime: runtime(&state),
            state,
            _folder: folder,
        }
    }

    /// A shell script as a stored program, ready to launch.
    pub(crate) fn script(&self, text: &str) -> Launch {
        let source = tempfile::tempdir().unwrap();
        let path = source.path().join("run.sh");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let artifacts = Artifacts::new(&self.state);
        let artifact = artifacts.store(source.path(), &["run.sh".into()]).unwrap();
        launch(artifact)
    }

    pub(crate) fn fact(&self) -> InstanceFact {
        let facts = self.runtime.observe().unwrap();
        assert_eq!(facts.len(), 1, "{facts:?}");
        InstanceFact::clone(&facts[0])
    }

    pub(crate) fn exit(&self) -> Exit {
        until("the instance ended", || match self.fact().state {
            InstanceState::Exited(exit) => Some(exit),
            _ => None,
        })
    }

    /// Waits for a line of output.
    pub(crate) fn line(&self, wanted: &str) -> String {
        until(&format!("a line with `{wanted}`"), || {
            self.lines().into_iter().find(|line| line.contains(wanted))
        })
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let (lines, _) = self
            .runtime
            .logs(&LogSource::Instance(id()), 10_000)
            .unwrap();
        lines
            .iter()
            .map(|line| String::from_utf8_lossy(&line.line).into_owned())
            .collect()
    }
}

impl Drop for Stage {
    /// No process of a test outlives it.
    fn drop(&mut self) {
        let stop = Stop {
            grace: Duration::ZERO,
            ..Stop::default()
        };
        for fact in self.runtime.observe().unwrap_or_default() {
            drop(
                self.runtime
                    .stop(&fact.id, Generation(u64::MAX), &stop, Epoch(u64::MAX)),
            );
            let deadline = Instant::now() + Duration::from_secs(20);
            while fact.shim_pid.is_some_and(is_alive) && Instant::now() < deadline {
                drop(self.runtime.observe());
            }
        }
    }
}

pub(crate) fn prober(state: &Path) -> Prober {
    Prober::new(state, Path::new(env!("CARGO_BIN_EXE_mainstay-shim"))).unwrap()
}

pub(crate) fn runtime(state: &Path) -> Runtime {
    Runtime::new(state, Path::new(env!("CARGO_BIN_EXE_mainstay-shim")))
}

pub(crate) fn id() -> InstanceId {
    InstanceId {
        service: ServiceName::new("web").unwrap(),
        release: ReleaseNumber(1),
        ordinal: 1,
    }
}

pub(crate) fn launch(artifact: Digest) -> Launch {
    Launch {
        instance: id(),
        generation: Generation(1),
        contents: Digest::of(b"contents"),
        artifact,
        run: vec!["./run.sh".into()],
        env: BTreeMap::new(),
        address: None,
        size: Size::default(),
        ready: None,
        health: None,
        stop: Stop::default(),
        told: BTreeMap::new(),
        server: None,
        job: None,
    }
}

pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in 30 s not: {what}");
        // Leaves the processor to what is waited for; the condition decides, not the pause.
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

pub(crate) fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|text| {
        !text
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    })
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
