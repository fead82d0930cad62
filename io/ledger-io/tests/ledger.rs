//! What a ledger promises to whoever appends, on a real disk.

mod common;

use common::{append, draft, halted, open, ready, scratch};
use mainstay_ledger::{Entry, Halt};
use mainstay_ledger_io::{Ledger, OpenFault, verify};
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn entries_come_back_as_they_were_recorded() {
    let state = scratch();
    let ledger = ready(open(&state, &[]));
    let receipts = ledger.append_all((0..300).map(draft).collect()).unwrap();
    assert!(receipts.iter().all(|receipt| receipt.fresh));
    let root = ledger.root();
    ledger.close();
    let ledger = ready(open(&state, &[]));
    assert_eq!((ledger.size(), ledger.root()), (300, root));
    let entries: Vec<Entry> = ledger.entries(290).collect::<Result<_, _>>().unwrap();
    assert_eq!(entries.len(), 10);
    assert_eq!(
        (entries[0].index, &entries[0].payload),
        (290, &draft(290).payload)
    );
    let report = verify(&state.path().join("ledger")).unwrap();
    assert_eq!(
        (report.entries, report.root, report.findings.as_slice()),
        (300, root, &[][..])
    );
    assert_eq!((report.checkpoint.unwrap().size, report.copied), (300, 256));
}

#[test]
fn the_same_key_gives_the_same_receipt_and_no_second_row() {
    let state = scratch();
    let ledger = ready(open(&state, &[]));
    let first = ledger.append(draft(1)).unwrap();
    let both = ledger
        .append_all(vec![draft(1), draft(2), draft(2)])
        .unwrap();
    assert_eq!((first.index, first.fresh), (0, true));
    let seen: Vec<(u64, bool)> = both.iter().map(|r| (r.index, r.fresh)).collect();
    assert_eq!(seen, [(0, false), (1, true), (1, false)]);
    ledger.close();
    let ledger = ready(open(&state, &[]));
    assert!(!ledger.append(draft(2)).unwrap().fresh);
    assert_eq!(ledger.size(), 2);
}

#[test]
fn sixty_four_writers_share_one_order() {
    let state = scratch();
    let ledger = ready(open(&state, &[]));
    std::thread::scope(|scope| {
        for writer in 0..64 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for n in 0..20 {
                    append(&ledger, writer * 1000 + n);
                }
            });
        }
    });
    let entries: Vec<Entry> = ledger.entries(0).collect::<Result<_, _>>().unwrap();
    assert_eq!(entries.len(), 64 * 20);
    let mut keys: Vec<_> = entries.iter().map(|entry| entry.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 64 * 20);
    assert!(
        verify(&state.path().join("ledger")).unwrap().is_good(),
        "while open"
    );
}

#[test]
fn a_second_writer_is_refused_with_the_holder() {
    let state = scratch();
    let ledger = ready(open(&state, &[]));
    let fault = Ledger::open(&state.path().join("ledger"), &[], common::NOW).unwrap_err();
    assert!(
        matches!(fault, OpenFault::Held { pid, since } if pid == std::process::id() && since == common::NOW),
        "{fault}"
    );
    drop(ledger);
    ready(open(&state, &[]));
}

#[test]
fn a_restored_older_copy_is_refused_by_its_anchor() {
    let (state, anchor, old) = (scratch(), scratch(), scratch());
    let anchors = [anchor.path().to_owned()];
    let ledger = ready(open(&state, &anchors));
    append(&ledger, 1);
    ledger.close();
    common::copy(state.path(), old.path());
    let ledger = ready(open(&state, &anchors));
    append(&ledger, 2);
    ledger.close();
    let (reason, reader) = halted(open(&old, &anchors));
    assert!(
        matches!(
            reason,
            Halt::AnchorAhead {
                signed: 2,
                found: 1,
                ..
            }
        ),
        "{reason}"
    );
    assert_eq!(reader.entries(0).count(), 1);
    ready(open(&state, &anchors));
    ready(open(&old, &[])); // Without an anchor the copy agrees with itself.
}

#[test]
fn another_history_under_the_same_key_is_refused() {
    let (state, anchor, fork) = (scratch(), scratch(), scratch());
    let anchors = [anchor.path().to_owned()];
    ready(open(&state, &anchors)).close();
    common::copy(state.path(), fork.path());
    let ledger = ready(open(&state, &anchors));
    append(&ledger, 1);
    ledger.close();
    let ledger = ready(open(&fork, &[]));
    append(&ledger, 2);
    ledger.close();
    let (reason, _) = halted(open(&fork, &anchors));
    assert!(
        matches!(reason, Halt::OtherRoot { signed: 1, .. }),
        "{reason}"
    );
}

#[test]
fn half_a_folder_is_not_taken_for_a_new_one() {
    for (gone, expected) in [
        (
            "ledger/ledger.db",
            "the ledger holds 0 entries but 3 were signed",
        ),
        ("ledger/checkpoint", "checkpoint cannot be read"),
        (
            "keys/ledger.key",
            "ledger.key cannot be read: it is missing",
        ),
    ] {
        let state = scratch();
        let ledger = ready(open(&state, &[]));
        ledger.append_all((0..3).map(draft).collect()).unwrap();
        ledger.close();
        fs::remove_file(state.path().join(gone)).unwrap();
        let (reason, _) = halted(open(&state, &[]));
        assert!(reason.to_string().contains(expected), "{gone}: {reason}");
        let (again, _) = halted(open(&state, &[]));
        assert_eq!(again, reason, "a halt changes nothing");
    }
    let state = scratch();
    ready(open(&state, &[])).close();
    fs::remove_file(state.path().join("ledger/ledger.pub")).unwrap();
    ready(open(&state, &[]));
}

#[test]
fn checkpoints_follow_by_themselves() {
    let (state, anchor) = (scratch(), scratch());
    let ledger = ready(open(&state, &[anchor.path().to_owned()]));
    append(&ledger, 1);
    until("the entry is signed", || {
        ledger.checkpoint().is_some_and(|signed| signed.size == 1)
    });
    append(&ledger, 2);
    assert!(ledger.sign());
    let signed = ledger.checkpoint().unwrap();
    assert_eq!((signed.size, signed.root), (2, ledger.root()));
    let local = fs::read(state.path().join("ledger/checkpoint")).unwrap();
    let name = fs::read_dir(anchor.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(fs::read(name.path()).unwrap(), local);
}

#[test]
fn an_anchor_that_cannot_be_written_is_said_and_stops_nothing() {
    let state = scratch();
    let ledger = ready(open(&state, &["/proc/no-folder-here".into()]));
    append(&ledger, 1);
    assert!(ledger.sign());
    assert!(ledger.checkpoint_fault().is_some());
}

fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "in 20 s not: {what}");
        std::thread::yield_now();
    }
}
