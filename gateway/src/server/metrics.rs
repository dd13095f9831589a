//! `GET /metrics`: every number, in Prometheus' text format.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

/// The version of the format that Prometheus reads.
/// <https://prometheus.io/docs/instrumenting/exposition_formats/> (seen 2026-11).
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`
pub(super) async fn show(State(state): State<super::State>) -> Response {
    (
        [(header::CONTENT_TYPE, CONTENT_TYPE)],
        state.metrics.render(),
    )
        .into_response()
}
