//! What upstreams do wrong, and what a client may be told of it.
//!
//! Each fault is a row of [`faults`]: what the upstream does, and how a call to it ends,
//! alone and with another target behind it. A fault is also the name of the model that
//! shows it: [`crate::rogue::Rogue`] does as the model is called.

use std::time::Duration;

use crate::ending::{Ending, Taken, Tongue};

/// What every answer says that is whole.
pub const ALL: &str = "all is well";

/// What an answer says that breaks off.
pub const HALF: &str = "half of it";

/// How long the gateway waits for the body of an error.
const ERROR_BODY_MS: u64 = 2_000;

/// Something wrong with an upstream.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Its name, and that of the model that shows it.
    pub name: &'static str,
    /// Which upstream it is.
    pub place: Place,
    /// What the upstream does, if it is one that takes requests.
    pub acts: Vec<Act>,
    /// How a streamed call to it ends.
    pub streamed: Fate,
    /// How a call for a whole answer does.
    pub whole: Fate,
    /// The status of its error, or that which the error's type stands for.
    pub status: u16,
    /// Words of its error.
    pub says: &'static str,
    /// The limit that ends it.
    pub ends_by: Limit,
}

/// Where an upstream goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// After it has read the request.
    Answer,
    /// Nobody listens.
    Nobody,
    /// Connections are taken, and nothing is said.
    Mute,
    /// It speaks no TLS, and should.
    Plain,
    /// TLS is never agreed on.
    Handshake,
    /// Its certificate is somebody else's.
    Misnamed,
    /// Its certificate is out of date.
    Expired,
    /// It speaks HTTP/2, and shuts the connection.
    GoesAway,
    /// It speaks HTTP/2, and resets the stream before its head.
    Resets,
    /// The same after some content.
    ResetsLate,
}

impl Place {
    /// All of them, and the names of their upstreams.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Answer, "rogue"),
        (Self::Nobody, "nobody"),
        (Self::Mute, "mute"),
        (Self::Plain, "plain"),
        (Self::Handshake, "handshake"),
        (Self::Misnamed, "misnamed"),
        (Self::Expired, "expired"),
        (Self::GoesAway, "goes-away"),
        (Self::Resets, "resets"),
        (Self::ResetsLate, "resets-late"),
    ];

    /// The name of its upstream.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(place, _)| *place == self);
        found.expect("all are listed").1
    }

    /// Whether clients must trust the authority of the test to get so far.
    pub fn needs_trust(self) -> bool {
        use Place::{Expired, GoesAway, Misnamed, Resets, ResetsLate};
        matches!(self, Expired | GoesAway | Misnamed | Resets | ResetsLate)
    }
}

/// A part of what an upstream does. After the last it closes the connection.
#[derive(Clone, Debug)]
pub enum Act {
    /// Say this.
    Say(String),
    /// Say this, so many bytes at a time, with so many ms between them.
    Drip(String, usize, u64),
    /// Say this again and again, with so many ms between.
    Endless(String, u64),
    /// Say so many bytes that mean nothing.
    Much(usize),
    /// Say bytes that are no text.
    Noise,
    /// Reset the connection.
    Reset,
    /// Do nothing until the other side leaves.
    Hang,
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is answered all the same.
    Answered,
    /// It fails before any content: another target can take over.
    Early,
    /// It fails after some content, and another target cannot.
    Late,
    /// No content comes, and the upstream goes on talking until the call's time is over.
    Overdue,
}

/// What ends a call, at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nothing has to be waited for.
    AtOnce,
    /// `limits.connect_timeout_ms`.
    Connect,
    /// `limits.first_byte_timeout_ms`.
    FirstByte,
    /// `limits.idle_timeout_ms`.
    Idle,
    /// What an error's body may take: its status is there.
    ErrorBody,
    /// `limits.total_timeout_ms`.
    Total,
}

/// Limits of a gateway, in ms.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a connection.
    pub connect_ms: u64,
    /// For the answer's head.
    pub first_byte_ms: u64,
    /// For silence in it.
    pub idle_ms: u64,
    /// For the whole call.
    pub total_ms: u64,
}

impl Limits {
    /// As the configuration has them.
    pub fn config(&self) -> String {
        format!(
            "{{ connect_timeout_ms: {}, first_byte_timeout_ms: {}, idle_timeout_ms: {}, total_timeout_ms: {} }}",
            self.connect_ms, self.first_byte_ms, self.idle_ms, self.total_ms
        )
    }

    /// How long a call to this fault may take, margins aside.
    pub fn of(&self, fault: &Fault) -> Duration {
        Duration::from_millis(match fault.ends_by {
            Limit::AtOnce => 0,
            Limit::Connect => self.connect_ms,
            Limit::FirstByte => self.first_byte_ms,
            Limit::Idle => self.idle_ms,
            Limit::ErrorBody => ERROR_BODY_MS,
            Limit::Total => self.total_ms,
        })
    }
}

