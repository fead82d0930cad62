//! Alertmanager configurations as a [`Routing`]; what is not carried over is said.

mod channel;
mod foreign;
mod global;

use crate::document::{Place, parse};
use crate::fault::FileFault;
use crate::interval;
use crate::matching;
use crate::reader::{Fields, Reader, Value};
use crate::receiver::Receiver;
use crate::route::{GroupBy, Inhibition, Route, Routing};
use global::Global;
use mainstay_metrics::{MatchOp, Matcher};
use std::collections::BTreeMap;

/// Something of a configuration that is not carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Where it stands.
    pub place: Place,
    /// Which key.
    pub path: String,
    /// What does not happen, and what does instead.
    pub text: String,
}

/// A configuration that was read.
#[derive(Debug, Clone)]
pub struct Imported {
    /// What it says.
    pub routing: Routing,
    /// What of it is not carried over.
    pub remarks: Vec<Remark>,
}

/// What all parts of a file are read with.
struct Import {
    reader: Reader,
    remarks: Vec<Remark>,
}

impl Import {
    fn remark(&mut self, place: Place, path: &str, text: impl Into<String>) {
        self.remarks.push(Remark {
            place,
            path: path.to_owned(),
            text: text.into(),
        });
    }
}

/// Reads an Alertmanager configuration. Files that it names are not read.
pub fn read_alertmanager(file: &str, text: &str) -> Result<Imported, Vec<FileFault>> {
    let Some(root) = parse(file, text).map_err(|fault| vec![fault])? else {
        let place = Place { line: 1, column: 1 };
        return Err(vec![FileFault::new(
            file,
            place,
            "route",
            "no route is given",
        )]);
    };
    let mut import = Import {
        reader: Reader::new(file),
        remarks: Vec::new(),
    };
    let root = Value {
        node: &root,
        path: String::new(),
    };
    let known = [
        "global",
        "route",
        "inhibit_rules",
        "receivers",
        "templates",
        "mute_time_intervals",
        "time_intervals",
        "tracing",
    ];
    let fields = import.reader.map(&root, &known);
    let routing = import.routing(&fields);
    let remarks = import.remarks;
    import.reader.end(Imported { routing, remarks })
}

impl Import {
    fn routing(&mut self, fields: &Fields<'_>) -> Routing {
        let global = Global::read(self, fields.get("global").as_ref());
        for key in ["templates", "tracing"] {
            if let Some(value) = fields.get(key) {
                self.remark(
                    value.place(),
                    &value.path,
                    format!("`{key}` is not read: messages have Mainstay's own form"),
                );
            }
        }
        let receivers = self.receivers(fields, &global);
        let intervals = self.intervals(fields);
        let route = self.root(fields);
        let used = route.all();
        let names: Vec<(String, Vec<String>)> = used
            .iter()
            .map(|route| {
                (
                    route.receiver.clone(),
                    [route.mute.clone(), route.active.clone()].concat(),
                )
            })
            .collect();
        self.known_names(fields, &names, &receivers, &intervals);
        Routing {
            route,
            receivers,
            inhibitions: self.inhibitions(fields),
            intervals,
            fallback: None,
            rotations: BTreeMap::new(),
            escalations: BTreeMap::new(),
        }
    }

    fn known_names(
        &mut self,
        fields: &Fields<'_>,
        names: &[(String, Vec<String>)],
        receivers: &BTreeMap<String, Receiver>,
        intervals: &BTreeMap<String, Vec<interval::TimeInterval>>,
    ) {
        let Some(route) = fields.get("route") else {
            return;
        };
        for (receiver, times) in names {
            if !receiver.is_empty() && !receivers.contains_key(receiver) {
                let message = format!("receiver `{receiver}` is used in a route, but not defined");
                self.reader.fault(route.place(), &route.path, message);
            }
            for name in times.iter().filter(|name| !intervals.contains_key(*name)) {
                let message = format!("time interval `{name}` is used in a route, but not defined");
                self.reader.fault(route.place(), &route.path, message);
            }
        }
    }

    fn receivers(&mut self, fields: &Fields<'_>, global: &Global) -> BTreeMap<String, Receiver> {
        let mut receivers = BTreeMap::new();
        let listed = fields
            .get("receivers")
            .map(|value| self.reader.list(&value));
        for value in listed.unwrap_or_default() {
            let receiver = self.receiver(&value, global);
            if receiver.name.is_empty() {
                self.reader
                    .fault(value.place(), &value.path, "a receiver needs a `name`");
            } else if receivers.contains_key(&receiver.name) {
                let message = format!("receiver `{}` is there already", receiver.name);
                self.reader.fault(value.place(), &value.path, message);
            } else {
                receivers.insert(receiver.name.clone(), receiver);
            }
        }
        receivers
    }

    fn intervals(&mut self, fields: &Fields<'_>) -> BTreeMap<String, Vec<interval::TimeInterval>> {
        let mut intervals = BTreeMap::new();
        for key in ["mute_time_intervals", "time_intervals"] {
            let listed = fields.get(key).map(|value| self.reader.list(&value));
            for value in listed.unwrap_or_default() {
                let fields = self.reader.map(&value, &["name", "time_intervals"]);
                let name = self.reader.text_of(&fields, "name");
                let times = fields.get("time_intervals");
                let times = times
                    .map(|value| interval::read(&mut self.reader, &value))
                    .unwrap_or_default();
                if name.is_empty() || intervals.insert(name.clone(), times).is_some() {
                    let message =
                        format!("a time interval needs a name of its own, found `{name}`");
                    self.reader.fault(value.place(), &value.path, message);
                }
            }
        }
        intervals
    }

