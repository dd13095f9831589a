//! A client that calls in either dialect, and what became of its call.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_tests::ending::{Taken, Tongue};

/// No call lasts longer, whatever the gateway does: a slow stream takes a minute.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client of one gateway.
#[derive(Clone)]
pub(crate) struct Caller {
    http: reqwest::Client,
    url: String,
    key: &'static str,
}

/// What a call asks for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) tongue: Tongue,
    pub(crate) model: String,
    pub(crate) stream: bool,
    /// What the user says.
    pub(crate) words: String,
}

/// What became of a call.
pub(crate) struct Outcome {
    pub(crate) status: u16,
    headers: reqwest::header::HeaderMap,
    pub(crate) taken: Taken,
    /// Why no answer came, or why it broke off.
    pub(crate) broken: Option<String>,
    pub(crate) took: Duration,
}

/// An answer whose head has come.
pub(crate) struct Begun {
    ask: Ask,
    began: Instant,
    head: Result<reqwest::Response, String>,
}

impl Caller {
    pub(crate) fn new(url: String, key: &'static str) -> Self {
        // The workspace's client asks for it; who came first does not matter.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build();
        Self {
            http: http.expect("a client needs nothing"),
            url,
            key,
        }
    }

    /// Send the request, and wait for the answer's head.
    pub(crate) async fn begin(&self, ask: Ask) -> Begun {
        let body = json!({ "model": ask.model, "max_tokens": 1000, "stream": ask.stream,
            "messages": [{ "role": "user", "content": ask.words }] });
        let request = self.http.post(format!("{}{}", self.url, ask.tongue.path()));
        let request = request.header("x-api-key", self.key).json(&body);
        let began = Instant::now();
        let head = tokio::time::timeout(PATIENCE, request.send()).await;
        let head = match head {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(format!("no answer: {error:?}")),
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
        };
        Begun { ask, began, head }
    }

    /// Call, and read the answer to its end.
    pub(crate) async fn call(&self, ask: Ask) -> Outcome {
        self.begin(ask).await.end().await
    }

    /// What an endpoint of the operator's says; null while there is no answer.
    pub(crate) async fn admin(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.url));
        let request = request.header("x-api-key", self.key).timeout(PATIENCE);
        match request.send().await {
            Ok(response) => response.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        }
    }
}

impl Begun {
    /// Read to the end.
    pub(crate) async fn end(self) -> Outcome {
        self.end_hearing(|_| ()).await
    }

    /// The same, and hear every piece as it comes.
    pub(crate) async fn end_hearing(self, hear: impl FnMut(&[u8])) -> Outcome {
        let (mut status, mut headers) = (0, reqwest::header::HeaderMap::new());
        let mut body = Vec::new();
        let broken = match self.head {
            Err(why) => Some(why),
            Ok(response) => {
                status = response.status().as_u16();
                headers = response.headers().clone();
                let left = PATIENCE.saturating_sub(self.began.elapsed());
                match tokio::time::timeout(left, read(response, &mut body, hear)).await {
                    Ok(read) => read.err(),
                    Err(_) => Some(format!("no end within {PATIENCE:?}")),
                }
            }
        };
        Outcome {
            status,
            headers,
            taken: Taken::new(self.ask.tongue, status, self.ask.stream, &body),
            broken,
            took: self.began.elapsed(),
        }
    }
}

async fn read(
    mut response: reqwest::Response,
    body: &mut Vec<u8>,
    mut hear: impl FnMut(&[u8]),
) -> Result<(), String> {
    while let Some(piece) = response.chunk().await.map_err(|it| format!("{it:?}"))? {
        hear(&piece);
        body.extend_from_slice(&piece);
    }
    Ok(())
}

impl Outcome {
    /// A header's value; empty if it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|it| it.to_str().ok());
        value.unwrap_or("")
    }
}
