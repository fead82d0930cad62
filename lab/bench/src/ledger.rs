//! Appends a second: many writers, and one writer beside a bare loop of write and fdatasync.
//!
//! Bare loops run in short rounds between ours, on the same file system and with the same bytes, so that
//! a busy neighbour hits all; the figure is the median of the ratios of neighbouring rounds. One bare loop
//! appends, which makes the file system commit the new size too; the other writes over what is there,
//! which is the least that a durable write can be; a third does so with as many bytes as `SQLite` writes
//! into its log for them (whole pages). The same once more in memory (tmpfs) shows what the processor
//! allows when a sync is free.

use anyhow::{Context as _, Result, bail};
use mainstay_atoms::{Actor, Epoch, Wall};
use mainstay_ledger::{Entry, Kind};
use mainstay_ledger_io::{Draft, Ledger, Opened};
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Writers of the crowd.
const WRITERS: u32 = 64;

/// Requests that each of them has under way in the second measurement.
const DEPTH: u32 = 8;

/// Length of one round of either side.
const ROUND: Duration = Duration::from_millis(200);

/// The same for one writer, which has no threads to start: short, because neighbours on the disk come and go.
const SINGLE_ROUND: Duration = Duration::from_millis(50);

/// Ours beside the bare loops; rates a second, medians of the rounds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Figures {
    /// Entries.
    pub appends: f64,
    /// Longest wait of 99 of 100 entries, in microseconds.
    pub p99_us: u64,
    /// Entries, were everything but the bare loop's write and fdatasync free: its rate times the entries
    /// under way; the loop appends.
    pub bare: f64,
    /// The same, and the loop writes over what is there.
    pub bare_in_place: f64,
    /// The same, and it writes as many bytes as `SQLite` does.
    pub bare_frames: f64,
    /// The median of the ratios of neighbouring rounds: appends over `bare`.
    pub of_bare: f64,
    /// Appends over `bare_in_place`.
    pub of_bare_in_place: f64,
    /// Appends over `bare_frames`.
    pub of_bare_frames: f64,
}

/// One file system.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Place {
    /// One writer, on a fresh ledger.
    pub single: Figures,
    /// 64 writers, each waiting for its entry before the next.
    pub crowd: Figures,
    /// 64 writers, each with eight entries under way.
    pub ahead: Figures,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// On the disk of the folder that was named.
    pub disk: Place,
    /// In memory.
    pub memory: Place,
    /// `/proc/loadavg` before and after.
    pub load: [String; 2],
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, place) in [("disk", &self.disk), ("memory", &self.memory)] {
            for (kind, figures) in [
                ("1 writer", &place.single),
                ("64 writers", &place.crowd),
                ("64 writers, 8 ahead each", &place.ahead),
            ] {
                writeln!(
                    out,
                    "{name}, {kind}: {:.0}/s, p99 {} us; {:.0} % of bare ({:.0}/s), {:.0} % of bare in place ({:.0}/s), {:.0} % of bare frames ({:.0}/s)",
                    figures.appends,
                    figures.p99_us,
                    figures.of_bare * 100.0,
                    figures.bare,
                    figures.of_bare_in_place * 100.0,
                    figures.bare_in_place,
                    figures.of_bare_frames * 100.0,
                    figures.bare_frames,
                )?;
            }
        }
        write!(out, "load {} -> {}", self.load[0], self.load[1])
    }
}

/// Measures below `folder`, each part for about so many seconds.
pub fn measure(folder: &Path, seconds: u64) -> Result<Report> {
    let before = crate::platform::load()?;
    Ok(Report {
        disk: place(folder, seconds)?,
        memory: place("/dev/shm".as_ref(), seconds)?,
        load: [before, crate::platform::load()?],
    })
}

fn place(folder: &Path, seconds: u64) -> Result<Place> {
    let dir = tempfile::tempdir_in(folder).context("a folder to write in")?;
    let anchor = dir.path().join("anchor");
    let opened = Ledger::open(&dir.path().join("ledger"), &[anchor], Wall(0))?;
    let Opened::Ready(ledger) = opened else {
        bail!("the ledger did not open: {opened:?}");
    };
    let rounds = usize::try_from(seconds * 1000 / 800)?.max(1);
    let place = Place {
        single: beside(dir.path(), 4 * rounds, (1, SINGLE_ROUND), || {
            append(&ledger, SINGLE_ROUND)
        })?,
        crowd: beside(dir.path(), rounds, (WRITERS, ROUND), || {
            crowd(|| append(&ledger, ROUND))
        })?,
        ahead: beside(dir.path(), rounds, (WRITERS * DEPTH, ROUND), || {
            crowd(|| append_ahead(&ledger))
        })?,
    };
    ledger.close();
    Ok(place)
}