    fn root(&mut self, fields: &Fields<'_>) -> Route {
        let Some(value) = fields.get("route") else {
            self.reader
                .fault(fields.place, "route", "no route is given");
            return Route::root("");
        };
        let mut root = self.route(&value, &Route::root(""));
        if root.receiver.is_empty() {
            self.reader.fault(
                value.place(),
                &value.path,
                "the root route must name a `receiver`",
            );
        }
        if !root.matchers.is_empty() || root.goes_on {
            let message =
                "the root route takes everything: it can have no matchers and cannot go on";
            self.reader.fault(value.place(), &value.path, message);
        }
        if !root.mute.is_empty() || !root.active.is_empty() {
            self.reader.fault(
                value.place(),
                &value.path,
                "the root route cannot be muted by intervals",
            );
        }
        root.identify();
        root
    }

    fn route(&mut self, value: &Value<'_>, parent: &Route) -> Route {
        let known = [
            "receiver",
            "group_by",
            "match",
            "match_re",
            "matchers",
            "mute_time_intervals",
            "active_time_intervals",
            "continue",
            "routes",
            "group_wait",
            "group_interval",
            "repeat_interval",
        ];
        let fields = self.reader.map(value, &known);
        let receiver = self.reader.text_of(&fields, "receiver");
        let mut route = Route {
            id: parent.id.clone(),
            receiver: if receiver.is_empty() {
                parent.receiver.clone()
            } else {
                receiver
            },
            matchers: self.matchers(&fields, ["match", "match_re", "matchers"]),
            goes_on: self.reader.truth_of(&fields, "continue").unwrap_or(false),
            group_by: self
                .group_by(&fields)
                .unwrap_or_else(|| parent.group_by.clone()),
            group_wait_ms: self
                .reader
                .duration_of(&fields, "group_wait")
                .unwrap_or(parent.group_wait_ms),
            group_interval_ms: self
                .above_zero(&fields, "group_interval")
                .unwrap_or(parent.group_interval_ms),
            repeat_interval_ms: self
                .above_zero(&fields, "repeat_interval")
                .unwrap_or(parent.repeat_interval_ms),
            mute: self.reader.texts_of(&fields, "mute_time_intervals"),
            active: self.reader.texts_of(&fields, "active_time_intervals"),
            routes: Vec::new(),
        };
        let children = fields.get("routes").map(|value| self.reader.list(&value));
        let children = children.unwrap_or_default();
        route.routes = children
            .iter()
            .map(|child| self.route(child, &route))
            .collect();
        route
    }

    fn above_zero(&mut self, fields: &Fields<'_>, key: &str) -> Option<i64> {
        let duration = self.reader.duration_of(fields, key)?;
        if duration == 0 {
            let place = fields.get(key).map_or(fields.place, |value| value.place());
            self.reader
                .fault(place, &fields.path, format!("`{key}` cannot be zero"));
        }
        Some(duration)
    }

    fn group_by(&mut self, fields: &Fields<'_>) -> Option<GroupBy> {
        let value = fields.get("group_by")?;
        let names = self.reader.texts_of(fields, "group_by");
        for (place, name) in names.iter().enumerate() {
            let message = if names[..place].contains(name) {
                format!("label `{name}` is there twice")
            } else if name.is_empty() {
                "a label's name cannot be empty".to_owned()
            } else {
                continue;
            };
            self.reader.fault(value.place(), &value.path, message);
        }
        if names.iter().any(|name| name == "...") {
            if names.len() > 1 {
                let message = "`...` stands for all labels and must be alone";
                self.reader.fault(value.place(), &value.path, message);
            }
            return Some(GroupBy::All);
        }
        Some(GroupBy::Labels(names))
    }

    /// Matchers under the keys for equal values, expressions, and texts of matchers.
    fn matchers(&mut self, fields: &Fields<'_>, keys: [&str; 3]) -> Vec<Matcher> {
        let mut found = Vec::new();
        for (key, op) in [(keys[0], MatchOp::Equal), (keys[1], MatchOp::Regex)] {
            for pair in self.reader.pairs_of(fields, key) {
                if pair.is_null && op == MatchOp::Regex {
                    let message = format!("the regular expression of `{}` is empty", pair.name);
                    self.reader.fault(pair.name_place, &pair.path, message);
                    continue;
                }
                match matching::matcher(&pair.name, op, &pair.value) {
                    Ok(matcher) => found.push(matcher),
                    Err(fault) => self.reader.fault(pair.place, &pair.path, fault.to_string()),
                }
            }
        }
        let listed = fields.get(keys[2]).map(|value| self.reader.list(&value));
        for value in listed.unwrap_or_default() {
            let text = self.reader.text(&value);
            match matching::matchers(&text) {
                Ok(matchers) => found.extend(matchers),
                Err(fault) => self
                    .reader
                    .fault(value.place(), &value.path, fault.to_string()),
            }
        }
        found
    }

    fn inhibitions(&mut self, fields: &Fields<'_>) -> Vec<Inhibition> {
        let known = [
            "name",
            "source_match",
            "source_match_re",
            "source_matchers",
            "target_match",
            "target_match_re",
            "target_matchers",
            "equal",
        ];
        let listed = fields
            .get("inhibit_rules")
            .map(|value| self.reader.list(&value));
        let mut found = Vec::new();
        for value in listed.unwrap_or_default() {
            let fields = self.reader.map(&value, &known);
            found.push(Inhibition {
                source: self.matchers(
                    &fields,
                    ["source_match", "source_match_re", "source_matchers"],
                ),
                target: self.matchers(
                    &fields,
                    ["target_match", "target_match_re", "target_matchers"],
                ),
                equal: self.reader.texts_of(&fields, "equal"),
            });
        }
        found
    }
}
