//! `GET /metrics`: every number, in Prometheus' text format; and the number of requests,
//! whatever becomes of them.

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
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

/// Count a request by its endpoint, and the status that its answer begins with.
pub(super) async fn count(
    State(state): State<super::State>,
    endpoint: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    let endpoint = endpoint.as_ref().map(MatchedPath::as_str);
    // Clients that append `/v1` to what holds it are no others.
    let endpoint = endpoint.map(|path| match path.strip_prefix("/v1/v1/") {
        Some(_) => &path["/v1".len()..],
        None => path,
    });
    let world = state.current.load();
    world.tally.request(endpoint, response.status().as_u16());
    response
}
