//! The generator of `tests/mutations.txt`: single edits of valid files, with the place where each
//! must be found and what its hint must say. Written without the walker: it knows the table and the
//! tree alone.

use crate::key::FileKeys;
use crate::kind::Kind;
use crate::later::{elsewhere, later};
use crate::node::{Content, Entry, Node, Span};
use crate::parse::parse_file;
use crate::shape::{Shape, Shaped};
use crate::tree::Tree;
use mainstay_atoms::span;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

/// How many mutations are stored.
const COUNT: usize = 500;
const FILES: [&str; 3] = ["quickstart.yaml", "shop.yaml", "tools.yaml"];

/// One edit: at `at`, `old` becomes `new`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mutation {
    kind: &'static str,
    at: (u32, u32),
    old: String,
    new: String,
    /// Places where it may be found: the token, or its key.
    places: Vec<(u32, u32)>,
    /// What the hint must hold.
    fix: String,
}

/// Numbers from a seed (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides.max(1)
    }
}

/// Walks one file and gathers every mutation of it.
struct Gather<'t> {
    tree: &'t Tree,
    dice: Dice,
    services: BTreeSet<&'t str>,
    found: Vec<Mutation>,
}

fn at(span: Span) -> (u32, u32) {
    (span.line, span.column)
}

