//! `GET /admin/...`: what the gateway is doing, for its operator.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::accounts::Taken;
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
    being_written: Vec<PathBuf>,
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
        being_written: reloads.being_written,
    })
}

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
    /// The last day on which it is good.
    expires: Option<String>,
    calls_max: Option<usize>,
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
            expires: client.expires.map(|day| day.to_string()),
            calls_max: client.calls_max,
            limits: world.accounts.report(client, now).await,
        });
    }
    Json(reports)
}

/// `GET /admin/targets`: how each target fares that was tried.
pub(super) async fn targets(State(state): State<super::State>) -> Json<Vec<TargetReport>> {
    Json(state.current.load().health.report(Instant::now()))
}
