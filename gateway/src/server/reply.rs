//! The pipeline's reply as an HTTP response.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use crate::error::Error;
use crate::pipeline::{self, Reply, ReplyBody};

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
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The response for a request that never became a call.
pub(super) fn error(error: &Error) -> Response {
    let id = format!("req_{:016x}", fastrand::u64(..));
    response(pipeline::error_reply(&id, error))
}
