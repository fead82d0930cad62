//! Asks instances whether they live and are ready, on one thread of its own.

use crate::check;
use crate::record::wall_now;
use mainstay_atoms::{Generation, InstanceId, Probe, Wall};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Until an instance is ready for the first time it is asked this often.
const EAGER: Duration = Duration::from_millis(50);

/// One run to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Which place.
    pub id: InstanceId,
    /// Which run; a new one starts without a past, and unready unless it serves.
    pub generation: Generation,
    /// Where it listens, for `http` and `tcp`.
    pub address: Option<SocketAddr>,
    /// When it takes traffic; without one it is ready while it is watched.
    pub ready: Option<Probe>,
    /// It takes traffic already, as after a restart of whoever watches: ready until enough failures in a
    /// row say otherwise.
    pub serves: bool,
    /// When it is restarted; without one it counts as alive.
    pub health: Option<Probe>,
}

/// Where `exec` checks find the instance, and what they are started from.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) state: PathBuf,
    pub(crate) binary: PathBuf,
}

/// What one probe brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP response.
    Status {
        /// Its status code.
        code: u16,
        /// At most 1 KiB of its body; invalid UTF-8 replaced.
        body: String,
    },
    /// A TCP connection was taken.
    Connected,
    /// A command ended.
    Exit {
        /// Its exit code, unless a signal ended it.
        code: Option<i32>,
        /// At most 1 KiB of its output; invalid UTF-8 replaced.
        output: String,
    },
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    TimedOut {
        /// The time it had.
        after: Duration,
    },
    /// Anything else, in words for a person.
    Failed {
        /// What happened.
        why: String,
    },
    /// The question could not be put, for want of file descriptors or memory here: it says nothing about
    /// the instance, and does not count.
    NotAsked {
        /// Why.
        why: String,
    },
}

impl Answer {
    /// Whether it passes: status 200–399, a connection, exit 0.
    pub fn passes(&self) -> bool {
        match self {
            Self::Status { code, .. } => (200..400).contains(code),
            Self::Connected => true,
            Self::Exit { code, .. } => *code == Some(0),
            Self::Refused | Self::TimedOut { .. } | Self::Failed { .. } | Self::NotAsked { .. } => {
                false
            }
        }
    }
}

impl std::fmt::Display for Answer {
    /// In a few words.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status { code, .. } => write!(out, "{code}"),
            Self::Connected => out.write_str("a connection"),
            Self::Exit {
                code: Some(code), ..
            } => write!(out, "exit {code}"),
            Self::Exit { code: None, .. } => out.write_str("ended by a signal"),
            Self::Refused => out.write_str("connection refused"),
            Self::TimedOut { after } => {
                write!(
                    out,
                    "no answer within {}",
                    mainstay_atoms::span::format(*after)
                )
            }
            Self::Failed { why } => out.write_str(why),
            Self::NotAsked { why } => write!(out, "not asked: {why}"),
        }
    }
}

/// One of an instance's two probes as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSide {
    /// What is asked, for a person: `GET http://127.0.0.1:20001/ready`.
    pub request: String,
    /// Whether its threshold says yes.
    pub holds: bool,
    /// Since when it says so.
    pub since: Wall,
    /// Failures in a row that count.
    pub failures: u32,
    /// Successes in a row.
    pub successes: u32,
    /// The last answer, once there was one.
    pub answer: Option<Answer>,
    /// When it came.
    pub answered: Wall,
    /// How often the same answer came in a row.
    pub repeated: u64,
}

/// What is known about one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFact {
    /// Which run.
    pub generation: Generation,
    /// Whether it takes traffic.
    pub ready: bool,
    /// Whether it need not be restarted.
    pub live: bool,
    /// The readiness probe, where there is one.
    pub readiness: Option<ProbeSide>,
    /// The liveness probe, where there is one.
    pub liveness: Option<ProbeSide>,
}

#[derive(Debug, Default)]
struct Facts(Mutex<BTreeMap<InstanceId, ProbeFact>>);

