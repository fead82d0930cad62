//! Seats: where a series stands in the head, and who makes room.

use super::{
    FREE, Full, GROUP, Group, GroupId, Head, Seat, SeriesId, Stored, Target, TargetId, vacancy,
};
use crate::label::{Label, Labels};
use crate::page::GAP;
use crate::record::Record;
use std::sync::Arc;

impl Head {
    /// Finds or begins a series. `own`: its times are its own. One that another target has gets times of its
    /// own, since both may show it.
    pub fn series(&mut self, target: TargetId, labels: &Labels, own: bool) -> Result<Seat, Full> {
        if let Some(number) = self.by_labels.get(labels).copied() {
            return Ok(self.seat(target, number, own));
        }
        let owner = self.targets[target.0 as usize]
            .as_ref()
            .map_or_else(|| Arc::from(""), |target| target.owner.clone());
        let owned = self.by_owner.get(&owner).copied().unwrap_or(0);
        let limit = match () {
            () if self.by_labels.len() >= self.series_max => Some(self.series_max),
            () if owned >= self.owner_max => Some(self.owner_max),
            () => None,
        };
        if let Some(limit) = limit {
            return Err(Full {
                owner: owner.to_string(),
                limit,
                labels: shortened(labels),
            });
        }
        let (group, slot) = self.room(target.0, own);
        let number = self.free.pop().unwrap_or(self.series.len() as u32);
        self.place_series(number, group, slot, labels);
        Ok(self.told(number))
    }

    /// Where a known series stands; it moves when the place does not fit.
    fn seat(&mut self, target: TargetId, number: u32, own: bool) -> Seat {
        let stored = self.series[number as usize].as_ref();
        let (group, has_own) = stored.map_or((0, false), |one| (one.group, one.own.is_some()));
        let theirs = self.group(group).map_or(FREE, |group| group.target);
        let alone = self.targets.get(theirs as usize).and_then(Option::as_ref);
        let gone = alone.is_none_or(|target| target.gone);
        if has_own || (theirs == target.0 && !own) {
            return self.at(number);
        }
        // The series of one that is gone goes on where the next one shows it.
        let own = own || !gone;
        let (group, slot) = self.room(target.0, own);
        self.move_series(number, group, slot);
        self.told(number)
    }

    fn at(&self, number: u32) -> Seat {
        let stored = self.series[number as usize].as_ref();
        let (group, slot, own) =
            stored.map_or((0, 0, true), |one| (one.group, one.slot, one.own.is_some()));
        Seat {
            series: SeriesId(number),
            group: GroupId(group),
            slot,
            own,
        }
    }

    fn told(&mut self, number: u32) -> Seat {
        let seat = self.at(number);
        if let Some(stored) = self.series[number as usize].as_ref() {
            self.fresh.push(Record::Series {
                number,
                group: stored.group,
                slot: stored.slot,
                labels: stored.labels.clone(),
            });
        }
        seat
    }

    pub(super) fn group(&self, group: u32) -> Option<&Group> {
        self.groups.get(group as usize)?.as_ref()
    }

    pub(super) fn group_mut(&mut self, group: u32) -> Option<&mut Group> {
        self.groups.get_mut(group as usize)?.as_mut()
    }

    pub(super) fn place_target(&mut self, id: u32, owner: &str, key: &str) {
        let place = id as usize;
        if self.targets.len() <= place {
            self.targets.resize_with(place + 1, || None);
        }
        self.target_keys.insert(key.to_owned(), id);
        self.targets[place] = Some(Target {
            key: key.to_owned(),
            owner: owner.into(),
            groups: Vec::new(),
            gone: false,
        });
    }

