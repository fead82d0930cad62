//! Refusals as the API answers them: status, exit code and hint, mapped once.

use crate::api::Problem;
use crate::desk::DeskFault;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mainstay_atoms::ServiceName;
use mainstay_execute::{Refusal, RouteRefusal, ScaleRefusal};
use mainstay_faults::nearest;

/// A refusal on its way out.
pub(crate) struct Answer(pub(crate) StatusCode, pub(crate) Problem);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

pub(crate) fn problem(
    status: StatusCode,
    code: &str,
    message: &str,
    hint: Option<&str>,
    exit: u8,
) -> Answer {
    let (code, message, hint) = (code.into(), message.into(), hint.map(Into::into));
    Answer(
        status,
        Problem {
            code,
            message,
            hint,
            exit,
        },
    )
}

impl From<DeskFault> for Answer {
    fn from(fault: DeskFault) -> Self {
        problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            &fault.to_string(),
            Some("try again in a moment"),
            2,
        )
    }
}

/// The one place where a refusal becomes a status, an exit code and a hint.
pub(crate) fn refused(refusal: &Refusal) -> Answer {
    let message = refusal.to_string();
    let (status, code, hint, exit) = match refusal {
        Refusal::Same { .. } => (
            StatusCode::CONFLICT,
            "same",
            Some("`mainstay history` lists what can be brought back".to_owned()),
            1,
        ),
        Refusal::Held { release } => (
            StatusCode::CONFLICT,
            "held",
            Some(format!(
                "`mainstay deploy --yes` ships it all the same; `mainstay hold lift {release}` removes the hold"
            )),
            4,
        ),
        Refusal::Unknown { .. } | Refusal::NeverServed { .. } | Refusal::NoHold { .. } => (
            StatusCode::NOT_FOUND,
            "unknown_release",
            Some("`mainstay history` lists the releases".into()),
            1,
        ),
        Refusal::NoPrevious => (
            StatusCode::CONFLICT,
            "no_previous",
            Some("`mainstay history` lists the releases".into()),
            1,
        ),
        Refusal::OneWay { release, .. } => (
            StatusCode::CONFLICT,
            "one_way",
            Some(format!(
                "the data is {release}'s now; ship a release that understands it: `mainstay deploy`"
            )),
            4,
        ),
        Refusal::NothingServes => (
            StatusCode::CONFLICT,
            "nothing_serves",
            Some("`mainstay deploy` ships the file".into()),
            1,
        ),
        Refusal::UnknownJob { known, .. } => {
            let hint = jobs(known);
            (StatusCode::NOT_FOUND, "unknown_job", Some(hint), 1)
        }
        Refusal::Scale(refusal) => scaled(refusal),
        Refusal::Route(refusal) => routed(refusal),
        Refusal::TooMany { .. } => (
            StatusCode::TOO_MANY_REQUESTS,
            "too_many",
            Some("`mainstay jobs` shows what runs".into()),
            1,
        ),
        Refusal::Idle | Refusal::NoTrial { .. } => (StatusCode::CONFLICT, "idle", None, 1),
        Refusal::NothingToRetry => (
            StatusCode::CONFLICT,
            "nothing_to_retry",
            Some("`mainstay deploy` ships the file".into()),
            1,
        ),
        Refusal::OtherRecord { .. }
        | Refusal::Begun { .. }
        | Refusal::NoApprovals { .. }
        | Refusal::NotCounted { .. }
        | Refusal::Gate { .. }
        | Refusal::UnknownItem { .. }
        | Refusal::NoToken { .. } => at_gate(refusal),
        Refusal::Moved { .. } => (
            StatusCode::CONFLICT,
            "moved",
            Some("make a new plan: `mainstay plan --out FILE`".into()),
            1,
        ),
        Refusal::Unsound(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "unsound",
            Some("this is a fault of Mainstay; nothing was changed".into()),
            2,
        ),
        Refusal::GoingDown => (
            StatusCode::CONFLICT,
            "going_down",
            Some("`mainstay up` brings it back".into()),
            1,
        ),
        Refusal::Record(_) => (
            StatusCode::INSUFFICIENT_STORAGE,
            "not_recorded",
            Some("`mainstay doctor` looks at the disk and the state folder".into()),
            2,
        ),
    };
    let message = match refusal {
        Refusal::Record(fault) => format!("{message}: {fault}"),
        _ => message,
    };
    problem(status, code, &message, hint.as_deref(), exit)
}

/// The same of counts that are set.
fn scaled(refusal: &ScaleRefusal) -> (StatusCode, &'static str, Option<String>, u8) {
    match refusal {
        ScaleRefusal::Unknown { known, .. } => {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            let hint = match known.as_slice() {
                [] => "none is scaled; `scale` in the file does that".into(),
                known => format!("scaled are {}", known.join(", ")),
            };
            (StatusCode::NOT_FOUND, "unknown_service", Some(hint), 1)
        }
        ScaleRefusal::Fixed { service } => {
            let hint = format!("change `services.{service}.replicas`, or give it `scale`");
            (StatusCode::CONFLICT, "fixed", Some(hint), 1)
        }
        ScaleRefusal::Bounds { service, .. } => {
            let hint = format!("`services.{service}.scale` in the file sets the bounds");
            (StatusCode::CONFLICT, "bounds", Some(hint), 1)
        }
        ScaleRefusal::Free { .. } => {
            let hint = "`mainstay scale` shows who set what".into();
            (StatusCode::CONFLICT, "free", Some(hint), 1)
        }
    }
}

/// The same of routes that are paused and resumed.
fn routed(refusal: &RouteRefusal) -> (StatusCode, &'static str, Option<String>, u8) {
    match refusal {
        RouteRefusal::Unknown { route, known } => {
            let near = nearest(route.as_str(), known.iter().map(String::as_str));
            let hint = match (near, known.as_slice()) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, []) => "it has none; `domains` in the file does that".into(),
                (None, _) => "`mainstay routes` lists them".into(),
            };
            (StatusCode::NOT_FOUND, "unknown_route", Some(hint), 1)
        }
        RouteRefusal::Open { .. } => {
            let hint = "`mainstay routes` shows which are".into();
            (StatusCode::CONFLICT, "open", Some(hint), 1)
        }
    }
}

fn jobs(known: &[ServiceName]) -> String {
    if known.is_empty() {
        return "it has no jobs at all".into();
    }
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    format!("its jobs: {}", known.join(", "))
}

/// The same of what people say to a release that waits.
fn at_gate(refusal: &Refusal) -> (StatusCode, &'static str, Option<String>, u8) {
    match refusal {
        Refusal::NotCounted { .. } => (
            StatusCode::CONFLICT,
            "not_counted",
            Some("another person has to approve; `mainstay status` says who is missing".into()),
            4,
        ),
        Refusal::Gate { .. } => (
            StatusCode::CONFLICT,
            "gate",
            Some("`mainstay deploy` makes the release, which then waits at its gates".into()),
            4,
        ),
        Refusal::UnknownItem { known, .. } => (
            StatusCode::NOT_FOUND,
            "unknown_item",
            Some(format!("its items: {}", known.join(", "))),
            1,
        ),
        Refusal::NoToken { .. } => (
            StatusCode::NOT_FOUND,
            "token",
            Some("`mainstay token list` names them".into()),
            1,
        ),
        _ => (
            StatusCode::CONFLICT,
            "gate",
            Some("`mainstay approve` without a release shows what waits".into()),
            1,
        ),
    }
}
