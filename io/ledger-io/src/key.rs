//! The signing key in `keys/` and its public half beside the ledger.

use crate::OpenFault;
use crate::file::{self, Durable};
use mainstay_ledger::{Halt, PublicKey, SigningKey, Timeline};
use std::fs;
use std::path::{Path, PathBuf};

/// The signing key, or why the ledger must not be written to.
pub(crate) enum Found {
    Key(SigningKey),
    Halt(Halt),
}

/// Where the signing key of this ledger folder is.
pub(crate) fn key_path(dir: &Path) -> PathBuf {
    dir.parent().unwrap_or(dir).join("keys").join("ledger.key")
}

/// Where its public half is.
pub(crate) fn public_path(dir: &Path) -> PathBuf {
    dir.join("ledger.pub")
}

/// Loads the key, or makes one for a folder that is `new`.
pub(crate) fn load(dir: &Path, new: bool) -> Result<Found, OpenFault> {
    let path = key_path(dir);
    let text = file::read(&path).map_err(fault(&path, "read"))?;
    let public = file::read(&public_path(dir)).map_err(fault(&public_path(dir), "read"))?;
    match text {
        Some(text) => Ok(existing(dir, &text, public)?),
        None if new && public.is_none() => create(dir, &path).map(Found::Key),
        None => Ok(Found::Halt(unreadable(&path, "it is missing"))),
    }
}

fn existing(dir: &Path, text: &[u8], public: Option<Vec<u8>>) -> Result<Found, OpenFault> {
    let key = seed(text).and_then(|seed| SigningKey::from_seed(&seed).ok());
    let Some(key) = key else {
        let halt = unreadable(&key_path(dir), "it is not a key");
        return Ok(Found::Halt(halt));
    };
    match public {
        Some(found)
            if parsed(&found).is_some_and(|found| found.on(Timeline::FIRST) == *key.public()) => {}
        Some(_) => {
            let halt = unreadable(&public_path(dir), "it does not belong to the signing key");
            return Ok(Found::Halt(halt));
        }
        None => write_public(dir, key.public())?,
    }
    Ok(Found::Key(key))
}

/// Writes the public key under the name that it has on this timeline, unless it stands there.
pub(crate) fn publish(dir: &Path, key: &SigningKey, timeline: Timeline) -> Result<(), OpenFault> {
    let wanted = key.public().on(timeline);
    if public(dir).as_ref() == Some(&wanted) {
        return Ok(());
    }
    write_public(dir, &wanted)
}

fn create(dir: &Path, path: &Path) -> Result<SigningKey, OpenFault> {
    let key = SigningKey::from_seed(&new_seed(path)?).map_err(|_| OpenFault::Entropy)?;
    write_public(dir, key.public())?;
    Ok(key)
}

/// Random bytes, written to a file of the owner's alone before anybody uses them.
fn new_seed(path: &Path) -> Result<[u8; 32], OpenFault> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).map_err(|_| OpenFault::Entropy)?;
    create_private(path.parent().unwrap_or(path))?;
    let text = format!("{}\n", mainstay_atoms::Digest(seed).to_hex());
    file::replace(path, text.as_bytes(), 0o400, Durable::Yes).map_err(fault(path, "written"))?;
    Ok(seed)
}

/// The bytes that a signing key for something else than the ledger grows from: those of the file, or new ones where
/// there is none. A file that holds no key is a fault and stays as it is: whoever verifies knows the key that was.
pub fn signing_seed(path: &Path) -> Result<[u8; 32], OpenFault> {
    match file::read(path).map_err(fault(path, "read"))? {
        None => new_seed(path),
        Some(text) => seed(&text).ok_or_else(|| {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "it holds no key");
            fault(path, "read")(source)
        }),
    }
}

fn write_public(dir: &Path, key: &PublicKey) -> Result<(), OpenFault> {
    let path = public_path(dir);
    let text = format!("{key}\n");
    file::replace(&path, text.as_bytes(), 0o444, Durable::Yes).map_err(fault(&path, "written"))
}

/// The public key beside the ledger; `None` where there is none or it is no key.
pub(crate) fn public(dir: &Path) -> Option<PublicKey> {
    parsed(&file::read(&public_path(dir)).ok()??)
}

fn parsed(bytes: &[u8]) -> Option<PublicKey> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.strip_suffix('\n')?.parse().ok()
}

/// Makes a folder that only its owner enters.
pub(crate) fn create_private(dir: &Path) -> Result<(), OpenFault> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(fault(dir, "created"))
}

/// The hex digits of a stored key, in lower case with one newline.
fn seed(text: &[u8]) -> Option<[u8; 32]> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('\n')?;
    text.parse::<mainstay_atoms::Digest>()
        .ok()
        .map(|seed| seed.0)
}

fn unreadable(path: &Path, why: &str) -> Halt {
    Halt::Unreadable {
        what: path.display().to_string(),
        why: why.into(),
    }
}

/// Attaches path and action to a kernel's answer.
pub(crate) fn fault(
    path: &Path,
    action: &'static str,
) -> impl FnOnce(std::io::Error) -> OpenFault + use<> {
    let path = path.to_owned();
    move |source| OpenFault::File {
        path,
        action,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_made_once_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/status.key");
        let seed = signing_seed(&path).unwrap();
        assert_eq!(signing_seed(&path).unwrap(), seed);
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o400);
        fs::remove_file(&path).unwrap();
        assert_ne!(signing_seed(&path).unwrap(), seed);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "torn").unwrap();
        assert!(
            signing_seed(&path)
                .unwrap_err()
                .to_string()
                .contains("cannot be read")
        );
        assert_eq!(fs::read(&path).unwrap(), b"torn");
    }
}
