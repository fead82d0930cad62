//! Files of blocks: each is written beside, and gets its name once it is on the disk.

use super::{ExportFault, ExportedBlock, Range};
use crate::clock;
use aws_lc_rs::rand;
use mainstay_metrics::Labels;
use mainstay_metrics::tsdb::{BlockBuilder, Chunk, TOMBSTONES, meta};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use ulid::Ulid;

/// How a folder is called that is no block yet. Prometheus looks at names that are a ULID, and at no others.
const HALF: &str = ".mainstay-half";

/// The folder that blocks are put into.
#[derive(Debug)]
pub(super) struct Out {
    folder: PathBuf,
    /// Held as long as it is written to.
    _lock: File,
}

/// A block that is not whole. It is removed unless it becomes so.
#[derive(Debug)]
pub(super) struct Half<'a> {
    out: &'a Out,
    range: Range,
    ulid: String,
    folder: PathBuf,
    builder: BlockBuilder,
    segment: Option<Segment>,
    is_whole: bool,
}

/// A file of chunks.
#[derive(Debug)]
struct Segment {
    number: u32,
    path: PathBuf,
    file: BufWriter<File>,
}

fn fault(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ExportFault {
    let path = path.to_owned();
    move |source| ExportFault::File {
        action,
        path,
        source,
    }
}

impl Out {
    /// Opens or makes the folder, and removes what an export left that was killed.
    pub(super) fn open(folder: &Path) -> Result<Self, ExportFault> {
        fs::create_dir_all(folder).map_err(fault("make the folder", folder))?;
        let lock = File::open(folder).map_err(fault("open the folder", folder))?;
        if let Err(found) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            return Err(match found {
                rustix::io::Errno::WOULDBLOCK => ExportFault::Running {
                    folder: folder.to_owned(),
                },
                other => fault("lock", folder)(other.into()),
            });
        }
        let out = Self {
            folder: folder.to_owned(),
            _lock: lock,
        };
        for path in out.entries()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let ulid = name.strip_suffix(HALF);
            if ulid.is_some_and(|ulid| Ulid::from_string(ulid).is_ok()) {
                fs::remove_dir_all(&path).map_err(fault("remove", &path))?;
            }
        }
        Ok(out)
    }

    fn entries(&self) -> Result<Vec<PathBuf>, ExportFault> {
        let read = fs::read_dir(&self.folder).and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<io::Result<Vec<PathBuf>>>()
        });
        read.map_err(fault("list", &self.folder))
    }

    /// Refuses a range of which the folder has some already.
    pub(super) fn check(&self, range: Range) -> Result<(), ExportFault> {
        for path in self.entries()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Ok(text) = fs::read(path.join("meta.json")) else {
                continue;
            };
            let meta: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            let times = (meta["minTime"].as_i64()).zip(meta["maxTime"].as_i64());
            if let Some((begin_ms, end_ms)) = times
                && begin_ms < range.end_ms
                && end_ms > range.begin_ms
            {
                return Err(ExportFault::Overlap {
                    folder: self.folder.clone(),
                    ulid: name.into_owned(),
                    begin_ms,
                    end_ms,
                });
            }
        }
        Ok(())
    }

    /// Begins a block.
    pub(super) fn begin(&self, range: Range) -> Result<Half<'_>, ExportFault> {
        let mut random = [0; 16];
        if rand::fill(&mut random).is_err() {
            let source = io::Error::other("the system has no entropy");
            return Err(fault("name a block in", &self.folder)(source));
        }
        let now_ms = clock::wall_ms().max(0).cast_unsigned();
        let ulid = Ulid::from_parts(now_ms, u128::from_le_bytes(random)).to_string();
        let folder = self.folder.join(format!("{ulid}{HALF}"));
        let half = Half {
            out: self,
            range,
            ulid,
            folder,
            builder: BlockBuilder::default(),
            segment: None,
            is_whole: false,
        };
        let chunks = half.folder.join("chunks");
        fs::create_dir_all(&chunks).map_err(fault("make the folder", &chunks))?;
        Ok(half)
    }
}

impl Half<'_> {
    /// Adds a chunk of a series.
    pub(super) fn add(&mut self, labels: &Labels, chunk: &Chunk) -> Result<(), ExportFault> {
        let placed = self.builder.add(labels, chunk);
        let is_open = |one: &Segment| one.number == placed.segment;
        if !self.segment.as_ref().is_some_and(is_open) {
            self.close()?;
            let name = format!("{:06}", placed.segment);
            let path = self.folder.join("chunks").join(name);
            let file = File::create_new(&path).map_err(fault("make", &path))?;
            self.segment = Some(Segment {
                number: placed.segment,
                path,
                file: BufWriter::new(file),
            });
        }
        if let Some(Segment { file, path, .. }) = &mut self.segment {
            let written = file.write_all(&placed.bytes);
            written.map_err(fault("write", path))?;
        }
        Ok(())
    }

    /// Ends the file of chunks that is open.
    fn close(&mut self) -> Result<(), ExportFault> {
        match self.segment.take() {
            None => Ok(()),
            Some(one) => settle(one.file).map_err(fault("write", &one.path)),
        }
    }

    fn file(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), ExportFault> {
        let path = self.folder.join(name);
        let written = File::create_new(&path).and_then(|file| {
            let mut file = BufWriter::new(file);
            write(&mut file)?;
            settle(file)
        });
        written.map_err(fault("write", &path))
    }

    /// Makes it a block, on the disk and with its name; none where it holds nothing.
    pub(super) fn finish(mut self) -> Result<Option<ExportedBlock>, ExportFault> {
        self.close()?;
        let stats = self.builder.stats();
        if stats.series == 0 {
            return Ok(None);
        }
        let sorted = std::mem::take(&mut self.builder).sort()?;
        self.file("index", |file| {
            sorted.write(&mut |bytes| file.write_all(bytes))
        })?;
        self.file("tombstones", |file| file.write_all(&TOMBSTONES))?;
        let Range { begin_ms, end_ms } = self.range;
        let meta = meta(&self.ulid, begin_ms, end_ms, &stats);
        self.file("meta.json", |file| file.write_all(meta.as_bytes()))?;
        sync(&self.folder.join("chunks"))?;
        sync(&self.folder)?;
        let path = self.out.folder.join(&self.ulid);
        fs::rename(&self.folder, &path).map_err(fault("give its name to", &path))?;
        self.is_whole = true;
        sync(&self.out.folder)?;
        Ok(Some(ExportedBlock {
            ulid: self.ulid.clone(),
            begin_ms,
            end_ms,
            stats,
        }))
    }
}

impl Drop for Half<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            // What cannot be removed has no name of a block, and goes at the next export.
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

/// Everything of a file to the disk.
fn settle(file: BufWriter<File>) -> io::Result<()> {
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

fn sync(folder: &Path) -> Result<(), ExportFault> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(fault("write", folder))
}
