//! What hooks do outside a call: requests of their own, and keys and values.

use std::path::Path;

use serde_json::{Value, json};
use sluice_tests::guests::GUEST_ERRANDS;
use sluice_tests::{FakeUpstream, Script, TestGateway};

/// A server, and `host:port` of it.
async fn server(script: impl Fn(&str) -> Script + Send + Sync + 'static) -> (FakeUpstream, String) {
    let server = FakeUpstream::start(move |request| script(&request.path)).await;
    let url = server.url();
    let host = url.trim_start_matches("http://").trim_end_matches("/v1");
    (server.clone(), host.to_owned())
}

fn says(text: &str) -> Script {
    Script::Whole(200, vec![], text.to_owned())
}

/// A gateway whose one hook, with these further settings, follows `script` and
/// answers every call.
fn config(settings: &str, script: &Value) -> String {
    format!(
        "upstreams: {{ up: {{ base_url: http://127.0.0.1:9 }} }}
models: {{ m: {{ upstream: up }} }}
hooks: {{ chain: [ {{ hook: errands, config: {script}{settings} }} ] }}
"
    )
}

/// What the hook says, with these grants.
async fn said(grants: &[&str], settings: &str, script: &Value) -> String {
    let grants = json!({ "http": grants });
    let config = config(&format!(", grants: {grants}{settings}"), script);
    let gateway = TestGateway::with_hooks(&config, &[("errands", GUEST_ERRANDS)]).await;
    let answer = gateway.client().ask("m", false).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.text()
}

// === requests ===

#[tokio::test]
async fn hosts_are_asked_that_are_granted() {
    let (asked, host) = server(says_path).await;
    let port = host.rsplit(':').next().expect("a port");
    let by_name = format!("localhost:{port}");
    let denied = "ErrorCode::HttpRequestDenied";
    let closed = "ErrorCode::DestinationIpProhibited";
    for (grants, at, expected) in [
        (&[&*host][..], &host, "200 /a?b"),
        (&[], &host, denied),
        (&["*.example.com", "127.0.0.1"], &host, denied),
        // A name leads to an address, which has to be open, too.
        (&[&by_name], &by_name, closed),
        (&[&by_name], &host, denied),
        (&[&by_name, &host], &by_name, "200 /a?b"),
        (&[&by_name, "127.0.0.1", "::1"], &by_name, "200 /a?b"),
        (&[&by_name, "127.0.0.1:1"], &by_name, closed),
    ] {
        let before = asked.requests().len();
        let ask = json!({ "ask": [format!("http://{at}/a?b")] });
        assert_eq!(said(grants, "", &ask).await, expected, "{grants:?}");
        let after = asked.requests().len();
        assert_eq!(after - before, usize::from(expected.starts_with("200")));
    }
    let request = &asked.requests()[0];
    assert_eq!(request.headers["host"], host);
}

fn says_path(path: &str) -> Script {
    says(path)
}

#[tokio::test]
async fn a_redirect_is_another_request() {
    let (secret, behind) = server(|_| says("secret")).await;
    let to: &'static str = format!("http://{behind}/").leak();
    let (_asked, host) =
        server(move |_| Script::Whole(302, vec![("location", to)], String::new())).await;
    let ask = json!({ "ask": [format!("http://{host}/"), to] });
    let expected = format!("302 to {to} ; ErrorCode::HttpRequestDenied");
    assert_eq!(said(&[&host], "", &ask).await, expected);
    assert!(secret.requests().is_empty());
}

