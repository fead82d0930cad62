//! How many appends a second this disk allows: 64 writers, then one beside a bare loop of write and
//! fdatasync, in alternating slices so that a busy neighbour hits both.
//!
//! `cargo run --release -p mainstay-ledger-io --example rate -- [FOLDER] [SECONDS]`
#![expect(clippy::print_stdout, reason = "a measuring tool")]

use mainstay_atoms::{Actor, Epoch, Wall};
use mainstay_ledger::Kind;
use mainstay_ledger_io::{Draft, Ledger, Opened, verify};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

static NEXT: AtomicU64 = AtomicU64::new(0);

fn draft() -> Draft {
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Draft {
        kind: Kind::new(1, "rate").expect("a good name"),
        actor: Actor::itself(),
        epoch: Epoch(1),
        generation: None,
        key,
        payload: vec![b'x'; 230],
        at: Wall(0),
    }
}

/// Appends for a while; the waits in microseconds.
fn append(ledger: &Ledger, time: Duration) -> Vec<u128> {
    let (start, mut waits) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        let begin = Instant::now();
        ledger.append(draft()).expect("the disk takes it");
        waits.push(begin.elapsed().as_micros());
    }
    waits
}

fn bare(dir: &Path, time: Duration) -> usize {
    let mut file = std::fs::File::create(dir.join("bare")).expect("a file");
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < time {
        file.write_all(&[b'x'; 400]).expect("written");
        file.sync_data().expect("synced");
        count += 1;
    }
    count
}

fn per_mille(waits: &mut [u128], part: usize) -> u128 {
    waits.sort_unstable();
    waits[waits.len() * part / 1000]
}

fn many(ledger: &Ledger, seconds: u64) {
    let time = Duration::from_secs(seconds);
    let mut waits: Vec<u128> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..64)
            .map(|_| scope.spawn(|| append(ledger, time)))
            .collect();
        writers
            .into_iter()
            .flat_map(|writer| writer.join().expect("a writer"))
            .collect()
    });
    let rate = waits.len() as u64 / seconds;
    println!(
        "64 writers: {rate}/s, p50 {} us, p99 {} us",
        per_mille(&mut waits, 500),
        per_mille(&mut waits, 990)
    );
}

fn one(ledger: &Ledger, dir: &Path, seconds: u64) {
    let slice = Duration::from_millis(250);
    let (mut ours, mut theirs) = (Vec::new(), 0);
    for _ in 0..seconds * 2 {
        theirs += bare(dir, slice);
        ours.extend(append(ledger, slice));
    }
    let count = ours.len();
    println!(
        "1 writer: {count} beside {theirs} bare, {} %, p50 {} us, p99 {} us",
        count * 100 / theirs.max(1),
        per_mille(&mut ours, 500),
        per_mille(&mut ours, 990)
    );
}

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target".into());
    let seconds = std::env::args()
        .nth(2)
        .and_then(|text| text.parse().ok())
        .unwrap_or(5);
    let dir = tempfile::tempdir_in(folder).expect("a folder to write in");
    let opened = Ledger::open(
        &dir.path().join("ledger"),
        &[dir.path().join("anchor")],
        Wall(0),
    );
    let Ok(Opened::Ready(ledger)) = opened else {
        panic!("the ledger did not open: {opened:?}");
    };
    many(&ledger, seconds);
    if std::env::args().nth(3).is_none() {
        one(&ledger, dir.path(), seconds);
    }
    let begin = Instant::now();
    ledger.close();
    println!("closed in {} ms", begin.elapsed().as_millis());
    let begin = Instant::now();
    let report = verify(&dir.path().join("ledger")).expect("a folder to verify");
    println!(
        "verified {} entries in {} ms, good: {}",
        report.entries,
        begin.elapsed().as_millis(),
        report.is_good()
    );
    let begin = Instant::now();
    drop(Ledger::open(&dir.path().join("ledger"), &[], Wall(0)));
    println!("reopened in {} ms", begin.elapsed().as_millis());
}
