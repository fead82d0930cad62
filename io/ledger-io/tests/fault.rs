//! A ledger whose process is killed, whose files rot, and whose disk is full.

mod common;

use common::{NOW, append, copy, draft, open, ready, scratch};
use mainstay_ledger::{Entry, Halt};
use mainstay_ledger_io::{AppendFault, Ledger, OpenFault, Opened, Reader, verify};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The example beside the tests' own binary.
fn writer() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples/writer")
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let state = scratch();
    let mut acknowledged: Vec<(u64, String)> = Vec::new();
    for round in 0..12 {
        let mut child = Command::new(writer())
            .arg(state.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`cargo test` builds the example");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said: Vec<String> = (0..20 + round * 37)
            .map(|_| lines.next().unwrap().unwrap())
            .collect();
        child.kill().unwrap();
        // What was said before the end counts as well; only the last line may be cut.
        said.extend(lines.map_while(Result::ok));
        said.pop();
        for line in said {
            let (index, text) = line.split_once(' ').unwrap();
            acknowledged.push((index.parse().unwrap(), text.to_owned()));
        }
        child.wait().unwrap();
        let ledger = ready(open(&state, &[state.path().join("anchor")]));
        let entries: Vec<Entry> = ledger.entries(0).collect::<Result<_, _>>().unwrap();
        for (index, text) in &acknowledged {
            let entry = &entries[usize::try_from(*index).unwrap()];
            assert_eq!(
                entry.payload,
                text.as_bytes(),
                "round {round}, entry {index}"
            );
        }
        ledger.close();
        let report = verify(&state.path().join("ledger")).unwrap();
        assert!(report.is_good(), "round {round}: {:?}", report.findings);
    }
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn contents(reader: &Reader) -> Option<Vec<Entry>> {
    reader.entries(0).collect::<Result<_, _>>().ok()
}

/// What anybody can see of a folder: its entries, when nothing complains.
fn seen(state: &Path) -> Result<Vec<Entry>, String> {
    let dir = state.join("ledger");
    let report = verify(&dir).map_err(|fault| fault.to_string())?;
    if let Some(finding) = report.findings.first() {
        return Err(finding.to_string());
    }
    match Ledger::open(&dir, &[], NOW).map_err(|fault| fault.to_string())? {
        Opened::Ready(ledger) => contents(&ledger.reader()).ok_or_else(|| "unreadable".into()),
        Opened::Halted(halted) => Err(halted.reason.to_string()),
    }
}

#[test]
fn no_flipped_byte_passes_in_silence() {
    let state = scratch();
    let ledger = ready(open(&state, &[]));
    ledger.append_all((0..600).map(draft).collect()).unwrap();
    let wanted = contents(&ledger.reader()).unwrap();
    ledger.close();
    let mut paths = Vec::new();
    files(state.path(), &mut paths);
    paths.retain(|path| !path.ends_with("lock"));
    assert!(
        paths.iter().all(|path| !path.ends_with("ledger.db-wal")),
        "a clean close leaves no log"
    );
    assert!(paths.len() >= 8, "{paths:?}");
    // A fixed sequence, so that a failure comes back: Knuth's multiplier over all files.
    let (mut random, mut found) = (1_u64, 0);
    for round in 0..400_usize {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let path = &paths[round % paths.len()];
        let good = fs::read(path).unwrap();
        let mut bad = good.clone();
        let at = usize::try_from(random >> 33).unwrap() % bad.len();
        bad[at] ^= 1 << (random >> 20 & 7);
        let copied = scratch();
        copy(state.path(), copied.path());
        let target = copied.path().join(path.strip_prefix(state.path()).unwrap());
        make_writable(&target);
        fs::write(&target, &bad).unwrap();
        match seen(copied.path()) {
            Err(_) => found += 1,
            // A byte that nothing uses: everything that was recorded is still there.
            Ok(entries) => assert!(entries == wanted, "byte {at} of {}", path.display()),
        }
    }
    assert!(found > 300, "only {found} of 400 were found");
}

fn make_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_changed_row_is_named_also_when_its_hashes_were_changed_with_it() {
    let state = scratch();
    let ledger = ready(open(&state, &[]));
    ledger.append_all((0..600).map(draft).collect()).unwrap();
    ledger.close();
    let dir = state.path().join("ledger");
    let database = rusqlite::Connection::open(dir.join("ledger.db")).unwrap();
    let forged: Vec<u8> = {
        let mut entry = Entry::decode(
            &database
                .query_row("SELECT bytes FROM entry WHERE idx=100", [], |row| {
                    row.get::<_, Vec<u8>>(0)
                })
                .unwrap(),
        )
        .unwrap();
        entry.payload = b"{}".to_vec();
        entry.encode().unwrap()
    };
    let leaf = mainstay_ledger::leaf_hash(&forged);
    database
        .execute(
            "UPDATE entry SET bytes=?1, leaf=?2 WHERE idx=100",
            (&forged, &leaf.0[..]),
        )
        .unwrap();
    drop(database);
    let report = verify(&dir).unwrap();
    assert_eq!(report.first_bad(), Some(100), "{:?}", report.findings);
    let (reason, _) = common::halted(open(&state, &[]));
    assert!(
        matches!(reason, Halt::OtherRoot { signed: 600, .. }),
        "{reason}"
    );
}

#[test]
fn a_cut_tail_and_a_file_of_noise_halt_with_a_reason() {
    let state = scratch();
    let ledger = ready(open(&state, &[]));
    ledger.append_all((0..5).map(draft).collect()).unwrap();
    ledger.close();
    let path = state.path().join("ledger/ledger.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute("DELETE FROM entry WHERE idx=4", [])
        .unwrap();
    drop(database);
    let (reason, reader) = common::halted(open(&state, &[]));
    assert!(
        matches!(
            reason,
            Halt::FewerRows {
                found: 4,
                signed: 5,
                ..
            }
        ),
        "{reason}"
    );
    assert_eq!(reader.entries(0).count(), 4);
    fs::write(&path, vec![0x5a; 65_536]).unwrap();
    let (reason, reader) = common::halted(open(&state, &[]));
    assert!(matches!(reason, Halt::Unreadable { .. }), "{reason}");
    assert!(reader.entries(0).next().unwrap().is_err());
    assert!(!verify(&state.path().join("ledger")).unwrap().is_good());
    assert!(verify(scratch().path()).is_err(), "no ledger at all");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let state = scratch();
    fs::write(state.path().join("ledger"), "a file").unwrap();
    let fault = Ledger::open(&state.path().join("ledger"), &[], NOW).unwrap_err();
    assert!(
        matches!(
            &fault,
            OpenFault::File {
                action: "created",
                ..
            }
        ),
        "{fault}"
    );
}

/// A small file system of its own, unmounted with the test.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let dir = scratch();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(dir))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.0.path()).status());
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn a_full_disk_is_said_and_loses_nothing() {
    let Some(disk) = Small::mount() else {
        eprintln!("skipped: no file system may be mounted here");
        return;
    };
    let ledger = ready(open(&disk.0, &[]));
    let mut recorded = 0;
    let fault = loop {
        match ledger.append(draft(recorded)) {
            Ok(receipt) => assert_eq!(receipt.index, recorded),
            Err(fault) => break fault,
        }
        recorded += 1;
    };
    assert!(recorded > 100, "{recorded}");
    assert!(
        matches!(
            fault,
            AppendFault::DiskFull { .. } | AppendFault::Halted { .. }
        ),
        "{fault}"
    );
    assert_eq!(ledger.size(), recorded);
    ledger.close();
    drop(ledger);
    // Somebody makes room.
    let tiles = disk.0.path().join("ledger/tile");
    if tiles.exists() {
        fs::remove_dir_all(tiles).unwrap();
    }
    remount(disk.0.path());
    let ledger = ready(open(&disk.0, &[]));
    let entries: Vec<Entry> = ledger.entries(0).collect::<Result<_, _>>().unwrap();
    assert!(
        entries.len() as u64 >= recorded,
        "{} of {recorded}",
        entries.len()
    );
    append(&ledger, recorded + 1000);
}

fn remount(path: &Path) {
    let grown = Command::new("mount")
        .args(["-o", "remount,size=16m"])
        .arg(path)
        .status();
    assert!(grown.unwrap().success());
}
