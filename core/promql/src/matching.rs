//! Vector matching: which elements of two vectors belong together, and what labels their result has.

use crate::ast::{Binary, Cardinality, Matching, Op};
use crate::binary::Combined;
use crate::eval::{Evaluator, Result};
use crate::fault::{Fault, Span};
use crate::value::{Cell, Column, Series, Steps};
use mainstay_metrics::label::NAME;
use mainstay_metrics::{Labels, Value};
use std::collections::{HashMap, HashSet};

/// Which labels decide whether two elements match.
pub(crate) struct Signer<'a> {
    names: Vec<&'a str>,
    on: bool,
}

impl<'a> Signer<'a> {
    pub(crate) fn new(matching: &'a Matching) -> Self {
        let mut names: Vec<&str> = matching.labels.iter().map(String::as_str).collect();
        if !matching.on {
            names.push(NAME);
        }
        names.sort_unstable();
        Self {
            names,
            on: matching.on,
        }
    }

    fn counts(&self, name: &str) -> bool {
        self.names.binary_search(&name).is_ok() == self.on
    }

    /// The part of a label set that must be equal.
    pub(crate) fn sign(&self, labels: &Labels) -> Vec<u8> {
        let mut key = Vec::with_capacity(64);
        for label in labels.iter().filter(|label| self.counts(&label.name)) {
            key.extend_from_slice(label.name.as_bytes());
            key.push(0xff);
            key.extend_from_slice(label.value.as_bytes());
            key.push(0xff);
        }
        key
    }

    fn group(&self, labels: &Labels) -> Labels {
        labels.filtered(|label| self.counts(&label.name))
    }

    /// Numbers for the parts, equal for equal parts, for both sides.
    pub(crate) fn number(
        &self,
        left: &[Series],
        right: &[Series],
    ) -> (Vec<usize>, Vec<usize>, usize) {
        let mut numbers: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut number = |series: &[Series]| -> Vec<usize> {
            let of = |one: &Series| {
                let next = numbers.len();
                *numbers.entry(self.sign(&one.labels)).or_insert(next)
            };
            series.iter().map(of).collect()
        };
        let (left, right) = (number(left), number(right));
        let count = numbers.len();
        (left, right, count)
    }
}

/// The state of one operation between vectors.
struct Match<'a> {
    binary: &'a Binary,
    span: Span,
    signer: Signer<'a>,
    /// The side of which there may be several, and the other; left and right where there is one of each.
    many: &'a [Series],
    one: &'a [Series],
    results: Vec<Series>,
    places: HashMap<(Labels, bool), usize>,
    known: HashMap<(Option<usize>, Option<usize>), usize>,
}

impl Evaluator<'_> {
    pub(crate) fn matched(
        &self,
        span: Span,
        binary: &Binary,
        left: &[Series],
        right: &[Series],
        steps: Steps,
    ) -> Result<Vec<Series>> {
        let matching = &binary.matching;
        let swapped = matching.cardinality == Cardinality::OneToMany;
        let signer = Signer::new(matching);
        let (many, one) = if swapped {
            (right, left)
        } else {
            (left, right)
        };
        let (many_numbers, one_numbers, count) = signer.number(many, one);
        let mut state = Match {
            binary,
            span,
            signer,
            many,
            one,
            results: Vec::new(),
            places: HashMap::new(),
            known: HashMap::new(),
        };
        let (fill_many, fill_one) = if swapped {
            (matching.fill_right, matching.fill_left)
        } else {
            (matching.fill_left, matching.fill_right)
        };
        let mut ones: Vec<Option<usize>> = Vec::new();
        for place in 0..steps.count {
            let any = |series: &[Series]| series.iter().any(|one| one.column.has(place));
            let (any_many, any_one) = (any(many), any(one));
            if (!any_many && fill_many.is_none()) || (!any_one && fill_one.is_none()) {
                continue;
            }
            ones.clear();
            ones.resize(count, None);
            for (index, number) in one_numbers
                .iter()
                .enumerate()
                .filter(|(index, _)| one[*index].column.has(place))
            {
                if let Some(first) = ones[*number].replace(index) {
                    return Err(state.duplicate(first, index, swapped));
                }
            }
            let mut taken: Vec<Option<HashSet<usize>>> = vec![None; count];
            for (index, number) in many_numbers.iter().enumerate() {
                let Some(cell) = many[index].column.get(place) else {
                    continue;
                };
                let partner = ones[*number];
                let other = match (partner, fill_one) {
                    (Some(partner), _) => one[partner].column.get(place),
                    (None, Some(value)) => Some(Cell::Float(value)),
                    (None, None) => None,
                };
                let Some(other) = other else {
                    continue;
                };
                let (pair, seen) = ((Some(index), partner), &mut taken[*number]);
                let (left, right) = if swapped {
                    (other, cell)
                } else {
                    (cell, other)
                };
                state.emit(self, pair, left, right, place, seen)?;
            }
            let Some(fill) = fill_many else {
                continue;
            };
            for (number, partner) in ones.iter().enumerate() {
                let Some(partner) = partner.filter(|_| taken[number].is_none()) else {
                    continue;
                };
                let Some(cell) = one[partner].column.get(place) else {
                    continue;
                };
                let (left, right) = if swapped {
                    (cell, Cell::Float(fill))
                } else {
                    (Cell::Float(fill), cell)
                };
                state.emit(
                    self,
                    (None, Some(partner)),
                    left,
                    right,
                    place,
                    &mut taken[number],
                )?;
            }
        }
        self.charge(steps.count * (left.len() + right.len()))?;
        let results = state.results.into_iter();
        Ok(results.filter(|one| !one.column.is_empty()).collect())
    }
}

