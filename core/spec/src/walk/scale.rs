//! `scale`: bounds, targets, scheduled minimums.

use super::Walk;
use super::fields::{Field, Fields};
use super::known::Facts;
use crate::node::Entry;
use crate::scale::{Floor, Scale};
use mainstay_atoms::{Share, Size};
use std::collections::BTreeMap;

/// Keys that are targets.
const TARGETS: [&str; 5] = ["cpu", "memory", "requests", "p95", "queue"];

impl Walk<'_> {
    /// How many instances run by what is measured; `beside` are the keys of the service, `size` what one
    /// instance may use, where that is known.
    pub(super) fn scale(
        &mut self,
        field: &Field<'_, '_>,
        beside: &Fields<'_, '_>,
        size: Option<&Size>,
        facts: &Facts<'_>,
    ) -> Option<Scale> {
        let at = field.entry.key.span;
        let fields = self.fields(field.value(), at, field.key.shape, &field.path)?;
        let alone = self.counts_once(field, beside);
        let min = self.optional(&fields, "min", Self::count);
        let max = self.optional(&fields, "max", Self::count);
        let cpu = self.optional(&fields, "cpu", |walk, field| {
            let limited = size.is_none_or(|size| size.cpu.is_some());
            walk.part_of_limit(field, limited, "cpu: 500m")
        });
        let memory = self.optional(&fields, "memory", |walk, field| {
            let limited = size.is_none_or(|size| size.memory.is_some());
            walk.part_of_limit(field, limited, "memory: 512Mi")
        });
        let port = beside.tries("port");
        let requests = self.optional(&fields, "requests", |walk, field| {
            walk.is_asked(field, port)?;
            walk.rate(field)
        });
        let p95 = self.optional(&fields, "p95", |walk, field| {
            walk.is_asked(field, port)?;
            walk.duration(field)
        });
        let per = self.optional(&fields, "per", Self::whole);
        let share = per.as_ref().ok().copied().flatten();
        let queue = self.optional(&fields, "queue", |walk, field| {
            walk.queue(field, share, facts)
        });
        self.belongs_to_queue(&fields);
        let every = self.optional(&fields, "every", Self::duration);
        let settle = self.optional(&fields, "settle", Self::duration);
        let warm_up = self.optional(&fields, "warm_up", Self::duration);
        let floors = self.optional(&fields, "at", |walk, field| walk.all_of(field, Self::floor));
        self.missing(&fields, "min", "say how many run at least: `min: 2`");
        self.missing(&fields, "max", "say how many run at most: `max: 6`");
        let aimed = self.has_target(field, &fields);
        let bounds = min.ok().flatten().zip(max.ok().flatten());
        let (min, max) = bounds.filter(|bounds| self.rises(&fields, *bounds))?;
        let floors = floors.ok()?.unwrap_or_default();
        let fits = self.floors_fit(&fields, &floors, max);
        let scale = Scale {
            min,
            max,
            cpu: cpu.ok()?,
            memory: memory.ok()?,
            requests: requests.ok()?,
            p95: p95.ok()?,
            queue: queue.ok()?,
            every: every.ok()?.unwrap_or(Scale::EVERY),
            settle: settle.ok()?.unwrap_or(Scale::SETTLE),
            warm_up: warm_up.ok()?.unwrap_or(Scale::WARM_UP),
            at: floors.into_values().collect(),
        };
        (alone && aimed && fits).then_some(scale)
    }

    fn count(&mut self, field: &Field<'_, '_>) -> Option<u32> {
        u32::try_from(self.whole(field)?).ok()
    }

    /// The count is either fixed or measured.
    fn counts_once(&mut self, field: &Field<'_, '_>, beside: &Fields<'_, '_>) -> bool {
        let twice = beside.has("replicas");
        if twice {
            let message = "the count is either `replicas` or left to `scale`".to_owned();
            let at = field.entry.key.span;
            self.add("conflict", at, &field.path, message, |fault| {
                fault.hint("take one of the two away; `replicas: null` in an environment does")
            });
        }
        !twice
    }

    fn has_target(&mut self, field: &Field<'_, '_>, fields: &Fields<'_, '_>) -> bool {
        // A key of a later version in its place was reported already.
        let aimed = TARGETS.iter().any(|name| fields.tries(name));
        if !aimed {
            let message = "`scale` has no target, so nothing would be measured".to_owned();
            let at = field.entry.key.span;
            self.add("missing_key", at, &field.path, message, |fault| {
                fault.hint("add one, such as `cpu: 70%`, or write `replicas` for a fixed count")
            });
        }
        aimed
    }

    /// `queue` and `per` say one thing together.
    fn belongs_to_queue(&mut self, fields: &Fields<'_, '_>) {
        if fields.tries("queue") {
            let hint = "say how much of the queue one instance is to have: `per: 100`";
            self.missing(fields, "per", hint);
        } else if let Some(field) = fields.get("per") {
            let message = "`per` is a share of a `queue`, and there is none".to_owned();
            let at = field.entry.key.span;
            self.add("conflict", at, &field.path, message, |fault| {
                fault.hint("name what waits: `queue: cache.orders`, or take `per` away")
            });
        }
    }

    fn rises(&mut self, fields: &Fields<'_, '_>, (min, max): (u32, u32)) -> bool {
        if let (true, Some(field)) = (min > max, fields.get("max")) {
            let message = format!("`max` ({max}) is below `min` ({min})");
            let at = field.value().span;
            self.add("conflict", at, &field.path, message, |fault| {
                fault.hint("raise `max` or lower `min`")
            });
        }
        min <= max
    }

    /// A share of what `size` limits; `limited` says whether it does.
    fn part_of_limit(&mut self, field: &Field<'_, '_>, limited: bool, size: &str) -> Option<Share> {
        let share = self.share(field)?;
        if share.0 == 0 {
            let hint = format!(
                "choose a share from `1%` to `100%`, such as `{}: 70%`",
                field.key.name
            );
            self.wrong_type(field, field.value(), Some(hint));
            return None;
        }
        if limited {
            return Some(share);
        }
        let name = field.key.name;
        let message =
            format!("`{name}: {share}` is a share of a limit that the service does not have");
        let at = field.entry.key.span;
        self.add("conflict", at, &field.path, message, |fault| {
            fault.hint(format!("give the service one: `size: {{ {size} }}`"))
        });
        None
    }

    /// What the gateway counts needs requests.
    fn is_asked(&mut self, field: &Field<'_, '_>, port: bool) -> Option<()> {
        if port {
            return Some(());
        }
        let message = "a service without a `port` takes no requests that could be counted";
        let (at, name) = (field.entry.key.span, field.key.name);
        self.add("conflict", at, &field.path, message.into(), |fault| {
            fault.hint(format!("take `{name}` away, or give the service a `port`"))
        });
        None
    }

    /// `50/s` or `300/m`, in thousandths of one a second.
    fn rate(&mut self, field: &Field<'_, '_>) -> Option<u64> {
        let rate = thousandths(&self.scalar(field)?.text).filter(|rate| *rate > 0);
        if rate.is_none() {
            self.wrong_type(field, field.value(), None);
        }
        rate
    }

    fn floor(&mut self, fields: &Fields<'_, '_>, _: &Entry) -> Option<Floor> {
        let lasts = self.optional(fields, "lasts", Self::duration);
        let min = self.optional(fields, "min", Self::count);
        let zone = self.zone(fields);
        let begins = self.optional(fields, "begins", |walk, field| {
            walk.opens(field, zone.as_deref().unwrap_or("UTC"))
        });
        self.missing(
            fields,
            "begins",
            "say when it begins: `begins: \"0 8 * * mon-fri\"`",
        );
        self.missing(fields, "lasts", "say how long it holds: `lasts: 10h`");
        self.missing(fields, "min", "say how many run at least: `min: 4`");
        zone?;
        Some(Floor {
            begins: begins.ok()??,
            lasts: lasts.ok()??,
            min: min.ok()??,
        })
    }

    /// A scheduled minimum never raises the most.
    fn floors_fit(
        &mut self,
        fields: &Fields<'_, '_>,
        floors: &BTreeMap<String, Floor>,
        max: u32,
    ) -> bool {
        let over = floors.iter().find(|(_, floor)| floor.min > max);
        if let (Some((name, floor)), Some(field)) = (over, fields.get("at")) {
            let message = format!(
                "`{name}` asks for {} instances and `max` is {max}",
                floor.min
            );
            let at = field.entry.key.span;
            self.add("conflict", at, &field.path, message, |fault| {
                fault.hint("raise `max`, or lower the `min` of the scheduled minimum")
            });
        }
        over.is_none()
    }
}

/// The thousandths of one a second that a rate means.
fn thousandths(text: &str) -> Option<u64> {
    let (number, unit) = text.split_once('/')?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(part) || !(1..=9).contains(&whole.len()) || part.len() > 3 {
        return None;
    }
    let number = format!("{whole}{part:0<3}").parse::<u64>().ok()?;
    match unit {
        "s" => Some(number),
        "m" => Some(number / 60),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::thousandths;

    #[test]
    fn rates_are_read() {
        let rows = [
            ("50/s", Some(50_000)),
            ("0.5/s", Some(500)),
            ("300/m", Some(5_000)),
            ("50", None),
            ("50/h", None),
            ("-1/s", None),
            ("1.2345/s", None),
            ("/s", None),
        ];
        for (text, rate) in rows {
            assert_eq!(thousandths(text), rate, "{text}");
        }
    }
}
