//! On-call: who is on duty when, and who is called next when nobody answers.

use crate::at::At;
use crate::interval::TimeInterval;
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// People who take turns.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// Its name.
    pub name: String,
    /// Who takes turns, in order.
    pub people: Vec<String>,
    /// Who else may stand in.
    pub others: Vec<String>,
    /// The zone of its hand-over; a day in which the clock is moved is a turn like any other.
    pub zone: TimeZone,
    /// The first day of the first turn.
    pub first_day: Date,
    /// When a turn is handed over.
    pub hand_over: Time,
    /// How many days a turn takes; at least one.
    pub days: u16,
    /// When anybody is on duty at all; always where none is given.
    pub hours: Vec<TimeInterval>,
    /// Turns that are swapped; of two that overlap the later one in the list wins.
    pub overrides: Vec<Override>,
}

/// Somebody stands in for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Who.
    pub person: String,
    /// From when, in civil milliseconds.
    pub from_ms: i64,
    /// Until when, excluded.
    pub until_ms: i64,
}

impl Rotation {
    /// Who is on duty at a point in civil time; `None` outside of its hours or without people.
    pub fn on_duty(&self, wall_ms: i64) -> Option<&str> {
        if !self.hours.is_empty() && !self.hours.iter().any(|interval| interval.contains(wall_ms)) {
            return None;
        }
        let swapped = self
            .overrides
            .iter()
            .rev()
            .find(|one| (one.from_ms..one.until_ms).contains(&wall_ms));
        if let Some(swapped) = swapped {
            return Some(&swapped.person);
        }
        let turn = self.turn(wall_ms)?;
        let people = i64::try_from(self.people.len())
            .ok()
            .filter(|people| *people > 0)?;
        let place = usize::try_from(turn.rem_euclid(people)).ok()?;
        self.people.get(place).map(String::as_str)
    }

    /// The number of the turn, from zero for the first.
    fn turn(&self, wall_ms: i64) -> Option<i64> {
        let civil = Timestamp::from_millisecond(wall_ms)
            .ok()?
            .to_zoned(self.zone.clone())
            .datetime();
        let early = i64::from(civil.time() < self.hand_over);
        let days = days_between(self.first_day, civil.date()) - early;
        Some(days.div_euclid(i64::from(self.days.max(1))))
    }

    /// When the turn that holds at a point in time ends, in civil milliseconds.
    pub fn next_hand_over(&self, wall_ms: i64) -> Option<i64> {
        let days = (self.turn(wall_ms)? + 1).checked_mul(i64::from(self.days.max(1)))?;
        let day = self
            .first_day
            .checked_add(jiff::Span::new().try_days(days).ok()?)
            .ok()?;
        let at = day
            .to_datetime(self.hand_over)
            .to_zoned(self.zone.clone())
            .ok()?;
        Some(at.timestamp().as_millisecond())
    }
}

/// How far ahead hours are looked at, in minutes: a week holds every day of it.
const MINUTES_AHEAD: i64 = 8 * 24 * 60;
const MINUTE_MS: i64 = 60_000;

impl Rotation {
    /// When the answer of [`Rotation::on_duty`] may be another one, in civil milliseconds: at the hand-over, or
    /// before it where a swap or its hours say so. `None` where no turn ends.
    pub fn until(&self, wall_ms: i64) -> Option<i64> {
        let turn = self.next_hand_over(wall_ms)?;
        let swaps = self.overrides.iter();
        let swaps = swaps.flat_map(|one| [one.from_ms, one.until_ms]);
        let next = swaps.filter(|at| *at > wall_ms).fold(turn, i64::min);
        if self.hours.is_empty() {
            return Some(next);
        }
        let now = self.on_duty(wall_ms);
        let first = wall_ms.div_euclid(MINUTE_MS) + 1;
        let mut minutes = (first..first + MINUTES_AHEAD).map(|minute| minute * MINUTE_MS);
        let change = minutes.find(|at| *at >= next || self.on_duty(*at) != now);
        Some(change.map_or(next, |at| at.min(next)))
    }
}

