//! Each file in `scenarios/` is one situation and what the planner does about it. Read them in order.
//!
//! `MAINSTAY_BLESS=1 cargo test -p mainstay-plan` writes the outputs anew.

mod scene;

use scene::Scene;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const MARK: &str = "\n---\n";

#[test]
fn every_scenario_is_decided_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let bless = std::env::var_os("MAINSTAY_BLESS").is_some();
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(&folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let text = fs::read_to_string(&path).expect("it can be read");
        let (before, after) = text.split_once(MARK).unwrap_or((text.trim_end(), ""));
        let (title, input) = before
            .split_once("\n\n")
            .expect("a title, an empty line, a scene");
        assert!(
            title.ends_with('.') && !title.contains('\n'),
            "{}: a title",
            path.display()
        );
        let found = answer(&Scene::read(input), &path);
        let whole = format!("{before}{MARK}{found}");
        assert!(
            whole.lines().count() <= 60,
            "{} is too long",
            path.display()
        );
        count += 1;
        if bless {
            fs::write(&path, whole).expect("it can be written");
        } else if found != after {
            wrong.push(format!("{}\n{found}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nMAINSTAY_BLESS=1 accepts",
        wrong.join("\n")
    );
    assert!(count >= 25, "{count} scenarios");
}

fn answer(scene: &Scene, path: &Path) -> String {
    let decision = scene.decide();
    let plan = scene.plan(decision);
    let notes: Vec<String> = scene.notes(&plan).iter().map(ToString::to_string).collect();
    let mut text = String::new();
    for (index, step) in plan.steps.iter().enumerate() {
        writeln!(text, "{:2} {step}", index + 1).expect("a string takes it");
    }
    if plan.steps.is_empty() {
        text.push_str("nothing to do\n");
    }
    for line in &plan.report.stores {
        writeln!(text, "{line}").expect("a string takes it");
    }
    for line in &plan.report.services {
        writeln!(text, "{line}").expect("a string takes it");
    }
    for wait in &plan.report.waits {
        writeln!(text, "waits for {wait}").expect("a string takes it");
    }
    // A plan without the ports it needs is refused before anything is done.
    let refused = path
        .file_stem()
        .is_some_and(|stem| stem.to_string_lossy().contains("refused"));
    assert_eq!(
        !notes.is_empty(),
        refused,
        "{}: {}",
        path.display(),
        notes.join("; ")
    );
    for note in notes {
        writeln!(text, "refused: {note}").expect("a string takes it");
    }
    text
}
