//! Five hundred single edits of valid files: each is found on the edited token or its key, with a
//! hint that names the fix; and mistakes that are planted together are found together.

use mainstay_faults::Fault;
use mainstay_spec::{check, parse_file};
use std::collections::BTreeMap;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

struct Mutation<'l> {
    file: &'l str,
    at: (usize, usize),
    old: &'l str,
    new: String,
    places: Vec<(usize, usize)>,
    fix: &'l str,
    line: &'l str,
}

fn place(text: &str) -> (usize, usize) {
    let (line, column) = text.split_once(':').expect("line:column");
    (
        line.parse().expect("a line"),
        column.parse().expect("a column"),
    )
}

fn list(text: &str) -> Vec<Mutation<'_>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<_> = line.split('\t').collect();
            let [file, _, at, old, new, places, fix] = fields[..] else {
                panic!("seven fields: {line}");
            };
            Mutation {
                file,
                at: place(at),
                old,
                new: new.replace("\\n", "\n"),
                places: places.split(" or ").map(place).collect(),
                fix,
                line,
            }
        })
        .collect()
}

fn offset(text: &str, (line, column): (usize, usize)) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    before + column - 1
}

fn read(file: &str) -> String {
    std::fs::read_to_string(format!("{FOLDER}/valid/{file}")).expect("a valid file")
}

fn apply(text: &str, mutation: &Mutation<'_>) -> String {
    let at = offset(text, mutation.at);
    let (before, rest) = text.split_at(at);
    let rest = rest
        .strip_prefix(mutation.old)
        .expect("the list fits the file");
    format!("{before}{}{rest}", mutation.new)
}

fn faults(file: &str, text: &str) -> Vec<Fault> {
    match parse_file(file, text.as_bytes()) {
        Err(faults) => faults,
        Ok(tree) => check(&tree, None, &[]).err().unwrap_or_default(),
    }
}

fn is_at(fault: &Fault, places: &[(usize, usize)]) -> bool {
    let place = fault.place.as_ref().map(|place| (place.line, place.column));
    place.is_some_and(|place| places.contains(&place))
}

#[test]
fn valid_files_are_valid() {
    for file in ["quickstart.yaml", "shop.yaml", "tools.yaml"] {
        assert_eq!(faults(file, &read(file)), Vec::new(), "{file}");
    }
}

#[test]
fn every_mutation_is_located_and_nearly_all_hints_name_the_fix() {
    let text = std::fs::read_to_string(format!("{FOLDER}/mutations.txt")).expect("the list");
    let mutations = list(&text);
    let (mut lost, mut unhelpful, mut noisy) = (Vec::new(), Vec::new(), Vec::new());
    for mutation in &mutations {
        let faults = faults(mutation.file, &apply(&read(mutation.file), mutation));
        let Some(fault) = faults.iter().find(|fault| is_at(fault, &mutation.places)) else {
            lost.push(format!("{}\n  {faults:?}", mutation.line));
            continue;
        };
        if !fault
            .hint
            .as_ref()
            .is_some_and(|hint| hint.contains(mutation.fix))
        {
            unhelpful.push(format!("{}\n  {:?}", mutation.line, fault.hint));
        }
        if faults.len() > 1 {
            noisy.push(format!(
                "{}\n  {:?}",
                mutation.line,
                faults
                    .iter()
                    .map(|fault| &fault.message)
                    .collect::<Vec<_>>()
            ));
        }
    }
    assert_eq!(mutations.len(), 500);
    assert!(
        lost.is_empty(),
        "{} not located:\n{}",
        lost.len(),
        lost.join("\n")
    );
    assert!(
        unhelpful.len() <= 50,
        "nine hints in ten name the fix:\n{}",
        unhelpful.join("\n")
    );
    assert!(
        noisy.len() <= 10,
        "one edit is one mistake:\n{}",
        noisy.join("\n")
    );
}

#[test]
fn independent_mistakes_are_found_in_one_run() {
    let text = std::fs::read_to_string(format!("{FOLDER}/mutations.txt")).expect("the list");
    let mutations = list(&text);
    let mut by_file: BTreeMap<&str, Vec<&Mutation<'_>>> = BTreeMap::new();
    for mutation in &mutations {
        // An edit of the version ends the reading of everything else; a line more moves the others.
        if mutation.at.0 > 2 && !mutation.new.contains('\n') {
            by_file.entry(mutation.file).or_default().push(mutation);
        }
    }
    let (mut planted, mut found) = (0, 0);
    for (file, planned) in by_file {
        for start in 0..planned.len() {
            // At most one edit a line, and far enough apart that one does not hide in another.
            let mut chosen: Vec<&Mutation<'_>> = Vec::new();
            for step in 0..8 {
                let next = planned[(start + step * 37) % planned.len()];
                if chosen
                    .iter()
                    .all(|known| known.at.0.abs_diff(next.at.0) > 12)
                {
                    chosen.push(next);
                }
            }
            chosen.sort_by_key(|mutation| std::cmp::Reverse(mutation.at));
            let mutated = chosen
                .iter()
                .fold(read(file), |text, mutation| apply(&text, mutation));
            let faults = faults(file, &mutated);
            planted += chosen.len();
            found += chosen
                .iter()
                .filter(|mutation| faults.iter().any(|fault| is_at(fault, &mutation.places)))
                .count();
        }
    }
    assert!(planted > 800, "only {planted} were planted");
    assert!(found * 100 >= planted * 95, "{found} of {planted}");
}
