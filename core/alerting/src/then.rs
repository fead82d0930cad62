//! `then:` of the file: what alerts do by themselves, read and held against what the platform has.
//!
//! A deed whose subject does not exist, or whose bounds are wider than the service's own, is a mistake of the file;
//! deeds that the platform cannot do yet are refused by their names.

use crate::action::{Action, Deed};
use crate::compile::AlertsFault;
use crate::file::AlertsFile;
use crate::near;
use crate::ready::{self, Ready};
use crate::span;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What a platform has that alerts may change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Services, with the fewest and most instances of those that are scaled.
    pub services: BTreeMap<String, Option<(i64, i64)>>,
    /// Jobs.
    pub jobs: BTreeSet<String>,
    /// Routes: host and path.
    pub routes: BTreeSet<String>,
    /// Alerts that its rules make; none: that is not asked.
    pub alerts: Option<BTreeSet<String>>,
}

const DEEDS: [&str; 5] = ["scale", "run", "pause", "raise_pool", "halt_ledger"];
const SETTINGS: [&str; 4] = ["for", "cool_down", "at_most", "dry_run"];
const SCALE: [&str; 5] = ["service", "by", "min", "max", "for"];

const DAY_MS: i64 = 86_400_000;

/// From one time to the next, where nothing is said: what was done has had time to show.
const COOL_DOWN_MS: i64 = 600_000;

/// Shortest and longest wait before it is done again.
const COOL_DOWNS: (i64, i64) = (1000, 7 * DAY_MS);

/// How long a count holds, where nothing is said: as with `mainstay scale`.
const LASTS_MS: i64 = 3_600_000;

/// Shortest and longest time that a count holds: as with `mainstay scale`.
const LASTS: (i64, i64) = (1000, 30 * DAY_MS);

/// Shortest and longest time that a route is paused.
const PAUSED: (i64, i64) = (1000, DAY_MS);

/// Times within a day, where nothing is said; and the most that can be said, which bounds what is remembered.
const DAILY: u32 = 24;
/// The most that can be said.
pub const DAILY_MAX: u32 = 288;

/// Most instances at once: more than a service may have.
const BY_MAX: i64 = 1000;

/// Everything that alerts do, in the order of the file; or every mistake.
pub fn read(file: &AlertsFile, subjects: &Subjects) -> Result<Vec<Action>, Vec<AlertsFault>> {
    let mut reader = Reader {
        subjects,
        actions: Vec::new(),
        faults: Vec::new(),
    };
    for (id, preset) in &file.preset {
        let Some(then) = &preset.then else { continue };
        let path = format!("preset.{id}.then");
        // An id that no rule has is told where presets are read.
        if let Some(rule) = ready::all().find(|rule| rule.id == id) {
            reader.never(&path, rule, preset.off);
            reader.all(&path, &rule.alert(), then);
        }
    }
    for (alert, then) in &file.then {
        let path = format!("then.{alert}");
        reader.known(&path, alert);
        reader.all(&path, alert, then);
    }
    if reader.faults.is_empty() {
        Ok(reader.actions)
    } else {
        Err(reader.faults)
    }
}

struct Reader<'s> {
    subjects: &'s Subjects,
    actions: Vec<Action>,
    faults: Vec<AlertsFault>,
}

