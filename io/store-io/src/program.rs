//! The machine's own server programs.

use mainstay_atoms::Server;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders in which a major version of PostgreSQL has its programs: Debian's, Red Hat's, and what was
/// built by hand.
fn postgres_folders(version: u16) -> [PathBuf; 3] {
    [
        format!("/usr/lib/postgresql/{version}/bin").into(),
        format!("/usr/pgsql-{version}/bin").into(),
        "/usr/local/pgsql/bin".into(),
    ]
}

/// A server program that the machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What was looked for.
    pub server: Server,
    /// Where.
    pub looked: Vec<PathBuf>,
    /// What was found instead, if anything.
    pub found: Option<String>,
}

impl Missing {
    /// The command that installs it on Debian.
    pub fn install(&self) -> String {
        match self.server {
            Server::Postgres(version) => format!("apt-get install postgresql-{version}"),
            Server::Redis(_) => "apt-get install redis-server".into(),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.server {
            Server::Postgres(version) => format!("PostgreSQL {version}"),
            Server::Redis(version) => format!("Redis {version} or Valkey"),
        };
        let looked: Vec<String> = self
            .looked
            .iter()
            .map(|path| path.display().to_string())
            .chain(["PATH".into()])
            .collect();
        write!(out, "the server of {name} is not on this machine")?;
        match &self.found {
            Some(found) => write!(out, " (found {found})"),
            None => write!(out, " (looked in {})", looked.join(", ")),
        }
    }
}

/// What a server's program says of itself, or what is missing.
pub fn version(server: Server) -> Result<String, Missing> {
    let found = find(server)?;
    let program = match server {
        Server::Postgres(_) => found.join("postgres"),
        Server::Redis(_) => found,
    };
    let said = version_of(&program, "--version").map(|(_, text)| text);
    Ok(match said {
        Some(text) => format!("{} ({})", words(&text), program.display()),
        None => program.display().to_string(),
    })
}

/// Its name and version, without how it was built.
fn words(text: &str) -> String {
    let end = text.find(" sha=").or_else(|| text.find(" (Debian"));
    text[..end.unwrap_or(text.len())].trim().to_owned()
}

/// What is missing for a server to run; none when it is there.
pub fn missing(server: Server) -> Option<Missing> {
    find(server).err()
}

/// The folder of PostgreSQL's programs, or the program of a Redis server.
pub(crate) fn find(server: Server) -> Result<PathBuf, Missing> {
    match server {
        Server::Postgres(version) => find_postgres(version),
        Server::Redis(version) => find_redis(version),
    }
}

fn find_postgres(version: u16) -> Result<PathBuf, Missing> {
    let folders = postgres_folders(version);
    let on_path = on_path("postgres").and_then(|path| {
        let real = path.canonicalize().ok()?;
        Some(real.parent()?.to_owned())
    });
    let mut other = None;
    for folder in folders.iter().cloned().chain(on_path) {
        let program = folder.join("postgres");
        if !program.is_file() || !folder.join("initdb").is_file() {
            continue;
        }
        match version_of(&program, "--version") {
            Some((major, _)) if major == version => return Ok(folder),
            Some((_, text)) => other = Some(text),
            None => {}
        }
    }
    Err(Missing {
        server: Server::Postgres(version),
        looked: folders.to_vec(),
        found: other,
    })
}

/// Redis of that version, or Valkey, whose first version continues Redis 7.2.
fn find_redis(version: u16) -> Result<PathBuf, Missing> {
    let mut other = None;
    for name in ["redis-server", "valkey-server"] {
        let Some(program) = on_path(name) else {
            continue;
        };
        match version_of(&program, "--version") {
            Some((major, text)) if name == "valkey-server" || major == version => {
                if name == "redis-server" || version >= 7 {
                    return Ok(program);
                }
                other = Some(text);
            }
            Some((_, text)) => other = Some(text),
            None => {}
        }
    }
    Err(Missing {
        server: Server::Redis(version),
        looked: vec![],
        found: other,
    })
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([
            "/usr/sbin".into(),
            "/usr/local/bin".into(),
            "/usr/bin".into(),
        ])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// The major version that a program says it has, and its whole answer.
fn version_of(program: &Path, option: &str) -> Option<(u16, String)> {
    let output = Command::new(program).arg(option).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Some((major(&text)?, text))
}

/// `postgres (PostgreSQL) 15.18 (Debian …)`, `Redis server v=7.0.15 sha=…`.
fn major(text: &str) -> Option<u16> {
    let words = text.split_whitespace();
    let mut numbers = words.filter_map(|word| {
        let word = word.strip_prefix("v=").unwrap_or(word);
        let (major, rest) = word.split_once(['.', 'b', 'r']).unwrap_or((word, ""));
        let number: u16 = major.parse().ok()?;
        (rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_alphanumeric())).then_some(number)
    });
    numbers.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_programs_say_them() {
        assert_eq!(
            major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(
            major("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=abc"),
            Some(7)
        );
        assert_eq!(major("Server v=8.0.1 sha=00000000:1"), Some(8));
        assert_eq!(major("something else"), None);
    }

    #[test]
    fn a_version_is_shown_without_how_it_was_built() {
        let said = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)";
        assert_eq!(words(said), "postgres (PostgreSQL) 15.18");
        let said = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0";
        assert_eq!(words(said), "Redis server v=7.0.15");
    }

    #[test]
    fn what_is_missing_says_where_it_was_looked_for_and_what_installs_it() {
        let mut missing = Missing {
            server: Server::Postgres(13),
            looked: vec!["/usr/lib/postgresql/13/bin".into()],
            found: None,
        };
        assert_eq!(
            missing.to_string(),
            "the server of PostgreSQL 13 is not on this machine (looked in /usr/lib/postgresql/13/bin, PATH)"
        );
        assert_eq!(missing.install(), "apt-get install postgresql-13");
        missing.found = Some("postgres (PostgreSQL) 15.18".into());
        assert!(
            missing
                .to_string()
                .ends_with("(found postgres (PostgreSQL) 15.18)")
        );
        let redis = Missing {
            server: Server::Redis(7),
            looked: vec![],
            found: None,
        };
        assert!(redis.to_string().ends_with("(looked in PATH)"), "{redis}");
    }
}
