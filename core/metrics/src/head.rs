//! The head: the newest samples in memory, group by group, until they become pages and later blocks.

mod freeze;
mod replay;
mod seat;

use crate::column::Columns;
use crate::label::Labels;
use crate::matcher::Matcher;
use crate::page::{GAP, PageRef};
use crate::postings::Postings;
use crate::record::Record;
use crate::sample::{HistogramSample, Value, is_stale, stale};
use crate::source::Select;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Series of a group: few enough that a window of theirs fits the memory when it becomes part of a block.
const GROUP: usize = 512;

/// A place that no series has.
const FREE: u32 = u32::MAX;

/// A target: what is scraped together, or one who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TargetId(pub u32);

/// A group of series of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u32);

/// A series of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesId(pub u32);

/// Where a series stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The series.
    pub series: SeriesId,
    /// Its group.
    pub group: GroupId,
    /// Its place in the group's rows.
    pub slot: u32,
    /// Whether it has times of its own, and rows are not for it.
    pub own: bool,
}

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is stored.
    Stored,
    /// There is one of that time; the first is kept.
    Duplicate,
    /// It is older than the newest; it is not stored.
    OutOfOrder,
}

/// Why a series is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{owner}` has {limit} series, its limit; {labels} is refused")]
pub struct Full {
    /// Whose limit it is.
    pub owner: String,
    /// The limit.
    pub limit: usize,
    /// Which series.
    pub labels: String,
}

#[derive(Debug)]
struct Target {
    key: String,
    owner: Arc<str>,
    groups: Vec<u32>,
    gone: bool,
}

#[derive(Debug)]
struct Group {
    target: u32,
    own: bool,
    members: Vec<u32>,
    /// Times of the rows.
    at_ms: Vec<i64>,
    rows: Vec<Box<[f64]>>,
    /// What the row before the next showed; it outlives the page that took it.
    before: Vec<f64>,
    newest_ms: i64,
    /// Samples that are in no page yet.
    samples: usize,
    pages: Arc<Vec<PageRef>>,
}

/// Samples of a series with times of its own.
#[derive(Debug, Default)]
struct Own {
    columns: Columns,
    newest_ms: Option<i64>,
}

#[derive(Debug)]
struct Stored {
    labels: Labels,
    group: u32,
    slot: u32,
    /// Whether it has a sample since the last freeze.
    seen: bool,
    own: Option<Box<Own>>,
    /// Groups that it was in before.
    #[expect(clippy::box_collection, reason = "hardly any series has one")]
    also: Option<Box<Vec<u32>>>,
}

/// A series with what is in no page, and the pages that may hold more.
#[derive(Debug, Clone)]
pub struct Located {
    /// Which series.
    pub labels: Labels,
    /// Its number, as in the pages.
    pub number: u32,
    /// Pages of each group that it is or was in, oldest first.
    pub pages: Vec<Arc<Vec<PageRef>>>,
    /// Samples that are in no page.
    pub tail: Columns,
}

/// What the head held up to a moment, all of it in pages.
#[derive(Debug, Default)]
pub struct Frozen {
    /// Series in the order of their groups.
    pub series: Vec<Located>,
    /// Time of the first sample, in milliseconds since 1970.
    pub first_ms: i64,
    /// Time of the last sample.
    pub last_ms: i64,
}

/// Newest samples.
#[derive(Debug)]
pub struct Head {
    series_max: usize,
    owner_max: usize,
    targets: Vec<Option<Target>>,
    target_keys: HashMap<String, u32>,
    groups: Vec<Option<Group>>,
    series: Vec<Option<Stored>>,
    free: Vec<u32>,
    by_labels: HashMap<Labels, u32>,
    by_owner: HashMap<Arc<str>, usize>,
    postings: Postings,
    texts: HashSet<Arc<str>>,
    fresh: Vec<Record>,
    span: Option<(i64, i64)>,
    floor_ms: i64,
}

impl Head {
    /// An empty head that takes so many series, and so many of each owner.
    pub fn new(series_max: usize, owner_max: usize) -> Self {
        Self {
            series_max,
            owner_max,
            targets: Vec::new(),
            target_keys: HashMap::new(),
            groups: Vec::new(),
            series: Vec::new(),
            free: Vec::new(),
            by_labels: HashMap::new(),
            by_owner: HashMap::new(),
            postings: Postings::default(),
            texts: HashSet::new(),
            fresh: Vec::new(),
            span: None,
            floor_ms: i64::MIN,
        }
    }

    /// Changes the limits; series that are there stay.
    pub fn limit(&mut self, series_max: usize, owner_max: usize) {
        (self.series_max, self.owner_max) = (series_max, owner_max);
    }