/// Our rounds, each beside one of either bare loop; `at_once` entries are under way.
fn beside(
    dir: &Path,
    rounds: usize,
    (at_once, length): (u32, Duration),
    mut round: impl FnMut() -> Result<Vec<u64>>,
) -> Result<Figures> {
    let bytes = entry()?.repeat(usize::try_from(at_once)?);
    let mut appended = File::create(dir.join("bare"))?;
    let mut over = in_place(dir)?;
    let framed = vec![b'x'; frames(bytes.len())];
    let (mut ours, mut waits) = (vec![], vec![]);
    let (mut bare, mut placed, mut whole) = (vec![], vec![], vec![]);
    for _ in 0..rounds {
        bare.push(bare_round(length, || {
            appended
                .write_all(&bytes)
                .and_then(|()| appended.sync_data())
        })?);
        let began = Instant::now();
        let done = round()?;
        ours.push(per_second(done.len(), began.elapsed()));
        waits.extend(done);
        placed.push(bare_round(length, || overwrite(&mut over, &bytes))?);
        whole.push(bare_round(length, || overwrite(&mut over, &framed))?);
    }
    let at_once = f64::from(at_once);
    let ratio = |bare: &[f64]| {
        let pairs = ours.iter().zip(bare);
        median(pairs.map(|(ours, bare)| ours / (bare * at_once)).collect())
    };
    Ok(Figures {
        of_bare: ratio(&bare),
        of_bare_in_place: ratio(&placed),
        of_bare_frames: ratio(&whole),
        appends: median(ours),
        p99_us: p99(waits),
        bare: median(bare) * at_once,
        bare_in_place: median(placed) * at_once,
        bare_frames: median(whole) * at_once,
    })
}

fn crowd(work: impl Fn() -> Result<Vec<u64>> + Sync) -> Result<Vec<u64>> {
    let done: Result<Vec<Vec<u64>>> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(&work)).collect();
        let joined = writers.into_iter().map(|writer| {
            let joined = writer.join();
            joined.unwrap_or_else(|_| bail!("a writer ended unexpectedly"))
        });
        joined.collect()
    });
    Ok(done?.concat())
}

/// Appends one after the other for a round.
fn append(ledger: &Ledger, length: Duration) -> Result<Vec<u64>> {
    let (start, mut waits) = (Instant::now(), Vec::new());
    while start.elapsed() < length {
        let begin = Instant::now();
        ledger.append(draft()?)?;
        waits.push(micros(begin));
    }
    Ok(waits)
}

/// Appends with several entries under way for a round.
fn append_ahead(ledger: &Ledger) -> Result<Vec<u64>> {
    let depth = DEPTH as usize;
    let (start, mut waits) = (Instant::now(), Vec::new());
    let mut ahead = std::collections::VecDeque::with_capacity(depth);
    while start.elapsed() < ROUND || !ahead.is_empty() {
        while ahead.len() < depth && start.elapsed() < ROUND {
            ahead.push_back((Instant::now(), ledger.submit(draft()?)?));
        }
        if let Some((begin, pending)) = ahead.pop_front() {
            pending.wait()?;
            waits.push(micros(begin));
        }
    }
    Ok(waits)
}

/// How much the loop that writes in place writes before it begins again.
const IN_PLACE: u64 = 16 << 20;

/// A file that is written already.
fn in_place(dir: &Path) -> Result<File> {
    let mut file = File::create(dir.join("in-place"))?;
    file.write_all(&vec![0; usize::try_from(IN_PLACE)?])?;
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

fn overwrite(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    if file.stream_position()? + bytes.len() as u64 > IN_PLACE {
        file.seek(SeekFrom::Start(0))?;
    }
    file.write_all(bytes)?;
    file.sync_data()
}

/// What `SQLite` writes into its log for a commit of so many bytes: whole pages, each with a header.
fn frames(bytes: usize) -> usize {
    const PAGE: usize = 4096;
    bytes.div_ceil(PAGE) * (PAGE + 24)
}

fn bare_round(length: Duration, mut write: impl FnMut() -> io::Result<()>) -> Result<f64> {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < length {
        write()?;
        count += 1;
    }
    Ok(per_second(count, start.elapsed()))
}

static NEXT: AtomicU64 = AtomicU64::new(0);

fn draft() -> Result<Draft> {
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Ok(Draft {
        kind: Kind::new(1, "bench")?,
        actor: Actor::itself(),
        epoch: Epoch(1),
        generation: None,
        key,
        payload: vec![b'x'; 230],
        at: Wall(0),
    })
}

/// The bytes of one entry as they are stored.
fn entry() -> Result<Vec<u8>> {
    let draft = draft()?;
    Ok(Entry {
        index: 0,
        at: draft.at,
        epoch: draft.epoch,
        generation: draft.generation,
        actor: draft.actor,
        kind: draft.kind,
        key: draft.key,
        payload: draft.payload,
    }
    .encode()?)
}

fn micros(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a rate in a report")]
fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn p99(mut waits: Vec<u64>) -> u64 {
    waits.sort_unstable();
    waits
        .get(waits.len() * 99 / 100)
        .copied()
        .unwrap_or_default()
}
