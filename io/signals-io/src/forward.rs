//! Forwarding: samples go outward from the store itself, so that what the other side misses waits on our disk.
//!
//! What was sent is remembered as a time. A window of time is read, sent in pieces, and only then remembered: after
//! an outage everything from that time on follows, as far back as samples are kept. What comes when its time was sent
//! already is remembered by series, and sent before the next window. A piece may come twice. What was kept for too
//! short a time to be sent, what the receiver refuses and what its protocol cannot say is counted.

mod part;
mod verdict;
mod walk;

use crate::clock;
use crate::config::{Place, Protocol, Remote};
use crate::fetch::{Answer, Connection, FetchFault, Request, fetch};
use crate::metadata::Metadata;
use crate::place;
use crate::store::{Mark, Store, Stretch, View};
use mainstay_metrics::Labels;
use part::{Part, Picks};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};
use verdict::{Verdict, judge};
use walk::{FAMILY_BYTES, Piece, Walk, Walked};

/// How long samples are waited for before their time is read, in milliseconds: others may send them late.
const LATE_MS: i64 = 10_000;

/// The longest window that is read at once, in milliseconds: a block's.
const WINDOW_MS: i64 = 7_200_000;

/// How things follow each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Between two looks.
    every: Duration,
    /// How long one request may take.
    patience: Duration,
    /// The first wait after a failure; each is twice the one before.
    wait_min: Duration,
    /// Longest wait after a failure.
    wait_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            patience: Duration::from_secs(30),
            wait_min: Duration::from_millis(100),
            wait_max: Duration::from_secs(30),
        }
    }
}

/// Longest answer that is read: nobody needs more to say what was wrong.
const ANSWER_MAX: usize = 64 << 10;

/// What is known of a remote, for whoever asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Samples that were taken; of classic histograms and summaries a point is one, where they are sent as such.
    pub(crate) samples: u64,
    pub(crate) failures: u64,
    /// Samples that the receiver did not take, and will not.
    pub(crate) refused: u64,
    /// Samples that the protocol cannot say.
    pub(crate) left_out: u64,
    /// Everything up to here was sent, in milliseconds since 1970.
    pub(crate) sent_ms: i64,
    /// Why the last request that was not taken was not; empty once one is taken whole.
    pub(crate) trouble: String,
    mark: Option<Arc<Mark>>,
}

impl Progress {
    /// Samples that were let go before they were sent.
    pub(crate) fn lost(&self) -> u64 {
        self.mark.as_ref().map_or(0, |mark| mark.lost())
    }
}

/// What time it is: the clock of the machine, or what a test says.
#[derive(Debug, Clone, Default)]
pub(crate) enum Now {
    #[default]
    Wall,
    #[cfg(test)]
    Told(Arc<std::sync::atomic::AtomicI64>),
}

impl Now {
    fn ms(&self) -> i64 {
        match self {
            Self::Wall => clock::wall_ms(),
            #[cfg(test)]
            Self::Told(at_ms) => at_ms.load(std::sync::atomic::Ordering::SeqCst),
        }
    }
}

/// One remote.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) remote: Remote,
    pub(crate) external: Labels,
    pub(crate) store: Store,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) folder: PathBuf,
    pub(crate) progress: Arc<Mutex<Progress>>,
    pub(crate) now: Now,
    pub(crate) pace: Pace,
}

/// A file that says something of a remote.
fn file(folder: &Path, what: &str, name: &str) -> PathBuf {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(plain).collect();
    folder.join(format!("{what}-{name}"))
}

/// Where it is written down what came late for a remote.
pub(crate) fn late_path(folder: &Path, name: &str) -> PathBuf {
    file(folder, "late", name)
}

impl Forward {
    /// Begins to take note of what comes late, before anything comes.
    pub(crate) fn mark(&self) -> Arc<Mark> {
        let path = late_path(&self.folder, &self.remote.name);
        let sent_ms = || known(&self.sent_path()).unwrap_or_else(|| self.now.ms() - LATE_MS);
        self.store.mark(&path, sent_ms)
    }

    fn sent_path(&self) -> PathBuf {
        file(&self.folder, "sent", &self.remote.name)
    }

