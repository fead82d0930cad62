//! A walk: what the store holds of a stretch of time, as requests one after the other.
//!
//! One request is in memory at a time, and of classic histograms and summaries, whose series lie apart in the store,
//! a part that fits a budget: where they are more, they are walked through part by part.

use super::part::Part;
use crate::config::Protocol;
use crate::metadata::{Meta, Metadata};
use crate::otlp::{self, Families, Kinds, Origin, Ready, Role, Shape, Sheet, Targets, Writer};
use crate::remote::{self, Request};
use crate::store::View;
use flate2::write::GzEncoder;
use mainstay_metrics::sample::is_stale;
use mainstay_metrics::{
    Label, Labels, Matcher, ResetHint, Run, Select, SeriesView, Source as _, runs,
};
use std::io::Write as _;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Samples of one request, as in the field.
const SAMPLES: usize = 2000;

/// Bytes of one request before compression; native histograms are large.
const BYTES: usize = 1 << 20;

/// Bytes that families may take at a time.
pub(super) const FAMILY_BYTES: usize = 16 << 20;

/// How far back what a target says of itself is looked for, in milliseconds: as far as queries look.
const TARGET_MS: i64 = 300_000;

/// Targets whose attributes are sent.
const TARGETS: usize = 10_000;

/// A request, compressed, and how many samples it holds.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) body: Vec<u8>,
    pub(super) samples: usize,
}

/// What came of a walk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Walked {
    /// Whether it came to its end.
    pub(super) is_whole: bool,
    /// Samples that the protocol cannot say.
    pub(super) left_out: u64,
    /// Whether some of it went away while it was read.
    pub(super) is_torn: bool,
    /// Samples that were read.
    pub(super) samples: u64,
}

/// A stretch of time, and how it is sent.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) view: View,
    pub(super) part: Part,
    pub(super) external: Labels,
    pub(super) protocol: Protocol,
    pub(super) metadata: Arc<Metadata>,
    pub(super) after_ms: i64,
    pub(super) until_ms: i64,
    /// Bytes that families may take at a time.
    pub(super) family_bytes: usize,
}

/// Where requests go; says after each whether they are still wanted.
struct Out<'a> {
    sender: &'a mpsc::Sender<Piece>,
    is_open: bool,
    unsaid: u64,
    /// Samples that were read.
    read: u64,
}

impl Out<'_> {
    fn hand(&mut self, body: Option<Vec<u8>>, samples: usize) {
        let sent = body.map(|body| self.sender.blocking_send(Piece { body, samples }));
        self.is_open = matches!(sent, Some(Ok(())));
    }
}

/// What one walk through families takes of them.
#[derive(Debug, Clone, Copy)]
struct Share {
    number: u64,
    of: u64,
}

impl Walk {
    /// Reads it all, and hands over one request after the other.
    pub(super) fn read(&self, sender: &mpsc::Sender<Piece>) -> Walked {
        let mut out = Out {
            sender,
            is_open: true,
            unsaid: 0,
            read: 0,
        };
        let walked = match self.protocol {
            Protocol::RemoteWrite => self.as_series(&mut out),
            Protocol::RemoteWrite2 => self.as_requests(&mut out),
            Protocol::Otlp => self.as_metrics(&mut out),
        };
        Walked {
            is_whole: walked.is_some() && out.is_open,
            left_out: out.unsaid,
            is_torn: self.view.is_torn(),
            samples: out.read,
        }
    }

