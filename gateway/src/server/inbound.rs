//! Requests in: limits on bodies and calls, then the pipeline.

use std::time::Duration;

use axum::body::Body;
use axum::extract;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;

use crate::config::Client;
use crate::error::Error;
use crate::gate::Pass;
use crate::pipeline::{self, Inbound, Passes};
use crate::provider::Dialect;
use crate::snapshot::Snapshot;

use super::access::Caller;
use super::{State, reply};

/// Time for a request's body, in ms: the largest over a slow line (1 Mbit/s). It takes
/// up room for as long.
const BODY_MS: u64 = 300_000;

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
    let admitted = tokio::select! {
        biased;
        admitted = admit(&world, dialect, parts, body) => admitted,
        () = world.closing.over() => Err(Error::stopping(world.config.drain.streams_ms)),
    };
    match admitted {
        Ok(inbound) => reply::response(pipeline::run(world.clone(), inbound).await),
        Err(error) => {
            world.tally.turned_away(error.status);
            reply::error(&error, dialect)
        }
    }
}

/// The call, once there is room for it: first among its client's, so that who has too
/// many takes no room from others; then for its body, then for itself, so that a slow
/// sender takes no place from those that are ready.
async fn admit(
    world: &Snapshot,
    dialect: Dialect,
    parts: Parts,
    body: Body,
) -> Result<Inbound, Error> {
    let client = parts
        .extensions
        .get::<Caller>()
        .cloned()
        .unwrap_or_default()
        .0;
    let own = among_own(world, client.as_deref()).await?;
    let (body, bytes) = read(world, &parts, body).await?;
    let call = world.gates.calls.enter().await;
    let call = call.map_err(|full| Error::busy("the gateway", full.retry_after))?;
    Ok(Inbound {
        dialect,
        client,
        headers: parts.headers,
        body,
        passes: Passes {
            call: Some(call),
            client: own,
            bytes: Some(bytes),
        },
    })
}

/// Room among the calls of the client's key, if there is a limit.
async fn among_own(world: &Snapshot, client: Option<&Client>) -> Result<Option<Pass>, Error> {
    let name = client.map_or("", |client| &client.name);
    let Some(gate) = world.gates.client(name) else {
        return Ok(None);
    };
    gate.enter().await.map(Some).map_err(|full| {
        world.tally.client_refused(name, "calls_max");
        Error::too_many(name, full.retry_after)
    })
}

/// `POST /api/event_logging/batch`: telemetry of clients, thrown away unread.
pub(super) async fn discard() -> StatusCode {
    StatusCode::OK
}

/// The whole body, and its room among those of all calls.
pub(super) async fn read(
    world: &Snapshot,
    parts: &Parts,
    body: Body,
) -> Result<(Bytes, Pass), Error> {
    let limit = world.config.limits.body_bytes_max;
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
    let room = world
        .gates
        .bytes
        .enter_with_bytes(announced.unwrap_or(limit));
    let mut room = room
        .await
        .map_err(|full| Error::busy("the gateway", full.retry_after))?;
    let whole = axum::body::to_bytes(body, limit);
    let Ok(whole) = tokio::time::timeout(Duration::from_millis(BODY_MS), whole).await else {
        let seconds = BODY_MS / 1_000;
        let message = format!("the request body did not come within {seconds} s");
        return Err(Error::client(408, message));
    };
    let body = whole.map_err(|error| {
        // The one error that `to_bytes` has of its own; the rest is the connection's.
        if std::error::Error::source(&error)
            .is_some_and(|cause| cause.to_string().contains("length limit"))
        {
            Error::too_large(limit)
        } else {
            Error::client(400, "the request body broke off")
        }
    })?;
    room.shrink_to_bytes(body.len());
    Ok((body, room))
}
