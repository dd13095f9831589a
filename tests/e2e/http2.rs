//! HTTP/2 on both sides: towards upstreams that agree on it (ALPN), and from clients that
//! know of it beforehand.
//!
//! Upstreams agree on it over TLS only, so the gateway runs in a second process that
//! trusts the test's authority, as in `tls`.

use std::sync::Arc;

use axum::http::Version;
use bytes::Bytes;
use futures_util::future::join_all;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use serde_json::{Value, json};
use sluice_tests::{
    Authority, Certified, FakeUpstream, Recorded, Script, TestGateway, chunk, sse, text_stream,
};
use tokio::net::TcpListener;
use tokio::sync::{Barrier, Notify, mpsc};
use tokio_rustls::TlsAcceptor;

/// Tells the second process that it is the second, and the port to ask.
const PORT: &str = "SLUICE_TESTS_HTTP2_PORT";

/// Run the test `name` again, as one that trusts `authority`.
async fn again(name: &str, authority: &Authority, port: u16) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = authority.save(folder.path());
    let (name, port) = (format!("http2::{name}"), port.to_string());
    let (passed, logged) = sluice_tests::again(&name, &file, (PORT, &port)).await;
    assert!(passed, "{logged}");
}

/// In the second process: a gateway before the upstream of the first.
async fn gateway(port: &str, limits: &str) -> TestGateway {
    let plain = FakeUpstream::saying("elsewhere").await;
    TestGateway::start(&format!(
        "\
upstreams:
  up: {{ base_url: \"https://localhost:{port}/v1\" }}
  plain: {{ base_url: \"{}\" }}
models:
  other: {{ targets: [{{ upstream: up, model: early-reset }}, {{ upstream: plain }}] }}
  another: {{ targets: [{{ upstream: up, model: early-goaway }}, {{ upstream: plain }}] }}
  \"*\": {{ upstream: up }}
limits: {{ {limits} }}
",
        plain.url()
    ))
    .await
}

// === towards upstreams ===

fn say_hello(request: &Recorded) -> Script {
    if request.json()["stream"] == true {
        return Script::Pieces(text_stream("hello in pieces"));
    }
    Script::json(&json!({ "choices": [{ "index": 0, "finish_reason": "stop",
        "message": { "role": "assistant", "content": "hello" } }] }))
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_that_agree_on_it_are_asked_in_it_by_one_connection() {
    const CALLS: usize = 20;
    if let Ok(port) = std::env::var(PORT) {
        let gateway = gateway(&port, "").await;
        assert_eq!(gateway.client().ask("m", false).await.text(), "hello");
        let calls = (0..CALLS).map(async |_| gateway.client().ask("m", true).await.text());
        for text in join_all(calls).await {
            assert_eq!(text, "hello in pieces");
        }
        return;
    }
    let authority = Authority::new("trusted");
    let upstream = FakeUpstream::start_tls(&authority.certify("localhost"), say_hello).await;
    let name = "upstreams_that_agree_on_it_are_asked_in_it_by_one_connection";
    again(name, &authority, upstream.port()).await;
    let versions: Vec<_> = upstream.requests().iter().map(|it| it.version).collect();
    assert_eq!(versions, [Version::HTTP_2; CALLS + 1]);
    assert_eq!(upstream.connections(), 1);
}

/// A server that does what requests are named after, with so many at once on a connection.
async fn awkward(certified: &Certified, streams_max: u32) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let acceptor = certified.acceptor(&[b"h2", b"http/1.1"]);
    let held = Arc::new(Held {
        meeting: Barrier::new(CALLS_THAT_MEET),
        go_on: Notify::new(),
    });
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(connection(tcp, acceptor.clone(), streams_max, held.clone()));
        }
    });
    port
}

/// What calls wait for.
struct Held {
    meeting: Barrier,
    go_on: Notify,
}

/// Ends a whole connection at once.
type GoAway = mpsc::UnboundedSender<()>;

async fn connection(
    tcp: tokio::net::TcpStream,
    acceptor: TlsAcceptor,
    streams_max: u32,
    held: Arc<Held>,
) {
    let tls = acceptor.accept(tcp).await.expect("it trusts us");
    let mut builder = h2::server::Builder::new();
    let builder = builder.max_concurrent_streams(streams_max);
    let mut connection = builder.handshake::<_, Bytes>(tls).await.expect("HTTP/2");
    let (go_away, mut gone) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            _ = gone.recv() => connection.abrupt_shutdown(Reason::INTERNAL_ERROR),
            next = connection.accept() => {
                let Some(Ok((request, respond))) = next else { return };
                tokio::spawn(answer(request.into_body(), respond, go_away.clone(), held.clone()));
            }
        }
    }
}

