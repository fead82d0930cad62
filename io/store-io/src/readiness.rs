//! Whether servers accept writes, each asked again and again on a thread of its own: one
//! that hangs says nothing about the others.

use crate::folder::Folder;
use crate::secret::Secrets;
use mainstay_atoms::{Server, ServiceName};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// From one question to the next, while a server is not ready and once it is.
const EAGER: Duration = Duration::from_millis(50);
const CALM: Duration = Duration::from_secs(5);

/// With less space than this, in bytes, no server goes on for long: one block of a large table or log.
const SPACE: u64 = 1 << 20;

/// The last answer of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Not asked yet.
    Unknown,
    /// It accepts writes.
    Ready,
    /// It does not.
    Silent {
        /// Why, in its own words.
        why: String,
    },
}

/// A server to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) server: Server,
    pub(crate) folder: Folder,
    pub(crate) address: SocketAddr,
    /// Which run: another one is asked anew.
    pub(crate) run: u64,
}

#[derive(Debug)]
struct Entry {
    asked: Asked,
    last: Readiness,
    next: Instant,
}

type Shared = (Mutex<BTreeMap<ServiceName, Entry>>, Condvar);

/// Asks all servers that it is given.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    secrets: Arc<dyn Secrets>,
}

impl Watch {
    pub(crate) fn start(secrets: Arc<dyn Secrets>) -> Self {
        Self {
            shared: Arc::default(),
            secrets,
        }
    }

    /// From now on these servers are asked and no others; what was known of a run stays known.
    pub(crate) fn set(&self, servers: BTreeMap<ServiceName, Asked>) {
        let mut entries = lock(&self.shared.0);
        entries.retain(|name, entry| {
            let kept = servers.get(name);
            kept.is_some_and(|asked| asked.run == entry.asked.run)
        });
        for (name, asked) in servers {
            if entries.contains_key(&name) {
                continue;
            }
            let run = asked.run;
            let mut entry = Entry {
                asked,
                last: Readiness::Unknown,
                next: Instant::now(),
            };
            let (shared, secrets) = (Arc::downgrade(&self.shared), Arc::clone(&self.secrets));
            let own = name.clone();
            let begun = std::thread::Builder::new()
                .name(format!("asks-{name}"))
                .spawn(move || while again(&shared, &own, run, &*secrets) {});
            if let Err(fault) = begun {
                // It is never asked, so it is never ready; the next set of servers tries again.
                let why = format!("nobody can ask it: {fault}");
                entry.asked.run = u64::MAX;
                entry.last = Readiness::Silent { why };
            }
            entries.insert(name, entry);
        }
        self.shared.1.notify_all();
    }

    /// The last answer of this run.
    pub(crate) fn of(&self, name: &ServiceName, run: u64) -> Readiness {
        let entries = lock(&self.shared.0);
        match entries.get(name) {
            Some(entry) if entry.asked.run == run => entry.last.clone(),
            _ => Readiness::Unknown,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&self.shared.0).clear();
        self.shared.1.notify_all();
    }
}

/// Asks the server of one run when it is due, or waits until it is; false once that run is not watched.
fn again(shared: &Weak<Shared>, name: &ServiceName, run: u64, secrets: &dyn Secrets) -> bool {
    let Some(shared) = shared.upgrade() else {
        return false;
    };
    let mut entries = lock(&shared.0);
    let Some(entry) = entries.get(name).filter(|entry| entry.asked.run == run) else {
        return false;
    };
    let wait = entry.next.saturating_duration_since(Instant::now());
    if !wait.is_zero() {
        // Woken early or late, it is looked at anew.
        drop(shared.1.wait_timeout(entries, wait));
        return true;
    }
    let asked = entry.asked.clone();
    // The question may take seconds, and nobody waits for the answer meanwhile.
    drop(entries);
    let answer = ask(name, &asked, secrets);
    entries = lock(&shared.0);
    if let Some(entry) = entries.get_mut(name).filter(|one| one.asked.run == run) {
        let wait = if answer == Readiness::Ready {
            CALM
        } else {
            EAGER
        };
        entry.next = Instant::now() + wait;
        entry.last = answer;
    }
    true
}

fn ask(name: &ServiceName, asked: &Asked, secrets: &dyn Secrets) -> Readiness {
    let (address, data) = (asked.address, asked.folder.data());
    let answer = match asked.server {
        Server::Postgres(_) => crate::postgres::accepts_writes(&data, address.port()),
        Server::Redis(_) => crate::redis::accepts_writes(name.as_str(), address, secrets),
    };
    match answer.and_then(|()| has_space(&data)) {
        Ok(()) => Readiness::Ready,
        Err(why) => Readiness::Silent { why },
    }
}

/// A server on a full disk answers, and fails who writes more than what it has taken from the disk before.
fn has_space(data: &Path) -> Result<(), String> {
    let Ok(disk) = rustix::fs::statvfs(data) else {
        // What cannot be looked at is not taken for full.
        return Ok(());
    };
    let left = disk.f_bavail.saturating_mul(disk.f_frsize);
    if left >= SPACE {
        return Ok(());
    }
    let place = data.display();
    Err(format!(
        "its disk is full: {left} bytes are left at `{place}`"
    ))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
