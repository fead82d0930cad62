//! Tells channels how releases end and what they wait for, as the ledger has it: one thread a name that hears.
//!
//! What was told is remembered by the place of its entry (`told/NAME/`), so a control plane that begins goes on
//! where the one before ended. One that ends between telling and remembering tells again, under the same key. A
//! channel that takes nothing for some minutes misses what was to be told, and the status says so.

use crate::blob::Blobs;
use crate::durable;
use crate::notify::notifier;
use crate::state::State;
use mainstay_alerting::{
    At, Channel, Message, Notice, Notification, Outcome, Reason, Surroundings, Told,
};
use mainstay_atoms::ReleaseNumber;
use mainstay_ledger::Entry;
use mainstay_ledger_io::Reader;
use mainstay_metrics::Labels;
use mainstay_notify_io::{Allowed, Notifier};
use mainstay_plan::{Event, News, ReleaseRecord, Standing};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Attempts at one message over one channel.
const ATTEMPTS: u32 = 12;

/// The wait after the first that failed; each is twice the one before.
const WAIT: Duration = Duration::from_secs(1);

/// The longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// After the ledger could not be read.
const AGAIN: Duration = Duration::from_secs(5);

/// Who is to hear, as the file says.
pub(crate) struct Hear {
    /// The platform and environment, for the title.
    pub(crate) place: String,
    /// Over what, by name.
    pub(crate) names: BTreeMap<String, Vec<Channel>>,
    /// Addresses that channels may reach although they are link-local or those of metadata services.
    pub(crate) allow: Vec<IpAddr>,
    /// How many people what serves wants to agree to the next release.
    pub(crate) need: u32,
}

/// Tells those who are to hear of releases.
pub(crate) struct Herald {
    state: State,
    /// The release by whose file that is known.
    known: Option<ReleaseNumber>,
    hearers: BTreeMap<String, Arc<Hearer>>,
}

/// One name that hears.
struct Hearer {
    name: String,
    state: State,
    ears: Mutex<Ears>,
    changed: Condvar,
}

#[derive(Default)]
struct Ears {
    channels: Vec<Channel>,
    place: String,
    allow: Vec<IpAddr>,
    need: u32,
    /// Entries of the ledger.
    size: u64,
    leaves: bool,
    trouble: Option<String>,
}

/// What one name was told, as it is kept.
#[derive(Serialize, Deserialize)]
struct Heard {
    /// The first entry that was not looked at.
    next: u64,
    /// What was told last, which several entries in a row may say.
    last: Option<News>,
}

impl Herald {
    pub(crate) fn new(state: &State) -> Self {
        Self {
            state: state.clone(),
            known: None,
            hearers: BTreeMap::new(),
        }
    }

    /// The ledger has so many entries; who hears of them is what the release says that serves.
    pub(crate) fn follow(
        &mut self,
        serving: Option<ReleaseNumber>,
        size: u64,
        hear: impl FnOnce() -> Hear,
    ) {
        if self.known != serving {
            self.settle(hear(), size);
            self.known = serving;
        }
        for hearer in self.hearers.values() {
            hearer.change(|ears| ears.size = size);
        }
    }

    fn settle(&mut self, hear: Hear, size: u64) {
        let Hear {
            place,
            names,
            allow,
            need,
        } = hear;
        self.hearers.retain(|name, hearer| {
            let stays = names.contains_key(name);
            if !stays {
                hearer.change(|ears| ears.leaves = true);
                // Whoever comes back is told nothing of the time between.
                drop(std::fs::remove_dir_all(hearer.folder()));
            }
            stays
        });
        for (name, channels) in names {
            let known = self.hearers.get(&name).map(Arc::clone);
            let hearer = known.unwrap_or_else(|| self.begin(&name, size));
            hearer.change(|ears| {
                (ears.channels, ears.place) = (channels, place.clone());
                ears.allow.clone_from(&allow);
                ears.need = need;
            });
        }
    }

