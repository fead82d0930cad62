//! Late samples: of each series, from when on somebody who reads along has to read it anew.
//!
//! The samples of a series come in the order of time. So once one came after its time had begun to be read, everything
//! of the series from there on came later too, and one time a series says all that was missed. What it says is
//! written beside, because a process that is killed must not forget it.

use super::frame;
use crate::wire;
use mainstay_metrics::Labels;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Series that are remembered; more than anybody who is late has.
const SERIES_MAX: usize = 200_000;

/// A series that is read anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pick {
    /// Which series.
    pub(crate) labels: Labels,
    /// What is later than this is read, in milliseconds since 1970.
    pub(crate) after_ms: i64,
    /// What is not later than this is read.
    pub(crate) until_ms: i64,
    /// How many came late; of those that came before a restart it is not known.
    pub(crate) count: u64,
}

#[derive(Debug, Clone, Copy)]
struct Since {
    first_ms: i64,
    count: u64,
}

/// Series that have to be read anew.
#[derive(Debug)]
pub(super) struct Late {
    path: PathBuf,
    by_series: HashMap<Labels, Since>,
    /// What is not in the file yet.
    fresh: Vec<(Labels, i64)>,
    /// Those that are being read.
    taken: Vec<Pick>,
    /// Whether somebody replaces the file.
    is_replacing: bool,
}

impl Late {
    /// What was remembered.
    pub(super) fn open(path: &Path) -> Self {
        let mut late = Self {
            path: path.to_owned(),
            by_series: HashMap::new(),
            fresh: Vec::new(),
            taken: Vec::new(),
            is_replacing: false,
        };
        // One that is not there says that nothing came late; of a torn one the beginning is believed.
        let bytes = std::fs::read(path).unwrap_or_default();
        frame::each(&bytes, |record| {
            if let Some((labels, first_ms)) = read(record) {
                late.since(labels, first_ms, 0);
            }
        });
        late
    }

    fn since(&mut self, labels: Labels, first_ms: i64, count: u64) {
        let since = self
            .by_series
            .entry(labels)
            .or_insert(Since { first_ms, count: 0 });
        since.first_ms = since.first_ms.min(first_ms);
        since.count += count;
    }

    /// Takes note of a sample that came late; returns whether there is room for that.
    pub(super) fn note(&mut self, labels: &Labels, at_ms: i64) -> bool {
        if let Some(since) = self.by_series.get_mut(labels) {
            since.count += 1;
            if at_ms >= since.first_ms {
                return true;
            }
            // Where a clock went back, or two show a series.
            since.first_ms = at_ms;
        } else if self.by_series.len() >= SERIES_MAX {
            return false;
        } else {
            self.since(labels.clone(), at_ms, 1);
        }
        self.fresh.push((labels.clone(), at_ms));
        true
    }

    /// The time from which on a series is read anew.
    pub(super) fn first_ms(&self, labels: &Labels) -> Option<i64> {
        Some(self.by_series.get(labels)?.first_ms)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_series.is_empty()
    }

    /// What is to be read anew now, of what was read up to a time. `newest_ms` is a time up to which everything of a
    /// series is there: what comes later is noted anew.
    pub(super) fn take(
        &mut self,
        read_ms: i64,
        newest_ms: impl Fn(&Labels) -> Option<i64>,
    ) -> Vec<Pick> {
        let due = self
            .by_series
            .extract_if(|_, since| since.first_ms <= read_ms);
        self.taken = due
            .map(|(labels, since)| Pick {
                after_ms: since.first_ms - 1,
                until_ms: newest_ms(&labels).map_or(read_ms, |newest| newest.min(read_ms)),
                count: since.count,
                labels,
            })
            .collect();
        self.taken.clone()
    }

    /// What was taken is to be read again.
    pub(super) fn put_back(&mut self) {
        for pick in std::mem::take(&mut self.taken) {
            self.since(pick.labels, pick.after_ms + 1, pick.count);
        }
    }

