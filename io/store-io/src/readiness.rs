//! Whether servers accept writes, asked again and again on a thread of its own.

use crate::folder::Folder;
use crate::secret::Secrets;
use mainstay_atoms::{Server, ServiceName};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// From one question to the next, while a server is not ready and once it is.
const EAGER: Duration = Duration::from_millis(50);
const CALM: Duration = Duration::from_secs(5);

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

type Shared = Arc<(Mutex<BTreeMap<ServiceName, Entry>>, Condvar)>;

/// Asks all servers that it is given.
pub(crate) struct Watch {
    shared: Shared,
}

impl Watch {
    pub(crate) fn start(secrets: Arc<dyn Secrets>) -> std::io::Result<Self> {
        let shared: Shared = Arc::default();
        let own = Arc::downgrade(&shared);
        std::thread::Builder::new()
            .name("stores".into())
            .spawn(move || {
                while let Some(shared) = own.upgrade() {
                    round(&shared, &*secrets);
                }
            })?;
        Ok(Self { shared })
    }

    /// From now on these servers are asked and no others; what was known of a run stays known.
    pub(crate) fn set(&self, servers: BTreeMap<ServiceName, Asked>) {
        let mut entries = lock(&self.shared.0);
        entries.retain(|name, entry| {
            let kept = servers.get(name);
            kept.is_some_and(|asked| asked.run == entry.asked.run)
        });
        for (name, asked) in servers {
            entries.entry(name).or_insert_with(|| Entry {
                asked,
                last: Readiness::Unknown,
                next: Instant::now(),
            });
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

/// Asks whoever is due, or waits until somebody is.
fn round(shared: &Shared, secrets: &dyn Secrets) {
    let now = Instant::now();
    let mut entries = lock(&shared.0);
    let due = entries.iter().find(|(_, entry)| entry.next <= now);
    let Some((name, asked)) = due.map(|(name, entry)| (name.clone(), entry.asked.clone())) else {
        let next = entries.values().map(|entry| entry.next).min();
        let wait = next.map_or(CALM, |next| next.saturating_duration_since(now));
        // Woken early or late, the round begins anew.
        drop(shared.1.wait_timeout(entries, wait));
        return;
    };
    // The question may take seconds, and nobody waits for the answer meanwhile.
    drop(entries);
    let answer = ask(&name, &asked, secrets);
    entries = lock(&shared.0);
    if let Some(entry) = entries
        .get_mut(&name)
        .filter(|one| one.asked.run == asked.run)
    {
        let wait = if answer == Readiness::Ready {
            CALM
        } else {
            EAGER
        };
        entry.next = Instant::now() + wait;
        entry.last = answer;
    }
}

fn ask(name: &ServiceName, asked: &Asked, secrets: &dyn Secrets) -> Readiness {
    let (address, data) = (asked.address, asked.folder.data());
    let answer = match asked.server {
        Server::Postgres(_) => crate::postgres::accepts_writes(&data, address.port()),
        Server::Redis(_) => crate::redis::accepts_writes(name.as_str(), address, secrets),
    };
    match answer {
        Ok(()) => Readiness::Ready,
        Err(why) => Readiness::Silent { why },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
