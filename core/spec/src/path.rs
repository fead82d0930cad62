//! Where a key is: `services.web.replicas`.

use std::fmt;

/// A key and the keys around it, borrowed from the tree while it is walked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    name: &'p str,
}

impl<'p> Path<'p> {
    /// The file itself.
    pub(crate) const ROOT: Path<'static> = Path {
        parent: None,
        name: "",
    };

    /// A key of this map.
    pub(crate) fn key<'c>(&'c self, name: &'c str) -> Path<'c>
    where
        'p: 'c,
    {
        Path {
            parent: Some(self),
            name,
        }
    }

    /// The map that holds the key.
    pub(crate) fn parent(&self) -> Path<'p> {
        self.parent.copied().unwrap_or(Self::ROOT)
    }

    /// The last key.
    pub(crate) fn name(&self) -> &'p str {
        self.name
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else {
            return Ok(());
        };
        if parent.parent.is_some() {
            write!(out, "{parent}.")?;
        }
        segment(out, self.name)
    }
}

/// One key: in quotes when it holds a dot or nothing, so that paths read back.
fn segment(out: &mut impl fmt::Write, name: &str) -> fmt::Result {
    if name.is_empty() || name.contains(['.', '"', '=']) {
        write!(out, "\"{name}\"")
    } else {
        out.write_str(name)
    }
}

/// Joins keys to a path.
pub(crate) fn join<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut text = String::new();
    for name in names {
        if !text.is_empty() {
            text.push('.');
        }
        segment(&mut text, name).expect("a String takes everything");
    }
    text
}

/// The first key of a path and the rest after its dot; a quoted key may hold dots.
pub(crate) fn split_first(path: &str) -> (&str, Option<&str>) {
    if let Some(quoted) = path.strip_prefix('"')
        && let Some(end) = quoted.find('"')
    {
        return (&quoted[..end], quoted[end + 1..].strip_prefix('.'));
    }
    match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    }
}

/// The keys by which a path may begin in a map that has these: the longest one that fits, so that
/// `domains.shop.example.to` needs no quotes; else the part before the first dot.
pub(crate) fn split_known<'a, 'k>(
    path: &'a str,
    known: impl Iterator<Item = &'k str>,
) -> (&'a str, Option<&'a str>) {
    let fits = known.filter(|name| {
        path.strip_prefix(*name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    match fits.max_by_key(|name| name.len()) {
        Some(name) if !name.is_empty() => {
            (&path[..name.len()], path[name.len()..].strip_prefix('.'))
        }
        _ => split_first(path),
    }
}
