//! Proof that the walls of the rings stand: each fixture holds one effect that its ring forbids, and
//! must be refused.

use crate::say;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A forbidden thing of the core, and the words of its refusal.
const EFFECTS: [(&str, &str, &str); 5] = [
    (
        "clock",
        "pub fn now() -> std::time::SystemTime { std::time::SystemTime::now() }",
        "the core has no clock",
    ),
    (
        "file",
        "pub fn open() -> std::io::Result<std::fs::File> { std::fs::File::open(\"x\") }",
        "the core has no files",
    ),
    (
        "socket",
        "pub fn dial() -> std::io::Result<std::net::TcpStream> { std::net::TcpStream::connect(\"x:1\") }",
        "the core has no network",
    ),
    (
        "process",
        "pub fn start() -> std::process::Command { std::process::Command::new(\"x\") }",
        "the core starts nothing",
    ),
    (
        "environment",
        "pub fn home() -> Option<String> { std::env::var(\"HOME\").ok() }",
        "the core has no environment",
    ),
];

/// Builds each fixture as a crate of the core would be, and fails when clippy lets one pass.
pub(crate) fn run(root: &Path) -> Result<()> {
    let fixture = root.join("target/walls");
    fs::create_dir_all(fixture.join("src"))?;
    fs::copy(root.join("core/clippy.toml"), fixture.join("clippy.toml"))?;
    fs::write(
        fixture.join("Cargo.toml"),
        "[package]\nname = \"wall\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n",
    )?;
    for (name, effect, words) in EFFECTS {
        fs::write(fixture.join("src/lib.rs"), format!("{effect}\n"))?;
        let output = Command::new(env!("CARGO"))
            .args(["clippy", "--quiet", "--offline", "--", "-D", "warnings"])
            .current_dir(&fixture)
            .env("CARGO_TARGET_DIR", fixture.join("target"))
            .output()
            .context("clippy cannot be run")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() || !said.contains(words) {
            bail!("the wall does not stand: the core may use a {name}\n{said}");
        }
    }
    say(&format!(
        "walls: {} effects in the core are refused",
        EFFECTS.len()
    ));
    Ok(())
}