#[tokio::test]
async fn waiting_for_an_answer_costs_the_hook_no_time_and_running_does() {
    let (_asked, host) = server(|path| match path {
        "/never" => Script::Silence,
        path => says(path),
    })
    .await;
    let limits = ", limits: { time_ms: 100, http_time_ms: 600 }";
    let mut ask = json!({ "ask": [format!("http://{host}/never"), format!("http://{host}/a")] });
    let expected = "ErrorCode::HttpResponseTimeout; 200 /a";
    assert_eq!(said(&[&host], limits, &ask).await, expected);

    ask["spin"] = true.into();
    let grants = format!(
        ", trial: false, grants: {{ http: [\"{host}\"] }}, limits: {{ time_ms: 100, http_time_ms: 600000 }}"
    );
    let config = config(&grants, &ask);
    let gateway = TestGateway::with_hooks(&config, &[("errands", GUEST_ERRANDS)]).await;
    let answer = gateway.client().ask("m", false).await;
    let message = answer.json()["error"]["message"].to_string();
    assert!(
        message.contains("exceeded 100 ms in on-request"),
        "{message}"
    );
}

#[tokio::test]
async fn requests_have_a_number_and_a_size() {
    let (_asked, host) = server(|path| says(&"y".repeat(path.len()))).await;
    let urls = [
        format!("http://{host}/a"),
        format!("http://{host}/{}", "b".repeat(20)),
    ];
    let limits = ", limits: { http_requests_max: 2, http_bytes_max: 10 }";
    let mut ask = json!({ "ask": [urls[0], urls[1], urls[0]] });
    let expected =
        "200 yy; ErrorCode::HttpResponseBodySize(Some(10)); ErrorCode::ConnectionLimitReached";
    assert_eq!(said(&[&host], limits, &ask).await, expected);
    ask["body_bytes"] = 20_000.into();
    ask["ask"] = json!([urls[0]]);
    let expected = "ErrorCode::HttpRequestBodySize(Some(10))";
    assert_eq!(said(&[&host], limits, &ask).await, expected);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let host = closed.local_addr().expect("it is bound").to_string();
    drop(closed);
    let ask = json!({ "ask": [format!("http://{host}/")] });
    assert_eq!(
        said(&[&host], "", &ask).await,
        "ErrorCode::ConnectionRefused"
    );
}

// === keys and values ===

/// A configuration with this store, and `more` of the hook's entry.
fn counting(kv: &str, more: &str) -> String {
    let config = config(
        &format!(", grants: {{ kv: true }}{more}"),
        &json!({ "count": "calls" }),
    );
    config.replace("hooks: {", &format!("hooks: {{ kv: {kv},"))
}

#[tokio::test]
async fn a_reload_changes_the_store_and_takes_nothing_else_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kv.redb");
    let disk = format!("{{ store: disk, path: {file:?} }}");
    let mut gateway =
        TestGateway::with_hooks(&counting("{}", ""), &[("errands", GUEST_ERRANDS)]).await;
    let count = async |gateway: &TestGateway| gateway.client().ask("m", false).await.text();
    let write = |text: String| {
        move |folder: &Path| std::fs::write(folder.join("sluice.yaml"), text).expect("a write")
    };
    assert_eq!(count(&gateway).await, "1");
    // The hook's own terms change, so that it begins anew; the store does not.
    gateway
        .reload(write(counting("{}", ", limits: { time_ms: 200 }")))
        .await;
    assert_eq!(count(&gateway).await, "2");

    let state = gateway.reload(write(counting(&disk, ""))).await;
    let expected = format!("store `kv` changed (memory -> disk {})", file.display());
    assert_eq!(state.changes, [&expected, "hook `errands` changed"]);
    assert_eq!(count(&gateway).await, "1");

    // What cannot be opened is refused, and what ran runs on.
    let nowhere = "{ store: disk, path: gone/kv.redb }";
    let state = gateway.reload(write(counting(nowhere, ""))).await;
    let why = state.refused.concat();
    assert!(
        why.contains("sluice.yaml:3: hooks.kv") && why.contains("gone/kv.redb"),
        "{why}"
    );
    assert_eq!(count(&gateway).await, "2");

    gateway
        .reload(write(counting("{ bytes_max: 100000 }", "")))
        .await;
    assert_eq!(count(&gateway).await, "1");
    gateway.reload(write(counting(&disk, ""))).await;
    assert_eq!(count(&gateway).await, "3");
}
