//! How the sweeper sees a connection to an instance: since when it waits for the head of an answer.

use std::cell::{Cell, RefCell};
use std::task::Waker;

/// Shared by a connection and the sweeper.
#[derive(Debug, Default)]
pub(crate) struct Lifeline {
    /// Worker milliseconds plus one; zero while it does not wait.
    pub(crate) waiting_ms: Cell<u64>,
    expired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Lifeline {
    /// The answer took too long: whoever waits for it is told.
    pub(crate) fn expire(&self) {
        self.expired.set(true);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn is_expired(&self) -> bool {
        self.expired.get()
    }

    /// Who is to be told.
    pub(crate) fn remember(&self, waker: &Waker) {
        let mut held = self.waker.borrow_mut();
        match &*held {
            Some(known) if known.will_wake(waker) => {}
            _ => *held = Some(waker.clone()),
        }
    }
}
