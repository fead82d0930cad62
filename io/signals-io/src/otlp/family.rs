//! Families: series of classic histograms and summaries, put together again into what they were made of.
//!
//! Which series belong together is known by what targets said of them; where nobody said anything, by their names
//! and labels. Both are the rules of the field for what its text formats hold.

use super::point::Writer;
use super::sheet::{Shape, meta};
use crate::metadata::Metadata;
use mainstay_metrics::{Columns, Labels, SeriesView};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// What a series is to what is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Role {
    /// A metric of its own.
    Plain(Shape),
    /// One of a family.
    Member(Part),
    /// What its target says of itself: attributes of the resource.
    Target,
    /// A kind that the protocol does not have: a histogram that may fall.
    Without,
}

/// What a series is to its family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Part {
    Bucket(f64),
    Quantile(f64),
    Count,
    Sum,
}

/// What is known of metrics by their names.
#[derive(Debug)]
pub(crate) struct Kinds {
    metadata: Arc<Metadata>,
    /// All names that there are.
    names: BTreeSet<String>,
    known: RefCell<HashMap<String, String>>,
}

impl Kinds {
    pub(crate) fn new(metadata: Arc<Metadata>, names: BTreeSet<String>) -> Self {
        Self {
            metadata,
            names,
            known: RefCell::default(),
        }
    }

    /// Whether a target says something of itself.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// What targets said; empty where they said nothing.
    fn kind(&self, name: &str) -> String {
        if let Some(kind) = self.known.borrow().get(name) {
            return kind.clone();
        }
        let kind = meta(&self.metadata, name).unwrap_or_default().kind;
        let mut known = self.known.borrow_mut();
        known.insert(name.to_owned(), kind.clone());
        kind
    }

    /// What a series is.
    pub(crate) fn role(&self, labels: &Labels) -> Role {
        let name = labels.metric();
        if name == "target_info" {
            return Role::Target;
        }
        let number = |label: &str| labels.get(label).parse::<f64>().ok();
        if let (Some(base), Some(bound)) = (name.strip_suffix("_bucket"), number("le")) {
            if self.kind(base) == "gaugehistogram" {
                return Role::Without;
            }
            return Role::Member(Part::Bucket(bound));
        }
        let kind = self.kind(name);
        match kind.as_str() {
            "counter" => return Role::Plain(Shape::Counter),
            "info" | "stateset" => return Role::Plain(Shape::Sum),
            // The classic one has no series of this name.
            "histogram" => return Role::Plain(Shape::Exponential),
            "" | "summary" => {}
            _ => return Role::Plain(Shape::Gauge),
        }
        if let Some(quantile) = number("quantile")
            && self.has(&format!("{name}_count"))
        {
            return Role::Member(Part::Quantile(quantile));
        }
        for (suffix, part) in [("_count", Part::Count), ("_sum", Part::Sum)] {
            if let Some(base) = name.strip_suffix(suffix)
                && self.is_family(base)
            {
                return Role::Member(part);
            }
        }
        let base = name.strip_suffix("_gcount").or(name.strip_suffix("_gsum"));
        if base.is_some_and(|base| self.kind(base) == "gaugehistogram") {
            return Role::Without;
        }
        // The ending that the field gives to what only rises.
        Role::Plain(if name.ends_with("_total") {
            Shape::Counter
        } else {
            Shape::Gauge
        })
    }

    fn is_family(&self, base: &str) -> bool {
        match self.kind(base).as_str() {
            "histogram" | "summary" => true,
            "" => self.has(&format!("{base}_bucket")) || self.has(base),
            _ => false,
        }
    }
}

/// Labels of a family: those of its members without what tells them apart, under the family's name.
pub(crate) fn kin(labels: &Labels, part: Part) -> Labels {
    let name = labels.metric();
    let (suffix, label) = match part {
        Part::Bucket(_) => ("_bucket", "le"),
        Part::Quantile(_) => ("", "quantile"),
        Part::Count => ("_count", ""),
        Part::Sum => ("_sum", ""),
    };
    let mut builder = labels.edit();
    builder.set("__name__", name.strip_suffix(suffix).unwrap_or(name));
    builder.remove(label);
    builder.build()
}

/// Which of so many shares a family belongs to.
pub(crate) fn share(identity: &Labels, shares: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    hasher.finish() % shares
}

/// Samples of the members of one family.
#[derive(Debug, Default)]
struct Family {
    count: Columns,
    sum: Columns,
    /// Buckets by upper bound, or quantiles.
    parts: Vec<(f64, Columns)>,
    is_summary: bool,
}

/// Families of a stretch of time.
#[derive(Debug, Default)]
pub(crate) struct Families {
    all: BTreeMap<Labels, Family>,
    /// Bytes that they take, or would take.
    pub(crate) bytes: usize,
}

/// A point that is ready.
#[derive(Debug)]
pub(crate) struct Ready<'a> {
    pub(crate) labels: &'a Labels,
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) point: Vec<u8>,
}

