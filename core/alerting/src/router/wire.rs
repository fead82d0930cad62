//! What a router knows, as it is written down.

use super::cluster::Cluster;
use super::delivery::Delivery;
use super::health::Failing;
use super::log::{Entry, Key};
use super::{Acknowledged, Router};
use crate::alert::Notice;
use crate::at::At;
use crate::duty::{Override, Page};
use crate::matching;
use crate::notification::{Notification, Reason, Told};
use crate::route::Routing;
use crate::silence::Silence;
use crate::wire::{Point, at, pairs, point};
use mainstay_metrics::Labels;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the form; another one is refused.
const VERSION: u32 = 1;

/// Why a state is not read.
#[derive(Debug, thiserror::Error)]
pub enum RouterFault {
    /// The text is not a state.
    #[error("the state of notices cannot be read: {0}")]
    Broken(serde_json::Error),
    /// It was written by another version.
    #[error("the state of notices has version {found}, this program reads {VERSION}")]
    Version {
        /// The version that was found.
        found: u32,
    },
}

type Map = BTreeMap<String, String>;

#[derive(Serialize, Deserialize)]
struct State {
    version: u32,
    at: Point,
    next_id: u64,
    refused: u64,
    alerts: Vec<NoticeRow>,
    clusters: Vec<ClusterRow>,
    log: Vec<LogRow>,
    deliveries: Vec<DeliveryRow>,
    silences: Vec<SilenceRow>,
    failing: Vec<FailingRow>,
    #[serde(default)]
    pages: Vec<PageRow>,
    #[serde(default)]
    acknowledged: Vec<AcknowledgedRow>,
    #[serde(default)]
    swaps: Vec<SwapRow>,
}

#[derive(Serialize, Deserialize)]
struct SwapRow {
    rotation: String,
    person: String,
    from_ms: i64,
    until_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct PageRow {
    group: String,
    escalation: String,
    began: Point,
    called: u32,
    taken: Option<Point>,
}

#[derive(Serialize, Deserialize)]
struct AcknowledgedRow {
    labels: Map,
    by: String,
    at: Point,
}

#[derive(Serialize, Deserialize)]
struct NoticeRow {
    labels: Map,
    annotations: Map,
    /// The bits of the value: NaN and infinities have no number in JSON.
    value: u64,
    query: String,
    starts: Point,
    ended: Option<Point>,
    expires: Option<Point>,
}

#[derive(Serialize, Deserialize)]
struct ClusterRow {
    key: String,
    route: String,
    labels: Map,
    members: Vec<Map>,
    next_ms: i64,
    has_flushed: bool,
}

#[derive(Serialize, Deserialize)]
struct LogRow {
    group: String,
    receiver: String,
    place: usize,
    firing: Vec<Map>,
    resolved: Vec<Map>,
    maybe: Vec<Map>,
    maybe_ended: Vec<Map>,
    at: Option<Point>,
}

#[derive(Serialize, Deserialize)]
struct DeliveryRow {
    id: u64,
    group: String,
    receiver: String,
    place: usize,
    group_labels: Map,
    firing: Vec<Map>,
    resolved: Vec<Map>,
    alerts: Vec<(NoticeRow, bool)>,
    reason: String,
    made: Point,
    attempts: u32,
    /// `None` while an attempt was under way: nobody knows what came of it.
    next_ms: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct SilenceRow {
    id: String,
    matchers: Vec<String>,
    starts_ms: i64,
    ends_ms: i64,
    by: String,
    comment: String,
}

#[derive(Serialize, Deserialize)]
struct FailingRow {
    receiver: String,
    place: usize,
    kind: String,
    since: Point,
    attempts: u32,
    why: String,
    is_refusal: bool,
    is_told: bool,
}

const REASONS: [Reason; 6] = [
    Reason::First,
    Reason::NewAlert,
    Reason::AllResolved,
    Reason::SomeResolved,
    Reason::Repeated,
    Reason::Unanswered,
];

impl Router {
    /// Everything it knows, as JSON.
    pub fn to_json(&self, now: At) -> String {
        let state = State {
            version: VERSION,
            at: point(now),
            next_id: self.next_id,
            refused: self.refused,
            alerts: self.alerts.values().map(notice_row).collect(),
            clusters: self
                .clusters
                .iter()
                .map(|(key, cluster)| cluster_row(key, cluster))
                .collect(),
            log: self
                .log
                .iter()
                .map(|(key, entry)| log_row(key, entry))
                .collect(),
            deliveries: {
                let deliveries = self.deliveries.iter();
                deliveries
                    .map(|(key, one)| delivery_row(key, one))
                    .collect()
            },
            silences: self.silences.iter().map(silence_row).collect(),
            failing: self.failing.values().map(failing_row).collect(),
            pages: self.page_rows(),
            acknowledged: self.acknowledged_rows(),
            swaps: self.swap_rows(),
        };
        serde_json::to_string(&state).unwrap_or_default()
    }

