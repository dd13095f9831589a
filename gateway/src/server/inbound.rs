//! Requests in: body limit, then the pipeline.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;

use crate::error::Error;
use crate::pipeline::{self, Inbound};

use super::reply;

/// `POST /v1/messages`
pub(super) async fn messages(
    State(state): State<super::State>,
    request: http::Request<Body>,
) -> Response {
    let world = state.current.load();
    let (parts, body) = request.into_parts();
    match read(&parts, body, world.config.limits.body_bytes_max).await {
        Ok(body) => reply::response(
            pipeline::run(
                world,
                Inbound {
                    headers: parts.headers,
                    body,
                },
            )
            .await,
        ),
        Err(error) => reply::error(&error),
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
