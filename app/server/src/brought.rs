//! What a request brings: body, path and query, whose faults are problems too.

use crate::refused::{Answer, problem};
use axum::body::{Bytes, HttpBody as _};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
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

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Answer;
    async fn from_request(request: Request, state: &S) -> Result<Self, Answer> {
        let refused = |code, message: &str| problem(code, "body", message, None, 1);
        if !is_json(&request) {
            let message = "a body needs the header `content-type: application/json`";
            return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        // A body that says beforehand that it is too long is not waited for.
        if request.body().size_hint().lower() > BODY_LIMIT as u64 {
            let message = "the body has more than 8 MiB";
            return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        let read = tokio::time::timeout(BODY_PATIENCE, Bytes::from_request(request, state));
        let bytes = read.await.map_err(|_| {
            let message = "the body did not arrive within 30 seconds";
            problem(StatusCode::REQUEST_TIMEOUT, "body", message, None, 2)
        })?;
        let bytes = bytes.map_err(|fault| refused(fault.status(), &fault.body_text()))?;
        // Else a list would pass for an object with its fields in this order.
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            let message = "the body is a list; an object is expected";
            return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, message));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|fault| {
            let status = match fault.classify() {
                Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
                Category::Syntax | Category::Eof | Category::Io => StatusCode::BAD_REQUEST,
            };
            refused(status, &format!("the body cannot be read: {fault}"))
        })
    }
}

fn is_json(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
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
