//! Requests in: body limit, then the pipeline.

use axum::body::Body;
use axum::extract;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;

use crate::error::Error;
use crate::pipeline::{self, Inbound};
use crate::provider::Dialect;

use super::{State, reply};

/// `POST /v1/messages`
pub(super) async fn messages(
    extract::State(state): extract::State<State>,
    request: http::Request<Body>,
) -> Response {
    call(&state, Dialect::AnthropicMessages, request).await
}

/// `POST /v1/chat/completions`
pub(super) async fn chat_completions(
    extract::State(state): extract::State<State>,
    request: http::Request<Body>,
) -> Response {
    call(&state, Dialect::ChatCompletions, request).await
}

async fn call(state: &State, dialect: Dialect, request: http::Request<Body>) -> Response {
    let world = state.current.load();
    let (parts, body) = request.into_parts();
    match read(&parts, body, world.config.limits.body_bytes_max).await {
        Ok(body) => reply::response(
            pipeline::run(
                world,
                Inbound {
                    dialect,
                    headers: parts.headers,
                    body,
                },
            )
            .await,
        ),
        Err(error) => reply::error(&error, dialect),
    }
}

/// `POST /api/event_logging/batch`: telemetry of clients, thrown away unread.
pub(super) async fn discard() -> StatusCode {
    StatusCode::OK
}

/// The whole body, up to `limit` bytes.
pub(super) async fn read(parts: &Parts, body: Body, limit: usize) -> Result<Bytes, Error> {
    if let Some(encoding) = parts.headers.get(http::header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(Error::client(
            415,
            "compressed request bodies are not supported; send it uncompressed",
        ));
    }
    let announced = parts.headers.get(http::header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(Error::too_large(limit));
    }
    axum::body::to_bytes(body, limit).await.map_err(|error| {
        // The one error that `to_bytes` has of its own; the rest is the connection's.
        if std::error::Error::source(&error)
            .is_some_and(|cause| cause.to_string().contains("length limit"))
        {
            Error::too_large(limit)
        } else {
            Error::client(400, "the request body broke off")
        }
    })
}