impl Gather<'_> {
    fn text(&self, span: Span) -> String {
        self.tree.sources[0].text[span.start as usize..span.end as usize].to_owned()
    }

    fn push(&mut self, kind: &'static str, token: Span, key: Span, new: &str, fix: &str) {
        let old = self.text(token);
        let mut places = vec![at(token)];
        if key != token {
            places.push(at(key));
        }
        if old != new {
            self.found.push(Mutation {
                kind,
                at: at(token),
                old,
                new: new.to_owned(),
                places,
                fix: fix.to_owned(),
            });
        }
    }

    /// A slip of the finger: a letter lost, doubled, swapped or hit beside.
    fn slip(&mut self, word: &str) -> Option<String> {
        let letters: Vec<char> = word.chars().collect();
        if letters.len() < 3 {
            return None;
        }
        let place = self.dice.roll(letters.len() - 1);
        let mut slipped = letters.clone();
        match self.dice.roll(4) {
            0 => {
                slipped.remove(place);
            }
            1 => slipped.insert(place, letters[place]),
            2 => slipped.swap(place, place + 1),
            _ => slipped[place] = if letters[place] == 'e' { 'w' } else { 'e' },
        }
        let slipped: String = slipped.into_iter().collect();
        (slipped != word).then_some(slipped)
    }

    fn walk(&mut self, node: &Node, shape: Shape) {
        let Some(map) = node.map() else {
            return;
        };
        for entry in &map.entries {
            self.key(entry, shape);
            self.duplicate(entry, map.flow);
            let Some(child) = shape.child(&entry.key.text) else {
                continue;
            };
            match child {
                Shape::Value(kind) => self.value(entry, kind),
                Shape::Either(kind, _) if entry.value.scalar().is_some() => self.value(entry, kind),
                _ => self.walk(&entry.value, child),
            }
        }
    }

    fn key(&mut self, entry: &Entry, shape: Shape) {
        let (key, text) = (entry.key.span, entry.key.text.clone());
        match shape {
            Shape::Map(keys) | Shape::Either(_, keys) => {
                for _ in 0..2 {
                    let Some(new) = self.slip(&text) else {
                        continue;
                    };
                    let known = keys.find(&new).is_some()
                        || later(keys.title, &new).is_some()
                        || elsewhere(keys.title, &new).is_some();
                    if !known {
                        self.push("misspelt key", key, key, &new, &format!("`{text}`"));
                    }
                }
            }
            Shape::Names(names) => match names.noun {
                "domain" if !entry.value.is_null() => self.push(
                    "invalid name",
                    key,
                    key,
                    &text.to_uppercase(),
                    &format!("`{text}`"),
                ),
                "domain" => {
                    if let Some(new) = self.slip(&text).filter(|new| !new.starts_with('.')) {
                        self.push("dangling reference", key, key, &new, &format!("`{text}`"));
                    }
                }
                "route" if text.len() > 1 => {
                    self.push("invalid name", key, key, &text[1..], &format!("`{text}`"));
                }
                "variable" if text.contains('_') => self.push(
                    "invalid name",
                    key,
                    key,
                    &text.replace('_', "-"),
                    &format!("`{text}`"),
                ),
                "service" if self.services.contains(text.as_str()) && self.is_overlay(key) => {
                    if let Some(new) = self
                        .slip(&text)
                        .filter(|new| !self.services.contains(new.as_str()))
                    {
                        self.push("dangling reference", key, key, &new, &format!("`{text}`"));
                    }
                }
                _ => {}
            },
            Shape::Value(_) => {}
        }
    }

    fn is_overlay(&self, key: Span) -> bool {
        let environments = self
            .tree
            .root
            .map()
            .and_then(|map| map.entry("environments"));
        environments.is_some_and(|entry| key.start > entry.key.span.start)
    }

    /// The same line once more.
    fn duplicate(&mut self, entry: &Entry, flow: bool) {
        let (key, value) = (entry.key.span, entry.value.span);
        if flow || entry.value.map().is_some_and(|map| !map.flow) || value.line != key.line {
            return;
        }
        let line = Span {
            end: value.end,
            ..key
        };
        let text = self.text(line);
        if text.contains('\n') {
            return;
        }
        let indent = " ".repeat(key.column as usize - 1);
        let name = &entry.key.text;
        self.push(
            "duplicate",
            line,
            line,
            &format!("{text}\n{indent}{text}"),
            &format!("keep one of the two `{name}`"),
        );
        if let Some(last) = self.found.last_mut() {
            last.places = vec![(key.line + 1, key.column)];
        }
    }

    fn value(&mut self, entry: &Entry, kind: Kind) {
        let (token, key, name) = (entry.value.span, entry.key.span, entry.key.text.clone());
        let example = format!("`{name}: ");
        if let Content::List(items) = &entry.value.content {
            for item in items {
                self.item(item, key, kind);
            }
            self.push(
                "wrong type",
                token,
                key,
                "{ a: b }",
                if name == "run"
                    || name == "exec"
                    || name == "build"
                    || kind == Kind::Paths
                    || kind == Kind::Services
                {
                    &example
                } else {
                    ""
                },
            );
            return;
        }
        if entry.value.is_null() {
            return;
        }
        let text = entry
            .value
            .scalar()
            .map_or(String::new(), |scalar| scalar.text.clone());
        match kind {
            Kind::Version => {
                self.push("range", token, key, "2", "`mainstay: 1`");
                self.push("wrong type", token, key, "one", "`mainstay: 1`");
            }
            Kind::Label => self.push(
                "invalid name",
                token,
                key,
                &text.to_uppercase(),
                &format!("`{text}`"),
            ),
            Kind::Service => self.reference(token, key, &text),
            Kind::Whole { least, most } => {
                let ends = format!("from {least} to {most}");
                self.push("range", token, key, &(most + 1).to_string(), &ends);
                self.push("range", token, key, "-1", &ends);
                self.push("wrong type", token, key, "several", &example);
                self.push(
                    "wrong type",
                    token,
                    key,
                    &format!("\"{text}\""),
                    &format!("`{name}: {text}`"),
                );
                self.push("wrong type", token, key, &format!("[{text}]"), &example);
            }
            Kind::Span { least, most } => {
                let [low, high] = [least, most].map(|ms| span::format(Duration::from_millis(ms)));
                self.push(
                    "range",
                    token,
                    key,
                    "3649d",
                    &format!("from {low} to {high}"),
                );
                self.push("wrong type", token, key, "soon", &example);
                self.units(
                    token,
                    key,
                    &text,
                    &[
                        ("ms", "msec"),
                        ("s", ""),
                        ("s", " sec"),
                        ("s", "S"),
                        ("m", "min"),
                        ("h", "hours"),
                    ],
                );
            }
            _ => self.value_of_its_own(token, key, &name, &text, kind),
        }
    }

    /// Kinds with a notation of their own.
    fn value_of_its_own(&mut self, token: Span, key: Span, name: &str, text: &str, kind: Kind) {
        let example = format!("`{name}: ");
        match kind {
            Kind::Memory => {
                self.units(
                    token,
                    key,
                    text,
                    &[
                        ("Mi", "MB"),
                        ("Mi", "mb"),
                        ("Mi", " Mi"),
                        ("Mi", ""),
                        ("Gi", "GB"),
                        ("Gi", "g"),
                    ],
                );
                self.push("range", token, key, "900Ti", "from 1Mi to 64Ti");
            }
            Kind::Cores => {
                self.units(
                    token,
                    key,
                    text,
                    &[
                        ("m", "millicores"),
                        ("m", " m"),
                        ("0.5", "0.5 cores"),
                        ("2", "2cpu"),
                    ],
                );
                self.push("range", token, key, "2000", "`2000m`");
            }
            Kind::Amount => {
                self.units(token, key, text, &[("%", " %"), ("%", "percent")]);
                self.push("range", token, key, "250%", "from `0%` to `100%`");
                self.push("range", token, key, "5000", "from 0 to 1000");
                self.push("wrong type", token, key, "some", &example);
            }
            Kind::UrlPath => {
                self.push("wrong type", token, key, &text[1..], &format!("`{text}`"));
                self.push(
                    "wrong type",
                    token,
                    key,
                    &format!("http://localhost{text}"),
                    &format!("`{text}`"),
                );
            }
            Kind::Signal => {
                let short = text.trim_start_matches("SIG").to_owned();
                self.push(
                    "wrong type",
                    token,
                    key,
                    &text.to_lowercase(),
                    &format!("`{short}`"),
                );
                self.push("wrong type", token, key, "9", &example);
            }
            Kind::True => self.push("wrong type", token, key, "yes", "`tcp: true`"),
            Kind::Text => self.push("wrong type", token, key, &format!("[{text}]"), "quotes"),
            Kind::Way => self.push("wrong type", token, key, "roling", "`deploy: rolling`"),
            Kind::Words => {
                self.push("wrong type", token, key, "{ a: b }", &example);
                self.push("wrong type", token, key, "\"\"", &example);
            }
            Kind::Paths => self.push(
                "wrong value",
                token,
                key,
                &format!("/{text}"),
                "below the file's folder",
            ),
            _ => {}
        }
    }

    fn item(&mut self, item: &Node, key: Span, kind: Kind) {
        let text = item
            .scalar()
            .map_or(String::new(), |scalar| scalar.text.clone());
        match kind {
            Kind::Services => self.reference(item.span, key, &text),
            Kind::Paths => self.push(
                "wrong value",
                item.span,
                key,
                &format!("../{text}"),
                "below the file's folder",
            ),
            _ => {}
        }
    }

    fn reference(&mut self, token: Span, key: Span, text: &str) {
        for _ in 0..2 {
            if let Some(new) = self
                .slip(text)
                .filter(|new| !self.services.contains(new.as_str()))
            {
                self.push("dangling reference", token, key, &new, &format!("`{text}`"));
            }
        }
    }

    /// The value with another unit in the place of the right one.
    fn units(&mut self, token: Span, key: Span, text: &str, swaps: &[(&str, &str)]) {
        for (right, wrong) in swaps {
            let letters = |text: &str| {
                text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                    .to_owned()
            };
            let fits = if right.starts_with(|c: char| c.is_ascii_digit()) {
                text == *right
            } else {
                letters(text) == *right
            };
            if let (true, Some(number)) = (fits, text.strip_suffix(right)) {
                self.push(
                    "wrong unit",
                    token,
                    key,
                    &format!("{number}{wrong}"),
                    &format!("`{text}`"),
                );
            }
        }
    }
}

