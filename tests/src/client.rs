//! A client that sees everything: status, headers, body, events.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sluice_codec::sse::FrameReader;

/// A client of one gateway.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
}

impl Client {
    /// A client of the gateway at `url`.
    pub fn new(url: String) -> Self {
        // The gateway's own client sets the process up for TLS; no test needs it.
        let http = reqwest::Client::builder().no_proxy().build();
        Self {
            http: http.expect("a client needs nothing"),
            url,
        }
    }

    /// The same, which shows `key` in each request.
    #[must_use]
    pub fn with_key(self, key: &str) -> Self {
        let key = HeaderValue::try_from(key).expect("fit for a header");
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-api-key"), key)]);
        let http = reqwest::Client::builder()
            .no_proxy()
            .default_headers(headers)
            .build();
        Self {
            http: http.expect("a client needs nothing"),
            ..self
        }
    }

    /// Send `body` to `path` as `POST`.
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let mut request = self.http.post(format!("{}{path}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(request.send().await.expect("the gateway answers")).await
    }

    /// Send a request of any method, without a body.
    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(request.send().await.expect("the gateway answers")).await
    }

    /// Send a Messages request.
    pub async fn message(&self, body: &Value) -> Answer {
        self.post("/v1/messages?beta=true", &[], body.to_string())
            .await
    }

    /// Ask `model` for an answer to "hi", streamed or not.
    pub async fn ask(&self, model: &str, stream: bool) -> Answer {
        self.message(&json!({
            "model": model, "max_tokens": 1000, "stream": stream,
            "messages": [{ "role": "user", "content": "hi" }],
        }))
        .await
    }

    /// What `/metrics` says.
    pub async fn metrics(&self) -> String {
        let answer = self.request("GET", "/metrics", &[]).await;
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    /// Begin a streamed answer to "hi", to be read piece by piece.
    pub async fn begin(&self, model: &str) -> reqwest::Response {
        let body = json!({
            "model": model, "max_tokens": 1000, "stream": true,
            "messages": [{ "role": "user", "content": "hi" }],
        });
        let request = self
            .http
            .post(format!("{}/v1/messages", self.url))
            .json(&body);
        request.send().await.expect("the gateway answers")
    }
}

impl Answer {
    async fn read(response: reqwest::Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap_or_default(),
        }
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    /// A header's value; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    /// The body's events.
    pub fn events(&self) -> Vec<Value> {
        sse(&self.body)
    }

    /// The answer as a message, whether it was streamed or not.
    pub fn message(&self) -> Value {
        assert_eq!(self.status, 200, "{:?}", self.body);
        if !self.header("content-type").starts_with("text/event-stream") {
            return self.json();
        }
        let mut message = Value::Null;
        for event in self.events() {
            let index = event["index"].as_u64().unwrap_or(0) as usize;
            match event["type"].as_str().unwrap_or("") {
                "message_start" => message = event["message"].clone(),
                "content_block_start" => {
                    let blocks = message["content"]
                        .as_array_mut()
                        .expect("the message has begun");
                    assert_eq!(blocks.len(), index, "blocks come in order");
                    blocks.push(event["content_block"].clone());
                }
                "content_block_delta" => grow(&mut message["content"][index], &event["delta"]),
                "content_block_stop" => {
                    let block = &mut message["content"][index];
                    if let Some(text) = block
                        .as_object_mut()
                        .and_then(|block| block.remove("partial"))
                    {
                        block["input"] =
                            serde_json::from_str(text.as_str().unwrap_or("")).expect("whole input");
                    }
                }
                "message_delta" => {
                    for part in ["stop_reason", "stop_sequence"] {
                        message[part] = event["delta"][part].clone();
                    }
                    message["usage"] = event["usage"].clone();
                }
                "error" => panic!("{event}"),
                _ => {}
            }
        }
        message
    }

    /// All text of the message.
    pub fn text(&self) -> String {
        let message = self.message();
        let blocks = message["content"]
            .as_array()
            .expect("a message has content");
        blocks
            .iter()
            .filter_map(|block| block["text"].as_str())
            .collect()
    }
}

fn grow(block: &mut Value, delta: &Value) {
    let (member, piece) = match delta["type"].as_str().unwrap_or("") {
        "text_delta" => ("text", &delta["text"]),
        "thinking_delta" => ("thinking", &delta["thinking"]),
        "signature_delta" => ("signature", &delta["signature"]),
        "input_json_delta" => ("partial", &delta["partial_json"]),
        other => panic!("an unknown delta: {other}"),
    };
    let so_far = block[member].as_str().unwrap_or("").to_owned();
    block[member] = json!(so_far + piece.as_str().unwrap_or(""));
}

/// The JSON events of a stream's bytes.
pub fn sse(bytes: &[u8]) -> Vec<Value> {
    let mut events = Vec::new();
    let mut reader = FrameReader::default();
    let mut take = |frame: sluice_codec::sse::Frame<'_>| {
        events.push(serde_json::from_slice(frame.data).expect("events are JSON"));
    };
    reader.feed(bytes, &mut take).expect("frames within bounds");
    reader.finish(&mut take);
    events
}
