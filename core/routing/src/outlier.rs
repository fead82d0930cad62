//! Setting a failing instance aside, and trying it again.

use mainstay_atoms::Moment;
use std::time::Duration;

/// Whether an instance may be picked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Like any other.
    Open,
    /// For one request, which decides.
    Probe,
    /// Not while another admits.
    Ejected,
}

/// What one worker knows of the health of one instance from the traffic it sent there.
///
/// A connection that cannot be made ejects at once, the fifth failed answer (5xx) in a row ejects too.
/// An ejection lasts 1 s, doubling up to 30 s while probes fail; what fails meanwhile was begun before and
/// lengthens nothing. When the time is over, one probe goes through; its success forgets everything. At most n − 1 of n instances are set aside: whoever picks
/// must take any instance when none is admitted ([`Admission::Ejected`] by all means none is).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outlier {
    failures: u32,
    ejections: u32,
    until: Option<Moment>,
    probing_since: Option<Moment>,
}

/// Consecutive failed answers that eject (Envoy's default).
const FAILURES: u32 = 5;
const BASE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// A probe that never reports back no longer blocks the next one.
const PROBE: Duration = Duration::from_secs(10);

impl Outlier {
    /// Whether it may be picked at `now`.
    pub fn admission(&self, now: Moment) -> Admission {
        match (self.until, self.probing_since) {
            (None, _) => Admission::Open,
            (Some(until), _) if now < until => Admission::Ejected,
            (Some(_), Some(since)) if now.since(since) < PROBE => Admission::Ejected,
            (Some(_), _) => Admission::Probe,
        }
    }

    /// Whether it failed again when it was tried after it had been set aside: not a trouble that passed.
    pub fn is_confirmed(&self) -> bool {
        self.ejections > 1
    }

    /// It was picked; a probe is under way if it was admitted as one.
    pub fn picked(&mut self, now: Moment) {
        if self.admission(now) == Admission::Probe {
            self.probing_since = Some(now);
        }
    }

    /// It answered, and not with a 5xx.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// It answered with a 5xx.
    pub fn failed(&mut self, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES || self.probing_since.is_some() {
            self.eject(now);
        }
    }

    /// No connection could be made, or it broke before an answer.
    pub fn unreachable(&mut self, now: Moment) {
        self.eject(now);
    }

    fn eject(&mut self, now: Moment) {
        if self.until.is_some_and(|until| now < until) {
            return;
        }
        let length = BASE.saturating_mul(1 << self.ejections.min(5)).min(LONGEST);
        self.ejections = self.ejections.saturating_add(1);
        self.until = Some(now.after(length));
        self.probing_since = None;
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_connection_ejects_and_one_probe_brings_back() {
        let mut outlier = Outlier::default();
        outlier.unreachable(Moment(0));
        assert_eq!(outlier.admission(Moment(999)), Admission::Ejected);
        assert_eq!(outlier.admission(Moment(1000)), Admission::Probe);
        outlier.picked(Moment(1000));
        assert_eq!(outlier.admission(Moment(1001)), Admission::Ejected);
        outlier.succeeded();
        assert_eq!(outlier.admission(Moment(1002)), Admission::Open);
    }

    #[test]
    fn what_was_under_way_when_it_was_set_aside_lengthens_nothing() {
        let mut outlier = Outlier::default();
        for at in [0, 1, 2, 999] {
            outlier.unreachable(Moment(at));
            outlier.failed(Moment(at));
        }
        assert_eq!(outlier.admission(Moment(1000)), Admission::Probe);
        assert!(!outlier.is_confirmed());
        outlier.picked(Moment(1000));
        outlier.failed(Moment(1001));
        assert!(outlier.is_confirmed());
        assert_eq!(outlier.admission(Moment(3000)), Admission::Ejected);
        assert_eq!(outlier.admission(Moment(3001)), Admission::Probe);
        outlier.succeeded();
        assert!(!outlier.is_confirmed());
    }

    #[test]
    fn five_failed_answers_in_a_row_eject() {
        let mut outlier = Outlier::default();
        for _ in 0..4 {
            outlier.failed(Moment(0));
        }
        outlier.succeeded();
        for _ in 0..4 {
            outlier.failed(Moment(0));
        }
        assert_eq!(outlier.admission(Moment(0)), Admission::Open);
        outlier.failed(Moment(0));
        assert_eq!(outlier.admission(Moment(0)), Admission::Ejected);
    }

    #[test]
    fn ejections_lengthen_to_a_limit_and_a_lost_probe_does_not_block() {
        let mut outlier = Outlier::default();
        let mut now = Moment(0);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            outlier.unreachable(now);
            let back = now.after(Duration::from_secs(seconds));
            assert_eq!(outlier.admission(Moment(back.0 - 1)), Admission::Ejected);
            assert_eq!(outlier.admission(back), Admission::Probe);
            now = back;
        }
        outlier.picked(now);
        assert_eq!(outlier.admission(now.after(PROBE)), Admission::Probe);
    }
}
