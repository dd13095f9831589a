//! TLS of upstreams and of hooks' own requests: who is trusted, and that nothing is
//! sent to anybody else.
//!
//! The environment names a private authority (`SSL_CERT_FILE`), and a test must not
//! change its own. So the gateway runs in a second process, which is the test again.

use std::path::Path;

use serde_json::json;
use sluice_tests::guests::GUEST_ERRANDS;
use sluice_tests::{Authority, FakeUpstream, Script, TestGateway, again};

/// Tells the second process that it is the second, and the ports of [`SERVERS`].
const PORTS: &str = "SLUICE_TESTS_TLS_PORTS";

/// What they are called.
const SERVERS: [&str; 4] = ["trusted", "untrusted", "misnamed", "plain"];

/// What the hook and a client are told of each.
const OUTCOMES: [(&str, &str); 4] = [
    ("200 /a", "hello"),
    (
        "ErrorCode::TlsCertificateError",
        "invalid peer certificate: UnknownIssuer",
    ),
    (
        "ErrorCode::TlsCertificateError",
        "invalid peer certificate: certificate not valid for name",
    ),
    (
        "ErrorCode::TlsProtocolError",
        "received corrupt message of type InvalidContentType",
    ),
];

/// A hook that asks, and an upstream that answers.
async fn gateway(port: &str) -> (String, String) {
    let at = format!("https://localhost:{port}");
    let grants = json!([format!("localhost:{port}"), "127.0.0.1", "::1"]);
    let config = format!(
        "upstreams: {{ up: {{ base_url: \"{at}/v1\" }} }}
models: {{ hook: {{ upstream: up }}, upstream: {{ upstream: up }} }}
hooks: {{ chain: [ {{ hook: errands, match: {{ models: [hook] }}, grants: {{ http: {grants} }}, config: {} }} ] }}
",
        json!({ "ask": [format!("{at}/a")] })
    );
    let gateway = TestGateway::with_hooks(&config, &[("errands", GUEST_ERRANDS)]).await;
    let of_hook = gateway.client().ask("hook", false).await.text();
    let answer = gateway.client().ask("upstream", false).await;
    (of_hook, String::from_utf8_lossy(&answer.body).into_owned())
}

/// In the second process.
async fn outcomes(ports: &str) {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    for (port, (said, told)) in ports.split(',').zip(OUTCOMES) {
        let (of_hook, of_upstream) = gateway(port).await;
        assert_eq!(of_hook, said);
        assert!(of_upstream.contains(told), "no `{told}` in {of_upstream}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_of_trusted_authorities_are_taken() {
    if let Ok(ports) = std::env::var(PORTS) {
        return outcomes(&ports).await;
    }
    let (trusted, untrusted) = (Authority::new("trusted"), Authority::new("untrusted"));
    let script = |request: &sluice_tests::Recorded| match request.path.as_str() {
        "/a" => Script::Whole(200, vec![], "/a".into()),
        _ => Script::json(&json!({ "choices": [{ "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": "hello" } }] })),
    };
    let servers = [
        FakeUpstream::start_tls(&trusted.certify("localhost"), script).await,
        FakeUpstream::start_tls(&untrusted.certify("localhost"), script).await,
        FakeUpstream::start_tls(&trusted.certify("elsewhere.test"), script).await,
        FakeUpstream::start(script).await,
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let file = trusted.save(folder.path());

    let ports: Vec<_> = servers.iter().map(|it| it.port().to_string()).collect();
    let name = "tls::only_certificates_of_trusted_authorities_are_taken";
    let (passed, logged) = again(name, &file, (PORTS, &ports.join(","))).await;
    assert!(passed, "{logged}");

    let asked = servers.map(|server| server.requests().len());
    assert_eq!(asked, [2, 0, 0, 0], "of {SERVERS:?}");
    let lines: Vec<_> = logged
        .lines()
        .filter(|line| line.contains("A hook's request failed"))
        .collect();
    assert_eq!(lines.len(), 3, "{logged}");
    for (line, (_, told)) in lines.iter().zip(&OUTCOMES[1..]) {
        assert!(line.contains(told), "no `{told}` in {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_certificates_it_says_what_to_do() {
    if std::env::var(PORTS).is_ok() {
        let config = "upstreams: { up: { base_url: \"https://localhost/v1\" } }\nmodels: { m: { upstream: up } }\n";
        let refused = TestGateway::try_start(config, &[]).await;
        let why = refused.expect_err("nobody is trusted").to_string();
        assert!(why.contains("in `SSL_CERT_FILE`"), "{why}");
        return;
    }
    let name = "tls::without_certificates_it_says_what_to_do";
    let (passed, logged) = again(name, Path::new("no/such/file"), (PORTS, "")).await;
    assert!(passed, "{logged}");
}
