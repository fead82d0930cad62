//! Takes what the signals process tells outside: messages to their channels, trials of channels, heartbeats.
//!
//! A channel that hangs holds up one of a few threads for as long as an attempt may take; heartbeats have a thread
//! of their own, because whoever waits for them takes silence for death.

use crate::clock;
use crate::signals::surroundings;
use crate::state::State;
use mainstay_alerting::{At, Beat, BeatMethod, Message, Notification, Outcome};
use mainstay_notify_io::{Allowed, Notifier, Trust};
use mainstay_signals_io::{Deliver, Errand, Report, Trial, Tried};
use mainstay_store_io::{FileSecrets, Secrets as _};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Messages that wait to be handed over; the router makes those again that find no place.
const QUEUE: usize = 256;

/// Attempts at the same time.
const THREADS: usize = 4;

/// One attempt that is to be made.
enum Work {
    Message(Box<Notification>, Report),
    Trial(Box<Notification>, Trial),
}

/// Speaks to channels, or says why it cannot.
struct Speaker {
    state: State,
    notifier: Result<Notifier, String>,
}

/// Speaks to channels with the secrets of this state, or says why it cannot.
pub(crate) fn notifier(state: &State) -> Result<Notifier, String> {
    let secrets = FileSecrets::new(&state.secrets());
    let vault = move |name: &str| {
        let secret = secrets.get(name).ok()?;
        Some(secret.reveal().to_owned())
    };
    Trust::system()
        .map(|trust| Notifier::new(trust, Box::new(vault), Allowed::default()))
        .map_err(|fault| fault.to_string())
}

/// Starts the threads.
pub(crate) fn start(state: &State) -> io::Result<Deliver> {
    let speaker = Arc::new(Speaker {
        state: state.clone(),
        notifier: notifier(state),
    });
    let (messages, queue) = sync_channel::<Work>(QUEUE);
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..THREADS {
        let (speaker, queue) = (Arc::clone(&speaker), Arc::clone(&queue));
        std::thread::Builder::new()
            .name("notify".into())
            .spawn(move || speaker.work(&queue))?;
    }
    let (beats, due) = sync_channel::<(Beat, Report)>(1);
    let heart = Arc::clone(&speaker);
    std::thread::Builder::new()
        .name("heartbeat".into())
        .spawn(move || heart.beat(&due))?;
    Ok(Box::new(move |errand, report| {
        let report = report.clone();
        match errand {
            Errand::Allow(addresses) => speaker.allow(addresses),
            Errand::Beat(beat) => {
                // One that finds the one before still under way is a failure of its own.
                if let Err(fault) = beats.try_send((beat, report)) {
                    let (TrySendError::Full((_, report)) | TrySendError::Disconnected((_, report))) =
                        fault;
                    report.beaten(failed("the one before is still under way"));
                }
            }
            Errand::Message(notification) => {
                queue_up(&messages, Work::Message(notification, report));
            }
            Errand::Trial(notification, trial) => {
                queue_up(&messages, Work::Trial(notification, trial));
            }
        }
    }))
}

fn failed(why: &str) -> Outcome {
    Outcome::Failed {
        why: why.to_owned(),
        maybe_accepted: false,
        wait_ms: None,
    }
}

fn queue_up(messages: &SyncSender<Work>, work: Work) {
    let (work, why) = match messages.try_send(work) {
        Ok(()) => return,
        Err(TrySendError::Full(work)) => (work, "too many messages wait"),
        Err(TrySendError::Disconnected(work)) => (work, "nobody hands messages over"),
    };
    match work {
        Work::Message(notification, report) => report.done(notification.id, failed(why)),
        Work::Trial(_, trial) => trial.tell(Tried {
            outcome: failed(why),
            ..Tried::default()
        }),
    }
}

impl Speaker {
    fn allow(&self, addresses: Vec<std::net::IpAddr>) {
        if let Ok(notifier) = &self.notifier {
            notifier.allow(Allowed(addresses));
        }
    }

    /// Makes attempts, one after the other.
    fn work(&self, queue: &Mutex<Receiver<Work>>) {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            match next {
                Ok(Work::Message(notification, report)) => {
                    let tried = self.send(&notification);
                    report.done(notification.id, tried.outcome);
                }
                Ok(Work::Trial(notification, trial)) => trial.tell(self.send(&notification)),
                Err(_) => return,
            }
        }
    }

    fn send(&self, notification: &Notification) -> Tried {
        let now = i64::try_from(clock::wall().0).unwrap_or(i64::MAX);
        let message = Message::of(notification, &surroundings(&self.state), At::both(now));
        let title = message.title.clone();
        match &self.notifier {
            Ok(notifier) => {
                let sent = notifier.send(notification, &message);
                Tried {
                    title,
                    outcome: sent.outcome,
                    answer: sent.answer,
                    remark: sent.remark.unwrap_or_default(),
                }
            }
            Err(why) => Tried {
                title,
                outcome: Outcome::Refused { why: why.clone() },
                ..Tried::default()
            },
        }
    }

    fn beat(&self, due: &Receiver<(Beat, Report)>) {
        for (beat, report) in due {
            let outcome = match &self.notifier {
                Ok(notifier) => notifier.beat(&beat.url, beat.method == BeatMethod::Get),
                Err(why) => Outcome::Refused { why: why.clone() },
            };
            report.beaten(outcome);
        }
    }
}
