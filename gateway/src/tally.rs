//! What the gateway counts of itself: names, labels and buckets in one place.
//!
//! Labels are what the configuration has, never what a client says: a model is the
//! entry that matched, a target is written as it is configured. `docs/operations.md`
//! has the same list for operators; a test holds both together.

use sluice_codec::ir::Usage;

use crate::build_info;
use crate::metrics::{Kind, Metrics};

/// Where no entry of the configuration was found.
const OTHER_MODEL: &str = "other";

/// Where the router knows no endpoint.
const NO_ENDPOINT: &str = "other";

/// Where no target was tried.
const NO_TARGET: &str = "none";

const REQUESTS: &str = "sluice_requests_total";
const CALLS: &str = "sluice_calls_total";
const IN_FLIGHT: &str = "sluice_calls_in_flight";
const CALL_SECONDS: &str = "sluice_call_seconds";
const FIRST_BYTE_SECONDS: &str = "sluice_first_byte_seconds";
const TOKEN_GAP_SECONDS: &str = "sluice_token_gap_seconds";
const TOKENS: &str = "sluice_tokens_total";
const LOSSES: &str = "sluice_losses_total";
const ATTEMPTS: &str = "sluice_attempts_total";
const RETRIES: &str = "sluice_retries_total";
const CONTINUATIONS: &str = "sluice_continuations_total";
const COOLDOWNS: &str = "sluice_cooldowns_total";
const CLIENT_CALLS: &str = "sluice_client_calls_total";
const CLIENT_TOKENS: &str = "sluice_client_tokens_total";
/// In billionths, since counters are whole numbers.
const CLIENT_NANO_USD: &str = "sluice_client_nano_usd_total";
/// Counted where the limit is.
pub(crate) const CLIENT_REFUSALS: &str = "sluice_client_refusals_total";
const RELOADS: &str = "sluice_reloads_total";
const TELEMETRY_DROPPED: &str = "sluice_telemetry_dropped_total";
const BUILD_INFO: &str = "sluice_build_info";

/// Bounds for calls: from a cached word to an agent's longest answer.
const SECONDS: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// Bounds between tokens: from 1,000 tokens a second to one.
const GAP_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0,
];

/// Bounds of histograms: what has none is shown as quantiles, which cannot be summed up
/// over gateways.
pub(crate) const BUCKETS: [(&str, &[f64]); 3] = [
    (CALL_SECONDS, SECONDS),
    (FIRST_BYTE_SECONDS, SECONDS),
    (TOKEN_GAP_SECONDS, GAP_SECONDS),
];

/// Every family, and what it says.
const FAMILIES: [(&str, Kind, &str); 19] = [
    (REQUESTS, Kind::Counter, "Requests, but for probes."),
    (CALLS, Kind::Counter, "Calls that ended."),
    (IN_FLIGHT, Kind::Gauge, "Calls that run."),
    (
        CALL_SECONDS,
        Kind::Histogram,
        "Time from a call's last byte to its answer's.",
    ),
    (
        FIRST_BYTE_SECONDS,
        Kind::Histogram,
        "Time from a call's last byte to its answer's first.",
    ),
    (
        TOKEN_GAP_SECONDS,
        Kind::Histogram,
        "Mean time between two tokens of a streamed answer.",
    ),
    (TOKENS, Kind::Counter, "Tokens, as upstreams count them."),
    (LOSSES, Kind::Counter, "Fields that could not be carried."),
    (ATTEMPTS, Kind::Counter, "Attempts at targets."),
    (
        RETRIES,
        Kind::Counter,
        "Attempts after the first of a call.",
    ),
    (
        CONTINUATIONS,
        Kind::Counter,
        "Answers that broke off, and whether another went on.",
    ),
    (
        COOLDOWNS,
        Kind::Counter,
        "How often a target was left alone.",
    ),
    (CLIENT_CALLS, Kind::Counter, "Calls of a key that ended."),
    (CLIENT_TOKENS, Kind::Counter, "Tokens of a key's calls."),
    (
        CLIENT_NANO_USD,
        Kind::Counter,
        "Cost of a key's calls, in billionths of a US dollar.",
    ),
    (
        CLIENT_REFUSALS,
        Kind::Counter,
        "Calls beyond a limit of their key.",
    ),
    (RELOADS, Kind::Counter, "Changes of files that were seen."),
    (
        TELEMETRY_DROPPED,
        Kind::Counter,
        "Spans and readings that the collector did not get.",
    ),
    (BUILD_INFO, Kind::Gauge, "What runs; always 1."),
];

/// The gateway's own numbers.
#[derive(Clone, Debug, Default)]
pub struct Tally(Metrics);

