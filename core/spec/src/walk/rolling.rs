//! `deploy`.

use super::Walk;
use super::fields::{Field, Fields};
use crate::later::later;
use crate::platform::{Amount, Canary, Rolling};
use mainstay_atoms::ServiceName;

/// What `deploy` says.
#[derive(Default)]
pub(super) struct Deploy {
    pub(super) rolling: Rolling,
    pub(super) canary: Option<Canary>,
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
            if scalar.text == "rolling" {
                return Some(Deploy::default());
            }
            self.other_way(&field, &scalar.text);
            return None;
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
        let before = self.optional(&inner, "before", Self::jobs);
        let after = self.optional(&inner, "after", Self::jobs);
        Some(Deploy {
            rolling: rolling?,
            canary: canary.ok()?,
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

    /// A word that is not `rolling`.
    fn other_way(&mut self, field: &Field<'_, '_>, text: &str) {
        let word = text.replace('-', "_");
        let Some(row) = later("DeployKeys", &word) else {
            let hint = match word.as_str() {
                "canary" => "write `deploy: { canary: {} }`",
                _ => "write `deploy: rolling`, which is also the default",
            };
            let hint = hint.to_owned();
            self.wrong_type(field, field.value(), Some(hint));
            return;
        };
        let message = format!("this program has no {} yet", row.what);
        self.add(
            "not_available",
            field.value().span,
            &field.path,
            message,
            |fault| {
                fault
                    .label(format!("`{text}` comes with a later version"))
                    .hint(row.instead)
            },
        );
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
