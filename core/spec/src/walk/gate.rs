//! `gates`: approvals, windows, freezes and checklists.

use super::Walk;
use super::fields::{Field, Fields};
use crate::gate::{ChecklistItem, Gates};
use crate::nearest::short;
use crate::node::{Entry, Span};
use mainstay_atoms::{Schedule, ScheduleFault, Wall, civil};
use mainstay_rollout::gate::{Approvals, Calendar, Freeze, Window};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl Walk<'_> {
    /// What lets a release begin.
    pub(super) fn gates(&mut self, fields: &Fields<'_, '_>) -> Option<Gates> {
        let Some(field) = fields.get("gates") else {
            return Some(Gates::default());
        };
        let at = field.entry.key.span;
        let fields = self.fields(field.value(), at, field.key.shape, &field.path)?;
        let approvals = self.optional(&fields, "approvals", Self::approvals);
        let windows = self.optional(&fields, "windows", |walk, field| {
            walk.all_of(field, Self::window)
        });
        let freezes = self.optional(&fields, "freezes", |walk, field| {
            walk.all_of(field, Self::freeze)
        });
        let checklist = self.optional(&fields, "checklist", |walk, field| {
            walk.all_of(field, Self::item)
        });
        let values = |all: Option<BTreeMap<String, Window>>| all.unwrap_or_default().into_values();
        Some(Gates {
            approvals: approvals.ok()?.filter(|approvals| approvals.need > 0),
            calendar: Calendar {
                windows: values(windows.ok()?).collect(),
                freezes: freezes.ok()?.unwrap_or_default().into_values().collect(),
            },
            checklist: checklist.ok()?.unwrap_or_default(),
        })
    }

    fn approvals(&mut self, field: &Field<'_, '_>) -> Option<Approvals> {
        let plain = |need: u64| Approvals {
            need: u32::try_from(need).unwrap_or(u32::MAX),
            from: BTreeSet::new(),
            not_author: true,
            expiry: Approvals::EXPIRY,
        };
        if field.value().scalar().is_some() {
            return self.whole(field).map(plain);
        }
        let at = field.entry.key.span;
        let fields = self.fields(field.value(), at, field.key.shape, &field.path)?;
        let need = self.optional(&fields, "need", Self::whole);
        let from = self.optional(&fields, "from", Self::people);
        let not_author = self.optional(&fields, "not_author", Self::boolean);
        let expiry = self.optional(&fields, "expiry", Self::duration);
        self.missing(&fields, "need", "say how many people: `need: 2`");
        let approvals = Approvals {
            from: from.ok()?.unwrap_or_default(),
            not_author: not_author.ok()?.unwrap_or(true),
            expiry: expiry.ok()?.unwrap_or(Approvals::EXPIRY),
            ..plain(need.ok()??)
        };
        self.enough(&fields, &approvals).then_some(approvals)
    }

    /// As many people must be named as are needed.
    fn enough(&mut self, fields: &Fields<'_, '_>, approvals: &Approvals) -> bool {
        let named = approvals.from.len();
        let enough = named == 0 || named >= approvals.need as usize;
        if let (false, Some(field)) = (enough, fields.get("from")) {
            let message = format!(
                "{} people are needed and {named} may approve, so no release could begin",
                approvals.need
            );
            let at = field.entry.key.span;
            self.add("conflict", at, &field.path, message, |fault| {
                fault.hint("name more people, or lower `need`")
            });
        }
        enough
    }

    fn people(&mut self, field: &Field<'_, '_>) -> Option<BTreeSet<String>> {
        let names = self.names(field);
        let mut people = BTreeSet::new();
        let mut fine = !names.is_empty();
        for (name, at) in names {
            if !is_person(name) {
                self.no_person(field, name, at);
                fine = false;
            } else if !people.insert(name.to_lowercase()) {
                let message = format!("`{}` is named twice", short(name));
                self.add("duplicate", at, &field.path, message, |fault| {
                    fault.hint("a person counts once; take one of the two away")
                });
                fine = false;
            }
        }
        fine.then_some(people)
    }

    fn no_person(&mut self, field: &Field<'_, '_>, name: &str, at: Span) {
        let message = format!("`{}` cannot be the name of a person", short(name));
        self.add("invalid_name", at, &field.path, message, |fault| {
            fault.hint("use a login name, or the name of a token")
        });
    }

    fn window(&mut self, fields: &Fields<'_, '_>, _: &Entry) -> Option<Window> {
        let lasts = self.optional(fields, "lasts", Self::duration);
        let zone = self.zone(fields);
        let opens = self.optional(fields, "opens", |walk, field| {
            walk.opens(field, zone.as_deref().unwrap_or("UTC"))
        });
        self.missing(
            fields,
            "opens",
            "say when it opens: `opens: \"0 9 * * mon-thu\"`",
        );
        self.missing(fields, "lasts", "say how long it stays open: `lasts: 7h`");
        zone?;
        Some(Window {
            opens: opens.ok()??,
            lasts: lasts.ok()??,
        })
    }

    pub(super) fn opens(&mut self, field: &Field<'_, '_>, zone: &str) -> Option<Schedule> {
        let cron = self.scalar(field)?;
        match Schedule::new(&cron.text, zone) {
            Ok(schedule) => Some(schedule),
            Err(fault) => {
                self.wrong_schedule(field, &fault);
                None
            }
        }
    }

    /// The zone of an entry; none when it is wrong.
    pub(super) fn zone(&mut self, fields: &Fields<'_, '_>) -> Option<String> {
        let Some(field) = fields.get("time_zone") else {
            return Some("UTC".to_owned());
        };
        let text = self.scalar(&field)?.text.clone();
        if matches!(Schedule::new("@daily", &text), Err(ScheduleFault::Zone)) {
            let hint = "use a name of the IANA database, such as `Europe/Berlin`";
            self.wrong_type(&field, field.value(), Some(hint.into()));
            return None;
        }
        Some(text)
    }

    fn freeze(&mut self, fields: &Fields<'_, '_>, entry: &Entry) -> Option<Freeze> {
        let zone = self.zone(fields);
        let moment = |walk: &mut Self, name: &str| {
            let zone = zone.as_deref().unwrap_or("UTC");
            walk.optional(fields, name, |walk, field| walk.civil(field, zone))
        };
        let from = moment(self, "from");
        let until = moment(self, "until");
        let reason = self.optional(fields, "reason", |walk, field| {
            Some(walk.scalar(field)?.text.clone())
        });
        self.missing(fields, "from", "say when it begins: `from: 2026-12-24`");
        self.missing(fields, "until", "say when it is over: `until: 2026-12-27`");
        let zone_is_fine = zone.is_some();
        let (from, until) = (from.ok()??, until.ok()??);
        if until <= from {
            let field = fields.get("until")?;
            let message = "a freeze ends after it begins".to_owned();
            self.add(
                "conflict",
                field.value().span,
                &field.path,
                message,
                |fault| fault.hint("`until` is the first moment after it; of a day, its beginning"),
            );
            return None;
        }
        zone_is_fine.then_some(Freeze {
            from,
            until,
            reason: reason.ok()?.unwrap_or_else(|| entry.key.text.clone()),
        })
    }

    fn civil(&mut self, field: &Field<'_, '_>, zone: &str) -> Option<Wall> {
        let at = civil(&self.scalar(field)?.text, zone);
        if at.is_none() {
            self.wrong_type(field, field.value(), None);
        }
        at
    }

    fn item(&mut self, fields: &Fields<'_, '_>, _: &Entry) -> Option<ChecklistItem> {
        let run = self.optional(fields, "run", Self::words);
        let timeout = self.optional(fields, "timeout", Self::duration);
        Some(ChecklistItem {
            run: run.ok()?,
            timeout: timeout.ok()?.unwrap_or(Duration::from_mins(1)),
        })
    }
}

/// A login name, or the name of a token.
fn is_person(name: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || "_.@-".contains(c);
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.len() <= 64 && name.starts_with(first) && name.chars().all(rest)
}