    /// Sends until it is told to stop.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let path = self.sent_path();
        let mark = self.mark();
        mark.resume();
        let mut sent_ms = mark.read_ms();
        self.note(|progress| {
            progress.sent_ms = sent_ms;
            progress.mark = Some(mark.clone());
        });
        let mut ticks = tokio::time::interval(self.pace.every);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // A sender that is gone says the same.
                _ = stop.changed() => return,
            }
            loop {
                let until_ms = self.now.ms() - LATE_MS;
                if sent_ms >= until_ms {
                    break;
                }
                let end_ms = until_ms.min(sent_ms.saturating_add(WINDOW_MS));
                tokio::select! {
                    whole = self.window(&mark, sent_ms, end_ms) => if !whole { break },
                    _ = stop.changed() => return,
                }
                sent_ms = end_ms;
                self.note(|progress| progress.sent_ms = sent_ms);
                // Where it cannot be kept, a part is sent again after the next start.
                drop(place::replace(&path, sent_ms.to_string().as_bytes()));
                if end_ms == until_ms {
                    break;
                }
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Sends what came late of what was sent before, then what is between two times; says whether it was read to its
    /// end.
    async fn window(&self, mark: &Arc<Mark>, after_ms: i64, until_ms: i64) -> bool {
        let Stretch { view, late, picks } = self.store.stretch(mark, until_ms);
        if !picks.is_empty() {
            let some = Picks::new(&picks);
            let span = some.span();
            let walked = self.walk(late, Part::Late(some), span).await;
            mark.caught_up(&picks, walked.samples, walked.is_whole, walked.is_torn);
            if !walked.is_whole {
                mark.done(false, walked.is_torn);
                return false;
            }
        }
        let part = Part::All(mark.clone());
        let walked = self.walk(view, part, (after_ms, until_ms)).await;
        mark.done(walked.is_whole, walked.is_torn);
        walked.is_whole
    }

    /// Reads a part and sends it, piece by piece.
    async fn walk(&self, view: View, part: Part, (after_ms, until_ms): (i64, i64)) -> Walked {
        let (sender, mut pieces) = mpsc::channel::<Piece>(1);
        let walk = Walk {
            view,
            part,
            external: self.external.clone(),
            protocol: self.remote.protocol,
            metadata: self.metadata.clone(),
            after_ms,
            until_ms,
            family_bytes: FAMILY_BYTES,
        };
        let reading = tokio::task::spawn_blocking(move || walk.read(&sender));
        let mut connection = None;
        while let Some(piece) = pieces.recv().await {
            self.send(&mut connection, &piece).await;
        }
        let walked = reading.await.unwrap_or_default();
        if walked.is_whole {
            self.note(|progress| progress.left_out += walked.left_out);
        }
        walked
    }

    /// Sends one piece until it is taken, or refused for good.
    async fn send(&self, connection: &mut Option<Connection>, piece: &Piece) {
        let samples = piece.samples as u64;
        let mut backoff = self.pace.wait_min;
        loop {
            let wait = match self.attempt(connection, &piece.body).await {
                Verdict::Taken { refused, why } => {
                    let refused = refused.min(samples);
                    self.note(|progress| {
                        progress.samples += samples - refused;
                        progress.refused += refused;
                        progress.trouble = why;
                    });
                    return;
                }
                Verdict::Partly { written, why } => {
                    let taken = written.min(samples);
                    self.note(|progress| {
                        progress.samples += taken;
                        progress.refused += samples - taken;
                        progress.trouble = why;
                    });
                    return;
                }
                Verdict::Refused { why } => {
                    self.note(|progress| {
                        progress.refused += samples;
                        progress.trouble = why;
                    });
                    return;
                }
                Verdict::Later { wait, why } => {
                    self.note(|progress| {
                        progress.failures += 1;
                        progress.trouble = why;
                    });
                    wait
                }
            };
            tokio::time::sleep(wait.unwrap_or(backoff)).await;
            backoff = (backoff * 2).min(self.pace.wait_max);
        }
    }

    /// Sends one piece once.
    async fn attempt(&self, connection: &mut Option<Connection>, body: &[u8]) -> Verdict {
        let patience = self.pace.patience;
        let token = match &self.remote.token_file {
            None => None,
            Some(path) => match token(path) {
                Ok(token) => Some(token),
                Err(why) => return Verdict::Later { wait: None, why },
            },
        };
        let post = self.post(connection, body, token.as_deref());
        let answer = match tokio::time::timeout(patience, post).await {
            Ok(answer) => answer,
            Err(_) => Err(FetchFault::Late {
                limit_ms: patience.as_millis() as u64,
            }),
        };
        match answer {
            Ok(answer) => judge(
                self.remote.protocol,
                answer.status,
                &answer.retry_after,
                answer.written,
                &answer.body,
                SystemTime::now(),
            ),
            Err(fault) => {
                *connection = None;
                Verdict::Later {
                    wait: None,
                    why: fault.to_string(),
                }
            }
        }
    }

    async fn post(
        &self,
        connection: &mut Option<Connection>,
        body: &[u8],
        token: Option<&str>,
    ) -> Result<Answer, FetchFault> {
        let mut fields = String::from(match self.remote.protocol {
            Protocol::RemoteWrite => {
                "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
                 X-Prometheus-Remote-Write-Version: 0.1.0\r\nUser-Agent: mainstay-signals\r\n"
            }
            Protocol::RemoteWrite2 => {
                "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n\
                 Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 2.0.0\r\n\
                 User-Agent: mainstay-signals\r\n"
            }
            Protocol::Otlp => {
                "Content-Type: application/x-protobuf\r\nContent-Encoding: gzip\r\n\
                 User-Agent: mainstay-signals\r\n"
            }
        });
        if let Some(token) = token {
            // Writing to a text cannot fail.
            write!(fields, "Authorization: Bearer {token}\r\n").ok();
        }
        let request = Request {
            method: "POST",
            host: &self.remote.address,
            path: &self.remote.path,
            fields: &fields,
            body,
            bytes_max: ANSWER_MAX,
        };
        let place = Place::at(self.remote.address.clone(), self.remote.tls);
        fetch(connection, &place, false, None, &request, &mut Vec::new()).await
    }
}

/// Reads a token, each time anew: it may be another one by now.
fn token(path: &Path) -> Result<String, String> {
    let name = path.file_name().unwrap_or_default().display();
    let text = std::fs::read_to_string(path)
        .map_err(|fault| format!("the token `{name}` cannot be read: {fault}"))?;
    let token = text.trim();
    if token.chars().any(char::is_control) {
        return Err(format!("the token `{name}` is more than one line"));
    }
    Ok(token.to_owned())
}

fn known(path: &Path) -> Option<i64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
#[path = "forward/side_test.rs"]
mod side;

#[cfg(test)]
#[path = "forward/outage_test.rs"]
mod tests;

#[cfg(test)]
#[path = "forward/late_test.rs"]
mod late_tests;
