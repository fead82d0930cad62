//! Samples that others send.

use super::{Api, Asked, Ready};
use crate::answer::ApiFault;
use crate::clock;
use crate::otlp;
use crate::remote::{self, Series};
use crate::store::{Live, StoreFault};
use mainstay_metrics::{Appended, GroupId};
use std::collections::BTreeSet;

/// How far ahead of our clock a sample may be, in milliseconds, as in the field.
const AHEAD_MS: i64 = 600_000;

/// Whose series those are that name no job.
const OWNER: &str = "pushed";

/// What became of samples that were sent.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) samples: usize,
    pub(crate) histograms: usize,
    /// Why some were not taken: what cannot be repaired by sending them again.
    pub(crate) refused: Option<String>,
    refusals: usize,
}

impl Taken {
    fn refuse(&mut self, why: impl FnOnce() -> String) {
        self.refusals += 1;
        self.refused.get_or_insert_with(why);
    }
}

impl Api {
    /// Takes remote-write, version 1.0 or 2.0.
    pub(super) async fn write(&self, asked: Asked) -> Result<Ready, ApiFault> {
        let limit = self.process.config().limits.write_bytes_max;
        let second = match asked.content_type.split_once(';') {
            _ if !asked.content_type.starts_with("application/x-protobuf") => {
                return Err(unsupported("content type", &asked.content_type));
            }
            Some((_, more)) => more.trim() == "proto=io.prometheus.write.v2.Request",
            None => false,
        };
        if !matches!(asked.content_encoding.as_str(), "snappy" | "") {
            return Err(unsupported("content encoding", &asked.content_encoding));
        }
        let api = self.clone();
        let taken = self.process.pool.run(move || {
            let bad = |fault: remote::RemoteFault| ApiFault::bad(fault.to_string());
            let body = remote::inflate(&asked.body, limit).map_err(bad)?;
            if !second {
                return api.take(&remote::read_first(&body).map_err(bad)?);
            }
            let (series, metas) = remote::read_second(&body).map_err(bad)?;
            for (metric, meta) in metas {
                api.process.metadata.learn(&metric, meta);
            }
            api.take(&series)
        });
        let taken = taken
            .await
            .map_err(|busy| ApiFault::unavailable(busy.to_string()))??;
        let mut ready = match taken.refused {
            None => Ready::empty(204),
            Some(why) => {
                ApiFault::bad(format!("{} samples are not taken: {why}", taken.refusals)).into()
            }
        };
        if second {
            ready.fields = vec![
                ("x-prometheus-remote-write-samples-written", taken.samples),
                (
                    "x-prometheus-remote-write-histograms-written",
                    taken.histograms,
                ),
                ("x-prometheus-remote-write-exemplars-written", 0),
            ];
        }
        Ok(ready)
    }

    /// Takes metrics of OTLP, as protocol buffers or JSON.
    pub(super) async fn otlp(&self, asked: Asked) -> Result<Ready, ApiFault> {
        let limit = self.process.config().limits.write_bytes_max;
        let is_json = match asked
            .content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
        {
            "application/json" => true,
            "application/x-protobuf" => false,
            _ => return Err(unsupported("content type", &asked.content_type)),
        };
        let api = self.clone();
        let taken = self.process.pool.run(move || {
            let inflated;
            let body = match asked.content_encoding.as_str() {
                "" | "identity" => &asked.body[..],
                "gzip" => {
                    let found = crate::fetch::inflate(&asked.body, limit);
                    inflated = found.map_err(|fault| ApiFault::bad(fault.to_string()))?;
                    &inflated
                }
                other => return Err(unsupported("content encoding", other)),
            };
            let read = if is_json {
                otlp::read_json(body)
            } else {
                otlp::read_proto(body)
            };
            let read = read.ok_or_else(|| ApiFault::bad("the body is no metrics of OTLP"))?;
            let (series, refused) = otlp::translate(&read);
            let mut taken = api.take(&series)?;
            if let Some(why) = refused {
                taken.refuse(|| why);
            }
            Ok(taken)
        });
        let taken = taken
            .await
            .map_err(|busy| ApiFault::unavailable(busy.to_string()))??;
        match taken.refused {
            None if is_json => Ok(Ready::json(b"{}".to_vec())),
            None => Ok(Ready::protobuf(Vec::new())),
            Some(why) => Err(ApiFault::bad(format!("some points are not taken: {why}"))),
        }
    }

    /// Stores series that were sent.
    pub(crate) fn take(&self, all: &[Series]) -> Result<Taken, ApiFault> {
        let now_ms = clock::wall_ms();
        let limits = self.process.config().limits;
        let refusing = |fault: StoreFault| ApiFault::unavailable(fault.to_string());
        let mut taken = Taken::default();
        // A lock for some series at a time: scrapes go on in between.
        for some in all.chunks(256) {
            let mut live = self.process.store.live();
            live.ready().map_err(refusing)?;
            let mut groups = BTreeSet::new();
            for series in some {
                let name = series.labels.metric();
                let long = series.labels.iter().any(|label| {
                    label.value.len() > limits.label_bytes_max || label.name.len() > 512
                });
                if name.is_empty() || long || series.labels.len() > limits.labels_max {
                    taken.refuse(|| "a series has no name, or too many or too long labels".into());
                    continue;
                }
                take_one(&mut live, series, now_ms, &mut taken, &mut groups);
            }
            let groups: Vec<GroupId> = groups.into_iter().collect();
            live.page_if_due(&groups, now_ms).map_err(refusing)?;
            live.commit().map_err(refusing)?;
        }
        Ok(taken)
    }
}

fn take_one(
    live: &mut Live,
    series: &Series,
    now_ms: i64,
    taken: &mut Taken,
    groups: &mut BTreeSet<GroupId>,
) {
    let job = series.labels.get("job");
    let owner = if job.is_empty() { OWNER } else { job };
    let target = live.target(owner, &format!("pushed {owner}"));
    let seat = match live.seat(target, &series.labels, true) {
        Ok(seat) => seat,
        Err(full) => return taken.refuse(|| full.to_string()),
    };
    groups.insert(seat.group);
    let oldest_ms = now_ms.saturating_sub(live.bounds.keep_ms);
    for (at_ms, value) in &series.samples {
        if *at_ms > now_ms + AHEAD_MS {
            taken.refuse(|| format!("a sample of {} is in the future", series.labels));
            continue;
        }
        if *at_ms < oldest_ms {
            taken.refuse(|| format!("a sample of {} is older than what is kept", series.labels));
            continue;
        }
        let is_float = matches!(value, mainstay_metrics::Value::Float(_));
        match live.sample(seat, *at_ms, value.clone()) {
            // One that is there was sent again after an answer that was lost: it is written.
            Appended::Stored | Appended::Duplicate if is_float => taken.samples += 1,
            Appended::Stored | Appended::Duplicate => taken.histograms += 1,
            Appended::OutOfOrder => {
                taken.refuse(|| format!("out of order sample of {}", series.labels));
            }
        }
    }
}

fn unsupported(what: &str, found: &str) -> ApiFault {
    ApiFault {
        kind: "bad_data",
        status: 415,
        message: format!("the {what} `{found}` is not known"),
    }
}