/// A call that ended, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'c> {
    /// The name of its key; empty if it has none.
    pub client: &'c str,
    /// The entry of the configuration that it went by.
    pub route: Option<&'c str>,
    /// The latest target, as it is configured.
    pub target: Option<&'c str>,
    /// How it ended.
    pub outcome: Outcome,
    /// The status that says so.
    pub status: u16,
    /// How long it took.
    pub seconds: f64,
    /// How long its first byte took.
    pub first_byte_seconds: Option<f64>,
    /// Whether its answer went out as it came.
    pub is_streamed: bool,
    /// Attempts.
    pub attempts: u32,
    /// Fields that could not be carried.
    pub losses: usize,
    /// Its tokens, where they were counted.
    pub usage: Option<&'c Usage>,
    /// What it cost, if that is known.
    pub nano_usd: Option<u64>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of the answer was given out.
    Answered,
    /// An error was given out in the answer's place, or in its middle.
    Failed,
    /// The client left before the end.
    ClientLeft,
    /// There was no room for it, or its body was too large.
    TurnedAway,
}

impl Outcome {
    /// As logs, records and metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::ClientLeft => "client left",
            Self::TurnedAway => "turned away",
        }
    }
}

impl Ended<'_> {
    /// Its tokens, where they were counted, by kind.
    fn tokens(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.usage.into_iter().flat_map(|usage| {
            [
                ("input", usage.input),
                ("output", usage.output),
                ("cache_read", usage.cache_read),
                ("cache_write", usage.cache_write),
            ]
        })
    }
}

impl Tally {
    /// Count in `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        for (name, kind, help) in FAMILIES {
            metrics.describe(name, kind, help);
        }
        let facts = [
            ("version", build_info::VERSION),
            ("commit", build_info::COMMIT),
            ("target", build_info::TARGET),
            ("wasmtime", build_info::WASMTIME),
        ];
        metrics.gauge(BUILD_INFO, &facts).set(1.0);
        Self(metrics)
    }

    /// A request to `endpoint`, as the router writes it, was answered; none if there is
    /// no such endpoint.
    pub fn request(&self, endpoint: Option<&str>, status: u16) {
        let endpoint = ("endpoint", endpoint.unwrap_or(NO_ENDPOINT));
        let labels = [endpoint, ("status", &status.to_string())];
        self.0.add(REQUESTS, 1, &labels);
    }

    /// A call began.
    pub fn begun(&self) {
        self.0.gauge(IN_FLIGHT, &[]).increment(1.0);
    }

    /// A call that began has ended.
    pub fn ended(&self, call: &Ended<'_>) {
        self.0.gauge(IN_FLIGHT, &[]).decrement(1.0);
        let model = ("model", call.route_label());
        let target = ("target", call.target_label());
        let (outcome, status) = (("outcome", call.outcome.name()), call.status.to_string());
        let labels = [model, target, outcome, ("status", &status)];
        self.0.add(CALLS, 1, &labels);
        let times = [model, target, outcome];
        self.0.histogram(CALL_SECONDS, &times).record(call.seconds);
        let way = [model, target];
        if let Some(seconds) = call.first_byte_seconds {
            self.0.histogram(FIRST_BYTE_SECONDS, &way).record(seconds);
        }
        if let Some(seconds) = call.gap() {
            self.0.histogram(TOKEN_GAP_SECONDS, &way).record(seconds);
        }
        self.0.add(LOSSES, call.losses as u64, &way);
        let retries = call.attempts.saturating_sub(1);
        self.0.add(RETRIES, u64::from(retries), &[model]);
        for (kind, tokens) in call.tokens() {
            let labels = [model, target, ("kind", kind)];
            self.0.add(TOKENS, tokens, &labels);
        }
        if !call.client.is_empty() {
            self.ended_of(call);
        }
    }

    /// What a call took, by its key: beside the rest, since keys times models times
    /// targets would be many series.
    fn ended_of(&self, call: &Ended<'_>) {
        let client = ("client", call.client);
        self.0
            .add(CLIENT_CALLS, 1, &[client, ("outcome", call.outcome.name())]);
        for (kind, tokens) in call.tokens() {
            self.0.add(CLIENT_TOKENS, tokens, &[client, ("kind", kind)]);
        }
        if let Some(nano_usd) = call.nano_usd {
            self.0.add(CLIENT_NANO_USD, nano_usd, &[client]);
        }
    }

    /// A request was sent away before it became a call.
    pub fn turned_away(&self, status: u16) {
        let labels = [
            ("model", OTHER_MODEL),
            ("target", NO_TARGET),
            ("outcome", Outcome::TurnedAway.name()),
            ("status", &status.to_string()),
        ];
        self.0.add(CALLS, 1, &labels);
    }

    /// A call was beyond a limit of its client's key.
    pub fn client_refused(&self, client: &str, limit: &'static str) {
        let labels = [("client", client), ("limit", limit)];
        self.0.add(CLIENT_REFUSALS, 1, &labels);
    }

    /// An attempt at `target` came to `result`.
    pub fn attempt(&self, target: &str, result: &str) {
        let labels = [("target", target), ("result", result)];
        self.0.add(ATTEMPTS, 1, &labels);
    }

    /// An answer of `target` broke off, and another target went on, or none could.
    pub fn continuation(&self, target: &str, went_on: bool) {
        let result = match went_on {
            true => "ok",
            false => "failed",
        };
        let labels = [("target", target), ("result", result)];
        self.0.add(CONTINUATIONS, 1, &labels);
    }

    /// `target` is left alone for a while.
    pub fn cooldown(&self, target: &str) {
        self.0.add(COOLDOWNS, 1, &[("target", target)]);
    }

    /// The collector did not get so much of `signal`.
    pub fn telemetry_dropped(&self, signal: &'static str, count: u64) {
        self.0.add(TELEMETRY_DROPPED, count, &[("signal", signal)]);
    }

    /// Files changed, and what they say was taken up or refused.
    pub fn reload(&self, result: &'static str) {
        self.0.add(RELOADS, 1, &[("result", result)]);
    }
}

