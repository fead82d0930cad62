//! A store's folder: whose it is, what it holds, and files in it that are written whole or not at all.

use crate::fault::{StoreFault, file};
use crate::inherit::{Heirs, take_over};
use mainstay_atoms::ServiceName;
use mainstay_spec::StoreKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

/// `STATE/ENV/stores/NAME`: `data/` belongs to the store's user, `store.json` says what it is.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) root: PathBuf,
    /// The user that owns the data; none when everything runs as the caller.
    pub(crate) owner: Option<u32>,
}

/// What a folder holds, written when it was made.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    kind: String,
    version: Option<u16>,
}

impl Mark {
    fn of(kind: &StoreKind) -> Self {
        let version = match kind {
            StoreKind::Postgres(one) => Some(one.version),
            // Redis reads the files of earlier versions, and Valkey those of Redis.
            StoreKind::Redis(_) | StoreKind::Sqlite | StoreKind::Volume => None,
        };
        Self {
            kind: kind.word().into(),
            version,
        }
    }

    fn text(&self) -> String {
        match self.version {
            Some(version) => format!("{} {version}", self.kind),
            None => self.kind.clone(),
        }
    }
}

impl Folder {
    /// The store's name.
    pub(crate) fn name(&self) -> String {
        let name = self.root.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Refuses data of another kind or major version, and data that was made and is gone; nothing made yet
    /// is fine.
    pub(crate) fn fits(&self, store: &ServiceName, kind: &StoreKind) -> Result<(), StoreFault> {
        let path = self.root.join("store.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(fault) => return Err(file(&path, "read")(fault)),
        };
        let found: Mark = serde_json::from_slice(&bytes)
            .map_err(|fault| file(&path, "read")(io::Error::other(fault)))?;
        let wanted = Mark::of(kind);
        if found != wanted {
            return Err(StoreFault::Data {
                store: store.to_string(),
                found: found.text(),
                wanted: wanted.text(),
            });
        }
        let proof = match kind {
            StoreKind::Postgres(_) => self.data().join("PG_VERSION"),
            StoreKind::Redis(_) | StoreKind::Sqlite | StoreKind::Volume => self.data(),
        };
        if !proof.try_exists().map_err(file(&proof, "read"))? {
            let (store, path) = (store.to_string(), proof);
            return Err(StoreFault::Gone { store, path });
        }
        Ok(())
    }

    /// Gives a folder that belongs to another user to the store's, with everything in it.
    pub(crate) fn inherit(&self, formerly: &BTreeMap<u32, u32>) -> Result<(), StoreFault> {
        let Some(store) = self.owner else {
            return Ok(());
        };
        let heirs = Heirs {
            store,
            others: formerly,
        };
        take_over(&self.root, &heirs).map_err(file(&self.root, "given"))
    }

    /// Makes the folder; what it holds is said once the data is there ([`Folder::mark`]).
    pub(crate) fn make(&self) -> Result<(), StoreFault> {
        for above in [self.root.parent().unwrap_or(&self.root), &self.root] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(above)
                .map_err(file(above, "made"))?;
        }
        self.give(&self.root)
    }

    /// Says what the folder holds, durably.
    pub(crate) fn mark(&self, kind: &StoreKind) -> Result<(), StoreFault> {
        let mark = serde_json::to_string(&Mark::of(kind)).expect("a mark is plain JSON");
        self.write(&self.root.join("store.json"), &mark, 0o600)
    }

    /// A folder that several users of one store share: its group may enter, and what is made in it
    /// keeps the group.
    pub(crate) fn share(&self, path: &Path) -> Result<(), StoreFault> {
        DirBuilder::new()
            .recursive(true)
            .create(path)
            .map_err(file(path, "made"))?;
        self.give(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o2770)).map_err(file(path, "made"))
    }

    /// Gives a path to the store's user.
    pub(crate) fn give(&self, path: &Path) -> Result<(), StoreFault> {
        match self.owner {
            Some(owner) => chown(path, Some(owner), Some(owner)).map_err(file(path, "given")),
            None => Ok(()),
        }
    }

    /// Gives a whole tree to the store's user.
    pub(crate) fn give_all(&self, path: &Path) -> Result<(), StoreFault> {
        let Some(owner) = self.owner else {
            return Ok(());
        };
        let mut left = vec![path.to_owned()];
        while let Some(path) = left.pop() {
            std::os::unix::fs::lchown(&path, Some(owner), Some(owner))
                .map_err(file(&path, "given"))?;
            let meta = fs::symlink_metadata(&path).map_err(file(&path, "read"))?;
            if meta.is_dir() {
                for entry in fs::read_dir(&path).map_err(file(&path, "read"))? {
                    left.push(entry.map_err(file(&path, "read"))?.path());
                }
            }
        }
        Ok(())
    }

    /// Writes a file whole, in the store's user's name, and durably; one that says the same is left alone.
    pub(crate) fn write_if_new(&self, path: &Path, text: &str) -> Result<(), StoreFault> {
        if fs::read_to_string(path).is_ok_and(|before| before == text) {
            return Ok(());
        }
        self.write(path, text, 0o600)
    }

    fn write(&self, path: &Path, text: &str, mode: u32) -> Result<(), StoreFault> {
        let beside = path.with_extension("new");
        let written = || -> io::Result<()> {
            fs::remove_file(&beside).ok();
            let mut out = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&beside)?;
            out.write_all(text.as_bytes())?;
            out.sync_all()?;
            if let Some(owner) = self.owner {
                chown(&beside, Some(owner), Some(owner))?;
            }
            fs::rename(&beside, path)?;
            File::open(path.parent().unwrap_or(path))?.sync_all()
        };
        written().map_err(file(path, "written"))
    }
}
