//! `GET /v1/models`: the configured names, in the shape that the client reads.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::config::{Models, Route};
use crate::error::Error;
use crate::hook::{Document, Facts, Stage, Verdict};
use crate::route::{self, Asker};
use crate::snapshot::Snapshot;

use super::access::Caller;
use super::reply;

/// Clients sort by it and show it; the gateway knows no real one.
const CREATED_AT: &str = "2026-01-01T00:00:00Z";
const CREATED: u64 = 1_767_225_600;

/// `GET /v1/models`
pub(super) async fn list(
    State(state): State<super::State>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let world = state.current.load();
    let shape = Shape::of(&headers);
    let models: Vec<_> = named(&world.config.models)
        .filter(|route| caller.may_ask_for(&route.pattern))
        .map(|route| anthropic(&route.pattern, route))
        .collect();
    let models = match hooked(&world, &caller, headers.clone(), models).await {
        Ok(models) => models,
        Err(error) => return reply::error(&error, reply::dialect(&uri, &headers)),
    };
    Json(match shape {
        Shape::Anthropic => json!({
            "first_id": models.first().map(|model| model["id"].clone()),
            "last_id": models.last().map(|model| model["id"].clone()),
            "has_more": false,
            "data": models,
        }),
        Shape::OpenAi => {
            let models = models.iter().filter(|model| model["id"].is_string());
            json!({ "object": "list", "data": models.map(openai).collect::<Vec<_>>() })
        }
    })
    .into_response()
}

/// The models as hooks would have them.
async fn hooked(
    world: &Snapshot,
    caller: &Caller,
    headers: HeaderMap,
    models: Vec<Value>,
) -> Result<Vec<Value>, Error> {
    if !world.hooks.stages().has(Stage::ListModels) {
        return Ok(models);
    }
    let mut session = world.hooks.session(Facts {
        id: reply::id(),
        dialect: reply::dialect(&Uri::from_static("/v1/models"), &headers).name(),
        model: String::new(),
        stream: false,
        client: caller.name().to_owned(),
        request_bytes: 0,
        headers: Arc::new(headers),
    });
    let list = json!({ "data": models }).to_string();
    let (mut list, verdict) = session.on_list_models(Document::new(list.into())).await?;
    if let Verdict::Refuse(refusal) = verdict {
        return Err(Error::refused(refusal));
    }
    let data = list.get("/data").ok().flatten();
    let data = data.and_then(|data| serde_json::from_str(&data).ok());
    data.ok_or_else(|| Error::hook("a hook left no list of models"))
}

/// `GET /v1/models/{id}`
pub(super) async fn one(
    State(state): State<super::State>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let world = state.current.load();
    if let Some(client) = caller.0.filter(|client| !client.may_ask_for(&id)) {
        let error = Error::forbidden_model(&id, &client.name, &client.models);
        return reply::error(&error, reply::dialect(&uri, &headers));
    }
    let models = &world.config.models;
    let Some((route, _)) = route::resolve(models, &id, Asker::Main) else {
        let error = Error::unknown_model(&id, &route::nearest(models, &id));
        return reply::error(&error, reply::dialect(&uri, &headers));
    };
    let model = anthropic(&id, route);
    match Shape::of(&headers) {
        Shape::Anthropic => Json(model).into_response(),
        Shape::OpenAi => Json(openai(&model)).into_response(),
    }
}

/// What can be listed: a pattern stands for names that nobody can list.
fn named(models: &Models) -> impl Iterator<Item = &Route> {
    let routes = models.routes.iter();
    routes.filter(|route| !route.pattern.contains('*'))
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
}

fn anthropic(name: &str, route: &Route) -> Value {
    json!({
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": CREATED_AT,
        "lifecycle": "active",
        "max_input_tokens": route.context_window(),
        "max_tokens": route.output_limit(),
        "capabilities": null,
    })
}

/// The same in OpenAI's shape, with the window as vLLM tells it.
/// <https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html> (seen 2026-11).
fn openai(model: &Value) -> Value {
    let mut listed = json!({
        "id": model["id"], "object": "model", "created": CREATED, "owned_by": "sluice"
    });
    if model["max_input_tokens"].is_u64() {
        listed["max_model_len"] = model["max_input_tokens"].clone();
    }
    listed
}
