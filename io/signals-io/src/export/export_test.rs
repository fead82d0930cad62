//! Ranges, and files that are whole or not there.

use super::*;
use mainstay_metrics::Labels;
use mainstay_metrics::tsdb::{Chunk, Encoding};
use std::path::Path;

const HOUR: i64 = 3_600_000;

const RANGE: Range = Range {
    begin_ms: 0,
    end_ms: 2 * HOUR,
};

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn chunk() -> Chunk {
    Chunk {
        first_ms: 1,
        last_ms: 2,
        samples: 2,
        encoding: Encoding::Float,
        is_custom: false,
        bytes: vec![0; 5000],
    }
}

fn parcel() -> Parcel {
    Parcel::Series {
        labels: Labels::new([("__name__", "up")]),
        chunks: vec![chunk()],
    }
}

#[test]
fn ranges_are_cut_at_even_hours() {
    let cut = |from_ms, until_ms| -> Vec<(i64, i64)> {
        let all = ranges(from_ms, until_ms);
        all.map(|one| (one.begin_ms, one.end_ms)).collect()
    };
    assert_eq!(cut(HOUR, 2 * HOUR - 1), [(HOUR, 2 * HOUR)]);
    assert_eq!(
        cut(HOUR, 5 * HOUR),
        [
            (HOUR, 2 * HOUR),
            (2 * HOUR, 4 * HOUR),
            (4 * HOUR, 5 * HOUR + 1)
        ]
    );
    assert_eq!(cut(2 * HOUR, 2 * HOUR), [(2 * HOUR, 2 * HOUR + 1)]);
    assert_eq!(cut(-HOUR, 0), [(-HOUR, 0), (0, 1)]);
    assert_eq!(seconds(1_700_000_000_042), "1700000000.042");
    assert_eq!(seconds(-1500), "-1.500");
}

#[test]
fn a_block_has_its_name_once_it_is_whole() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("blocks");
    let out = Out::open(&folder).unwrap();
    let mut half = out.begin(RANGE).unwrap();
    let mut parcels = vec![Parcel::End { remarks: vec![] }, parcel()];
    let filled = fill(&mut half, &mut || Ok(parcels.pop().unwrap())).unwrap();
    assert!(matches!(filled, Filled::Whole(_)));
    assert!(names(&folder)[0].ends_with(".mainstay-half"));
    let block = half.finish().unwrap().unwrap();
    assert_eq!((block.stats.series, block.stats.floats), (1, 2));
    assert_eq!(names(&folder), std::slice::from_ref(&block.ulid));
    let files = ["chunks", "index", "meta.json", "tombstones"];
    assert_eq!(names(&folder.join(&block.ulid)), files);
    // Nothing of that time is written twice; what only touches it is written.
    let fault = out.check(RANGE).unwrap_err();
    assert!(fault.to_string().contains(&block.ulid), "{fault}");
    let next = Range {
        begin_ms: 2 * HOUR,
        end_ms: 3 * HOUR,
    };
    out.check(next).unwrap();
}

#[test]
fn what_breaks_off_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let out = Out::open(place.path()).unwrap();
    let moved = Parcel::Fault {
        why: "moved".into(),
        is_passing: true,
    };
    let gone = ExportFault::Samples("gone".into());
    for (last, is_passing) in [(Ok(moved), true), (Err(gone), false)] {
        let mut half = out.begin(RANGE).unwrap();
        let mut answers = vec![last, Ok(parcel())];
        let filled = fill(&mut half, &mut || answers.pop().unwrap());
        assert_eq!(matches!(filled, Ok(Filled::Again(_))), is_passing);
        assert_eq!(names(place.path()).len(), 1);
        drop(half);
        assert!(names(place.path()).is_empty());
    }
    // A series that comes twice.
    let mut half = out.begin(RANGE).unwrap();
    for name in ["a", "b", "a"] {
        let labels = Labels::new([("__name__", name)]);
        half.add(&labels, &chunk()).unwrap();
    }
    assert!(matches!(half.finish(), Err(ExportFault::Index(_))));
    // Nothing at all is no block.
    assert!(out.begin(RANGE).unwrap().finish().unwrap().is_none());
    assert!(names(place.path()).is_empty());
}

#[test]
fn what_a_killed_export_left_is_removed_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let out = Out::open(folder).unwrap();
    let killed = folder.join("01ARZ3NDEKTSV4RRFFQ69G5FAV.mainstay-half");
    std::fs::create_dir(&killed).unwrap();
    for name in ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "other.mainstay-half"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    // Not while it may be somebody's who is at work.
    let fault = Out::open(folder).unwrap_err();
    assert!(matches!(fault, ExportFault::Running { .. }), "{fault}");
    assert!(killed.exists());
    drop(out);
    drop(Out::open(folder).unwrap());
    let left = ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "other.mainstay-half"];
    assert_eq!(names(folder), left);
}
