//! The embedded upstream behind the model `demo`: a real HTTP server on
//! loopback that is as awkward as the backends people meet.
//!
//! It speaks Chat Completions, refuses unknown parameters, refuses `max_tokens`
//! above 4096 unless streaming, never sends usage, and calls tools. No model
//! thinks in it; it shows a newcomer the whole path without a key.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use futures_util::stream;
use serde_json::{Value, json};

/// The parameters it knows; any other is refused by name.
const KNOWN: [&str; 9] = [
    "model",
    "messages",
    "stream",
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "tools",
    "tool_choice",
];

/// Largest `max_tokens` of a call that is not streamed, as at some vendors.
const UNSTREAMED_TOKENS_MAX: u64 = 4_096;

const REASONING: &str = "No model is at work here; this is a recorded thought.";

/// Start it on a free port; it lives as long as the runtime.
pub async fn start() -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let addr = listener.local_addr()?;
    let app = Router::new().route("/v1/chat/completions", post(complete));
    // Without it the pieces of an answer wait for each other, 40 ms each.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(addr)
}

async fn complete(body: Bytes) -> Response {
    let request: Value = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return refuse(&format!("the body is not JSON: {error}")),
    };
    let unknown = request
        .as_object()
        .and_then(|members| members.keys().find(|key| !KNOWN.contains(&key.as_str())));
    if let Some(key) = unknown {
        return refuse(&format!("Unrecognized request argument supplied: {key}"));
    }
    let streamed = request["stream"] == true;
    if !streamed
        && request["max_tokens"]
            .as_u64()
            .is_some_and(|tokens| tokens > UNSTREAMED_TOKENS_MAX)
    {
        return refuse("Requests with max_tokens > 4096 must have stream=true");
    }
    let answer = Answer::to(&request);
    if streamed {
        answer.streamed()
    } else {
        answer.whole()
    }
}

fn refuse(message: &str) -> Response {
    let error = json!({ "error": { "message": message, "type": "invalid_request_error" } });
    (StatusCode::BAD_REQUEST, axum::Json(error)).into_response()
}

enum Answer {
    Text(String),
    Call { name: String, arguments: Value },
}

impl Answer {
    fn to(request: &Value) -> Self {
        let messages = request["messages"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let last = messages.last().unwrap_or(&Value::Null);
        let said = text_of(last);
        if last["role"] == "tool" {
            let result: String = said.chars().take(200).collect();
            return Self::Text(format!(
                "The tool answered: {result}\nThat was a whole tool loop through Sluice."
            ));
        }
        // Clients put reminders around what their user said.
        let said = without_reminders(&said);
        let prompt = said
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("")
            .trim();
        let tools = request["tools"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        if prompt.contains("tool")
            && let Some(call) = call_one_of(tools)
        {
            return call;
        }
        let prompt: String = prompt.chars().take(200).collect();
        Self::Text(format!(
            "Hello from Sluice's demo model. You said: \"{prompt}\". Your request was translated, went \
             through the hooks, and reached an upstream that refuses half of what clients send. Ask me to \
             use a tool, or put a real upstream into sluice.yaml."
        ))
    }

    fn whole(self) -> Response {
        let (message, finish) = match self {
            Self::Text(text) => (
                json!({ "role": "assistant", "content": text, "reasoning_content": REASONING }),
                "stop",
            ),
            Self::Call { name, arguments } => {
                let call = json!({ "id": call_id(), "type": "function",
                    "function": { "name": name, "arguments": arguments.to_string() } });
                (
                    json!({ "role": "assistant", "content": null, "tool_calls": [call] }),
                    "tool_calls",
                )
            }
        };
        axum::Json(
            json!({ "id": "demo", "object": "chat.completion", "model": "demo",
            "choices": [{ "index": 0, "message": message, "finish_reason": finish }] }),
        )
        .into_response()
    }

    fn streamed(self) -> Response {
        let mut deltas = vec![json!({ "role": "assistant", "content": "" })];
        let finish = match self {
            Self::Text(text) => {
                deltas.push(json!({ "reasoning_content": REASONING }));
                deltas.extend(
                    text.split_inclusive(' ')
                        .map(|word| json!({ "content": word })),
                );
                "stop"
            }
            Self::Call { name, arguments } => {
                deltas.push(
                    json!({ "tool_calls": [{ "index": 0, "id": call_id(), "type": "function",
                    "function": { "name": name, "arguments": "" } }] }),
                );
                deltas.push(json!({ "tool_calls": [{ "index": 0,
                    "function": { "arguments": arguments.to_string() } }] }));
                "tool_calls"
            }
        };
        let chunk = |delta: Value, finish: Value| {
            let chunk = json!({ "id": "demo", "object": "chat.completion.chunk", "model": "demo",
                "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
            format!("data: {chunk}\n\n")
        };
        let mut frames: Vec<_> = deltas
            .into_iter()
            .map(|delta| chunk(delta, Value::Null))
            .collect();
        frames.push(chunk(json!({}), json!(finish)));
        frames.push("data: [DONE]\n\n".to_owned());
        let body = Body::from_stream(stream::iter(
            frames.into_iter().map(Ok::<_, std::convert::Infallible>),
        ));
        ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
    }
}

fn call_id() -> String {
    format!("call_{:016x}", fastrand::u64(..))
}

fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    }
}

/// `text` without what stands between `<system-reminder>` tags.
fn without_reminders(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<system-reminder>") {
        kept.push_str(before);
        rest = after
            .split_once("</system-reminder>")
            .map_or("", |(_, after)| after);
    }
    kept + rest
}

/// A harmless call: `Bash` saying hello, else the first tool with the plainest
/// arguments that its schema allows.
fn call_one_of(tools: &[Value]) -> Option<Answer> {
    let named = |name: &str| tools.iter().find(|tool| tool["function"]["name"] == name);
    if named("Bash").is_some() {
        let arguments = json!({ "command": "echo hello from sluice", "description": "Say hello" });
        return Some(Answer::Call {
            name: "Bash".into(),
            arguments,
        });
    }
    let function = &tools.first()?["function"];
    let parameters = &function["parameters"];
    let required = parameters["required"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let argument = |key: &Value| {
        let key = key.as_str()?;
        Some((key.to_owned(), plainest(&parameters["properties"][key])))
    };
    let arguments = Value::Object(required.iter().filter_map(argument).collect());
    Some(Answer::Call {
        name: function["name"].as_str()?.to_owned(),
        arguments,
    })
}

fn plainest(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("number" | "integer") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!("demo"),
    }
}
