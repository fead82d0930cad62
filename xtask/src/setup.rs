//! What tests and benchmarks need from the system.

use crate::say;
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;

/// A program, and the Debian package that brings it.
const NEEDED: [(&str, &str); 8] = [
    ("cc", "build-essential"),
    ("nginx", "nginx"),
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("faketime", "faketime"),
    ("pg_ctlcluster", "postgresql"),
    ("redis-server", "redis-server"),
    ("prometheus", "prometheus"),
];

/// Tells Debian's packages of database servers to bring programs alone: no cluster is made, and where
/// it can be said no service is started. Tests start servers of their own.
const NO_SERVICES: &str = "\
    mkdir -p /etc/postgresql-common && \
    { [ -e /etc/postgresql-common/createcluster.conf ] || \
      echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf; } && \
    if [ ! -e /usr/sbin/policy-rc.d ]; then \
      printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d && \
      trap 'rm -f /usr/sbin/policy-rc.d' EXIT; \
    fi";

/// Installs what is missing, as root on Debian; elsewhere says exactly what to install.
pub(crate) fn run() -> Result<()> {
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(program, _)| !found(program))
        .map(|(_, package)| *package)
        .collect();
    schemathesis();
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!("apt-get update && apt-get install -y {}", missing.join(" "));
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n");
    if !root || !Path::new("/etc/debian_version").exists() {
        bail!("something is missing; as root on Debian: `{install}`");
    }
    say(&format!("$ {install}"));
    let quiet = format!("{NO_SERVICES}; {install} -o Dpkg::Options::=--force-confold");
    let status = Command::new("sh")
        .args(["-c", &quiet])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(std::process::Stdio::null())
        .status()
        .context("apt-get cannot be run")?;
    if !status.success() {
        bail!("`{install}` failed");
    }
    Ok(())
}

/// Fuzzes the API from its published document; pinned, because a later one finds other things.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// Installs it below `target/`, for nobody else. Where Python or its registry is not to be had the test
/// that wants it says so.
fn schemathesis() {
    let place = crate::root().join("target/api-fuzz");
    if place.join("bin/st").is_file() {
        return;
    }
    let (venv, pip) = (
        place.display().to_string(),
        place.join("bin/pip").display().to_string(),
    );
    let steps = [
        ("python3", vec!["-m", "venv", &venv]),
        (pip.as_str(), vec!["install", "--quiet", SCHEMATHESIS]),
    ];
    for (program, words) in steps {
        say(&format!("$ {program} {}", words.join(" ")));
        let done = Command::new(program).args(&words).status();
        if !done.is_ok_and(|status| status.success()) {
            say("schemathesis is not installed: the API is not fuzzed by it");
            return;
        }
    }
}

fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).is_file())
}
