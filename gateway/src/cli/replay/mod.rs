//! `sluice replay`: a captured call through a chain of hooks, offline.
//!
//! The call runs twice through the request path itself, once without hooks and
//! once with the chain, before an upstream on loopback that gives the captured
//! answer. What differs, in what the upstream got and in what the client read, is
//! the chain's doing.

mod recorded;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use self::recorded::{Recorded, Sent};
use super::hook::difference::{changes, line_changes};
use super::hook::{Report, read_text};
use crate::accounts::Accounts;
use crate::app::{self, Locking, Overrides, Source};
use crate::closing::Closing;
use crate::config::{Attempts, Config, Models, Route, Target, Timeouts, Upstream};
use crate::exits::ReplyBody;
use crate::gate::Gates;
use crate::hook::Chain;
use crate::lessons::Lessons;
use crate::pipeline::{self, Inbound, Passes};
use crate::provider::{Accent, Dialect};
use crate::snapshot::Snapshot;
use crate::tally::Tally;
use crate::telemetry::Telemetry;
use crate::upstream::{Client, Endpoint};

/// Where both runs draw their random ids from, so that those are alike.
const SEED: u64 = 1;

/// Headers of a request that say nothing of the call.
const OF_TRANSPORT: [&str; 4] = ["accept", "content-length", "host", "user-agent"];

/// What to replay, and through which chain.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Arguments {
    /// The captured call, JSON: `request` and `upstream` with its `body`.
    #[arg(value_name = "CALL")]
    call: PathBuf,
    /// The chain of this file; the embedded default's without.
    #[arg(long, short, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of hooks (`.wasm`); overrides the file's `hooks.folder`.
    #[arg(long, value_name = "FOLDER")]
    hooks: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Report, String> {
        let source = self.config.map_or(Source::Embedded, Source::File);
        let overrides = Overrides {
            listen: None,
            hooks: self.hooks,
        };
        replay(&self.call, source, overrides)
    }
}

/// A captured call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Captured {
    /// What the client speaks.
    #[serde(default = "messages")]
    dialect: Dialect,
    /// The client's headers.
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// The client's body.
    request: Box<RawValue>,
    upstream: CapturedUpstream,
}

fn messages() -> Dialect {
    Dialect::AnthropicMessages
}

/// Who answered, and what.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CapturedUpstream {
    /// As in `match.upstreams`.
    #[serde(default = "upstream")]
    name: String,
    /// What it speaks.
    #[serde(default)]
    dialect: Dialect,
    /// The model's name as sent; the requested one without.
    model: Option<String>,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// The answer's bytes: server-sent events, or JSON text.
    body: String,
}

fn upstream() -> String {
    "upstream".to_owned()
}

fn ok() -> u16 {
    200
}

/// The call in the file `call` without hooks, and with the chain of `source`: what
/// differs.
///
/// # Errors
/// What is wrong with the call or the chain.
pub fn replay(call: &Path, source: Source, overrides: Overrides) -> Result<Report, String> {
    let text = read_text(call)?;
    let captured: Captured = serde_json::from_str(&text)
        .map_err(|error| format!("{}: no captured call: {error}", call.display()))?;
    let loaded = app::hooks(source, overrides, Locking::Kept);
    let (chain, _) = loaded.map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let plain = once(&captured, Chain::empty()).await?;
        let hooked = once(&captured, chain).await?;
        let mut lines = vec!["what the upstream gets".to_owned()];
        lines.extend(indented(sent_changes(&plain.sent, &hooked.sent)));
        lines.push("what the client reads".to_owned());
        lines.extend(indented(line_changes(&plain.read, &hooked.read)));
        Ok(Report {
            text: lines.join("\n"),
            is_good: true,
        })
    })
}

/// What a run came to.
struct Run {
    /// Requests that the upstream got.
    sent: Vec<Sent>,
    /// Status and body that the client read.
    read: String,
}

async fn once(call: &Captured, hooks: Chain) -> Result<Run, String> {
    fastrand::seed(SEED);
    let answer = &call.upstream;
    let recorded = Recorded::start(answer.status, &answer.headers, &answer.body)
        .await
        .map_err(|error| format!("the upstream did not start: {error}"))?;
    let world = world(answer, recorded.base_url(), hooks)?;
    let inbound = Inbound {
        dialect: call.dialect,
        headers: headers(&call.headers)?,
        body: call.request.get().to_owned().into(),
        passes: Passes::default(),
        client: None,
    };
    let reply = pipeline::run(Arc::new(world), inbound).await;
    let mut read = format!("{}\n", reply.status).into_bytes();
    match reply.body {
        ReplyBody::Whole(body) => read.extend_from_slice(&body),
        ReplyBody::Stream(mut pieces) => {
            while let Some(piece) = pieces.next().await {
                read.extend_from_slice(&piece);
            }
        }
    }
    Ok(Run {
        sent: recorded.take(),
        read: undated(&String::from_utf8_lossy(&read)),
    })
}

