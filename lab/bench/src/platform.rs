//! A platform of its own for a measurement: the built binary, the sample, a temporary folder.

use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A platform that is brought down when dropped.
pub struct Platform {
    folder: tempfile::TempDir,
    binary: PathBuf,
    /// Where its gateway answers.
    pub address: SocketAddr,
}

/// The folder of the built programs.
fn built() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own
        .parent()
        .context("a program lies in a folder")?
        .to_owned())
}

/// `/proc/loadavg`, which stands beside every figure.
pub(crate) fn load() -> Result<String> {
    Ok(fs::read_to_string("/proc/loadavg")?.trim().to_owned())
}

impl Platform {
    /// A platform of one service `web` with so many replicas; `more` is further YAML of the service.
    pub fn new(replicas: u32, more: &str) -> Result<Self> {
        Self::many(&[("web", replicas)], more)
    }

    /// A platform of these services, each with so many replicas; the first is the one that has a route, and
    /// `more` is further YAML of the last.
    pub fn many(services: &[(&str, u32)], more: &str) -> Result<Self> {
        let mut text = String::from("services:\n");
        for (name, replicas) in services {
            writeln!(
                text,
                "  {name}:\n    run: ./bin/sample\n    port: 3000\n    replicas: {replicas}\n    ready: /ready\n    \
                 env: {{ GREETING: hello, QUIET: \"1\" }}"
            )?;
        }
        let first = services.first().context("a platform has a service")?.0;
        write!(
            text,
            "{more}domains:\n  localhost:\n    routes:\n      /: {{ to: {first} }}\n"
        )?;
        Self::of(&text)
    }

    /// A platform of these services, stores, jobs and domains, with the sample as `bin/sample`.
    pub fn of(rest: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let binary = built()?.join("mainstay");
        fs::create_dir(folder.path().join("bin"))?;
        fs::copy(
            built()?.join("mainstay-sample"),
            folder.path().join("bin/sample"),
        )
        .context("build it first: `cargo build --release -p mainstay-cli -p mainstay-sample`")?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let text = format!("mainstay: 1\nname: bench-{port}\ngateway: {{ http: {port} }}\n{rest}");
        fs::write(folder.path().join("mainstay.yaml"), text)?;
        let address = (Ipv4Addr::LOCALHOST, port).into();
        Ok(Self {
            folder,
            binary,
            address,
        })
    }

    /// The folder of the platform's file.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The program that the commands run.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Runs a command and gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(arguments).output()?)
    }

    /// A command, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("XDG_STATE_HOME", self.folder.path().join("anchors"));
        command
    }

    /// Runs a command that has to succeed.
    pub fn must(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!(
                "`mainstay {}` failed: {said}{}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stdout)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A command's JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.must(arguments)?)?)
    }

    /// Processes of this platform: their ids and command lines.
    pub fn processes(&self) -> Result<Vec<(u32, String)>> {
        let own = self.folder.path().to_string_lossy().into_owned();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&own) {
                found.push((pid, line));
            }
        }
        Ok(found)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // What cannot be brought down is left for whoever looks at the failed measurement.
        drop(self.run(&["down"]));
    }
}
