//! One job.

use super::Walk;
use super::fields::{Field, Fields};
use super::known::{Facts, Thing};
use super::service::names_of;
use crate::job::{Job, Missed, Overlap};
use crate::key::JobKeys;
use crate::node::Entry;
use crate::path::Path;
use crate::shape::Shaped;
use mainstay_atoms::{Schedule, ScheduleFault};
use std::time::Duration;

/// Longest run of a job that says nothing.
const TIMEOUT: Duration = Duration::from_secs(3600);

impl Walk<'_> {
    /// Reads one job.
    pub(super) fn job<'t>(
        &mut self,
        entry: &'t Entry,
        path: &Path<'_>,
    ) -> (Facts<'t>, Option<Job>) {
        let mut facts = Facts::new(entry.key.span, Thing::Job);
        if entry.value.is_null() {
            let message = "a job needs `run`".to_owned();
            self.add("missing_key", entry.key.span, path, message, |fault| {
                fault
                    .label("this job says nothing")
                    .hint("name its program: `run: ./bin/digest`")
            });
            return (facts, None);
        }
        let Some(fields) = self.fields(&entry.value, entry.key.span, JobKeys::SHAPE, path) else {
            return (facts, None);
        };
        if let Some(field) = fields.get("needs") {
            facts.needs = self.names(&field);
        }
        let job = self.job_of(&fields, &facts);
        (facts, job)
    }

    fn job_of(&mut self, fields: &Fields<'_, '_>, facts: &Facts<'_>) -> Option<Job> {
        let build = self.optional(fields, "build", Self::words);
        let program = self.program(fields);
        let size = self.optional(fields, "size", Self::size);
        let inject = self.inject(fields, facts);
        let env = self.env(fields, facts, inject.as_ref());
        self.told_twice(facts, inject.as_ref(), &fields.path.key("needs"));
        let stop = self.optional(fields, "stop", Self::stop);
        let schedule = self.schedule(fields);
        let timeout = self.optional(fields, "timeout", Self::duration);
        let retries = self.optional(fields, "retries", Self::whole);
        let overlap = self.optional(fields, "overlap", Self::word);
        let missed = self.optional(fields, "missed", Self::word);
        let at_least_once = self.optional(fields, "at_least_once", Self::boolean);
        let one_way = self.optional(fields, "one_way", Self::boolean);
        let (run, artifact) = program?;
        Some(Job {
            build: build.ok()?,
            run,
            artifact,
            needs: names_of(facts)?,
            inject: inject?,
            env: env?,
            size: size.ok()?.unwrap_or_default(),
            stop: stop.ok()?.unwrap_or_default(),
            schedule: schedule?,
            timeout: timeout.ok()?.unwrap_or(TIMEOUT),
            retries: u32::try_from(retries.ok()?.unwrap_or(0)).ok()?,
            overlap: match overlap.ok()?.as_deref() {
                Some("queue") => Overlap::Queue,
                Some("replace") => Overlap::Replace,
                _ => Overlap::Forbid,
            },
            missed: match missed.ok()?.as_deref() {
                Some("skip") => Missed::Skip,
                _ => Missed::Run,
            },
            at_least_once: at_least_once.ok()?.unwrap_or(false),
            one_way: one_way.ok()?.unwrap_or(false),
        })
    }

    /// `schedule` and `time_zone`, which are judged together; `None` when one of them is wrong.
    #[expect(
        clippy::option_option,
        reason = "wrong, absent and given are three answers"
    )]
    fn schedule(&mut self, fields: &Fields<'_, '_>) -> Option<Option<Schedule>> {
        let zone = fields.get("time_zone");
        let zone_text = match &zone {
            Some(field) => self.scalar(field)?.text.as_str(),
            None => "UTC",
        };
        let Some(field) = fields.get("schedule") else {
            if let Some(zone) = zone {
                let message = "`time_zone` belongs to a `schedule`".to_owned();
                self.add(
                    "conflict",
                    zone.entry.key.span,
                    &zone.path,
                    message,
                    |fault| fault.hint("add `schedule: \"0 6 * * *\"`, or take the line away"),
                );
                return None;
            }
            return Some(None);
        };
        let cron = self.scalar(&field)?;
        match (Schedule::new(&cron.text, zone_text), &zone) {
            (Ok(schedule), _) => Some(Some(schedule)),
            (Err(ScheduleFault::Zone), Some(zone)) => {
                let hint = "use a name of the IANA database, such as `Europe/Berlin`";
                self.wrong_type(zone, zone.value(), Some(hint.into()));
                None
            }
            (Err(fault), _) => {
                self.wrong_schedule(&field, &fault);
                None
            }
        }
    }

    pub(super) fn wrong_schedule(&mut self, field: &Field<'_, '_>, fault: &ScheduleFault) {
        let message = format!("`{}` takes {}", field.key.name, field.key.shape.phrase());
        let label = fault.to_string();
        self.add("wrong_value", field.value().span, &field.path, message, |fault| {
            fault
                .label(label)
                .hint("minute, hour, day of month, month, day of week: `30 6 * * mon-fri` is half past six on working days")
        });
    }
}
