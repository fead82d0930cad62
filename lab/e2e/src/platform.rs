//! A platform in a folder of its own, driven through the built binary.

use crate::process::{self, Process};
use crate::until;
use rustix::process::Signal;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(120);

/// Gateway ports are chosen below Linux' ephemeral range and above the ports of instances.
const PORTS: std::ops::Range<u16> = 30_000..32_700;

/// A folder with a `mainstay.yaml`, the sample in `bin/`, and what runs from it. Dropping it stops
/// everything.
pub struct Platform {
    folder: TempDir,
    /// Where the gateway listens.
    pub port: u16,
    name: String,
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Data.
    pub out: String,
    /// Talk.
    pub talk: String,
}

#[expect(
    clippy::return_self_not_must_use,
    reason = "assertions first; the outcome is passed on for those who look further"
)]
impl Outcome {
    /// Panics unless the exit code is this one; passes itself on.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "out: {}\ntalk: {}", self.out, self.talk);
        self
    }

    /// The data as one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.out) {
            Ok(value) => value,
            Err(fault) => panic!("no JSON ({fault}): {}\ntalk: {}", self.out, self.talk),
        }
    }

    /// Panics unless data or talk says all of this.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(
                self.out.contains(word) || self.talk.contains(word),
                "`{word}` is not said\nout: {}\ntalk: {}",
                self.out,
                self.talk
            );
        }
        self
    }
}

/// A program that was built beside this test.
///
/// # Panics
/// When it was not built.
pub fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let profile = own.ancestors().nth(2).unwrap_or(Path::new("."));
    let path = profile.join(name);
    assert!(
        path.is_file(),
        "build them first: `cargo build -p mainstay-cli -p mainstay-sample`"
    );
    path
}

/// A port that nobody listens on and nobody else of these tests was given.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    let base = std::process::id().wrapping_mul(97);
    until("a free port", || {
        let step = base.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).into());
        let port = PORTS.start + u16::try_from(step % count).unwrap_or(0);
        TcpListener::bind(("0.0.0.0", port)).is_ok().then_some(port)
    })
}

impl Platform {
    /// Two instances of `web` in front of one of `api`, as the quickstart has them. Nothing runs yet.
    pub fn new(name: &str) -> Self {
        let platform = Self::bare(name);
        let text = platform.usual();
        platform.write(&text);
        platform
    }

    /// One service `web` with these further keys, each line of them indented as given.
    pub fn single(name: &str, keys: &str) -> Self {
        let platform = Self::bare(name);
        let text = platform.one(keys);
        platform.write(&text);
        platform
    }

    /// `examples/shop` with the sample that was built beside this test, and without what watches it, which has tests
    /// of its own. Nothing runs yet.
    pub fn shop(name: &str) -> Self {
        let platform = Self::bare(name);
        let example = include_str!("../../../examples/shop/mainstay.yaml");
        let unwatched = example
            .lines()
            .take_while(|line| !line.starts_with("signals:"));
        let kept = unwatched.filter(|line| {
            let line = line.trim_start();
            !["build:", "metrics:", "#"]
                .iter()
                .any(|key| line.starts_with(key))
        });
        let text = kept.collect::<Vec<_>>().join("\n") + "\n";
        let head = format!(
            "name: {}\ngateway: {{ http: {} }}\n",
            platform.name, platform.port
        );
        platform.write(&text.replace("name: shop\n", &head));
        platform
    }

