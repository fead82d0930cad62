//! `needs`: names that exist, ports that answer, and no cycle.

use super::Walk;
use super::fields::{Fields, deploys};
use super::known::{Facts, Known, Thing};
use crate::nearest::{listed, short};
use crate::node::{Content, Span};
use crate::path::Path;
use std::collections::{BTreeMap, BTreeSet};

impl Walk<'_> {
    /// Checks what every service needs.
    pub(super) fn needs(&mut self, known: &Known<'_>) {
        for (name, facts) in known.all() {
            let path = Path::ROOT;
            let path = path.key(facts.thing.map());
            let path = path.key(name);
            let path = path.key("needs");
            let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
            for &(needed, at) in &facts.needs {
                if let Some(&first) = seen.get(needed) {
                    let line = self.line(first, at);
                    let message = format!("`{}` is needed twice", short(needed));
                    self.add("duplicate", at, &path, message, |fault| {
                        fault
                            .label(format!("first in {line}"))
                            .hint("take one of the two away")
                    });
                    continue;
                }
                seen.insert(needed, at);
                match known.get(needed) {
                    None => {
                        let things = (&[Thing::Service, Thing::Store][..], "service or store");
                        self.unknown_name(known, things, (needed, at), &path, Some(name));
                    }
                    Some(_) if needed == name => {
                        let message = format!("`{}` needs itself", short(name));
                        self.add("cycle", at, &path, message, |fault| {
                            fault.hint("take the name out of `needs`")
                        });
                    }
                    Some(there) if there.thing == Thing::Job => {
                        let message = format!(
                            "`{}` is a job, and a job is not there to be called",
                            short(needed)
                        );
                        self.add("wrong_reference", at, &path, message, |fault| {
                            fault.hint(format!(
                                "to run it with a release, write `deploy: {{ before: [{}] }}`",
                                short(needed)
                            ))
                        });
                    }
                    Some(there) if there.thing == Thing::Service && !there.port => {
                        self.no_port(there, needed, at, &path);
                    }
                    Some(_) => {}
                }
            }
        }
        self.cycles(known);
    }

    /// Jobs that services run around a release.
    pub(super) fn release_jobs(&mut self, fields: &Fields<'_, '_>, known: &Known<'_>) {
        deploys(fields, |_, deploy, path| {
            for when in ["before", "after"] {
                let Some(Content::List(items)) = deploy.get(when).map(|node| &node.content) else {
                    continue;
                };
                for item in items {
                    let Some(scalar) = item.scalar().filter(|_| !item.is_null()) else {
                        continue;
                    };
                    self.release_job(known, (&scalar.text, item.span), &path.key(when));
                }
            }
        });
    }

    pub(super) fn release_job(
        &mut self,
        known: &Known<'_>,
        (name, at): (&str, Span),
        path: &Path<'_>,
    ) {
        match known.get(name) {
            None => self.unknown_name(known, (&[Thing::Job], "job"), (name, at), path, None),
            Some(facts) if facts.thing != Thing::Job => {
                let message = format!("`{}` is {}, not a job", short(name), facts.thing.noun());
                self.add("wrong_reference", at, path, message, |fault| {
                    fault.hint("name one of `jobs`")
                });
            }
            Some(_) => {}
        }
    }

    /// A name that no service has.
    pub(super) fn unknown_service(
        &mut self,
        known: &Known<'_>,
        name: &str,
        at: Span,
        path: &Path<'_>,
        but: Option<&str>,
    ) {
        if let Some(facts) = known.get(name) {
            let message = format!("`{}` is {}, not a service", short(name), facts.thing.noun());
            self.add("wrong_reference", at, path, message, |fault| {
                fault.hint("name one of `services`")
            });
            return;
        }
        self.unknown_name(known, (&[Thing::Service], "service"), (name, at), path, but);
    }

    /// A name that none of these things has.
    fn unknown_name(
        &mut self,
        known: &Known<'_>,
        (things, noun): (&[Thing], &str),
        (name, at): (&str, Span),
        path: &Path<'_>,
        but: Option<&str>,
    ) {
        if !known.readable {
            return;
        }
        if self.is_full() {
            self.unkept += 1;
            return;
        }
        let others = || known.names(things).filter(|other| Some(*other) != but);
        let hint = self.did_you_mean(name, others()).unwrap_or_else(|| {
            let all = listed(others());
            match noun {
                "service or store" => format!("services and stores of the file: {all}"),
                _ => format!("{noun}s of the file: {all}"),
            }
        });
        let message = format!("the file declares no {noun} `{}`", short(name));
        self.add("unknown_name", at, path, message, |fault| fault.hint(hint));
    }

    /// A service that is to be reached but takes no requests.
    pub(super) fn no_port(&mut self, there: &Facts<'_>, name: &str, at: Span, path: &Path<'_>) {
        let line = self.line(there.at, at);
        let message = format!("`{}` has no `port`, so it cannot be reached", short(name));
        self.add("missing_key", at, path, message, |fault| {
            fault
                .label(format!("`{}` is declared in {line}", short(name)))
                .hint(format!("add `port: 8080` to `{}`", short(name)))
        });
    }

    /// Reports each cycle once, at the need that stands last in the file.
    fn cycles(&mut self, known: &Known<'_>) {
        for cycle in Cycles::of(known) {
            let last = (0..cycle.len())
                .max_by_key(|&at| cycle[at].1.start)
                .unwrap_or(0);
            let (name, at) = (cycle[last].0, cycle[last].1);
            let count = cycle.len();
            let steps: Vec<String> = (0..count)
                .map(|step| {
                    let (from, span) = cycle[(last + step) % count];
                    let to = cycle[(last + step + 1) % count].0;
                    let line = if step == 0 {
                        String::new()
                    } else {
                        format!(" ({})", self.line(span, at))
                    };
                    format!("{} needs {}{line}", short(from), short(to))
                })
                .collect();
            let label = match steps.as_slice() {
                [front @ .., end] if !front.is_empty() => {
                    let shown: Vec<&str> = front.iter().take(10).map(String::as_str).collect();
                    format!("{}, and {end}", shown.join(", "))
                }
                _ => steps.join(""),
            };
            let path = Path::ROOT;
            let map = known
                .get(name)
                .map_or("services", |facts| facts.thing.map());
            let path = path.key(map);
            let path = path.key(name);
            let path = path.key("needs");
            self.add("cycle", at, &path, "`needs` forms a cycle".to_owned(), |fault| {
                fault.label(label).hint("take one of these names out of its `needs`: the services cannot all start first")
            });
        }
    }
}

