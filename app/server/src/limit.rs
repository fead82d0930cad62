//! How often one user may ask for changes: a bucket of tokens for each uid.

use crate::actor::Peer;
use crate::api::TOO_FAST;
use crate::refused::problem;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Changes at once after a quiet moment.
const BURST: u32 = 100;

/// A new token comes this often: each change is a decision and a durable record.
const EVERY: Duration = Duration::from_millis(20);

/// Users that are remembered; a full bucket is like none.
const USERS: usize = 1024;

/// The buckets of all users, each as the time at which it is full.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buckets {
    full_at: Arc<Mutex<BTreeMap<u32, Instant>>>,
}

impl Buckets {
    /// Takes a token, or says how long until there is one.
    fn take(&self, uid: u32, now: Instant) -> Result<(), Duration> {
        let mut all = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= USERS {
            all.retain(|_, full_at| *full_at > now);
        }
        let full_at = (*all.get(&uid).unwrap_or(&now)).max(now);
        let room = EVERY * (BURST - 1);
        let missing = full_at.saturating_duration_since(now);
        if missing > room {
            return Err(missing.saturating_sub(room));
        }
        all.insert(uid, full_at + EVERY);
        Ok(())
    }
}

/// Lets looks pass, and changes as often as a user may ask for them.
pub(crate) async fn limit(
    State(limits): State<Buckets>,
    ConnectInfo(Peer(_, uid)): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    let taken = if looks {
        Ok(())
    } else {
        limits.take(uid, Instant::now())
    };
    match taken {
        Ok(()) => next.run(request).await,
        Err(wait) => {
            let message = "one user asks for more than 50 changes a second";
            let hint = Some("try again in a second");
            let answer = problem(StatusCode::TOO_MANY_REQUESTS, TOO_FAST, message, hint, 2);
            let mut response = answer.into_response();
            let seconds = HeaderValue::from(wait.as_secs() + 1);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_one_at_a_time_and_each_user_alone() {
        let (limits, now) = (Buckets::default(), Instant::now());
        let passed = (0..1000).filter(|_| limits.take(7, now).is_ok()).count();
        assert_eq!(passed, BURST as usize);
        assert_eq!(limits.take(8, now), Ok(()));
        let wait = limits.take(7, now).unwrap_err();
        assert!(wait <= EVERY, "{wait:?}");
        assert_eq!(limits.take(7, now + wait), Ok(()));
        assert!(limits.take(7, now + wait).is_err());
        let later = now + EVERY * (2 * BURST);
        let passed = (0..1000).filter(|_| limits.take(7, later).is_ok()).count();
        assert_eq!(passed, BURST as usize, "what is not used does not add up");
    }

    #[test]
    fn users_are_not_remembered_for_ever() {
        let (limits, now) = (Buckets::default(), Instant::now());
        for uid in 0..10_000 {
            limits.take(uid, now + EVERY * 2 * uid).ok();
        }
        assert!(limits.full_at.lock().unwrap().len() <= USERS);
    }
}
