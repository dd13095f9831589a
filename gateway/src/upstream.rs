//! Bytes to an upstream and back. Knows headers, timeouts and pools; never what
//! the bytes mean. The only user of the HTTP client.

mod lanes;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use reqwest::{Request, Url};

use crate::config::{Limits, Upstream, is_loopback};
use crate::provider::Auth;
use crate::secret::Secret;

use lanes::{Lanes, Place};

/// Longest answer to a post that is read, in bytes: it has little to say.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How often an upstream that speaks HTTP/2 is asked whether it is still there while it
/// answers, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_MAX: Duration = Duration::from_secs(20);

/// Sends requests; holds the connection pools, so one serves all snapshots.
#[derive(Clone, Debug)]
pub struct Client {
    /// Through the proxies that the environment names.
    outward: Arc<Lanes>,
    /// To this machine: never through a proxy.
    loopback: Arc<Lanes>,
    connect_timeout_ms: u64,
}

/// Where requests to one upstream go, and what they carry: made once a snapshot,
/// so that a call parses no URL and no key.
#[derive(Clone, Debug)]
pub struct Endpoint {
    url: Url,
    /// The headers of a request, one set for each key; never empty.
    headers: Vec<HeaderMap>,
    is_loopback: bool,
    /// Whose turn it is.
    turn: Arc<AtomicUsize>,
}

impl Endpoint {
    /// The one endpoint of `upstream`: none if its URL cannot be called.
    pub fn new(upstream: &Upstream) -> Option<Self> {
        let url = format!("{}{}", upstream.base_url, upstream.dialect.path());
        let url = Url::parse(&url).ok()?;
        let headers = match upstream.api_keys.as_slice() {
            [] => vec![headers(upstream, None)],
            keys => {
                let keys = keys.iter();
                keys.map(|key| headers(upstream, Some(key))).collect()
            }
        };
        Some(Self {
            headers,
            is_loopback: url.host_str().is_some_and(is_loopback),
            url,
            turn: Arc::default(),
        })
    }

    /// The headers of a request with the key at this position; without keys there is
    /// one set of them.
    pub fn headers(&self, key: usize) -> &HeaderMap {
        &self.headers[key]
    }

    /// The host and the port that it is at.
    pub fn place(&self) -> (&str, u16) {
        let host = self.url.host_str().unwrap_or_default();
        let host = host.trim_matches(['[', ']']); // of an IPv6 address
        (host, self.url.port_or_known_default().unwrap_or_default())
    }

    /// How many keys there are to choose from; 1 without keys.
    pub fn keys(&self) -> usize {
        self.headers.len()
    }

    /// A number that is one more each time.
    pub fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

/// An answer whose body is still to come. Dropping it aborts the request.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    body: reqwest::Response,
    _place: Place,
}

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection: refused, no such host, TLS.
    #[error("cannot be reached: {0}")]
    Connect(String),
    /// No connection in time, in ms.
    #[error("cannot be reached: no connection within {0} ms (`limits.connect_timeout_ms`)")]
    ConnectTimeout(u64),
    /// No answer in time, in ms.
    #[error("sent nothing within {0} ms")]
    FirstByteTimeout(u64),
    /// The connection broke.
    #[error("broke the connection: {0}")]
    Broken(String),
    /// A connection broke that earlier requests had left open, before there was an answer:
    /// servers close those that are idle, and the request may have met that.
    #[error("broke the connection: {0}")]
    Stale(String),
}

impl Client {
    /// A client with these limits. Reads the system's certificates.
    ///
    /// # Errors
    /// Why there is none: as a rule, there are no certificates.
    pub fn new(limits: &Limits) -> Result<Self, String> {
        // An error only says that another part of the process chose it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let connect_timeout = Duration::from_millis(limits.connect_timeout_ms);
        let builder = move || {
            reqwest::Client::builder()
                .connect_timeout(connect_timeout)
                // A redirect would carry the upstream's key to another host.
                .redirect(reqwest::redirect::Policy::none())
                .tcp_nodelay(true)
                // A connection that some box on the way has forgotten would be silent until
                // the time for the first byte is over; of HTTP/1.1 the system finds out,
                // since what is sent is not acknowledged.
                .http2_keep_alive_interval(PING_EVERY)
                .http2_keep_alive_timeout(PONG_MAX)
        };
        let lanes = |build| Lanes::new(build).map(Arc::new).map_err(|it| causes(&it));
        Ok(Self {
            outward: lanes(Box::new(builder))?,
            loopback: lanes(Box::new(move || builder().no_proxy()))?,
            connect_timeout_ms: limits.connect_timeout_ms,
        })
    }

