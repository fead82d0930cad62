//! Going on after a loss: what is kept, what is refused, and that nothing signed is contradicted.

mod common;

use common::{NOW, append, copy, draft, halted, open, ready, scratch};
use mainstay_ledger::{Checkpoint, Entry, Halt, Loss, PublicKey, Timeline};
use mainstay_ledger_io::{Ledger, Opened, ResumeFault, verify};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A state that was copied at `kept` entries and went on to `all` of them.
struct Restored {
    older: TempDir,
    newer: TempDir,
    anchors: Vec<PathBuf>,
    _anchor: TempDir,
}

fn restored(kept: u64, all: u64) -> Restored {
    let (newer, older, anchor) = (scratch(), scratch(), scratch());
    let anchors = vec![anchor.path().to_owned()];
    let ledger = ready(open(&newer, &anchors));
    ledger.append_all((0..kept).map(draft).collect()).unwrap();
    ledger.close();
    copy(newer.path(), older.path());
    let ledger = ready(open(&newer, &anchors));
    ledger.append_all((kept..all).map(draft).collect()).unwrap();
    ledger.close();
    Restored {
        older,
        newer,
        anchors,
        _anchor: anchor,
    }
}

fn loss(state: &TempDir, anchors: &[PathBuf]) -> Option<Loss> {
    match open(state, anchors) {
        Opened::Halted(halted) => halted.loss,
        Opened::Ready(_) => panic!("it is not halted"),
    }
}

fn resume(state: &TempDir, anchors: &[PathBuf], loss: &Loss) -> Result<Ledger, ResumeFault> {
    let first = draft(1_000_000);
    Ledger::resume(&state.path().join("ledger"), anchors, loss, first, NOW)
}

fn entries(ledger: &Ledger) -> Vec<Entry> {
    ledger.entries(0).collect::<Result<_, _>>().unwrap()
}

fn checkpoint(ledger_pub: &Path, checkpoint: &Path) -> Checkpoint {
    let key = fs::read_to_string(ledger_pub).unwrap();
    let key: PublicKey = key.trim_end().parse().unwrap();
    Checkpoint::verify(&fs::read_to_string(checkpoint).unwrap(), &key).unwrap()
}

#[test]
fn a_restored_copy_goes_on_as_another_timeline() {
    let states = restored(300, 700);
    let loss = loss(&states.older, &states.anchors).unwrap();
    assert_eq!((loss.timeline, loss.kept), (Timeline(2), 300));
    assert_eq!((loss.signed, loss.missing()), (700, 400));
    let ledger = resume(&states.older, &states.anchors, &loss).unwrap();
    append(&ledger, 2_000_000);
    ledger.close();
    let dir = states.older.path().join("ledger");
    let ledger = ready(open(&states.older, &states.anchors));
    let all = entries(&ledger);
    assert_eq!(all.len(), 302);
    assert_eq!(
        all[300].payload,
        draft(1_000_000).payload,
        "who and what first"
    );
    assert_eq!(all[299].payload, draft(299).payload);
    assert_eq!(ledger.checkpoint().unwrap().timeline, Timeline(2));
    ledger.close();
    let report = verify(&dir).unwrap();
    assert!(report.is_good(), "{:?}", report.findings);
    assert_eq!((report.entries, report.copied), (302, 256));
    // What the old timeline signed is still there, and can be checked.
    let aside = dir.join("before-timeline-2");
    let old = |name| checkpoint(&aside.join("ledger.pub"), &aside.join(name));
    assert_eq!(old("checkpoint").size, 300);
    let ahead = old("anchor-0.checkpoint");
    assert_eq!((ahead.size, ahead.timeline), (700, Timeline::FIRST));
}

#[test]
fn the_newer_copy_is_refused_once_the_older_one_went_on() {
    let states = restored(3, 9);
    let accepted = loss(&states.older, &states.anchors).unwrap();
    resume(&states.older, &states.anchors, &accepted)
        .unwrap()
        .close();
    let (reason, reader) = halted(open(&states.newer, &states.anchors));
    assert!(
        matches!(
            reason,
            Halt::Resumed {
                timeline: Timeline(2),
                signed: 4,
                ..
            }
        ),
        "{reason}"
    );
    assert_eq!(reader.entries(0).count(), 9);
    // It may go on all the same, when somebody decides so: as a third timeline.
    let accepted = loss(&states.newer, &states.anchors).unwrap();
    assert_eq!((accepted.timeline, accepted.kept), (Timeline(3), 9));
    let ledger = resume(&states.newer, &states.anchors, &accepted).unwrap();
    assert_eq!(ledger.size(), 10);
    ledger.close();
    halted(open(&states.older, &states.anchors));
}

