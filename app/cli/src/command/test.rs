//! `test rules FILE`: rule tests in the form of promtool.

use crate::argument::Arguments;
use crate::failure::Failure;
use crate::terminal;
use mainstay_alerting::{
    FileFault, RuleGroup, TestReport, read_rule_tests, read_rules, run_rule_tests,
};
use mainstay_faults::{Exit, Source};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest run of one file of tests.
const LONGEST: Duration = Duration::from_secs(300);

pub(crate) fn rules(arguments: &Arguments, files: &[PathBuf]) -> Result<Exit, Failure> {
    let mut failed = false;
    let mut all = Vec::new();
    for file in files {
        let reports = one(file)?;
        failed |= reports.iter().any(|report| !report.failures.is_empty());
        if !arguments.json {
            tell(file, &reports);
        }
        all.push((file, reports));
    }
    if arguments.json {
        let report = |report: &TestReport| {
            let failures = report
                .failures
                .iter()
                .map(|one| serde_json::json!({ "line": one.place.line, "text": one.text }));
            serde_json::json!({
                "name": report.name,
                "checks": report.checks,
                "failures": failures.collect::<Vec<_>>(),
            })
        };
        let rows = all.iter().map(|(file, reports)| {
            let tests: Vec<_> = reports.iter().map(report).collect();
            serde_json::json!({ "file": file, "tests": tests })
        });
        terminal::json(&rows.collect::<Vec<_>>());
    }
    Ok(if failed { Exit::Yours } else { Exit::Done })
}

fn tell(file: &Path, reports: &[TestReport]) {
    let checks: usize = reports.iter().map(|report| report.checks).sum();
    let failures = reports.iter().flat_map(|report| &report.failures);
    let count = failures.clone().count();
    let mark = terminal::mark(if count == 0 { "✓" } else { "✗" });
    terminal::say_out(&format!(
        "{mark} {}: {} tests, {checks} expectations, {count} failed",
        file.display(),
        reports.len()
    ));
    for failure in failures {
        let place = format!("{}:{}", file.display(), failure.place.line);
        terminal::say_out(&format!(
            "  {place}\n    {}",
            failure.text.replace('\n', "\n    ")
        ));
    }
}

fn one(file: &Path) -> Result<Vec<TestReport>, Failure> {
    let name = file.display().to_string();
    let text = read(file)?;
    let tests = read_rule_tests(&name, &text).map_err(|faults| broken(&faults, &name, &text))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut groups: Vec<RuleGroup> = Vec::new();
    for path in &tests.rule_files {
        let path = folder.join(path);
        let (name, text) = (path.display().to_string(), read(&path)?);
        let read = read_rules(&name, &text).map_err(|faults| broken(&faults, &name, &text))?;
        groups.extend(read);
    }
    let began = Instant::now();
    Ok(run_rule_tests(&tests, &groups, &|| {
        began.elapsed() > LONGEST
    }))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|fault| {
        Failure::you(
            "file",
            format!("`{}` cannot be read: {fault}", path.display()),
        )
        .hint("name a file of tests, such as `rules_test.yml`")
    })
}

/// Mistakes of a file, each at its place.
pub(crate) fn broken(faults: &[FileFault], name: &str, text: &str) -> Failure {
    let shown: Vec<_> = faults.iter().map(FileFault::shown).collect();
    let source = Source::new(name, text.as_bytes());
    Failure::of_file(shown, vec![source])
}
