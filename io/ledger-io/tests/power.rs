//! Cuts of power under a ledger that is written to: nothing acknowledged may be lost.
//!
//! The ledger lies in a file system of its own inside an image file. The writer is frozen and the image
//! copied: it holds what was synced and what the kernel happened to write, and nothing that was only in
//! the inner file system's memory. The copy is mounted, which replays its journal as after a power cut,
//! and the ledger in it is opened. The same with a writer that does not sync has to lose entries, else
//! this test would prove nothing.
#![cfg(debug_assertions)]

use mainstay_atoms::Wall;
use mainstay_ledger_io::{Ledger, Opened, Reader, verify};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Cuts, each over what the one before left; `MAINSTAY_CUTS=1000` for more.
fn cuts() -> usize {
    let wanted = std::env::var("MAINSTAY_CUTS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Cuts after which a fresh file system is begun, before the small one is full.
const FULL: usize = 25;

/// How long a writer may take to acknowledge what a cut waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mounted image, unmounted with the test.
struct Disk {
    image: PathBuf,
    place: TempDir,
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|fault| format!("`{program}`: {fault}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

impl Disk {
    /// No commit of the journal by itself: what reaches the image was asked for.
    fn mount(image: &Path) -> Result<Self, String> {
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (
            image.display().to_string(),
            place.path().display().to_string(),
        );
        run("mount", &["-o", "loop,commit=300", &from, &to])?;
        Ok(Self {
            image: image.to_owned(),
            place,
        })
    }

    fn make(image: &Path) -> Result<Self, String> {
        let path = image.display().to_string();
        std::fs::remove_file(image).ok();
        run("truncate", &["-s", "64M", &path])?;
        run("mkfs.ext4", &["-q", "-F", "-J", "size=4", &path])?;
        Self::mount(image)
    }

    fn state(&self) -> &Path {
        self.place.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let place = self.place.path().display().to_string();
        drop(run("umount", &[&place]));
    }
}

/// A writer that was killed with the test, if not before.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn signal(child: &Child, name: &str) {
    run("kill", &[&format!("-{name}"), &child.id().to_string()]).unwrap();
}

/// Runs a writer on the disk, freezes it after `count` acknowledgements, and copies the image. What was
/// acknowledged until then goes into `said`.
fn cut(disk: Disk, copy: &Path, count: usize, sync: bool, said: &mut BTreeMap<u64, String>) {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples/writer");
    let mut command = Command::new(program);
    command.arg(disk.state()).stdout(Stdio::piped());
    if !sync {
        command.arg("--no-sync");
    }
    let child = command.spawn().expect("`cargo test` builds the example");
    let mut writer = Writer(child);
    let out = writer.0.stdout.take().unwrap();
    let mut lines = BufReader::new(out);
    let deadline = Instant::now() + PATIENCE;
    let mut text = String::new();
    for _ in 0..count {
        assert!(Instant::now() < deadline, "the writer is too slow");
        assert_ne!(lines.read_line(&mut text).unwrap(), 0, "the writer ended");
    }
    signal(&writer.0, "STOP");
    // What it said before it was frozen counts as well.
    let held = lines.buffer().to_vec();
    text.push_str(&String::from_utf8(held).unwrap());
    text.push_str(&pending(lines.get_mut()));
    run(
        "cp",
        &[
            "--sparse=always",
            &disk.image.display().to_string(),
            &copy.display().to_string(),
        ],
    )
    .unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        let (index, words) = line.split_once(' ').unwrap();
        said.insert(index.parse().unwrap(), words.to_owned());
    }
    drop(writer);
    drop(disk);
}

/// What lies in the pipe of a frozen writer.
fn pending(pipe: &mut ChildStdout) -> String {
    let waiting = rustix::io::ioctl_fionread(&*pipe).unwrap();
    let mut bytes = vec![0; usize::try_from(waiting).unwrap()];
    pipe.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Entries that were acknowledged and are not there.
fn lost(reader: &Reader, said: &BTreeMap<u64, String>) -> usize {
    let there: BTreeMap<u64, Vec<u8>> = reader
        .entries(0)
        .map_while(Result::ok)
        .map(|entry| (entry.index, entry.payload))
        .collect();
    let missing = |(index, words): &(&u64, &String)| {
        there
            .get(*index)
            .is_none_or(|found| found != words.as_bytes())
    };
    said.iter().filter(missing).count()
}

fn reader(state: &Path) -> (Reader, Option<String>) {
    let anchor = state.join("anchor");
    match Ledger::open(&state.join("ledger"), &[anchor], Wall(1)).unwrap() {
        Opened::Ready(ledger) => {
            ledger.close();
            (ledger.reader(), None)
        }
        Opened::Halted(halted) => (halted.reader, Some(halted.reason.to_string())),
    }
}

/// Cuts one after the other on a fresh file system; how many entries were acknowledged in all.
fn series_of_cuts(count: usize, image: &dyn Fn(usize) -> PathBuf) -> usize {
    let mut disk = Disk::make(&image(0)).unwrap();
    let mut said = BTreeMap::new();
    for number in 1..=count {
        let (from, to) = (image((number + 1) % 2), image(number % 2));
        assert_eq!(disk.image, from);
        cut(disk, &to, 30 + 17 * number, true, &mut said);
        disk = Disk::mount(&to).unwrap();
        let (reader, halted) = reader(disk.state());
        assert_eq!(halted, None, "cut {number}");
        assert_eq!(lost(&reader, &said), 0, "cut {number} of {}", said.len());
        let report = verify(&disk.state().join("ledger")).unwrap();
        assert!(report.is_good(), "cut {number}: {:?}", report.findings);
    }
    said.len()
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let image = |number: usize| folder.path().join(format!("image-{number}"));
    if let Err(why) = Disk::make(&image(0)) {
        eprintln!("skipped: no image can be mounted here: {why}");
        return;
    }
    let (all, mut done, mut acknowledged) = (cuts(), 0, 0);
    while done < all {
        let series = FULL.min(all - done);
        acknowledged += series_of_cuts(series, &image);
        done += series;
    }
    eprintln!("{all} cuts, {acknowledged} entries acknowledged, 0 lost");
    let disk = Disk::make(&image(2)).unwrap();
    let mut said = BTreeMap::new();
    cut(disk, &image(3), 400, false, &mut said);
    let disk = Disk::mount(&image(3)).unwrap();
    let (reader, _) = reader(disk.state());
    let gone = lost(&reader, &said);
    eprintln!("without sync: {gone} of {} entries lost", said.len());
    assert!(
        gone > 0,
        "a writer that does not sync has to lose something"
    );
}
