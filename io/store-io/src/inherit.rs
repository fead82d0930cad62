//! Data that came with other users: a state that was moved, or copied from another machine, is given to those
//! who have it here.
//!
//! Whoever owned it may have put links into it, and may still run. So every entry is reached from the open
//! folder above it and no link is followed: what lies outside the store's folder is never given away.

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, RawMode, Stat, Uid, chownat, fchown, fstat, open,
    openat, statat,
};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Who gets what: the store's user everything, but for what belonged to one who has a user of its own here.
#[derive(Debug, Clone)]
pub(crate) struct Heirs<'a> {
    /// The store's user, whose group everything has.
    pub(crate) store: u32,
    /// Users as they were and as they are.
    pub(crate) others: &'a BTreeMap<u32, u32>,
}

impl Heirs<'_> {
    fn of(&self, stat: &Stat) -> u32 {
        let present = self.others.values().any(|uid| *uid == stat.st_uid);
        let own = present.then_some(stat.st_uid);
        own.or_else(|| self.others.get(&stat.st_uid).copied())
            .unwrap_or(self.store)
    }

    /// Whether nothing is to be done, or nothing may: a second name of a file of root's may have its first
    /// anywhere.
    fn leave(&self, stat: &Stat) -> bool {
        let linked = stat.st_nlink > 1 && !is_folder(stat) && stat.st_uid == 0;
        linked || (stat.st_uid == self.of(stat) && stat.st_gid == self.store)
    }
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Folders in one another: each costs a file descriptor and a part of the stack. Nothing sound comes near.
const DEEPEST: usize = 256;

/// Gives a folder and everything in it over, itself last: one that was cut off in the middle is begun again.
pub(crate) fn take_over(root: &Path, heirs: &Heirs<'_>) -> io::Result<()> {
    let root = match open(root, FOLDER, Mode::empty()) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(()),
        Err(fault) => return Err(fault.into()),
    };
    if fstat(&root)?.st_uid == heirs.store {
        return Ok(());
    }
    Ok(within(&root, heirs, DEEPEST)?)
}

/// `deeper`: so many folders may still lie in one another.
fn within(folder: &OwnedFd, heirs: &Heirs<'_>, deeper: usize) -> Result<(), Errno> {
    let Some(deeper) = deeper.checked_sub(1) else {
        return Err(Errno::NAMETOOLONG);
    };
    for name in names(folder.as_fd())? {
        let stat = match statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            stat => stat?,
        };
        if is_folder(&stat) {
            match openat(folder, &name, FOLDER, Mode::empty()) {
                Ok(inner) => within(&inner, heirs, deeper)?,
                // It was put in another's place meanwhile.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(fault) => return Err(fault),
            }
        } else if !heirs.leave(&stat) {
            let (uid, gid) = ids(heirs.of(&stat), heirs.store);
            match chownat(folder, &name, uid, gid, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(fault) => return Err(fault),
            }
        }
    }
    let (uid, gid) = ids(heirs.of(&fstat(folder)?), heirs.store);
    fchown(folder, uid, gid)
}

/// Read before anything is changed, so that a folder under change is not read for ever.
fn names(folder: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn is_folder(stat: &Stat) -> bool {
    let mode: RawMode = stat.st_mode;
    FileType::from_raw_mode(mode) == FileType::Directory
}

fn ids(uid: u32, gid: u32) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};

    const WAS: u32 = 79_101;
    const WEB_WAS: u32 = 79_102;
    const IS: u32 = 79_201;
    const WEB_IS: u32 = 79_202;

    #[test]
    fn everything_has_its_owner_again_and_no_link_leads_out() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let (root, outside) = (place.path().join("store"), place.path().join("outside"));
        fs::create_dir_all(root.join("data/deep/er")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "").unwrap();
        let file = |name: &str, owner: u32| {
            let path = root.join(name);
            fs::write(&path, "").unwrap();
            chown(&path, Some(owner), Some(WAS)).unwrap();
        };
        file("store.json", WAS);
        file("data/deep/er/mine", WAS);
        file("data/deep/hers", WEB_WAS);
        file("data/already", WEB_IS);
        symlink(&outside, root.join("data/folder")).unwrap();
        symlink(outside.join("precious"), root.join("data/link")).unwrap();
        fs::hard_link(outside.join("precious"), root.join("data/second")).unwrap();
        lchown(root.join("data/link"), Some(WAS), Some(WAS)).unwrap();
        for name in ["data/deep/er", "data/deep", "data", ""] {
            chown(root.join(name), Some(WAS), Some(WAS)).unwrap();
        }
        fs::set_permissions(root.join("data"), fs::Permissions::from_mode(0o2770)).unwrap();
        let others = BTreeMap::from([(WEB_WAS, WEB_IS)]);
        let heirs = Heirs {
            store: IS,
            others: &others,
        };
        take_over(&root, &heirs).unwrap();
        let owner = |name: &str| {
            let meta = fs::symlink_metadata(root.join(name)).unwrap();
            (meta.uid(), meta.gid())
        };
        for name in ["", "store.json", "data", "data/deep/er/mine", "data/link"] {
            assert_eq!(owner(name), (IS, IS), "{name}");
        }
        assert_eq!(owner("data/deep/hers"), (WEB_IS, IS));
        assert_eq!(owner("data/already"), (WEB_IS, IS));
        let mode = fs::metadata(root.join("data")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o2770);
        for path in [outside.clone(), outside.join("precious")] {
            assert_eq!(fs::metadata(&path).unwrap().uid(), 0, "{}", path.display());
        }
        // Once it is in place nobody looks again, so what is made later stays as it is.
        file("data/later", WEB_WAS);
        take_over(&root, &heirs).unwrap();
        assert_eq!(owner("data/later").0, WEB_WAS);
    }
}
