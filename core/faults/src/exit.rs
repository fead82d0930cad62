//! The one mapping of faults to exit codes.

use crate::{Fault, Move};

/// The code of a fault that a policy of the user's own made: approvals, holds, protection.
pub const REFUSED_BY_POLICY: &str = "refused_by_policy";

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All is well: 0.
    Done,
    /// The user's move, misuse of the command line included: 1.
    Yours,
    /// Ours, the machine's, or something that passes by itself: 2.
    Ours,
    /// A plan has changes, or an import dropped keys: 3.
    Changes,
    /// A policy refused it: 4.
    Refused,
}

impl Exit {
    /// How a command ends that failed with this fault.
    pub fn of(fault: &Fault) -> Self {
        if fault.code == REFUSED_BY_POLICY {
            return Self::Refused;
        }
        match fault.whose {
            Move::You => Self::Yours,
            Move::Wait | Move::Operator | Move::Bug => Self::Ours,
        }
    }

    /// How a command ends that failed with these: a policy's refusal first, then what is not the
    /// user's. [`Exit::Done`] for none.
    pub fn of_all(faults: &[Fault]) -> Self {
        faults.iter().map(Self::of).max().unwrap_or(Self::Done)
    }

    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Yours => 1,
            Self::Ours => 2,
            Self::Changes => 3,
            Self::Refused => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_move_has_its_code() {
        let code = |whose| Exit::of(&Fault::new(whose, "x", "x")).code();
        assert_eq!(code(Move::You), 1);
        assert_eq!([Move::Wait, Move::Operator, Move::Bug].map(code), [2, 2, 2]);
        let refused = Fault::new(Move::You, REFUSED_BY_POLICY, "x");
        assert_eq!(Exit::of(&refused).code(), 4);
        assert_eq!(
            Exit::of_all(&[refused, Fault::new(Move::Bug, "x", "x")]).code(),
            4
        );
        assert_eq!((Exit::of_all(&[]).code(), Exit::Changes.code()), (0, 3));
    }
}
