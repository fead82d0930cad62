//! The open rule: the last signed checkpoint decides whether a folder may be written to.

use crate::{Checkpoint, Timeline};
use mainstay_atoms::{Digest, Wall};
use std::collections::BTreeMap;

/// What the rows on disk hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// How many rows there are.
    pub rows: u64,
    /// Roots at every size that a checkpoint names and the rows reach.
    pub roots: BTreeMap<u64, Digest>,
}

/// A place where a checkpoint is kept, and what was found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// Nothing there.
    Absent,
    /// A checkpoint whose signature holds.
    Found(Checkpoint),
    /// Something there that is no checkpoint of this log.
    Unreadable {
        /// Why, in words for a person.
        why: String,
    },
}

/// What the rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Rows and checkpoints agree.
    Go,
    /// Rows and checkpoints agree, and there are durable rows that nothing signed yet.
    Resign,
    /// They disagree: nothing may be written; reading goes on.
    Halt(Halt),
}

/// Why a ledger must not be written to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Halt {
    /// Rows that were signed are gone.
    #[error("the ledger holds {found} entries but {signed} were signed")]
    FewerRows {
        /// Rows on disk.
        found: u64,
        /// Rows that the folder's own checkpoint names.
        signed: u64,
        /// When it was signed.
        signed_at: Wall,
    },
    /// Rows that were signed have changed.
    #[error("the first {signed} entries no longer match the root signed for them ({place})")]
    OtherRoot {
        /// The checkpoint that disagrees: `checkpoint`, or the anchor's path.
        place: String,
        /// The size it names.
        signed: u64,
        /// When it was signed.
        signed_at: Wall,
        /// The root it names.
        wanted: Digest,
        /// The root of the rows on disk.
        found: Digest,
    },
    /// An anchor outside the folder knows more than the folder: an older copy was put back.
    #[error("the anchor {anchor} knows {signed} entries but the ledger holds {found}")]
    AnchorAhead {
        /// The anchor's path.
        anchor: String,
        /// Rows that it names.
        signed: u64,
        /// When it was signed.
        signed_at: Wall,
        /// Rows on disk.
        found: u64,
    },
    /// An anchor outside the folder knows that the ledger was resumed: this is the state from before.
    #[error(
        "the anchor {anchor} knows that the ledger was resumed as timeline {timeline} with {signed} entries; this is \
         the state from before, timeline {found}"
    )]
    Resumed {
        /// The anchor's path.
        anchor: String,
        /// The timeline that it names.
        timeline: Timeline,
        /// Rows that it names.
        signed: u64,
        /// When it was signed.
        signed_at: Wall,
        /// The timeline of the folder.
        found: Timeline,
    },
    /// A part that the rule needs cannot be read.
    #[error("{what} cannot be read: {why}")]
    Unreadable {
        /// The part: `checkpoint`, a path, `entry 7`.
        what: String,
        /// Why, in words for a person.
        why: String,
    },
}

/// What going on with a halted folder would give up.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Loss {
    /// The timeline that would begin.
    pub timeline: Timeline,
    /// Entries that are there and stay.
    pub kept: u64,
    /// The root over them.
    pub root: Digest,
    /// Entries that were signed, on the timeline that knows most.
    pub signed: u64,
    /// When.
    pub signed_at: Wall,
    /// Where that was found: `checkpoint`, or the anchor's path.
    pub place: String,
}

impl Loss {
    /// Signed entries that are gone; more may be, up to a second's worth that nothing had signed.
    pub fn missing(&self) -> u64 {
        self.signed.saturating_sub(self.kept)
    }
}

/// What going on would give up; `None` when the rows that are left contradict something signed, or
/// something cannot be read: then only another copy helps.
pub fn loss(disk: &Disk, local: &Signed, anchors: &[(String, Signed)]) -> Option<Loss> {
    let own = timeline(local, anchors);
    let root = *disk.roots.get(&disk.rows)?;
    let places = anchors.iter().map(|(path, signed)| (path.as_str(), signed));
    let mut best: Option<(&str, &Checkpoint)> = None;
    for (place, signed) in places.chain([("checkpoint", local)]) {
        let checkpoint = match signed {
            Signed::Absent => continue,
            Signed::Unreadable { .. } => return None,
            Signed::Found(checkpoint) => checkpoint,
        };
        let reached = checkpoint.timeline == own && checkpoint.size <= disk.rows;
        if reached && disk.roots.get(&checkpoint.size) != Some(&checkpoint.root) {
            return None;
        }
        let order = |one: &Checkpoint| (one.timeline, one.size);
        if best.is_none_or(|(_, known)| order(known) < order(checkpoint)) {
            best = Some((place, checkpoint));
        }
    }
    let (place, known) = best?;
    Some(Loss {
        timeline: known.timeline.next(),
        kept: disk.rows,
        root,
        signed: known.size,
        signed_at: known.at,
        place: place.to_owned(),
    })
}