    /// Shows every series of a metric; nothing where the store cannot be read to its end.
    fn each(
        &self,
        metric: &str,
        after_ms: i64,
        visit: &mut dyn FnMut(SeriesView<'_>) -> bool,
    ) -> Option<()> {
        let matchers = [Matcher::equal("__name__", metric)];
        let select = Select {
            matchers: &matchers,
            after_ms,
            until_ms: self.until_ms,
        };
        self.view.select(&select, visit).ok()
    }

    /// Shows every series that is sent.
    fn all(&self, visit: &mut dyn FnMut(SeriesView<'_>) -> bool) -> Option<()> {
        let range = (self.after_ms, self.until_ms);
        self.part.each(&self.view, range, visit).ok()
    }

    /// Labels with those of this installation, where a series does not have them itself.
    fn dressed(&self, labels: &Labels) -> Labels {
        if self.external.is_empty() {
            return labels.clone();
        }
        let mut builder = labels.edit();
        let missing = |label: &&Label| labels.get(&label.name).is_empty();
        for label in self.external.iter().filter(missing) {
            builder.set(&label.name, &label.value);
        }
        builder.build()
    }

    fn as_series(&self, out: &mut Out<'_>) -> Option<()> {
        let mut body = Vec::new();
        let mut samples = 0;
        self.all(&mut |view| {
            out.read += (view.at_ms.len() + view.histograms.len()) as u64;
            let labels = self.dressed(view.labels);
            let labels: Vec<&Label> = labels.iter().collect();
            for run in runs(view) {
                for part in sendable(run, false, out) {
                    remote::put_series(&mut body, &labels, part);
                    samples += part.len();
                    if samples >= SAMPLES || body.len() >= BYTES {
                        hand_series(&mut body, &mut samples, out);
                    }
                    if !out.is_open {
                        return false;
                    }
                }
            }
            true
        })?;
        if samples > 0 && out.is_open {
            hand_series(&mut body, &mut samples, out);
        }
        Some(())
    }

    fn as_requests(&self, out: &mut Out<'_>) -> Option<()> {
        let mut request = Request::default();
        let mut samples = 0;
        // Series of one metric often lie together.
        let mut known: (String, Option<Meta>) = Default::default();
        self.all(&mut |view| {
            out.read += (view.at_ms.len() + view.histograms.len()) as u64;
            let metric = view.labels.metric();
            if known.0 != metric {
                known = (metric.to_owned(), self.meta(metric));
            }
            let labels = self.dressed(view.labels);
            let labels: Vec<&Label> = labels.iter().collect();
            for run in runs(view) {
                for part in sendable(run, true, out) {
                    request.put(&labels, part, known.1.as_ref());
                    samples += part.len();
                    if samples >= SAMPLES || request.bytes() >= BYTES {
                        hand_series(&mut request.take(), &mut samples, out);
                    }
                    if !out.is_open {
                        return false;
                    }
                }
            }
            true
        })?;
        if samples > 0 && out.is_open {
            hand_series(&mut request.take(), &mut samples, out);
        }
        Some(())
    }

    /// What is known of the metric that a series belongs to.
    fn meta(&self, metric: &str) -> Option<Meta> {
        otlp::meta(&self.metadata, metric).or_else(|| {
            let kinds = ["histogram", "gaugehistogram", "summary"];
            kinds.iter().find_map(|kind| {
                let family = remote::family(metric, kind);
                let meta = self.metadata.find(family).filter(|_| family != metric);
                meta.filter(|meta| meta.kind == *kind)
            })
        })
    }

    fn as_metrics(&self, out: &mut Out<'_>) -> Option<()> {
        let after_ms = self.after_ms.saturating_sub(TARGET_MS);
        let names = self.view.label_values("__name__", after_ms, self.until_ms);
        let kinds = Kinds::new(self.metadata.clone(), names);
        let mut targets = Targets::new();
        if kinds.has("target_info") {
            self.each("target_info", after_ms, &mut |view| {
                let is_last = view.values.last().is_some_and(|value| !is_stale(*value));
                if is_last && targets.len() < TARGETS {
                    let rest = view.labels.without_name();
                    targets.insert(Origin::new(view.labels).resource, rest);
                }
                true
            })?;
        }
        let mut sheet = Sheet::new(self.metadata.clone(), targets);
        let mut families = Families::default();
        let whole = Share { number: 0, of: 1 };
        self.sort(&kinds, &mut sheet, &mut families, whole, true, out)?;
        let shares = (2 * families.bytes / self.family_bytes + 1) as u64;
        if families.bytes <= self.family_bytes {
            show(&mut families, &mut sheet, out);
        } else {
            families = Families::default();
            for number in 0..shares {
                let share = Share { number, of: shares };
                self.sort(&kinds, &mut sheet, &mut families, share, false, out)?;
                show(&mut families, &mut sheet, out);
            }
        }
        if sheet.count > 0 && out.is_open {
            hand(&mut sheet, out);
        }
        Some(())
    }

    /// Sends what is no family where `plain` says so, and gathers families of a share; where all of them are asked
    /// for and are too many, they are only weighed.
    fn sort(
        &self,
        kinds: &Kinds,
        sheet: &mut Sheet,
        families: &mut Families,
        share: Share,
        plain: bool,
        out: &mut Out<'_>,
    ) -> Option<()> {
        self.all(&mut |view| {
            if plain {
                out.read += (view.at_ms.len() + view.histograms.len()) as u64;
            }
            let labels = self.dressed(view.labels);
            match kinds.role(view.labels) {
                Role::Without if plain => out.unsaid += view.at_ms.len() as u64,
                Role::Plain(shape) if plain => points(&labels, shape, view, sheet, out),
                Role::Target | Role::Without | Role::Plain(_) => {}
                Role::Member(part) => {
                    if plain && !view.histograms.is_empty() {
                        // A native histogram that is called like a member of a classic one.
                        let floats = (&[][..], &[][..]);
                        let only = SeriesView {
                            at_ms: floats.0,
                            values: floats.1,
                            ..view
                        };
                        points(&labels, Shape::Gauge, only, sheet, out);
                    }
                    let identity = otlp::kin(&labels, part);
                    if plain && families.bytes > self.family_bytes {
                        families.drop_all();
                        families.weigh(&view);
                    } else if otlp::share(&identity, share.of) == share.number {
                        families.add(identity, part, view);
                    }
                }
            }
            out.is_open
        })
    }
}

/// What remote-write can say of a run, in parts; the rest, histograms with bounds of their own in version 1.0, is counted.
fn sendable<'a>(run: Run<'a>, says_custom: bool, out: &mut Out<'_>) -> Vec<Run<'a>> {
    let mut parts = Vec::new();
    let mut push = |mut run: Run<'a>| {
        while !run.is_empty() {
            // Histograms are large: a few of them make a request.
            let most = if matches!(run, Run::Histograms(_)) {
                64
            } else {
                SAMPLES
            };
            let (first, rest) = run.split(most);
            parts.push(first);
            run = rest;
        }
    };
    match run {
        Run::Histograms(..) if says_custom => push(run),
        Run::Floats(..) => push(run),
        Run::Histograms(some) => {
            let is_custom = |one: &mainstay_metrics::HistogramSample| one.histogram.is_custom();
            for like in some.chunk_by(|one, two| is_custom(one) == is_custom(two)) {
                if like.first().is_some_and(is_custom) {
                    out.unsaid += like.len() as u64;
                } else {
                    push(Run::Histograms(like));
                }
            }
        }
    }
    parts
}

/// Adds the points of a series that is a metric of its own.
fn points(
    labels: &Labels,
    shape: Shape,
    view: SeriesView<'_>,
    sheet: &mut Sheet,
    out: &mut Out<'_>,
) {
    let (writer, origin) = (Writer::new(labels), Origin::new(labels));
    let is_native = shape == Shape::Exponential || !view.histograms.is_empty();
    // A number is none, whatever its metric is.
    let shape = if shape == Shape::Exponential {
        Shape::Gauge
    } else {
        shape
    };
    let mut put = |shape: Shape, point: Vec<u8>, out: &mut Out<'_>| {
        sheet.put(&origin, labels.metric(), shape, &point);
        if sheet.count >= SAMPLES || sheet.bytes >= BYTES {
            hand(sheet, out);
        }
        out.is_open
    };
    for run in runs(view) {
        let goes_on = match run {
            Run::Floats(at_ms, values) => {
                let mut samples = at_ms.iter().zip(values);
                samples.all(|(at_ms, value)| {
                    if is_native && is_stale(*value) {
                        put(Shape::Exponential, writer.no_exponential(*at_ms), out)
                    } else {
                        put(shape, writer.number(*at_ms, *value), out)
                    }
                })
            }
            Run::Histograms(some) => some.iter().all(|one| {
                let (at_ms, histogram) = (one.at_ms, &*one.histogram);
                if histogram.hint == ResetHint::Gauge {
                    out.unsaid += 1;
                    true
                } else if histogram.is_custom() {
                    put(Shape::Histogram, writer.custom(at_ms, histogram), out)
                } else {
                    put(
                        Shape::Exponential,
                        writer.exponential(at_ms, histogram),
                        out,
                    )
                }
            }),
        };
        if !goes_on {
            return;
        }
    }
}

/// Adds the points of families.
fn show(families: &mut Families, sheet: &mut Sheet, out: &mut Out<'_>) {
    let left_out = families.show(&mut |ready: Ready<'_>| {
        let origin = Origin::new(ready.labels);
        sheet.put(&origin, &ready.name, ready.shape, &ready.point);
        if sheet.count >= SAMPLES || sheet.bytes >= BYTES {
            hand(sheet, out);
        }
        out.is_open
    });
    out.unsaid += left_out;
}

/// Hands over series.
fn hand_series(body: &mut Vec<u8>, samples: &mut usize, out: &mut Out<'_>) {
    let body = std::mem::take(body);
    let compressed = snap::raw::Encoder::new().compress_vec(&body);
    out.hand(compressed.ok(), std::mem::take(samples));
}

/// Hands over what a sheet holds.
fn hand(sheet: &mut Sheet, out: &mut Out<'_>) {
    let samples = sheet.count;
    let body = sheet.take();
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let compressed = encoder.write_all(&body).and_then(|()| encoder.finish());
    out.hand(compressed.ok(), samples);
}

#[cfg(test)]
#[path = "walk_test.rs"]
mod tests;