impl Reader<'_> {
    fn fault(&mut self, path: &str, why: impl Into<String>) {
        self.faults.push(AlertsFault {
            path: path.to_owned(),
            why: why.into(),
        });
    }

    /// A rule that never runs does nothing.
    fn never(&mut self, path: &str, rule: &Ready, off: bool) {
        if off {
            self.fault(
                path,
                format!("rule `{}` is off, so it does nothing", rule.id),
            );
        } else if !rule.waits_for.is_empty() {
            let (id, waits) = (rule.id, rule.waits_for);
            self.fault(
                path,
                format!("rule `{id}` waits for {waits}, so it does nothing"),
            );
        }
    }

    fn known(&mut self, path: &str, alert: &str) {
        let Some(alerts) = &self.subjects.alerts else {
            return;
        };
        if !alerts.contains(alert) {
            let hint = near::hint(alert, alerts.iter());
            self.fault(path, format!("no rule makes an alert `{alert}`{hint}"));
        }
    }

    /// One deed, or a list of them.
    fn all(&mut self, path: &str, alert: &str, then: &Value) {
        match then {
            Value::Array(list) => {
                for (place, one) in list.iter().enumerate() {
                    self.one(&format!("{path}[{place}]"), alert, one);
                }
            }
            one => self.one(path, alert, one),
        }
    }

    fn one(&mut self, path: &str, alert: &str, then: &Value) {
        let Some(map) = then.as_object() else {
            let why = "it is one deed such as `{ run: heal, cool_down: 10m }`, or a list of them";
            return self.fault(path, why);
        };
        let before = self.faults.len();
        for key in map.keys() {
            let mut known = DEEDS.iter().chain(&SETTINGS);
            if !known.any(|known| known == key) {
                let names: Vec<String> = DEEDS
                    .iter()
                    .chain(&SETTINGS)
                    .map(ToString::to_string)
                    .collect();
                let hint = near::hint(key, names.iter());
                let why = format!("`{key}` is neither a deed nor a setting{hint}");
                self.fault(&format!("{path}.{key}"), why);
            }
        }
        let deeds: Vec<&str> = DEEDS
            .into_iter()
            .filter(|deed| map.contains_key(*deed))
            .collect();
        let deed = match deeds.as_slice() {
            [deed] => self.deed(path, deed, map),
            [] => {
                if self.faults.len() == before {
                    self.fault(
                        path,
                        format!("no deed is named; deeds are {}", quoted(&DEEDS)),
                    );
                }
                None
            }
            many => {
                let why = format!(
                    "{} stand in one entry; write a list, a deed each",
                    quoted(many)
                );
                self.fault(path, why);
                None
            }
        };
        if map.contains_key("for") && !deeds.is_empty() && !deeds.contains(&"pause") {
            let why = "`for` says how long a route is paused; a count has it in `scale: { … }`";
            self.fault(&format!("{path}.for"), why);
        }
        let cool_down_ms = self.span(path, map, "cool_down", COOL_DOWN_MS, COOL_DOWNS);
        let daily_max = self.daily(path, map.get("at_most"));
        let dry_run = self.truth(path, map.get("dry_run"));
        if let Some(deed) = deed
            && self.faults.len() == before
        {
            if self.is_said(alert, &deed) {
                return self.fault(path, format!("`{deed}` is said twice for `{alert}`"));
            }
            self.actions.push(Action {
                alert: alert.to_owned(),
                deed,
                cool_down_ms,
                daily_max,
                dry_run,
            });
        }
    }

    /// When it was done is remembered by its words, so the second of two would never be.
    fn is_said(&self, alert: &str, deed: &Deed) -> bool {
        let mut own = self.actions.iter().filter(|one| one.alert == alert);
        own.any(|one| one.deed.to_string() == deed.to_string())
    }

    fn deed(&mut self, path: &str, deed: &str, map: &Map<String, Value>) -> Option<Deed> {
        let (own, value) = (format!("{path}.{deed}"), &map[deed]);
        let not_yet = match deed {
            "scale" => return self.scale(&own, value),
            "run" => return self.run(&own, value),
            "pause" => return self.pause(path, map, value),
            "raise_pool" => "the connections of a store cannot be raised by an alert yet",
            _ => "there is no ledger for applications yet that could be halted",
        };
        self.fault(&own, not_yet);
        None
    }

    fn pause(&mut self, path: &str, map: &Map<String, Value>, route: &Value) -> Option<Deed> {
        let own = format!("{path}.pause");
        if !map.contains_key("for") {
            let why = "`for` is missing: how long the route is paused, such as `for: 10m`";
            self.fault(&own, why);
        }
        let lasts_ms = self.span(path, map, "for", 0, PAUSED);
        let Some(route) = route.as_str() else {
            self.fault(
                &own,
                "it is the name of a route, such as `shop.example/api`",
            );
            return None;
        };
        if !self.subjects.routes.contains(route) {
            let hint = near::hint(route, self.subjects.routes.iter());
            self.fault(&own, format!("route `{route}` is not known{hint}"));
            return None;
        }
        Some(Deed::Pause {
            route: route.to_owned(),
            lasts_ms,
        })
    }

    fn run(&mut self, path: &str, value: &Value) -> Option<Deed> {
        let Some(job) = value.as_str() else {
            self.fault(path, "it is the name of a job");
            return None;
        };
        if !self.subjects.jobs.contains(job) {
            let hint = near::hint(job, self.subjects.jobs.iter());
            self.fault(path, format!("job `{job}` is not known{hint}"));
            return None;
        }
        Some(Deed::Run {
            job: job.to_owned(),
        })
    }

    fn scale(&mut self, path: &str, value: &Value) -> Option<Deed> {
        let Some(map) = value.as_object() else {
            self.fault(
                path,
                "it is a map such as `{ service: web, by: 2, max: 6 }`",
            );
            return None;
        };
        for key in map.keys().filter(|key| !SCALE.contains(&key.as_str())) {
            let known: Vec<String> = SCALE.iter().map(ToString::to_string).collect();
            let hint = near::hint(key, known.iter());
            self.fault(
                &format!("{path}.{key}"),
                format!("`{key}` is not known{hint}"),
            );
        }
        let (own_min, own_max) = self.bounds(path, map.get("service"))?;
        let service = map.get("service").and_then(Value::as_str)?.to_owned();
        let by = self.by(path, map.get("by"));
        let least = self.bound(path, map, "min", own_min);
        let most = self.bound(path, map, "max", own_max);
        if least < own_min {
            let why = format!("{least} is below the {own_min} of `services.{service}.scale.min`");
            self.fault(&format!("{path}.min"), why);
        }
        if most > own_max {
            let why = format!("{most} is above the {own_max} of `services.{service}.scale.max`");
            self.fault(&format!("{path}.max"), why);
        }
        if least > most {
            self.fault(
                path,
                format!("`min` is {least} and above `max`, which is {most}"),
            );
        }
        Some(Deed::Scale {
            service,
            by: by?,
            least,
            most,
            lasts_ms: self.span(path, map, "for", LASTS_MS, LASTS),
        })
    }

    /// The bounds of a service that is scaled.
    fn bounds(&mut self, path: &str, service: Option<&Value>) -> Option<(i64, i64)> {
        let path = format!("{path}.service");
        let Some(service) = service.and_then(Value::as_str) else {
            self.fault(&path, "the name of a service is missing");
            return None;
        };
        match self.subjects.services.get(service) {
            Some(Some(bounds)) => Some(*bounds),
            Some(None) => {
                let why = format!(
                    "`{service}` has a fixed count; give it `scale: {{ min, max, … }}` in place of `replicas`"
                );
                self.fault(&path, why);
                None
            }
            None => {
                let hint = near::hint(service, self.subjects.services.keys());
                self.fault(&path, format!("service `{service}` is not known{hint}"));
                None
            }
        }
    }

    fn by(&mut self, path: &str, by: Option<&Value>) -> Option<i64> {
        let path = format!("{path}.by");
        let number = by.and_then(Value::as_i64);
        match number {
            Some(0) => self.fault(&path, "`0` changes nothing; `2` adds two, `-1` takes one away"),
            Some(by) if by.abs() <= BY_MAX => return Some(by),
            _ => self.fault(
                &path,
                format!("a whole number from -{BY_MAX} to {BY_MAX} says how many are added; below zero they are taken away"),
            ),
        }
        None
    }

    fn bound(&mut self, path: &str, map: &Map<String, Value>, key: &str, otherwise: i64) -> i64 {
        let Some(value) = map.get(key) else {
            return otherwise;
        };
        value.as_i64().unwrap_or_else(|| {
            let why = format!("`{}` is not a whole number", shown(value));
            self.fault(&format!("{path}.{key}"), why);
            otherwise
        })
    }

    fn span(
        &mut self,
        path: &str,
        map: &Map<String, Value>,
        key: &str,
        otherwise: i64,
        (least, most): (i64, i64),
    ) -> i64 {
        let Some(value) = map.get(key) else {
            return otherwise;
        };
        let path = format!("{path}.{key}");
        let why = match value {
            Value::Number(number) => {
                format!("`{number}` has no unit; write for example `{number}s` or `{number}m`")
            }
            Value::String(text) => match span::parse(text) {
                Ok(span) if (least..=most).contains(&span) => return span,
                Ok(_) => {
                    let [least, most] = [least, most].map(span::format);
                    format!("`{text}` is not from {least} to {most}")
                }
                Err(fault) => fault.to_string(),
            },
            other => format!("`{}` is not a duration such as `10m`", shown(other)),
        };
        self.fault(&path, why);
        otherwise
    }

    /// `3/day`.
    fn daily(&mut self, path: &str, value: Option<&Value>) -> u32 {
        let Some(value) = value else { return DAILY };
        let number = value.as_str().and_then(|text| text.strip_suffix("/day"));
        let number = number.and_then(|number| number.trim().parse().ok());
        number
            .filter(|number| (1..=DAILY_MAX).contains(number))
            .unwrap_or_else(|| {
                let why = format!(
                    "`{}` does not say how often within a day; write `1/day` to `{DAILY_MAX}/day`",
                    shown(value)
                );
                self.fault(&format!("{path}.at_most"), why);
                DAILY
            })
    }

    fn truth(&mut self, path: &str, value: Option<&Value>) -> bool {
        let Some(value) = value else { return false };
        value.as_bool().unwrap_or_else(|| {
            let why = format!("`{}` is neither `true` nor `false`", shown(value));
            self.fault(&format!("{path}.dry_run"), why);
            false
        })
    }
}

/// A value as the file has it, short.
fn shown(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    text.chars().take(80).collect()
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
#[path = "then_test.rs"]
mod tests;