impl Facts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<InstanceId, ProbeFact>> {
        // Each change leaves a whole map behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Probes what it was told to watch until it is dropped.
#[derive(Debug)]
pub struct Prober {
    watched: Option<watch::Sender<Vec<Watched>>>,
    facts: Arc<Facts>,
    thread: Option<JoinHandle<()>>,
}

impl Prober {
    /// Starts the thread. `exec` checks run as `binary launch …` beside the instances of a state folder, as
    /// in [`crate::Runtime::new`].
    pub fn new(state: &Path, binary: &Path) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (watched, changes) = watch::channel(Vec::new());
        let facts = Arc::<Facts>::default();
        let supervisor = Supervisor {
            changes,
            facts: Arc::clone(&facts),
            running: BTreeMap::new(),
            place: Arc::new(Place {
                state: state.to_owned(),
                binary: binary.to_owned(),
            }),
        };
        let thread = thread::Builder::new()
            .name("prober".into())
            .spawn(move || runtime.block_on(supervisor.run()))?;
        Ok(Self {
            watched: Some(watched),
            facts,
            thread: Some(thread),
        })
    }

    /// Replaces what is watched. A run that is watched already keeps its counts; what is missing here is
    /// forgotten.
    pub fn set(&self, watched: Vec<Watched>) {
        let mut facts = self.facts.lock();
        let kept = |id: &InstanceId, fact: &mut ProbeFact| {
            let same =
                |watched: &Watched| watched.id == *id && watched.generation == fact.generation;
            watched.iter().any(same)
        };
        facts.retain(kept);
        for watched in &watched {
            let fact = || ProbeFact::new(watched, wall_now());
            facts.entry(watched.id.clone()).or_insert_with(fact);
        }
        drop(facts);
        if let Some(sender) = &self.watched {
            sender.send_replace(watched);
        }
    }

    /// What is known now, of everything that is watched.
    pub fn facts(&self) -> BTreeMap<InstanceId, ProbeFact> {
        self.facts.lock().clone()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.watched = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was printed already.
            drop(thread.join());
        }
    }
}

impl ProbeFact {
    fn new(watched: &Watched, now: Wall) -> Self {
        let side = |probe: &Probe, holds| ProbeSide {
            request: check::describe(&probe.check, watched.address),
            holds,
            since: now,
            failures: 0,
            successes: 0,
            answer: None,
            answered: now,
            repeated: 0,
        };
        Self {
            generation: watched.generation,
            ready: watched.ready.is_none() || watched.serves,
            live: true,
            readiness: watched
                .ready
                .as_ref()
                .map(|probe| side(probe, watched.serves)),
            liveness: watched.health.as_ref().map(|probe| side(probe, true)),
        }
    }
}

impl ProbeSide {
    /// Takes one answer; `counts` is false for failures that are still forgiven.
    fn take(&mut self, answer: Answer, probe: &Probe, counts: bool, now: Wall) {
        let counts = counts && !matches!(answer, Answer::NotAsked { .. });
        if answer.passes() {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
        } else if counts {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
        }
        let holds = if self.holds {
            self.failures < probe.fail.max(1)
        } else {
            self.successes >= probe.pass.max(1)
        };
        if holds != self.holds {
            self.holds = holds;
            self.since = now;
        }
        let same = self.answer.as_ref() == Some(&answer);
        self.repeated = if same { self.repeated + 1 } else { 1 };
        self.answered = now;
        self.answer = Some(answer);
    }
}

/// Keeps one pair of probe loops for each watched run.
struct Supervisor {
    changes: watch::Receiver<Vec<Watched>>,
    facts: Arc<Facts>,
    running: BTreeMap<InstanceId, (Watched, JoinSet<()>)>,
    place: Arc<Place>,
}

impl Supervisor {
    async fn run(mut self) {
        while self.changes.changed().await.is_ok() {
            let watched = self.changes.borrow_and_update().clone();
            self.running.retain(|id, (known, _)| {
                watched
                    .iter()
                    .any(|wanted| wanted.id == *id && wanted == known)
            });
            for wanted in watched {
                let (facts, place) = (&self.facts, &self.place);
                let start = || (wanted.clone(), start(&wanted, facts, place));
                self.running.entry(wanted.id.clone()).or_insert_with(start);
            }
        }
    }
}