/// Each fault as a model of the configuration, alone and, with a `+` behind its name,
/// before a target `good` that answers.
pub fn models(faults: &[Fault]) -> String {
    let models = faults.iter().map(|fault| {
        let (name, place) = (fault.name, fault.place.name());
        let target = format!("{{ upstream: {place}, model: \"{name}\" }}");
        format!(
            "  \"{name}\": {target}\n  \"{name}+\": [ {target}, {{ upstream: good, model: good }} ]\n"
        )
    });
    models.collect()
}

// === what calls come to ===

/// The OpenAI error type of an error with this status.
fn chat_kind(status: u16) -> &'static str {
    match status {
        402 => "insufficient_quota",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "server_error",
    }
}

impl Fault {
    /// What is wrong with how a call to it was answered, if anything is. `broken`: why
    /// the client's own connection broke.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn judge(
        &self,
        tongue: Tongue,
        is_stream: bool,
        has_fallback: bool,
        taken: &Taken,
        broken: Option<&str>,
    ) -> Result<(), String> {
        if let Some(why) = broken {
            return Err(format!("the client's connection broke: {why}"));
        }
        let fate = if is_stream { self.streamed } else { self.whole };
        let text = taken.text.as_str();
        match (fate, &taken.ending) {
            (_, Ending::Cut) => Err("it is cut off, and no error says so".into()),
            (Fate::Answered, Ending::Whole) if text == ALL => Ok(()),
            (Fate::Early, Ending::Whole) if has_fallback && text == ALL => Ok(()),
            (_, Ending::Whole) => Err(format!("it looks whole, and says {text:?}")),
            (Fate::Answered, _) => Err("it fails".into()),
            (Fate::Early, _) if has_fallback => Err("no other target took over".into()),
            (Fate::Late, _) if !text.starts_with(HALF) => Err("content is lost".into()),
            (Fate::Early | Fate::Overdue, _) if !text.is_empty() => {
                Err(format!("it said {text:?}"))
            }
            (_, ending) => self.judge_error(tongue, ending),
        }
    }

    fn judge_error(&self, tongue: Tongue, ending: &Ending) -> Result<(), String> {
        let Ending::Failed {
            status,
            kind,
            message,
        } = ending
        else {
            return Err("it does not fail".into());
        };
        let expected = match tongue {
            Tongue::Chat => chat_kind(self.status),
            Tongue::Messages => sluice_codec::dialect::messages::kind_of_status(self.status),
        };
        // Of an error inside a stream the status was sent before.
        if *status != 200 && *status != self.status {
            return Err(format!("its status is not {}", self.status));
        }
        if kind != expected {
            return Err(format!("its type is not `{expected}`"));
        }
        if !message.contains(self.says) {
            return Err(format!("it does not say `{}`", self.says));
        }
        Ok(())
    }
}

// === the table ===

/// The head of a stream that ends where the connection does.
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// The head of a stream that says where it ends.
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// What breaks the bound on an event, on a head, and on a whole answer.
const EVENT_BYTES: usize = 17 << 20;
const HEAD_BYTES: usize = 1 << 20;
const ANSWER_BYTES: usize = 65 << 20;

fn say(text: impl Into<String>) -> Act {
    Act::Say(text.into())
}

fn piece(text: &str) -> String {
    crate::chunk(&serde_json::json!({ "content": text }))
}

/// Content that is only the half of it, after the head of a stream.
fn half() -> Act {
    say(format!("{HEAD}{}", piece(HALF)))
}

/// One chunk of HTTP's.
fn framed(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn good() -> String {
    format!("{}{}", piece(ALL), crate::finish("stop"))
}

fn json(text: &str) -> String {
    let answer = serde_json::json!({ "choices": [{ "index": 0, "finish_reason": "stop",
        "message": { "role": "assistant", "content": text } }],
        "usage": { "prompt_tokens": 7, "completion_tokens": 3 } });
    answer.to_string()
}

/// A whole answer, and the last on its connection: the next request would meet its end.
fn answer(status: &str, headers: &str, body: &str) -> Act {
    let length = body.len();
    say(format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    ))
}

/// An error as vendors give it.
fn error(status: &str, headers: &str) -> Act {
    let body = r#"{"error":{"message":"not now, please"}}"#;
    answer(status, headers, body)
}

fn fault(name: &'static str, fate: Fate, status: u16, says: &'static str, acts: Vec<Act>) -> Fault {
    Fault {
        name,
        place: Place::Answer,
        acts,
        streamed: fate,
        // What is gathered has not gone out.
        whole: if fate == Fate::Late {
            Fate::Early
        } else {
            fate
        },
        status,
        says,
        ends_by: Limit::AtOnce,
    }
}

