//! The way to the collector: a bounded queue, and a worker that empties it.
//!
//! A call only ever puts something into the queue, or finds it full. The worker sends
//! spans and numbers one after the other, tries again what may go better, and gives up
//! for good: a collector that is away costs what was told meanwhile, and no more memory
//! than [`QUEUE_BYTES_MAX`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::trace::Spans;
use crate::config;
use crate::tally::Tally;
use crate::upstream::Client;

/// What waits to be sent, in bytes: some ten thousand calls without their words.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// Spans of one export, as OpenTelemetry's own batches have.
const BATCH_SPANS_MAX: usize = 512;

/// Size of one export, in bytes: with prompts in them, spans are large, and collectors
/// refuse what is beyond some megabytes.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Readings of the instruments that wait to be sent: each has all that is in the one
/// before, so that more would say nothing.
const READINGS_MAX: usize = 2;

/// Time for one export, in ms: OpenTelemetry's own default.
const EXPORT_MS: u64 = 10_000;

/// Pauses before an export is tried again, in ms: then it is given up.
const PAUSES_MS: [u64; 2] = [1_000, 5_000];

/// Pause between complaints, in s: one a call would drown the log.
const COMPLAINT_PAUSE_S: u64 = 60;

/// Where calls leave what they have to tell.
#[derive(Debug)]
pub(super) struct Queue {
    items: mpsc::UnboundedSender<Item>,
    /// A permit for each byte that may wait.
    room: Arc<Semaphore>,
    dropped: Arc<AtomicU64>,
    tally: Tally,
}

enum Item {
    /// The spans of a call, and the room that they take up.
    Spans(Vec<SpanData>, OwnedSemaphorePermit),
    /// Say when all before it was sent.
    Flush(oneshot::Sender<()>),
}

impl Queue {
    /// Take `spans` in, or drop them where there is no room.
    pub(super) fn offer(&self, Spans { spans, bytes }: Spans) {
        let count = spans.len() as u64;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(room) = self.room.clone().try_acquire_many_owned(bytes) else {
            self.dropped.fetch_add(count, Ordering::Relaxed);
            return self.tally.telemetry_dropped("traces", count);
        };
        let _ = self.items.send(Item::Spans(spans, room));
    }

    /// Until all that is in it was sent, or given up.
    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.items.send(Item::Flush(done)).is_ok() {
            let _ = flushed.await;
        }
    }
}

/// A queue, and what empties it.
pub(super) fn queue(config: &config::Telemetry, client: Client, tally: Tally) -> (Queue, Worker) {
    let (items, queued) = mpsc::unbounded_channel();
    let (readings, read) = mpsc::channel(READINGS_MAX);
    let resource = resource(config);
    let interval = Duration::from_millis(config.interval_ms);
    let outbox = Outbox {
        readings,
        tally: tally.clone(),
    };
    let reader = PeriodicReader::builder(outbox).with_interval(interval);
    let meters = SdkMeterProvider::builder()
        .with_reader(reader.build())
        .with_resource(resource.clone());
    let dropped = Arc::new(AtomicU64::default());
    let worker = Worker {
        meters: meters.build(),
        queued,
        read,
        batch: Vec::new(),
        rooms: Vec::new(),
        resource: (&resource).into(),
        interval,
        collector: Collector::new(config, client),
        dropped: dropped.clone(),
        tally: tally.clone(),
    };
    let queue = Queue {
        items,
        room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
        dropped,
        tally,
    };
    (queue, worker)
}

/// What all spans and numbers are of. Never asked of the environment: the
/// configuration has read that.
fn resource(config: &config::Telemetry) -> Resource {
    let own = [
        ("service.name", config.service_name.as_str()),
        ("service.version", crate::build_info::VERSION),
    ];
    let more = config.attributes.iter();
    let more = more.map(|(name, value)| (name.as_str(), value.as_str()));
    let attributes = own.into_iter().chain(more);
    let attributes =
        attributes.map(|(name, value)| KeyValue::new(name.to_owned(), value.to_owned()));
    Resource::builder_empty()
        .with_attributes(attributes)
        .build()
}

// === Worker ===

/// Empties the queue, until nobody can put anything into it.
#[derive(Debug)]
pub(super) struct Worker {
    /// What the instruments belong to.
    pub(super) meters: SdkMeterProvider,
    queued: mpsc::UnboundedReceiver<Item>,
    /// Readings of the instruments, as they are sent.
    read: mpsc::Receiver<Bytes>,
    /// Spans of the next export, and the room that they take up.
    batch: Vec<SpanData>,
    rooms: Vec<OwnedSemaphorePermit>,
    resource: ResourceAttributesWithSchema,
    interval: Duration,
    collector: Collector,
    dropped: Arc<AtomicU64>,
    tally: Tally,
}

