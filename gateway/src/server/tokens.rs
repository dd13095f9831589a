//! `POST /v1/messages/count_tokens`: a local estimate, marked as one.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, http};
use bytes::Bytes;
use serde_json::json;
use sluice_codec::dialect::messages::decode_request;
use sluice_codec::fields::DecodeError;

use crate::codecs;
use crate::error::Error;
use crate::hook::{Document, Facts, Stage, Verdict};
use crate::provider::Dialect;
use crate::snapshot::Snapshot;
use crate::tokens;

use super::access::Caller;
use super::{inbound, reply};

/// Only this dialect has the endpoint.
const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Count the tokens of a request as OpenAI's `o200k_base` would, unless a hook
/// knows better.
pub(super) async fn count(
    State(state): State<super::State>,
    Extension(caller): Extension<Caller>,
    request: http::Request<Body>,
) -> Response {
    let world = state.current.load();
    let (parts, body) = request.into_parts();
    let (body, _room) = match inbound::read(&world, &parts, body).await {
        Ok(read) => read,
        Err(error) => return reply::error(&error, DIALECT),
    };
    match hooked(&world, &caller, parts.headers, &body).await {
        Ok(Some(tokens)) => return answer("hook", tokens),
        Ok(None) => {}
        Err(error) => return reply::error(&error, DIALECT),
    }
    // Tokenising a long conversation takes milliseconds: not on a worker of the runtime.
    match tokio::task::spawn_blocking(move || estimate(&body)).await {
        Ok(Ok(tokens)) => answer("estimate; o200k_base", tokens as u64),
        Ok(Err(error)) => reply::error(&error.into(), DIALECT),
        Err(_) => reply::error(&Error::client(500, "counting failed"), DIALECT),
    }
}

fn answer(how: &'static str, tokens: u64) -> Response {
    let header = [("sluice-token-count", how)];
    (header, Json(json!({ "input_tokens": tokens }))).into_response()
}

/// What hooks count.
async fn hooked(
    world: &Snapshot,
    caller: &Caller,
    headers: HeaderMap,
    body: &Bytes,
) -> Result<Option<u64>, Error> {
    if !world.hooks.stages().has(Stage::CountTokens) {
        return Ok(None);
    }
    let request = codecs::decode_request(DIALECT, body)?.request;
    let mut session = world.hooks.session(Facts {
        id: reply::id(),
        dialect: DIALECT.name(),
        model: request.model.into_owned(),
        stream: false,
        client: caller.name().to_owned(),
        request_bytes: body.len(),
        headers: Arc::new(headers),
    });
    match session.on_count_tokens(Document::new(body.clone())).await? {
        Verdict::Count(tokens) => Ok(Some(tokens)),
        Verdict::Refuse(refusal) => Err(Error::refused(refusal)),
        _ => Ok(None),
    }
}

fn estimate(body: &[u8]) -> Result<usize, DecodeError> {
    let text = String::from_utf8_lossy(body);
    Ok(tokens::count(&decode_request(&text)?))
}
