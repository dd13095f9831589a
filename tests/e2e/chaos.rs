//! Everything that upstreams do wrong, once each: every call ends, as it should, in
//! words that say whose fault it is; and where nothing has gone out, another target
//! answers.

use futures_util::stream::{self, StreamExt};
use serde_json::json;
use sluice_tests::ending::{Taken, Tongue};
use sluice_tests::faults::{ALL, Fault, Limits, Place, faults, models};
use sluice_tests::{Authority, Client, FakeUpstream, Rogue, TestGateway};

/// Short, so that the test is; not so short that a busy machine misses them.
const LIMITS: Limits = Limits {
    connect_ms: 1_000,
    first_byte_ms: 1_500,
    idle_ms: 1_500,
    total_ms: 4_000,
};

/// Calls at once, most of which wait: more would keep a small machine so busy that limits
/// are missed.
const AT_ONCE: usize = 100;

fn config(rogue: &Rogue, good: &FakeUpstream, faults: &[Fault]) -> String {
    format!(
        "limits: {}\nattempts: {{ failures_max: 1000, cooldown_ms: 1, cooldown_ms_max: 1 }}\nupstreams:\n  good: {{ base_url: \"{}\" }}\n{}models:\n{}",
        LIMITS.config(),
        good.url(),
        rogue.config(),
        models(faults)
    )
}

/// What is wrong with the answer to one call, if anything is.
async fn check(
    client: &Client,
    fault: &Fault,
    tongue: Tongue,
    stream: bool,
    more: &str,
) -> Option<String> {
    let body = json!({ "model": format!("{}{more}", fault.name), "max_tokens": 9, "stream": stream,
        "messages": [{ "role": "user", "content": "hi" }] });
    let answer = client.post(tongue.path(), &[], body.to_string()).await;
    let taken = Taken::new(tongue, answer.status, stream, &answer.body);
    let wrong = fault.judge(tongue, stream, !more.is_empty(), &taken, None);
    let attempts = answer.header("sluice-attempts");
    let call = format!("{}{more}, {tongue:?}, stream {stream}", fault.name);
    wrong
        .err()
        .map(|why| format!("{call}: {why}: {taken:?} after `{attempts}`"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_ends_as_it_should() {
    let mut faults = faults();
    // Many times 65 MiB are for a driver with time in plenty (`benches/endurance`).
    faults.retain(|fault| fault.name != "large-answer");
    // Who trusts nobody's authority does not come to what is behind it.
    faults.retain(|fault| !fault.place.needs_trust() || fault.place == Place::Misnamed);
    // Those that take longest begin first.
    faults.sort_by_key(|fault| std::cmp::Reverse(LIMITS.of(fault)));
    let good = FakeUpstream::saying(ALL).await;
    let rogue = Rogue::start(&Authority::new("chaos")).await;
    let gateway = TestGateway::start(&config(&rogue, &good, &faults)).await;
    let client = gateway.client();
    let mut calls = Vec::new();
    for fault in &faults {
        for (tongue, stream) in [
            (Tongue::Messages, true),
            (Tongue::Chat, true),
            (Tongue::Messages, false),
            (Tongue::Chat, false),
        ] {
            for more in ["", "+"] {
                calls.push(check(&client, fault, tongue, stream, more));
            }
        }
    }
    let answered = stream::iter(calls).buffer_unordered(AT_ONCE);
    let wrong: Vec<_> = answered.filter_map(std::future::ready).collect().await;
    assert!(
        wrong.is_empty(),
        "{} of them:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