    /// Post `body` to `url` with these headers: the answer's status, and its body, or
    /// the beginning of a long one.
    pub async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(u16, Bytes), SendError> {
        let connect = |error: &dyn std::fmt::Display| SendError::Connect(error.to_string());
        let url = Url::parse(url).map_err(|error| connect(&error))?;
        let is_loopback = url.host_str().is_some_and(is_loopback);
        let (client, _place) = self.lanes(is_loopback).enter();
        let mut request = Request::new(Method::POST, url);
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        let failed = |error| self.failed(&error);
        let mut response = client.execute(request).await.map_err(failed)?;
        let mut answer = BytesMut::new();
        while answer.len() < ANSWER_BYTES_MAX
            && let Some(chunk) = response.chunk().await.map_err(failed)?
        {
            answer.extend_from_slice(&chunk);
        }
        Ok((response.status().as_u16(), answer.freeze()))
    }

    /// Send `body` to `endpoint`, with these headers and no others.
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        headers: HeaderMap,
        body: Bytes,
        first_byte_timeout_ms: u64,
    ) -> Result<Reply, SendError> {
        let (client, place) = self.lanes(endpoint.is_loopback).enter();
        let mut request = Request::new(Method::POST, endpoint.url.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        let request = client.execute(request);
        let answered =
            tokio::time::timeout(Duration::from_millis(first_byte_timeout_ms), request).await;
        let mut response = match answered {
            Err(_) => return Err(SendError::FirstByteTimeout(first_byte_timeout_ms)),
            Ok(Err(error)) => {
                return Err(match self.failed(&error) {
                    SendError::Broken(why) if place.is_kept() => SendError::Stale(why),
                    error => error,
                });
            }
            Ok(Ok(response)) => response,
        };
        let headers = std::mem::take(response.headers_mut());
        Ok(Reply {
            status: response.status().as_u16(),
            headers,
            body: response,
            _place: place,
        })
    }

    fn failed(&self, error: &reqwest::Error) -> SendError {
        match (error.is_connect(), error.is_timeout()) {
            (true, true) => SendError::ConnectTimeout(self.connect_timeout_ms),
            (true, false) => SendError::Connect(causes(error)),
            (false, _) => SendError::Broken(causes(error)),
        }
    }

    fn lanes(&self, is_loopback: bool) -> &Lanes {
        match is_loopback {
            true => &self.loopback,
            false => &self.outward,
        }
    }
}

/// Ask a gateway at `url` for what it says there: its status and its text.
pub async fn ask(url: &str, key: Option<&str>) -> Result<(u16, String), SendError> {
    let url = Url::parse(url).map_err(|error| SendError::Connect(error.to_string()))?;
    let asker = Client::new(&Limits::default()).map_err(SendError::Connect)?;
    let is_loopback = url.host_str().is_some_and(is_loopback);
    let (client, _place) = asker.lanes(is_loopback).enter();
    let mut request = Request::new(Method::GET, url);
    if let Some(key) = key {
        insert_secret(
            request.headers_mut(),
            HeaderName::from_static("x-api-key"),
            key,
        );
    }
    let response = client.execute(request).await;
    let response = response.map_err(|error| asker.failed(&error))?;
    let status = response.status().as_u16();
    let text = response.text().await;
    text.map(|text| (status, text))
        .map_err(|error| SendError::Broken(causes(&error)))
}

impl Reply {
    /// The next bytes; none at the end. Cancelling the wait loses nothing.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        self.body
            .chunk()
            .await
            .map_err(|error| SendError::Broken(causes(&error)))
    }
}

fn headers(upstream: &Upstream, key: Option<&Secret>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("text/event-stream, application/json"),
    );
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("sluice/", env!("CARGO_PKG_VERSION"))),
    );
    if let Some(key) = key {
        let key = key.expose();
        let (name, value) = match upstream.auth {
            Auth::ApiKey => (HeaderName::from_static("api-key"), key.to_owned()),
            Auth::Bearer => (header::AUTHORIZATION, format!("Bearer {key}")),
            Auth::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
        };
        insert_secret(&mut headers, name, &value);
    }
    for (name, value) in &upstream.headers {
        if let Ok(name) = header::HeaderName::try_from(name.as_str()) {
            insert_secret(&mut headers, name, value.expose());
        }
    }
    headers
}

fn insert_secret(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(mut value) = HeaderValue::try_from(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// An error's causes without its URL, which may hold a key.
fn causes(error: &reqwest::Error) -> String {
    let mut source = std::error::Error::source(error);
    let mut last = None;
    while let Some(cause) = source {
        last = Some(cause.to_string());
        source = cause.source();
    }
    last.unwrap_or_else(|| "no reason given".into())
}