#[test]
fn after_a_cut_new_rows_take_the_places_of_old_tiles() {
    let state = scratch();
    let ledger = ready(open(&state, &[]));
    ledger.append_all((0..600).map(draft).collect()).unwrap();
    ledger.close();
    cut(&state, 100);
    let accepted = loss(&state, &[]).unwrap();
    assert_eq!((accepted.kept, accepted.missing()), (100, 500));
    let ledger = resume(&state, &[], &accepted).unwrap();
    let others = (5000..5500).map(draft).collect();
    ledger.append_all(others).unwrap();
    ledger.close();
    let report = verify(&state.path().join("ledger")).unwrap();
    assert!(report.is_good(), "{:?}", report.findings);
    assert_eq!((report.entries, report.copied), (601, 512));
}

fn cut(state: &TempDir, kept: i64) {
    let database = rusqlite::Connection::open(state.path().join("ledger/ledger.db")).unwrap();
    database
        .execute("DELETE FROM entry WHERE idx >= ?1", [kept])
        .unwrap();
}

#[test]
fn altered_rows_are_never_gone_on_with() {
    let state = scratch();
    let ledger = ready(open(&state, &[]));
    ledger.append_all((0..600).map(draft).collect()).unwrap();
    ledger.close();
    let database = rusqlite::Connection::open(state.path().join("ledger/ledger.db")).unwrap();
    let leaf = mainstay_ledger::leaf_hash(&draft(7).payload);
    database
        .execute(
            "UPDATE entry SET bytes = ?1, leaf = ?2 WHERE idx = 7",
            (draft(7).payload, &leaf.0[..]),
        )
        .unwrap();
    drop(database);
    assert_eq!(loss(&state, &[]), None, "another root");
    // With the end cut off no root tells any more; the second copy does.
    cut(&state, 300);
    let accepted = loss(&state, &[]).unwrap();
    let fault = resume(&state, &[], &accepted).unwrap_err();
    assert!(matches!(fault, ResumeFault::Altered { .. }), "{fault}");
    halted(open(&state, &[]));
}

#[test]
fn only_the_accepted_loss_is_given_up() {
    let states = restored(3, 9);
    let accepted = loss(&states.older, &states.anchors).unwrap();
    let other = Loss {
        kept: 2,
        ..accepted.clone()
    };
    let fault = resume(&states.older, &states.anchors, &other).unwrap_err();
    assert!(matches!(fault, ResumeFault::Moved { .. }), "{fault}");
    let held = open(&states.older, &states.anchors);
    let fault = resume(&states.older, &states.anchors, &accepted).unwrap_err();
    assert!(matches!(fault, ResumeFault::Open(_)), "held: {fault}");
    drop(held);
    resume(&states.older, &states.anchors, &accepted)
        .unwrap()
        .close();
    let fault = resume(&states.older, &states.anchors, &accepted).unwrap_err();
    assert!(matches!(fault, ResumeFault::Sound), "{fault}");
}

#[test]
fn a_resume_that_reached_only_the_anchor_can_be_repeated() {
    let states = restored(3, 9);
    let local = states.older.path().join("ledger/checkpoint");
    let before = fs::read(&local).unwrap();
    let accepted = loss(&states.older, &states.anchors).unwrap();
    let ledger = resume(&states.older, &states.anchors, &accepted).unwrap();
    ledger.close();
    fs::write(&local, before).unwrap();
    cut(&states.older, 3);
    let accepted = loss(&states.older, &states.anchors).unwrap();
    assert_eq!((accepted.timeline, accepted.kept), (Timeline(3), 3));
    let ledger = resume(&states.older, &states.anchors, &accepted).unwrap();
    assert_eq!(ledger.size(), 4);
}

#[test]
fn a_ledger_deleted_right_after_its_first_entry_is_no_first_visit() {
    let (state, copied, anchor) = (scratch(), scratch(), scratch());
    let anchors = [anchor.path().to_owned()];
    let ledger = ready(open(&state, &anchors));
    append(&ledger, 1);
    // As it is at this moment, not as an orderly end leaves it.
    let marks = scratch();
    copy(anchor.path(), marks.path());
    copy(&state.path().join("keys"), &copied.path().join("keys"));
    let (reason, _) = halted(open(&copied, &[marks.path().to_owned()]));
    assert!(
        matches!(
            reason,
            Halt::AnchorAhead {
                signed: 1,
                found: 0,
                ..
            }
        ),
        "{reason}"
    );
}
