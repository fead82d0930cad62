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

    /// Puts a set in place, as a block stores it.
    pub(crate) fn put(&mut self, name: Arc<str>, value: Arc<str>, numbers: RoaringBitmap) {
        self.by_name.entry(name).or_default().insert(value, numbers);
    }

    /// Says that the numbers below `count` are there.
    pub(crate) fn fill(&mut self, count: u32) {
        self.all.insert_range(0..count);
    }

    /// Series that fulfil every condition.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> RoaringBitmap {
        let mut selected: Option<RoaringBitmap> = None;
        // Conditions that name something come first: they leave little for the others.
        let (naming, filtering): (Vec<_>, Vec<_>) = matchers
            .iter()
            .partition(|matcher| !matcher.matches_empty());
        for matcher in naming {
            let found = self.with(matcher, true);
            selected = Some(match selected {
                Some(selected) => selected & found,
                None => found,
            });
            if selected.as_ref().is_some_and(RoaringBitmap::is_empty) {
                return RoaringBitmap::new();
            }
        }
        let mut selected = selected.unwrap_or_else(|| self.all.clone());
        for matcher in filtering {
            selected -= self.with(matcher, false);
        }
        selected
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
