//! The mistakes of one run, as they are handed out.

use crate::budget;
use mainstay_faults::{Fault, MORE_FAULTS, Move, Source};

/// Mistakes so far, and how many were not kept.
pub(crate) struct Faults {
    kept: Vec<Fault>,
    unkept: usize,
}

impl Faults {
    /// Begins with these.
    pub(crate) fn new(kept: Vec<Fault>) -> Self {
        Self { kept, unkept: 0 }
    }

    /// Adds one.
    pub(crate) fn push(&mut self, fault: Fault) {
        self.kept.push(fault);
    }

    /// Adds some, and so many that were not kept.
    pub(crate) fn add(&mut self, mistakes: Vec<Fault>, unkept: usize) {
        let room = (2 * budget::FAULTS_KEPT).saturating_sub(self.kept.len());
        self.unkept += unkept + mistakes.len().saturating_sub(room);
        self.kept.extend(mistakes.into_iter().take(room));
    }

    /// Those that were kept, as they were found.
    pub(crate) fn into_kept(self) -> Vec<Fault> {
        self.kept
    }

    /// The result, or the mistakes as [`Self::listed`] gives them.
    pub(crate) fn end<T>(self, sources: &[Source], result: Option<T>) -> Result<T, Vec<Fault>> {
        if !self.kept.is_empty() {
            return Err(self.listed(sources));
        }
        result.ok_or_else(|| {
            let message = "the file was refused without a reason";
            vec![Fault::new(Move::Bug, "bug", message).hint("please report this file")]
        })
    }

    /// The mistakes in the order of the file, each once, the first hundred and how many more.
    pub(crate) fn listed(mut self, sources: &[Source]) -> Vec<Fault> {
        let order = |fault: &Fault| {
            let place = fault.place.as_ref();
            let source =
                place.map(|place| sources.iter().position(|known| known.name == place.file));
            (source, place.map(|place| (place.line, place.column)))
        };
        let all = &mut self.kept;
        all.sort_by_cached_key(|fault| (order(fault), fault.code.clone(), fault.message.clone()));
        all.dedup_by(|b, a| a.place == b.place && a.code == b.code && a.message == b.message);
        let more = self.unkept + all.len().saturating_sub(budget::FAULTS);
        all.truncate(budget::FAULTS);
        if more > 0 {
            let message = format!("{more} more errors are not shown");
            let fault = Fault::new(Move::You, MORE_FAULTS, message);
            all.push(fault.hint("mend these first, then check again"));
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_without_reason_is_our_bug() {
        let faults = Faults::new(Vec::new()).end::<()>(&[], None);
        assert_eq!(faults.map_err(|faults| faults[0].whose), Err(Move::Bug));
    }
}
