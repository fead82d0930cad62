//! The reference of the language, made of the table.

use crate::explain::sentence;
use crate::key::FileKeys;
use crate::later;
use crate::schema::schema;
use crate::shape::{Key, Keys, Shape, Shaped};
use std::fmt::Write as _;

/// The generated documents: path in the repository and text. `cargo xtask bless` writes them, and a
/// test refuses others.
pub fn documents() -> Vec<(&'static str, String)> {
    let schema = serde_json::to_string_pretty(&schema()).expect("a schema is plain JSON");
    vec![
        ("docs/schema.json", schema + "\n"),
        ("docs/reference.md", reference()),
    ]
}

const HEAD: &str = "# Reference of `mainstay.yaml`

Made from the program's own table of keys by `cargo xtask bless`; do not edit.

- Maps merge, lists replace, and `null` deletes: so `environments.NAME` is laid over the file, and a service over the one it `extends`.
- A key that is not listed here is an error, as is a key that a later version has.
- Durations are whole numbers with `d`, `h`, `m`, `s` or `ms`: `1h30m`. Sizes end with `Ki`, `Mi`, `Gi` or `Ti` (powers of 1024), or `k`, `M`, `G` or `T` (of 1000). Shares end with `%`.
- `mainstay explain services.web.replicas` shows what holds in a file, and which line says so.
- For an editor, begin the file with `# yaml-language-server: $schema=` and the path that `mainstay schema` was written to.
";

/// The reference as Markdown: every key with type, default, meaning and example.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    let mut seen = Vec::new();
    section(&mut text, FileKeys::SHAPE, "", &mut seen);
    text.push_str("\n## Keys of later versions\n\nThese are refused, with what to do instead.\n\n");
    text.push_str("| key | in | what it needs | instead |\n| --- | --- | --- | --- |\n");
    for (place, row) in later::all() {
        let place = seen.iter().find(|(title, _)| *title == place);
        let place = place.map_or("the file", |(_, path)| path.as_str());
        let (name, what, instead) = (row.name, row.what, row.instead);
        writeln!(text, "| `{name}` | {place} | {what} | {instead} |")
            .expect("a String takes everything");
    }
    text
}

/// The section of a map, then those of the maps in it; each map once.
fn section(text: &mut String, shape: Shape, path: &str, seen: &mut Vec<(&'static str, String)>) {
    match shape {
        Shape::Value(_) => {}
        Shape::Names(names) => {
            let below = format!("{path}.{}", names.placeholder);
            section(text, names.value, &below, seen);
        }
        Shape::Map(keys) | Shape::Either(_, keys) => {
            if seen.iter().any(|(title, _)| *title == keys.title) {
                return;
            }
            let name = if path.is_empty() {
                "the file".to_owned()
            } else {
                format!("`{path}`")
            };
            seen.push((keys.title, name.clone()));
            table(text, keys, &name);
            for key in keys.rows {
                let below = if path.is_empty() {
                    key.name.to_owned()
                } else {
                    format!("{path}.{}", key.name)
                };
                section(text, key.shape, &below, seen);
            }
        }
    }
}

fn table(text: &mut String, keys: &Keys, name: &str) {
    let name = if name == "the file" { "The file" } else { name };
    write!(text, "\n## {name}\n\n{}\n\n", sentence(keys.docs)).expect("a String takes everything");
    text.push_str(
        "| key | takes | default | meaning | example |\n| --- | --- | --- | --- | --- |\n",
    );
    for key in keys.rows {
        row(text, key);
    }
}

fn row(text: &mut String, key: &Key) {
    let default = match (key.required, key.default_value(), key.default_text()) {
        (true, ..) => "required".to_owned(),
        (_, Some(value), _) => format!("`{value}`"),
        (_, None, Some(words)) => words.to_owned(),
        (_, None, None) => "none".to_owned(),
    };
    let (name, takes, meaning) = (key.name, key.shape.phrase(), sentence(key.docs));
    let example = key.example;
    writeln!(
        text,
        "| `{name}` | {takes} | {default} | {meaning} | `{name}: {example}` |"
    )
    .expect("a String takes everything");
}
