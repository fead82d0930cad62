//! Forwarding: samples go outward from the store itself, so that what the other side misses waits on our disk.
//!
//! What was sent is remembered as a time. A window of time is read, sent in pieces, and only then remembered: after
//! an outage everything from that time on follows, as far back as samples are kept. A piece may come twice.

use crate::clock;
use crate::config::{Place, Remote};
use crate::fetch::{FetchFault, Request, fetch};
use crate::place;
use crate::remote;
use crate::store::Store;
use mainstay_metrics::{Label, Labels, MatchOp, Matcher, Select, SeriesView, Source as _};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long samples are waited for before their time is read, in milliseconds: others may send them late.
const LATE_MS: i64 = 10_000;

/// The longest window that is read at once, in milliseconds: a block's.
const WINDOW_MS: i64 = 7_200_000;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// Samples of one request, as in the field.
const SAMPLES: usize = 2000;

/// Longest wait after a failure.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known of a remote, for whoever asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    pub(crate) samples: u64,
    pub(crate) failures: u64,
    pub(crate) refused: u64,
    /// Everything up to here was sent, in milliseconds since 1970.
    pub(crate) sent_ms: i64,
}

/// One remote.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) remote: Remote,
    pub(crate) external: Labels,
    pub(crate) store: Store,
    pub(crate) folder: PathBuf,
    pub(crate) progress: Arc<Mutex<Progress>>,
}

/// A request and how many samples it holds.
type Piece = (Vec<u8>, usize);

impl Forward {
    fn path(&self) -> PathBuf {
        let name: String = self
            .remote
            .name
            .chars()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() {
                    letter
                } else {
                    '_'
                }
            })
            .collect();
        self.folder.join(format!("sent-{name}"))
    }

    /// Sends until it is told to stop.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let path = self.path();
        let mut sent_ms = known(&path).unwrap_or_else(|| clock::wall_ms() - LATE_MS);
        self.note(|progress| progress.sent_ms = sent_ms);
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // A sender that is gone says the same.
                _ = stop.changed() => return,
            }
            let until_ms = clock::wall_ms() - LATE_MS;
            while sent_ms < until_ms {
                let end_ms = until_ms.min(sent_ms.saturating_add(WINDOW_MS));
                tokio::select! {
                    whole = self.window(sent_ms, end_ms) => if !whole { break },
                    _ = stop.changed() => return,
                }
                sent_ms = end_ms;
                self.note(|progress| progress.sent_ms = sent_ms);
                // Where it cannot be kept, a part is sent again after the next start.
                drop(place::replace(&path, sent_ms.to_string().as_bytes()));
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Sends what is between two times; says whether it was read to its end.
    async fn window(&self, after_ms: i64, until_ms: i64) -> bool {
        let (sender, mut pieces) = mpsc::channel::<Piece>(2);
        let (store, external) = (self.store.clone(), self.external.clone());
        let reading = tokio::task::spawn_blocking(move || {
            read(&store, &external, after_ms, until_ms, &sender)
        });
        let mut connection = None;
        while let Some((body, samples)) = pieces.recv().await {
            self.send(&mut connection, &body, samples).await;
        }
        reading.await.unwrap_or(false)
    }

    /// Sends one piece until it is taken, or refused for good.
    async fn send(
        &self,
        connection: &mut Option<crate::fetch::Connection>,
        body: &[u8],
        samples: usize,
    ) {
        let mut wait = Duration::from_millis(100);
        loop {
            match tokio::time::timeout(PATIENCE, self.post(connection, body)).await {
                Ok(Ok(status)) if (200..300).contains(&status) => {
                    self.note(|progress| progress.samples += samples as u64);
                    return;
                }
                // It will not become right by being sent again; too many at once will.
                Ok(Ok(status)) if (400..500).contains(&status) && status != 429 => {
                    self.note(|progress| progress.refused += samples as u64);
                    return;
                }
                _ => {
                    *connection = None;
                    self.note(|progress| progress.failures += 1);
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    async fn post(
        &self,
        connection: &mut Option<crate::fetch::Connection>,
        body: &[u8],
    ) -> Result<u16, FetchFault> {
        let mut fields = String::from(
            "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
             X-Prometheus-Remote-Write-Version: 0.1.0\r\nUser-Agent: mainstay-signals\r\n",
        );
        if let Some(path) = &self.remote.token_file {
            let token = std::fs::read_to_string(path)?;
            // Writing to a text cannot fail.
            write!(fields, "Authorization: Bearer {}\r\n", token.trim()).ok();
        }
        let request = Request {
            method: "POST",
            host: &self.remote.address,
            path: &self.remote.path,
            fields: &fields,
            body,
            bytes_max: 1 << 20,
        };
        let address = self.remote.address.clone();
        let place = if self.remote.tls {
            Place::Tls(address)
        } else {
            Place::Tcp(address)
        };
        let answer = fetch(connection, &place, false, &request, &mut Vec::new()).await?;
        Ok(answer.status)
    }
}

fn known(path: &Path) -> Option<i64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Reads a window into pieces; says whether it was read to its end.
fn read(
    store: &Store,
    external: &Labels,
    after_ms: i64,
    until_ms: i64,
    sender: &mpsc::Sender<Piece>,
) -> bool {
    let Ok(named) = Matcher::new("__name__", MatchOp::NotEqual, "") else {
        return false;
    };
    let matchers = [named];
    let select = Select {
        matchers: &matchers,
        after_ms,
        until_ms,
    };
    let mut piece: Piece = (Vec::new(), 0);
    let mut is_open = true;
    let visited = store.view().select(&select, &mut |view: SeriesView<'_>| {
        let labels = dressed(view.labels, external);
        let labels: Vec<&Label> = labels.iter().collect();
        let samples: Vec<(i64, f64)> = view
            .at_ms
            .iter()
            .copied()
            .zip(view.values.iter().copied())
            .collect();
        for some in samples.chunks(SAMPLES) {
            remote::put_series(&mut piece.0, &labels, some);
            piece.1 += some.len();
            if piece.1 >= SAMPLES {
                is_open = hand(&mut piece, sender);
            }
        }
        is_open
    });
    visited.is_ok() && is_open && (piece.1 == 0 || hand(&mut piece, sender))
}

/// Labels with those of this installation, where a series does not have them itself.
fn dressed(labels: &Labels, external: &Labels) -> Labels {
    if external.is_empty() {
        return labels.clone();
    }
    let mut builder = labels.edit();
    for label in external
        .iter()
        .filter(|label| labels.get(&label.name).is_empty())
    {
        builder.set(&label.name, &label.value);
    }
    builder.build()
}

fn hand(piece: &mut Piece, sender: &mpsc::Sender<Piece>) -> bool {
    let (body, samples) = std::mem::take(piece);
    let compressed = snap::raw::Encoder::new().compress_vec(&body);
    compressed.is_ok_and(|body| sender.blocking_send((body, samples)).is_ok())
}