    /// Reads what [`Router::to_json`] wrote, and when that was. Attempts that were under way are made again with
    /// the same id. What belongs to routes or channels that are no more is let go.
    pub fn from_json(text: &str, routing: Routing) -> Result<(Self, At), RouterFault> {
        let state: State = serde_json::from_str(text).map_err(RouterFault::Broken)?;
        if state.version != VERSION {
            return Err(RouterFault::Version {
                found: state.version,
            });
        }
        let now = at(state.at);
        let mut router = Self::new(routing.clone());
        (router.next_id, router.refused) = (state.next_id, state.refused);
        for row in state.alerts {
            let notice = notice(row);
            router.alerts.insert(notice.labels.clone(), notice);
        }
        for row in state.clusters {
            let (key, cluster) = cluster(row);
            router.clusters.insert(key, cluster);
        }
        router.log = state.log.into_iter().map(log_entry).collect();
        for row in state.deliveries {
            router.restore(row, now);
        }
        state
            .silences
            .into_iter()
            .filter_map(silence)
            .for_each(|one| router.silences.restore(one));
        let failing = state.failing.into_iter().map(failing);
        router.failing = failing
            .map(|one| ((one.receiver.clone(), one.place), one))
            .collect();
        router.pages = state.pages.into_iter().map(page).collect();
        let acknowledged = state.acknowledged.into_iter();
        router.acknowledged = acknowledged.map(acknowledged_by).collect();
        for row in state.swaps {
            let (rotation, swap) = swap(row);
            router.swaps.entry(rotation).or_default().push(swap);
        }
        router.reroute(routing, now);
        Ok((router, now))
    }

    fn page_rows(&self) -> Vec<PageRow> {
        let pages = self.pages.iter();
        let row = |((group, escalation), page): (&(String, String), &Page)| PageRow {
            group: group.clone(),
            escalation: escalation.clone(),
            began: point(page.began),
            called: page.called,
            taken: page.taken.map(point),
        };
        pages.map(row).collect()
    }

    fn acknowledged_rows(&self) -> Vec<AcknowledgedRow> {
        let all = self.acknowledged.iter();
        let row = |(labels, one): (&Labels, &Acknowledged)| AcknowledgedRow {
            labels: pairs(labels),
            by: one.by.clone(),
            at: point(one.at),
        };
        all.map(row).collect()
    }

    fn swap_rows(&self) -> Vec<SwapRow> {
        let row = |rotation: &String, one: &Override| SwapRow {
            rotation: rotation.clone(),
            person: one.person.clone(),
            from_ms: one.from_ms,
            until_ms: one.until_ms,
        };
        let swaps = self.swaps.iter();
        swaps
            .flat_map(|(name, all)| all.iter().map(move |one| row(name, one)))
            .collect()
    }

