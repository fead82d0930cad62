//! Smoke tests: asks a run, beside everything else, whether its pages are as the file says.

use crate::check;
use crate::probe::Answer;
use mainstay_atoms::{Generation, InstanceId, SMOKE_BYTES, Smoke};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

/// From a test that failed to its next try.
const AGAIN: Duration = Duration::from_millis(100);

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What is known of a run's tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Smoked {
    /// They are under way.
    Asking,
    /// All of them passed.
    Passed,
    /// One did not pass in its time, in words.
    Failed(String),
}

/// Runs that are being tested, each by a thread of its own.
#[derive(Debug, Default)]
pub struct Smoker {
    asking: BTreeMap<(InstanceId, Generation), Receiver<Result<(), String>>>,
}

impl Smoker {
    /// What the tests of a run came to; the first call begins them, and one after their end again.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn ask(
        &mut self,
        run: (&InstanceId, Generation),
        address: SocketAddr,
        tests: &BTreeMap<String, Smoke>,
    ) -> io::Result<Smoked> {
        let run = (run.0.clone(), run.1);
        let Some(asking) = self.asking.get(&run) else {
            let (done, asking) = mpsc::sync_channel(1);
            let tests = tests.clone();
            thread::Builder::new().name("smoke".into()).spawn(move || {
                // Nobody is there to hear it when the engine has lost interest.
                done.send(all(address, &tests)).ok();
            })?;
            self.asking.insert(run, asking);
            return Ok(Smoked::Asking);
        };
        let smoked = match asking.try_recv() {
            Err(TryRecvError::Empty) => return Ok(Smoked::Asking),
            Ok(Ok(())) => Smoked::Passed,
            Ok(Err(why)) => Smoked::Failed(why),
            Err(TryRecvError::Disconnected) => Smoked::Failed("the tests were cut off".into()),
        };
        self.asking.remove(&run);
        Ok(smoked)
    }
}

/// Every test, one after the other.
fn all(address: SocketAddr, tests: &BTreeMap<String, Smoke>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|fault| fault.to_string())?;
    for (name, test) in tests {
        let began = Instant::now();
        loop {
            let limit = test.within.min(ANSWER);
            let answer = check::page(address, &test.get, SMOKE_BYTES);
            let answer = runtime
                .block_on(async { tokio::time::timeout(limit, answer).await })
                .unwrap_or(Answer::TimedOut { after: limit });
            let Err(why) = passes(test, &answer) else {
                break;
            };
            if began.elapsed() + AGAIN > test.within {
                return Err(format!("smoke test `{name}`: GET {}: {why}", test.get));
            }
            thread::sleep(AGAIN);
        }
    }
    Ok(())
}

/// Whether an answer is as a test wants it; else what is wrong with it.
fn passes(test: &Smoke, answer: &Answer) -> Result<(), String> {
    match answer {
        Answer::Status { code, body } => match &test.contains {
            _ if *code != test.expect => Err(format!("{code}, expected {}", test.expect)),
            Some(text) if !body.contains(text.as_str()) => {
                Err(format!("the body does not contain `{text}`"))
            }
            _ => Ok(()),
        },
        other => Err(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_status_and_body() {
        let test = Smoke {
            get: "/".into(),
            expect: 200,
            contains: Some("shop".into()),
            within: Duration::from_secs(1),
        };
        let answer = |code, body: &str| Answer::Status {
            code,
            body: body.into(),
        };
        assert_eq!(passes(&test, &answer(200, "the shop")), Ok(()));
        let faults = [
            (answer(503, "the shop"), "503, expected 200"),
            (answer(200, "the sho"), "the body does not contain `shop`"),
        ];
        for (answer, why) in faults {
            assert_eq!(passes(&test, &answer), Err(why.to_owned()));
        }
        assert!(passes(&test, &Answer::Refused).is_err());
    }
}
