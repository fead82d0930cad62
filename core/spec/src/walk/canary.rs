//! `canary`.

use super::Walk;
use super::fields::Field;
use crate::node::Content;
use crate::platform::Canary;
use mainstay_atoms::{Chosen, Share};
use mainstay_rollout::{Baseline, Condition, ScheduleFault, Stage, Stages};
use std::time::Duration;

/// What releases are judged by where nothing is said.
const WORSE: &str = "error_rate > 2 × baseline";

impl Walk<'_> {
    /// How a release earns its traffic; `takes_requests` says whether the service has a port.
    pub(super) fn canary(&mut self, field: &Field<'_, '_>, takes_requests: bool) -> Option<Canary> {
        let at = field.entry.key.span;
        let fields = self.fields(field.value(), at, field.key.shape, &field.path)?;
        let hold = self.optional(&fields, "hold", Self::duration);
        let held = hold.ok().flatten().unwrap_or(Duration::from_mins(5));
        let steps = self.optional(&fields, "steps", |walk, field| walk.steps(field, held));
        let abort_if = self.optional(&fields, "abort_if", Self::conditions);
        let baseline = self.optional(&fields, "baseline", Self::word);
        let measuring = self.measuring(&fields);
        let bake = self.optional(&fields, "bake", Self::duration);
        let sticky = self.optional(&fields, "sticky", Self::boolean);
        let header = self.optional(&fields, "header", Self::header);
        let cookie = self.optional(&fields, "cookie", Self::cookie);
        let mirror = self.optional(&fields, "mirror", Self::share);
        self.takes_requests(field, takes_requests)?;
        let measuring = measuring?;
        hold.ok()?;
        let same_age = baseline.ok()?.is_none_or(|word| word == "same_age");
        Some(Canary {
            steps: match steps.ok()? {
                Some(steps) => steps,
                None => Stages::held([5, 25, 50], held).ok()?,
            },
            abort_if: match abort_if.ok()? {
                Some(conditions) => conditions,
                None => vec![Condition::try_from(WORSE.to_owned()).ok()?],
            },
            baseline: if same_age {
                Baseline::SameAge
            } else {
                Baseline::Stable
            },
            every: measuring.every,
            least: measuring.least,
            patience: measuring.patience,
            bake: bake.ok()?.unwrap_or(Duration::from_mins(5)),
            sticky: sticky.ok()?.unwrap_or(false),
            chosen: header.ok()?.into_iter().chain(cookie.ok()?).collect(),
            mirror: mirror.ok()?.unwrap_or_default(),
        })
    }

    /// A field of a request's head with its value.
    fn header(&mut self, field: &Field<'_, '_>) -> Option<Chosen> {
        let text = &self.scalar(field)?.text;
        let parts = text.split_once('=');
        let parts = parts.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        match parts {
            Some((name, value)) if is_token(&name) && is_visible(&value) => {
                Some(Chosen::Header { name, value })
            }
            _ => {
                self.wrong_type(field, field.value(), None);
                None
            }
        }
    }

    /// A cookie with its value.
    fn cookie(&mut self, field: &Field<'_, '_>) -> Option<Chosen> {
        let text = &self.scalar(field)?.text;
        match text.split_once('=') {
            Some((name, value))
                if is_token(name) && is_visible(value) && !value.contains([' ', ';', ',', '"']) =>
            {
                let (name, value) = (name.to_owned(), value.to_owned());
                Some(Chosen::Cookie { name, value })
            }
            _ => {
                self.wrong_type(field, field.value(), None);
                None
            }
        }
    }

    pub(super) fn share(&mut self, field: &Field<'_, '_>) -> Option<Share> {
        let share = self.scalar(field)?.text.parse::<Share>().ok();
        if share.is_none() {
            self.wrong_type(field, field.value(), None);
        }
        share
    }

    fn steps(&mut self, field: &Field<'_, '_>, hold: Duration) -> Option<Stages> {
        let Content::List(items) = &field.value().content else {
            let weights = match self.scalar(field)?.text.as_str() {
                "5-25-50-100" => [5, 25, 50],
                "10-25-50-100" => [10, 25, 50],
                _ => {
                    self.wrong_type(field, field.value(), None);
                    return None;
                }
            };
            return Stages::held(weights, hold).ok();
        };
        let mut stages = Vec::with_capacity(items.len());
        for item in items {
            let share = item
                .scalar()
                .and_then(|scalar| scalar.text.parse::<Share>().ok());
            let Some(weight) = share else {
                self.wrong_type(field, item, None);
                return None;
            };
            stages.push(Stage {
                weight,
                hold: Some(hold),
            });
        }
        match Stages::new(stages) {
            Ok(stages) => Some(stages),
            Err(why) => {
                let at = match why {
                    ScheduleFault::OverWhole { step, .. }
                    | ScheduleFault::NotRising { step, .. } => items
                        .get(step - 1)
                        .map_or(field.value().span, |item| item.span),
                    ScheduleFault::None | ScheduleFault::TooMany { .. } => field.value().span,
                };
                self.add("wrong_steps", at, &field.path, why.to_string(), |fault| {
                    fault.hint("write rising shares such as `[5%, 25%, 50%]`; all of the traffic follows the last")
                });
                None
            }
        }
    }
}

/// A token of RFC 9110, §5.6.2: the names of fields and cookies.
fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

fn is_visible(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|byte| (0x20..0x7F).contains(&byte))
}
