//! `GET /admin/...`: what the gateway is doing, for its operator.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::health::TargetReport;
use crate::hook::HookReport;

/// What is in use, and what became of the changes since.
#[derive(Serialize)]
pub(super) struct ConfigReport {
    generation: u64,
    digest: Option<String>,
    loaded: String,
    changes: Vec<String>,
    last_refusal: Option<RefusalReport>,
}

/// A change that was refused.
#[derive(Serialize)]
struct RefusalReport {
    time: String,
    findings: Vec<String>,
    /// Whether what was refused is still what the files say.
    stands: bool,
}

/// `GET /admin/config`: the generation in use, and the last refusal.
pub(super) async fn config(State(state): State<super::State>) -> Json<ConfigReport> {
    let reloads = state.reloads.borrow().clone();
    let stands = !reloads.refused.is_empty();
    let refusal = reloads.last_refusal.map(|refusal| RefusalReport {
        time: httpdate::fmt_http_date(refusal.time),
        findings: refusal.findings,
        stands,
    });
    Json(ConfigReport {
        generation: reloads.generation,
        digest: reloads.digest,
        loaded: httpdate::fmt_http_date(reloads.loaded),
        changes: reloads.changes,
        last_refusal: refusal,
    })
}

/// `GET /admin/hooks`: the chain in its order, with each hook's books.
pub(super) async fn hooks(State(state): State<super::State>) -> Json<Vec<HookReport>> {
    Json(state.current.load().hooks.report())
}

/// `GET /admin/targets`: how each target fares that was tried.
pub(super) async fn targets(State(state): State<super::State>) -> Json<Vec<TargetReport>> {
    Json(state.current.load().health.report(Instant::now()))
}
