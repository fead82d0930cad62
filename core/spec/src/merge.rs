//! Laying one tree over another: maps merge, lists replace, `null` deletes.

use crate::budget;
use crate::nearest::{did_you_mean, listed, short};
use crate::node::{Entry, LayerId, Map, Node};
use crate::path::Path;
use crate::shape::{Names, Shape};
use crate::tree::mistake;
use mainstay_faults::{Fault, Source};
use std::collections::{BTreeMap, BTreeSet};

/// Lays trees over a base and collects what they may not do.
pub(crate) struct Merge<'s> {
    sources: &'s [Source],
    /// The layer that added values get; without one they keep theirs.
    layer: Option<LayerId>,
    /// Whether a `null` stays, for what is inherited later.
    keeps_null: bool,
    mistakes: Vec<Fault>,
}

impl<'s> Merge<'s> {
    /// Merges overlays of this layer; without one, a service over the one it extends.
    pub(crate) fn new(sources: &'s [Source], layer: Option<LayerId>) -> Self {
        Self {
            sources,
            layer,
            keeps_null: false,
            mistakes: Vec::new(),
        }
    }

    /// What the overlays may not do.
    pub(crate) fn into_mistakes(self) -> Vec<Fault> {
        self.mistakes
    }

    /// Lays `over` over `base`, both of this shape.
    pub(crate) fn lay(&mut self, base: &mut Node, over: &Node, shape: Shape, path: &Path<'_>) {
        let Some(map) = over.map() else {
            *base = self.taken(over);
            return;
        };
        let Some(base) = base.map_mut() else {
            *base = self.taken(over);
            return;
        };
        let outer = self.keeps_null;
        if self.layer.is_some() {
            self.keeps_null |= [&*base, map]
                .iter()
                .any(|map| map.entry("extends").is_some());
        }
        self.lay_map(base, map, shape, path);
        self.keeps_null = outer;
    }

    fn lay_map(&mut self, base: &mut Map, over: &Map, shape: Shape, path: &Path<'_>) {
        let index: BTreeMap<String, usize> = (base.keys().map(str::to_owned)).zip(0..).collect();
        let mut gone = BTreeSet::new();
        for entry in &over.entries {
            let below = path.key(&entry.key.text);
            let deletes = entry.value.is_null() && !self.keeps_null;
            match index.get(&entry.key.text) {
                Some(&at) if deletes => {
                    gone.insert(at);
                }
                Some(&at) => self.set(&mut base.entries[at], entry, shape, &below),
                None => self.add(base, entry, shape, &below),
            }
        }
        if !gone.is_empty() {
            let mut at = 0..;
            base.entries
                .retain(|_| at.next().is_none_or(|at| !gone.contains(&at)));
        }
    }

    /// One key that both have.
    fn set(&mut self, base: &mut Entry, over: &Entry, around: Shape, path: &Path<'_>) {
        let both_maps = base.value.map().is_some() && over.value.map().is_some();
        match around.child(&over.key.text) {
            Some(shape) if both_maps => {
                let layer = self.layer.unwrap_or(over.value.layer);
                self.lay(&mut base.value, &over.value, shape, path);
                base.others.push((over.key.span, layer));
            }
            _ => {
                base.others.push((base.key.span, base.value.layer));
                base.key.span = over.key.span;
                base.value = self.taken(&over.value);
            }
        }
        base.others.extend(&over.others);
    }

    /// One key that only the overlay has.
    fn add(&mut self, base: &mut Map, over: &Entry, around: Shape, path: &Path<'_>) {
        let null = over.value.is_null() && !self.keeps_null;
        match around {
            Shape::Names(names) if null || !names.open && self.layer.is_some() => {
                self.absent(over, names, base, path);
            }
            // `null` for a key of the language that is not set changes nothing.
            _ if null && around.child(&over.key.text).is_some() => {}
            _ => base.entries.push(Entry {
                key: over.key.clone(),
                value: self.taken(&over.value),
                others: over.others.clone(),
            }),
        }
    }

    /// A copy that belongs to the layer.
    fn taken(&self, over: &Node) -> Node {
        let mut node = over.clone();
        if let Some(layer) = self.layer {
            node.assign(layer);
        }
        node
    }

    /// A name that the file does not have.
    fn absent(&mut self, entry: &Entry, names: &Names, base: &Map, path: &Path<'_>) {
        if self.mistakes.len() > budget::FAULTS_KEPT {
            return;
        }
        let (noun, name) = (names.noun, short(&entry.key.text));
        let few = self.mistakes.len() <= budget::FAULTS;
        let near = few.then(|| did_you_mean(&entry.key.text, base.keys()));
        let hint = near.flatten().unwrap_or_else(|| {
            let known = listed(base.keys());
            if entry.value.is_null() {
                format!("`null` takes away what is there: {known}")
            } else {
                format!("declare it in the file itself, which has {known}")
            }
        });
        let message = format!("the file declares no {noun} `{name}`");
        let fault = mistake(self.sources, entry.key.span, "unknown_name", message);
        self.mistakes.push(fault.under(path.to_string()).hint(hint));
    }
}