/// A search for cycles that visits each service once, on its own stack.
struct Cycles<'t, 'k> {
    known: &'k Known<'t>,
    /// Services that are done with, or on the trail.
    visited: BTreeMap<&'t str, bool>,
    found: Vec<Vec<(&'t str, Span)>>,
    /// Services of the cycles found so far.
    reported: BTreeSet<&'t str>,
}

impl<'t, 'k> Cycles<'t, 'k> {
    /// Cycles of two services and more: each need that leads back onto the trail makes one, and a
    /// service is reported in one cycle only.
    fn of(known: &'k Known<'t>) -> Vec<Vec<(&'t str, Span)>> {
        let mut search = Self {
            known,
            visited: BTreeMap::new(),
            found: Vec::new(),
            reported: BTreeSet::new(),
        };
        for (name, _) in known.all() {
            if !search.visited.contains_key(name) {
                search.visit(name);
            }
        }
        search.found
    }

    fn visit(&mut self, start: &'t str) {
        // Each service on the trail with the next of its needs to follow.
        let mut trail: Vec<(&'t str, usize)> = vec![(start, 0)];
        self.visited.insert(start, true);
        while let Some(&mut (name, ref mut next)) = trail.last_mut() {
            let needs = self.known.get(name).map_or(&[][..], |facts| &facts.needs);
            let Some(&(needed, _)) = needs.get(*next) else {
                self.visited.insert(name, false);
                trail.pop();
                continue;
            };
            *next += 1;
            let Some((needed, _)) = self.known.entry(needed) else {
                continue;
            };
            match self.visited.get(needed) {
                Some(true) if needed != name => self.cycle(&trail, needed),
                Some(_) => {}
                None => {
                    self.visited.insert(needed, true);
                    trail.push((needed, 0));
                }
            }
        }
    }

    /// The part of the trail from `needed` on, unless a service of it was reported already.
    fn cycle(&mut self, trail: &[(&'t str, usize)], needed: &str) {
        let from = trail
            .iter()
            .position(|(name, _)| *name == needed)
            .unwrap_or(0);
        let cycle: Vec<(&'t str, Span)> = trail[from..]
            .iter()
            .filter_map(|&(name, next)| {
                let need = self.known.get(name)?.needs.get(next.checked_sub(1)?)?;
                Some((name, need.1))
            })
            .collect();
        if !cycle.iter().any(|(name, _)| self.reported.contains(name)) {
            self.reported.extend(cycle.iter().map(|(name, _)| *name));
            self.found.push(cycle);
        }
    }
}
