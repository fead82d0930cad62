//! The merged tree → [`Platform`](crate::Platform), with every mistake on the way.

mod blue_green;
mod canary;
mod condition;
mod domain;
mod env;
mod fields;
mod file;
mod gate;
mod job;
mod known;
mod need;
mod probe;
mod program;
mod queue;
mod rolling;
mod scale;
mod service;
mod signals;
mod smoke;
mod status_page;
mod store;
mod value;

pub(crate) use file::platform;

use crate::budget;
use crate::node::{Node, Span};
use crate::path::Path;
use crate::shape::Shape;
use crate::store::Store;
use crate::tree::mistake;
use mainstay_faults::{Fault, Source, nearest};
use std::collections::{BTreeMap, BTreeSet};

/// Comparisons of names that suggestions may cost in one file.
const COMPARISONS: usize = 200_000;

/// A mistake was found and recorded, so there is no value.
#[derive(Clone, Copy)]
struct Reported;

/// What a walk needs everywhere: the texts that places point into, and the mistakes so far.
pub(crate) struct Walk<'s> {
    sources: &'s [Source],
    mistakes: Vec<Fault>,
    /// Mistakes that were not kept.
    unkept: usize,
    comparisons: usize,
    /// Services whose inherited keys are unknown because of another mistake.
    incomplete: BTreeSet<String>,
    /// The stores of the file, for those who need them.
    stores: BTreeMap<String, Store>,
    /// Stores with mistakes, of which that is not known.
    unread: BTreeSet<String>,
}

impl<'s> Walk<'s> {
    /// Begins a walk.
    pub(crate) fn new(sources: &'s [Source], incomplete: BTreeSet<String>) -> Self {
        Self {
            sources,
            mistakes: Vec::new(),
            unkept: 0,
            comparisons: 0,
            incomplete,
            stores: BTreeMap::new(),
            unread: BTreeSet::new(),
        }
    }

    /// The mistakes, and how many more there were.
    pub(crate) fn into_mistakes(self) -> (Vec<Fault>, usize) {
        (self.mistakes, self.unkept)
    }

    /// Whether keys of this service are unknown because of a mistake that was reported.
    fn is_incomplete(&self, service: &str) -> bool {
        self.incomplete.contains(service)
    }

    /// Whether so many mistakes were found that the details of further ones are never shown.
    fn is_full(&self) -> bool {
        self.mistakes.len() >= budget::FAULTS_KEPT
    }

    /// Records a mistake at a span.
    fn add(
        &mut self,
        code: &str,
        at: Span,
        path: &Path<'_>,
        message: String,
        say: impl FnOnce(Fault) -> Fault,
    ) {
        if self.is_full() {
            self.unkept += 1;
            return;
        }
        let fault = mistake(self.sources, at, code, message).under(path.to_string());
        self.mistakes.push(say(fault));
    }

    /// Records a mistake that a reader of its own found.
    fn push(&mut self, fault: Fault) {
        if self.is_full() {
            self.unkept += 1;
        } else {
            self.mistakes.push(fault);
        }
    }

    /// Records a mistake with its hint, for other parts of the crate.
    pub(crate) fn report(
        &mut self,
        code: &str,
        at: Span,
        path: &Path<'_>,
        message: String,
        hint: &str,
    ) {
        self.add(code, at, path, message, |fault| fault.hint(hint));
    }

    /// Checks the keys of a map, for other parts of the crate; whether it is one.
    pub(crate) fn is_map(&mut self, node: &Node, at: Span, shape: Shape, path: &Path<'_>) -> bool {
        self.fields(node, at, shape, path).is_some()
    }

    /// `did you mean …?` within the budget.
    fn did_you_mean<'n>(
        &mut self,
        word: &str,
        names: impl Iterator<Item = &'n str>,
    ) -> Option<String> {
        self.nearest(word, names)
            .map(|name| format!("did you mean `{name}`?"))
    }

    /// The nearest name within the budget.
    fn nearest<'n>(&mut self, word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
        let left = COMPARISONS.saturating_sub(self.comparisons);
        let comparisons = &mut self.comparisons;
        nearest(word, names.take(left).inspect(|_| *comparisons += 1))
    }

    /// `file:line` when it is another file than the reader looks at, else `line 12`.
    fn line(&self, there: Span, here: Span) -> String {
        if there.source == here.source {
            format!("line {}", there.line)
        } else {
            format!(
                "{}:{}",
                self.sources[there.source as usize].name, there.line
            )
        }
    }
}
