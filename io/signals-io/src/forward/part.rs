//! Parts: what of the store a walk shows, everything of a time or what came late of times before.

use crate::store::{Mark, Pick, View};
use mainstay_metrics::{Labels, MatchOp, Matcher, Select, SeriesView, Source as _, SourceFault};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What is walked through.
#[derive(Debug)]
pub(super) enum Part {
    /// Every series, but what is read anew of it.
    All(Arc<Mark>),
    /// Series of which something came late.
    Late(Picks),
}

/// Series that are read anew.
#[derive(Debug)]
pub(super) struct Picks {
    by_labels: HashMap<Labels, Pick>,
    questions: Vec<Question>,
}

/// One reading of the store that finds some of them.
#[derive(Debug)]
struct Question {
    matchers: Vec<Matcher>,
    after_ms: i64,
    until_ms: i64,
}

impl Picks {
    /// Those of one metric are asked for together, by the labels that all of them have.
    pub(super) fn new(picks: &[Pick]) -> Self {
        let mut by_metric: BTreeMap<&str, Vec<&Pick>> = BTreeMap::new();
        for pick in picks {
            let some = by_metric.entry(pick.labels.metric()).or_default();
            some.push(pick);
        }
        let questions = by_metric.into_values().map(|some| Question {
            matchers: common(&some),
            after_ms: some
                .iter()
                .map(|one| one.after_ms)
                .min()
                .unwrap_or(i64::MAX),
            until_ms: some
                .iter()
                .map(|one| one.until_ms)
                .max()
                .unwrap_or(i64::MIN),
        });
        let by_labels = picks.iter().map(|one| (one.labels.clone(), one.clone()));
        Self {
            questions: questions.collect(),
            by_labels: by_labels.collect(),
        }
    }

    /// The times that they are of: later than the first, not later than the second.
    pub(super) fn span(&self) -> (i64, i64) {
        let after_ms = self.questions.iter().map(|one| one.after_ms).min();
        let until_ms = self.questions.iter().map(|one| one.until_ms).max();
        (after_ms.unwrap_or(i64::MAX), until_ms.unwrap_or(i64::MIN))
    }
}

/// Conditions that all of them fulfil.
fn common(some: &[&Pick]) -> Vec<Matcher> {
    let Some((first, rest)) = some.split_first() else {
        return Vec::new();
    };
    let shared = first.labels.iter().filter(|label| {
        let mut rest = rest.iter();
        rest.all(|one| *one.labels.get(&label.name) == *label.value)
    });
    let matchers = shared.map(|label| Matcher::equal(&label.name, &label.value));
    matchers.collect()
}

impl Part {
    /// Shows every series with what is read of it now.
    pub(super) fn each(
        &self,
        view: &View,
        (after_ms, until_ms): (i64, i64),
        visit: &mut dyn FnMut(SeriesView<'_>) -> bool,
    ) -> Result<(), SourceFault> {
        match self {
            Self::All(mark) => {
                let any = Matcher::new("__name__", MatchOp::NotEqual, "");
                let matchers = [any.map_err(|fault| SourceFault(fault.to_string()))?];
                let select = Select {
                    matchers: &matchers,
                    after_ms,
                    until_ms,
                };
                view.select(&select, &mut |one| match mark.anew_ms(one.labels) {
                    None => visit(one),
                    Some(first_ms) => {
                        let until_ms = first_ms - 1;
                        visit_some(one, &Select { until_ms, ..select }, visit)
                    }
                })
            }
            Self::Late(picks) => {
                let mut goes_on = true;
                for Question {
                    matchers,
                    after_ms,
                    until_ms,
                } in &picks.questions
                {
                    let select = Select {
                        matchers,
                        after_ms: *after_ms,
                        until_ms: *until_ms,
                    };
                    view.select(&select, &mut |one| {
                        if let Some(pick) = picks.by_labels.get(one.labels) {
                            let select = Select {
                                after_ms: pick.after_ms,
                                until_ms: pick.until_ms,
                                ..select
                            };
                            goes_on = visit_some(one, &select, visit);
                        }
                        goes_on
                    })?;
                    if !goes_on {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Shows what of a series is within a range, where there is something.
fn visit_some(
    one: SeriesView<'_>,
    select: &Select<'_>,
    visit: &mut dyn FnMut(SeriesView<'_>) -> bool,
) -> bool {
    let some = one.within(select);
    some.is_empty() || visit(some)
}
