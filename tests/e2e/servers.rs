//! What gateways share on a server: a real `redis-server` or `valkey-server` from `PATH`.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use sluice_tests::{Client, FakeUpstream, PATIENCE, TestGateway, chunk, finish, until};

/// A server on loopback; dropping it ends it, and forgets everything.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let free = || {
            let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
            listener.local_addr().expect("it is bound").port()
        };
        // Somebody else may take a port between its finding and its use.
        let mut servers = (0..5).map(|_| Self::start_on(free()));
        servers.find_map(Result::ok).expect("a port stays free")
    }

    fn start_on(port: u16) -> Result<Self, String> {
        let port_text = port.to_string();
        let settings = ["--bind", "127.0.0.1", "--port", &port_text, "--save", ""];
        let mut programs = ["redis-server", "valkey-server"].into_iter();
        let started = programs.find_map(|program| {
            let mut command = Command::new(program);
            command.args(settings).stdout(Stdio::piped()).spawn().ok()
        });
        let mut process = started.expect("install `redis-server` or `valkey-server`");
        let said = process.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(said).lines().map_while(Result::ok);
        let is_ready = lines.any(|line| line.contains("Ready to accept connections"));
        // Whoever does not read what it says stops it.
        std::thread::spawn(move || lines.count());
        let server = Self { process, port };
        is_ready.then_some(server).ok_or("it ended".into())
    }

    /// A gateway that counts there: a call of `ann` reserves 1005 tokens and takes 10.
    async fn gateway(&self, upstream: &FakeUpstream, tokens: u64, on_failure: &str) -> TestGateway {
        let port = self.port;
        let config = format!(
            "keys: [ sk-any, {{ name: ann, key: sk-ann, budget: {{ tokens: {tokens}, per: total }} }} ]
state: {{ store: redis, url: \"redis://127.0.0.1:{port}/0\", on_store_failure: {on_failure} }}
"
        );
        TestGateway::start(&upstream.config(&config)).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ann(gateway: &TestGateway) -> Client {
    gateway.client().with_key("sk-ann")
}

/// What is taken of the budget, running calls included; null if the store does not say.
async fn taken(gateway: &TestGateway) -> Value {
    let client = gateway.client().with_key("sk-any");
    let report = client.request("GET", "/admin/keys", &[]).await.json();
    report[0]["limits"][0]["taken"].clone()
}

/// Until so much is taken: what ended is settled aside.
async fn settled(gateway: &TestGateway, expected: f64) {
    until(&format!("{expected} are taken"), async || {
        (taken(gateway).await == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn gateways_on_one_server_hold_one_limit_together() {
    let server = Server::start();
    let (upstream, speaker) = FakeUpstream::live().await;
    // One that runs, three that ended, and then one more.
    let a = server.gateway(&upstream, 2_040, "refuse").await;
    let b = server.gateway(&upstream, 2_040, "refuse").await;
    speaker.say(chunk(&json!({ "content": "hello" })));
    let running = ann(&a).begin("m").await;
    assert_eq!(taken(&b).await, 1_005.0, "what runs elsewhere is reserved");
    for (turn, gateway) in [&a, &b, &a, &b].into_iter().enumerate() {
        assert_eq!(ann(gateway).ask("m", turn % 2 == 0).await.status, 200);
        settled(gateway, 1_005.0 + 10.0 * (turn + 1) as f64).await;
    }
    for gateway in [&a, &b] {
        assert_eq!(ann(gateway).ask("m", true).await.status, 429);
    }
    for piece in [chunk(&json!({ "content": " there" })), finish("stop")] {
        speaker.say(piece);
    }
    running.bytes().await.expect("it ends well");
    settled(&b, 50.0).await;
    assert_eq!(taken(&a).await, 50.0);
}

#[tokio::test]
async fn of_calls_that_come_at_once_no_more_pass_than_may() {
    let server = Server::start();
    let upstream = FakeUpstream::start(|_| sluice_tests::Script::Silence).await;
    let gateways = [
        server.gateway(&upstream, 5 * 1_005, "refuse").await,
        server.gateway(&upstream, 5 * 1_005, "refuse").await,
    ];
    let (done, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let mut calls = tokio::task::JoinSet::new();
    for turn in 0..20 {
        let (client, done) = (ann(&gateways[turn % 2]), done.clone());
        calls.spawn(async move {
            let status = client.ask("m", false).await.status;
            done.send(status).expect("the test waits");
        });
    }
    // Those that may pass run for ever; each other is told so.
    let refused = async {
        for _ in 0..15 {
            assert_eq!(ended.recv().await, Some(429));
        }
    };
    tokio::time::timeout(PATIENCE, refused)
        .await
        .expect("fifteen are refused");
    settled(&gateways[0], 5_025.0).await;
    assert!(ended.try_recv().is_err(), "five run");
    // Their clients leave.
    calls.shutdown().await;
    for gateway in &gateways {
        // It is given back but for about what their prompt is.
        settled(gateway, 25.0).await;
    }
    assert_eq!(upstream.requests().len(), 5);
}

#[tokio::test]
async fn a_server_that_goes_away_and_comes_back_is_counted_on_again() {
    let upstream = FakeUpstream::saying("ok").await;
    for (on_failure, meanwhile) in [("allow", 200), ("refuse", 503)] {
        let server = Server::start();
        let gateway = server.gateway(&upstream, 1_100, on_failure).await;
        assert_eq!(ann(&gateway).ask("m", true).await.status, 200);
        settled(&gateway, 10.0).await;
        let port = server.port;
        drop(server);
        for stream in [true, false] {
            assert_eq!(
                ann(&gateway).ask("m", stream).await.status,
                meanwhile,
                "{on_failure}"
            );
        }
        assert_eq!(taken(&gateway).await, Value::Null);

        let _server = Server::start_on(port).expect("nobody took its port");
        // It keeps nothing, and is tried again after a moment.
        until("it counts again", async || {
            ann(&gateway).ask("m", true).await;
            (taken(&gateway).await.as_f64() >= Some(10.0)).then_some(())
        })
        .await;
    }
}
