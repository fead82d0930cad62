//! Several sources read as one: blocks and the head.

use crate::column::Columns;
use crate::label::Labels;
use crate::source::{Select, SeriesView, Source, SourceFault};
use std::collections::BTreeMap;

/// Sources in the order of time. Of two samples of one series and time the later source's is dropped. As long
/// as one source alone has samples in a range, nothing is copied.
#[derive(Clone)]
pub struct Union<'a> {
    parts: Vec<(&'a dyn Source, i64, i64)>,
}

impl<'a> Union<'a> {
    /// Joins sources, each with the times of its first and last sample.
    pub fn new(parts: Vec<(&'a dyn Source, i64, i64)>) -> Self {
        Self { parts }
    }
}

impl Source for Union<'_> {
    fn select(
        &self,
        select: &Select<'_>,
        visit: &mut dyn FnMut(SeriesView<'_>) -> bool,
    ) -> Result<(), SourceFault> {
        let inside =
            |part: &&(&dyn Source, i64, i64)| part.2 > select.after_ms && part.1 <= select.until_ms;
        let parts: Vec<_> = self.parts.iter().filter(inside).collect();
        if let [(only, _, _)] = parts.as_slice() {
            return only.select(select, visit);
        }
        let mut joined: BTreeMap<Labels, Columns> = BTreeMap::new();
        for (source, _, _) in parts {
            source.select(select, &mut |view| {
                joined.entry(view.labels.clone()).or_default().add(view);
                true
            })?;
        }
        for (labels, one) in &joined {
            if !visit(one.view(labels)) {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Matcher, Memory, Sample, Value};

    #[test]
    fn a_series_goes_on_from_one_source_to_the_next() {
        let labels = Labels::new([("__name__", "a")]);
        let store = |times: &[i64]| {
            let mut memory = Memory::default();
            for at in times {
                let value = Value::Float(*at as f64);
                memory.append(&labels, Sample { at_ms: *at, value });
            }
            memory
        };
        let (old, new) = (store(&[1, 2, 3]), store(&[3, 4]));
        let union = Union::new(vec![(&old, 1, 3), (&new, 3, 4)]);
        let seen = |after_ms, until_ms| {
            let matchers = [Matcher::equal("__name__", "a")];
            let select = Select {
                matchers: &matchers,
                after_ms,
                until_ms,
            };
            let mut seen = Vec::new();
            let mut visit = |view: SeriesView<'_>| {
                seen.push(view.at_ms.to_vec());
                true
            };
            union.select(&select, &mut visit).unwrap();
            seen
        };
        assert_eq!(seen(0, 9), [vec![1, 2, 3, 4]]);
        assert_eq!(seen(3, 9), [vec![4]]);
        assert_eq!(seen(0, 2), [vec![1, 2]]);
        assert!(seen(4, 9).is_empty());
    }
}