    fn begin(&mut self, name: &str, size: u64) -> Arc<Hearer> {
        let hearer = Arc::new(Hearer {
            name: name.to_owned(),
            state: self.state.clone(),
            ears: Mutex::new(Ears {
                size,
                ..Ears::default()
            }),
            changed: Condvar::new(),
        });
        self.hearers.insert(name.to_owned(), Arc::clone(&hearer));
        let own = Arc::clone(&hearer);
        let thread = std::thread::Builder::new().name("herald".into());
        if let Err(fault) = thread.spawn(move || own.run()) {
            hearer.change(|ears| ears.trouble = Some(fault.to_string()));
        }
        hearer
    }

    /// Who could not be told of what, in words.
    pub(crate) fn faults(&self) -> Vec<String> {
        let faults = self.hearers.values();
        faults
            .filter_map(|hearer| hearer.ears().trouble.clone())
            .collect()
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        for hearer in self.hearers.values() {
            hearer.change(|ears| ears.leaves = true);
        }
    }
}

impl Hearer {
    fn ears(&self) -> MutexGuard<'_, Ears> {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Ears)) {
        change(&mut self.ears());
        self.changed.notify_all();
    }

    /// One for each: a file is replaced by one writer at a time.
    fn folder(&self) -> PathBuf {
        self.state.told().join(&self.name)
    }

    fn path(&self) -> PathBuf {
        self.folder().join("heard")
    }

    /// Waits for as long as this holds, or so long; whether it goes on at all.
    fn wait(&self, longest: Duration, waits: impl Fn(&Ears) -> bool) -> bool {
        let ears = self.ears();
        let waited = self
            .changed
            .wait_timeout_while(ears, longest, |ears| !ears.leaves && waits(ears));
        let (ears, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !ears.leaves
    }

    fn run(&self) {
        let mut heard = self.remembered();
        let notifier = notifier(&self.state);
        while self.wait(Duration::from_secs(60), |ears| ears.size == heard.next) {
            let size = self.ears().size;
            // Another ledger lies here, or a shorter one: what it says is told from here on.
            heard.next = heard.next.min(size);
            let entries = Reader::of(&self.state.ledger()).entries(heard.next);
            for entry in entries.map_while(Result::ok) {
                let next = entry.index + 1;
                if let Some(news) = self
                    .news(&entry)
                    .filter(|news| heard.last.as_ref() != Some(news))
                {
                    if !self.tell(&notifier, &entry, &news) {
                        return;
                    }
                    heard = Heard {
                        next,
                        last: Some(news),
                    };
                    self.remember(&heard);
                }
                heard.next = next;
            }
            // What cannot be read now is read later.
            if heard.next < size && !self.wait(AGAIN, |_| true) {
                return;
            }
        }
    }

    /// What was heard; who is new here hears what comes from now on.
    fn remembered(&self) -> Heard {
        let bytes = std::fs::read(self.path()).ok();
        let heard = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        heard.unwrap_or_else(|| {
            let heard = Heard {
                next: self.ears().size,
                last: None,
            };
            self.remember(&heard);
            heard
        })
    }

    fn remember(&self, heard: &Heard) {
        let written = serde_json::to_vec(heard)
            .map_err(std::io::Error::from)
            .and_then(|bytes| {
                std::fs::create_dir_all(self.folder())?;
                durable::write(&self.path(), &bytes, 0o600)
            });
        if let Err(fault) = written {
            let why = format!("`{}` cannot be written: {fault}", self.path().display());
            self.change(|ears| ears.trouble = Some(why));
        }
    }

    fn news(&self, entry: &Entry) -> Option<News> {
        let event = Event::from_bytes(&entry.payload).ok()?;
        if let Event::ReleaseMade {
            release,
            record,
            of,
            ..
        } = event
        {
            let bytes = Blobs::new(self.state.plans()).fetch(record).ok()?;
            let record: ReleaseRecord = serde_json::from_slice(&bytes).ok()?;
            // It passes the gates of what serves and its own.
            let own = need(&record).max(self.ears().need);
            return News::of_made(release, of, own);
        }
        News::of(&event, &entry.actor)
    }

    /// Tells it over every channel; whether this goes on at all.
    fn tell(&self, notifier: &Result<Notifier, String>, entry: &Entry, news: &News) -> bool {
        let (channels, place) = {
            let ears = self.ears();
            if let Ok(notifier) = notifier {
                notifier.allow(Allowed(ears.allow.clone()));
            }
            (ears.channels.clone(), ears.place.clone())
        };
        let mut missed = None;
        for (order, channel) in channels.into_iter().enumerate() {
            let mut notification = notification(&self.name, (order, channel), entry, news);
            let message = message(&notification, &place, news);
            let mut wait = WAIT;
            missed = loop {
                let outcome = match notifier {
                    Ok(notifier) => notifier.send(&notification, &message).outcome,
                    Err(why) => Outcome::Refused { why: why.clone() },
                };
                let (why, asked) = match outcome {
                    Outcome::Accepted => break missed,
                    Outcome::Refused { why } => break Some(why),
                    Outcome::Failed { why, wait_ms, .. } => (why, wait_ms),
                };
                notification.attempts += 1;
                if notification.attempts == ATTEMPTS {
                    break Some(why);
                }
                self.trouble(news, &format!("{why}; it is tried again"));
                let asked = asked.and_then(|ms| u64::try_from(ms).ok());
                let pause = asked.map_or(wait, Duration::from_millis).min(WAIT_MAX);
                let until = Instant::now() + pause;
                if !self.wait(pause, |_| Instant::now() < until) {
                    return false;
                }
                wait = (wait * 2).min(WAIT_MAX);
            };
        }
        match missed {
            Some(why) => self.trouble(news, &why),
            None => self.change(|ears| ears.trouble = None),
        }
        true
    }

    fn trouble(&self, news: &News, why: &str) {
        let (name, release) = (&self.name, news.release);
        let standing = news.standing.word();
        let text = format!("`{name}` was not told that {release} {standing}: {why}");
        self.change(|ears| ears.trouble = Some(text));
    }
}