fn days_between(from: Date, to: Date) -> i64 {
    from.duration_until(to).as_hours() / 24
}

/// Who is called when, until somebody takes the alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// Its levels, in order.
    pub levels: Vec<Level>,
    /// How often the whole list is gone through again when nobody answers.
    pub repeats: u32,
}

/// One level: who, and how long they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Rotations or receivers by name.
    pub targets: Vec<String>,
    /// How long they have before the next level is called, in milliseconds.
    pub wait_ms: i64,
}

/// A page under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// When it began.
    pub began: At,
    /// How many levels were called, over all rounds.
    pub called: u32,
    /// When somebody took it.
    pub taken: Option<At>,
}

impl Page {
    /// A page that calls nobody yet.
    pub fn begin(at: At) -> Self {
        Self {
            began: at,
            called: 0,
            taken: None,
        }
    }

    /// Somebody takes it: nobody further is called.
    pub fn take(&mut self, at: At) {
        self.taken.get_or_insert(at);
    }
}

impl Escalation {
    /// The place of the level to be called by now, which counts as called from now on; `None` where none is.
    pub fn call(&self, page: &mut Page, at: At) -> Option<usize> {
        let is_due = page.taken.is_none() && self.call_ms(page)? <= at.steady_ms;
        is_due.then(|| {
            let place = page.called as usize % self.levels.len();
            page.called += 1;
            place
        })
    }

    /// Nobody could be called at the level that was called last: the next one is called at once.
    pub fn pass_over(&self, page: &mut Page) {
        let Some(last) = page
            .called
            .checked_sub(1)
            .filter(|_| !self.levels.is_empty())
        else {
            return;
        };
        let wait = self.levels[last as usize % self.levels.len()].wait_ms;
        page.began.steady_ms = page.began.steady_ms.saturating_sub(wait.max(0));
    }

    /// The levels to be called by now that were not, each once; they count as called from now on.
    pub fn due(&self, page: &mut Page, at: At) -> Vec<&Level> {
        let mut due = Vec::new();
        while let Some(place) = self.call(page, at) {
            due.push(&self.levels[place]);
        }
        due
    }

    /// When the next level is called, in steady milliseconds; `None` where nobody is left or it was taken.
    pub fn next_at(&self, page: &Page) -> Option<i64> {
        page.taken.is_none().then(|| self.call_ms(page)).flatten()
    }