impl Match<'_> {
    fn duplicate(&self, first: usize, second: usize, swapped: bool) -> Fault {
        let side = if swapped { "left" } else { "right" };
        let mut both = [&self.one[first].labels, &self.one[second].labels];
        both.sort();
        let group = self.signer.group(both[0]);
        Fault::execution(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{}, {}]\
             ;many-to-many matching not allowed: matching labels must be unique on one side",
            both[0], both[1]
        ))
    }

    /// Computes one pair at one step. That a pair was seen counts even when a comparison takes it away.
    fn emit(
        &mut self,
        evaluator: &Evaluator<'_>,
        pair: (Option<usize>, Option<usize>),
        left: Cell<'_>,
        right: Cell<'_>,
        place: usize,
        seen: &mut Option<HashSet<usize>>,
    ) -> Result<()> {
        let combined = evaluator.combine(self.binary.op, left, right, self.span);
        if matches!(combined, Combined::Nothing) {
            return Ok(());
        }
        let result = match self.known.get(&pair) {
            Some(result) => *result,
            None => self.result(evaluator, pair)?,
        };
        if self.binary.matching.cardinality == Cardinality::OneToOne && seen.is_some() {
            return Err(Fault::execution(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
            ));
        }
        if !seen.get_or_insert_default().insert(result) {
            return Err(Fault::execution(
                "multiple matches for labels: grouping labels must ensure unique matches",
            ));
        }
        let value = match combined {
            Combined::Made(_) if self.binary.bool => Value::Float(1.0),
            Combined::Filtered if self.binary.bool => Value::Float(0.0),
            Combined::Made(value) => value,
            Combined::Filtered | Combined::Nothing => return Ok(()),
        };
        let column = &mut self.results[result].column;
        if column.has(place) {
            return Err(Fault::execution(crate::eval::SAME_LABELS));
        }
        column.set(place, value);
        Ok(())
    }

    /// The series that a pair's values go to.
    fn result(
        &mut self,
        evaluator: &Evaluator<'_>,
        pair: (Option<usize>, Option<usize>),
    ) -> Result<usize> {
        let empty = Labels::default();
        let side = |series: &'_ [Series], index: Option<usize>| {
            index.map(|index| series[index].labels.clone())
        };
        let (many, one) = (side(self.many, pair.0), side(self.one, pair.1));
        // A side that is filled in has the labels that the group shares.
        let shared = |labels: &Labels| self.signer.group(labels);
        let many_labels = many.unwrap_or_else(|| one.as_ref().map(shared).unwrap_or_default());
        let dropped = |series: &[Series], index: Option<usize>| {
            index.is_some_and(|index| series[index].drop_name)
        };
        let labels = self.labels(&many_labels, one.as_ref().unwrap_or(&empty));
        let drop_name = self.binary.bool || dropped(self.many, pair.0);
        let key = (labels, drop_name);
        let result = if let Some(result) = self.places.get(&key) {
            *result
        } else {
            let steps = self
                .many
                .first()
                .or(self.one.first())
                .map_or(0, |one| one.column.len());
            evaluator.hold(steps)?;
            self.results.push(Series {
                labels: key.0.clone(),
                drop_name,
                column: Column::new(steps),
            });
            self.places.insert(key, self.results.len() - 1);
            self.results.len() - 1
        };
        self.known.insert(pair, result);
        Ok(result)
    }

    fn labels(&self, many: &Labels, one: &Labels) -> Labels {
        let matching = &self.binary.matching;
        let names = !self.binary.op.is_comparison();
        let to_one = matching.cardinality == Cardinality::OneToOne;
        let kept = many.filtered(|label| {
            let name: &str = &label.name;
            if names && name == NAME {
                return false;
            }
            let listed = matching.labels.iter().any(|label| label == name);
            !to_one || listed == matching.on
        });
        if matching.include.is_empty() {
            return kept;
        }
        let mut edited = kept.edit();
        for name in &matching.include {
            edited.set(name, one.get(name));
        }
        edited.build()
    }
}

impl Evaluator<'_> {
    /// `and`, `or`, `unless`: by presence alone.
    pub(crate) fn set(
        binary: &Binary,
        left: Vec<Series>,
        right: &[Series],
        steps: Steps,
    ) -> Vec<Series> {
        let signer = Signer::new(&binary.matching);
        let (left_numbers, right_numbers, count) = signer.number(&left, right);
        let there = |series: &[Series], numbers: &[usize]| {
            let mut there = vec![false; count * steps.count];
            for (one, number) in series.iter().zip(numbers) {
                for place in (0..steps.count).filter(|place| one.column.has(*place)) {
                    there[number * steps.count + place] = true;
                }
            }
            there
        };
        let masked =
            |series: &[Series], numbers: &[usize], mask: &[bool], wanted: bool| -> Vec<Series> {
                let kept = series.iter().zip(numbers).map(|(one, number)| {
                    let mut column = one.column.clone();
                    for place in (0..steps.count)
                        .filter(|place| mask[number * steps.count + place] != wanted)
                    {
                        column.clear(place);
                    }
                    Series {
                        labels: one.labels.clone(),
                        drop_name: one.drop_name,
                        column,
                    }
                });
                kept.filter(|one| !one.column.is_empty()).collect()
            };
        match binary.op {
            Op::Or => {
                let mask = there(&left, &left_numbers);
                let mut all = left;
                all.extend(masked(right, &right_numbers, &mask, false));
                all
            }
            op => {
                let mask = there(right, &right_numbers);
                masked(&left, &left_numbers, &mask, op == Op::And)
            }
        }
    }
}
