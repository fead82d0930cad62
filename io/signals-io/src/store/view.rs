//! A view: everything that is stored, read as one source, without holding up who writes.

use super::file::Bytes;
use super::shelf::{Open, Volume};
use super::{Frost, Live, Store};
use mainstay_metrics::{
    BlockReader, Columns, Labels, Located, Matcher, PageReader, Select, SeriesId, SeriesView,
    Source, SourceFault, all_match,
};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Series that are located under one lock: some hundred microseconds.
const CHUNK: usize = 512;

/// What a query is told when a window was closed under it; it is asked again.
pub(crate) const MOVED: &str = "the store closed a window meanwhile; ask again";

/// What a query reads. Made for one query.
#[derive(Debug)]
pub(crate) struct View {
    store: Store,
    epoch: u64,
    volumes: Vec<Volume>,
    frozen: Vec<Arc<Frost>>,
    reader: RefCell<PageReader<Bytes>>,
    /// What could not be read, for the query's warnings.
    remarks: RefCell<BTreeSet<String>>,
    is_torn: Cell<bool>,
}

/// A part beside the head, open for one walk.
enum Part<'a> {
    Block {
        volume: &'a Volume,
        reader: BlockReader<'a, Bytes>,
    },
    Frozen {
        frost: &'a Frost,
        reader: PageReader<Bytes>,
    },
}

/// Where a series is: parts by number, oldest first, with its number there.
type Places = Vec<(usize, u32)>;

/// Series that are in parts. All labels of each are hashed several times, so their hasher is a fast one.
type Others = HashMap<Labels, Places, foldhash::fast::RandomState>;

impl View {
    /// What is stored now.
    pub(crate) fn of(store: Store, live: &Live) -> Self {
        Self {
            store,
            epoch: live.epoch,
            volumes: live.volumes.clone(),
            frozen: live.frozen.clone(),
            reader: RefCell::new(PageReader::new(live.pages_bytes())),
            remarks: RefCell::default(),
            is_torn: Cell::new(false),
        }
    }

    /// Whether a block's time was over before it was read.
    pub(crate) fn is_torn(&self) -> bool {
        self.is_torn.get()
    }

    /// What could not be read.
    pub(crate) fn remarks(&self) -> Vec<String> {
        self.remarks.borrow().iter().cloned().collect()
    }

    /// Blocks that cover some of a range, oldest first. One that cannot be opened is put aside.
    fn blocks(&self, select: &Select<'_>) -> Vec<(&Volume, Open)> {
        let inside = |volume: &&Volume| {
            volume.last_ms > select.after_ms && volume.first_ms <= select.until_ms
        };
        let mut open = Vec::new();
        for volume in self.volumes.iter().filter(inside) {
            match self.store.0.shelf.open(volume) {
                Ok(block) => open.push((volume, block)),
                Err(fault) if volume.path.exists() => {
                    self.store.quarantine(volume);
                    self.remark(volume, &fault.to_string());
                }
                // Its time was over.
                Err(_) => self.is_torn.set(true),
            }
        }
        open
    }

    fn remark(&self, volume: &Volume, why: &str) {
        let name = volume
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        self.remarks
            .borrow_mut()
            .insert(format!("block {name} was put aside: {why}"));
    }

    fn frosts(&self, select: &Select<'_>) -> impl Iterator<Item = &Arc<Frost>> {
        let (after_ms, until_ms) = (select.after_ms, select.until_ms);
        self.frozen.iter().filter(move |frost| {
            frost.frozen.last_ms > after_ms && frost.frozen.first_ms <= until_ms
        })
    }

    /// The numbers of the head's series; a fault where the window was closed.
    fn numbers(&self, matchers: &[Matcher]) -> Result<Vec<SeriesId>, SourceFault> {
        let live = self.store.live();
        if live.epoch != self.epoch {
            return Err(SourceFault(MOVED.into()));
        }
        Ok(live.head.find(matchers))
    }

    fn locate(&self, some: &[SeriesId], select: &Select<'_>) -> Result<Vec<Located>, SourceFault> {
        let live = self.store.live();
        if live.epoch != self.epoch {
            return Err(SourceFault(MOVED.into()));
        }
        let located = some.iter().filter_map(|one| live.head.locate(*one, select));
        Ok(located.collect())
    }

    fn read_head(&self, located: &Located, select: &Select<'_>, columns: &mut Columns) {
        let mut reader = self.reader.borrow_mut();
        for pages in &located.pages {
            if let Err(fault) = reader.read(pages, located.number, select, columns) {
                self.remarks.borrow_mut().insert(fault.to_string());
            }
        }
        columns.add(located.tail.view(&located.labels));
    }