async fn answer(
    mut body: RecvStream,
    mut respond: SendResponse<Bytes>,
    go_away: GoAway,
    held: Arc<Held>,
) {
    let mut asked = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        asked.extend(piece);
    }
    let asked: Value = serde_json::from_slice(&asked).expect("the gateway sends JSON");
    match asked["model"].as_str().expect("a name") {
        "early-reset" => return respond.send_reset(Reason::REFUSED_STREAM),
        "early-goaway" => return go_away.send(()).expect("it is open"),
        "meet" => {
            held.meeting.wait().await;
        }
        "go-on" => held.go_on.notify_one(),
        _ => {}
    }
    let head = axum::http::Response::builder().header("content-type", "text/event-stream");
    let head = head.body(()).expect("sound parts");
    let mut stream = respond.send_response(head, false).expect("it is open");
    let half = chunk(&json!({ "content": "half" }));
    match asked["model"].as_str().expect("a name") {
        "reset" => {
            stream.send_data(half.into(), false).expect("it is open");
            held.go_on.notified().await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        "goaway" => {
            stream.send_data(half.into(), false).expect("it is open");
            held.go_on.notified().await;
            go_away.send(()).expect("it is open");
        }
        _ => {
            let whole = text_stream("whole").concat();
            stream.send_data(whole.into(), true).expect("it is open");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_reset_is_an_error_or_tried_elsewhere() {
    if let Ok(port) = std::env::var(PORT) {
        let gateway = gateway(&port, "").await;
        let client = gateway.client();
        for model in ["reset", "goaway"] {
            let mut running = client.begin(model).await;
            let mut seen = Vec::new();
            let mut went_on = false;
            while let Some(piece) = running.chunk().await.expect("the client is told") {
                seen.extend(piece);
                if !went_on && String::from_utf8_lossy(&seen).contains("half") {
                    went_on = true;
                    client.ask("go-on", true).await;
                }
            }
            let last = sse(&seen).pop().expect("events");
            assert_eq!(last["type"], "error", "{model}");
            assert_eq!(
                client.ask("sound", true).await.text(),
                "whole",
                "after {model}"
            );
        }
        for model in ["early-reset", "early-goaway"] {
            assert_eq!(client.ask(model, true).await.status, 502, "{model}");
        }
        for model in ["other", "another"] {
            assert_eq!(client.ask(model, true).await.text(), "elsewhere", "{model}");
        }
        return;
    }
    let authority = Authority::new("trusted");
    let port = awkward(&authority.certify("localhost"), 100).await;
    again(
        "what_is_reset_is_an_error_or_tried_elsewhere",
        &authority,
        port,
    )
    .await;
}

/// One more than the fewest that a server may take on a connection.
const CALLS_THAT_MEET: usize = 101;

#[tokio::test(flavor = "multi_thread")]
async fn no_call_waits_for_others_where_a_connection_takes_few() {
    if let Ok(port) = std::env::var(PORT) {
        let gateway = gateway(&port, "first_byte_timeout_ms: 10000").await;
        assert_eq!(gateway.client().ask("sound", true).await.text(), "whole");
        let calls =
            (0..CALLS_THAT_MEET).map(async |_| gateway.client().ask("meet", true).await.text());
        assert_eq!(join_all(calls).await, ["whole"; CALLS_THAT_MEET]);
        return;
    }
    let authority = Authority::new("trusted");
    let port = awkward(&authority.certify("localhost"), CALLS_THAT_MEET as u32 - 1).await;
    again(
        "no_call_waits_for_others_where_a_connection_takes_few",
        &authority,
        port,
    )
    .await;
}

// === from clients ===

#[tokio::test]
async fn clients_that_know_of_it_get_streams_on_one_connection() {
    let upstream = FakeUpstream::saying("hello in pieces").await;
    let gateway = TestGateway::start(&upstream.config("")).await;
    let http = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build();
    let http = http.expect("a client needs nothing");
    let ask = async |stream: bool| {
        let body = json!({ "model": "m", "max_tokens": 9, "stream": stream,
            "messages": [{ "role": "user", "content": "hi" }] });
        let asked = http
            .post(format!("{}/v1/messages", gateway.url()))
            .json(&body);
        let answer = asked.send().await.expect("the gateway answers");
        assert_eq!(
            (answer.version(), answer.status().as_u16()),
            (Version::HTTP_2, 200)
        );
        answer.bytes().await.expect("it ends well")
    };
    let whole: Value = serde_json::from_slice(&ask(false).await).expect("a message");
    assert_eq!(whole["content"][0]["text"], "hello in pieces");
    for body in join_all((0..20).map(|_| ask(true))).await {
        let text: String = sse(&body)
            .iter()
            .filter_map(|it| it["delta"]["text"].as_str())
            .collect();
        assert_eq!(text, "hello in pieces");
    }
}
