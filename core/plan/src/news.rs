//! What people are told of releases: how one ended, and that it waits for a person.

use crate::event::{Event, ReleaseEnd};
use crate::step::Step;
use mainstay_atoms::{Actor, ReleaseNumber};
use mainstay_rollout::canary::Pause;
use mainstay_rollout::{blue_green, canary};
use serde::{Deserialize, Serialize};

/// One thing that people are told of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// Which.
    pub release: ReleaseNumber,
    /// How it stands.
    pub standing: Standing,
    /// In words, to follow the release's name: `serves`, `failed: web.v5.1 was not ready within 30 s`.
    pub words: String,
}

/// How a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It serves.
    Serves,
    /// It did not come to serve.
    Failed,
    /// Somebody stopped it.
    Aborted,
    /// It stands still until a person speaks.
    Waits,
}

impl Standing {
    /// As a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Serves => "serves",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
            Self::Waits => "waits",
        }
    }
}

impl News {
    /// What an event is news of, if it is. The same may come again from several events in a row.
    pub fn of(event: &Event, by: &Actor) -> Option<Self> {
        match event {
            Event::StepBegun {
                step: Step::Serve { release },
                ..
            } => Some(Self::new(*release, Standing::Serves, "serves".into())),
            Event::ReleaseEnded { release, end } => {
                let (standing, words) = match end {
                    ReleaseEnd::Failed { why } => (Standing::Failed, format!("failed: {why}")),
                    ReleaseEnd::Aborted => (Standing::Aborted, format!("was aborted by {by}")),
                    // Whoever sent the next one knows.
                    ReleaseEnd::Superseded => return None,
                };
                Some(Self::new(*release, standing, words))
            }
            Event::Canary { service, state, .. } => {
                let canary::Phase::Stage { paused, .. } = &state.phase else {
                    return None;
                };
                let doubt = paused.as_ref().filter(|why| **why != Pause::Ordered)?;
                let words = format!(
                    "stands still ({service}): {doubt}; `mainstay promote` or `mainstay abort`"
                );
                Some(Self::new(state.release, Standing::Waits, words))
            }
            Event::BlueGreen { service, state } => {
                let (blue_green::Phase::Paused(why) | blue_green::Phase::Doubted(why)) =
                    &state.phase
                else {
                    return None;
                };
                let words = format!(
                    "stands still ({service}): {why}; `mainstay promote` or `mainstay abort`"
                );
                Some(Self::new(state.release, Standing::Waits, words))
            }
            _ => None,
        }
    }

    /// That a release which was just made waits for so many people to agree. A way back passes: its contents
    /// passed once.
    pub fn of_made(
        release: ReleaseNumber,
        back_to: Option<ReleaseNumber>,
        need: u32,
    ) -> Option<Self> {
        let people = match need {
            0 => return None,
            1 => "person",
            _ => "people",
        };
        let words = format!("waits for {need} {people} to agree: `mainstay approve {release}`");
        back_to
            .is_none()
            .then(|| Self::new(release, Standing::Waits, words))
    }

    fn new(release: ReleaseNumber, standing: Standing, words: String) -> Self {
        Self {
            release,
            standing,
            words,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_atoms::PlanId;

    fn told(event: &Event) -> Option<(Standing, String)> {
        let news = News::of(event, &Actor("ann".into()))?;
        assert_eq!(news.release, ReleaseNumber(5));
        Some((news.standing, news.words))
    }

    fn ended(end: ReleaseEnd) -> Event {
        Event::ReleaseEnded {
            release: ReleaseNumber(5),
            end,
        }
    }

    #[test]
    fn ends_are_told_but_not_what_a_newer_release_took_over() {
        let serves = Event::StepBegun {
            plan: PlanId(mainstay_atoms::Digest::of(b"plan")),
            index: 3,
            step: Step::Serve {
                release: ReleaseNumber(5),
            },
        };
        assert_eq!(told(&serves), Some((Standing::Serves, "serves".into())));
        let why = "not ready".to_owned();
        let failed = told(&ended(ReleaseEnd::Failed { why }));
        assert_eq!(failed, Some((Standing::Failed, "failed: not ready".into())));
        let aborted = told(&ended(ReleaseEnd::Aborted));
        assert_eq!(
            aborted,
            Some((Standing::Aborted, "was aborted by ann".into()))
        );
        assert_eq!(told(&ended(ReleaseEnd::Superseded)), None);
        assert_eq!(told(&Event::DownAsked), None);
    }

    #[test]
    fn only_what_has_to_be_approved_waits_for_people() {
        let (five, three) = (ReleaseNumber(5), ReleaseNumber(3));
        let waits = News::of_made(five, None, 2).expect("it waits");
        assert_eq!(
            (waits.standing, waits.words.as_str()),
            (
                Standing::Waits,
                "waits for 2 people to agree: `mainstay approve v5`"
            )
        );
        assert_eq!(News::of_made(five, None, 0), None);
        assert_eq!(News::of_made(five, Some(three), 2), None);
    }
}