/// The timeline of a folder: what its checkpoint says, else the latest that an anchor knows.
pub fn timeline(local: &Signed, anchors: &[(String, Signed)]) -> Timeline {
    let of = |signed: &Signed| match signed {
        Signed::Found(checkpoint) => Some(checkpoint.timeline),
        _ => None,
    };
    let latest = || anchors.iter().filter_map(|(_, signed)| of(signed)).max();
    of(local).or_else(latest).unwrap_or(Timeline::FIRST)
}

/// Decides from the rows on disk, the folder's own checkpoint, and the anchors (path and contents).
///
/// A folder writes a checkpoint of size 0 before its first row, so rows without any checkpoint mean
/// that one was taken away.
pub fn decide_open(disk: &Disk, local: &Signed, anchors: &[(String, Signed)]) -> Verdict {
    match halt(disk, local, anchors) {
        Some(halt) => Verdict::Halt(halt),
        None if matches!(local, Signed::Found(checkpoint) if checkpoint.size == disk.rows) => {
            Verdict::Go
        }
        None => Verdict::Resign,
    }
}

fn halt(disk: &Disk, local: &Signed, anchors: &[(String, Signed)]) -> Option<Halt> {
    let local_halt = match local {
        Signed::Unreadable { why } => Some(unreadable("checkpoint", why)),
        Signed::Found(checkpoint) if checkpoint.size > disk.rows => Some(Halt::FewerRows {
            found: disk.rows,
            signed: checkpoint.size,
            signed_at: checkpoint.at,
        }),
        Signed::Found(checkpoint) => other_root(disk, "checkpoint", checkpoint),
        Signed::Absent => None,
    };
    local_halt
        .or_else(|| {
            let own = timeline(local, anchors);
            let mut anchors = anchors.iter();
            anchors.find_map(|anchor| anchor_halt(disk, own, anchor))
        })
        .or_else(|| unanchored(disk, local, anchors))
}

/// An anchor of an earlier timeline says nothing: it was away when the ledger was resumed.
fn anchor_halt(disk: &Disk, own: Timeline, (path, signed): &(String, Signed)) -> Option<Halt> {
    match signed {
        Signed::Absent => None,
        Signed::Unreadable { why } => Some(unreadable(path, why)),
        Signed::Found(checkpoint) if checkpoint.timeline < own => None,
        Signed::Found(checkpoint) if checkpoint.timeline > own => Some(Halt::Resumed {
            anchor: path.clone(),
            timeline: checkpoint.timeline,
            signed: checkpoint.size,
            signed_at: checkpoint.at,
            found: own,
        }),
        Signed::Found(checkpoint) if checkpoint.size > disk.rows => Some(Halt::AnchorAhead {
            anchor: path.clone(),
            signed: checkpoint.size,
            signed_at: checkpoint.at,
            found: disk.rows,
        }),
        Signed::Found(checkpoint) => other_root(disk, path, checkpoint),
    }
}

fn other_root(disk: &Disk, place: &str, checkpoint: &Checkpoint) -> Option<Halt> {
    let Some(&found) = disk.roots.get(&checkpoint.size) else {
        let why = format!("no root is known at {} entries", checkpoint.size);
        return Some(unreadable(place, &why));
    };
    (found != checkpoint.root).then(|| Halt::OtherRoot {
        place: place.to_owned(),
        signed: checkpoint.size,
        signed_at: checkpoint.at,
        wanted: checkpoint.root,
        found,
    })
}

/// Rows that no checkpoint vouches for.
fn unanchored(disk: &Disk, local: &Signed, anchors: &[(String, Signed)]) -> Option<Halt> {
    let vouched = |signed: &Signed| matches!(signed, Signed::Found(_));
    let any = vouched(local) || anchors.iter().any(|(_, signed)| vouched(signed));
    (disk.rows > 0 && !any).then(|| {
        unreadable(
            "checkpoint",
            "it is missing, and the ledger already has entries",
        )
    })
}

