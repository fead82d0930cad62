//! The walk in the README: the commands that the tests know, in their order, run as they stand there.

use mainstay_e2e::platform::built;
use mainstay_e2e::story::WALK;
use mainstay_e2e::{Platform, process};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The command lines of the first console block below `## Try it`, without their comments.
fn commands(readme: &str) -> Option<Vec<String>> {
    let (_, section) = readme.split_once("\n## Try it\n")?;
    let (_, block) = section.split_once("```console\n")?;
    let (block, _) = block.split_once("\n```")?;
    let typed = block.lines().filter_map(|line| line.strip_prefix("$ "));
    let bare = typed.map(|line| line.split(" # ").next().unwrap_or(line));
    Some(bare.map(|line| line.trim().to_owned()).collect())
}

#[expect(clippy::print_stdout, reason = "a test that is not run says so")]
fn skipped(why: &str) {
    println!("skipped: {why}");
}

#[test]
fn comments_and_output_are_no_commands() {
    let readme = "# A\n\n## Try it\n\n```console\n$ one    # why\nits output\n$ two; three\n```\n";
    assert_eq!(
        commands(readme),
        Some(vec!["one".into(), "two; three".into()])
    );
    assert_eq!(commands("# A\n"), None);
}

#[test]
fn the_walk_stands_in_the_readme_and_works() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap_or_default();
    let Some(commands) = commands(&readme) else {
        return skipped("README.md has no section `## Try it`");
    };
    assert_eq!(commands, WALK);
    let works = alone(&["true"])
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        return skipped("`unshare -n` and `ip` need root and have to be there");
    }
    walk(&commands);
}

/// The first command of the README starts with `cargo run`, and that has to be the product.
#[test]
fn cargo_run_runs_mainstay() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--locked", "--", "version"])
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let fault = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("mainstay "), "{said}{fault}");
}

/// A command in a network of its own, where its ports are free.
fn alone(words: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    let script = "ip link set lo up && exec \"$@\"";
    command.args(["-n", "sh", "-c", script, "sh"]).args(words);
    command.stdin(Stdio::null());
    command
}

fn walk(commands: &[String]) {
    // Only its folder is used, and its guard, which ends whatever is left.
    let platform = Platform::new("readme");
    let clone = platform.folder().join("clone");
    let example = clone.join("examples/quickstart");
    fs::create_dir_all(example.join("bin")).expect("folders");
    fs::create_dir_all(clone.join("target/release")).expect("folders");
    std::os::unix::fs::symlink(built("mainstay"), clone.join("target/release/mainstay"))
        .expect("a link");
    let file = root().join("examples/quickstart/mainstay.yaml");
    fs::copy(file, example.join("mainstay.yaml")).expect("the quickstart's file");
    let sample = built("mainstay-sample");
    let build = format!("mkdir -p bin\ncp '{}' bin/\n", sample.display());
    fs::write(example.join("build.sh"), build).expect("a build");

    let mut script = String::from("set -e\ncargo() { shift 3; target/release/mainstay \"$@\"; }\n");
    script.push_str("mainstay() { ../../target/release/mainstay \"$@\"; }\n");
    for command in commands {
        // An alias is no command of a script; what it would stand for is defined above.
        let command = command.split("; alias").next().unwrap_or(command);
        let command = command.replace("mainstay plan; echo $?", "mainstay plan || echo $?");
        writeln!(script, "echo '$ {}'\n{command}", command.replace('\'', "")).expect("a text");
    }
    let mut command = alone(&["sh", "-c", &script]);
    command
        .current_dir(&clone)
        .env("HOME", platform.folder())
        .env("XDG_STATE_HOME", platform.folder().join("xdg"))
        .env_remove("MAINSTAY_STATE");
    let outcome = platform.finish(command).exits(0);
    let (out, talk) = (&outcome.out, &outcome.talk);
    for said in [
        "v1 serves",
        "hello from web v1",
        "1 visits",
        "STORE",
        "2/2",
        "\"hello\" → \"good morning\"",
        "\n3\n",
        "v2 serves",
        "v3 serves",
        "web runs v3",
        "complete, unaltered",
        "everything is stopped",
    ] {
        assert!(out.contains(said), "`{said}`\nout: {out}\ntalk: {talk}");
    }
    assert_eq!(process::below(&clone), vec![]);
}
