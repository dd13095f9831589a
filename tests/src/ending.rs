//! How an answer ended, as its client can tell.
//!
//! A client takes an answer for whole, for failed, or for cut off, and never needs to
//! guess: that an answer which broke off looks whole is the worst that a gateway can do.

use serde_json::Value;
use sluice_codec::sse::FrameReader;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tongue {
    /// Chat Completions.
    Chat,
    /// Anthropic Messages.
    Messages,
}

impl Tongue {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Chat, Self::Messages];

    /// The path of its endpoint.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
        }
    }
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It said that this was all.
    Whole,
    /// It said that it failed.
    Failed {
        /// The status, or that of the stream.
        status: u16,
        /// The error's `type`.
        kind: String,
        /// What the user reads.
        message: String,
    },
    /// It neither said that it was whole nor that it failed.
    Cut,
}

/// An answer as its client took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// All its text.
    pub text: String,
    /// How it ended.
    pub ending: Ending,
}

impl Taken {
    /// What a client that speaks `tongue` makes of this answer's status and body.
    pub fn new(tongue: Tongue, status: u16, is_stream: bool, body: &[u8]) -> Self {
        if status != 200 {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            return Self {
                text: String::new(),
                ending: failed(status, &body["error"]),
            };
        }
        match is_stream {
            true => streamed(tongue, body),
            false => whole(tongue, body),
        }
    }
}

fn failed(status: u16, error: &Value) -> Ending {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let (kind, message) = (text(&error["type"]), text(&error["message"]));
    match kind.is_empty() || message.is_empty() {
        true => Ending::Cut,
        false => Ending::Failed {
            status,
            kind,
            message,
        },
    }
}

fn whole(tongue: Tongue, body: &[u8]) -> Taken {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let (text, stop) = match tongue {
        Tongue::Chat => {
            let choice = &body["choices"][0];
            let text = choice["message"]["content"].as_str().unwrap_or("");
            (text.to_owned(), &choice["finish_reason"])
        }
        Tongue::Messages => {
            let blocks = body["content"].as_array().into_iter().flatten();
            let text = blocks.filter_map(|block| block["text"].as_str()).collect();
            (text, &body["stop_reason"])
        }
    };
    let ending = match stop.is_string() {
        true => Ending::Whole,
        false => Ending::Cut,
    };
    Taken { text, ending }
}

fn streamed(tongue: Tongue, body: &[u8]) -> Taken {
    let mut taken = Taken {
        text: String::new(),
        ending: Ending::Cut,
    };
    let mut has_stopped = false;
    let mut reader = FrameReader::default();
    // A last frame that never ended is none, so nothing is finished here.
    let fed = reader.feed(body, &mut |frame| {
        if taken.ending != Ending::Cut {
            return;
        }
        if tongue == Tongue::Chat && frame.data == b"[DONE]" && has_stopped {
            taken.ending = Ending::Whole;
            return;
        }
        let Ok(event) = serde_json::from_slice::<Value>(frame.data) else {
            return;
        };
        if event["error"].is_object() {
            taken.ending = failed(200, &event["error"]);
        }
        let piece = match tongue {
            Tongue::Chat => {
                let choice = &event["choices"][0];
                has_stopped |= choice["finish_reason"].is_string();
                &choice["delta"]["content"]
            }
            Tongue::Messages => {
                has_stopped |= event["delta"]["stop_reason"].is_string();
                if event["type"] == "message_stop" && has_stopped {
                    taken.ending = Ending::Whole;
                }
                &event["delta"]["text"]
            }
        };
        taken.text.push_str(piece.as_str().unwrap_or(""));
    });
    if fed.is_err() {
        taken.ending = Ending::Cut;
    }
    taken
}
