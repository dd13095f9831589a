//! An upstream that costs little, a client that measures, and requests as a coding
//! agent sends them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::routing::any;
use futures_util::stream;
use serde_json::{Value, json};
use sluice_tests::{chunk, finish};

/// Pieces of text in the answer to a call.
pub(crate) const PIECES: usize = 60;

/// Pieces of text in an answer of which each comes alone.
pub(crate) const PACED_PIECES: usize = 500;

/// Time between those: the finest that timers tell apart.
const PACE: Duration = Duration::from_millis(1);

/// Answers the model `all` at once, `paced` piece by piece, and `held` with a piece
/// and then nothing for as long as the client stays.
pub(crate) async fn upstream() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.expect("loopback has a free port");
    let addr = listener.local_addr().expect("it is bound");
    let whole: String = (0..PIECES).map(piece).chain([finish("stop")]).collect();
    let whole = Bytes::from(whole);
    let handler = move |body: Bytes| {
        let model = if contains(&body, b"\"paced\"") {
            paced()
        } else if contains(&body, b"\"held\"") {
            held()
        } else {
            Body::from(whole.clone())
        };
        let response = Response::builder().header("content-type", "text/event-stream");
        std::future::ready(response.body(model).expect("sound parts"))
    };
    let app = Router::new()
        .fallback(any(handler))
        .layer(axum::extract::DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, app).await });
    addr
}

/// The model's name comes first in what the gateway sends.
fn contains(body: &[u8], name: &[u8]) -> bool {
    let head = &body[..body.len().min(256)];
    head.windows(name.len()).any(|window| window == name)
}

fn piece(number: usize) -> String {
    chunk(&json!({ "content": format!(" word {number}") }))
}

fn paced() -> Body {
    let mut clock = tokio::time::interval(PACE);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let pieces = stream::unfold((clock, 0), |(mut clock, number)| async move {
        let said = match number {
            0..PACED_PIECES => piece(number),
            PACED_PIECES => finish("stop"),
            _ => return None,
        };
        clock.tick().await;
        Some((Ok::<_, std::io::Error>(said), (clock, number + 1)))
    });
    Body::from_stream(pieces)
}

fn held() -> Body {
    let pieces = stream::unfold(0, |number| async move {
        if number > 0 {
            std::future::pending::<()>().await;
        }
        Some((Ok::<_, std::io::Error>(piece(number)), number + 1))
    });
    Body::from_stream(pieces)
}

/// One client, on connections of its own.
pub(crate) struct Client(reqwest::Client);

impl Client {
    pub(crate) fn new() -> Self {
        // The workspace's client asks for it; who came first does not matter.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build();
        Self(client.expect("a client needs nothing"))
    }

    /// Call, and read the answer to its end; how long that took, in us.
    pub(crate) async fn call(&self, url: &str, body: &Bytes) -> f64 {
        let began = Instant::now();
        let answer = self.begin(url, body).await.bytes().await;
        let took = began.elapsed();
        let answer = answer.expect("the answer comes to its end");
        assert!(
            answer.ends_with(b"data: {\"type\":\"message_stop\"}\n\n"),
            "{answer:?}"
        );
        took.as_secs_f64() * 1e6
    }

    /// Call, and read the first piece.
    pub(crate) async fn hold(&self, url: &str, body: &Bytes) -> reqwest::Response {
        let mut response = self.begin(url, body).await;
        let first = response.chunk().await;
        assert!(first.is_ok_and(|piece| piece.is_some()), "an answer begins");
        response
    }

    async fn begin(&self, url: &str, body: &Bytes) -> reqwest::Response {
        let request = self.0.post(url).body(body.clone());
        let response = request.send().await.expect("the gateway answers");
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        response
    }
}

/// A request of about `size` bytes: instructions, tools, and as many turns of calls
/// and results as fit.
pub(crate) fn request(model: &str, size: usize) -> Bytes {
    let tools: Vec<_> = (0..(size / 8_000).min(30)).map(tool).collect();
    let mut body = json!({ "model": model, "max_tokens": 32_000, "temperature": 1, "stream": true,
        "system": prose(size / 16), "tools": tools,
        "messages": [{ "role": "user", "content": prose(200) }] });
    let mut length = body.to_string().len();
    let messages = body["messages"].as_array_mut().expect("it is one");
    for turn in 0.. {
        let id = format!("toolu_{turn:04}");
        let pair = [
            json!({ "role": "assistant", "content": [{ "type": "tool_use", "id": id,
                "name": "tool_0", "input": { "path": "src/lib.rs" } }] }),
            json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": id,
                "content": prose(4_000) }] }),
        ];
        length += pair.iter().map(|it| it.to_string().len()).sum::<usize>();
        if length > size {
            break;
        }
        messages.extend(pair);
    }
    body.to_string().into()
}

fn tool(number: usize) -> Value {
    let properties: serde_json::Map<_, _> = (0..5)
        .map(|p| {
            (
                format!("p{p}"),
                json!({ "type": "string", "description": prose(80) }),
            )
        })
        .collect();
    json!({ "name": format!("tool_{number}"), "description": prose(400),
        "input_schema": { "type": "object", "properties": properties } })
}

fn prose(length: usize) -> String {
    const WORDS: &str = "let answer = \"found it\";\n\tthe quick brown fox jumps, naïvely. ";
    WORDS.chars().cycle().take(length).collect()
}