fn mutations_of(file: &str, seed: u64) -> Vec<Mutation> {
    let path = format!("{}/tests/valid/{file}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).expect("a valid file");
    let tree = parse_file(file, &bytes).expect("a valid file");
    let services = tree.root.map().and_then(|map| map.get("services"));
    let services = services
        .and_then(Node::map)
        .expect("services")
        .keys()
        .collect();
    let mut gather = Gather {
        tree: &tree,
        dice: Dice(seed),
        services,
        found: Vec::new(),
    };
    gather.walk(&tree.root, FileKeys::SHAPE);
    gather.found
}

/// The stored list: five hundred of all kinds, one a line, fields split by tabs.
fn list() -> String {
    let mut by_kind: BTreeMap<&str, Vec<(&str, Mutation)>> = BTreeMap::new();
    let mut dice = Dice(2026);
    for file in FILES {
        for mutation in mutations_of(file, 11).into_iter().collect::<BTreeSet<_>>() {
            by_kind
                .entry(mutation.kind)
                .or_default()
                .push((file, mutation));
        }
    }
    let mut chosen = Vec::new();
    while chosen.len() < COUNT && by_kind.values().any(|left| !left.is_empty()) {
        for left in by_kind.values_mut().filter(|left| !left.is_empty()) {
            let place = dice.roll(left.len());
            chosen.push(left.swap_remove(place));
        }
    }
    chosen.truncate(COUNT);
    chosen.sort();
    let mut text =
        "# file\tkind\tline:column\tfound there\tbecomes\tis shown at\thint holds\n".to_owned();
    for (file, mutation) in chosen {
        let place = |(line, column): &(u32, u32)| format!("{line}:{column}");
        let places: Vec<_> = mutation.places.iter().map(place).collect();
        writeln!(
            text,
            "{file}\t{}\t{}\t{}\t{}\t{}\t{}",
            mutation.kind,
            place(&mutation.at),
            mutation.old,
            mutation.new.replace('\n', "\\n"),
            places.join(" or "),
            mutation.fix
        )
        .expect("a String takes everything");
    }
    text
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "blessing is asked for by the environment, in this test only"
)]
fn the_stored_mutations_are_those_of_the_generator() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mutations.txt");
    let list = list();
    if std::env::var("MAINSTAY_BLESS").is_ok() {
        std::fs::write(path, &list).expect("the list is writable");
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == list,
        "tests/mutations.txt is out of date: run `cargo xtask bless`"
    );
    assert_eq!(list.lines().count(), COUNT + 1);
}
