//! Pages and freezes: what leaves the head's memory.

use super::{FREE, Frozen, Group, GroupId, Head};
use crate::block_writer::WriteFault;
use crate::column::Columns;
use crate::page::{self, GAP, Page, PageRef};
use crate::source::Select;
use std::sync::Arc;

/// The compression level of pages, which live for two hours.
const LEVEL: i32 = 1;

impl Head {
    /// Makes a page of what a group holds outside of pages. [`Head::paged`] says where it lies then.
    pub fn page(&mut self, group: GroupId) -> Result<Option<Page>, WriteFault> {
        let Some(found) = self.group(group.0).filter(|group| group.samples > 0) else {
            return Ok(None);
        };
        let (bytes, seen, span) = if found.own {
            self.own_page(found)
        } else {
            Self::shared_page(found)
        };
        let samples = found.samples as u64;
        for number in seen {
            if let Some(Some(stored)) = self.series.get_mut(number as usize) {
                stored.seen = true;
            }
        }
        let raw = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let bytes = page::compress(&bytes, LEVEL)?;
        Ok(Some(Page {
            bytes,
            raw,
            first_ms: span.0,
            last_ms: span.1,
            samples,
        }))
    }

    fn shared_page(group: &Group) -> (Vec<u8>, Vec<u32>, (i64, i64)) {
        let mut seen = Vec::new();
        let mut entries = Vec::new();
        let mut column = Vec::with_capacity(group.rows.len());
        for (slot, number) in group.members.iter().enumerate() {
            column.clear();
            let values = group.rows.iter().map(|row| row.get(slot));
            column.extend(values.map(|value| value.copied().unwrap_or(f64::from_bits(GAP))));
            if *number != FREE && column.iter().any(|value| value.to_bits() != GAP) {
                page::put(&mut entries, *number, None, &column, &[]);
                seen.push(*number);
            }
        }
        let mut bytes = page::begin(Some(&group.at_ms), seen.len());
        bytes.extend_from_slice(&entries);
        let first = group.at_ms.first().copied().unwrap_or_default();
        let last = group.at_ms.last().copied().unwrap_or_default();
        (bytes, seen, (first, last))
    }

    fn own_page(&self, group: &Group) -> (Vec<u8>, Vec<u32>, (i64, i64)) {
        let mut seen = Vec::new();
        let mut entries = Vec::new();
        let mut span: Option<(i64, i64)> = None;
        for number in group.members.iter().filter(|member| **member != FREE) {
            let stored = self.series.get(*number as usize).and_then(Option::as_ref);
            let Some(stored) = stored else {
                continue;
            };
            let Some(own) = &stored.own else {
                continue;
            };
            let Some((first, last)) = own.columns.view(&stored.labels).span() else {
                continue;
            };
            let known = span.unwrap_or((first, last));
            span = Some((known.0.min(first), known.1.max(last)));
            let columns = &own.columns;
            page::put(
                &mut entries,
                *number,
                Some(&columns.at_ms),
                &columns.values,
                &columns.histograms,
            );
            seen.push(*number);
        }
        let mut bytes = page::begin(None, seen.len());
        bytes.extend_from_slice(&entries);
        (bytes, seen, span.unwrap_or_default())
    }

    /// Says where the page lies that a group's samples became; they are forgotten in memory.
    pub fn paged(&mut self, group: GroupId, page: PageRef) {
        self.forget(group.0);
        if let Some(group) = self.group_mut(group.0) {
            Arc::make_mut(&mut group.pages).push(page);
            group.newest_ms = group.newest_ms.max(page.last_ms);
        }
        self.reach(page.first_ms);
        self.reach(page.last_ms);
    }

    /// Forgets samples of a group that are now in a page.
    pub(super) fn forget(&mut self, group: u32) {
        let Some(Some(found)) = self.groups.get_mut(group as usize) else {
            return;
        };
        found.at_ms = Vec::new();
        found.rows = Vec::new();
        found.samples = 0;
        if !found.own {
            return;
        }
        for number in &found.members {
            let stored = self
                .series
                .get_mut(*number as usize)
                .and_then(Option::as_mut);
            if let Some(own) = stored.and_then(|stored| stored.own.as_mut()) {
                own.columns = Columns::default();
            }
        }
    }

    /// Takes out what is in pages, to become a block: [`Head::page`] comes before, for every group. Series without
    /// a sample since the last time go, and so do targets that left and groups in which nobody is. Samples up to
    /// `floor_ms` are refused from now on.
    pub fn freeze(&mut self, floor_ms: i64) -> Frozen {
        let mut frozen = Frozen::default();
        if let Some((first, last)) = self.span.take() {
            (frozen.first_ms, frozen.last_ms) = (first, last);
        }
        let nothing = Select {
            matchers: &[],
            after_ms: i64::MAX,
            until_ms: i64::MIN,
        };
        for series in self.find(&[]) {
            let stored = self.series[series.0 as usize].as_mut();
            let kept = stored.is_some_and(|one| std::mem::take(&mut one.seen));
            if kept {
                frozen.series.extend(self.locate(series, &nothing));
            } else {
                self.remove(series.0);
            }
        }
        for stored in self.series.iter_mut().flatten() {
            stored.also = None;
            if let Some(own) = stored.own.as_mut() {
                own.newest_ms = own.newest_ms.map(|newest| newest.min(floor_ms));
            }
        }
        for group in self.groups.iter_mut().flatten() {
            group.pages = Arc::default();
            // Where the clock went back, older samples than these are taken again.
            group.newest_ms = group.newest_ms.min(floor_ms);
        }
        self.tidy();
        self.floor_ms = floor_ms;
        frozen
    }

    fn remove(&mut self, number: u32) {
        let Some(stored) = self.series[number as usize].take() else {
            return;
        };
        self.by_labels.remove(&stored.labels);
        self.postings.remove(number, &stored.labels);
        if let Some(owner) = self.owner_of(stored.group)
            && let Some(count) = self.by_owner.get_mut(&owner)
        {
            *count = count.saturating_sub(1);
        }
        if let Some(group) = self.group_mut(stored.group) {
            let slot = stored.slot as usize;
            group.members[slot] = FREE;
            if let Some(value) = group.before.get_mut(slot) {
                *value = f64::from_bits(GAP);
            }
        }
        self.free.push(number);
    }

    /// Takes away what nobody is in. Members that moved away leave their old places.
    fn tidy(&mut self) {
        for id in 0..self.groups.len() {
            let Some(mut group) = self.groups[id].take() else {
                continue;
            };
            for member in &mut group.members {
                let stored = self.series.get(*member as usize).and_then(Option::as_ref);
                if stored.is_none_or(|stored| stored.group as usize != id) {
                    *member = FREE;
                }
            }
            while group.members.last() == Some(&FREE) {
                group.members.pop();
            }
            group.before.truncate(group.members.len());
            if group.members.is_empty() {
                if let Some(Some(target)) = self.targets.get_mut(group.target as usize) {
                    target.groups.retain(|one| *one as usize != id);
                }
            } else {
                self.groups[id] = Some(group);
            }
        }
        for place in &mut self.targets {
            if let Some(target) = place.take_if(|target| target.gone && target.groups.is_empty()) {
                self.target_keys.remove(&target.key);
            }
        }
        self.by_owner.retain(|_, count| *count > 0);
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        self.texts.shrink_to_fit();
    }
}
