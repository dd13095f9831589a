//! A collector that takes what comes over OTLP, and lets tests wait for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{self as common, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::PATIENCE;

/// Members by name.
pub type Attributes = BTreeMap<String, Value>;

/// A span, as far as tests look at it.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// As OTLP has it: 2 is a server's, 3 a client's.
    pub kind: i32,
    /// Its trace, in hexadecimal digits.
    pub trace: String,
    /// Its id, likewise.
    pub id: String,
    /// Its parent's; empty if it has none.
    pub parent: String,
    /// Other systems' members of `tracestate`.
    pub state: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// Those of what sent it.
    pub resource: Attributes,
    /// Whether its status is an error.
    pub is_error: bool,
    /// When it began and ended, in ns.
    pub times: (u64, u64),
}

/// One series of a histogram, in its latest state.
#[derive(Clone, Debug)]
pub struct Series {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: Attributes,
    /// Values so far.
    pub count: u64,
    /// What they come to.
    pub sum: f64,
    /// Its bounds.
    pub bounds: Vec<f64>,
}

/// What came so far.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Spans, in the order in which they came.
    pub spans: Vec<Span>,
    /// The histograms of the latest export.
    pub series: Vec<Series>,
    /// Everything, as it came: headers, too.
    pub raw: Vec<u8>,
}

/// A running collector; it lives as long as the test's runtime.
#[derive(Clone, Debug)]
pub struct Collector {
    addr: SocketAddr,
    told: Arc<watch::Sender<Told>>,
}

impl Collector {
    /// One that takes everything.
    pub async fn start() -> Self {
        Self::answering(StatusCode::OK).await
    }

    /// One that answers with `status`.
    pub async fn answering(status: StatusCode) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("loopback has a free port");
        let addr = listener.local_addr().expect("it is bound");
        let told = Arc::new(watch::Sender::new(Told::default()));
        let (spans, numbers) = (told.clone(), told.clone());
        let app = Router::new()
            .route(
                "/v1/traces",
                post(move |headers: HeaderMap, body: Bytes| async move {
                    spans.send_modify(|told| told.take_spans(&headers, &body));
                    status
                }),
            )
            .route(
                "/v1/metrics",
                post(move |headers: HeaderMap, body: Bytes| async move {
                    numbers.send_modify(|told| told.take_series(&headers, &body));
                    status
                }),
            );
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { addr, told }
    }

    /// Its URL, as exporters are given it.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What came, as soon as that is `enough`.
    pub async fn told(&self, enough: impl Fn(&Told) -> bool) -> Told {
        let mut told = self.told.subscribe();
        let found = tokio::time::timeout(PATIENCE, told.wait_for(enough)).await;
        match found {
            Ok(found) => found.expect("the collector holds its sender").clone(),
            Err(_) => panic!("not enough was told: {:?}", self.now()),
        }
    }

    /// The first `count` spans.
    pub async fn spans(&self, count: usize) -> Vec<Span> {
        self.told(|told| told.spans.len() >= count).await.spans
    }

    /// What came so far.
    pub fn now(&self) -> Told {
        self.told.borrow().clone()
    }
}

impl Told {
    fn take_spans(&mut self, headers: &HeaderMap, body: &[u8]) {
        self.note(headers, body);
        let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
        for of_resource in request.resource_spans {
            let resource = of_resource.resource.unwrap_or_default();
            let resource = attributes(&resource.attributes);
            let scopes = of_resource.scope_spans.into_iter();
            let spans = scopes.flat_map(|scope| scope.spans);
            self.spans.extend(spans.map(|span| Span {
                name: span.name,
                kind: span.kind,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                state: span.trace_state,
                attributes: attributes(&span.attributes),
                resource: resource.clone(),
                is_error: span.status.is_some_and(|status| status.code == 2),
                times: (span.start_time_unix_nano, span.end_time_unix_nano),
            }));
        }
    }

    fn take_series(&mut self, headers: &HeaderMap, body: &[u8]) {
        self.note(headers, body);
        let request = ExportMetricsServiceRequest::decode(body).expect("OTLP");
        let resources = request.resource_metrics.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_metrics);
        self.series.clear();
        for metric in scopes.flat_map(|scope| scope.metrics) {
            let Some(Data::Histogram(histogram)) = metric.data else {
                panic!("`{}` is no histogram", metric.name);
            };
            let points = histogram.data_points.into_iter();
            self.series.extend(points.map(|point| Series {
                name: metric.name.clone(),
                labels: attributes(&point.attributes),
                count: point.count,
                sum: point.sum.unwrap_or(0.0),
                bounds: point.explicit_bounds,
            }));
        }
    }

    fn note(&mut self, headers: &HeaderMap, body: &[u8]) {
        for value in headers.values() {
            self.raw.extend(value.as_bytes());
        }
        self.raw.extend(body);
    }

    /// The series of the metric `name`.
    pub fn of(&self, name: &str) -> Vec<&Series> {
        let series = self.series.iter();
        series.filter(|series| series.name == name).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(attributes: &[KeyValue]) -> Attributes {
    let attribute = |it: &KeyValue| (it.key.clone(), value(it.value.as_ref()));
    attributes.iter().map(attribute).collect()
}

fn value(any: Option<&common::AnyValue>) -> Value {
    match any.and_then(|any| any.value.as_ref()) {
        Some(AnyValue::StringValue(text)) => json!(text),
        Some(AnyValue::BoolValue(flag)) => json!(flag),
        Some(AnyValue::IntValue(number)) => json!(number),
        Some(AnyValue::DoubleValue(number)) => json!(number),
        Some(AnyValue::ArrayValue(list)) => list.values.iter().map(|it| value(Some(it))).collect(),
        other => panic!("the gateway sends no {other:?}"),
    }
}