/// A gateway with this chain, whose every model is the captured upstream's.
fn world(answer: &CapturedUpstream, base_url: String, hooks: Chain) -> Result<Snapshot, String> {
    let upstream = Upstream {
        name: answer.name.clone(),
        provider: answer.name.clone(),
        dialect: answer.dialect,
        auth: answer.dialect.auth(),
        base_url,
        api_keys: Vec::new(),
        calls_max: None,
        timeouts: Timeouts::default(),
        headers: Vec::new(),
        accent: Accent::of(answer.dialect),
    };
    let endpoint = Endpoint::new(&upstream).ok_or("the upstream's address is no URL")?;
    let model = answer.model.as_deref().unwrap_or("*");
    let route = Route::new("*", vec![Target::new(0, model)]);
    let config = Config {
        // What was captured is one attempt.
        attempts: Attempts {
            retries: 0,
            ..Attempts::default()
        },
        upstreams: vec![upstream],
        models: Models {
            routes: vec![route],
            ..Models::default()
        },
        ..Config::default()
    };
    Ok(Snapshot {
        generation: 1,
        hooks,
        client: Client::new(&config.limits)?,
        endpoints: vec![endpoint],
        health: Arc::default(),
        lessons: Lessons::default(),
        closing: Closing::default(),
        tally: Tally::default(),
        telemetry: Telemetry::default(),
        gates: Gates::new(&config, None),
        accounts: Accounts::default(),
        config,
    })
}

fn headers(written: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in written {
        let wrong = |_| format!("header `{name}`: cannot be sent");
        let key = HeaderName::try_from(name).map_err(|error| wrong(error.to_string()))?;
        let value = HeaderValue::try_from(value).map_err(|error| wrong(error.to_string()))?;
        headers.append(key, value);
    }
    Ok(headers)
}

// === what differs ===

fn indented(lines: Vec<String>) -> Vec<String> {
    match lines.is_empty() {
        true => vec!["    the same".into()],
        false => lines.iter().map(|line| format!("    {line}")).collect(),
    }
}

fn sent_changes(plain: &[Sent], hooked: &[Sent]) -> Vec<String> {
    let mut lines = Vec::new();
    if plain.len() != hooked.len() {
        lines.push(format!("{} requests -> {}", plain.len(), hooked.len()));
    }
    for (plain, hooked) in plain.iter().zip(hooked) {
        lines.extend(changes(&body(plain), &body(hooked)));
        let headers = changes(&listed(plain), &listed(hooked));
        lines.extend(headers.iter().map(|line| line.replacen('/', "header ", 1)));
    }
    lines
}

fn body(sent: &Sent) -> Value {
    let text = String::from_utf8_lossy(&sent.body);
    serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text))
}

fn listed(sent: &Sent) -> Value {
    let of_call = sent
        .headers
        .iter()
        .filter(|(name, _)| !OF_TRANSPORT.contains(&name.as_str()));
    let members = of_call.map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    Value::Object(members.collect())
}

/// Without the time that answers of Chat Completions tell.
fn undated(text: &str) -> String {
    const CREATED: &str = "\"created\":";
    let mut pieces = text.split(CREATED);
    let mut undated = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        undated.push_str(CREATED);
        undated.push('0');
        undated.push_str(piece.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    undated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(plain: &[(&str, &str)], hooked: &[(&str, &str)], expected: &[&str]) {
        let sent = |requests: &[(&str, &str)]| -> Vec<Sent> {
            let sent = requests.iter().map(|(team, body)| Sent {
                headers: vec![
                    ("x-team".into(), (*team).into()),
                    ("host".into(), (*body).into()),
                ],
                body: body.as_bytes().to_vec(),
            });
            sent.collect()
        };
        assert_eq!(sent_changes(&sent(plain), &sent(hooked)), expected);
    }

    #[test]
    fn requests_differ_by_pointer_and_header() {
        let plain = [("a", r#"{"max":1}"#)];
        check(&plain, &plain, &[]);
        let hooked = [("b", r#"{"max":2}"#)];
        check(
            &plain,
            &hooked,
            &["/max 1 -> 2", "header x-team \"a\" -> \"b\""],
        );
        check(&plain, &[], &["1 requests -> 0"]);
    }

    #[test]
    fn times_are_left_out() {
        let line = r#"data: {"created":1764040000,"x":1}"#;
        assert_eq!(undated(line), r#"data: {"created":0,"x":1}"#);
        assert_eq!(undated("none"), "none");
    }
}
