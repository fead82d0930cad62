//! `deploy`.

use super::Walk;
use super::fields::{Field, Fields};
use crate::platform::{Amount, BlueGreen, Canary, Rolling};
use mainstay_atoms::{ServiceName, Smoke};
use std::collections::BTreeMap;

/// What `deploy` says.
#[derive(Default)]
pub(super) struct Deploy {
    pub(super) rolling: Rolling,
    pub(super) canary: Option<Canary>,
    pub(super) blue_green: Option<BlueGreen>,
    pub(super) recreate: bool,
    pub(super) smoke: BTreeMap<String, Smoke>,
    pub(super) before: Vec<ServiceName>,
    pub(super) after: Vec<ServiceName>,
}

impl Walk<'_> {
    /// How a release replaces instances; `count` is how many the service wants.
    pub(super) fn deploy(&mut self, fields: &Fields<'_, '_>, count: Option<u32>) -> Option<Deploy> {
        let Some(field) = fields.get("deploy") else {
            return Some(Deploy::default());
        };
        if let Some(scalar) = field.value().scalar() {
            return match scalar.text.as_str() {
                "rolling" => Some(Deploy::default()),
                "recreate" => Some(Deploy {
                    recreate: true,
                    ..Deploy::default()
                }),
                other => {
                    self.other_way(&field, other);
                    None
                }
            };
        }
        let at = field.entry.key.span;
        let inner = self.fields(field.value(), at, field.key.shape, &field.path)?;
        let rolling = match inner.get("rolling") {
            None => Some(Rolling::default()),
            Some(rolling) => self.rolling(&rolling, count),
        };
        let takes_requests = fields.tries("port");
        let canary = self.optional(&inner, "canary", |walk, field| {
            walk.canary(field, takes_requests)
        });
        let blue_green = self.optional(&inner, "blue_green", |walk, field| {
            walk.blue_green(field, takes_requests)
        });
        let smoke = self.optional(&inner, "smoke", |walk, field| {
            walk.smoke(field, takes_requests)
        });
        let before = self.optional(&inner, "before", Self::jobs);
        let after = self.optional(&inner, "after", Self::jobs);
        let one = self.moves_one_way(&inner);
        Some(Deploy {
            rolling: rolling.filter(|_| one)?,
            canary: canary.ok()?,
            blue_green: blue_green.ok()?,
            recreate: false,
            smoke: smoke.ok()?.unwrap_or_default(),
            before: before.ok()?.unwrap_or_default(),
            after: after.ok()?.unwrap_or_default(),
        })
    }

    /// Names of jobs; whether there are such is checked once all are read.
    fn jobs(&mut self, field: &Field<'_, '_>) -> Option<Vec<ServiceName>> {
        let names = self.names(field);
        let names = names.iter().map(|(name, _)| ServiceName::new(*name).ok());
        names.collect()
    }

    /// A release moves in one way.
    fn moves_one_way(&mut self, fields: &Fields<'_, '_>) -> bool {
        let (Some(_), Some(field)) = (fields.get("canary"), fields.get("blue_green")) else {
            return true;
        };
        let message = "a release is either a canary or blue-green".to_owned();
        let at = field.entry.key.span;
        self.add("conflict", at, &field.path, message, |fault| {
            fault.hint("take `canary` or `blue_green` away; `canary: null` in an environment does")
        });
        false
    }

    /// A word that is neither `rolling` nor `recreate`.
    fn other_way(&mut self, field: &Field<'_, '_>, text: &str) {
        let hint = match text.replace('-', "_").as_str() {
            "canary" => "write `deploy: { canary: {} }`",
            "blue_green" => "write `deploy: { blue_green: {} }`",
            _ => "write `deploy: rolling`, which is also the default, or `deploy: recreate`",
        };
        self.wrong_type(field, field.value(), Some(hint.to_owned()));
    }

    fn rolling(&mut self, field: &Field<'_, '_>, count: Option<u32>) -> Option<Rolling> {
        let at = field.entry.key.span;
        let fields = self.fields(field.value(), at, field.key.shape, &field.path)?;
        let surge = self.optional(&fields, "surge", Self::amount);
        let unavailable = self.optional(&fields, "unavailable", Self::amount);
        let min_ready = self.optional(&fields, "min_ready", Self::duration);
        let deadline = self.optional(&fields, "deadline", Self::duration);
        let default = Rolling::default();
        let rolling = Rolling {
            surge: surge.ok()?.unwrap_or(default.surge),
            unavailable: unavailable.ok()?.unwrap_or(default.unavailable),
            min_ready: min_ready.ok()?.unwrap_or(default.min_ready),
            deadline: deadline.ok()?.unwrap_or(default.deadline),
        };
        let moves = count.is_none_or(|count| self.can_move(&fields, rolling, count));
        let in_time = self.can_end(&fields, rolling);
        (moves && in_time).then_some(rolling)
    }

    /// Some instance must be allowed above or below the count, else nothing is ever replaced.
    fn can_move(&mut self, fields: &Fields<'_, '_>, rolling: Rolling, count: u32) -> bool {
        if !is_nothing(rolling.surge) {
            return true;
        }
        let missing = match rolling.unavailable {
            Amount::Count(missing) => missing,
            Amount::Share(share) => share.of_rounded_down(count),
        };
        if missing > 0 || count == 0 && !is_nothing(rolling.unavailable) {
            return true;
        }
        let field = fields.get("surge").or_else(|| fields.get("unavailable"));
        let Some(field) = field else {
            return true;
        };
        let message = match rolling.unavailable {
            Amount::Share(share) if share.0 > 0 => format!(
                "`unavailable: {share}` of {count} rounds down to 0 and `surge` is 0, so no instance could be replaced"
            ),
            _ => {
                "`surge` and `unavailable` are both 0, so no instance could be replaced".to_owned()
            }
        };
        self.add("conflict", field.entry.key.span, &field.path, message, |fault| {
            fault.hint("write `surge: 1` to start a new one first, or `unavailable: 1` to stop an old one first")
        });
        false
    }

    /// The deadline must leave time for an instance to stay ready (Kubernetes has the same rule).
    fn can_end(&mut self, fields: &Fields<'_, '_>, rolling: Rolling) -> bool {
        let fits = rolling.deadline > rolling.min_ready;
        let field = fields.get("deadline").or_else(|| fields.get("min_ready"));
        if let (false, Some(field)) = (fits, field) {
            let [deadline, min_ready] =
                [rolling.deadline, rolling.min_ready].map(mainstay_atoms::span::format);
            let message = format!(
                "`deadline` ({deadline}) is not above `min_ready` ({min_ready}), so every release would fail"
            );
            self.add(
                "conflict",
                field.value().span,
                &field.path,
                message,
                |fault| fault.hint("raise `deadline` or lower `min_ready`"),
            );
        }
        fits
    }
}

fn is_nothing(amount: Amount) -> bool {
    match amount {
        Amount::Count(count) => count == 0,
        Amount::Share(share) => share.0 == 0,
    }
}
