//! What a request brings: body, path and query, whose faults are problems too.

use crate::refused::{Answer, problem};
use axum::Json;
use axum::body::HttpBody as _;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use std::time::Duration;

/// Most bytes of a request: a platform of several thousand services.
pub(crate) const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

/// A part of the path.
pub(crate) struct At<T>(pub(crate) T);

/// A query.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T> FromRequest<S> for Body<T>
where
    Json<T>: FromRequest<S, Rejection = JsonRejection>,
{
    type Rejection = Answer;
    async fn from_request(request: Request, state: &S) -> Result<Self, Answer> {
        // A body that says beforehand that it is too long is not waited for.
        if request.body().size_hint().lower() > BODY_LIMIT as u64 {
            let message = "the body has more than 8 MiB";
            let code = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(problem(code, "body", message, None, 1));
        }
        let read = Json::<T>::from_request(request, state);
        match tokio::time::timeout(BODY_PATIENCE, read).await {
            Ok(Ok(Json(body))) => Ok(Self(body)),
            Ok(Err(fault)) => Err(problem(fault.status(), "body", &fault.body_text(), None, 1)),
            Err(_) => {
                let message = "the body did not arrive within 30 seconds";
                Err(problem(
                    StatusCode::REQUEST_TIMEOUT,
                    "body",
                    message,
                    None,
                    2,
                ))
            }
        }
    }
}

impl<S: Send + Sync, T> FromRequestParts<S> for At<T>
where
    Path<T>: FromRequestParts<S, Rejection = PathRejection>,
{
    type Rejection = Answer;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Answer> {
        let found = Path::<T>::from_request_parts(parts, state).await;
        found
            .map(|Path(found)| Self(found))
            .map_err(|fault| problem(fault.status(), "path", &fault.body_text(), None, 1))
    }
}

impl<S: Send + Sync, T> FromRequestParts<S> for Asked<T>
where
    Query<T>: FromRequestParts<S, Rejection = QueryRejection>,
{
    type Rejection = Answer;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Answer> {
        let found = Query::<T>::from_request_parts(parts, state).await;
        found
            .map(|Query(found)| Self(found))
            .map_err(|fault| problem(fault.status(), "query", &fault.body_text(), None, 1))
    }
}