    /// Finds or begins a target.
    pub fn target(&mut self, owner: &str, key: &str) -> TargetId {
        if let Some(known) = self.target_keys.get(key) {
            if let Some(target) = self.targets[*known as usize].as_mut() {
                target.gone = false;
            }
            return TargetId(*known);
        }
        let id = vacancy(&mut self.targets);
        let record = Record::Target {
            id,
            owner: owner.to_owned(),
            key: key.to_owned(),
        };
        self.place_target(id, owner, key);
        self.fresh.push(record);
        TargetId(id)
    }

    /// Says that a target will show nothing more; what it showed stays as long as everything.
    pub fn leave(&mut self, target: TargetId) {
        if let Some(Some(target)) = self.targets.get_mut(target.0 as usize) {
            target.gone = true;
        }
    }

    /// Groups of a target that are filled row by row.
    pub fn groups(&self, target: TargetId) -> Vec<GroupId> {
        let Some(Some(target)) = self.targets.get(target.0 as usize) else {
            return Vec::new();
        };
        let shared = |group: &&u32| self.group(**group).is_some_and(|group| !group.own);
        target
            .groups
            .iter()
            .filter(shared)
            .map(|group| GroupId(*group))
            .collect()
    }

    /// Every group of a target.
    pub fn all_groups(&self, target: TargetId) -> Vec<GroupId> {
        let target = self.targets.get(target.0 as usize).and_then(Option::as_ref);
        let groups = target.map_or(&[][..], |target| &target.groups);
        groups.iter().map(|group| GroupId(*group)).collect()
    }

    /// How many series an owner has.
    pub fn owned(&self, owner: &str) -> usize {
        self.by_owner.get(owner).copied().unwrap_or(0)
    }

    /// Owners with the count of their series.
    pub fn owners(&self) -> impl Iterator<Item = (&str, usize)> {
        self.by_owner
            .iter()
            .map(|(owner, count)| (&**owner, *count))
    }

    /// How wide a group's rows are.
    pub fn width(&self, group: GroupId) -> usize {
        self.group(group.0).map_or(0, |group| group.members.len())
    }

    /// Adds what a group showed at one time: a value a place, [`gap`] where there was none. A series that the row
    /// before showed and this one does not ended: a stale marker is put into the row. A row in which nothing
    /// stands is not stored.
    pub fn append_row(&mut self, group: GroupId, at_ms: i64, row: &mut [f64]) -> Appended {
        let floor = self.floor_ms;
        let Some(group) = self.group_mut(group.0) else {
            return Appended::OutOfOrder;
        };
        if group.newest_ms == at_ms {
            return Appended::Duplicate;
        }
        if group.newest_ms > at_ms || at_ms <= floor {
            return Appended::OutOfOrder;
        }
        let mut samples = 0;
        group
            .before
            .resize(row.len().max(group.before.len()), f64::from_bits(GAP));
        for (value, before) in row.iter_mut().zip(&mut group.before) {
            let is_gap = value.to_bits() == GAP;
            if is_gap && before.to_bits() != GAP && !is_stale(*before) {
                *value = stale();
            }
            samples += usize::from(value.to_bits() != GAP);
            *before = *value;
        }
        if samples == 0 {
            return Appended::Stored;
        }
        group.newest_ms = at_ms;
        group.at_ms.push(at_ms);
        group.rows.push(row.into());
        group.samples += samples;
        self.reach(at_ms);
        Appended::Stored
    }

    fn reach(&mut self, at_ms: i64) {
        let span = self.span.unwrap_or((at_ms, at_ms));
        self.span = Some((span.0.min(at_ms), span.1.max(at_ms)));
    }

    /// Adds a sample to a series with times of its own.
    pub fn append(&mut self, series: SeriesId, at_ms: i64, value: Value) -> Appended {
        let floor = self.floor_ms;
        let Some(Some(stored)) = self.series.get_mut(series.0 as usize) else {
            return Appended::OutOfOrder;
        };
        let group = stored.group;
        let Some(own) = stored.own.as_mut() else {
            return Appended::OutOfOrder;
        };
        if own.newest_ms == Some(at_ms) {
            return Appended::Duplicate;
        }
        if own.newest_ms.is_some_and(|newest| newest > at_ms) || at_ms <= floor {
            return Appended::OutOfOrder;
        }
        own.newest_ms = Some(at_ms);
        match value {
            Value::Float(value) => own.columns.push(at_ms, value),
            Value::Histogram(histogram) => {
                let sample = HistogramSample { at_ms, histogram };
                own.columns.histograms.push(sample);
            }
        }
        if let Some(group) = self.group_mut(group) {
            group.samples += 1;
            group.newest_ms = group.newest_ms.max(at_ms);
        }
        self.reach(at_ms);
        Appended::Stored
    }

