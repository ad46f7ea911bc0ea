//! Answers on their way out: a body of JSON, or a refusal in Seam's envelope.

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::api::answer;
use crate::model::{Reason, Refusal};
use crate::shell::{Stopping, Unanswered};

/// A success: always 200, always an object with `ok: true`.
pub struct Told(String);

/// The body of a success.
pub fn told(body: &impl Serialize) -> Told {
    Told(answer::text(body))
}

/// A refusal, with the status that belongs to its reason.
#[derive(Debug)]
pub struct Refused(pub Refusal);

/// What a call comes to.
pub type Outcome = Result<Told, Refused>;

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused(refusal)
    }
}

impl From<Stopping> for Refused {
    fn from(stopping: Stopping) -> Refused {
        refused(Reason::Busy, &stopping.to_string())
    }
}

/// Marks a response that must not be sent: the connection is ended instead.
#[derive(Clone, Copy)]
pub struct Silence;

/// No answer at all, where each would be a guess.
pub fn silence() -> Response {
    axum::Extension(Silence).into_response()
}

/// What is told to who asked for a change, and got none.
pub fn unanswered(unanswered: Unanswered) -> Result<Response, Refused> {
    match unanswered {
        Unanswered::Busy => Err(refused(Reason::Busy, &unanswered.to_string())),
        Unanswered::Stopping(stopping) => Err(stopping.into()),
        Unanswered::Unknown => Ok(silence()),
    }
}

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        json(StatusCode::OK, self.0)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Refused(refusal) = self;
        let status = StatusCode::from_u16(answer::status_of(refusal.reason))
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, answer::text(&answer::refusal(&refusal)));
        if matches!(refusal.reason, Reason::Busy | Reason::RateLimited) {
            let seconds = HeaderValue::from(refusal.retry_after_s.unwrap_or(1));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

/// A body of JSON. SDKs take an error for Seam's only with this content type.
pub fn json(status: StatusCode, body: String) -> Response {
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, headers, body).into_response()
}

/// A refusal that names its cause.
pub fn refused(reason: Reason, message: &str) -> Refused {
    Refused(Refusal::new(reason, message))
}

/// The answer to a path that does not exist.
pub async fn no_such_path() -> Refused {
    Refused(Refusal::new(Reason::NotFound, "there is no such path"))
}

/// Puts the envelope under what the router refuses by itself: a method that a path does not take, and
/// a path that it cannot read.
pub fn with_envelope(response: Response) -> Response {
    let status = response.status();
    if !status.is_client_error() || is_json(&response) {
        return response;
    }
    let refusal = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            Refusal::new(Reason::MethodNotAllowed, "this path takes other methods")
        }
        _ => Refusal::new(Reason::NotFound, "this path cannot be read"),
    };
    let allow = response.headers().get(ALLOW).cloned();
    let mut response = Refused(refusal).into_response();
    if let Some(allow) = allow {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

fn is_json(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}
