//! The store of snapshots, each under the digest of its contents.

use crate::fault::StoreFault;
use crate::layout::Layout;
use crate::manifest::{Manifest, Node, fault, hash};
use mainstay_atoms::Digest;
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Snapshots below `artifacts/`; read-only once stored. Safe from any thread and process.
#[derive(Debug, Clone)]
pub struct Artifacts {
    dir: PathBuf,
}

/// What a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Unused since this sweep; removed by the next unless used again.
    pub marked: BTreeSet<Digest>,
    /// Removed.
    pub removed: BTreeSet<Digest>,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Artifacts {
    /// The store in the state folder of an environment.
    pub fn new(state: &Path) -> Self {
        let state = state.to_owned();
        Self {
            dir: Layout { state }.artifacts(),
        }
    }

    /// Where a stored snapshot lies.
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(digest.to_hex())
    }

    /// Whether a snapshot is stored.
    pub fn holds(&self, digest: Digest) -> bool {
        self.path(digest).is_dir()
    }

    /// Stores the named files and folders below `root` (`.` is everything) under their paths there.
    /// Contents that are stored already cost one reading.
    pub fn store(&self, root: &Path, names: &[PathBuf]) -> Result<Digest, StoreFault> {
        make_private(&self.dir).map_err(fault(&self.dir, "created"))?;
        let manifest = Manifest::of(root, names, &self.dir)?;
        let digest = manifest.digest();
        self.unmark(digest)?;
        if self.holds(digest) {
            return Ok(digest);
        }
        let unique = NEXT.fetch_add(1, Ordering::Relaxed);
        let new = self
            .dir
            .join(format!(".new-{}-{unique}", std::process::id()));
        let stored = fill(root, &manifest, &new).and_then(|()| self.publish(&new, digest));
        if stored.is_err() {
            // The half-made copy is of no use; the first fault is what matters.
            drop(remove_tree(&new));
        }
        stored.map(|()| digest)
    }

    /// Finds the program of a stored snapshot as an instance would: absolute, in the snapshot, or a bare
    /// name in the folders of `path` (`PATH`).
    pub fn program(
        &self,
        digest: Digest,
        program: &str,
        path: &str,
    ) -> Result<PathBuf, StoreFault> {
        let inside = self.path(digest).join(program);
        let mut places = vec![inside.clone()];
        if !program.contains('/') {
            places.extend(path.split(':').map(|dir| Path::new(dir).join(program)));
        }
        let Some(found) = places.into_iter().find(|place| place.is_file()) else {
            return Err(StoreFault::Program { path: inside });
        };
        let mode = fs::metadata(&found)
            .map_err(fault(&found, "read"))?
            .permissions()
            .mode();
        if mode & 0o111 == 0 {
            return Err(StoreFault::NotExecutable { path: found });
        }
        Ok(found)
    }

    /// Removes what nothing needs, in two phases: what is not in `kept` is marked, and goes at the next
    /// sweep unless it was stored or kept again meanwhile.
    pub fn sweep(&self, kept: &BTreeSet<Digest>) -> Result<Swept, StoreFault> {
        let mut swept = Swept::default();
        for digest in self.stored()? {
            let mark = self.mark(digest);
            if kept.contains(&digest) {
                self.unmark(digest)?;
            } else if mark.exists() {
                self.remove(digest)
                    .map_err(fault(&self.path(digest), "removed"))?;
                self.unmark(digest)?;
                swept.removed.insert(digest);
            } else {
                File::create(&mark).map_err(fault(&mark, "created"))?;
                swept.marked.insert(digest);
            }
        }
        Ok(swept)
    }

    fn stored(&self) -> Result<Vec<Digest>, StoreFault> {
        let entries = match fs::read_dir(&self.dir) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(fault(&self.dir, "read"))?,
        };
        let name = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        Ok(entries.flatten().filter_map(name).collect())
    }

    fn mark(&self, digest: Digest) -> PathBuf {
        self.dir.join(format!("{digest}.unused"))
    }

    fn unmark(&self, digest: Digest) -> Result<(), StoreFault> {
        let mark = self.mark(digest);
        crate::record::remove(&mark).map_err(fault(&mark, "removed"))
    }

    /// Out of sight first, so that nobody ever sees half a snapshot.
    fn remove(&self, digest: Digest) -> io::Result<()> {
        let gone = self.dir.join(format!(".gone-{digest}"));
        fs::rename(self.path(digest), &gone)?;
        remove_tree(&gone)
    }

    fn publish(&self, new: &Path, digest: Digest) -> Result<(), StoreFault> {
        seal(new).map_err(fault(new, "made read-only"))?;
        let sync = |path: &Path| File::open(path).and_then(|dir| Ok(rustix::fs::syncfs(dir)?));
        sync(new).map_err(fault(new, "synced"))?;
        let path = self.path(digest);
        match fs::rename(new, &path) {
            // Somebody stored the same meanwhile.
            Err(_) if self.holds(digest) => remove_tree(new).map_err(fault(new, "removed"))?,
            other => other.map_err(fault(&path, "created"))?,
        }
        let dir = File::open(&self.dir).and_then(|dir| dir.sync_all());
        dir.map_err(fault(&self.dir, "synced"))
    }
}

fn fill(root: &Path, manifest: &Manifest, new: &Path) -> Result<(), StoreFault> {
    make_private(new).map_err(fault(new, "created"))?;
    for (name, node) in &manifest.0 {
        let (from, to) = (root.join(name), new.join(name));
        match node {
            Node::Folder => make_private(&to).map_err(fault(&to, "created"))?,
            Node::Link { target } => {
                std::os::unix::fs::symlink(target, &to).map_err(fault(&to, "created"))?;
            }
            Node::File { executable, digest } => copy(&from, &to, *executable, *digest)?,
        }
    }
    Ok(())
}

/// Copies, sharing blocks where the file system can; never a hard link, through which the stored copy
/// could be changed.
fn copy(from: &Path, to: &Path, executable: bool, digest: Digest) -> Result<(), StoreFault> {
    reflink_copy::reflink_or_copy(from, to).map_err(fault(from, "copied"))?;
    let mode = if executable { 0o555 } else { 0o444 };
    fs::set_permissions(to, Permissions::from_mode(mode)).map_err(fault(to, "made read-only"))?;
    if hash(to).map_err(fault(to, "read"))? != digest {
        return Err(StoreFault::Changed {
            path: from.to_owned(),
        });
    }
    Ok(())
}

/// Makes folders read-only, the innermost first.
fn seal(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            seal(&entry.path())?;
        }
    }
    fs::set_permissions(dir, Permissions::from_mode(0o555))
}

/// Removes a tree whose folders are read-only.
pub(crate) fn remove_tree(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(dir)
}

fn make_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}
