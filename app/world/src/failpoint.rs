//! Where a test kills the control plane: around each kind of step, at exactly one point.
//!
//! A debug build kills itself when the file `kill-at` in its state folder names the point that it passes, such
//! as `publish before_outcome`, and removes the file first. A release build never looks.

use mainstay_execute::Entry;
use mainstay_plan::{Event, Step};
use rustix::process::{Signal, getpid, kill_process};
use std::fs;
use std::path::PathBuf;

/// When, relative to the effect of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Point {
    /// It is recorded; its effect has not happened.
    BeforeEffect,
    /// The effect has happened; its outcome is not recorded.
    BeforeOutcome,
    /// The outcome is recorded.
    AfterOutcome,
}

impl Point {
    fn word(self) -> &'static str {
        match self {
            Self::BeforeEffect => "before_effect",
            Self::BeforeOutcome => "before_outcome",
            Self::AfterOutcome => "after_outcome",
        }
    }
}

/// The points of one control plane.
#[derive(Debug)]
pub(crate) struct Failpoints {
    file: PathBuf,
    /// The step under way.
    begun: Option<Step>,
}

impl Failpoints {
    pub(crate) fn new(state: &std::path::Path) -> Self {
        Self {
            file: state.join("kill-at"),
            begun: None,
        }
    }

    /// Ends here, if this is the point.
    pub(crate) fn pass(&self, step: &Step, point: Point) {
        if cfg!(debug_assertions) {
            let step = serde_json::to_value(step).unwrap_or_default();
            self.pass_word(step["step"].as_str().unwrap_or_default(), point);
        }
    }

    /// The same of what is no step.
    pub(crate) fn pass_word(&self, word: &str, point: Point) {
        if !cfg!(debug_assertions) {
            return;
        }
        let Ok(asked) = fs::read_to_string(&self.file) else {
            return;
        };
        let here = format!("{word} {}", point.word());
        if asked.trim() == here && fs::remove_file(&self.file).is_ok() {
            // Nobody catches it, so what comes after is never reached.
            kill_process(getpid(), Signal::KILL).ok();
        }
    }

    /// Entries are about to be recorded: a step that only waited has had its effect. What [`Failpoints::after`]
    /// is to hear of them.
    pub(crate) fn before(&self, entries: &[Entry]) -> Vec<Event> {
        if !cfg!(debug_assertions) {
            return Vec::new();
        }
        let done = |entry: &Entry| matches!(entry.event, Event::StepDone { .. });
        if let Some(step) = self.begun.as_ref().filter(|step| step.waits())
            && entries.iter().any(done)
        {
            self.pass(step, Point::BeforeOutcome);
        }
        entries.iter().map(|entry| entry.event.clone()).collect()
    }

    /// Events were recorded.
    pub(crate) fn after(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::StepDone { .. } => {
                    if let Some(step) = self.begun.take() {
                        self.pass(&step, Point::AfterOutcome);
                    }
                }
                Event::StepBegun { step, .. } => {
                    if step.waits() {
                        self.pass(&step, Point::BeforeEffect);
                    }
                    self.begun = Some(step);
                }
                _ => {}
            }
        }
    }
}