    /// When the level that comes next is called.
    fn call_ms(&self, page: &Page) -> Option<i64> {
        let levels = u32::try_from(self.levels.len())
            .ok()
            .filter(|levels| *levels > 0)?;
        if page.called >= levels.saturating_mul(self.repeats.saturating_add(1)) {
            return None;
        }
        let waits = |levels: &[Level]| levels.iter().map(|level| level.wait_ms.max(0)).sum::<i64>();
        let rounds = i64::from(page.called / levels);
        let into = page.called as usize % self.levels.len();
        let wait = waits(&self.levels)
            .saturating_mul(rounds)
            .saturating_add(waits(&self.levels[..into]));
        Some(page.began.steady_ms.saturating_add(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZoneDatabase;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn weekly() -> Rotation {
        Rotation {
            name: "primary".into(),
            people: vec!["ada".into(), "bob".into(), "eve".into()],
            others: Vec::new(),
            zone: TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap(),
            first_day: Date::constant(2026, 3, 2),
            hand_over: Time::constant(9, 0, 0, 0),
            days: 7,
            hours: Vec::new(),
            overrides: Vec::new(),
        }
    }

    #[test]
    fn turns_are_handed_over_at_the_same_local_time_all_year() {
        let rotation = weekly();
        for (time, person) in [
            ("2026-03-02T07:59:00Z", "eve"),
            ("2026-03-02T08:00:00Z", "ada"),
            ("2026-03-09T07:59:00Z", "ada"),
            ("2026-03-09T08:00:00Z", "bob"),
            // The clock was moved on March 29: nine o'clock is an hour earlier in UTC.
            ("2026-03-30T06:59:00Z", "ada"),
            ("2026-03-30T07:00:00Z", "bob"),
            ("2025-12-29T08:00:00Z", "ada"),
        ] {
            assert_eq!(rotation.on_duty(at(time)), Some(person), "{time}");
        }
        assert_eq!(
            rotation.next_hand_over(at("2026-03-25T00:00:00Z")),
            Some(at("2026-03-30T07:00:00Z"))
        );
        let nobody = Rotation {
            people: Vec::new(),
            ..weekly()
        };
        assert_eq!(nobody.on_duty(0), None);
    }

    #[test]
    fn the_later_override_wins_and_hours_bound_the_duty() {
        let mut rotation = weekly();
        let swap = |person: &str, from: &str, until: &str| Override {
            person: person.into(),
            from_ms: at(from),
            until_ms: at(until),
        };
        rotation.overrides = vec![
            swap("bob", "2026-03-03T00:00:00Z", "2026-03-05T00:00:00Z"),
            swap("eve", "2026-03-04T00:00:00Z", "2026-03-04T12:00:00Z"),
        ];
        for (time, person) in [
            ("2026-03-03T12:00:00Z", "bob"),
            ("2026-03-04T06:00:00Z", "eve"),
            ("2026-03-04T12:00:00Z", "bob"),
            ("2026-03-05T00:00:00Z", "ada"),
        ] {
            assert_eq!(rotation.on_duty(at(time)), Some(person), "{time}");
        }
        rotation.hours = vec![TimeInterval {
            times: vec![(9 * 60, 17 * 60)],
            weekdays: vec![(1, 5)],
            days_of_month: Vec::new(),
            months: Vec::new(),
            years: Vec::new(),
            zone: rotation.zone.clone(),
        }];
        assert_eq!(
            rotation.on_duty(at("2026-03-07T12:00:00Z")),
            None,
            "a Saturday"
        );
        for (now, until) in [
            ("2026-03-03T12:00:00Z", "2026-03-03T16:00:00Z"),
            ("2026-03-04T09:00:00Z", "2026-03-04T12:00:00Z"),
            ("2026-03-06T20:00:00Z", "2026-03-09T08:00:00Z"),
        ] {
            assert_eq!(rotation.until(at(now)), Some(at(until)), "{now}");
        }
    }

    #[test]
    fn whoever_does_not_answer_is_followed_by_the_next() {
        let level = |target: &str, minutes: i64| Level {
            targets: vec![target.into()],
            wait_ms: minutes * 60_000,
        };
        let escalation = Escalation {
            levels: vec![
                level("primary", 5),
                level("secondary", 10),
                level("cto", 15),
            ],
            repeats: 1,
        };
        let mut page = Page::begin(At::both(0));
        let mut called = Vec::new();
        for minute in 0..100 {
            for level in escalation.due(&mut page, At::both(minute * 60_000)) {
                called.push(format!("{minute} {}", level.targets[0]));
            }
        }
        assert_eq!(
            called,
            [
                "0 primary",
                "5 secondary",
                "15 cto",
                "30 primary",
                "35 secondary",
                "45 cto"
            ]
        );
        assert_eq!(escalation.next_at(&page), None);
        let mut page = Page::begin(At::both(0));
        escalation.due(&mut page, At::both(0));
        assert_eq!(escalation.next_at(&page), Some(300_000));
        page.take(At::both(60_000));
        assert_eq!(Page::from_json(&page.to_json()).unwrap(), page);
        assert!(escalation.due(&mut page, At::both(9_000_000)).is_empty());
        let mut page = Page::begin(At::both(0));
        assert_eq!(escalation.call(&mut page, At::both(0)), Some(0));
        escalation.pass_over(&mut page);
        assert_eq!(escalation.call(&mut page, At::both(0)), Some(1));
        assert_eq!(escalation.call(&mut page, At::both(599_999)), None);
        assert_eq!(escalation.call(&mut page, At::both(600_000)), Some(2));
        let none = Escalation {
            levels: Vec::new(),
            repeats: 3,
        };
        assert!(
            none.due(&mut Page::begin(At::both(0)), At::both(1))
                .is_empty()
        );
    }
}
