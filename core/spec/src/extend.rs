//! `extends`: one service takes over the keys of another, one level.

use crate::budget;
use crate::key::ServiceKeys;
use crate::layer::{Layer, Layers};
use crate::merge::Merge;
use crate::nearest::{did_you_mean, listed, short};
use crate::node::{Entry, Map, Node};
use crate::path::Path;
use crate::shape::Shaped;
use crate::tree::mistake;
use mainstay_faults::{Fault, Source};
use std::collections::{BTreeMap, BTreeSet};

/// Replaces every service that extends another by both together.
pub(crate) fn extend(sources: &[Source], root: &mut Node, layers: &mut Layers) -> Extended {
    let services = root.map_mut().and_then(|map| map.entry_mut("services"));
    let Some(services) = services.and_then(|entry| entry.value.map_mut()) else {
        return Extended::default();
    };
    let mut extension = Extension {
        sources,
        extended: Extended::default(),
        index: services.keys().map(str::to_owned).zip(0..).collect(),
        nodes: 0,
    };
    let wholes: Vec<_> = (services.entries.iter())
        .map(|entry| extension.whole(services, entry, layers))
        .collect();
    for (entry, whole) in services.entries.iter_mut().zip(wholes) {
        if let Some(whole) = whole {
            entry.value = whole;
        }
    }
    extension.extended
}

/// What following `extends` brought to light.
#[derive(Default)]
pub(crate) struct Extended {
    pub(crate) mistakes: Vec<Fault>,
    /// Services whose inherited keys are unknown because of a mistake elsewhere.
    pub(crate) incomplete: BTreeSet<String>,
}

struct Extension<'s> {
    sources: &'s [Source],
    index: BTreeMap<String, usize>,
    /// Nodes copied so far: what is extended by many is copied many times.
    nodes: usize,
    extended: Extended,
}

impl Extension<'_> {
    /// The service with what it takes over; `None` when it takes over nothing.
    fn whole(&mut self, services: &Map, child: &Entry, layers: &mut Layers) -> Option<Node> {
        let own = child.value.map()?;
        let extends = own.entry("extends")?;
        let name = &extends.value.scalar()?.text;
        if extends.value.is_null() {
            return None;
        }
        let path = Path::ROOT;
        let path = path.key("services");
        let path = path.key(&child.key.text);
        let parent = match self.parent(services, child, extends) {
            Ok(parent) => parent,
            Err(fault) => {
                return Some(self.fails(child, fault.under(path.key("extends").to_string())));
            }
        };
        self.nodes += parent.count();
        if self.nodes > budget::NODES {
            let message = format!(
                "services that extend copy more than {} values",
                budget::NODES
            );
            let fault = mistake(self.sources, extends.value.span, "too_many_nodes", message);
            return Some(self.fails(child, fault.hint("split the file into several platforms")));
        }
        if parent.map().is_none_or(|map| map.entry("run").is_none()) {
            self.extended.incomplete.insert(child.key.text.clone());
        }
        let mut whole = parent.clone();
        whole.assign(layers.add(Layer::Extends(name.clone())));
        whole.span = child.value.span;
        let mut merge = Merge::new(self.sources, None);
        merge.lay(&mut whole, &child.value, ServiceKeys::SHAPE, &path);
        self.extended.mistakes.extend(merge.into_mistakes());
        whole.layer = child.value.layer;
        Some(whole)
    }

    /// Records why nothing is taken over; what was to be taken away is no mistake of its own.
    fn fails(&mut self, child: &Entry, fault: Fault) -> Node {
        self.extended.mistakes.push(fault);
        self.extended.incomplete.insert(child.key.text.clone());
        let mut alone = child.value.clone();
        alone.drop_nulls();
        alone
    }

    /// The service that is extended, or why it cannot be.
    fn parent<'m>(
        &self,
        services: &'m Map,
        child: &Entry,
        extends: &Entry,
    ) -> Result<&'m Node, Box<Fault>> {
        let name = &extends.value.scalar().map_or("", |scalar| &scalar.text);
        let fault = |code, message| mistake(self.sources, extends.value.span, code, message);
        if **name == child.key.text {
            let message = format!("`{}` extends itself", short(name));
            let fault = fault("cycle", message);
            return Err(Box::new(
                fault.hint("name another service, or take the key away"),
            ));
        }
        let parent = self.index.get(*name).map(|&at| &services.entries[at]);
        let Some(parent) = parent else {
            let message = format!("the file declares no service `{}`", short(name));
            let others = || services.keys().filter(|key| *key != child.key.text);
            let near = (self.extended.mistakes.len() <= budget::FAULTS)
                .then(|| did_you_mean(name, others()));
            let hint = near
                .flatten()
                .unwrap_or_else(|| format!("services of the file: {}", listed(others())));
            return Err(Box::new(fault("unknown_name", message).hint(hint)));
        };
        let further = parent.value.map().and_then(|map| map.get("extends"));
        if let Some(further) = further.filter(|node| !node.is_null()) {
            let text = further.scalar().map_or("", |scalar| &scalar.text);
            let line = further.span.line;
            let message = format!("`{}` itself extends `{}`", short(name), short(text));
            let fault = fault("extends_chain", message).label(format!("see line {line}"));
            return Err(Box::new(if text == child.key.text {
                fault.hint("two services cannot extend each other; let one of them stand alone")
            } else {
                fault.hint(format!(
                    "`extends` goes one level: `extends: {}`",
                    short(text)
                ))
            }));
        }
        Ok(&parent.value)
    }
}
