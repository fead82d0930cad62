//! Files that are replaced as a whole: a crash at any point leaves the old one or the new one.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// What is written beside a file begins so; found at a start, it is what a killed process left.
pub(crate) const BESIDE: &str = ".new-";

/// Written beside, synced, renamed, folder synced. One writer at a time in a folder.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let beside = folder.join(format!("{BESIDE}{}", std::process::id()));
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    // Closed before it has its name: a program that is open for writing cannot be executed.
    drop(file);
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}