impl Worker {
    pub(super) async fn run(mut self) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                item = self.queued.recv() => match item {
                    Some(Item::Spans(spans, room)) => self.take(spans, room).await,
                    Some(Item::Flush(done)) => {
                        self.collector.patience = Patience::Once;
                        self.send_all().await;
                        let _ = done.send(());
                    }
                    None => break,
                },
                Some(reading) = self.read.recv() => self.send_reading(reading).await,
                _ = ticks.tick() => {
                    self.send_batch().await;
                    self.complain();
                }
            }
        }
        self.send_all().await;
        let meters = self.meters;
        // It waits for a thread of its own.
        let _ = tokio::task::spawn_blocking(move || meters.shutdown()).await;
    }

    async fn take(&mut self, spans: Vec<SpanData>, room: OwnedSemaphorePermit) {
        self.batch.extend(spans);
        self.rooms.push(room);
        let bytes = self.rooms.iter().map(OwnedSemaphorePermit::num_permits);
        if self.batch.len() >= BATCH_SPANS_MAX || bytes.sum::<usize>() >= BATCH_BYTES_MAX {
            self.send_batch().await;
        }
    }

    /// Send what was gathered and what the instruments say now.
    async fn send_all(&mut self) {
        self.send_batch().await;
        let meters = self.meters.clone();
        let _ = tokio::task::spawn_blocking(move || meters.force_flush()).await;
        while let Ok(reading) = self.read.try_recv() {
            self.send_reading(reading).await;
        }
        self.complain();
    }

    async fn send_batch(&mut self) {
        let spans = std::mem::take(&mut self.batch);
        if spans.is_empty() {
            return;
        }
        let count = spans.len() as u64;
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(spans, &self.resource),
        };
        let sent = self
            .collector
            .send("traces", request.encode_to_vec().into());
        let lost = sent.await.map_or(count, |answer| rejected(&answer));
        self.rooms.clear();
        if lost > 0 {
            self.dropped.fetch_add(lost, Ordering::Relaxed);
            self.tally.telemetry_dropped("traces", lost);
        }
    }

    async fn send_reading(&mut self, reading: Bytes) {
        if self.collector.send("metrics", reading).await.is_none() {
            self.tally.telemetry_dropped("metrics", 1);
        }
    }

    fn complain(&mut self) {
        if self.dropped.load(Ordering::Relaxed) > 0 && self.collector.may_complain() {
            let spans = self.dropped.swap(0, Ordering::Relaxed);
            let why = self.collector.fault.take();
            let why = why.unwrap_or_else(|| "it is too slow".into());
            tracing::warn!(spans, why, "The collector did not take all spans.");
        }
    }
}

/// How many spans the collector says that it did not take.
fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    let rejected = answer.partial_success.map(|it| it.rejected_spans);
    rejected.and_then(|it| u64::try_from(it).ok()).unwrap_or(0)
}

// === Collector ===

/// Where exports go.
#[derive(Debug)]
struct Collector {
    client: Client,
    endpoint: String,
    headers: HeaderMap,
    patience: Patience,
    /// Why the latest export that failed did.
    fault: Option<String>,
    complained: Option<Instant>,
}

/// Whether an export that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Patience {
    /// After each of the pauses.
    Again,
    /// No: the gateway stops.
    Once,
}

impl Collector {
    fn new(config: &config::Telemetry, client: Client) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let name = HeaderName::try_from(name);
            if let (Ok(name), Ok(mut value)) = (name, HeaderValue::try_from(value.expose())) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        let fixed = [
            (header::CONTENT_TYPE, "application/x-protobuf"),
            (
                header::USER_AGENT,
                concat!("sluice/", env!("CARGO_PKG_VERSION")),
            ),
        ];
        headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
        Self {
            client,
            endpoint: config.endpoint.clone(),
            headers,
            patience: Patience::Again,
            fault: None,
            complained: None,
        }
    }

    /// Send what `signal` has to tell; the answer's body, none if it was given up.
    async fn send(&mut self, signal: &str, body: Bytes) -> Option<Bytes> {
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            let (why, may_pass) = match self.try_send(signal, body.clone()).await {
                Ok(answer) => return Some(answer),
                Err(failed) => failed,
            };
            let pause = pauses.next().filter(|_| self.patience == Patience::Again);
            match pause.filter(|_| may_pass) {
                Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                None => {
                    self.fault = Some(why);
                    return None;
                }
            }
        }
    }

    /// One try; why it failed, and whether that may pass.
    /// <https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes> (seen 2026-11).
    async fn try_send(&self, signal: &str, body: Bytes) -> Result<Bytes, (String, bool)> {
        let url = format!("{}/v1/{signal}", self.endpoint);
        let sent = self.client.post(&url, self.headers.clone(), body);
        let patience = Duration::from_millis(EXPORT_MS);
        match tokio::time::timeout(patience, sent).await {
            Err(_) => Err((format!("it said nothing for {EXPORT_MS} ms"), true)),
            Ok(Err(error)) => Err((format!("it {error}"), true)),
            Ok(Ok((200..300, answer))) => Ok(answer),
            Ok(Ok((status, _))) => {
                let may_pass = matches!(status, 429 | 502 | 503 | 504);
                Err((format!("it answered with {status}"), may_pass))
            }
        }
    }

    fn may_complain(&mut self) -> bool {
        let pause = Duration::from_secs(COMPLAINT_PAUSE_S);
        let may = self.complained.is_none_or(|last| last.elapsed() >= pause);
        if may {
            self.complained = Some(Instant::now());
        }
        may
    }
}

// === Outbox ===

/// Takes readings of the instruments from the thread that makes them, so that it never
/// waits for the collector.
#[derive(Debug)]
struct Outbox {
    readings: mpsc::Sender<Bytes>,
    tally: Tally,
}

impl PushMetricExporter for Outbox {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let reading = ExportMetricsServiceRequest::from(metrics).encode_to_vec();
        self.readings.try_send(reading.into()).map_err(|_| {
            self.tally.telemetry_dropped("metrics", 1);
            OTelSdkError::InternalFailure("readings before it are not sent yet".into())
        })
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    /// Each reading has all that came before: one that is lost loses nothing.
    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
