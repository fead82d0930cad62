//! What one channel is to be told of one group.

use crate::alert::Notice;
use crate::at::At;
use crate::receiver::Channel;
use mainstay_metrics::Labels;
use std::collections::BTreeMap;

/// Why a group is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// For the first time.
    First,
    /// An alert is new in it.
    NewAlert,
    /// All its alerts have ended.
    AllResolved,
    /// Some have ended.
    SomeResolved,
    /// Nothing changed for as long as a repetition waits.
    Repeated,
    /// An escalation calls somebody who was called before: nobody took it.
    Unanswered,
}

impl Reason {
    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::NewAlert => "new_alert",
            Self::AllResolved => "all_resolved",
            Self::SomeResolved => "some_resolved",
            Self::Repeated => "repeated",
            Self::Unanswered => "unanswered",
        }
    }
}

/// What is known of an alert when it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The alert.
    pub notice: Notice,
    /// Whether it fires.
    pub is_firing: bool,
}

/// One message to one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The same for every attempt at the same content, over restarts too: receivers tell repetitions by it.
    pub id: u64,
    /// Who is told.
    pub receiver: String,
    /// Which of the receiver's channels, from zero.
    pub place: usize,
    /// The channel.
    pub channel: Channel,
    /// What tells the group from others; it stays the same as long as the group is told of.
    pub group_key: String,
    /// The labels by which it is grouped.
    pub group_labels: Labels,
    /// Its alerts, firing ones first.
    pub alerts: Vec<Told>,
    /// Why it is told.
    pub reason: Reason,
    /// When the content was put together.
    pub made_at: At,
    /// How often it was tried before.
    pub attempts: u32,
}

impl Notification {
    /// A message that tries a channel out; it is told from real ones by its name and severity.
    pub fn test(receiver: &str, place: usize, channel: Channel, at: At) -> Self {
        let labels = Labels::new([
            ("alertname", "Test"),
            ("severity", "info"),
            ("receiver", receiver),
        ]);
        let summary = "this is a test: nothing is wrong, and the channel works";
        let notice = Notice {
            annotations: BTreeMap::from([("summary".to_owned(), summary.to_owned())]),
            value: 0.0,
            query: String::new(),
            starts_at: at,
            ended_at: None,
            expires_at: None,
            labels: labels.clone(),
        };
        Self {
            // Each test is a message of its own.
            id: at.wall_ms.unsigned_abs(),
            receiver: receiver.to_owned(),
            place,
            channel,
            group_key: format!("test/{receiver}/{place}"),
            group_labels: labels,
            alerts: vec![Told {
                notice,
                is_firing: true,
            }],
            reason: Reason::First,
            made_at: at,
            attempts: 0,
        }
    }

    /// Whether any of its alerts fires.
    pub fn is_firing(&self) -> bool {
        self.alerts.iter().any(|told| told.is_firing)
    }

    /// How many alerts fire.
    pub fn firing(&self) -> usize {
        self.alerts.iter().filter(|told| told.is_firing).count()
    }

    /// Labels that all its alerts have in common.
    pub fn common_labels(&self) -> Labels {
        let mut sets = self.alerts.iter().map(|told| &told.notice.labels);
        let Some(first) = sets.next() else {
            return Labels::default();
        };
        sets.fold(first.clone(), |common, labels| {
            common.filtered(|label| labels.get(&label.name) == &*label.value)
        })
    }

    /// Annotations that all its alerts have in common.
    pub fn common_annotations(&self) -> BTreeMap<String, String> {
        let mut maps = self.alerts.iter().map(|told| &told.notice.annotations);
        let mut common = maps.next().cloned().unwrap_or_default();
        for map in maps {
            common.retain(|name, value| map.get(name) == Some(value));
        }
        common
    }
}
