//! The fuzz target's body over mutated valid files and scenarios, with a fixed seed.

mod body;

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

fn corpus() -> Vec<Vec<u8>> {
    let mut corpus = Vec::new();
    for folder in ["valid", "scenarios"] {
        let folder = format!("{}/tests/{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|file| file.expect("an entry").path())
            .collect();
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(file).expect("a text");
            let inputs = text
                .split("=== ")
                .map(|part| part.split("----------").next().unwrap_or(part));
            let inputs = inputs.map(|part| {
                part.split_once("mainstay: 1")
                    .map_or(part, |(_, rest)| rest)
            });
            corpus.extend(inputs.map(|rest| format!("mainstay: 1{rest}").into_bytes()));
        }
    }
    corpus
}

/// Fragments that grammars trip over.
const FRAGMENTS: [&str; 24] = [
    ": ",
    "\n",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!",
    "<<: ",
    "\t",
    "\"",
    "'",
    "|\n",
    ">-\n",
    "# ",
    "? ",
    "null",
    "\u{feff}",
    "é",
    "---\n",
    "%YAML",
    "extends: web",
];

fn mutate(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let at = dice.roll(bytes.len() + 1);
    let end = (at + dice.roll(20)).min(bytes.len());
    match dice.roll(6) {
        0 => {
            bytes.drain(at..end);
        }
        1 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        2 => {
            bytes.splice(at..at, FRAGMENTS[dice.roll(FRAGMENTS.len())].bytes());
        }
        3 if at < bytes.len() => bytes[at] = u8::try_from(dice.roll(256)).expect("a byte"),
        4 => {
            let from = dice.roll(other.len() + 1);
            let to = (from + dice.roll(60)).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        _ => bytes.truncate(bytes.len().max(1) - 1),
    }
}

#[test]
fn mutated_files_are_answered() {
    let corpus = corpus();
    assert!(corpus.len() > 90, "only {} files", corpus.len());
    let mut dice = Dice(20_261_122);
    for round in 0..6000 {
        let mut bytes = corpus[round % corpus.len()].clone();
        for _ in 0..=dice.roll(6) {
            let other = corpus[dice.roll(corpus.len())].clone();
            mutate(&mut bytes, &other, &mut dice);
        }
        body::answer(&bytes);
    }
}
