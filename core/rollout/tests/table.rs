//! The files in `tables/` are rows of `input → output` that a reader can check against the rules. A block
//! begins with a sentence, and settings in brackets; rows of a block follow one another.
//!
//! `MAINSTAY_BLESS=1 cargo test -p mainstay-rollout --test table` writes the outputs anew.

mod play;

use std::fs;
use std::path::Path;

const ARROW: &str = " → ";

/// Plays every row of a file; `begin` is called for each block with the settings that follow its title.
fn play<S>(file: &str, begin: impl Fn(&str) -> S, step: impl Fn(&mut S, &str) -> String) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/tables")
        .join(file);
    let text = fs::read_to_string(&path).expect("the table can be read");
    let (mut state, mut rows, mut whole, mut wrong) = (None, 0, String::new(), Vec::new());
    for line in text.lines() {
        let row = line
            .split_once(ARROW)
            .map_or(line, |(input, _)| input)
            .trim();
        let written = if row.is_empty() {
            String::new()
        } else if let Some(title) = row.strip_prefix("# ") {
            state = Some(begin(
                title
                    .split_once(" [")
                    .map_or("", |(_, settings)| settings.trim_end_matches(']')),
            ));
            row.to_owned()
        } else {
            rows += 1;
            let state = state.as_mut().expect("a block begins with a title");
            format!("{row:<44}{ARROW}{}", step(state, row))
        };
        let written = written.trim_end();
        if written != line {
            wrong.push(format!("written: {line}\nfound:   {written}"));
        }
        whole.push_str(written);
        whole.push('\n');
    }
    if std::env::var_os("MAINSTAY_BLESS").is_some() {
        fs::write(&path, whole).expect("the table can be written");
    } else {
        assert!(
            wrong.is_empty(),
            "{file}\n{}\nMAINSTAY_BLESS=1 accepts",
            wrong.join("\n")
        );
    }
    rows
}

#[test]
fn verdicts_are_as_written() {
    let rows = play("verdict.txt", |_| (), |(), row| play::verdict::row(row));
    assert!(rows >= 60, "{rows} rows");
}

#[test]
fn canaries_go_as_written() {
    let rows = play(
        "canary.txt",
        play::canary::Scene::new,
        play::canary::Scene::step,
    );
    assert!(rows >= 60, "{rows} rows");
}

#[test]
fn blue_green_goes_as_written() {
    let rows = play(
        "blue_green.txt",
        play::blue_green::Scene::new,
        play::blue_green::Scene::step,
    );
    assert!(rows >= 20, "{rows} rows");
}
