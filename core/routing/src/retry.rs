//! Whether a failed attempt may be made again.

/// How an attempt failed, before a byte of an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection was made.
    Connect,
    /// A connection was there, and not one byte of the request was written to it.
    Unsent,
    /// A connection used before died after bytes of the request were written.
    Died {
        /// It had carried a request before, so the instance may have closed it as idle.
        reused: bool,
    },
    /// The head of the answer took too long.
    Slow,
}

/// What is left of the body for another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// All of it: none, not yet read, or kept (at most 64 KiB).
    Whole,
    /// Not all of it.
    Spent,
}

/// Whether to try again; the budget is asked by whoever acts.
///
/// Nothing may have gone to the client. A request of which bytes were written goes out again only if
/// its method is idempotent (RFC 9110, 9.2.2) and the connection was a reused one; a POST never does.
pub fn decide(failure: Failure, idempotent: bool, body: Body) -> bool {
    let repeatable = match failure {
        Failure::Connect | Failure::Unsent => true,
        Failure::Died { reused } => reused && idempotent,
        Failure::Slow => false,
    };
    repeatable && body == Body::Whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_never_sent_twice() {
        for reused in [true, false] {
            for body in [Body::Whole, Body::Spent] {
                assert!(!decide(Failure::Died { reused }, false, body));
            }
        }
    }

    #[test]
    fn what_was_not_sent_may_be_sent() {
        for failure in [Failure::Connect, Failure::Unsent] {
            assert!(decide(failure, false, Body::Whole));
            assert!(!decide(failure, true, Body::Spent));
        }
        assert!(decide(Failure::Died { reused: true }, true, Body::Whole));
        assert!(!decide(Failure::Died { reused: false }, true, Body::Whole));
        assert!(!decide(Failure::Slow, true, Body::Whole));
    }
}
