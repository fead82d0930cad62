//! `info`: data labels of info metrics joined by `instance` and `job`.

use crate::ast::{Edge, Expr, Kind, Modifiers, Selector};
use crate::eval::{Evaluator, Result};
use crate::fault::Fault;
use crate::value::{Column, Series, Steps};
use mainstay_metrics::label::NAME;
use mainstay_metrics::{Labels, MatchOp, Matcher, all_match};
use std::collections::{BTreeMap, HashMap};

/// Labels that say to which target an info series belongs.
const IDENTITY: [&str; 2] = ["instance", "job"];

/// The info metric where none is named.
const TARGET_INFO: &str = "target_info";

/// The joining part of a label set.
type Identity = [String; 2];

struct Infos {
    /// Series with the times of their samples.
    series: Vec<(Series, Series)>,
    by_identity: HashMap<Identity, Vec<usize>>,
}

impl Evaluator<'_> {
    pub(crate) fn info(
        &self,
        expr: &Expr,
        arguments: &[Expr],
        steps: Steps,
    ) -> Result<Vec<Series>> {
        let given: &[Matcher] = match arguments.get(1).map(|argument| &argument.kind) {
            Some(Kind::Select(selector)) => &selector.matchers,
            _ => &[],
        };
        let (names, data): (Vec<_>, Vec<_>) = given.iter().cloned().partition(Matcher::is_name);
        let names = names_of(names)?;
        let base = self.vector(&arguments[0], steps)?;
        let infos = self.infos(&names, &data, steps)?;
        let mut results: Vec<Series> = Vec::new();
        let mut places: HashMap<(Labels, bool), usize> = HashMap::new();
        let required = data.iter().any(|matcher| !matcher.matches_empty());
        for one in base {
            // An info series itself passes unchanged.
            if !names.is_empty() && all_match(&names, &one.labels) {
                results.push(one);
                continue;
            }
            for place in 0..steps.count {
                let Some(cell) = one.column.get(place) else {
                    continue;
                };
                let found = infos.labels(self, &one.labels, &data, place, expr)?;
                let labels = match found {
                    Some(labels) => labels,
                    None if required => continue,
                    None => one.labels.clone(),
                };
                let result = *places
                    .entry((labels.clone(), one.drop_name))
                    .or_insert_with(|| {
                        results.push(Series {
                            labels,
                            drop_name: one.drop_name,
                            column: Column::new(steps.count),
                        });
                        results.len() - 1
                    });
                results[result].column.set(place, cell.owned());
            }
        }
        Ok(results)
    }

    fn infos(&self, names: &[Matcher], data: &[Matcher], steps: Steps) -> Result<Infos> {
        let mut matchers: Vec<Matcher> = names.to_vec();
        matchers.extend(
            data.iter()
                .filter(|matcher| !matcher.matches_empty())
                .cloned(),
        );
        let selector = Selector {
            matchers,
            modifiers: Modifiers::default(),
            edge: Edge::Plain,
        };
        let values = self.select(&selector, steps, false)?;
        let times = self.select(&selector, steps, true)?;
        let mut infos = Infos {
            series: values.into_iter().zip(times).collect(),
            by_identity: HashMap::new(),
        };
        for (place, (one, _)) in infos.series.iter().enumerate() {
            infos
                .by_identity
                .entry(identity(&one.labels))
                .or_default()
                .push(place);
        }
        Ok(infos)
    }
}

fn identity(labels: &Labels) -> Identity {
    IDENTITY.map(|name| labels.get(name).to_owned())
}

/// Which info metrics are meant.
fn names_of(mut names: Vec<Matcher>) -> Result<Vec<Matcher>> {
    if names.is_empty() {
        names.push(Matcher::equal(NAME, TARGET_INFO));
    } else if names
        .iter()
        .all(|name| matches!(name.op, MatchOp::NotEqual | MatchOp::NotRegex))
    {
        // What something is not does not say what it is.
        let any = Matcher::new(NAME, MatchOp::Regex, ".+_info")
            .map_err(|fault| Fault::execution(fault.to_string()))?;
        names.push(any);
    }
    Ok(names)
}

impl Infos {
    /// A label set with what is known of its target at a step; nothing when nothing is.
    fn labels(
        &self,
        _: &Evaluator<'_>,
        base: &Labels,
        data: &[Matcher],
        place: usize,
        expr: &Expr,
    ) -> Result<Option<Labels>> {
        let Some(members) = self.by_identity.get(&identity(base)) else {
            return Ok(None);
        };
        // Of one info metric the newest series counts.
        let mut newest: BTreeMap<&str, (f64, &Series)> = BTreeMap::new();
        for member in members {
            let (series, times) = &self.series[*member];
            let Some(at) = times.column.float(place) else {
                continue;
            };
            match newest.get(series.labels.metric()) {
                Some((known, other)) if *known == at => {
                    return Err(Fault::execution(format!(
                        "found duplicate series for info metric: existing {} @ {}, new {} @ {} (column {})",
                        other.labels,
                        (known * 1000.0) as i64,
                        series.labels,
                        (at * 1000.0) as i64,
                        expr.span.start
                    )));
                }
                Some((known, _)) if *known > at => {}
                _ => {
                    newest.insert(series.labels.metric(), (at, series));
                }
            }
        }
        if newest.is_empty() {
            return Ok(None);
        }
        let mut labels = base.edit();
        let mut added: BTreeMap<&str, &str> = BTreeMap::new();
        for (_, series) in newest.values() {
            for label in &series.labels {
                let name: &str = &label.name;
                let wanted = data.is_empty() || data.iter().any(|matcher| &*matcher.name == name);
                if name == NAME || IDENTITY.contains(&name) || !wanted || base.find(name).is_some()
                {
                    continue;
                }
                if added
                    .insert(name, &label.value)
                    .is_some_and(|known| known != &*label.value)
                {
                    return Err(Fault::execution(format!("conflicting label: {name}")));
                }
                labels.set(name, &label.value);
            }
        }
        Ok(Some(labels.build()))
    }
}
