//! `POST /v1/messages/count_tokens`: a local estimate, marked as one.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json, http};
use serde_json::json;
use sluice_codec::dialect::messages::decode_request;
use sluice_codec::fields::DecodeError;

use crate::error::Error;
use crate::provider::Dialect;
use crate::tokens;

use super::{inbound, reply};

/// Only this dialect has the endpoint.
const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Count the tokens of a request as OpenAI's `o200k_base` would.
pub(super) async fn count(
    State(state): State<super::State>,
    request: http::Request<Body>,
) -> Response {
    let limit = state.current.load().config.limits.body_bytes_max;
    let (parts, body) = request.into_parts();
    let counted = match inbound::read(&parts, body, limit).await {
        // Tokenising a long conversation takes milliseconds: not on a worker of the runtime.
        Ok(body) => tokio::task::spawn_blocking(move || estimate(&body)).await,
        Err(error) => return reply::error(&error, DIALECT),
    };
    match counted {
        Ok(Ok(tokens)) => {
            let header = [("sluice-token-count", "estimate; o200k_base")];
            (header, Json(json!({ "input_tokens": tokens }))).into_response()
        }
        Ok(Err(error)) => reply::error(&error.into(), DIALECT),
        Err(_) => reply::error(&Error::client(500, "counting failed"), DIALECT),
    }
}

fn estimate(body: &[u8]) -> Result<usize, DecodeError> {
    let text = String::from_utf8_lossy(body);
    Ok(tokens::count(&decode_request(&text)?))
}
