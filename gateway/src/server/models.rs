//! `GET /v1/models`: the configured names, in the shape that the client reads.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::config::Models;
use crate::error::Error;
use crate::route;

use super::reply;

/// Clients sort by it and show it; the gateway knows no real one.
const CREATED_AT: &str = "2026-01-01T00:00:00Z";
const CREATED: u64 = 1_767_225_600;

/// `GET /v1/models`
pub(super) async fn list(State(state): State<super::State>, headers: HeaderMap) -> Response {
    let world = state.current.load();
    let shape = Shape::of(&headers);
    let models: Vec<_> = names(&world.config.models)
        .map(|name| shape.model(name))
        .collect();
    Json(match shape {
        Shape::Anthropic => json!({
            "first_id": models.first().map(|model| model["id"].clone()),
            "last_id": models.last().map(|model| model["id"].clone()),
            "has_more": false,
            "data": models,
        }),
        Shape::OpenAi => json!({ "object": "list", "data": models }),
    })
    .into_response()
}

/// `GET /v1/models/{id}`
pub(super) async fn one(
    State(state): State<super::State>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let world = state.current.load();
    let models = &world.config.models;
    if route::resolve(models, &id).is_some() {
        Json(Shape::of(&headers).model(&id)).into_response()
    } else {
        let error = Error::unknown_model(&id, &route::nearest(models, &id));
        reply::error(&error, reply::dialect(&uri, &headers))
    }
}

/// Names that can be listed: a pattern stands for names that nobody can list.
fn names(models: &Models) -> impl Iterator<Item = &str> {
    models
        .routes
        .iter()
        .map(|route| route.pattern.as_str())
        .filter(|name| !name.contains('*'))
}

enum Shape {
    Anthropic,
    OpenAi,
}

impl Shape {
    /// Anthropic's clients say their version with every request.
    fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key("anthropic-version") {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }

    fn model(&self, name: &str) -> Value {
        match self {
            Self::Anthropic => json!({
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": CREATED_AT,
                "lifecycle": "active",
                "max_input_tokens": null,
                "max_tokens": null,
                "capabilities": null,
            }),
            Self::OpenAi => json!({
                "id": name,
                "object": "model",
                "created": CREATED,
                "owned_by": "sluice",
            }),
        }
    }
}
