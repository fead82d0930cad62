//! Folders, drafts and waiting, for the ledger's tests.

use mainstay_atoms::{Actor, Epoch, Generation, Wall};
use mainstay_ledger::{Halt, Kind};
use mainstay_ledger_io::{Draft, Ledger, Opened, Reader};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) const NOW: Wall = Wall(1_700_000_000_000);

pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn draft(n: u64) -> Draft {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    Draft {
        kind: Kind::new(1, "test").unwrap(),
        actor: Actor("ann".into()),
        epoch: Epoch(1),
        generation: Some(Generation(n)),
        key,
        payload: format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(200)).into_bytes(),
        at: NOW,
    }
}

pub(crate) fn open(state: &TempDir, anchors: &[PathBuf]) -> Opened {
    Ledger::open(&state.path().join("ledger"), anchors, NOW).unwrap()
}

pub(crate) fn ready(opened: Opened) -> Ledger {
    match opened {
        Opened::Ready(ledger) => ledger,
        Opened::Halted(halted) => panic!("halted: {}", halted.reason),
    }
}

pub(crate) fn halted(opened: Opened) -> (Halt, Reader) {
    match opened {
        Opened::Halted(halted) => (halted.reason, halted.reader),
        Opened::Ready(ledger) => panic!("opened with {} entries", ledger.size()),
    }
}

pub(crate) fn append(ledger: &Ledger, n: u64) -> u64 {
    ledger.append(draft(n)).unwrap().index
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