    fn read_places(
        &self,
        parts: &mut [Option<Part<'_>>],
        places: &Places,
        select: &Select<'_>,
        columns: &mut Columns,
    ) {
        for (place, number) in places {
            let read = match parts[*place].as_mut() {
                Some(Part::Block { reader, .. }) => reader.read(*number, select, columns),
                Some(Part::Frozen { frost, reader }) => {
                    let one = frost.frozen.series.get(*number as usize);
                    one.map_or(Ok(()), |one| {
                        let mut pages = one.pages.iter();
                        pages.try_for_each(|pages| reader.read(pages, one.number, select, columns))
                    })
                }
                None => Ok(()),
            };
            if let Err(fault) = read {
                // The rest of the answer does not depend on it.
                if let Some(Part::Block { volume, .. }) = parts[*place].take() {
                    self.store.quarantine(volume);
                    self.remark(volume, &fault.to_string());
                }
            }
        }
    }

    fn select_head(
        &self,
        select: &Select<'_>,
        parts: &mut [Option<Part<'_>>],
        others: &mut Others,
        visit: &mut dyn FnMut(SeriesView<'_>) -> bool,
    ) -> Result<bool, SourceFault> {
        let mut columns = Columns::default();
        for some in self.numbers(select.matchers)?.chunks(CHUNK) {
            for located in self.locate(some, select)? {
                columns.clear();
                if let Some(places) = others.remove(&located.labels) {
                    self.read_places(parts, &places, select, &mut columns);
                }
                self.read_head(&located, select, &mut columns);
                let view = columns.view(&located.labels);
                if !view.is_empty() && !visit(view) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Labels of every series that fulfils one of the lists of conditions and may have samples in the range.
    pub(crate) fn series(
        &self,
        lists: &[Vec<Matcher>],
        after_ms: i64,
        until_ms: i64,
    ) -> BTreeSet<Labels> {
        let mut found = BTreeSet::new();
        for matchers in lists {
            let select = Select {
                matchers,
                after_ms,
                until_ms,
            };
            for (_, block) in self.blocks(&select) {
                found.extend(block.find(matchers).into_iter().map(|one| one.labels));
            }
            for frost in self.frosts(&select) {
                let series = frost.frozen.series.iter().map(|one| &one.labels);
                found.extend(series.filter(|labels| all_match(matchers, labels)).cloned());
            }
            if self.covers_head(&select) {
                let live = self.store.live();
                let numbers = live.head.find(matchers).into_iter();
                found.extend(numbers.filter_map(|one| live.head.labels(one).cloned()));
            }
        }
        found
    }

    /// The times of the first and the last sample that is stored.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        let volumes = self.volumes.iter().map(|one| (one.first_ms, one.last_ms));
        let frozen = self.frozen.iter().map(|one| &one.frozen);
        let frozen = frozen.map(|one| (one.first_ms, one.last_ms));
        let head = self.store.live().head.span();
        let all = volumes.chain(frozen).chain(head);
        all.reduce(|one, two| (one.0.min(two.0), one.1.max(two.1)))
    }

    fn covers_head(&self, select: &Select<'_>) -> bool {
        let span = self.store.live().head.span();
        span.is_some_and(|(first, last)| last > select.after_ms && first <= select.until_ms)
    }

    /// Names of labels in a range.
    pub(crate) fn label_names(&self, after_ms: i64, until_ms: i64) -> BTreeSet<String> {
        self.texts(after_ms, until_ms, None)
    }

    /// Values of a label in a range.
    pub(crate) fn label_values(
        &self,
        name: &str,
        after_ms: i64,
        until_ms: i64,
    ) -> BTreeSet<String> {
        self.texts(after_ms, until_ms, Some(name))
    }

    fn texts(&self, after_ms: i64, until_ms: i64, values_of: Option<&str>) -> BTreeSet<String> {
        let select = Select {
            matchers: &[],
            after_ms,
            until_ms,
        };
        let mut found = BTreeSet::new();
        for (_, block) in self.blocks(&select) {
            let texts = match values_of {
                Some(name) => block.label_values(name),
                None => block.label_names(),
            };
            found.extend(texts.into_iter().map(str::to_owned));
        }
        for frost in self.frosts(&select) {
            for label in frost.frozen.series.iter().flat_map(|one| &one.labels) {
                match values_of {
                    None => drop(found.insert(label.name.to_string())),
                    Some(name) if *label.name == *name => {
                        found.insert(label.value.to_string());
                    }
                    Some(_) => {}
                }
            }
        }
        if self.covers_head(&select) {
            let live = self.store.live();
            let texts = match values_of {
                Some(name) => live.head.label_values(name),
                None => live.head.label_names(),
            };
            found.extend(texts.into_iter().map(str::to_owned));
        }
        found
    }
}

impl Source for View {
    fn select(
        &self,
        select: &Select<'_>,
        visit: &mut dyn FnMut(SeriesView<'_>) -> bool,
    ) -> Result<(), SourceFault> {
        let blocks = self.blocks(select);
        let mut parts: Vec<Option<Part<'_>>> = Vec::new();
        let mut others = Others::default();
        let mut order: Vec<Labels> = Vec::new();
        let mut put = |others: &mut Others, labels: Labels, place: usize, number: u32| {
            let places = others.entry(labels.clone()).or_default();
            if places.is_empty() {
                order.push(labels);
            }
            places.push((place, number));
        };
        for (volume, block) in &blocks {
            let found = block.find(select.matchers);
            others.reserve(found.len());
            for found in found {
                put(&mut others, found.labels, parts.len(), found.number);
            }
            let reader = block.reader();
            parts.push(Some(Part::Block { volume, reader }));
        }
        for frost in self.frosts(select) {
            let series = (0..).zip(&frost.frozen.series);
            for (number, one) in series.filter(|one| all_match(select.matchers, &one.1.labels)) {
                put(&mut others, one.labels.clone(), parts.len(), number);
            }
            let reader = PageReader::new(frost.pages.clone());
            parts.push(Some(Part::Frozen { frost, reader }));
        }
        if !self.select_head(select, &mut parts, &mut others, visit)? {
            return Ok(());
        }
        // What the head does not know any more.
        let mut columns = Columns::default();
        for labels in order {
            let Some(places) = others.remove(&labels) else {
                continue;
            };
            columns.clear();
            self.read_places(&mut parts, &places, select, &mut columns);
            let view = columns.view(&labels);
            if !view.is_empty() && !visit(view) {
                break;
            }
        }
        Ok(())
    }
}
