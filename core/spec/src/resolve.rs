//! One environment of a file: overlay, command line, `extends`, and the walk.

use crate::budget;
use crate::extend::extend;
use crate::faults::Faults;
use crate::key::EnvironmentKeys;
use crate::layer::{Layer, Layers};
use crate::merge::Merge;
use crate::nearest::{did_you_mean, listed, short};
use crate::node::{Entry, Node};
use crate::path::Path;
use crate::platform::Platform;
use crate::set::{self, Set};
use crate::shape::Shaped;
use crate::tree::{Tree, mistake};
use crate::walk::{self, Walk};
use mainstay_atoms::EnvironmentName;
use mainstay_faults::{Fault, Move, Source};
use std::collections::BTreeSet;
use std::sync::Arc;

/// One environment of a file, checked, with where every value came from.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What the file says.
    pub platform: Platform,
    pub(crate) sources: Arc<[Source]>,
    pub(crate) root: Node,
    pub(crate) layers: Layers,
}

impl Resolved {
    /// The texts that places point into.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }
}

/// The texts that places of [`resolve`] and [`check`] point into: the file, and the command line.
pub fn sources(tree: &Tree, sets: &[Set]) -> Vec<Source> {
    tree.sources
        .iter()
        .cloned()
        .chain(set::source(sets))
        .collect()
}

/// Resolves one environment: its overlay over the file, the command line over both, `extends`
/// after that. Without an environment it is `default`, which a file has that declares none.
///
/// Fails with all independent mistakes, in the order of the file, at most 100 of them and then one
/// of code [`mainstay_faults::MORE_FAULTS`].
pub fn resolve(
    tree: &Tree,
    environment: Option<&str>,
    sets: &[Set],
) -> Result<Resolved, Vec<Fault>> {
    let sources: Arc<[Source]> = sources(tree, sets).into();
    let mut faults = Faults::new(tree.mistakes.clone());
    match chosen(tree, &sources, environment) {
        Ok(name) => {
            let resolved = resolve_one(tree, Arc::clone(&sources), &name, sets, &mut faults);
            let resolved = faults.end(&sources, resolved)?;
            debug_assert_eq!(
                resolved.platform.unsound(),
                None,
                "what is checked is sound"
            );
            Ok(resolved)
        }
        Err(fault) => {
            faults.push(*fault);
            faults.end(&sources, None)
        }
    }
}

/// Checks every environment of a file, or the one that is given; what `mainstay check` shows.
pub fn check(
    tree: &Tree,
    environment: Option<&str>,
    sets: &[Set],
) -> Result<Vec<Resolved>, Vec<Fault>> {
    let declared = tree.environments();
    if environment.is_some() || declared.is_empty() {
        return resolve(tree, environment, sets).map(|resolved| vec![resolved]);
    }
    let sources: Arc<[Source]> = sources(tree, sets).into();
    let mut faults = Faults::new(tree.mistakes.clone());
    // A name that is none is reported by the walk, which then needs another one.
    let valid: Vec<_> = (declared.iter())
        .filter_map(|name| EnvironmentName::new(name.as_str()).ok())
        .collect();
    let names = if valid.is_empty() {
        vec![EnvironmentName::default_environment()]
    } else {
        valid
    };
    if names.len() * tree.root.count() > budget::CHECKED_NODES {
        faults.push(too_many(tree, &sources));
        return faults.end(&sources, None);
    }
    let all: Option<Vec<Resolved>> = names
        .iter()
        .map(|name| resolve_one(tree, Arc::clone(&sources), name, sets, &mut faults))
        // Every environment is walked before the first failure counts.
        .collect::<Vec<_>>()
        .into_iter()
        .collect();
    faults.add(overridden(tree, &sources), 0);
    faults.end(&sources, all)
}

/// More environments than a file of this size can be checked for.
fn too_many(tree: &Tree, sources: &[Source]) -> Fault {
    let key = tree.root.map().and_then(|map| map.entry("environments"));
    let span = key.map_or(tree.root.span, |entry| entry.key.span);
    let message = "the file has too many environments to check all of them".to_owned();
    mistake(sources, span, "too_many_nodes", message)
        .under("environments")
        .hint("check one at a time with `-e NAME`, or split the file")
}

/// Mistakes of single values, which are mistakes whether an environment replaces the value or not.
const LOCAL: [&str; 7] = [
    "wrong_type",
    "wrong_unit",
    "out_of_range",
    "wrong_value",
    "invalid_name",
    "unknown_key",
    "not_available",
];

/// Wrong values of the file itself that every environment may replace, so that no walk of an
/// environment sees them. What the file alone lacks is no mistake here.
fn overridden(tree: &Tree, sources: &Arc<[Source]>) -> Vec<Fault> {
    let mut faults = Faults::new(Vec::new());
    let name = EnvironmentName::default_environment();
    let mut alone = tree.clone();
    if let Some(map) = alone.root.map_mut() {
        map.entries.retain(|entry| entry.key.text != "environments");
    }
    resolve_one(&alone, Arc::clone(sources), &name, &[], &mut faults);
    let local = |fault: &Fault| LOCAL.contains(&fault.code.as_str());
    faults.into_kept().into_iter().filter(local).collect()
}