    /// What began since this was asked last, for a log.
    pub fn fresh(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.fresh)
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_labels.is_empty()
    }

    /// The times of the first and the last sample since the last freeze.
    pub fn span(&self) -> Option<(i64, i64)> {
        self.span
    }

    /// Samples of a group that are in no page, and since when.
    pub fn unpaged(&self, group: GroupId) -> (usize, Option<i64>) {
        let Some(group) = self.group(group.0) else {
            return (0, None);
        };
        (group.samples, group.at_ms.first().copied())
    }

    /// Whether a group has a page since the last freeze.
    pub fn is_paged(&self, group: GroupId) -> bool {
        self.group(group.0)
            .is_some_and(|group| !group.pages.is_empty())
    }

    /// The newest time of a group.
    pub fn newest_ms(&self, group: GroupId) -> Option<i64> {
        Some(self.group(group.0)?.newest_ms)
    }

    /// The group of a series.
    pub fn group_of(&self, series: SeriesId) -> Option<GroupId> {
        let stored = self.series.get(series.0 as usize)?.as_ref()?;
        Some(GroupId(stored.group))
    }

    /// All groups that are there.
    pub fn group_ids(&self) -> Vec<GroupId> {
        let there = (0..).zip(&self.groups).filter(|(_, group)| group.is_some());
        there.map(|(id, _)| GroupId(id)).collect()
    }

    /// Samples that are in no page.
    pub fn tail_samples(&self) -> usize {
        self.groups
            .iter()
            .flatten()
            .map(|group| group.samples)
            .sum()
    }

    /// Names of labels, sorted.
    pub fn label_names(&self) -> Vec<&str> {
        self.postings.names()
    }

    /// Values of a label, sorted.
    pub fn label_values(&self, name: &str) -> Vec<&str> {
        self.postings.values(name)
    }

    /// Series that fulfil every condition, in the order of their groups.
    pub fn find(&self, matchers: &[Matcher]) -> Vec<SeriesId> {
        let mut found: Vec<(u32, u32, u32)> = self
            .postings
            .select(matchers)
            .iter()
            .filter_map(|number| {
                let stored = self.series.get(number as usize)?.as_ref()?;
                Some((stored.group, stored.slot, number))
            })
            .collect();
        found.sort_unstable();
        found
            .into_iter()
            .map(|(_, _, number)| SeriesId(number))
            .collect()
    }

    /// The labels of a series.
    pub fn labels(&self, series: SeriesId) -> Option<&Labels> {
        let stored = self.series.get(series.0 as usize)?.as_ref()?;
        Some(&stored.labels)
    }

    /// The labels of whoever stands at a place of a group.
    pub fn labels_at(&self, group: GroupId, slot: u32) -> Option<&Labels> {
        let number = self.group(group.0)?.members.get(slot as usize)?;
        self.labels(SeriesId(*number))
    }

    /// A time that no later sample of a series is before; nothing where none is known.
    pub fn newest_of(&self, labels: &Labels) -> Option<i64> {
        let number = *self.by_labels.get(labels)?;
        let stored = self.series.get(number as usize)?.as_ref()?;
        match &stored.own {
            Some(own) => own.newest_ms,
            None => self.newest_ms(GroupId(stored.group)),
        }
    }

    /// A series with its samples in a range that are in no page.
    pub fn locate(&self, series: SeriesId, select: &Select<'_>) -> Option<Located> {
        let stored = self.series.get(series.0 as usize)?.as_ref()?;
        let mut located = Located {
            labels: stored.labels.clone(),
            number: series.0,
            pages: Vec::new(),
            tail: Columns::default(),
        };
        let before = stored.also.iter().flat_map(|also| also.iter());
        for id in before.chain([&stored.group]) {
            let Some(group) = self.group(*id) else {
                continue;
            };
            if !group.pages.is_empty() {
                located.pages.push(group.pages.clone());
            }
            if *id != stored.group
                && let Some(slot) = group.members.iter().position(|one| *one == series.0)
            {
                gather(group, slot, select, &mut located.tail);
            }
        }
        if let Some(own) = &stored.own {
            located
                .tail
                .add(own.columns.view(&stored.labels).within(select));
        } else if let Some(group) = self.group(stored.group) {
            gather(group, stored.slot as usize, select, &mut located.tail);
        }
        Some(located)
    }
}

/// The value that says: no sample here.
pub fn gap() -> f64 {
    f64::from_bits(GAP)
}

/// Whether a value is [`gap`].
pub fn is_gap(value: f64) -> bool {
    value.to_bits() == GAP
}

fn vacancy<T>(places: &mut [Option<T>]) -> u32 {
    let vacant = places.iter().position(Option::is_none);
    vacant.unwrap_or(places.len()) as u32
}

/// Adds a column of the rows.
fn gather(group: &Group, slot: usize, select: &Select<'_>, into: &mut Columns) {
    let from = group.at_ms.partition_point(|at| *at <= select.after_ms);
    let to = group.at_ms.partition_point(|at| *at <= select.until_ms);
    for row in from..to.max(from) {
        match group.rows[row].get(slot) {
            Some(value) if value.to_bits() != GAP => into.push(group.at_ms[row], *value),
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "head_test.rs"]
mod tests;
