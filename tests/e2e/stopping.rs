//! What hooks have still to do when the gateway stops. How it stops is told in the
//! gateway's own tests, with real signals.

use std::pin::pin;

use serde_json::json;
use sluice_tests::guests::GUEST_ERRANDS;
use sluice_tests::{FakeUpstream, TestGateway};

/// Requests of the hook after a call: more than pass unnoticed while a gateway stops.
const REQUESTS: usize = 50;

#[tokio::test]
async fn on_complete_hooks_run_to_their_end() {
    let (server, speaker) = FakeUpstream::live().await;
    let at = format!("127.0.0.1:{}", server.port());
    let config = json!({ "ask_after": vec![format!("http://{at}/after"); REQUESTS] });
    let config = format!(
        "drain: {{ announce_ms: 0 }}\nmodels: {{}}\nhooks: {{ chain: [ {{ hook: errands, limits: {{ http_requests_max: {REQUESTS} }}, grants: {{ http: [\"{at}\"] }}, config: {config} }} ] }}\n"
    );
    let gateway = TestGateway::with_hooks(&config, &[("errands", GUEST_ERRANDS)]).await;
    assert_eq!(gateway.client().ask("m", false).await.status, 200);

    let mut stopping = pin!(gateway.shut_down());
    let asked = async {
        while server.requests().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = &mut stopping => panic!("it stopped before its hook had run"),
        () = asked => {}
    }
    // The first one's answer.
    drop(speaker);
    stopping.await;
    assert_eq!(server.requests().len(), REQUESTS);
}
