//! Ingestion: a body of a target becomes rows; a series that was seen before is known by its text alone.

use crate::metadata::Metadata;
use crate::store::{Live, Store, StoreFault};
use mainstay_metrics::exposition::{Entry, ExpositionFault, Format, Limits, Reader, Row};
use mainstay_metrics::{Full, GroupId, Labels, Seat, TargetId, Value, gap};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

/// What a scrape has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Scraped {
    /// Samples in the body.
    pub(crate) samples: usize,
    /// Series that were not known.
    pub(crate) added: usize,
}

/// Why a body is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IngestFault {
    #[error(transparent)]
    Body(#[from] ExpositionFault),
    #[error(transparent)]
    Full(#[from] Full),
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A window was closed while the body was read: places in it are not those of the next.
    #[error("the store closed a window meanwhile")]
    Moved,
}

/// Labels that a target's samples get.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dress {
    pub(crate) labels: Labels,
    pub(crate) honor_labels: bool,
    pub(crate) honor_timestamps: bool,
}

impl Dress {
    /// The labels of a series as it is stored. Where both name a label, that of the target wins and the other is
    /// kept under `exported_`, unless it is to be honored: the field's rule.
    pub(crate) fn put_on(&self, labels: &Labels) -> Labels {
        let mut builder = labels.edit();
        for label in &self.labels {
            let exposed = labels.get(&label.name);
            if exposed.is_empty() {
                builder.set(&label.name, &label.value);
            } else if !self.honor_labels {
                let mut name = format!("exported_{}", label.name);
                while !labels.get(&name).is_empty() {
                    name.insert_str(0, "exported_");
                }
                builder.set(&name, exposed);
                builder.set(&label.name, &label.value);
            }
        }
        builder.build()
    }
}

/// A series that was seen.
#[derive(Debug, Clone, Copy)]
struct Known {
    begin: u32,
    end: u32,
    seat: Seat,
}

/// What one target showed before.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) target: TargetId,
    epoch: u64,
    texts: Vec<u8>,
    known: Vec<Known>,
    /// Numbers of the known in the order of the last body.
    order: Vec<u32>,
    by_hash: HashMap<u64, u32>,
    hash: RandomState,
    limits: Limits,
}

/// Rows of one body, by group.
type Rows = BTreeMap<GroupId, Vec<f64>>;

/// What a body holds beside rows.
#[derive(Default)]
struct Beside<'a> {
    fresh: Vec<Row<'a>>,
    own: Vec<(Seat, i64, f64)>,
}

impl Cache {
    pub(crate) fn new(live: &mut Live, owner: &str, key: &str, limits: Limits) -> Self {
        Self {
            target: live.target(owner, key),
            epoch: live.epoch,
            texts: Vec::new(),
            known: Vec::new(),
            order: Vec::new(),
            by_hash: HashMap::new(),
            hash: RandomState::new(),
            limits,
        }
    }

    /// Forgets what a freeze may have removed.
    fn refresh(&mut self, live: &mut Live, owner: &str, key: &str) {
        if self.epoch != live.epoch {
            *self = Self::new(live, owner, key, self.limits);
        }
    }

    fn text(&self, known: &Known) -> &[u8] {
        &self.texts[known.begin as usize..known.end as usize]
    }

    /// Finds a series by its text; `place` is how many came before it in this body.
    fn find(&self, place: usize, text: &[u8]) -> Option<u32> {
        if let Some(number) = self.order.get(place)
            && self.text(&self.known[*number as usize]) == text
        {
            return Some(*number);
        }
        let number = *self.by_hash.get(&self.hash.hash_one(text))?;
        (self.text(&self.known[number as usize]) == text).then_some(number)
    }

    fn learn(&mut self, text: &[u8], seat: Seat) -> u32 {
        let number = self.known.len() as u32;
        let begin = self.texts.len() as u32;
        self.texts.extend_from_slice(text);
        self.known.push(Known {
            begin,
            end: self.texts.len() as u32,
            seat,
        });
        self.by_hash.insert(self.hash.hash_one(text), number);
        number
    }

    /// Takes a new order; what was not seen is forgotten when it is more than what was.
    fn reorder(&mut self, order: Vec<u32>) {
        if self.known.len() <= 2 * order.len() + 64 {
            self.order = order;
            return;
        }
        let (texts, known) = (
            std::mem::take(&mut self.texts),
            std::mem::take(&mut self.known),
        );
        self.by_hash.clear();
        let order = order.into_iter().map(|number| {
            let one = known[number as usize];
            self.learn(&texts[one.begin as usize..one.end as usize], one.seat)
        });
        self.order = order.collect();
    }
}

/// One target's way into the store.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) owner: String,
    pub(crate) key: String,
    pub(crate) dress: Dress,
    pub(crate) cache: Cache,
}