/// The environment that is meant.
fn chosen(
    tree: &Tree,
    sources: &[Source],
    environment: Option<&str>,
) -> Result<EnvironmentName, Box<Fault>> {
    let declared = tree.environments();
    let default = EnvironmentName::default_environment();
    let names = || declared.iter().map(String::as_str);
    let key = tree.root.map().and_then(|map| map.entry("environments"));
    let fault = |code: &str, message: String| {
        let place = key.map(|entry| crate::tree::place(sources, entry.key.span));
        Fault {
            place,
            path: key.map(|_| "environments".to_owned()),
            ..Fault::new(Move::You, code, message)
        }
    };
    match environment {
        None if declared.is_empty() => Ok(default),
        None => {
            let message = "the file declares environments, so one must be chosen".to_owned();
            let choices: Vec<_> = names()
                .map(|name| format!("`-e {}`", short(name)))
                .collect();
            let hint = format!("add {}", choices.join(" or "));
            Err(Box::new(fault("environment_required", message).hint(hint)))
        }
        Some(name)
            if names().any(|known| known == name)
                || declared.is_empty() && name == default.as_str() =>
        {
            EnvironmentName::new(name).map_err(|why| {
                let message = format!("`{}` cannot be an environment: {why}", short(name));
                Box::new(fault("invalid_name", message))
            })
        }
        Some(name) => {
            let message = format!("the file declares no environment `{}`", short(name));
            let hint = did_you_mean(name, names()).unwrap_or_else(|| {
                if declared.is_empty() {
                    "leave `-e` out; without `environments` there is one, `default`".into()
                } else {
                    format!("environments of the file: {}", listed(names()))
                }
            });
            Err(Box::new(fault("unknown_environment", message).hint(hint)))
        }
    }
}

/// One environment; its mistakes go to `faults`.
fn resolve_one(
    tree: &Tree,
    sources: Arc<[Source]>,
    name: &EnvironmentName,
    sets: &[Set],
    faults: &mut Faults,
) -> Option<Resolved> {
    let mut layers = Layers::new();
    let mut root = tree.root.clone();
    lay_overlay(tree, &sources, name, &mut root, &mut layers, faults);
    lay_sets(&sources, sets, &mut root, &mut layers, faults);
    let extended = extend(&sources, &mut root, &mut layers);
    faults.add(extended.mistakes, 0);
    let mut walk = Walk::new(&sources, extended.incomplete);
    let platform = walk::platform(&mut walk, &root, name, tree.http);
    let (mistakes, unkept) = walk.into_mistakes();
    faults.add(mistakes, unkept);
    Some(Resolved {
        platform: platform?,
        sources,
        root,
        layers,
    })
}

/// Lays the environment's part of the file over the rest.
fn lay_overlay(
    tree: &Tree,
    sources: &[Source],
    name: &EnvironmentName,
    root: &mut Node,
    layers: &mut Layers,
    faults: &mut Faults,
) {
    let overlays = tree.root.map().and_then(|map| map.get("environments"));
    let Some(entry) = overlays
        .and_then(Node::map)
        .and_then(|map| map.entry(name.as_str()))
    else {
        return;
    };
    let path = Path::ROOT;
    let path = path.key("environments");
    let own = path.key(name.as_str());
    if !is_overlay(entry, sources, &path, faults) {
        return;
    }
    let layer = layers.add(Layer::Overlay(name.as_str().to_owned()));
    let mut merge = Merge::new(sources, Some(layer));
    merge.lay(
        root,
        &known_part(&entry.value),
        EnvironmentKeys::SHAPE,
        &own,
    );
    faults.add(merge.into_mistakes(), 0);
}

/// Checks the keys of an overlay; whether it can be laid.
fn is_overlay(entry: &Entry, sources: &[Source], around: &Path<'_>, faults: &mut Faults) -> bool {
    let mut walk = Walk::new(sources, BTreeSet::new());
    let fits = walk.overlay(entry, around);
    let (mistakes, unkept) = walk.into_mistakes();
    faults.add(mistakes, unkept);
    fits
}

/// The overlay without keys that an environment does not have.
fn known_part(overlay: &Node) -> Node {
    let mut overlay = overlay.clone();
    if let Some(map) = overlay.map_mut() {
        map.entries
            .retain(|entry| EnvironmentKeys::SHAPE.child(&entry.key.text).is_some());
    }
    overlay
}

/// Lays the command line over everything.
fn lay_sets(
    sources: &[Source],
    sets: &[Set],
    root: &mut Node,
    layers: &mut Layers,
    faults: &mut Faults,
) {
    if sets.is_empty() {
        return;
    }
    let layer = layers.add(Layer::CommandLine);
    let (overlays, mistakes) = set::overlays(sets, sources, root);
    faults.add(mistakes, 0);
    let mut merge = Merge::new(sources, Some(layer));
    for overlay in &overlays {
        merge.lay(root, overlay, EnvironmentKeys::SHAPE, &Path::ROOT);
    }
    faults.add(merge.into_mistakes(), 0);
}

impl Walk<'_> {
    /// Checks an environment's own keys; whether it can be laid over the file.
    fn overlay(&mut self, entry: &Entry, around: &Path<'_>) -> bool {
        let path = around.key(&entry.key.text);
        if entry.value.is_null() {
            let name = short(&entry.key.text);
            let message = format!("the environment `{name}` says nothing");
            self.report(
                "no_value",
                entry.key.span,
                &path,
                message,
                &format!("write `{name}: {{}}` if it changes nothing"),
            );
            return false;
        }
        self.is_map(&entry.value, entry.key.span, EnvironmentKeys::SHAPE, &path)
    }
}
