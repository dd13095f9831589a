//! `sluice serve` without a file: what the README shows.

use serde_json::json;
use sluice_tests::TestGateway;

#[tokio::test]
async fn the_demo_answers_what_its_upstream_would_refuse() {
    let gateway = TestGateway::embedded().await;
    for stream in [true, false] {
        let answer = gateway
            .client()
            .message(&json!({
                "model": "demo", "max_tokens": 64000, "stream": stream,
                "metadata": { "user_id": "u" }, "thinking": { "type": "enabled", "budget_tokens": 1024 },
                "messages": [{ "role": "user", "content": "hello" }],
            }))
            .await;
        let message = answer.message();
        assert!(answer.text().starts_with("Hello from Sluice"), "{message}");
        assert_eq!(message["content"][0]["type"], "thinking");
        assert_eq!(message["usage"]["estimated"], true);
        assert!(
            message["usage"]["output_tokens"]
                .as_u64()
                .is_some_and(|tokens| tokens > 10)
        );
    }
}

#[tokio::test]
async fn the_demo_calls_tools() {
    let gateway = TestGateway::embedded().await;
    let tools = json!([{ "name": "Bash", "input_schema": { "type": "object" } }]);
    // As Claude Code sends it.
    let prompt = json!({ "role": "user", "content": [
        { "type": "text", "text": "<system-reminder>\nToday is Tuesday.\n</system-reminder>" },
        { "type": "text", "text": "use a tool\n<system-reminder>Be kind.</system-reminder>" },
    ] });
    let asked = gateway
        .client()
        .message(&json!({ "model": "claude-any", "max_tokens": 100, "tools": tools, "messages": [prompt] }))
        .await
        .message();
    assert_eq!(asked["stop_reason"], "tool_use");
    let call = &asked["content"]
        .as_array()
        .expect("content")
        .last()
        .expect("a call")
        .clone();
    let result =
        json!({ "type": "tool_result", "tool_use_id": call["id"], "content": "hello from sluice" });
    let done = gateway
        .client()
        .message(&json!({ "model": "claude-any", "max_tokens": 100, "tools": tools, "stream": true, "messages": [
            prompt, { "role": "assistant", "content": [call] }, { "role": "user", "content": [result] } ] }))
        .await;
    assert!(done.text().contains("hello from sluice"), "{}", done.text());
}
