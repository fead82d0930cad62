//! A parsed file, before any environment is chosen.

use crate::node::{Node, Span};
use mainstay_faults::{Fault, Move, Place, Source};

/// One file as a tree with places, and the mistakes that did not keep it from being read.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(crate) sources: Vec<Source>,
    pub(crate) root: Node,
    pub(crate) mistakes: Vec<Fault>,
    /// Port for plain HTTP where the file names none.
    pub(crate) http: u16,
}

/// Port for plain HTTP of a user's platform.
pub(crate) const HTTP: u16 = 8080;

/// Port for plain HTTP of a platform that is installed.
const INSTALLED_HTTP: u16 = 80;

impl Tree {
    /// The file of a platform that the system starts: where it names no port for HTTP, that is 80.
    #[must_use]
    pub fn installed(mut self) -> Self {
        self.http = INSTALLED_HTTP;
        self
    }

    /// The texts that places point into: the file. What a resolved file or its faults point into
    /// besides is given by [`crate::sources`].
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The environments that the file declares, in the order of the file.
    pub fn environments(&self) -> Vec<String> {
        let declared = self.root.map().and_then(|map| map.get("environments"));
        let names = declared.and_then(Node::map).map(crate::node::Map::keys);
        names.into_iter().flatten().map(str::to_owned).collect()
    }
}

/// The place of a span: clipped to its first line, at least one character wide.
pub(crate) fn place(sources: &[Source], span: Span) -> Place {
    let source = &sources[span.source as usize];
    let token = source
        .text
        .get(span.start as usize..span.end as usize)
        .unwrap_or("");
    let first = token.split(['\n', '\r']).next().unwrap_or("");
    Place {
        file: source.name.clone(),
        line: span.line as usize,
        column: span.column as usize,
        width: first.trim_end().chars().count().max(1),
    }
}

/// A fault of the user's at a span.
pub(crate) fn mistake(sources: &[Source], span: Span, code: &str, message: String) -> Fault {
    Fault::new(Move::You, code, message).at(place(sources, span))
}