    fn restore(&mut self, row: DeliveryRow, now: At) {
        let receiver = self.routing.receivers.get(&row.receiver);
        let Some(channel) = receiver
            .and_then(|receiver| receiver.channels.get(row.place))
            .cloned()
        else {
            return;
        };
        let key = Key {
            group: row.group,
            receiver: row.receiver,
            place: row.place,
        };
        let (firing, resolved) = (sets(row.firing), sets(row.resolved));
        if row.next_ms.is_none() {
            let entry = self.log.entry(key.clone()).or_default();
            entry.doubt(&firing, &resolved);
        }
        let alerts = row.alerts.into_iter().map(|(row, is_firing)| Told {
            notice: notice(row),
            is_firing,
        });
        let reason = REASONS
            .into_iter()
            .find(|reason| reason.name() == row.reason);
        let notification = Notification {
            id: row.id,
            receiver: key.receiver.clone(),
            place: key.place,
            channel,
            group_key: key.group.clone(),
            group_labels: Labels::new(&row.group_labels),
            alerts: alerts.collect(),
            reason: reason.unwrap_or(Reason::Repeated),
            made_at: at(row.made),
            attempts: row.attempts,
        };
        self.ids.insert(row.id, key.clone());
        let delivery = Delivery {
            notification,
            firing,
            resolved,
            next_ms: row.next_ms.or(Some(now.steady_ms)),
            again: false,
        };
        self.deliveries.insert(key, delivery);
    }
}

fn maps(sets: &BTreeSet<Labels>) -> Vec<Map> {
    sets.iter().map(pairs).collect()
}

fn sets(maps: Vec<Map>) -> BTreeSet<Labels> {
    maps.into_iter().map(Labels::new).collect()
}

fn notice_row(notice: &Notice) -> NoticeRow {
    NoticeRow {
        labels: pairs(&notice.labels),
        annotations: notice.annotations.clone(),
        value: notice.value.to_bits(),
        query: notice.query.clone(),
        starts: point(notice.starts_at),
        ended: notice.ended_at.map(point),
        expires: notice.expires_at.map(point),
    }
}

fn notice(row: NoticeRow) -> Notice {
    Notice {
        labels: Labels::new(row.labels),
        annotations: row.annotations,
        value: f64::from_bits(row.value),
        query: row.query,
        starts_at: at(row.starts),
        ended_at: row.ended.map(at),
        expires_at: row.expires.map(at),
    }
}

fn cluster_row(key: &str, cluster: &Cluster) -> ClusterRow {
    ClusterRow {
        key: key.to_owned(),
        route: cluster.route.clone(),
        labels: pairs(&cluster.labels),
        members: maps(&cluster.members),
        next_ms: cluster.next_ms,
        has_flushed: cluster.has_flushed,
    }
}

fn cluster(row: ClusterRow) -> (String, Cluster) {
    let cluster = Cluster {
        route: row.route,
        labels: Labels::new(row.labels),
        members: sets(row.members),
        next_ms: row.next_ms,
        has_flushed: row.has_flushed,
    };
    (row.key, cluster)
}

fn log_row(key: &Key, entry: &Entry) -> LogRow {
    LogRow {
        group: key.group.clone(),
        receiver: key.receiver.clone(),
        place: key.place,
        firing: maps(&entry.firing),
        resolved: maps(&entry.resolved),
        maybe: maps(&entry.maybe),
        maybe_ended: maps(&entry.maybe_ended),
        at: entry.at.map(point),
    }
}

fn log_entry(row: LogRow) -> (Key, Entry) {
    let key = Key {
        group: row.group,
        receiver: row.receiver,
        place: row.place,
    };
    let entry = Entry {
        firing: sets(row.firing),
        resolved: sets(row.resolved),
        maybe: sets(row.maybe),
        maybe_ended: sets(row.maybe_ended),
        at: row.at.map(at),
    };
    (key, entry)
}

fn delivery_row(key: &Key, delivery: &Delivery) -> DeliveryRow {
    let notification = &delivery.notification;
    let alerts = notification.alerts.iter();
    DeliveryRow {
        id: notification.id,
        group: key.group.clone(),
        receiver: key.receiver.clone(),
        place: key.place,
        group_labels: pairs(&notification.group_labels),
        firing: maps(&delivery.firing),
        resolved: maps(&delivery.resolved),
        alerts: alerts
            .map(|told| (notice_row(&told.notice), told.is_firing))
            .collect(),
        reason: notification.reason.name().to_owned(),
        made: point(notification.made_at),
        attempts: notification.attempts,
        next_ms: delivery.next_ms,
    }
}

fn silence_row(silence: &Silence) -> SilenceRow {
    SilenceRow {
        id: silence.id.clone(),
        matchers: silence.matchers.iter().map(written).collect(),
        starts_ms: silence.starts_ms,
        ends_ms: silence.ends_ms,
        by: silence.by.clone(),
        comment: silence.comment.clone(),
    }
}

/// A matcher in the form that reads back whatever its name and value are.
fn written(matcher: &mainstay_metrics::Matcher) -> String {
    let quoted = |text: &str| {
        format!(
            "\"{}\"",
            text.replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n")
        )
    };
    format!(
        "{}{}{}",
        quoted(&matcher.name),
        matcher.op.sign(),
        quoted(&matcher.value)
    )
}

fn silence(row: SilenceRow) -> Option<Silence> {
    let matchers = row.matchers.iter().map(|text| matching::matchers(text));
    Some(Silence {
        id: row.id,
        matchers: matchers.collect::<Result<Vec<_>, _>>().ok()?.concat(),
        starts_ms: row.starts_ms,
        ends_ms: row.ends_ms,
        by: row.by,
        comment: row.comment,
    })
}

fn page(row: PageRow) -> ((String, String), Page) {
    let page = Page {
        began: at(row.began),
        called: row.called,
        taken: row.taken.map(at),
    };
    ((row.group, row.escalation), page)
}

fn acknowledged_by(row: AcknowledgedRow) -> (Labels, Acknowledged) {
    let acknowledged = Acknowledged {
        by: row.by,
        at: at(row.at),
    };
    (Labels::new(row.labels), acknowledged)
}

fn swap(row: SwapRow) -> (String, Override) {
    let swap = Override {
        person: row.person,
        from_ms: row.from_ms,
        until_ms: row.until_ms,
    };
    (row.rotation, swap)
}

fn failing_row(failing: &Failing) -> FailingRow {
    FailingRow {
        receiver: failing.receiver.clone(),
        place: failing.place,
        kind: failing.kind.clone(),
        since: point(failing.since),
        attempts: failing.attempts,
        why: failing.why.clone(),
        is_refusal: failing.is_refusal,
        is_told: failing.is_told,
    }
}

fn failing(row: FailingRow) -> Failing {
    Failing {
        receiver: row.receiver,
        place: row.place,
        kind: row.kind,
        since: at(row.since),
        attempts: row.attempts,
        why: row.why,
        is_refusal: row.is_refusal,
        is_told: row.is_told,
    }
}
