//! The HTTP server: endpoints, access, and the way into the pipeline.
//!
//! One file a concern; [`router`] is the table of contents.

mod access;
mod admin;
mod inbound;
mod metrics;
mod models;
mod reply;
mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract;
use axum::http::StatusCode;
use axum::routing::{any, get, post};
use tokio::sync::watch;

use crate::closing::Phase;
use crate::metrics::Metrics;
use crate::snapshot::{Current, ReloadState};

/// What handlers share.
#[derive(Clone)]
pub(crate) struct State {
    current: Arc<Current>,
    metrics: Metrics,
    reloads: watch::Receiver<ReloadState>,
    /// Where the clients of this router have connected to: a connection may outlast a
    /// change of what is configured.
    listen: SocketAddr,
}

/// All endpoints. `/v1` may stand twice: clients append it to base URLs that
/// hold it already. `listen` is where clients connect to it.
pub fn router(
    current: Arc<Current>,
    metrics: Metrics,
    reloads: watch::Receiver<ReloadState>,
    listen: SocketAddr,
) -> Router {
    let api = Router::new()
        .route("/messages", post(inbound::messages))
        .route("/chat/completions", post(inbound::chat_completions))
        .route("/messages/count_tokens", post(tokens::count))
        .route("/models", get(models::list))
        .route("/models/{*id}", get(models::one));
    let state = State {
        current,
        metrics,
        reloads,
        listen,
    };
    Router::new()
        .nest("/v1", api.clone())
        .nest("/v1/v1", api)
        .route("/metrics", get(metrics::show))
        .route("/admin/config", get(admin::config))
        .route("/admin/hooks", get(admin::hooks))
        .route("/admin/keys", get(admin::keys))
        .route("/admin/targets", get(admin::targets))
        .fallback(access::unknown_endpoint)
        .method_not_allowed_fallback(access::wrong_method)
        .layer(axum::middleware::from_fn_with_state(
            state.clone(),
            access::check,
        ))
        .layer(axum::middleware::from_fn_with_state(
            state.clone(),
            metrics::count,
        ))
        // Probes and telemetry need no key.
        .route("/", any(|| async { StatusCode::OK }))
        .route("/api/hello", any(|| async { StatusCode::OK }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/api/event_logging/batch", post(inbound::discard))
        .with_state(state)
}

/// `GET /readyz`: whether calls should come here.
async fn ready(extract::State(state): extract::State<State>) -> (StatusCode, &'static str) {
    match state.current.load().closing.phase() {
        Phase::Serving => (StatusCode::OK, "ok"),
        Phase::Announced | Phase::Over => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    }
}
