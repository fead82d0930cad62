//! Scenario files: a platform file, a command, and what the user is shown. `MAINSTAY_BLESS=1` writes
//! what is shown now; read the difference before keeping it.
//!
//! Each scenario begins with `=== TITLE`. Lines that begin with `$ ` are commands (`check`, or
//! `explain PATH`, with `-e` and `--set`), the input follows them, and what is shown stands below
//! the line of dashes.

use mainstay_faults::{Fault, Source, Style, render, render_all};
use mainstay_spec::{Explanation, Set, check, explain, parse_file, place_of, resolve, sources};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const LINE: &str = "----------";

struct Scenario {
    title: String,
    command: String,
    input: String,
    shown: String,
}

fn scenarios(text: &str) -> Vec<Scenario> {
    let parts = text.split("=== ").skip(1);
    parts
        .map(|part| {
            let (title, rest) = part.split_once('\n').expect("a title");
            let (command, rest) = match rest.strip_prefix("$ ") {
                Some(rest) => rest.split_once('\n').expect("a command"),
                None => ("check", rest),
            };
            let (input, shown) = rest.split_once(&format!("{LINE}\n")).unwrap_or((rest, ""));
            Scenario {
                title: title.into(),
                command: command.into(),
                input: input.into(),
                shown: shown.trim_end().into(),
            }
        })
        .collect()
}

/// What the command shows.
fn run(scenario: &Scenario) -> String {
    let words = shlex::split(&scenario.command).expect("a command");
    let (mut environment, mut sets, mut rest) = (None, Vec::new(), Vec::new());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-e" => environment = words.next(),
            "--set" => match Set::parse(&words.next().expect("a set")) {
                Ok(set) => sets.push(set),
                Err(fault) => return render(&fault, &[], Style::default()),
            },
            _ => rest.push(word),
        }
    }
    let bytes = scenario.input.as_bytes();
    let environment = environment.as_deref();
    let result = parse_file("mainstay.yaml", bytes).map_err(|faults| {
        let source = Source::new("mainstay.yaml", bytes);
        render_all(&faults, &[source], Style::default())
    });
    let tree = match result {
        Ok(tree) => tree,
        Err(shown) => return shown,
    };
    let refused =
        |faults: Vec<Fault>| render_all(&faults, &sources(&tree, &sets), Style::default());
    match rest.first().map(String::as_str) {
        Some("explain") => match resolve(&tree, environment, &sets) {
            Err(faults) => refused(faults),
            Ok(resolved) => {
                let shown = rest[1..].iter().map(|path| match explain(&resolved, path) {
                    Ok(explanation) => {
                        let place = place_of(&resolved, path).expect("a place");
                        shown(&explanation, place.line)
                    }
                    Err(fault) => render(&fault, &[], Style::default()),
                });
                shown.collect::<Vec<_>>().join("\n")
            }
        },
        _ => match check(&tree, environment, &sets) {
            Ok(all) => all
                .iter()
                .map(|resolved| {
                    format!(
                        "ok: {}, {}",
                        resolved.platform.name, resolved.platform.environment
                    )
                })
                .collect::<Vec<_>>()
                .join("\n"),
            Err(faults) => refused(faults),
        },
    }
}

fn shown(explanation: &Explanation, line: usize) -> String {
    let mut text = format!(
        "{}: {}\n",
        explanation.path,
        explanation.value.as_deref().unwrap_or("nothing")
    );
    let mut say = |name: &str, what: &str| writeln!(text, "  {name:8} {what}").expect("a String");
    say("takes", &explanation.kind);
    say("meaning", &explanation.meaning);
    if let Some(default) = &explanation.default {
        say("default", default);
    }
    for origin in &explanation.origins {
        let at = format!("{}:{}:{}", origin.file, origin.line, origin.column);
        say("set", &format!("{} ({at})", origin.what));
    }
    if explanation.is_default {
        say("set", &format!("by nobody; nearest line {line}"));
    }
    text
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios"));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of scenarios")
        .map(|file| file.expect("an entry").path())
        .collect();
    files.sort();
    files
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "blessing is asked for by the environment, in this test only"
)]
fn every_scenario_shows_what_it_says() {
    let (mut count, mut wrong) = (0, String::new());
    for file in files() {
        let text = std::fs::read_to_string(&file).expect("a scenario file");
        let head = text.split("=== ").next().expect("a head").to_owned();
        let mut blessed = head;
        for scenario in scenarios(&text) {
            count += 1;
            let now = run(&scenario);
            let now = now.trim_end();
            if now != scenario.shown {
                writeln!(wrong, "{}: {}\n{now}\n", file.display(), scenario.title)
                    .expect("a String");
            }
            let command = if scenario.command == "check" {
                String::new()
            } else {
                format!("$ {}\n", scenario.command)
            };
            write!(
                blessed,
                "=== {}\n{command}{}{LINE}\n{now}\n\n",
                scenario.title, scenario.input
            )
            .expect("a String");
        }
        if std::env::var("MAINSTAY_BLESS").is_ok() {
            std::fs::write(&file, blessed.trim_end().to_owned() + "\n")
                .expect("the file is writable");
            wrong.clear();
        }
    }
    assert!(count >= 60, "only {count} scenarios were found");
    assert!(
        wrong.is_empty(),
        "what is shown changed; after reading it, run `cargo xtask bless`:\n\n{wrong}"
    );
}