impl Ended<'_> {
    /// The entry that it went by, as labels have it.
    pub(crate) fn route_label(&self) -> &str {
        self.route.unwrap_or(OTHER_MODEL)
    }

    /// Its target, as labels have it.
    pub(crate) fn target_label(&self) -> &str {
        self.target.unwrap_or(NO_TARGET)
    }

    /// The mean time between two tokens, where there are two and they went out as
    /// they came.
    fn gap(&self) -> Option<f64> {
        let gaps = self.usage?.output.checked_sub(1).filter(|gaps| *gaps > 0)?;
        let first = self.first_byte_seconds.filter(|_| self.is_streamed)?;
        Some((self.seconds - first).max(0.0) / gaps as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMED: Ended<'static> = Ended {
        client: "ann",
        route: Some("m*"),
        target: Some("up/*"),
        outcome: Outcome::Answered,
        status: 200,
        seconds: 5.0,
        first_byte_seconds: Some(1.0),
        is_streamed: true,
        attempts: 3,
        losses: 2,
        usage: Some(&USAGE),
        nano_usd: Some(1_500),
    };

    const USAGE: Usage = Usage {
        input: 7,
        output: 5,
        cache_read: 11,
        cache_write: 13,
        extras: Vec::new(),
    };

    #[test]
    fn a_call_is_counted_in_every_family() {
        let metrics = Metrics::default();
        let tally = Tally::new(metrics.clone());
        tally.begun();
        tally.begun();
        tally.ended(&STREAMED);
        tally.turned_away(413);
        tally.request(Some("/v1/models"), 401);
        tally.request(None, 404);
        tally.attempt("up/*", "503");
        tally.cooldown("up/*");
        tally.reload("refused");
        tally.telemetry_dropped("traces", 3);
        let text = metrics.render();
        let way = "model=\"m*\",target=\"up/*\"";
        for line in [
            format!("sluice_calls_total{{{way},outcome=\"answered\",status=\"200\"}} 1"),
            "sluice_calls_total{model=\"other\",target=\"none\",outcome=\"turned away\",status=\"413\"} 1".into(),
            "sluice_requests_total{endpoint=\"/v1/models\",status=\"401\"} 1".into(),
            "sluice_requests_total{endpoint=\"other\",status=\"404\"} 1".into(),
            "sluice_calls_in_flight 1".into(),
            format!("sluice_call_seconds_bucket{{{way},outcome=\"answered\",le=\"5\"}} 1"),
            format!("sluice_first_byte_seconds_bucket{{{way},le=\"0.5\"}} 0"),
            format!("sluice_first_byte_seconds_bucket{{{way},le=\"1\"}} 1"),
            format!("sluice_token_gap_seconds_sum{{{way}}} 1"),
            format!("sluice_tokens_total{{{way},kind=\"output\"}} 5"),
            format!("sluice_tokens_total{{{way},kind=\"cache_write\"}} 13"),
            format!("sluice_losses_total{{{way}}} 2"),
            "sluice_client_calls_total{client=\"ann\",outcome=\"answered\"} 1".into(),
            "sluice_client_tokens_total{client=\"ann\",kind=\"cache_read\"} 11".into(),
            "sluice_client_nano_usd_total{client=\"ann\"} 1500".into(),
            "sluice_attempts_total{target=\"up/*\",result=\"503\"} 1".into(),
            "sluice_retries_total{model=\"m*\"} 2".into(),
            "sluice_cooldowns_total{target=\"up/*\"} 1".into(),
            "sluice_reloads_total{result=\"refused\"} 1".into(),
            "sluice_telemetry_dropped_total{signal=\"traces\"} 3".into(),
            "sluice_build_info{version=".into(),
        ] {
            assert!(text.contains(&line), "{line} in\n{text}");
        }
    }

    #[test]
    fn gaps_are_between_tokens_that_went_out_as_they_came() {
        let held = Ended {
            is_streamed: false,
            ..STREAMED
        };
        let one_token = Ended {
            usage: Some(&Usage { output: 1, ..USAGE }),
            ..STREAMED
        };
        let uncounted = Ended {
            usage: None,
            ..STREAMED
        };
        let gaps = [STREAMED, held, one_token, uncounted].map(|call| call.gap());
        assert_eq!(gaps, [Some(1.0), None, None, None]);
    }

    #[test]
    fn operators_can_look_each_family_up() {
        let page = include_str!("../../docs/operations.md");
        for (name, ..) in FAMILIES {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
}