impl Fault {
    fn by(self, ends_by: Limit) -> Self {
        Self { ends_by, ..self }
    }

    fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }
}

/// Everything that upstreams do wrong.
pub fn faults() -> Vec<Fault> {
    let kinds = [
        no_connection(),
        no_head(),
        statuses(),
        no_content(),
        cuts(),
        large(),
        odd(),
    ];
    kinds.into_iter().flatten().collect()
}

fn no_connection() -> Vec<Fault> {
    let early = |name, says| fault(name, Fate::Early, 502, says, Vec::new());
    vec![
        early("refused", "; check that it runs").at(Place::Nobody),
        early("plain-text", "cannot be reached").at(Place::Plain),
        early("no-handshake", "`limits.connect_timeout_ms`")
            .at(Place::Handshake)
            .by(Limit::Connect),
        early("misnamed", "cannot be reached").at(Place::Misnamed),
        early("expired", "cannot be reached").at(Place::Expired),
        early("h2-goaway", "broke the connection").at(Place::GoesAway),
        early("h2-reset", "broke the connection").at(Place::Resets),
        fault(
            "h2-reset-late",
            Fate::Late,
            502,
            "broke the connection",
            Vec::new(),
        )
        .at(Place::ResetsLate),
    ]
}

fn no_head() -> Vec<Fault> {
    let broken = |name, acts| fault(name, Fate::Early, 502, "broke the connection", acts);
    let silent = |name, acts| {
        fault(name, Fate::Early, 504, "sent nothing within", acts).by(Limit::FirstByte)
    };
    vec![
        silent("mute", Vec::new()).at(Place::Mute),
        silent("drips-head", vec![Act::Drip(HEAD.repeat(20), 1, 50)]),
        broken("closes-at-once", Vec::new()),
        broken("resets-at-once", vec![Act::Reset]),
        broken(
            "resets-in-head",
            vec![say("HTTP/1.1 200 OK\r\ncontent-"), Act::Reset],
        ),
        broken("noise", vec![Act::Noise]),
    ]
}

fn statuses() -> Vec<Fault> {
    let status = |name, status, words, headers| {
        let acts = vec![error(words, headers)];
        fault(name, Fate::Early, status, "not now, please", acts)
    };
    const MANY: &str = "429 Too Many Requests";
    let past = "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    vec![
        status("429", 429, MANY, ""),
        status("429-seconds", 429, MANY, "retry-after: 1\r\n"),
        status("429-past", 429, MANY, past),
        status(
            "429-absurd",
            429,
            MANY,
            "retry-after: 99999999999999999999\r\n",
        ),
        status("429-negative", 429, MANY, "retry-after: -5\r\n"),
        status("429-words", 429, MANY, "retry-after: soon\r\n"),
        status("500", 500, "500 Internal Server Error", ""),
        status("502", 502, "502 Bad Gateway", ""),
        status("503", 503, "503 Service Unavailable", "retry-after: 1\r\n"),
        status("529", 529, "529 Overloaded", ""),
        fault(
            "302",
            Fate::Early,
            502,
            "HTTP 302",
            vec![answer("302 Found", "location: http://127.0.0.1:1/\r\n", "")],
        ),
        fault(
            "500-html",
            Fate::Early,
            500,
            "a web page",
            vec![answer(
                "500 Oops",
                "",
                "<html><title>500</title><body>nginx</body></html>",
            )],
        ),
        fault(
            "500-hangs",
            Fate::Early,
            500,
            "rogue",
            vec![
                say("HTTP/1.1 500 Oops\r\ncontent-length: 99\r\n\r\n{\"error\":"),
                Act::Hang,
            ],
        )
        .by(Limit::ErrorBody),
        fault(
            "500-drips",
            Fate::Early,
            500,
            "rogue",
            vec![
                say("HTTP/1.1 500 Oops\r\ncontent-length: 9999\r\n\r\n"),
                Act::Drip(" ".repeat(9_999), 1, 20),
            ],
        )
        .by(Limit::ErrorBody),
        fault(
            "500-large",
            Fate::Early,
            500,
            "rogue",
            vec![say("HTTP/1.1 500 Oops\r\n\r\n"), Act::Much(8 << 20)],
        ),
    ]
}