/// Bytes that a member takes with so many samples: what stands around them included.
fn weight(view: &SeriesView<'_>) -> usize {
    256 + 16 * view.at_ms.len()
}

impl Families {
    /// Only counts what a member would take.
    pub(crate) fn weigh(&mut self, view: &SeriesView<'_>) {
        self.bytes += weight(view);
    }

    /// Lets go of everything but the count of bytes.
    pub(crate) fn drop_all(&mut self) {
        self.all.clear();
    }

    /// Takes a member.
    pub(crate) fn add(&mut self, identity: Labels, part: Part, view: SeriesView<'_>) {
        self.weigh(&view);
        let family = self.all.entry(identity).or_default();
        let floats = SeriesView {
            histograms: &[],
            ..view
        };
        match part {
            Part::Count => family.count.add(floats),
            Part::Sum => family.sum.add(floats),
            Part::Bucket(at) | Part::Quantile(at) => {
                family.is_summary |= matches!(part, Part::Quantile(_));
                let mut columns = Columns::default();
                columns.add(floats);
                family.parts.push((at, columns));
            }
        }
    }

    /// Shows the points of all families, each family's in the order of time, as long as the visitor wants; returns
    /// how many samples make none.
    pub(crate) fn show(&mut self, visit: &mut dyn FnMut(Ready<'_>) -> bool) -> u64 {
        let mut left_out = 0;
        for (labels, family) in std::mem::take(&mut self.all) {
            left_out += family.left_out();
            if !family.show(&labels, visit) {
                break;
            }
        }
        self.bytes = 0;
        left_out
    }
}

/// The value at a time, of columns that are read forward.
fn at(columns: &Columns, cursor: &mut usize, at_ms: i64) -> Option<f64> {
    while columns.at_ms.get(*cursor).is_some_and(|at| *at < at_ms) {
        *cursor += 1;
    }
    let is_there = columns.at_ms.get(*cursor) == Some(&at_ms);
    is_there.then(|| columns.values[*cursor])
}

impl Family {
    /// Samples of members at times at which there is no count; without a count there is no point.
    fn left_out(&self) -> u64 {
        if self.parts.is_empty() {
            return 0;
        }
        let without = |columns: &Columns| {
            let times = columns.at_ms.iter();
            times
                .filter(|at| self.count.at_ms.binary_search(at).is_err())
                .count()
        };
        let parts = self.parts.iter().map(|(_, columns)| without(columns));
        (parts.sum::<usize>() + without(&self.sum)) as u64
    }

    fn show(mut self, labels: &Labels, visit: &mut dyn FnMut(Ready<'_>) -> bool) -> bool {
        let writer = Writer::new(labels);
        let name = labels.metric();
        if self.parts.is_empty() {
            // Nothing of what makes a family: two metrics whose names only look like it.
            return [("_count", &self.count), ("_sum", &self.sum)]
                .into_iter()
                .all(|(suffix, columns)| {
                    let mut samples = columns.at_ms.iter().zip(&columns.values);
                    samples.all(|(at_ms, value)| {
                        visit(Ready {
                            labels,
                            name: format!("{name}{suffix}"),
                            shape: Shape::Gauge,
                            point: writer.number(*at_ms, *value),
                        })
                    })
                });
        }
        self.parts.sort_by(|one, two| one.0.total_cmp(&two.0));
        let mut cursors = vec![0; self.parts.len()];
        let mut sums = 0;
        let shape = if self.is_summary {
            Shape::Summary
        } else {
            Shape::Histogram
        };
        let mut counted = self.count.at_ms.iter().zip(&self.count.values);
        counted.all(|(at_ms, count)| {
            let places = self.parts.iter().zip(&mut cursors);
            let values = places.filter_map(|((place, columns), cursor)| {
                let value = at(columns, cursor, *at_ms)?;
                (!mainstay_metrics::sample::is_stale(value)).then_some((*place, value))
            });
            let values: Vec<(f64, f64)> = values.collect();
            let sum = at(&self.sum, &mut sums, *at_ms);
            let point = if self.is_summary {
                writer.summary(*at_ms, *count, sum.unwrap_or_default(), &values)
            } else {
                buckets(&writer, *at_ms, *count, sum, &values)
            };
            visit(Ready {
                labels,
                name: name.to_owned(),
                shape,
                point,
            })
        })
    }
}

/// A point of counts up to bounds: what is between two of them is the difference.
fn buckets(
    writer: &Writer,
    at_ms: i64,
    count: f64,
    sum: Option<f64>,
    upto: &[(f64, f64)],
) -> Vec<u8> {
    let finite = upto.iter().filter(|(bound, _)| bound.is_finite());
    let (mut bounds, mut counts, mut before) = (Vec::new(), Vec::new(), 0.0);
    for (bound, upto) in finite {
        bounds.push(*bound);
        counts.push(upto - before);
        before = *upto;
    }
    counts.push(count - before);
    writer.histogram(at_ms, count, sum, &counts, &bounds)
}
