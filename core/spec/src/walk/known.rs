//! The names that a file declares, for those who refer to them.

use crate::node::Span;
use std::collections::BTreeMap;

/// What a name of the file stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thing {
    /// A service.
    Service,
    /// A job.
    Job,
    /// A store.
    Store,
}

impl Thing {
    /// With its article.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Service => "a service",
            Self::Job => "a job",
            Self::Store => "a store",
        }
    }

    /// The map of the file that declares it.
    pub(super) fn map(self) -> &'static str {
        match self {
            Self::Service => "services",
            Self::Job => "jobs",
            Self::Store => "stores",
        }
    }
}

/// What references to a name need to know of it.
pub(super) struct Facts<'t> {
    /// Its key.
    pub(super) at: Span,
    /// What it stands for.
    pub(super) thing: Thing,
    /// Whether it has a port or tries to.
    pub(super) port: bool,
    /// What it needs, with the place of each name.
    pub(super) needs: Vec<(&'t str, Span)>,
}

impl Facts<'_> {
    /// Of a name that needs nothing and has no port.
    pub(super) fn new(at: Span, thing: Thing) -> Self {
        Self {
            at,
            thing,
            port: false,
            needs: Vec::new(),
        }
    }
}

/// Services, jobs and stores by name, those with mistakes too, so that references to them are no second mistake.
pub(super) struct Known<'t> {
    /// Whether all of them could be read at all.
    pub(super) readable: bool,
    by_name: BTreeMap<&'t str, Facts<'t>>,
}

impl<'t> Known<'t> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            readable: true,
            by_name: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, name: &'t str, facts: Facts<'t>) {
        self.by_name.insert(name, facts);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Facts<'t>> {
        self.by_name.get(name)
    }

    /// The name as the tree holds it, with its facts.
    pub(super) fn entry(&self, name: &str) -> Option<(&'t str, &Facts<'t>)> {
        self.by_name
            .get_key_value(name)
            .map(|(name, facts)| (*name, facts))
    }

    /// Names of these things.
    pub(super) fn names(&self, things: &[Thing]) -> impl Iterator<Item = &'t str> {
        let of = move |(name, facts): (&&'t str, &Facts<'t>)| {
            things.contains(&facts.thing).then_some(*name)
        };
        self.by_name.iter().filter_map(of)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&'t str, &Facts<'t>)> {
        self.by_name.iter().map(|(name, facts)| (*name, facts))
    }
}
