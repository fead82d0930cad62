//! Tests of the store on real files: crashes, damage, windows, clocks that jump.

use super::*;
use mainstay_metrics::{Matcher, Select, SeriesView, Source as _};
use std::path::Path;

const HOUR: i64 = 3_600_000;
const BEGIN: i64 = 1_700_000_000_000 - 1_700_000_000_000 % (2 * HOUR);

fn open(folder: &Path) -> Store {
    Store::open(folder, Bounds::default()).unwrap()
}

fn labels(number: usize) -> Labels {
    Labels::new([("__name__", "a"), ("n", &number.to_string())])
}

/// Stores a row of so many series, as a scrape does.
fn show(store: &Store, count: usize, at_ms: i64) {
    let mut live = store.live();
    let target = live.target("api", "one");
    let mut rows: std::collections::BTreeMap<GroupId, Vec<f64>> = std::collections::BTreeMap::new();
    for number in 0..count {
        let seat = live.seat(target, &labels(number), false).unwrap();
        let row = rows.entry(seat.group).or_default();
        row.resize(
            row.len().max(seat.slot as usize + 1),
            mainstay_metrics::gap(),
        );
        row[seat.slot as usize] = (at_ms / 1000 % 100_000) as f64 + number as f64;
    }
    for (group, mut row) in rows {
        live.row(group, at_ms, &mut row);
    }
    live.commit().unwrap();
}

fn seen(store: &Store, number: usize) -> Vec<i64> {
    let matchers = [Matcher::equal("n", &number.to_string())];
    let select = Select {
        matchers: &matchers,
        after_ms: i64::MIN,
        until_ms: i64::MAX,
    };
    let mut seen = Vec::new();
    let visit = &mut |view: SeriesView<'_>| {
        assert!(seen.is_empty(), "a series comes once");
        for (at, value) in view.at_ms.iter().zip(view.values) {
            assert!((value - (at / 1000 % 100_000) as f64 - number as f64).abs() < 0.5);
        }
        seen = view.at_ms.to_vec();
        true
    };
    store.view().select(&select, visit).unwrap();
    seen
}

fn times(count: i64, every: i64) -> Vec<i64> {
    (0..count).map(|step| BEGIN + step * every).collect()
}

#[test]
fn what_was_committed_is_there_after_any_end() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        // Nothing is closed or synced in between, as with a kill.
        let store = open(folder.path());
        show(&store, 700, BEGIN + round * 15_000);
        let groups = store.live().head.group_ids();
        assert_eq!(groups.len(), 2);
        if round % 5 == 3 {
            store.live().page(groups[0]).unwrap();
            store.live().commit().unwrap();
        }
        if round % 5 == 4 {
            // Its mark in the journal is lost.
            store.live().page(groups[1]).unwrap();
        }
        assert_eq!(seen(&store, 0), times(round + 1, 15_000));
        assert_eq!(seen(&store, 699), times(round + 1, 15_000));
    }
    let copies = std::fs::read_dir(folder.path()).unwrap().count();
    let store = open(folder.path());
    store.keep(BEGIN + 300_000, true).unwrap();
    assert!(copies < 40);
    assert_eq!(store.live().head.len(), 700);
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let fault = Store::open(folder.path(), Bounds::default()).unwrap_err();
    assert!(matches!(fault, StoreFault::Running { .. }), "{fault}");
    drop(store);
    open(folder.path());
}

#[test]
fn a_torn_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for step in 0..10 {
        show(&store, 3, BEGIN + step * 1000);
    }
    drop(store);
    let path = folder.path().join("journal-0-0");
    let whole = std::fs::read(&path).unwrap();
    let size = whole.len() / 10;
    for cut in [whole.len() - 1, whole.len() - size, whole.len() - size - 3] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let store = open(folder.path());
        let left = i64::try_from(cut / size).unwrap();
        assert_eq!(seen(&store, 2), times(left, 1000), "cut at {cut}");
        drop(store);
    }
    std::fs::write(folder.path().join("names-0"), b"garbage").unwrap();
    assert!(seen(&open(folder.path()), 2).is_empty());
}

#[test]
fn a_window_becomes_a_block_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let every = 30_000;
    for step in 0..300 {
        let at = BEGIN + step * every;
        show(&store, 20, at);
        store.keep(at, true).unwrap();
    }
    assert_eq!(store.live().volumes.len(), 1);
    assert_eq!(store.live().counts.blocks, 1);
    assert_eq!(seen(&store, 7), times(300, every));
    drop(store);
    let store = open(folder.path());
    assert_eq!(seen(&store, 7), times(300, every));
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|one| one.unwrap().file_name().into_string().unwrap())
        .collect();
    let left = |name: &String| name == "names-0" || name == "pages-0";
    assert!(!names.iter().any(left), "{names:?}");
}

#[test]
fn a_frozen_window_becomes_a_block_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for step in 0..50 {
        show(&store, 20, BEGIN + step * 1000);
    }
    store.live().freeze(i64::MIN).unwrap();
    assert_eq!(seen(&store, 3), times(50, 1000));
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.live().frozen.len(), 1);
    assert_eq!(seen(&store, 3), times(50, 1000));
    assert!(store.build().unwrap());
    assert!(!store.build().unwrap());
    assert_eq!(seen(&store, 3), times(50, 1000));
    show(&store, 20, BEGIN + 50_000);
    drop(store);
    assert_eq!(seen(&open(folder.path()), 3), times(51, 1000));
}

