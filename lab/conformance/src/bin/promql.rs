//! Plays every `.test` script of a folder: a line a file, `passed N of M` last.

use anyhow::{Context as _, Result};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    let folder = std::env::args()
        .nth(1)
        .map(PathBuf::from)
        .context("a folder of `.test` files is needed")?;
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "test"));
    files.sort();
    let mut out = std::io::stdout().lock();
    let (mut passed, mut cases, mut whole) = (0, 0, !files.is_empty());
    for file in &files {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(file)?;
        match mainstay_conformance::run(&text) {
            Ok(report) => {
                for fault in &report.faults {
                    writeln!(out, "  {name}:{fault}")?;
                }
                let verdict = if report.passed == report.cases {
                    "pass"
                } else {
                    "FAIL"
                };
                writeln!(
                    out,
                    "{verdict} {name} {} of {}",
                    report.passed, report.cases
                )?;
                passed += report.passed;
                cases += report.cases;
                whole &= report.passed == report.cases;
            }
            Err(fault) => {
                writeln!(out, "FAIL {name} {fault:#}")?;
                whole = false;
            }
        }
    }
    writeln!(out, "passed {passed} of {cases}")?;
    Ok(if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
