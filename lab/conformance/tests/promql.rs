//! Plays our own scripts, and the field's acceptance scripts where `MAINSTAY_CONFORMANCE` names their folder.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::fs;
use std::path::Path;

fn play(folder: &Path) -> usize {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "test"));
    files.sort();
    let mut cases = 0;
    for file in &files {
        let report = mainstay_conformance::run(&fs::read_to_string(file).unwrap()).unwrap();
        assert!(
            report.faults.is_empty(),
            "{}:\n{}",
            file.display(),
            report.faults.join("\n")
        );
        cases += report.cases;
    }
    cases
}

#[test]
fn our_own_scripts_pass() {
    let cases = play(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts"));
    assert!(cases > 50, "{cases} cases");
}

#[test]
fn the_acceptance_scripts_pass() {
    let Some(root) = std::env::var_os("MAINSTAY_CONFORMANCE") else {
        eprintln!("skipped: `MAINSTAY_CONFORMANCE` names no folder with `promqltest`");
        return;
    };
    let cases = play(&Path::new(&root).join("promqltest"));
    eprintln!("passed {cases} of {cases}");
    assert!(cases > 0);
}

#[test]
fn a_wrong_answer_is_told() {
    let script = "load 1m\n  x 1 2\n\neval instant at 1m x\n  x 3\n\neval instant at 1m x +\n  expect fail msg:nothing\n";
    let report = mainstay_conformance::run(script).unwrap();
    assert_eq!((report.passed, report.cases), (0, 2));
    assert!(report.faults[0].starts_with("4 x\n"), "{:?}", report.faults);
}
