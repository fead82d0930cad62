//! How a program of another user reaches its own folders, which lie below folders closed to it.
//!
//! The state folder is private, and so may be what it lies in (`/root`). In a mount namespace of the
//! program's own the first closed folder is covered by an empty one, in which the program's folders
//! stand under their usual paths: it sees those and nothing beside them. Nothing changes for anybody
//! else, and the view ends with the program.

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// How a program reaches its folders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Nothing above them is closed to it.
    #[default]
    Open,
    /// It sees nothing below this folder but its own.
    View {
        /// The folder.
        hidden: PathBuf,
    },
    /// Only by paths relative to its working folder.
    Held {
        /// Why, in words for a person.
        why: String,
    },
}

impl std::fmt::Display for Reach {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open => Ok(()),
            Self::View { hidden } => {
                let hidden = hidden.display();
                write!(out, "; of `{hidden}` it sees only its own folders")
            }
            Self::Held { why } => write!(
                out,
                "; its folder is reached only by relative paths, because {why}"
            ),
        }
    }
}

/// The outermost folder above `path` that others may not pass.
pub(crate) fn closed(path: &Path) -> Option<&Path> {
    let above: Vec<&Path> = path.ancestors().skip(1).collect();
    let passes = |folder: &Path| {
        fs::metadata(folder).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
    };
    above.into_iter().rev().find(|folder| !passes(folder))
}

/// Gives this process, before it changes its user, a way to these folders (real paths).
pub(crate) fn open(folders: &[PathBuf]) -> Reach {
    let hidden: BTreeSet<&Path> = folders.iter().filter_map(|path| closed(path)).collect();
    let Some(outermost) = hidden.first() else {
        return Reach::Open;
    };
    match cover(&hidden, folders) {
        Ok(()) => Reach::View {
            hidden: outermost.to_path_buf(),
        },
        Err(fault) => Reach::Held {
            why: format!(
                "`{}` is closed to other users and a view of its own cannot be made: {fault}",
                outermost.display()
            ),
        },
    }
}

/// Enters the view that the program of this process has already.
pub(crate) fn join(pid: u32) -> io::Result<()> {
    let view = File::open(format!("/proc/{pid}/ns/mnt"))?;
    let kind = Some(LinkNameSpaceType::Mount);
    Ok(move_into_link_name_space(view.as_fd(), kind)?)
}

fn cover(hidden: &BTreeSet<&Path>, folders: &[PathBuf]) -> io::Result<()> {
    unshare()?;
    // What is mounted outside later still arrives; what is mounted here stays here.
    let downstream = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", downstream)?;
    let held: Vec<OwnedFd> = folders
        .iter()
        .map(|folder| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(folder, flags, Mode::empty())
        })
        .collect::<Result<_, _>>()?;
    for folder in hidden {
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount(
            "mainstay",
            *folder,
            "tmpfs",
            flags,
            c"mode=0711,size=64k,nr_inodes=256",
        )?;
    }
    for (folder, held) in folders.iter().zip(&held) {
        if closed_by(hidden, folder) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o711)
                .create(folder)?;
            mount_bind_recursive(format!("/proc/self/fd/{}", held.as_raw_fd()), folder)?;
        }
    }
    Ok(())
}

fn closed_by(hidden: &BTreeSet<&Path>, folder: &Path) -> bool {
    hidden.iter().any(|hidden| folder.starts_with(hidden))
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for the sake of shared descriptors, which stay shared here"
)]
fn unshare() -> io::Result<()> {
    Ok(rustix::thread::unshare(UnshareFlags::NEWNS)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_closed_folder_is_found() {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let deep = folder.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(closed(&deep), Some(folder.path()));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(closed(&deep), None);
        fs::set_permissions(folder.path().join("a"), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(closed(&deep), Some(&*folder.path().join("a")));
    }
}
