//! Traces and metrics of calls through OTLP, in the words of OpenTelemetry's semantic
//! conventions for generative AI.
//!
//! ```text
//! pipeline ─▶ Trace, noted on the call ─▶ spans at its end ─▶ queue ─┐
//!                  └──────────────────▶ histograms ─▶ each interval ─┴▶ Worker ─▶ collector
//! ```
//! Promises: a call never waits for the collector, and one that is slow or dead costs a
//! bounded memory; what is dropped is counted. Without the setting nothing is made, and
//! a call pays for a look at an `Option`. Exporting is ours on top of OpenTelemetry's
//! messages and numbers, since their exporter reads the environment by itself, would
//! bring a second HTTP client, and keeps to itself what it drops.
//!
//! Is not: logs, which go to standard error, and `/metrics`, which is there anyhow. No
//! OpenTelemetry is known outside of this module.

mod content;
mod conventions;
mod ear;
mod export;
mod instruments;
mod trace;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};

pub(crate) use conventions::provider_name;
pub(crate) use ear::Ear;
pub(crate) use trace::{Finished, Place, Trace};

use crate::config;
use crate::tally::Tally;
use crate::upstream::Client;
use export::{Queue, Worker};
use instruments::Instruments;

/// Where a snapshot's calls are told of, if anywhere; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Telemetry(Option<Arc<Exporter>>);

/// What notes and numbers of calls go through.
#[derive(Debug)]
struct Exporter {
    config: config::Telemetry,
    sampler: Sampler,
    instruments: Instruments,
    queue: Queue,
    /// Until it is started.
    worker: Mutex<Option<Worker>>,
}

impl Telemetry {
    /// Telemetry as `config` has it: what was `before`, if that is the same. It sends
    /// nothing until it is started; what nobody holds any more sends what it has, and
    /// is gone.
    pub fn new(
        config: Option<&config::Telemetry>,
        before: Option<&Self>,
        client: &Client,
        tally: &Tally,
    ) -> Self {
        let Some(config) = config else {
            return Self::default();
        };
        if let Some(Self(Some(before))) = before
            && before.config == *config
        {
            return Self(Some(before.clone()));
        }
        let (queue, worker) = export::queue(config, client.clone(), tally.clone());
        let meter = worker.meters.meter_with_scope(trace::scope());
        Self(Some(Arc::new(Exporter {
            sampler: Sampler::TraceIdRatioBased(config.sampling_ratio),
            config: config.clone(),
            instruments: Instruments::new(&meter),
            queue,
            worker: Mutex::new(Some(worker)),
        })))
    }

    /// Begin to send: to be called on the runtime, once it is sure that calls will
    /// come.
    pub fn start(&self) {
        let Self(Some(exporter)) = self else { return };
        let worker = exporter.worker.lock();
        if let Some(worker) = worker.unwrap_or_else(PoisonError::into_inner).take() {
            tokio::spawn(worker.run());
        }
    }

    /// Send what there is, for so long at most.
    pub async fn flush(&self, within: Duration) {
        let Self(Some(exporter)) = self else { return };
        let flushed = tokio::time::timeout(within, exporter.queue.flush());
        if flushed.await.is_err() {
            let ms = within.as_millis() as u64;
            tracing::warn!(ms, "The collector is too slow: the last traces are lost.");
        }
    }

    /// The trace of a call that begins with these headers at the endpoint `path`.
    pub(crate) fn trace(&self, headers: &HeaderMap, path: &str) -> Option<Box<Trace>> {
        let exporter = self.0.as_ref()?;
        Some(Box::new(Trace::begin(exporter.clone(), headers, path)))
    }
}

impl Exporter {
    /// Whether a trace that begins here is recorded.
    fn samples(&self, id: TraceId) -> bool {
        let kind = SpanKind::Server;
        let sampled = self.sampler.should_sample(None, id, "", &kind, &[], &[]);
        sampled.decision == SamplingDecision::RecordAndSample
    }

    fn keeps_prompts(&self) -> bool {
        self.config.prompts
    }

    fn propagates(&self) -> bool {
        self.config.propagate
    }
}