impl Ingest {
    pub(crate) fn new(store: &Store, owner: &str, key: &str, dress: Dress, limits: Limits) -> Self {
        Self {
            cache: Cache::new(&mut store.live(), owner, key, limits),
            owner: owner.to_owned(),
            key: key.to_owned(),
            dress,
        }
    }

    /// Takes a body whole, or nothing of it.
    pub(crate) fn body(
        &mut self,
        store: &Store,
        body: &[u8],
        format: Format,
        at_ms: i64,
        metadata: &Metadata,
    ) -> Result<Scraped, IngestFault> {
        match self.read(store, body, format, at_ms, metadata) {
            // Windows are hours apart: the second time it is read in one.
            Err(IngestFault::Moved) => self.read(store, body, format, at_ms, metadata),
            other => other,
        }
    }

    fn read(
        &mut self,
        store: &Store,
        body: &[u8],
        format: Format,
        at_ms: i64,
        metadata: &Metadata,
    ) -> Result<Scraped, IngestFault> {
        let mut live = store.live();
        live.ready()?;
        self.cache.refresh(&mut live, &self.owner, &self.key);
        let widths: BTreeMap<GroupId, usize> = live
            .head
            .groups(self.cache.target)
            .into_iter()
            .map(|group| (group, live.head.width(group)))
            .collect();
        drop(live);
        let mut rows = Rows::new();
        let mut beside = Beside::default();
        let mut order = Vec::with_capacity(self.cache.order.len());
        let mut samples = 0;
        for entry in Reader::new(body, format, self.cache.limits)? {
            let row = match entry? {
                Entry::Sample(row) => row,
                other => {
                    metadata.note(&other);
                    continue;
                }
            };
            samples += 1;
            let Some(number) = self.cache.find(order.len(), row.series) else {
                beside.fresh.push(row);
                continue;
            };
            order.push(number);
            let seat = self.cache.known[number as usize].seat;
            let own_ms = row.at_ms.filter(|_| self.dress.honor_timestamps);
            if seat.own || own_ms.is_some() {
                beside.own.push((seat, own_ms.unwrap_or(at_ms), row.value));
            } else {
                put(&mut rows, &widths, seat, row.value);
            }
        }
        self.commit(store, rows, beside, order, samples, at_ms)
    }

    fn commit(
        &mut self,
        store: &Store,
        mut rows: Rows,
        beside: Beside<'_>,
        mut order: Vec<u32>,
        samples: usize,
        at_ms: i64,
    ) -> Result<Scraped, IngestFault> {
        let added = beside.fresh.len();
        let mut own = beside.own;
        let mut live = store.live();
        live.ready()?;
        if live.epoch != self.cache.epoch {
            return Err(IngestFault::Moved);
        }
        for row in beside.fresh {
            let own_ms = row.at_ms.filter(|_| self.dress.honor_timestamps);
            let labels = self.dress.put_on(&row.labels(&self.cache.limits)?);
            let seat = live.seat(self.cache.target, &labels, own_ms.is_some())?;
            order.push(self.cache.learn(row.series, seat));
            if seat.own {
                own.push((seat, own_ms.unwrap_or(at_ms), row.value));
            } else {
                put(&mut rows, &BTreeMap::new(), seat, row.value);
            }
        }
        if order != self.cache.order {
            self.cache.reorder(order);
        }
        let groups = live.head.groups(self.cache.target);
        for group in &groups {
            let row = rows.entry(*group).or_default();
            row.resize(live.head.width(*group), gap());
            live.row(*group, at_ms, row);
        }
        for (seat, at_ms, value) in own {
            live.sample(seat, at_ms, Value::Float(value));
        }
        live.page_if_due(&groups, at_ms)?;
        live.commit()?;
        Ok(Scraped { samples, added })
    }

    /// The target did not answer: its series end.
    pub(crate) fn silence(&mut self, store: &Store, at_ms: i64) -> Result<(), StoreFault> {
        let mut live = store.live();
        live.ready()?;
        self.cache.refresh(&mut live, &self.owner, &self.key);
        for group in live.head.groups(self.cache.target) {
            let mut row = vec![gap(); live.head.width(group)];
            live.row(group, at_ms, &mut row);
        }
        live.commit()
    }

    /// The target is no longer wanted: its series end, and others may take them over.
    pub(crate) fn leave(mut self, store: &Store, at_ms: i64) {
        // Where samples are refused there is no marker either; the lookback ends the series then.
        drop(self.silence(store, at_ms));
        store.live().head.leave(self.cache.target);
    }
}

/// Puts a value into its row. A series that comes twice in a body keeps its first value.
fn put(rows: &mut Rows, widths: &BTreeMap<GroupId, usize>, seat: Seat, value: f64) {
    let row = rows.entry(seat.group).or_default();
    let width = widths.get(&seat.group).copied().unwrap_or_default();
    let slot = seat.slot as usize;
    if row.len() <= slot {
        row.resize(width.max(slot + 1), gap());
    }
    if mainstay_metrics::is_gap(row[slot]) {
        row[slot] = value;
    }
}
