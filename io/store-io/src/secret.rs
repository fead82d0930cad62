//! Passwords: made here or given by a person, kept in files that only their owner reads.

use aws_lc_rs::rand;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Random bytes of a password: 192 bits.
const BYTES: usize = 24;

/// Longest value that a person may give.
const LONGEST: u64 = 64 * 1024;

/// A text that never shows in a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from showing.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret(…)")
    }
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretFault {
    /// Nobody gave it.
    #[error("the secret `{name}` was never given")]
    Missing {
        /// Its name.
        name: String,
    },
    /// It is not a text that fits.
    #[error("the secret `{name}` is {why}")]
    Unfit {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Its file cannot be used.
    #[error("the secret `{name}` cannot be {action}")]
    File {
        /// Its name.
        name: String,
        /// `read`, `written`.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// Where secrets are kept: today files, later a vault.
pub trait Secrets: Send + Sync {
    /// A secret that somebody gave or that was made before.
    fn get(&self, name: &str) -> Result<Secret, SecretFault>;

    /// A secret that is made of randomness when there is none.
    fn get_or_make(&self, name: &str) -> Result<Secret, SecretFault>;

    /// Keeps what a person gave.
    fn put(&self, name: &str, value: &Secret) -> Result<(), SecretFault>;
}

/// One file a secret, mode 0400, in a folder of mode 0700.
#[derive(Debug, Clone)]
pub struct FileSecrets {
    folder: PathBuf,
}

impl FileSecrets {
    /// Keeps secrets in this folder.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The names that are kept, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    }

    /// Names hold letters, digits, `_`, `-` and `/`, which becomes a dot: no name leaves the folder.
    fn path(&self, name: &str) -> Result<PathBuf, SecretFault> {
        let fits = !name.is_empty()
            && name.len() <= 200
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/'));
        if fits {
            Ok(self.folder.join(name.replace('/', ".")))
        } else {
            Err(SecretFault::Unfit {
                name: name.to_owned(),
                why: "no name of letters, digits, `_` and `-`",
            })
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), SecretFault> {
        let path = self.path(name)?;
        let written = || -> io::Result<()> {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.folder)?;
            let file_name = path.file_name().unwrap_or_default().to_string_lossy();
            let beside = self.folder.join(format!(".{file_name}.new"));
            // A half-written one of an earlier crash is in the way.
            fs::remove_file(&beside).ok();
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o400)
                .open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        written().map_err(|source| SecretFault::File {
            name: name.to_owned(),
            action: "written",
            source,
        })
    }
}

impl Secrets for FileSecrets {
    fn get(&self, name: &str) -> Result<Secret, SecretFault> {
        let path = self.path(name)?;
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Secret(text)),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Err(SecretFault::Missing {
                name: name.to_owned(),
            }),
            Err(source) => Err(SecretFault::File {
                name: name.to_owned(),
                action: "read",
                source,
            }),
        }
    }

    fn get_or_make(&self, name: &str) -> Result<Secret, SecretFault> {
        match self.get(name) {
            Err(SecretFault::Missing { .. }) => {
                let made = random();
                self.write(name, made.reveal())?;
                Ok(made)
            }
            found => found,
        }
    }

    fn put(&self, name: &str, value: &Secret) -> Result<(), SecretFault> {
        let text = value.reveal();
        let unfit = |why| {
            Err(SecretFault::Unfit {
                name: name.to_owned(),
                why,
            })
        };
        if name.contains('/') {
            return unfit("no name of letters, digits, `_` and `-`");
        }
        if text.is_empty() {
            return unfit("empty");
        }
        if text.len() as u64 > LONGEST || text.contains('\0') {
            return unfit("no text of at most 64 KiB");
        }
        self.write(name, text)
    }
}

/// Letters and digits alone, so that it stands in a URL as it is.
fn random() -> Secret {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).expect("the kernel gives randomness");
    let mut text = String::with_capacity(2 * BYTES);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes everything");
    }
    Secret(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_is_made_once_and_read_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = FileSecrets::new(&folder.path().join("secrets"));
        let made = secrets.get_or_make("db/web").unwrap();
        assert_eq!(made.reveal().len(), 48);
        assert_eq!(secrets.get_or_make("db/web").unwrap(), made);
        assert_ne!(secrets.get_or_make("db/api").unwrap(), made);
        assert_eq!(secrets.names(), ["db.api", "db.web"]);
        let mode = |path: &str| {
            let meta = fs::metadata(folder.path().join(path)).unwrap();
            meta.permissions().mode() & 0o777
        };
        assert_eq!((mode("secrets"), mode("secrets/db.web")), (0o700, 0o400));
        assert!(!format!("{made:?}").contains(made.reveal()));
    }

    #[test]
    fn names_that_leave_the_folder_and_values_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = FileSecrets::new(folder.path());
        for name in ["", "../x", "a b", "ä", ".hidden"] {
            assert!(secrets.put(name, &Secret::new("x")).is_err(), "{name}");
        }
        for value in ["", "a\0b", &"x".repeat(70_000)] {
            assert!(secrets.put("A", &Secret::new(value)).is_err());
        }
        assert!(matches!(secrets.get("A"), Err(SecretFault::Missing { .. })));
        secrets.put("A", &Secret::new("one")).unwrap();
        secrets.put("A", &Secret::new("two")).unwrap();
        assert_eq!(secrets.get("A").unwrap().reveal(), "two");
    }
}
