//! Tasks of the repository: `cargo xtask ci` is what CI runs and what passes before a commit.

mod linked;
mod setup;
mod tidy;
mod walls;

use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const HELP: &str = "\
cargo xtask TASK

  ci       format, clippy, tidy, walls, licences, tests, documents; everything that must pass
  setup    install what tests and benchmarks need (Debian, as root), or say what to install
  tidy     rings, file headers, dead files, links of documents
  walls    prove that an effect in the core is refused
  linked   licences and bans of what is linked into the binary, by deny.toml
  bless    write generated files anew: docs/schema.json, docs/reference.md, docs/openapi.json
  conformance promql [DIR]   the scripts of the PromQL acceptance language: a line a file, `passed N of M`
  sim      lives of the simulator: --schedules N --seed S
  bench    a benchmark: gateway (beside nginx), gateway-trial, shift, deploys, control, ways,
           upgrade, upgrade-control, footprint, fleet, ledger, signals (beside prometheus), signals-kills, spec, scale, promql,
           crash (KILLS SEED: kill -9 at random points)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let done = match arguments.first().map(String::as_str) {
        Some("ci") => ci(),
        Some("setup") => setup::run(),
        Some("tidy") => tidy::run(&root()),
        Some("walls") => walls::run(&root()),
        Some("linked") => linked::run(&root()),
        Some("bless") => bless(),
        Some("conformance") => conformance(rest),
        Some("sim") => sim(rest),
        Some("bench") => bench(rest),
        _ => {
            say(HELP);
            return ExitCode::from(u8::from(!arguments.is_empty()));
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say(&format!("error: {fault:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a task talks to whoever runs it")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// The repository's folder.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Longest run of one command: what hangs must fail, and say so, before those who wait give up.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// Runs cargo in the repository, shown as it is typed, for [`LONGEST`] at most.
pub(crate) fn cargo(arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    cargo_within(Some(LONGEST), arguments, variables)
}

fn cargo_within(
    longest: Option<Duration>,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<()> {
    let began = Instant::now();
    say(&format!("$ cargo {}", arguments.join(" ")));
    let mut child = Command::new(env!("CARGO"))
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(root())
        .spawn()
        .context("cargo cannot be run")?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if let Some(limit) = longest.filter(|limit| began.elapsed() > *limit) {
            end(child.id());
            child.wait()?;
            let minutes = limit.as_secs() / 60;
            bail!(
                "`cargo {}` hung: ended after {minutes} minutes",
                arguments.join(" ")
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if !status.success() {
        bail!("`cargo {}` failed", arguments.join(" "));
    }
    say(&format!("  {:.0} s", began.elapsed().as_secs_f64()));
    Ok(())
}

/// Kills a process and all that it started, whichever of its threads did.
fn end(pid: u32) {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let children: String = threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .collect();
    // One that is gone already needs no kill.
    Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .ok();
    for child in children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
    {
        end(child);
    }
}

fn ci() -> Result<()> {
    let began = Instant::now();
    setup::run()?;
    cargo(&["fmt", "--all", "--check"], &[])?;
    tidy::run(&root())?;
    cargo(
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
        &[],
    )?;
    walls::run(&root())?;
    linked::run(&root())?;
    cargo(
        &[
            "build",
            "--locked",
            "--package",
            "mainstay-cli",
            "--package",
            "mainstay-sample",
        ],
        &[],
    )?;
    cargo(&["test", "--workspace", "--locked", "--no-fail-fast"], &[])?;
    cargo(
        &["doc", "--workspace", "--no-deps", "--locked"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )?;
    say(&format!(
        "ci passed after {:.0} s",
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn bless() -> Result<()> {
    let bless = [("MAINSTAY_BLESS", "1")];
    // The generator of stored lists and their reader are separate tests: the second run reads.
    for _ in 0..2 {
        cargo(
            &[
                "test",
                "--quiet",
                "--package",
                "mainstay-spec",
                "--package",
                "mainstay-server",
            ],
            &bless,
        )?;
    }
    Ok(())
}

/// Where the acceptance scripts are: named, or below the folder that the environment names.
fn conformance(arguments: &[String]) -> Result<()> {
    let suite = arguments.first().map(String::as_str);
    if suite != Some("promql") {
        bail!("`cargo xtask conformance promql [DIR]` is what there is");
    }
    let folder = match (arguments.get(1), std::env::var_os("MAINSTAY_CONFORMANCE")) {
        (Some(folder), _) => std::env::current_dir()?.join(folder),
        (None, Some(folder)) => PathBuf::from(folder).join("promqltest"),
        (None, None) => bail!(
            "no scripts are named\n\nhint: `cargo xtask conformance promql DIR`, or set `MAINSTAY_CONFORMANCE`"
        ),
    };
    let folder = folder.to_string_lossy().into_owned();
    let mut command = vec!["run", "--quiet", "--package", "mainstay-conformance"];
    command.extend(["--bin", "promql", "--", &folder]);
    cargo_within(None, &command, &[])
}

fn sim(arguments: &[String]) -> Result<()> {
    let value = |name: &str, default: &str| {
        let place = arguments.iter().position(|argument| argument == name);
        place
            .and_then(|place| arguments.get(place + 1))
            .cloned()
            .unwrap_or_else(|| default.into())
    };
    let (schedules, seed) = (value("--schedules", "20000"), value("--seed", "1"));
    cargo_within(
        None,
        &[
            "run",
            "--release",
            "--quiet",
            "--package",
            "mainstay-sim",
            "--bin",
            "lives",
            "--",
            &schedules,
            &seed,
        ],
        &[],
    )
}

fn bench(arguments: &[String]) -> Result<()> {
    if arguments.first().is_some_and(|name| name == "scale") {
        let mut command = vec!["run", "--release", "--quiet", "--package", "mainstay-sim"];
        command.extend(["--bin", "scale", "--"]);
        command.extend(arguments.iter().skip(1).map(String::as_str));
        return cargo_within(None, &command, &[]);
    }
    if arguments.first().is_some_and(|name| name == "promql") {
        let command = [
            "run",
            "--release",
            "--quiet",
            "--package",
            "mainstay-conformance",
        ];
        return cargo_within(None, &[&command[..], &["--bin", "cost"]].concat(), &[]);
    }
    let names: Vec<&str> = arguments.iter().map(String::as_str).collect();
    cargo(
        &[
            "build",
            "--release",
            "--package",
            "mainstay-cli",
            "--package",
            "mainstay-sample",
        ],
        &[],
    )?;
    let mut command = vec![
        "run",
        "--release",
        "--quiet",
        "--package",
        "mainstay-bench",
        "--bin",
        "bench",
        "--",
    ];
    command.extend(names);
    cargo_within(None, &command, &[])
}
