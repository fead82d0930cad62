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