    /// What was taken was read: the file as it is to be. Until it is [`Late::replaced`] nothing is written to it.
    pub(super) fn settle(&mut self) -> Vec<u8> {
        self.taken.clear();
        self.fresh.clear();
        self.is_replacing = true;
        let mut bytes = Vec::new();
        for (labels, since) in &self.by_series {
            put(&mut bytes, labels, since.first_ms);
        }
        bytes
    }

    /// The file was replaced. Where it was not, some are sent again after the next start.
    pub(super) fn replaced(&mut self, replaced: &io::Result<()>) {
        self.is_replacing = false;
        if replaced.is_err() {
            let all = self.by_series.iter();
            let all = all.map(|(labels, since)| (labels.clone(), since.first_ms));
            self.fresh = all.collect();
        }
    }

    /// Writes what is not in the file. What cannot be written is tried again with what comes next.
    pub(super) fn write(&mut self) {
        if self.fresh.is_empty() || self.is_replacing {
            return;
        }
        let mut bytes = Vec::new();
        for (labels, first_ms) in &self.fresh {
            put(&mut bytes, labels, *first_ms);
        }
        let file = File::options().append(true).create(true).open(&self.path);
        let written = file.and_then(|mut file| file.write_all(&bytes));
        if written.is_ok() {
            self.fresh.clear();
        }
    }
}

fn put(out: &mut Vec<u8>, labels: &Labels, first_ms: i64) {
    frame::put(out, |out| {
        wire::put_zigzag(out, 1, first_ms);
        for label in labels {
            wire::put_bytes(out, 2, label.name.as_bytes());
            wire::put_bytes(out, 3, label.value.as_bytes());
        }
    });
}

fn read(record: &[u8]) -> Option<(Labels, i64)> {
    let (mut builder, mut first_ms, mut name) = (Labels::default().edit(), 0, "");
    wire::each(record, |number, field| {
        match number {
            1 => first_ms = field.zigzag()?,
            2 => name = field.text()?,
            3 => builder.set(name, field.text()?),
            _ => {}
        }
        Some(())
    })?;
    Some((builder.build(), first_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(name: &str) -> Labels {
        Labels::new([("__name__", name), ("città", "Zürich")])
    }

    fn pick(name: &str, after_ms: i64, until_ms: i64, count: u64) -> Pick {
        Pick {
            labels: labels(name),
            after_ms,
            until_ms,
            count,
        }
    }

    #[test]
    fn what_came_late_is_read_once_also_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("late");
        let mut late = Late::open(&path);
        assert!(late.is_empty());
        for at_ms in [10, 20, 30] {
            assert!(late.note(&labels("a"), at_ms));
        }
        late.note(&labels("b"), 90);
        late.write();
        assert_eq!(late.first_ms(&labels("a")), Some(10));
        // Read up to 50: what is late of `b` is not behind that.
        assert_eq!(late.take(50, |_| Some(30)), [pick("a", 9, 30, 3)]);
        late.note(&labels("a"), 40);
        late.write();
        // Killed now, both are known.
        let mut killed = Late::open(&path);
        let mut found = killed.take(100, |_| None);
        found.sort_by_key(|one| one.after_ms);
        assert_eq!(found, [pick("a", 9, 100, 0), pick("b", 89, 100, 0)]);
        // It could not be read: it is taken again, with what came meanwhile.
        late.put_back();
        assert_eq!(late.take(50, |_| Some(40)), [pick("a", 9, 40, 4)]);
        let bytes = late.settle();
        late.note(&labels("c"), 70);
        late.write();
        crate::store::replace(&path, &bytes).unwrap();
        late.replaced(&Ok(()));
        assert_eq!(late.take(50, |_| None), []);
        let mut killed = Late::open(&path);
        assert_eq!(killed.take(100, |_| None), [pick("b", 89, 100, 0)]);
        late.write();
        let mut killed = Late::open(&path);
        assert_eq!(killed.take(100, |_| None).len(), 2);
        late.take(80, |_| None);
        let bytes = late.settle();
        crate::store::replace(&path, &bytes).unwrap();
        late.replaced(&Ok(()));
        let mut killed = Late::open(&path);
        assert_eq!(killed.take(100, |_| None), [pick("b", 89, 100, 0)]);
        // A torn end says nothing.
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(Late::open(&path).is_empty());
    }
}