    fn bare(name: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("mainstay-e2e-").tempdir();
        let folder = folder.expect("the temporary folder takes a folder");
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).expect("a fresh folder takes a folder");
        fs::copy(built("mainstay-sample"), bin.join("mainstay-sample")).expect("a copy");
        let port = free_port();
        Self {
            folder,
            port,
            name: format!("{name}-{port}"),
        }
    }

    fn usual(&self) -> String {
        format!(
            "{}
  web:
    run: ./bin/mainstay-sample
    port: 3000
    needs: [api]
    replicas: 2
    ready: {{ path: /ready }}
    health: {{ path: /healthz }}
    env:
      GREETING: hello

  api:
    run: ./bin/mainstay-sample
    port: 3001
    ready: {{ path: /ready }}
    env:
      GREETING: the api says hello

domains:
  localhost:
    routes:
      /: {{ to: web }}
      /api: {{ to: api }}
",
            self.head()
        )
    }

    fn head(&self) -> String {
        let (name, port) = (&self.name, self.port);
        format!("mainstay: 1\nname: {name}\ngateway: {{ http: {port} }}\n\nservices:")
    }

    /// The text of a file with one service `web`.
    pub fn one(&self, keys: &str) -> String {
        format!(
            "{}\n  web:\n{keys}\n\ndomains:\n  localhost:\n    routes:\n      /: {{ to: web }}\n",
            self.head()
        )
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The state of its environment.
    pub fn state(&self) -> PathBuf {
        self.folder().join(".mainstay/default")
    }

    /// Where the platform's file lies.
    pub fn file(&self) -> PathBuf {
        self.folder().join("mainstay.yaml")
    }

    /// Replaces the platform's file.
    pub fn write(&self, text: &str) {
        fs::write(self.file(), text).expect("the platform's file can be written");
    }

    /// The platform's file.
    #[track_caller]
    pub fn text(&self) -> String {
        fs::read_to_string(self.file()).expect("the platform's file can be read")
    }

    /// Replaces words in the platform's file.
    #[track_caller]
    pub fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.file()).expect("the platform's file can be read");
        assert!(text.contains(from), "the file has no `{from}`:\n{text}");
        self.write(&text.replace(from, to));
    }

    /// Writes a shell script that can be run as `./bin/NAME`.
    pub fn script(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a script can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode can be set");
    }

    /// `mainstay` with these words, in the platform's folder, not yet started.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(built("mainstay"));
        command
            .args(words)
            .current_dir(self.folder())
            .env("XDG_STATE_HOME", self.folder().join("xdg"))
            .env("HOME", self.folder())
            .env("LC_ALL", "C.UTF-8")
            .env_remove("MAINSTAY_STATE")
            .stdin(Stdio::null());
        command
    }

    /// Runs `mainstay` with these words to its end.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Outcome {
        self.finish(self.command(words))
    }

    /// Runs it in the background; `wait` of what comes back is its outcome.
    pub fn begin(&self, words: &[&str]) -> Begun {
        begin(self.command(words))
    }

    /// Runs it with these variables.
    #[track_caller]
    pub fn run_as(&self, words: &[&str], variables: &[(&str, &str)]) -> Outcome {
        self.begin_as(words, variables).wait()
    }

    /// Runs it in the background with these variables.
    pub fn begin_as(&self, words: &[&str], variables: &[(&str, &str)]) -> Begun {
        let mut command = self.command(words);
        command.envs(variables.iter().copied());
        begin(command)
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn finish(&self, command: Command) -> Outcome {
        begin(command).wait()
    }

    /// Runs it with `--json`; panics unless it ends with 0.
    #[track_caller]
    pub fn json(&self, words: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(words);
        self.run(&all).exits(0).json()
    }

    /// `up`, which has to work.
    #[track_caller]
    pub fn up(&self) {
        self.run(&["up"]).exits(0);
    }

    /// What `status` says; none when no control plane answers.
    pub fn status(&self) -> Option<Value> {
        let outcome = self.run(&["status", "--json"]);
        (outcome.code == 0).then(|| outcome.json())
    }

    /// What `status` says of a store.
    #[track_caller]
    pub fn store(&self, name: &str) -> Value {
        let status = self.status().expect("a control plane answers");
        let mut stores = status["stores"].as_array().into_iter().flatten();
        let found = stores.find(|store| store["name"] == name).cloned();
        found.unwrap_or_default()
    }

    /// The server of a store that is ready.
    #[track_caller]
    pub fn server(&self, name: &str) -> Process {
        until(&format!("the server of {name}"), || {
            let store = self.store(name);
            let pid = store["pid"]
                .as_u64()
                .filter(|_| store["state"] == "ready")?;
            Process::of(u32::try_from(pid).ok()?)
        })
    }

    /// Waits until the platform is steady with everything ready; its status.
    #[track_caller]
    pub fn steady(&self) -> Value {
        let mut last = None;
        until("a steady platform", || {
            let status = self.status();
            if status != last && std::env::var_os("E2E_SHOW").is_some() {
                show(&format!("{status:?}"));
            }
            last = status;
            last.clone().filter(is_steady)
        })
    }

    /// The processes of instances, sorted: those that `status` names.
    #[track_caller]
    pub fn workloads(&self) -> Vec<Process> {
        let mut found = pids(&self.steady())
            .into_iter()
            .filter_map(Process::of)
            .collect::<Vec<_>>();
        found.sort();
        found
    }

    /// Everything that runs from this folder.
    pub fn processes(&self) -> Vec<Process> {
        process::below(self.folder())
    }

    /// Ends everything by force: the control plane first, so that it replaces nobody, then whatever is left.
    #[track_caller]
    pub fn kill_everything(&self) {
        self.process("serve").kill();
        until("the end of everything", || {
            let left = self.processes();
            for process in &left {
                process.signal(Signal::KILL);
            }
            left.is_empty().then_some(())
        });
    }

    /// The process of this folder that was started as `mainstay WORD …`.
    #[track_caller]
    pub fn process(&self, word: &str) -> Process {
        let binary = built("mainstay");
        let start = format!("{} {word}", binary.display());
        until(&format!("a process `{word}`"), || {
            let mut all = self.processes().into_iter();
            all.find(|process| process.command.starts_with(&start))
        })
    }

    /// The body of the front page.
    #[track_caller]
    pub fn front(&self) -> String {
        let answer = crate::get(self.port, "/").expect("the gateway answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// The body of a page of another host.
    #[track_caller]
    pub fn page(&self, host: &str, path: &str) -> String {
        let answer = crate::traffic::get_of(self.port, host, path).expect("the gateway answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// Panics when a file of the state holds these words.
    #[track_caller]
    pub fn holds_nowhere(&self, words: &str) {
        let found = Command::new("grep")
            .args(["-rlF", words])
            .arg(self.state())
            .output()
            .expect("grep is there");
        let found = String::from_utf8_lossy(&found.stdout).into_owned();
        assert!(found.is_empty(), "it is kept in {found}");
    }

    /// Releases, newest first.
    #[track_caller]
    pub fn history(&self) -> Vec<Value> {
        let rows = self.json(&["history"]);
        rows.as_array().cloned().unwrap_or_default()
    }
}

/// Whether a status is steady and every instance wanted is ready, stores too.
pub fn is_steady(status: &Value) -> bool {
    let services = status["services"].as_array();
    let mut stores = status["stores"].as_array().into_iter().flatten();
    status["phase"] == "steady"
        && stores.all(|store| store["state"] == "ready" || store["state"] == "external")
        && services
            .into_iter()
            .flatten()
            .all(|service| service["ready"] == service["desired"])
}

/// The process numbers of all instances of a status, in their order.
pub fn pids(status: &Value) -> Vec<u32> {
    let services = status["services"].as_array().into_iter().flatten();
    let instances =
        services.flat_map(|service| service["instances"].as_array().into_iter().flatten());
    instances
        .filter_map(|instance| instance["pid"].as_u64())
        .filter_map(|pid| u32::try_from(pid).ok())
        .collect()
}

/// A command that runs. Its output goes to files, so that nothing it leaves behind can hold a pipe open.
pub struct Begun {
    child: std::process::Child,
    out: File,
    talk: File,
}

fn begin(mut command: Command) -> Begun {
    let out = tempfile::tempfile().expect("a temporary file");
    let talk = tempfile::tempfile().expect("a temporary file");
    command.stdout(out.try_clone().expect("a second descriptor"));
    command.stderr(talk.try_clone().expect("a second descriptor"));
    let child = command.spawn().expect("the built binary starts");
    Begun { child, out, talk }
}

impl Begun {
    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        let deadline = Instant::now() + COMMAND;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                _ => {
                    drop(self.child.kill());
                    drop(self.child.wait());
                    panic!("the command does not end; talk: {}", text(&mut self.talk));
                }
            }
        };
        Outcome {
            code: status.code().unwrap_or(-1),
            out: text(&mut self.out),
            talk: text(&mut self.talk),
        }
    }
}

fn text(file: &mut File) -> String {
    use std::io::Seek as _;
    let mut bytes = Vec::new();
    drop(file.rewind());
    drop(file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Drop for Platform {
    fn drop(&mut self) {
        static QUIET: AtomicU32 = AtomicU32::new(0);
        if std::thread::panicking() && QUIET.fetch_add(1, Ordering::Relaxed) < 3 {
            let log = fs::read_to_string(self.state().join("logs/control-plane.log"));
            show(&format!("control plane log:\n{}", log.unwrap_or_default()));
        }
        if let Ok(mut child) = self
            .command(&["down"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
        {
            let deadline = Instant::now() + Duration::from_secs(20);
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            drop(child.kill());
            drop(child.wait());
        }
        // Twice: the first round ends those who would start others again.
        for _ in 0..2 {
            for process in self.processes() {
                process.signal(Signal::KILL);
            }
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a failed test shows what the control plane said"
)]
pub(crate) fn show(text: &str) {
    eprintln!("{text}");
}
