//! What is linked into the binary: its licences and the crates that `deny.toml` bans, judged from
//! cargo's own metadata, so that nothing has to be installed for it (`cargo deny check` reads the same
//! file).

use crate::say;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// The crate that is the binary.
const BINARY: &str = "mainstay-cli";

/// Fails with every linked crate whose licence is not allowed, or that is banned.
pub(crate) fn run(root: &Path) -> Result<()> {
    let rules: Value = toml::from_str(&std::fs::read_to_string(root.join("deny.toml"))?)?;
    let allowed = allowed(&rules);
    let banned = banned(&rules);
    let metadata = metadata(root)?;
    let linked = linked(root)?;
    let packages = array(&metadata, "packages");
    let mut faults = Vec::new();
    let is_linked = |package: &&Value| {
        let (name, version) = (text(package, "name"), text(package, "version"));
        linked.contains(&format!("{name} {version}"))
    };
    for package in packages.filter(is_linked) {
        let (name, version) = (text(package, "name"), text(package, "version"));
        if let Some(reason) = banned.get(name) {
            faults.push(format!("{name} {version} is banned: {reason}"));
        }
        let licence = text(package, "license");
        if !is_allowed(licence, &allowed)? {
            faults.push(format!(
                "{name} {version} has the licence `{licence}`, which `deny.toml` does not allow"
            ));
        }
    }
    if !faults.is_empty() {
        bail!("linked into the binary:\n  {}", faults.join("\n  "));
    }
    say(&format!(
        "linked: {} crates, every licence allowed",
        linked.len()
    ));
    Ok(())
}

fn array<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn allowed(rules: &Value) -> BTreeSet<&str> {
    array(&rules["licenses"], "allow")
        .filter_map(Value::as_str)
        .collect()
}

fn banned(rules: &Value) -> BTreeMap<&str, &str> {
    let rows = array(&rules["bans"], "deny");
    rows.map(|row| (text(row, "crate"), text(row, "reason")))
        .collect()
}

/// An expression of SPDX holds when what is allowed satisfies it: one side of each `OR`.
fn is_allowed(licence: &str, allowed: &BTreeSet<&str>) -> Result<bool> {
    let expression = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX)
        .with_context(|| format!("the licence `{licence}` does not read"))?;
    Ok(expression.evaluate(|wanted| allowed.contains(wanted.to_string().as_str())))
}

fn metadata(root: &Path) -> Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root)
        .output()
        .context("cargo cannot be run")?;
    if !output.status.success() {
        bail!(
            "`cargo metadata` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Everything that is built into the binary, as `name version`. Cargo's metadata names crates too that a weak feature
/// of another one mentions and nobody builds, so its tree is asked.
fn linked(root: &Path) -> Result<BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", BINARY, "--edges", "normal"])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(root)
        .output()
        .context("cargo cannot be run")?;
    if !output.status.success() {
        bail!(
            "`cargo tree` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = String::from_utf8(output.stdout)?;
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        Some(format!("{name} {}", version.trim_start_matches('v')))
    };
    Ok(text.lines().filter_map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_side_of_an_or_is_enough_and_both_of_an_and_are_due() {
        let allowed = BTreeSet::from(["MIT", "Apache-2.0 WITH LLVM-exception", "ISC"]);
        for (licence, fine) in [
            ("MIT OR GPL-3.0-only", true),
            ("MIT/GPL-3.0", true),
            ("MIT AND GPL-3.0-only", false),
            ("ISC AND (MIT OR Zlib)", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("AGPL-3.0-only", false),
        ] {
            assert_eq!(is_allowed(licence, &allowed).unwrap(), fine, "{licence}");
        }
        assert!(is_allowed("", &allowed).is_err());
    }

    #[test]
    fn what_is_linked_is_allowed() {
        run(&crate::root()).unwrap();
    }
}
