//! What a replay of the ledger knows of what alerts did by themselves.

use crate::event::Event;
use mainstay_atoms::Wall;
use std::collections::{BTreeMap, VecDeque};

/// Times that are remembered of one deed of one alert: as many as a file may allow within a day.
const KEPT: usize = 288;

/// Deeds that are remembered; a file that names more within its life forgets the ones that were done longest ago.
const DEEDS: usize = 256;

/// One time that an alert did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// The alert.
    pub alert: String,
    /// What, in words.
    pub deed: String,
    /// The service, job or route that it is about.
    pub subject: String,
    /// The count that it reached, where there is one.
    pub reaches: Option<u32>,
    /// It was only said.
    pub dry_run: bool,
    /// When.
    pub at: Wall,
    /// When, on the clock by which alerts wait.
    pub steady_ms: i64,
}

/// Everything that alerts did, as far back as anybody has to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acts {
    /// By alert and deed, the oldest first.
    kept: BTreeMap<(String, String), VecDeque<Act>>,
}

impl Acts {
    /// Takes one event in; what is about something else changes nothing.
    pub(crate) fn apply(&mut self, event: &Event, at: Wall) {
        let Event::AlertActed {
            alert,
            deed,
            subject,
            reaches,
            dry_run,
            steady_ms,
        } = event
        else {
            return;
        };
        let key = (alert.clone(), deed.clone());
        let times = self.kept.entry(key).or_default();
        if times.len() >= KEPT {
            times.pop_front();
        }
        times.push_back(Act {
            alert: alert.clone(),
            deed: deed.clone(),
            subject: subject.clone(),
            reaches: *reaches,
            dry_run: *dry_run,
            at,
            steady_ms: *steady_ms,
        });
        if self.kept.len() > DEEDS {
            self.forget_one();
        }
    }

    fn forget_one(&mut self) {
        let last = |times: &VecDeque<Act>| times.back().map(|act| act.steady_ms);
        let oldest = self.kept.iter().min_by_key(|(_, times)| last(times));
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.kept.remove(&key);
        }
    }

    /// When a deed was done (or said) for an alert, the oldest first.
    pub fn of<'a>(&'a self, alert: &str, deed: &str) -> impl Iterator<Item = &'a Act> + use<'a> {
        let key = (alert.to_owned(), deed.to_owned());
        self.kept.get(&key).into_iter().flatten()
    }

    /// Everything, the newest first.
    pub fn newest(&self) -> Vec<&Act> {
        let mut all: Vec<&Act> = self.kept.values().flatten().collect();
        all.sort_by_key(|act| std::cmp::Reverse((act.steady_ms, act.at)));
        all
    }

    /// The latest one.
    pub fn last(&self) -> Option<&Act> {
        let last = self.kept.values().filter_map(VecDeque::back);
        last.max_by_key(|act| act.steady_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acted(deed: &str, steady_ms: i64) -> Event {
        Event::AlertActed {
            alert: "HomeFails".into(),
            deed: deed.into(),
            subject: "web".into(),
            reaches: Some(3),
            dry_run: false,
            steady_ms,
        }
    }

    #[test]
    fn what_was_done_is_remembered_within_bounds() {
        let mut acts = Acts::default();
        for minute in 0..300 {
            acts.apply(&acted("scale web by 1", minute), Wall(5));
        }
        assert_eq!(acts.of("HomeFails", "scale web by 1").count(), KEPT);
        assert_eq!(acts.newest()[0].steady_ms, 299);
        for other in 0..300 {
            acts.apply(&acted(&format!("run job-{other}"), 1000 + other), Wall(5));
        }
        assert_eq!(acts.kept.len(), DEEDS);
        assert_eq!(
            acts.of("HomeFails", "scale web by 1").count(),
            0,
            "the oldest"
        );
        assert_eq!(acts.last().map(|act| act.steady_ms), Some(1299));
    }

    #[test]
    fn an_event_reads_back_what_it_wrote() {
        let event = acted("run heal", 7);
        assert_eq!(Event::from_bytes(&event.to_bytes()).unwrap(), event);
    }
}
