//! The pipeline's reply as an HTTP response.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use crate::codecs::ClientFormat;
use crate::error::Error;
use crate::exits::{self, Reply, ReplyBody};
use crate::provider::Dialect;

/// The response for a finished or streaming call.
pub(super) fn response(reply: Reply) -> Response {
    let mut response = match reply.body {
        ReplyBody::Whole(bytes) => (
            [(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            )],
            Body::from(bytes),
        )
            .into_response(),
        ReplyBody::Stream(stream) => (
            [
                (
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("text/event-stream; charset=utf-8"),
                ),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            ],
            Body::from_stream(stream.map(Ok::<_, std::convert::Infallible>)),
        )
            .into_response(),
    };
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().extend(reply.headers);
    response
}

/// The response for a request that never became a call.
pub(super) fn error(error: &Error, dialect: Dialect) -> Response {
    response(exits::error_reply(&id(), error, ClientFormat::of(dialect)))
}

/// An id for what is no call.
pub(super) fn id() -> String {
    format!("req_{:016x}", fastrand::u64(..))
}

/// What the client of an endpoint speaks, as far as path and headers tell.
pub(super) fn dialect(uri: &Uri, headers: &HeaderMap) -> Dialect {
    let is_shared = uri.path().contains("/models");
    let is_chat = uri.path().ends_with(Dialect::ChatCompletions.path());
    match is_chat || is_shared && !headers.contains_key("anthropic-version") {
        true => Dialect::ChatCompletions,
        false => Dialect::AnthropicMessages,
    }
}