    /// A free place in a group of the target.
    fn room(&mut self, target: u32, own: bool) -> (u32, u32) {
        let groups = self.targets[target as usize].as_ref();
        let groups = groups.map_or(&[][..], |target| &target.groups);
        for id in groups.iter().rev() {
            let Some(group) = self.group(*id).filter(|group| group.own == own) else {
                continue;
            };
            if let Some(slot) = group.members.iter().position(|member| *member == FREE) {
                return (*id, slot as u32);
            }
            if group.members.len() < GROUP {
                return (*id, group.members.len() as u32);
            }
        }
        let id = vacancy(&mut self.groups);
        self.place_group(id, target, own);
        self.fresh.push(Record::Group { id, target, own });
        (id, 0)
    }

    pub(super) fn place_group(&mut self, id: u32, target: u32, own: bool) {
        let place = id as usize;
        if self.groups.len() <= place {
            self.groups.resize_with(place + 1, || None);
        }
        self.groups[place] = Some(Group {
            target,
            own,
            members: Vec::new(),
            at_ms: Vec::new(),
            rows: Vec::new(),
            before: Vec::new(),
            newest_ms: i64::MIN,
            samples: 0,
            pages: Arc::default(),
        });
        if let Some(Some(target)) = self.targets.get_mut(target as usize) {
            target.groups.push(id);
        }
    }

    pub(super) fn place_series(&mut self, number: u32, group: u32, slot: u32, labels: &Labels) {
        let labels = self.shared(labels);
        let place = number as usize;
        if self.series.len() <= place {
            self.series.resize_with(place + 1, || None);
        }
        let own = self.group(group).is_some_and(|group| group.own);
        self.by_labels.insert(labels.clone(), number);
        self.postings.add(number, &labels);
        if let Some(owner) = self.owner_of(group) {
            *self.by_owner.entry(owner).or_default() += 1;
        }
        self.series[place] = Some(Stored {
            labels,
            group,
            slot,
            seen: false,
            own: own.then(Box::default),
            also: None,
        });
        self.take_slot(group, slot, number);
    }

    pub(super) fn owner_of(&self, group: u32) -> Option<Arc<str>> {
        let target = self.group(group)?.target;
        let target = self.targets.get(target as usize)?.as_ref()?;
        Some(target.owner.clone())
    }

    fn take_slot(&mut self, group: u32, slot: u32, number: u32) {
        if let Some(group) = self.group_mut(group) {
            let slot = slot as usize;
            if group.members.len() <= slot {
                group.members.resize(slot + 1, FREE);
            }
            group.members[slot] = number;
        }
    }

    /// Moves a series. What it has in its old group stays there until the next freeze and is found there.
    pub(super) fn move_series(&mut self, number: u32, group: u32, slot: u32) {
        let Some(own) = self.group(group).map(|group| group.own) else {
            return;
        };
        let Some(Some(stored)) = self.series.get_mut(number as usize) else {
            return;
        };
        let old = (stored.group, stored.slot as usize);
        if (group, slot as usize) == old {
            return;
        }
        let also = stored.also.get_or_insert_default();
        if !also.contains(&old.0) {
            also.push(old.0);
        }
        stored.group = group;
        stored.slot = slot;
        if own && stored.own.is_none() {
            stored.own = Some(Box::default());
        }
        if let Some(before) = self
            .group_mut(old.0)
            .and_then(|group| group.before.get_mut(old.1))
        {
            *before = f64::from_bits(GAP);
        }
        self.take_slot(group, slot, number);
    }

    /// The same labels with texts that all series share.
    fn shared(&mut self, labels: &Labels) -> Labels {
        let mut share = |text: &Arc<str>| {
            if let Some(known) = self.texts.get(text) {
                return known.clone();
            }
            // A text of its own: the one that came may be part of something larger.
            let text: Arc<str> = text.clone();
            self.texts.insert(text.clone());
            text
        };
        let labels = labels.iter().map(|label| Label {
            name: share(&label.name),
            value: share(&label.value),
        });
        Labels::from_sorted(labels.collect())
    }
}

fn shortened(labels: &Labels) -> String {
    let text = labels.to_string();
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
