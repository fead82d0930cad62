//! Questions that take a while, asked beside everything else: each on a thread of its own.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

/// An answer to a question that is older than this was asked for something that is over.
const STALE: Duration = Duration::from_secs(15);

/// Questions under way.
pub(crate) struct Beside<Q, A> {
    asking: BTreeMap<Q, Asking<A>>,
}

struct Asking<A> {
    since: Instant,
    answer: Receiver<A>,
}

impl<Q: Ord + Clone, A: Send + 'static> Beside<Q, A> {
    pub(crate) fn new() -> Self {
        Self {
            asking: BTreeMap::new(),
        }
    }

    /// The answer to a question, once it is there; the first call asks, and one after the answer again. An
    /// error says why nobody could ask, or answer.
    pub(crate) fn ask<F: FnOnce() -> A + Send + 'static>(
        &mut self,
        question: &Q,
        asked: impl FnOnce() -> F,
    ) -> Option<Result<A, String>> {
        self.asking
            .retain(|_, asking| asking.since.elapsed() < STALE);
        let Some(asking) = self.asking.get(question) else {
            return self.begin(question, asked()).err().map(Err);
        };
        let answer = match asking.answer.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Ok(answer) => Ok(answer),
            Err(TryRecvError::Disconnected) => Err("the question was cut off".to_owned()),
        };
        self.asking.remove(question);
        Some(answer)
    }

    fn begin(
        &mut self,
        question: &Q,
        asked: impl FnOnce() -> A + Send + 'static,
    ) -> Result<(), String> {
        let (said, answer) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("question".into());
        // Nobody is there to hear it when the engine has lost interest.
        let begun = thread.spawn(move || drop(said.send(asked())));
        begun.map_err(|fault| fault.to_string())?;
        let since = Instant::now();
        self.asking
            .insert(question.clone(), Asking { since, answer });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_asked_once_and_answered_once() {
        let mut beside = Beside::new();
        assert_eq!(beside.ask(&"who", || || 7), None);
        let deadline = Instant::now() + Duration::from_secs(10);
        let answer = loop {
            // Whatever is asked meanwhile is the same question.
            if let Some(answer) = beside.ask(&"who", || || 8) {
                break answer;
            }
            assert!(Instant::now() < deadline);
            thread::yield_now();
        };
        assert_eq!(answer, Ok(7));
        assert!(beside.asking.is_empty());
    }
}