#[test]
fn a_damaged_block_is_put_aside_and_the_rest_serves() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for window in 0..2 {
        for step in 0..50 {
            show(&store, 20, BEGIN + (window * 50 + step) * 1000);
        }
        store.live().freeze(i64::MIN).unwrap();
        store.build().unwrap();
    }
    let path = store.live().volumes[0].path.clone();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 0x55;
    std::fs::write(&path, bytes).unwrap();
    let store = open(folder.path());
    let view = store.view();
    let matchers = [Matcher::equal("n", "3")];
    let select = Select {
        matchers: &matchers,
        after_ms: i64::MIN,
        until_ms: i64::MAX,
    };
    let mut count = 0;
    let visit = &mut |found: SeriesView<'_>| {
        count += found.values.len();
        true
    };
    view.select(&select, visit).unwrap();
    assert_eq!(count, 50);
    assert!(
        view.remarks()[0].contains("put aside"),
        "{:?}",
        view.remarks()
    );
    assert_eq!(store.live().counts.quarantined, 1);
    assert!(path.with_extension("damaged").exists() && !path.exists());
}

#[test]
fn a_clock_that_jumps_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut expected = Vec::new();
    // A day ahead and back again.
    for base in [BEGIN, BEGIN + 24 * HOUR, BEGIN + 20_000] {
        for step in 0..10 {
            let at = base + step * 1000;
            store.keep(at, true).unwrap();
            show(&store, 3, at);
            expected.push(at);
        }
    }
    expected.sort_unstable();
    assert_eq!(seen(&store, 1), expected);
}

#[test]
fn the_oldest_go_by_age_and_by_size() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        keep_ms: 10 * HOUR,
        ..Bounds::default()
    };
    let store = Store::open(folder.path(), bounds).unwrap();
    for window in 0..3 {
        show(&store, 20, BEGIN + window * 2 * HOUR);
        store.live().freeze(i64::MIN).unwrap();
        store.build().unwrap();
    }
    store.keep(BEGIN + 11 * HOUR, false).unwrap();
    assert_eq!(store.live().volumes.len(), 3, "the clock is not trusted");
    for _ in 0..3 {
        store.keep(BEGIN + 11 * HOUR, true).unwrap();
    }
    assert_eq!(seen(&store, 1), [BEGIN + 2 * HOUR, BEGIN + 4 * HOUR]);
    store.live().bounds.keep_bytes = 1;
    store.keep(BEGIN + 5 * HOUR, true).unwrap();
    assert_eq!(seen(&store, 1), [BEGIN + 4 * HOUR]);
}

#[test]
fn after_a_failed_write_samples_are_refused_until_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    show(&store, 3, BEGIN);
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    store.live().refuse("write the journal", &full());
    let fault = store.live().ready().unwrap_err().to_string();
    assert!(
        fault.starts_with("samples are refused: the store cannot write the journal"),
        "{fault}"
    );
    // A window's end meanwhile changes nothing, and what is stored is read.
    assert!(store.live().freeze(i64::MIN).is_err() || store.live().refusing.is_some());
    assert_eq!(seen(&store, 1), [BEGIN]);
    store.keep(BEGIN + 1000, true).unwrap();
    store.live().ready().unwrap();
    show(&store, 3, BEGIN + 1000);
    drop(store);
    assert_eq!(seen(&open(folder.path()), 1), [BEGIN, BEGIN + 1000]);
}

#[test]
fn old_samples_of_senders_neither_close_windows_nor_hold_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let now = BEGIN + HOUR;
    store.keep(now, true).unwrap();
    let send = |at_ms: i64| {
        let mut live = store.live();
        let target = live.target("pushed", "pushed");
        let seat = live.seat(target, &labels(1), true).unwrap();
        let value = Value::Float((at_ms / 1000 % 100_000) as f64 + 1.0);
        assert_eq!(live.sample(seat, at_ms, value), Appended::Stored);
        live.commit().unwrap();
    };
    for step in 0..5 {
        send(BEGIN - 24 * HOUR + step * 1000);
        store.keep(now + step * 1000, true).unwrap();
    }
    assert_eq!(store.live().epoch, 0);
    // Segments fill up, and nobody needs the first any more.
    for segment in 0..4 {
        let mut live = store.live();
        live.journal.file.end = 16 << 20;
        live.commit().unwrap();
        drop(live);
        store.keep(now + 10_000 + segment, true).unwrap();
    }
    assert!(!folder.path().join("journal-0-0").exists());
    assert_eq!(seen(&store, 1).len(), 5);
    drop(store);
    assert_eq!(seen(&open(folder.path()), 1).len(), 5);
}

#[test]
fn a_sender_ahead_of_our_clock_neither_closes_windows_nor_shuts_out_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut ahead = Vec::new();
    for step in 0..300 {
        let now = BEGIN + step * 30_000;
        store.keep(now, true).unwrap();
        show(&store, 3, now);
        let mut live = store.live();
        let target = live.target("pushed", "pushed");
        let seat = live.seat(target, &labels(9), true).unwrap();
        let at = now + 500_000;
        let value = Value::Float((at / 1000 % 100_000) as f64 + 9.0);
        assert_eq!(live.sample(seat, at, value), Appended::Stored);
        live.commit().unwrap();
        ahead.push(at);
    }
    assert_eq!(store.live().epoch, 1);
    assert_eq!(seen(&store, 1), times(300, 30_000));
    assert_eq!(seen(&store, 9), ahead);
}
