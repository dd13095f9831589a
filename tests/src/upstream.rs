//! An upstream that answers as it is told, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, Uri, Version};
use axum::routing::any;
use axum::serve::{Listener, ListenerExt};
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::tls::{Certified, TlsListener};

/// An answer to give.
#[derive(Debug)]
pub enum Script {
    /// A status, headers and a body, whole.
    Whole(u16, Vec<(&'static str, &'static str)>, String),
    /// A stream of these pieces, to its proper end.
    Pieces(Vec<String>),
    /// A stream of these pieces, and then a broken connection.
    Broken(Vec<String>),
    /// A stream of what the test sends, when it sends it; an error breaks the
    /// connection.
    Live(mpsc::UnboundedReceiver<std::io::Result<String>>),
    /// A status, the beginning of a body, and no more.
    Stalled(u16, String),
    /// Never an answer.
    Silence,
}

impl Script {
    /// A JSON body with status 200.
    pub fn json(body: &Value) -> Self {
        Self::Whole(
            200,
            vec![("content-type", "application/json")],
            body.to_string(),
        )
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Of HTTP.
    pub version: Version,
    /// Path and query; the whole URI, where it came to a proxy.
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
}

impl Recorded {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the gateway sends JSON")
    }
}

/// A running upstream; it lives as long as the test's runtime.
#[derive(Clone, Debug)]
pub struct FakeUpstream {
    addr: SocketAddr,
    requests: Arc<Mutex<Vec<Recorded>>>,
    connections: Arc<AtomicUsize>,
}

impl FakeUpstream {
    /// Answer each request with what `script` makes of it.
    pub async fn start(script: impl Fn(&Recorded) -> Script + Send + Sync + 'static) -> Self {
        let listener = free_port().await;
        let addr = listener.local_addr().expect("it is bound");
        Self::on(listener, addr, script)
    }

    /// The same over TLS, to clients that take `certified` for what it should be.
    pub async fn start_tls(
        certified: &Certified,
        script: impl Fn(&Recorded) -> Script + Send + Sync + 'static,
    ) -> Self {
        let listener = free_port().await;
        let addr = listener.local_addr().expect("it is bound");
        Self::on(TlsListener::new(listener, certified), addr, script)
    }

    fn on<L: Listener<Addr: std::fmt::Debug>>(
        listener: L,
        addr: SocketAddr,
        script: impl Fn(&Recorded) -> Script + Send + Sync + 'static,
    ) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let script = Arc::new(script);
        let handler = move |version: Version, uri: Uri, headers: HeaderMap, body: Bytes| {
            let recorded = Recorded {
                version,
                // There it is absolute in any case.
                path: match version {
                    Version::HTTP_2 => uri.path_and_query().map_or("", |it| it.as_str()).to_owned(),
                    _ => uri.to_string(),
                },
                headers,
                body,
            };
            let answer = script(&recorded);
            seen.lock().expect("no test panics in here").push(recorded);
            play(answer)
        };
        let app = Router::new().fallback(any(handler));
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = connections.clone();
        let listener = listener.tap_io(move |_| {
            let _ = accepted.fetch_add(1, Ordering::Relaxed);
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            addr,
            requests,
            connections,
        }
    }

    /// An upstream that says `text`, streamed if it is asked to.
    pub async fn saying(text: &'static str) -> Self {
        Self::start(move |request| {
            if request.json()["stream"] == true {
                Script::Pieces(text_stream(text))
            } else {
                Script::json(
                    &json!({ "id": "c", "object": "chat.completion", "model": "m",
                    "choices": [{ "index": 0, "finish_reason": "stop",
                        "message": { "role": "assistant", "content": text } }],
                    "usage": { "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10 } }),
                )
            }
        })
        .await
    }

    /// An upstream whose first answer is a stream in the test's hands; to all
    /// others it says "ok" at once.
    pub async fn live() -> (Self, Speaker) {
        let (speaker, said) = mpsc::unbounded_channel();
        let said = Mutex::new(Some(said));
        let upstream = Self::start(move |_| match said.lock().expect("one test").take() {
            Some(said) => Script::Live(said),
            None => Script::Pieces(text_stream("ok")),
        })
        .await;
        (upstream, Speaker(speaker))
    }

    /// Its URL, with `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// How many connections it took so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// What it was asked so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.requests
            .lock()
            .expect("no test panics in here")
            .clone()
    }

    /// The body of the last request.
    pub fn last_body(&self) -> Value {
        self.requests().last().expect("it was asked").json()
    }

    /// A configuration with the model `m` here, and `more` of the file after it.
    pub fn config(&self, more: &str) -> String {
        format!(
            "upstreams:\n  up: {{ base_url: \"{}\", api_key: sk-upstream-secret }}\nmodels:\n  m: {{ upstream: up, model: up-m }}\n{more}",
            self.url()
        )
    }
}

async fn free_port() -> TcpListener {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    listener.expect("loopback has a free port")
}

/// Speaks for an upstream.
#[derive(Debug)]
pub struct Speaker(mpsc::UnboundedSender<std::io::Result<String>>);

impl Speaker {
    /// Send this piece of the stream.
    pub fn say(&self, piece: String) {
        self.0.send(Ok(piece)).expect("the gateway listens");
    }

    /// Break the connection.
    pub fn break_off(self) {
        let broken = std::io::Error::other("as told");
        self.0.send(Err(broken)).expect("the gateway listens");
    }

    /// Wait until the gateway has left.
    pub async fn left(&self) {
        self.0.closed().await;
    }
}

async fn play(script: Script) -> Response<Body> {
    let streamed = |body| {
        let response = Response::builder().header("content-type", "text/event-stream");
        response.body(body).expect("sound parts")
    };
    match script {
        Script::Whole(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).expect("sound parts")
        }
        Script::Pieces(pieces) => {
            let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
            streamed(Body::from_stream(stream::iter(pieces)))
        }
        Script::Broken(pieces) => {
            let broken = Err(std::io::Error::other("as told"));
            let pieces = pieces.into_iter().map(Ok).chain([broken]);
            streamed(Body::from_stream(stream::iter(pieces)))
        }
        Script::Live(pieces) => {
            let next = |mut pieces: mpsc::UnboundedReceiver<std::io::Result<String>>| async move {
                let piece = pieces.recv().await?;
                Some((piece, pieces))
            };
            streamed(Body::from_stream(stream::unfold(pieces, next)))
        }
        Script::Stalled(status, begun) => {
            let begun = stream::iter([Ok::<_, std::io::Error>(begun)]);
            let body = Body::from_stream(begun.chain(stream::pending()));
            let response = Response::builder().status(status);
            response.body(body).expect("sound parts")
        }
        Script::Silence => std::future::pending().await,
    }
}

/// One chunk of a Chat Completions stream.
pub fn chunk(delta: &Value) -> String {
    let chunk = json!({ "id": "c", "object": "chat.completion.chunk", "model": "m",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] });
    format!("data: {chunk}\n\n")
}

/// The chunks that end a stream.
pub fn finish(reason: &str) -> String {
    let last =
        json!({ "id": "c", "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] });
    let usage = json!({ "id": "c", "choices": [],
        "usage": { "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10 } });
    format!("data: {last}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

/// A stream that says `text`, a word at a time.
pub fn text_stream(text: &str) -> Vec<String> {
    let words = text
        .split_inclusive(' ')
        .map(|word| chunk(&json!({ "content": word })));
    words.chain([finish("stop")]).collect()
}