fn unreadable(what: &str, why: &str) -> Halt {
    Halt::Unreadable {
        what: what.to_owned(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(size: u64, root: u8) -> Checkpoint {
        Checkpoint {
            timeline: Timeline::FIRST,
            size,
            root: Digest([root; 32]),
            at: Wall(size),
        }
    }

    /// Rows whose root at size n is 32 bytes of n.
    fn disk(rows: u8) -> Disk {
        let roots = (0..=rows).map(|n| (u64::from(n), Digest([n; 32])));
        Disk {
            rows: u64::from(rows),
            roots: roots.collect(),
        }
    }

    fn decide(rows: u8, local: &Signed, anchor: &Signed) -> String {
        match decide_open(&disk(rows), local, &[("/a".into(), anchor.clone())]) {
            Verdict::Go => "go".into(),
            Verdict::Resign => "resign".into(),
            Verdict::Halt(halt) => halt.to_string(),
        }
    }

    #[test]
    fn every_row_of_the_rule() {
        use Signed::{Absent, Found, Unreadable};
        let torn = || Unreadable { why: "torn".into() };
        for (rows, local, anchor, expected) in [
            (5, Found(at(5, 5)), Absent, "go"),
            (5, Found(at(5, 5)), Found(at(5, 5)), "go"),
            (7, Found(at(5, 5)), Found(at(5, 5)), "resign"),
            (7, Found(at(5, 5)), Found(at(6, 6)), "resign"),
            (0, Absent, Absent, "resign"),
            (5, Absent, Found(at(5, 5)), "resign"),
            (
                5,
                Absent,
                Absent,
                "checkpoint cannot be read: it is missing, and the ledger already has entries",
            ),
            (
                4,
                Found(at(5, 5)),
                Absent,
                "the ledger holds 4 entries but 5 were signed",
            ),
            (
                0,
                Absent,
                Found(at(5, 5)),
                "the anchor /a knows 5 entries but the ledger holds 0",
            ),
            (
                5,
                Found(at(5, 5)),
                Found(at(6, 6)),
                "the anchor /a knows 6 entries but the ledger holds 5",
            ),
            (
                6,
                Found(at(5, 9)),
                Absent,
                "the first 5 entries no longer match the root signed for them (checkpoint)",
            ),
            (
                6,
                Found(at(5, 5)),
                Found(at(4, 9)),
                "the first 4 entries no longer match the root signed for them (/a)",
            ),
            (5, torn(), Absent, "checkpoint cannot be read: torn"),
            (5, Found(at(5, 5)), torn(), "/a cannot be read: torn"),
        ] {
            assert_eq!(
                decide(rows, &local, &anchor),
                expected,
                "{rows} {local:?} {anchor:?}"
            );
        }
    }

    fn on(timeline: u32, checkpoint: Checkpoint) -> Signed {
        let timeline = Timeline(timeline);
        Signed::Found(Checkpoint {
            timeline,
            ..checkpoint
        })
    }

    #[test]
    fn timelines_decide_before_sizes() {
        for (rows, local, anchor, expected) in [
            (5, on(2, at(5, 5)), on(2, at(5, 5)), "go"),
            // An anchor that was away when the ledger was resumed.
            (5, on(2, at(5, 5)), on(1, at(9, 9)), "go"),
            (6, Signed::Absent, on(2, at(6, 6)), "resign"),
            (
                9,
                on(1, at(9, 9)),
                on(2, at(5, 5)),
                "the anchor /a knows that the ledger was resumed as timeline 2 with 5 entries; this is the state from \
                 before, timeline 1",
            ),
        ] {
            assert_eq!(decide(rows, &local, &anchor), expected);
        }
    }

    #[test]
    fn a_loss_is_named_and_altered_rows_are_none() {
        let named = |rows, local: Signed, anchor: Signed| {
            let loss = loss(&disk(rows), &local, &[("/a".into(), anchor)])?;
            Some((
                loss.timeline.0,
                loss.kept,
                loss.signed,
                loss.missing(),
                loss.place,
            ))
        };
        let place = |text: &str| text.to_owned();
        assert_eq!(
            named(5, on(1, at(5, 5)), on(1, at(8, 8))),
            Some((2, 5, 8, 3, place("/a")))
        );
        assert_eq!(
            named(3, on(1, at(5, 5)), Signed::Absent),
            Some((2, 3, 5, 2, place("checkpoint")))
        );
        assert_eq!(
            named(9, on(1, at(9, 9)), on(2, at(5, 5))),
            Some((3, 9, 5, 0, place("/a")))
        );
        assert_eq!(named(6, on(1, at(5, 9)), on(1, at(8, 8))), None, "altered");
        let torn = Signed::Unreadable { why: "torn".into() };
        assert_eq!(named(5, torn, on(1, at(8, 8))), None);
    }
}