/// How many people have to agree by this file.
pub(crate) fn need(record: &ReleaseRecord) -> u32 {
    let approvals = record.contents.platform.gates.approvals.as_ref();
    approvals.map_or(0, |approvals| approvals.need)
}

/// A failure calls as an alert does, and the release that serves next ends it.
fn notification(
    name: &str,
    (place, channel): (usize, Channel),
    entry: &Entry,
    news: &News,
) -> Notification {
    let severity = match news.standing {
        Standing::Failed => "critical",
        Standing::Waits => "warning",
        Standing::Serves | Standing::Aborted => "info",
    };
    let release = news.release.to_string();
    let own = Labels::new([("alertname", "Release")]);
    let labels = Labels::new([
        ("alertname", "Release"),
        ("release", release.as_str()),
        ("severity", severity),
        ("standing", news.standing.word()),
    ]);
    let at = At::both(i64::try_from(entry.at.0).unwrap_or(i64::MAX));
    let is_firing = matches!(news.standing, Standing::Failed | Standing::Waits);
    let notice = Notice {
        labels,
        annotations: BTreeMap::from([("summary".into(), format!("{release} {}", news.words))]),
        value: 0.0,
        query: String::new(),
        starts_at: at,
        ended_at: (!is_firing).then_some(at),
        expires_at: None,
    };
    Notification {
        id: entry.index,
        receiver: name.to_owned(),
        place,
        channel,
        group_key: "releases".into(),
        group_labels: own,
        alerts: vec![Told { notice, is_firing }],
        reason: Reason::First,
        made_at: at,
        attempts: 0,
    }
}

fn message(notification: &Notification, place: &str, news: &News) -> Message {
    let around = Surroundings {
        place: place.to_owned(),
        ..Surroundings::default()
    };
    let mut message = Message::of(notification, &around, notification.made_at);
    if notification.channel.title.is_none() {
        message.title = format!("{place}: {} {}", news.release, news.words);
    }
    message
}