fn no_content() -> Vec<Fault> {
    let early = |name, says, acts| fault(name, Fate::Early, 502, says, acts);
    let html = "<!doctype html><html><body>Welcome</body></html>";
    let limited = r#"data: {"error":{"message":"not now, please","code":429}}"#;
    vec![
        early("empty", "sent no answer", vec![answer("200 OK", "", "")]),
        early(
            "204",
            "sent no answer",
            vec![say("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")],
        ),
        early(
            "html",
            "no JSON",
            vec![answer("200 OK", "content-type: text/html\r\n", html)],
        ),
        early(
            "empty-object",
            "sent no answer",
            vec![answer("200 OK", "", "{}")],
        ),
        early(
            "bad-frames",
            "sent no answer",
            vec![say(format!(
                "{HEAD}data: {{\"oops\n\ndata: ]]\n\ndata: [DONE]\n\n"
            ))],
        ),
        fault(
            "error-first",
            Fate::Early,
            429,
            "not now, please",
            vec![say(format!("{HEAD}{limited}\n\n"))],
        ),
        fault(
            "error-after-role",
            Fate::Early,
            429,
            "not now, please",
            vec![say(format!(
                "{HEAD}{}{limited}\n\n",
                crate::chunk(&serde_json::json!({ "role": "assistant", "content": "" }))
            ))],
        ),
        fault(
            "hangs-after-head",
            Fate::Early,
            504,
            "sent nothing for",
            vec![say(HEAD), Act::Hang],
        )
        .by(Limit::Idle),
        fault(
            "drips-comments",
            Fate::Overdue,
            504,
            "the call took longer",
            vec![say(HEAD), Act::Endless(": processing\n\n".into(), 50)],
        )
        .by(Limit::Total),
    ]
}

fn cuts() -> Vec<Fault> {
    let late = |name, says, acts| fault(name, Fate::Late, 502, says, acts);
    let begun = || say(format!("{CHUNKED}{}", framed(&piece(HALF))));
    let limited = "data: {\"error\":{\"message\":\"not now, please\",\"code\":429}}\n\n";
    let short = json(ALL);
    vec![
        late("resets", "broke the connection", vec![half(), Act::Reset]),
        late("closes-in-chunks", "broke the connection", vec![begun()]),
        late("closes", "closed early", vec![half()]),
        late(
            "bad-chunk",
            "broke the connection",
            vec![begun(), say("zz\r\noh\r\n")],
        ),
        late("noise-later", "closed early", vec![half(), Act::Noise]),
        fault(
            "hangs",
            Fate::Late,
            504,
            "sent nothing for",
            vec![half(), Act::Hang],
        )
        .by(Limit::Idle),
        fault(
            "error-later",
            Fate::Late,
            429,
            "not now, please",
            vec![half(), say(limited)],
        ),
        Fault {
            // Content comes all the time, so that nothing but the call's end ends it.
            whole: Fate::Overdue,
            ..fault(
                "endless",
                Fate::Late,
                504,
                "the call took longer",
                vec![half(), Act::Endless(piece(" and more"), 5)],
            )
            .by(Limit::Total)
        },
        fault(
            "short-body",
            Fate::Early,
            502,
            "broke the connection",
            vec![say(format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{short}",
                short.len() + 9
            ))],
        ),
        fault(
            "long-body",
            Fate::Early,
            502,
            "no JSON",
            vec![say(format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{short}",
                short.len() - 9
            ))],
        ),
    ]
}

fn large() -> Vec<Fault> {
    let early = |name, says, acts| fault(name, Fate::Early, 502, says, acts);
    let many = "x-much: 1\r\n".repeat(200);
    vec![
        early(
            "large-event",
            "beyond every bound",
            vec![say(format!("{HEAD}data: ")), Act::Much(EVENT_BYTES)],
        ),
        early(
            "large-head",
            "broke the connection",
            vec![say("HTTP/1.1 200 OK\r\nx-much: "), Act::Much(HEAD_BYTES)],
        ),
        early(
            "many-headers",
            "broke the connection",
            vec![answer("200 OK", &many, "{}")],
        ),
        early(
            "large-answer",
            "exceeds every bound",
            vec![
                say("HTTP/1.1 200 OK\r\n\r\n{\"choices\":\""),
                Act::Much(ANSWER_BYTES),
            ],
        ),
    ]
}

/// What is odd, and no fault: it must be answered.
fn odd() -> Vec<Fault> {
    let odd = |name, acts| fault(name, Fate::Answered, 0, "", acts);
    let end = crate::finish("stop").replace("data: [DONE]\n\n", "");
    vec![
        odd("drips", vec![Act::Drip(format!("{HEAD}{}", good()), 3, 1)]),
        odd("no-done", vec![say(format!("{HEAD}{}{end}", piece(ALL)))]),
        odd("whole", vec![answer("200 OK", "", &json(ALL))]),
        odd(
            "bad-frame-between",
            vec![say(format!("{HEAD}data: {{\"oops\n\n{}", good()))],
        ),
        odd(
            "reset-after-end",
            vec![say(format!("{HEAD}{}", good())), Act::Reset],
        ),
        odd(
            "never-closes",
            vec![say(format!("{HEAD}{}", good())), Act::Hang],
        ),
    ]
}
