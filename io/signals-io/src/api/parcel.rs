//! Samples as chunks of another database, series by series, for whoever leaves and writes its files.

use super::content::Content;
use super::data::{range_of, wanted};
use super::export::each;
use super::{Api, Asked, Ready};
use crate::answer::ApiFault;
use crate::store::{MOVED, View};
use mainstay_metrics::tsdb::{Parcel, chunks};
use mainstay_metrics::{Labels, Matcher};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// How many may be written at a time.
pub(crate) const AT_A_TIME: usize = 2;

/// How long whoever reads them may do something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that are handed over at a time.
const PART: usize = 256 << 10;

/// Chunks of one parcel.
const CHUNKS: usize = 64;

impl Api {
    /// Chunks of every series in a range, as parcels. Samples are compressed while they are sent.
    pub(super) fn parcels(&self, asked: &Asked) -> Result<Ready, ApiFault> {
        let (lists, range) = (wanted(&asked.form)?, range_of(&asked.form)?);
        let room = self.process.exports.clone().try_acquire_owned();
        let permit = room.map_err(|_| {
            let why = format!("{AT_A_TIME} exports run already; ask again when one has ended");
            ApiFault::unavailable(why)
        })?;
        let (sender, parts) = mpsc::channel(2);
        let view = self.process.store.view();
        let runtime = Handle::current();
        drop(tokio::task::spawn_blocking(move || {
            let carrier = Carrier {
                sender,
                runtime,
                bytes: Vec::with_capacity(PART),
                is_open: true,
                _permit: permit,
            };
            carrier.run(&view, &lists, range);
        }));
        Ok(Ready {
            status: 200,
            content_type: "application/octet-stream",
            body: Content::Parts(parts),
            fields: Vec::new(),
        })
    }

    /// The times of the first and the last sample that is stored; null where there is none.
    pub(super) fn span(&self) -> Ready {
        let span = self.process.store.view().span();
        let (first_ms, last_ms) = span.unzip();
        let span = serde_json::json!({ "first_ms": first_ms, "last_ms": last_ms });
        Ready::json(span.to_string().into_bytes())
    }
}

/// Carries parcels to whoever asked for them.
struct Carrier {
    sender: mpsc::Sender<Vec<u8>>,
    runtime: Handle,
    bytes: Vec<u8>,
    is_open: bool,
    _permit: OwnedSemaphorePermit,
}

impl Carrier {
    fn run(mut self, view: &View, lists: &[Vec<Matcher>], range: (i64, i64)) {
        let walked = each(view, lists, range, &mut |one| {
            let mut rest = chunks(one).into_iter();
            loop {
                let some: Vec<_> = rest.by_ref().take(CHUNKS).collect();
                if some.is_empty() || !self.is_open {
                    return self.is_open;
                }
                self.put(&Parcel::Series {
                    labels: Labels::clone(one.labels),
                    chunks: some,
                });
            }
        });
        let last = match walked {
            Err(fault) => Parcel::Fault {
                is_passing: fault.0 == MOVED,
                why: fault.0,
            },
            Ok(()) if view.is_torn() => Parcel::Fault {
                why: "the oldest samples went meanwhile, because their time was over".into(),
                is_passing: true,
            },
            Ok(()) => Parcel::End {
                remarks: view.remarks(),
            },
        };
        self.put(&last);
        self.hand();
    }

    fn put(&mut self, parcel: &Parcel) {
        parcel.put(&mut self.bytes);
        if self.bytes.len() >= PART {
            self.hand();
        }
    }

    /// Hands over what there is. Whoever does not take it has gone, or stands still.
    fn hand(&mut self) {
        let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(PART));
        let sender = &self.sender;
        let sent = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, sender.send(bytes)).await });
        self.is_open = self.is_open && matches!(sent, Ok(Ok(())));
    }
}
