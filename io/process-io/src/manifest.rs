//! What a snapshot holds, as one list that has one digest.

use crate::fault::StoreFault;
use aws_lc_rs::digest::{Context, SHA256};
use mainstay_atoms::Digest;
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

/// One thing in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Folder,
    File { executable: bool, digest: Digest },
    Link { target: PathBuf },
}

/// Paths below the root, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manifest(pub(crate) BTreeMap<PathBuf, Node>);

impl Manifest {
    /// The digest of kind, mode, content and path of everything.
    pub(crate) fn digest(&self) -> Digest {
        let mut text = Vec::new();
        for (path, node) in &self.0 {
            match node {
                Node::Folder => text.extend(b"folder"),
                Node::File { executable, digest } => {
                    text.extend(if *executable {
                        b"program" as &[u8]
                    } else {
                        b"file"
                    });
                    text.push(b' ');
                    text.extend(digest.to_hex().bytes());
                }
                Node::Link { target } => {
                    text.extend(b"link ");
                    push_text(&mut text, target);
                }
            }
            text.push(b' ');
            push_text(&mut text, path);
            text.push(b'\n');
        }
        Digest::of(&text)
    }

    /// Reads the named files and folders below `root`; folders that hold `store` are passed over.
    pub(crate) fn of(root: &Path, names: &[PathBuf], store: &Path) -> Result<Self, StoreFault> {
        let real = root.canonicalize().map_err(fault(root, "read"))?;
        let mut walk = Walk {
            store: store.canonicalize().unwrap_or_else(|_| store.to_owned()),
            manifest: Self::default(),
            real,
        };
        for name in names {
            let name = plain(name).ok_or_else(|| StoreFault::Outside {
                path: root.join(name),
            })?;
            walk.named(&name)?;
        }
        Ok(walk.manifest)
    }
}

/// Length and bytes, so that no name can be taken for the next field.
fn push_text(text: &mut Vec<u8>, path: &Path) {
    let bytes = path.as_os_str().as_bytes();
    text.extend(format!("{}:", bytes.len()).bytes());
    text.extend(bytes);
}

/// The path without `.`; `None` when it leaves its folder or is absolute.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(plain)
}

struct Walk {
    real: PathBuf,
    store: PathBuf,
    manifest: Manifest,
}

impl Walk {
    /// One name of the list, with the folders above it.
    fn named(&mut self, name: &Path) -> Result<(), StoreFault> {
        let above = self.real.join(name.parent().unwrap_or(name));
        let inside = above
            .canonicalize()
            .map_err(|source| missing(&self.real.join(name), source))?;
        if !inside.starts_with(&self.real) {
            return Err(StoreFault::Outside {
                path: self.real.join(name),
            });
        }
        for folder in name
            .ancestors()
            .skip(1)
            .filter(|path| !path.as_os_str().is_empty())
        {
            self.manifest.0.insert(folder.to_owned(), Node::Folder);
        }
        self.add(name)
    }

    fn add(&mut self, name: &Path) -> Result<(), StoreFault> {
        let path = self.real.join(name);
        let meta = fs::symlink_metadata(&path).map_err(|source| missing(&path, source))?;
        let node = if meta.is_dir() {
            return self.folder(name, &path);
        } else if meta.is_symlink() {
            self.link(name, &path)?
        } else if meta.is_file() {
            file_node(&path, &meta).map_err(fault(&path, "read"))?
        } else {
            return Err(StoreFault::Special { path });
        };
        self.manifest.0.insert(name.to_owned(), node);
        Ok(())
    }

    fn folder(&mut self, name: &Path, path: &Path) -> Result<(), StoreFault> {
        let is_root = name.as_os_str().is_empty();
        if !is_root {
            if self.store.starts_with(path) {
                return Ok(());
            }
            self.manifest.0.insert(name.to_owned(), Node::Folder);
        }
        for entry in fs::read_dir(path).map_err(fault(path, "read"))? {
            let entry = entry.map_err(fault(path, "read"))?;
            self.add(&name.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// A link must stay inside both as written and as the kernel follows it.
    fn link(&self, name: &Path, path: &Path) -> Result<Node, StoreFault> {
        let target = fs::read_link(path).map_err(fault(path, "read"))?;
        let written = stays_inside(name.parent().unwrap_or(Path::new("")), &target);
        let followed = path
            .canonicalize()
            .map_or(true, |real| real.starts_with(&self.real));
        if written && followed {
            Ok(Node::Link { target })
        } else {
            Err(StoreFault::Link {
                path: path.to_owned(),
                target,
            })
        }
    }
}

fn stays_inside(folder: &Path, target: &Path) -> bool {
    let mut depth = folder.components().count();
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}

fn file_node(path: &Path, meta: &Metadata) -> io::Result<Node> {
    Ok(Node::File {
        executable: meta.permissions().mode() & 0o111 != 0,
        digest: hash(path)?,
    })
}

/// The digest of a file's bytes, read in pieces.
pub(crate) fn hash(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => context.update(&piece[..count]),
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    let digest = context.finish();
    Ok(Digest(
        digest.as_ref().try_into().expect("SHA-256 has 32 bytes"),
    ))
}

/// Bytes read at a time.
const PIECE: usize = 256 * 1024;

fn missing(path: &Path, source: io::Error) -> StoreFault {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StoreFault::Missing {
            path: path.to_owned(),
        },
        _ => fault(path, "read")(source),
    }
}

pub(crate) fn fault(
    path: &Path,
    action: &'static str,
) -> impl FnOnce(io::Error) -> StoreFault + use<> {
    let path = path.to_owned();
    move |source| StoreFault::File {
        path,
        action,
        source,
    }
}