/// The two sides of a run.
#[derive(Clone, Copy)]
enum Side {
    Ready,
    Live,
}

fn start(watched: &Watched, facts: &Arc<Facts>, place: &Arc<Place>) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    for (side, probe) in [(Side::Ready, &watched.ready), (Side::Live, &watched.health)] {
        if let Some(probe) = probe {
            let asker = Asker {
                watched: watched.clone(),
                probe: probe.clone(),
                side,
                facts: Arc::clone(facts),
                place: Arc::clone(place),
            };
            loops.spawn(asker.run());
        }
    }
    loops
}

/// One probe of one run, again and again.
struct Asker {
    watched: Watched,
    probe: Probe,
    side: Side,
    facts: Arc<Facts>,
    place: Arc<Place>,
}

impl Asker {
    async fn run(self) {
        let start = Instant::now();
        let mut eager = matches!(self.side, Side::Ready);
        loop {
            let begin = Instant::now();
            let answer = check::ask(&self.place, &self.watched, &self.probe).await;
            let counts = match self.side {
                Side::Ready => true,
                Side::Live => start.elapsed() >= self.probe.after,
            };
            let holds = self.record(answer, counts);
            eager &= !holds;
            let every = if eager {
                EAGER.min(self.probe.every)
            } else {
                self.probe.every
            };
            tokio::time::sleep(every.saturating_sub(begin.elapsed())).await;
        }
    }

    fn record(&self, answer: Answer, counts: bool) -> bool {
        let mut facts = self.facts.lock();
        let fact = facts.get_mut(&self.watched.id);
        let fact = fact.filter(|fact| fact.generation == self.watched.generation);
        let Some(fact) = fact else { return false };
        let side = match self.side {
            Side::Ready => &mut fact.readiness,
            Side::Live => &mut fact.liveness,
        };
        let Some(side) = side else { return false };
        side.take(answer, &self.probe, counts, wall_now());
        let holds = side.holds;
        match self.side {
            Side::Ready => fact.ready = holds,
            Side::Live => fact.live = holds,
        }
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_atoms::Check;

    #[test]
    fn thresholds_count_in_a_row() {
        let probe = Probe {
            fail: 2,
            pass: 2,
            ..Probe::readiness(Check::Tcp)
        };
        let watched = Watched {
            id: "web.v1.1".parse().unwrap(),
            generation: Generation(1),
            address: None,
            ready: Some(probe.clone()),
            serves: false,
            health: None,
        };
        let mut side = ProbeFact::new(&watched, Wall(0)).readiness.unwrap();
        let script = "+-++-+--+-++";
        let mut seen = String::new();
        for (at, step) in script.chars().enumerate() {
            let answer = if step == '+' {
                Answer::Connected
            } else {
                Answer::Refused
            };
            side.take(answer, &probe, true, Wall(at as u64));
            seen.push(if side.holds { '1' } else { '0' });
        }
        assert_eq!(seen, "000111100001");
        let why = String::from("too many open files");
        side.take(Answer::NotAsked { why }, &probe, true, Wall(98));
        side.take(Answer::Refused, &probe, false, Wall(99));
        assert_eq!(
            (side.failures, side.holds, side.since),
            (0, true, Wall(11)),
            "a forgiven failure"
        );
    }

    #[test]
    fn what_serves_is_ready_until_its_failures_say_otherwise() {
        let probe = Probe {
            fail: 2,
            ..Probe::readiness(Check::Tcp)
        };
        let watched = Watched {
            id: "web.v1.1".parse().unwrap(),
            generation: Generation(1),
            address: None,
            ready: Some(probe.clone()),
            serves: true,
            health: None,
        };
        let fact = ProbeFact::new(&watched, Wall(0));
        assert!(fact.ready);
        let mut side = fact.readiness.unwrap();
        side.take(Answer::Refused, &probe, true, Wall(1));
        assert!(side.holds);
        side.take(Answer::Refused, &probe, true, Wall(2));
        assert!(!side.holds);
    }
}
