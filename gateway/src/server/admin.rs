//! `GET /admin/...`: what the gateway is doing, for its operator.

use axum::Json;
use axum::extract::State;

use crate::hook::HookReport;

/// `GET /admin/hooks`: the chain in its order, with each hook's books.
pub(super) async fn hooks(State(state): State<super::State>) -> Json<Vec<HookReport>> {
    Json(state.current.load().hooks.report())
}
