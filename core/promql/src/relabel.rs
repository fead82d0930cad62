//! `label_replace` and `label_join`: labels made from labels.

use crate::ast::Expr;
use crate::eval::{Evaluator, Result, merge, text};
use crate::fault::Fault;
use crate::value::{Series, Steps};
use mainstay_metrics::label::{NAME, quoted};
use mainstay_metrics::{Labels, compile};

/// A text argument that names a label: any UTF-8 text that is not empty.
pub(crate) fn label_name(argument: &Expr) -> Result<String> {
    let text = text(argument)?;
    let name = std::str::from_utf8(&text)
        .ok()
        .filter(|name| !name.is_empty());
    name.map(str::to_owned)
        .ok_or_else(|| Fault::execution(format!("invalid label name {}", quoted(&text))))
}

impl Evaluator<'_> {
    pub(crate) fn relabel(
        &self,
        name: &str,
        arguments: &[Expr],
        steps: Steps,
    ) -> Result<Vec<Series>> {
        let texts = arguments[1..]
            .iter()
            .map(text)
            .collect::<Result<Vec<_>>>()?;
        let lossy = |place: usize| String::from_utf8_lossy(&texts[place]).into_owned();
        let target = std::str::from_utf8(&texts[0])
            .ok()
            .filter(|target| !target.is_empty());
        let Some(target) = target else {
            let shown = quoted(&texts[0]);
            return Err(Fault::execution(format!(
                "invalid destination label name in {name}(): {shown}"
            )));
        };
        let series = self.vector(&arguments[0], steps)?;
        let changed: Vec<Series> = if name == "label_replace" {
            let (replacement, source) = (lossy(1), lossy(2));
            let pattern = lossy(3);
            let regex = compile(&pattern).map_err(|_| {
                Fault::execution(format!(
                    "invalid regular expression in label_replace(): {pattern}"
                ))
            })?;
            let mut replace = |one: Series| {
                let Some(groups) = regex.captures(one.labels.get(&source)) else {
                    return one;
                };
                let mut value = String::new();
                groups.expand(&replacement, &mut value);
                set(&one, target, &value)
            };
            series.into_iter().map(&mut replace).collect()
        } else {
            let separator = lossy(1);
            let sources: Vec<String> = (2..texts.len()).map(lossy).collect();
            if let Some(place) = (2..texts.len()).find(|place| {
                texts[*place].is_empty() || std::str::from_utf8(&texts[*place]).is_err()
            }) {
                let shown = quoted(&texts[place]);
                return Err(Fault::execution(format!(
                    "invalid source label name in label_join(): {shown}"
                )));
            }
            let join = |one: Series| {
                let values: Vec<&str> = sources
                    .iter()
                    .map(|source| one.labels.get(source))
                    .collect();
                set(&one, target, &values.join(&separator))
            };
            series.into_iter().map(join).collect()
        };
        merge(changed)
    }
}

/// A name that is written here stays, whatever was to happen to the one before.
fn set(series: &Series, target: &str, value: &str) -> Series {
    let mut labels = series.labels.edit();
    labels.set(target, value);
    let labels: Labels = labels.build();
    Series {
        labels,
        drop_name: series.drop_name && target != NAME,
        column: series.column.clone(),
    }
}
