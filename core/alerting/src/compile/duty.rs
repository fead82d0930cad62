//! Rotations and escalations of the short form.

use super::Compiler;
use crate::duty::{Escalation, Level, Override, Rotation};
use crate::file::{EscalationFile, RotationFile, SwapFile};
use crate::near;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};

impl Compiler<'_> {
    fn zone(&mut self, path: &str, name: Option<&String>) -> TimeZone {
        let Some(name) = name else {
            return TimeZone::UTC;
        };
        TimeZoneDatabase::bundled().get(name).unwrap_or_else(|_| {
            self.fault(
                path,
                format!("time zone `{name}` is not known; write it as `Europe/Berlin`"),
            );
            TimeZone::UTC
        })
    }

    pub(super) fn rotation(&mut self, name: &str, file: &RotationFile) -> Option<Rotation> {
        let path = format!("on_call.{name}");
        let first = file
            .from
            .parse::<DateTime>()
            .or_else(|_| DateTime::strptime("%Y-%m-%d %H:%M", &file.from));
        let Ok(first) = first else {
            self.fault(
                &format!("{path}.from"),
                format!(
                    "`{}` is not a day and time such as `2026-03-02 09:00`",
                    file.from
                ),
            );
            return None;
        };
        if file.people.is_empty() {
            self.fault(&format!("{path}.people"), "nobody is named");
        }
        for person in &file.people {
            self.person(&format!("{path}.people"), person);
        }
        for swap in &file.swaps {
            self.person(&format!("{path}.swaps"), &swap.person);
        }
        if file.days == Some(0) {
            self.fault(&format!("{path}.days"), "a turn takes at least a day");
        }
        let mut hours = Vec::new();
        for name in &file.only {
            match self.times.get(name) {
                Some(times) => hours.extend(times.iter().cloned()),
                None => self.fault(
                    &format!("{path}.only"),
                    format!("time `{name}` is not known"),
                ),
            }
        }
        let swaps = file.swaps.iter();
        let overrides = swaps.filter_map(|swap| self.swap(&path, swap)).collect();
        Some(Rotation {
            name: name.to_owned(),
            people: file.people.clone(),
            others: self.file.people.keys().cloned().collect(),
            zone: self.zone(&format!("{path}.zone"), file.zone.as_ref()),
            first_day: first.date(),
            hand_over: first.time(),
            days: file.days.unwrap_or(7).max(1),
            hours,
            overrides,
        })
    }

    fn swap(&mut self, path: &str, swap: &SwapFile) -> Option<Override> {
        let time = |text: &str| {
            let time = text.parse::<jiff::Timestamp>().ok();
            time.map(jiff::Timestamp::as_millisecond)
        };
        let times = time(&swap.from).zip(time(&swap.until));
        let Some((from_ms, until_ms)) = times.filter(|(from, until)| from < until) else {
            let why = "a swap needs `from` before `until`, such as `2026-12-24T09:00:00+01:00`";
            self.fault(&format!("{path}.swaps"), why);
            return None;
        };
        Some(Override {
            person: swap.person.clone(),
            from_ms,
            until_ms,
        })
    }

    pub(super) fn escalation(&mut self, name: &str, file: &EscalationFile) -> Escalation {
        let path = format!("escalation.{name}");
        let mut levels = Vec::new();
        if file.levels.is_empty() {
            self.fault(&path, "no level is given");
        }
        for (place, level) in file.levels.iter().enumerate() {
            let path = format!("{path}.levels[{place}]");
            if level.to.is_empty() {
                self.fault(&path, "nobody is called");
            }
            for target in &level.to {
                let file = self.file;
                let known = file.channels.keys().chain(file.people.keys());
                let known = || known.clone().chain(file.on_call.keys());
                if !known().any(|name| name == target) {
                    let hint = near::hint(target, known());
                    self.fault(
                        &path,
                        format!("`{target}` is neither a channel, a person nor a rotation{hint}"),
                    );
                }
            }
            let wait_ms = self.duration(&path, &level.wait);
            if wait_ms == 0 {
                self.fault(&path, "`wait` leaves no time to answer");
            }
            levels.push(Level {
                targets: level.to.clone(),
                wait_ms,
            });
        }
        Escalation {
            levels,
            repeats: file.repeats,
        }
    }
}
