//! Faults on demand.
//!
//! By environment: `FAULT_ERROR_RATE` (0 to 1), `FAULT_LATENCY_MS`, `FAULT_UNREADY`,
//! `FAULT_READY_AFTER_MS`, `FAULT_EXIT_AFTER_MS`, `FAULT_EXIT_CODE` (1), `FAULT_IGNORE_TERM`,
//! `FAULT_LEAK_KB` (for each request). While it runs: `POST /fault` with the same words in lower case
//! as a form, such as `curl -d 'error_rate=0.5&latency_ms=200' …/fault`; `exit=3` ends it now.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

#[derive(Debug, Clone, Default)]
struct Set {
    error_rate: f64,
    latency: Duration,
    unready: bool,
    ready_after: Duration,
    ignore_term: bool,
    leak_kb: usize,
}

/// The faults in force.
pub(crate) struct Faults {
    set: Mutex<Set>,
    /// Errors owed: each request adds the rate, each error takes one.
    owed: Mutex<f64>,
    leaked: Mutex<Vec<Vec<u8>>>,
    start: Instant,
    exit_at: watch::Sender<Option<(Instant, u8)>>,
}

/// A setting that does not read.
#[derive(Debug)]
pub(crate) struct Unread(pub(crate) String);

impl Faults {
    pub(crate) fn from_environment() -> Self {
        let faults = Self {
            set: Mutex::default(),
            owed: Mutex::default(),
            leaked: Mutex::default(),
            start: Instant::now(),
            exit_at: watch::Sender::new(None),
        };
        let words: BTreeMap<String, String> = std::env::vars()
            .filter_map(|(name, value)| Some((name.strip_prefix("FAULT_")?.to_lowercase(), value)))
            .collect();
        if let Err(Unread(word)) = faults.apply(&words) {
            crate::log(&format!("fault setting not understood: {word}"));
        }
        faults
    }

    /// Takes settings over; all or none.
    pub(crate) fn apply(&self, words: &BTreeMap<String, String>) -> Result<(), Unread> {
        let mut set = lock(&self.set).clone();
        let mut exit = None;
        let number = |name: &str| words.get(name).and_then(|text| text.parse::<u64>().ok());
        let code = number("exit_code")
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1);
        for (word, value) in words {
            let unread = || Unread(format!("{word}={value}"));
            let on = !matches!(value.as_str(), "" | "0" | "false" | "no");
            let count = value.parse::<u64>();
            match word.as_str() {
                "error_rate" => set.error_rate = value.parse().map_err(|_| unread())?,
                "latency_ms" => set.latency = Duration::from_millis(count.map_err(|_| unread())?),
                "ready_after_ms" => {
                    set.ready_after = Duration::from_millis(count.map_err(|_| unread())?);
                }
                "unready" => set.unready = on,
                "ignore_term" => set.ignore_term = on,
                "leak_kb" => set.leak_kb = value.parse().map_err(|_| unread())?,
                "exit_after_ms" => {
                    let after = Duration::from_millis(count.map_err(|_| unread())?);
                    exit = Some((Instant::now() + after, code));
                }
                "exit" => exit = Some((Instant::now(), value.parse().map_err(|_| unread())?)),
                "exit_code" => {}
                _ => return Err(unread()),
            }
        }
        *lock(&self.set) = set;
        if exit.is_some() {
            self.exit_at.send_replace(exit);
        }
        Ok(())
    }

    pub(crate) fn latency(&self) -> Duration {
        lock(&self.set).latency
    }

    pub(crate) fn is_ready(&self) -> bool {
        let set = lock(&self.set);
        !set.unready && self.start.elapsed() >= set.ready_after
    }

    pub(crate) fn ignores_term(&self) -> bool {
        lock(&self.set).ignore_term
    }

    /// Whether this request fails; exactly the asked share does, evenly spread.
    pub(crate) fn fails(&self) -> bool {
        let rate = lock(&self.set).error_rate;
        let mut owed = lock(&self.owed);
        *owed += rate;
        let fails = *owed >= 1.0;
        if fails {
            *owed -= 1.0;
        }
        fails
    }

    /// Keeps memory that nobody needs, touched so that it counts.
    pub(crate) fn leak(&self) {
        let kb = lock(&self.set).leak_kb;
        if kb > 0 {
            lock(&self.leaked).push(vec![1; kb * 1024]);
        }
    }

    /// Waits for the end that was asked for.
    pub(crate) async fn exit(&self) -> u8 {
        let mut wanted = self.exit_at.subscribe();
        loop {
            let at = *wanted.borrow_and_update();
            let changed = wanted.changed();
            let Some((at, code)) = at else {
                // The sender lives as long as we do.
                drop(changed.await);
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(at.into()) => return code,
                _ = changed => {}
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> BTreeMap<String, String> {
        crate::page::form(text)
    }

    #[test]
    fn exactly_the_asked_share_fails() {
        let faults = Faults::from_environment();
        faults.apply(&words("error_rate=0.25")).unwrap();
        assert_eq!((0..100).filter(|_| faults.fails()).count(), 25);
        faults.apply(&words("error_rate=0")).unwrap();
        assert_eq!((0..100).filter(|_| faults.fails()).count(), 0);
    }

    #[test]
    fn a_wrong_setting_changes_nothing() {
        let faults = Faults::from_environment();
        assert!(faults.apply(&words("unready=1&latency_ms=soon")).is_err());
        assert!(faults.apply(&words("unready=1&colour=red")).is_err());
        assert!(faults.is_ready());
        faults.apply(&words("unready=1")).unwrap();
        assert!(!faults.is_ready());
    }
}
