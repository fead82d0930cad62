//! Commands and what is shipped: `run`, `build`, `exec`, `artifact`.

use super::Walk;
use super::fields::{Field, Fields};
use crate::nearest::short;
use crate::node::{Content, Node};
use std::collections::BTreeSet;

/// Whether a program is looked up in `PATH`, in the artifact, or at its own place.
enum Program<'w> {
    Searched,
    Within(&'w str),
    Absolute,
    Outside,
}

impl Program<'_> {
    fn of(word: &str) -> Program<'_> {
        if word.starts_with('/') {
            Program::Absolute
        } else if !word.contains('/') {
            Program::Searched
        } else if word.split('/').any(|part| part == "..") {
            Program::Outside
        } else {
            Program::Within(word)
        }
    }
}

impl Walk<'_> {
    /// A program and its arguments; a text is split as a POSIX shell splits words, nothing else of
    /// a shell happens.
    pub(super) fn words(&mut self, field: &Field<'_, '_>) -> Option<Vec<String>> {
        let words = match &field.value().content {
            Content::List(items) => self.listed_words(field, items)?,
            Content::Scalar(scalar) => {
                let Some(words) = shlex::split(&scalar.text) else {
                    let message = format!("`{}` has a quote that is never closed", field.key.name);
                    self.add(
                        "wrong_value",
                        field.value().span,
                        &field.path,
                        message,
                        |fault| fault.hint("close the quote, or write a list of words"),
                    );
                    return None;
                };
                words
            }
            Content::Map(_) => {
                self.wrong_type(field, field.value(), None);
                return None;
            }
        };
        if words.first().is_none_or(String::is_empty) {
            let message = format!("`{}` names no program", field.key.name);
            let at = field.entry.key.span;
            self.add("wrong_value", at, &field.path, message, |fault| {
                fault.hint(format!(
                    "write for example `{}: {}`",
                    field.key.name, field.key.example
                ))
            });
            return None;
        }
        let text = words.iter().find(|word| word.contains('\0'));
        let fits = text.is_none_or(|text| self.without_zero(text, field.value(), &field.path));
        fits.then_some(words)
    }

    fn listed_words(&mut self, field: &Field<'_, '_>, items: &[Node]) -> Option<Vec<String>> {
        let mut words = Some(Vec::with_capacity(items.len()));
        for item in items {
            match (item.scalar().filter(|_| !item.is_null()), &mut words) {
                (Some(scalar), Some(words)) => words.push(scalar.text.clone()),
                (Some(_), None) => {}
                (None, _) => {
                    self.wrong_type(
                        field,
                        item,
                        Some("put each word that YAML reads otherwise into quotes".into()),
                    );
                    words = None;
                }
            }
        }
        words
    }

    /// `run` and `artifact`, which depend on each other.
    pub(super) fn program(
        &mut self,
        fields: &Fields<'_, '_>,
    ) -> Option<(Vec<String>, Vec<String>)> {
        let artifact = self.optional(fields, "artifact", Self::paths);
        let Some(field) = fields.get("run") else {
            if !self.is_incomplete(fields.path.name()) {
                self.missing(fields, "run", "name its program: `run: ./bin/web`");
            }
            return None;
        };
        let run = self.words(&field)?;
        match (Program::of(&run[0]), artifact.ok()?) {
            (Program::Outside, _) => {
                self.program_outside(&field, &run[0]);
                None
            }
            (Program::Within(program), None) => {
                let artifact = vec![normal(program)];
                Some((run, artifact))
            }
            (Program::Within(program), Some(artifact)) => {
                let fits =
                    self.program_is_shipped(&field, program, &artifact, fields.tries("artifact"));
                fits.then_some((run, artifact))
            }
            (Program::Searched | Program::Absolute, Some(artifact)) => Some((run, artifact)),
            (Program::Searched | Program::Absolute, None) => {
                self.artifact_needed(&field, &run[0], fields);
                None
            }
        }
    }

    fn program_outside(&mut self, field: &Field<'_, '_>, program: &str) {
        let message = format!("`{}` lies outside the file's folder", short(program));
        self.add(
            "wrong_value",
            field.value().span,
            &field.path,
            message,
            |fault| {
                fault
                .label("it would not be shipped with the release")
                .hint("let `build` copy it below the folder, or move the file up: `run: ./bin/web`")
            },
        );
    }

    fn artifact_needed(&mut self, field: &Field<'_, '_>, program: &str, fields: &Fields<'_, '_>) {
        if fields.tries("artifact") {
            return;
        }
        let program = short(program);
        let message = format!(
            "`{program}` is a program outside the folder, so `artifact` must say what is shipped"
        );
        let is_search = !program.contains('/');
        self.add("missing_key", field.value().span, &field.path, message, |fault| {
            fault.hint(if is_search {
                format!("add `artifact: [FILES]` (`[]` ships nothing), or `run: ./{program}` if it is a file of the folder")
            } else {
                "add `artifact: [FILES]`; `artifact: []` ships nothing".to_owned()
            })
        });
    }

    /// A relative program must be among what is shipped.
    fn program_is_shipped(
        &mut self,
        field: &Field<'_, '_>,
        program: &str,
        artifact: &[String],
        given: bool,
    ) -> bool {
        let program = normal(program);
        let holds = |entry: &String| {
            entry == "."
                || program == *entry
                || program
                    .strip_prefix(entry.as_str())
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        let shipped = !given || artifact.iter().any(holds);
        if !shipped {
            let message = format!("`{}` is not part of `artifact`", short(&program));
            let given = artifact
                .iter()
                .map(String::as_str)
                .chain([program.as_str()]);
            let all = given.collect::<Vec<_>>().join(", ");
            self.add(
                "wrong_value",
                field.value().span,
                &field.path,
                message,
                |fault| {
                    fault
                        .label("it would not be shipped with the release")
                        .hint(format!("write `artifact: [{}]`", short(&all)))
                },
            );
        }
        shipped
    }

    /// Paths below the file's folder.
    pub(super) fn paths(&mut self, field: &Field<'_, '_>) -> Option<Vec<String>> {
        let items = match &field.value().content {
            Content::List(items) => items.as_slice(),
            Content::Scalar(_) => std::slice::from_ref(field.value()),
            Content::Map(_) => {
                self.wrong_type(field, field.value(), None);
                return None;
            }
        };
        let mut paths: Vec<String> = Vec::with_capacity(items.len());
        let mut seen = BTreeSet::new();
        let mut fits = true;
        for item in items {
            match self.path_below(field, item) {
                Some(path) if !seen.insert(path.clone()) => {
                    fits = false;
                    let message = format!("`{}` is given twice", short(&path));
                    self.add("duplicate", item.span, &field.path, message, |fault| {
                        fault.hint("take one of the two away")
                    });
                }
                Some(path) => paths.push(path),
                None => fits = false,
            }
        }
        fits.then_some(paths)
    }

    fn path_below(&mut self, field: &Field<'_, '_>, item: &Node) -> Option<String> {
        let Some(scalar) = item.scalar().filter(|_| !item.is_null()) else {
            self.wrong_type(field, item, None);
            return None;
        };
        let text = scalar.text.as_str();
        let (problem, hint) = if text.starts_with('/') {
            (
                "is absolute",
                "name a file or folder below the file's folder; `build` may copy it there",
            )
        } else if text.split('/').any(|part| part == "..") {
            (
                "leaves the file's folder",
                "name a file or folder below the file's folder; `build` may copy it there",
            )
        } else if text.contains(['*', '?', '[', '\0']) {
            ("is a pattern", "name the folder that holds the files")
        } else if text.is_empty() {
            ("is empty", "write `.` for the whole folder")
        } else {
            return Some(normal(text));
        };
        let message = format!("`{}` {problem}", short(text));
        self.add("wrong_value", item.span, &field.path, message, |fault| {
            fault.hint(hint)
        });
        None
    }
}

/// A relative path without `.` and empty parts: `./bin//web` → `bin/web`.
fn normal(path: &str) -> String {
    let parts: Vec<_> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    }
}
