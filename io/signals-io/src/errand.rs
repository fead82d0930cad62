//! What is to be taken outside of the process, and how what came of it comes back.

use crate::rules::Order;
use mainstay_alerting::{Beat, Notification, Outcome};
use std::net::IpAddr;
use std::sync::mpsc::Sender;
use tokio::sync::oneshot;

/// Something that is to be taken outside.
#[derive(Debug)]
pub enum Errand {
    /// A message to its channel; what came of it goes to [`Report::done`].
    Message(Box<Notification>),
    /// A message that tries a channel out; who asked hears what came of it.
    Trial(Box<Notification>, Trial),
    /// A sign that rules are evaluated; what came of it goes to [`Report::beaten`].
    Beat(Beat),
    /// Addresses that may be reached from now on although they are link-local.
    Allow(Vec<IpAddr>),
}

/// Takes errands. It must not wait: what came of them is told to the report.
pub type Deliver = Box<dyn FnMut(Errand, &Report) + Send>;

/// Tells what came of an errand.
#[derive(Debug, Clone)]
pub struct Report(pub(crate) Sender<Order>);

impl Report {
    /// Says what came of a message; one whose process ends is forgotten, and made again at the next start.
    pub fn done(&self, id: u64, outcome: Outcome) {
        drop(self.0.send(Order::Done(id, outcome)));
    }

    /// Says what came of a heartbeat.
    pub fn beaten(&self, outcome: Outcome) {
        drop(self.0.send(Order::Beaten(outcome)));
    }
}

/// Who waits for what comes of a trial.
#[derive(Debug)]
pub struct Trial(pub(crate) oneshot::Sender<Tried>);

impl Trial {
    /// Says what came of it; whoever asked may be gone.
    pub fn tell(self, tried: Tried) {
        drop(self.0.send(tried));
    }
}

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The title of the message that was sent.
    pub title: String,
    /// Whether it was taken.
    pub outcome: Outcome,
    /// What the other side answered, without secrets.
    pub answer: String,
    /// What a person should know although it was taken.
    pub remark: String,
}

impl Default for Tried {
    fn default() -> Self {
        Self {
            title: String::new(),
            outcome: Outcome::Accepted,
            answer: String::new(),
            remark: String::new(),
        }
    }
}
