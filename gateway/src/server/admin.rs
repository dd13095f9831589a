//! `GET /admin/...`: what the gateway is doing, for its operator.

use std::time::{Instant, SystemTime};

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::accounts::Taken;
use crate::health::TargetReport;
use crate::hook::HookReport;

/// `GET /admin/hooks`: the chain in its order, with each hook's books.
pub(super) async fn hooks(State(state): State<super::State>) -> Json<Vec<HookReport>> {
    Json(state.current.load().hooks.report())
}

/// A key, what it may do, and what is taken of that.
#[derive(Debug, Serialize)]
pub(super) struct KeyReport {
    name: String,
    models: Vec<String>,
    admin: bool,
    limits: Vec<Taken>,
}

/// `GET /admin/keys`: the keys that have a name.
pub(super) async fn keys(State(state): State<super::State>) -> Json<Vec<KeyReport>> {
    let world = state.current.load();
    let now = SystemTime::now();
    let mut reports = Vec::new();
    for client in world.config.keys.list() {
        if client.name.is_empty() {
            continue;
        }
        reports.push(KeyReport {
            name: client.name.clone(),
            models: client.models.clone(),
            admin: client.is_admin,
            limits: world.accounts.report(client, now).await,
        });
    }
    Json(reports)
}

/// `GET /admin/targets`: how each target fares that was tried.
pub(super) async fn targets(State(state): State<super::State>) -> Json<Vec<TargetReport>> {
    Json(state.current.load().health.report(Instant::now()))
}
