//! Replay: a head made again from the records of another.

use super::{FREE, GROUP, GroupId, Head, SeriesId, TargetId};
use crate::page::PageRef;
use crate::record::Record;
use std::sync::Arc;

/// Numbers beyond this are damage: a log's number must not take the memory.
const RECORDS_MAX: u32 = 1 << 26;

impl Head {
    /// Everything that is needed to understand rows and pages, for a log that begins anew.
    pub fn definitions(&self) -> impl Iterator<Item = Record> + '_ {
        let targets = (0..).zip(&self.targets).filter_map(|(id, target)| {
            let target = target.as_ref()?;
            Some(Record::Target {
                id,
                owner: target.owner.to_string(),
                key: target.key.clone(),
            })
        });
        let groups = (0..).zip(&self.groups).filter_map(|(id, group)| {
            let group = group.as_ref()?;
            Some(Record::Group {
                id,
                target: group.target,
                own: group.own,
            })
        });
        let series = (0..).zip(&self.series).filter_map(|(number, stored)| {
            let stored = stored.as_ref()?;
            Some(Record::Series {
                number,
                group: stored.group,
                slot: stored.slot,
                labels: stored.labels.clone(),
            })
        });
        targets.chain(groups).chain(series)
    }

    /// Takes a record of a log. What it refers to and is not there is left out.
    pub fn replay(&mut self, record: Record) {
        match record {
            Record::Target { id, owner, key } if id < RECORDS_MAX => {
                self.place_target(id, &owner, &key);
                // It is here again once somebody asks for it.
                self.leave(TargetId(id));
            }
            Record::Group { id, target, own } if id < RECORDS_MAX && self.group(id).is_none() => {
                self.place_group(id, target, own);
            }
            Record::Series {
                number,
                group,
                slot,
                labels,
            } if number < RECORDS_MAX && (slot as usize) < GROUP => {
                match self.series.get(number as usize) {
                    Some(Some(_)) => self.move_series(number, group, slot),
                    _ if self.group(group).is_some() => {
                        self.place_series(number, group, slot, &labels);
                    }
                    _ => {}
                }
            }
            Record::Row {
                group,
                at_ms,
                mut values,
            } => {
                self.append_row(GroupId(group), at_ms, &mut values);
            }
            Record::Sample {
                number,
                at_ms,
                value,
            } => {
                self.append(SeriesId(number), at_ms, value);
            }
            Record::Page { group, page } => self.replay_page(group, page),
            Record::Paged { group, offset } => {
                let known = self
                    .group(group)
                    .is_some_and(|group| group.pages.iter().any(|page| page.offset == offset));
                if known {
                    self.forget(group);
                }
            }
            _ => {}
        }
    }

    /// A page of the log of pages: what it holds is not to be replayed from rows.
    fn replay_page(&mut self, group: u32, page: PageRef) {
        let Some(Some(found)) = self.groups.get_mut(group as usize) else {
            return;
        };
        Arc::make_mut(&mut found.pages).push(page);
        // Rows up to here are in the page. Series with times of their own may have later ones in the log.
        if !found.own {
            found.newest_ms = found.newest_ms.max(page.last_ms);
        }
        for number in found.members.iter().filter(|member| **member != FREE) {
            if let Some(Some(stored)) = self.series.get_mut(*number as usize) {
                stored.seen = true;
            }
        }
        self.reach(page.first_ms);
        self.reach(page.last_ms);
    }

    /// Ends a replay: numbers that no series has are free.
    pub fn replayed(&mut self, floor_ms: i64) {
        let vacant = (0..).zip(&self.series).filter(|(_, one)| one.is_none());
        self.free = vacant.map(|(number, _)| number).collect();
        self.floor_ms = floor_ms;
        self.fresh.clear();
    }
}
