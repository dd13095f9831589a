//! What is counted for the collector: histograms of the conventions, and one of the
//! gateway's own.
//!
//! Attributes are what the configuration has, never what a client or an upstream
//! says, so there are no more series than it has entries times targets.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};

use super::conventions::{
    CHAT, DURATION_BOUNDS, ERROR_TYPE, FIRST_TOKEN_BOUNDS, HTTP_STATUS, OPERATION_NAME,
    OUTPUT_TOKEN_BOUNDS, PROVIDER_NAME, REQUEST_MODEL, SERVER_ADDRESS, SERVER_PORT, TOKEN_BOUNDS,
    TOKEN_TYPE,
};
use super::ear::Heard;
use super::trace::Attempt;
use crate::tally::Ended;

/// Bounds of whole calls, in s: the conventions', and an agent's longest answers.
const CALL_BOUNDS: [f64; 4] = [163.84, 327.68, 655.36, 1310.72];

#[derive(Debug)]
pub(super) struct Instruments {
    duration: Histogram<f64>,
    tokens: Histogram<u64>,
    first_token: Histogram<f64>,
    output_token: Histogram<f64>,
    calls: Histogram<f64>,
}

impl Instruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let seconds = |name: &'static str, what: &'static str, bounds: &[f64]| {
            let histogram = meter.f64_histogram(name).with_unit("s");
            let histogram = histogram.with_description(what);
            histogram.with_boundaries(bounds.to_vec()).build()
        };
        let tokens = meter.u64_histogram("gen_ai.client.token.usage");
        Self {
            duration: seconds(
                "gen_ai.client.operation.duration",
                "Duration of attempts at targets.",
                &DURATION_BOUNDS,
            ),
            tokens: tokens
                .with_unit("{token}")
                .with_description("Tokens of attempts, as upstreams count them.")
                .with_boundaries(TOKEN_BOUNDS.to_vec())
                .build(),
            first_token: seconds(
                "gen_ai.server.time_to_first_token",
                "Time to the first piece of streamed answers.",
                &FIRST_TOKEN_BOUNDS,
            ),
            output_token: seconds(
                "gen_ai.server.time_per_output_token",
                "Mean time of a token after the first.",
                &OUTPUT_TOKEN_BOUNDS,
            ),
            calls: seconds(
                "sluice.call.duration",
                "Duration of clients' calls.",
                &[&DURATION_BOUNDS[..], &CALL_BOUNDS].concat(),
            ),
        }
    }

    /// An attempt ended; it failed if there is an `error`.
    pub(super) fn attempt(&self, attempt: &Attempt, heard: &Heard, error: Option<&str>) {
        let place = &attempt.place;
        let mut labels = vec![
            KeyValue::new(OPERATION_NAME, CHAT),
            KeyValue::new(PROVIDER_NAME, place.provider.clone()),
            KeyValue::new(REQUEST_MODEL, place.configured_model.clone()),
            KeyValue::new(SERVER_ADDRESS, place.address.clone()),
            KeyValue::new(SERVER_PORT, i64::from(place.port)),
        ];
        if error.is_none() {
            if let Some(seconds) = heard.first_after(attempt.began) {
                self.first_token.record(seconds, &labels);
            }
            if let Some(seconds) = heard.per_token() {
                self.output_token.record(seconds, &labels);
            }
        }
        labels.extend(error.map(|error| KeyValue::new(ERROR_TYPE, error.to_owned())));
        self.duration
            .record(attempt.lasted().as_secs_f64(), &labels);
        if let Some(usage) = heard.counted() {
            labels.truncate(5);
            for (kind, tokens) in [("input", usage.prompt()), ("output", usage.output)] {
                labels.push(KeyValue::new(TOKEN_TYPE, kind));
                self.tokens.record(tokens, &labels);
                labels.pop();
            }
        }
    }

    /// A call ended.
    pub(super) fn call(&self, call: &Ended<'_>) {
        let labels = [
            KeyValue::new("sluice.route", call.route_label().to_owned()),
            KeyValue::new("sluice.target", call.target_label().to_owned()),
            KeyValue::new("sluice.outcome", call.outcome.name()),
            KeyValue::new(HTTP_STATUS, i64::from(call.status)),
        ];
        self.calls.record(call.seconds, &labels);
    }
}
