//! Postings: which series have a label with a value, as compressed sets of numbers.

use crate::label::Labels;
use crate::matcher::{MatchOp, Matcher};
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// An index over label sets that have numbers.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    all: RoaringBitmap,
    by_name: HashMap<Arc<str>, BTreeMap<Arc<str>, RoaringBitmap>>,
}

impl Postings {
    /// Adds a series under its number.
    pub(crate) fn add(&mut self, number: u32, labels: &Labels) {
        self.all.insert(number);
        for label in labels {
            let values = self.by_name.entry(label.name.clone()).or_default();
            values
                .entry(label.value.clone())
                .or_default()
                .insert(number);
        }
    }

    /// Series that fulfil every condition.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> RoaringBitmap {
        select(
            matchers,
            || self.all.clone(),
            |matcher, fulfils| self.with(matcher, fulfils),
        )
    }

    /// Takes a series away.
    pub(crate) fn remove(&mut self, number: u32, labels: &Labels) {
        self.all.remove(number);
        for label in labels {
            let Some(values) = self.by_name.get_mut(&label.name) else {
                continue;
            };
            if let Some(set) = values.get_mut(&label.value) {
                set.remove(number);
                if set.is_empty() {
                    values.remove(&label.value);
                }
            }
            if values.is_empty() {
                self.by_name.remove(&label.name);
            }
        }
    }

    /// Series whose value of the label does, or does not, fulfil a condition.
    fn with(&self, matcher: &Matcher, fulfils: bool) -> RoaringBitmap {
        let Some(values) = self.by_name.get(&*matcher.name) else {
            return RoaringBitmap::new();
        };
        if matcher.op == MatchOp::Equal && fulfils {
            return values.get(&*matcher.value).cloned().unwrap_or_default();
        }
        let mut found = RoaringBitmap::new();
        for set in values
            .iter()
            .filter(|(value, _)| matcher.matches(value) == fulfils)
            .map(|(_, set)| set)
        {
            found |= set;
        }
        found
    }

    /// Every label, value and set, by name and value.
    pub(crate) fn sorted(&self) -> Vec<(&Arc<str>, &Arc<str>, &RoaringBitmap)> {
        let mut names: Vec<_> = self.by_name.iter().collect();
        names.sort_by_key(|(name, _)| *name);
        let pairs = names
            .into_iter()
            .flat_map(|(name, values)| values.iter().map(move |(value, set)| (name, value, set)));
        pairs.collect()
    }

    /// Names of labels, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.by_name.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }

    /// Values of a label, sorted.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let values = self.by_name.get(name).into_iter().flat_map(BTreeMap::keys);
        values.map(|value| &**value).collect()
    }
}

/// Series that fulfil every condition, where `with` yields those whose value of a condition's label does, or does
/// not, fulfil it.
pub(crate) fn select(
    matchers: &[Matcher],
    all: impl FnOnce() -> RoaringBitmap,
    with: impl Fn(&Matcher, bool) -> RoaringBitmap,
) -> RoaringBitmap {
    let mut selected: Option<RoaringBitmap> = None;
    // Conditions that name something come first: they leave little for the others.
    let (naming, filtering): (Vec<_>, Vec<_>) = matchers
        .iter()
        .partition(|matcher| !matcher.matches_empty());
    for matcher in naming {
        let found = with(matcher, true);
        selected = Some(match selected {
            Some(selected) => selected & found,
            None => found,
        });
        if selected.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return RoaringBitmap::new();
        }
    }
    let mut selected = selected.unwrap_or_else(all);
    for matcher in filtering {
        selected -= with(matcher, false);
    }
    selected
}
