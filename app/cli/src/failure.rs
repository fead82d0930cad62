//! How a command fails, and how that is shown.

use crate::terminal;
use mainstay_faults::{Exit, Fault, Listed, Move, Source, render, render_all};
use mainstay_server::api::Problem;

/// Faults with the texts they point into.
#[derive(Debug)]
pub(crate) struct Failure {
    faults: Vec<Fault>,
    sources: Vec<Source>,
    exit: Option<u8>,
    /// Shown already, in full; only the exit code is left to give.
    silent: bool,
}

impl Failure {
    pub(crate) fn of_file(faults: Vec<Fault>, sources: Vec<Source>) -> Self {
        Self {
            faults,
            sources,
            exit: None,
            silent: false,
        }
    }

    pub(crate) fn you(code: &str, message: impl Into<String>) -> Self {
        Fault::new(Move::You, code, message).into()
    }

    pub(crate) fn operator(code: &str, message: impl Into<String>) -> Self {
        Fault::new(Move::Operator, code, message).into()
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(fault) = self.faults.last_mut() {
            fault.hint = Some(hint.into());
        }
        self
    }

    /// Is it this one, by its stable word?
    pub(crate) fn is(&self, code: &str) -> bool {
        self.faults.iter().any(|fault| fault.code == code)
    }

    /// Everything was shown; this is the exit code.
    pub(crate) fn shown(exit: Exit) -> Self {
        Self {
            faults: vec![],
            sources: vec![],
            exit: Some(exit.code()),
            silent: true,
        }
    }

    pub(crate) fn exit(&self) -> u8 {
        self.exit
            .unwrap_or_else(|| Exit::of_all(&self.faults).code())
    }

    /// The errors of `check --json` and of every command's failure.
    pub(crate) fn listed(&self) -> Vec<Listed> {
        self.faults.iter().map(Listed::from).collect()
    }

    pub(crate) fn show(&self, json: bool) {
        if self.silent {
            return;
        }
        if json {
            terminal::json(&serde_json::json!({ "ok": false, "errors": self.listed() }));
            return;
        }
        let style = terminal::style();
        let placed = self.faults.iter().any(|fault| fault.place.is_some());
        if placed {
            terminal::say(&render_all(&self.faults, &self.sources, style));
        } else {
            for fault in &self.faults {
                terminal::say(&render(fault, &self.sources, style));
            }
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::of_file(vec![fault], vec![])
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let whose = if problem.exit == 2 {
            Move::Operator
        } else {
            Move::You
        };
        let mut fault = Fault::new(whose, problem.code, problem.message);
        fault.hint = problem.hint;
        Self {
            exit: Some(problem.exit),
            ..fault.into()
        }
    }
}
