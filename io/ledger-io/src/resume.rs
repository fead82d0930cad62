//! Going on after a loss: the old timeline is put aside, a new one begins where the rows end.
//!
//! In this order, so that a kill at any point leaves a halted folder that can be resumed again, or a
//! resumed one: put the old checkpoint, key, anchors and tiles aside · keep the first entry beside them ·
//! sign the new timeline at each anchor · sign it here, which decides. Opening then records the entry.

use crate::file::{self, Durable};
use crate::keeper::{Places, write_anchors};
use crate::open::{self, Found};
use crate::verify::{Finding, verify};
use crate::{ResumeFault, key};
use mainstay_atoms::Wall;
use mainstay_ledger::{Checkpoint, Entry, Loss, Timeline};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where what belongs to the timelines before this one is kept.
fn aside(dir: &Path, timeline: Timeline) -> PathBuf {
    dir.join(format!("before-timeline-{timeline}"))
}

/// The first entry of this timeline, where it was begun by a resume.
pub(crate) fn first_entry(dir: &Path, timeline: Timeline) -> Option<(Entry, Vec<u8>)> {
    let bytes = file::read(&aside(dir, timeline).join("resumed")).ok()??;
    Some((Entry::decode(&bytes).ok()?, bytes))
}

/// Begins the timeline of an accepted loss. The folder is held by the caller.
pub(crate) fn begin(
    places: &Places,
    accepted: &Loss,
    first: &[u8],
    now: Wall,
) -> Result<(), ResumeFault> {
    let found = look(places, accepted)?;
    let aside = aside(&places.dir, accepted.timeline);
    key::create_private(&aside).map_err(ResumeFault::Open)?;
    put_aside(places, &found, &aside)?;
    let entry = aside.join("resumed");
    file::replace(&entry, first, 0o600, Durable::Yes).map_err(fault(&entry, "written"))?;
    file::sync_dir(&places.dir).map_err(fault(&places.dir, "synced"))?;
    let checkpoint = Checkpoint {
        timeline: accepted.timeline,
        size: accepted.kept,
        root: accepted.root,
        at: now,
    };
    let text = checkpoint.sign(&found.key);
    // An anchor that is away keeps its older timeline, which says nothing against a newer one; opening
    // tries it again and reports it.
    drop(write_anchors(&text, &found.key, places));
    let local = places.local();
    file::replace(&local, text.as_bytes(), 0o644, Durable::Yes).map_err(fault(&local, "written"))
}

/// Looks again: the folder is halted, by this very loss, and what is left is sound.
fn look(places: &Places, accepted: &Loss) -> Result<Found, ResumeFault> {
    let altered = |why: String| ResumeFault::Altered { why };
    let found = open::look(places).map_err(ResumeFault::Open)?;
    let found = found.map_err(|halt| altered(halt.to_string()))?;
    let stopped = found.halt().ok_or(ResumeFault::Sound)?;
    let Some(loss) = stopped.loss else {
        return Err(altered(stopped.halt.to_string()));
    };
    if loss != *accepted {
        let found = Box::new(loss);
        return Err(ResumeFault::Moved { found });
    }
    if loss.kept > 0
        && let Some(why) = defect(&places.dir)
    {
        return Err(altered(why));
    }
    Ok(found)
}

/// What is wrong with the rows that are left, beside that some are gone.
fn defect(dir: &Path) -> Option<String> {
    let report = match verify(dir) {
        Ok(report) => report,
        Err(fault) => return Some(fault.to_string()),
    };
    let mut findings = report.findings.iter();
    let other = findings.find(|finding| {
        !matches!(
            finding,
            Finding::FewerRows { .. } | Finding::Checkpoint { .. } | Finding::PublicKey
        )
    });
    other.map(ToString::to_string)
}

/// Keeps what the old timelines signed, and moves their tiles away: new rows will take their places.
fn put_aside(places: &Places, found: &Found, aside: &Path) -> Result<(), ResumeFault> {
    let anchors = places.anchors(found.key.public());
    let anchors = anchors
        .into_iter()
        .enumerate()
        .map(|(at, path)| (path, format!("anchor-{at}.checkpoint")));
    let own = [
        (places.local(), "checkpoint".into()),
        (key::public_path(&places.dir), "ledger.pub".into()),
    ];
    for (path, name) in own.into_iter().chain(anchors) {
        if let Some(bytes) = file::read(&path).map_err(fault(&path, "read"))? {
            let kept = aside.join(name);
            file::replace(&kept, &bytes, 0o444, Durable::Yes).map_err(fault(&kept, "written"))?;
        }
    }
    let (tiles, kept) = (places.dir.join("tile"), aside.join("tile"));
    match fs::rename(&tiles, &kept) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(fault(&tiles, "put aside")(source))
        }
        _ => Ok(()),
    }
}

fn fault(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> ResumeFault + use<> {
    let path = path.to_owned();
    move |source| ResumeFault::File {
        path,
        action,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Draft, Ledger, Opened};
    use mainstay_atoms::{Actor, Epoch};
    use mainstay_ledger::Kind;

    fn draft(n: u8) -> Draft {
        Draft {
            kind: Kind::new(1, "test").unwrap(),
            actor: Actor("ann".into()),
            epoch: Epoch(1),
            generation: None,
            key: [n; 16],
            payload: vec![n],
            at: Wall(1),
        }
    }

    fn entry(draft: Draft, index: u64) -> Vec<u8> {
        let Draft {
            kind,
            actor,
            epoch,
            generation,
            key,
            payload,
            at,
        } = draft;
        let entry = Entry {
            index,
            at,
            epoch,
            generation,
            actor,
            kind,
            key,
            payload,
        };
        entry.encode().unwrap()
    }

    #[test]
    fn a_kill_before_the_first_entry_is_recorded_loses_nobody_s_name() {
        let state = tempfile::tempdir().unwrap();
        let dir = state.path().join("ledger");
        let open = || Ledger::open(&dir, &[], Wall(1)).unwrap();
        let Opened::Ready(ledger) = open() else {
            panic!("a new folder opens");
        };
        for n in 0..5 {
            ledger.append(draft(n)).unwrap();
        }
        ledger.close();
        let connection = crate::row::open_writer(&dir.join("ledger.db")).unwrap();
        connection
            .execute("DELETE FROM entry WHERE idx >= 3", [])
            .unwrap();
        drop(connection);
        let loss = match open() {
            Opened::Halted(halted) => halted.loss.unwrap(),
            Opened::Ready(_) => panic!("a cut folder halts"),
        };
        let places = Places {
            dir: dir.clone(),
            anchors: vec![],
        };
        begin(&places, &loss, &entry(draft(9), 3), Wall(2)).unwrap();
        // Here the process dies; twice opened, once recorded.
        for _ in 0..2 {
            let Opened::Ready(ledger) = open() else {
                panic!("a resumed folder opens");
            };
            let found: Vec<Entry> = ledger.entries(0).collect::<Result<_, _>>().unwrap();
            let payloads: Vec<u8> = found.iter().map(|entry| entry.payload[0]).collect();
            assert_eq!(payloads, [0, 1, 2, 9]);
            ledger.close();
        }
    }
}
