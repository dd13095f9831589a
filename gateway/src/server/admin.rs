//! `GET /admin/...`: what the gateway is doing, for its operator.

use std::time::Instant;

use axum::Json;
use axum::extract::State;

use crate::health::TargetReport;
use crate::hook::HookReport;

/// `GET /admin/hooks`: the chain in its order, with each hook's books.
pub(super) async fn hooks(State(state): State<super::State>) -> Json<Vec<HookReport>> {
    Json(state.current.load().hooks.report())
}

/// `GET /admin/targets`: how each target fares that was tried.
pub(super) async fn targets(State(state): State<super::State>) -> Json<Vec<TargetReport>> {
    Json(state.current.load().health.report(Instant::now()))
}
