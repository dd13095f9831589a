//! The calls that run while files change, and the upstreams that answer them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sluice_tests::ending::{Ending, Tongue};
use sluice_tests::{FakeUpstream, Recorded, Script, chunk, finish};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::Revisions;
use super::plan::{PASSING, Plan, STEADY, UPSTREAMS, said};
use crate::caller::{Ask, Caller};
use crate::settings::Settings;

/// How a call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// In a stream of some seconds.
    Long,
    /// In a stream that comes at once.
    Short,
    /// Whole.
    Whole,
}

/// A call that has ended.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) model: String,
    /// What was answered; none if there is no such model.
    pub(super) answer: Option<String>,
    /// The first revision that may have been in force, and the last.
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) ms: f64,
    pub(super) failure: Option<String>,
}

impl Record {
    /// Whether `plan` leads to this answer.
    pub(super) fn is_of(&self, plan: &Plan) -> bool {
        plan.answer(&self.model) == self.answer
    }
}

// === upstreams ===

/// Upstreams that say what they were asked, and then count to as many, at a pace, as the
/// user's words say.
pub(super) async fn upstreams() -> Vec<String> {
    let mut urls = Vec::new();
    for at in 0..UPSTREAMS {
        let upstream = FakeUpstream::start(move |request| echo(at, request)).await;
        urls.push(upstream.url());
    }
    urls
}

fn echo(upstream: usize, request: &Recorded) -> Script {
    let body = request.json();
    let number = |name: &str| body[name].as_u64().unwrap_or(0);
    let model = body["model"].as_str().unwrap_or("none");
    let said = said(upstream, model, number("max_tokens"), number("mark"));
    let words = body["messages"][0]["content"].as_str().unwrap_or("");
    let mut words = words.split(' ').map(|it| it.parse::<u64>().unwrap_or(0));
    let (count, pace) = (words.next().unwrap_or(0), words.next().unwrap_or(0));
    if body["stream"] != true {
        return Script::json(&json!({ "choices": [{ "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": said } }],
            "usage": { "prompt_tokens": 7, "completion_tokens": 3 } }));
    }
    let (say, pieces) = mpsc::unbounded_channel();
    let word = |text: String| Ok(chunk(&json!({ "content": text })));
    tokio::spawn(async move {
        // Nobody may listen any more; the driver notices that at the client's end.
        let _ = say.send(word(said));
        for number in 0..count {
            tokio::time::sleep(Duration::from_millis(pace)).await;
            let _ = say.send(word(format!(" {number}")));
        }
        let _ = say.send(Ok(finish("stop")));
    });
    Script::Live(pieces)
}

// === calls ===

/// Calls that are made until they are told to stop.
pub(super) struct Calls {
    stop: oneshot::Sender<()>,
    made: JoinHandle<Vec<Record>>,
}

impl Calls {
    /// Make no more, and wait for those that run.
    pub(super) async fn stop(self) -> Vec<Record> {
        let _ = self.stop.send(());
        self.made.await.expect("calling does not fail")
    }
}

pub(super) fn start(
    caller: Caller,
    revisions: Arc<Revisions>,
    settings: &Settings,
    mut rng: fastrand::Rng,
) -> Calls {
    let mut clock = tokio::time::interval(Duration::from_secs_f64(1.0 / settings.rate));
    let (stop, mut stopped) = oneshot::channel();
    let made = tokio::spawn(async move {
        let mut running = JoinSet::new();
        let mut records = Vec::new();
        loop {
            tokio::select! {
                _ = clock.tick() => {
                    let call = call(caller.clone(), revisions.clone(), rng.fork());
                    running.spawn(call);
                }
                Some(record) = running.join_next() => records.push(record.expect("no call panics")),
                _ = &mut stopped => break,
            }
        }
        while let Some(record) = running.join_next().await {
            records.push(record.expect("no call panics"));
        }
        records
    });
    Calls { stop, made }
}

async fn call(caller: Caller, revisions: Arc<Revisions>, mut rng: fastrand::Rng) -> Record {
    let (kind, count, pace) = match rng.u32(..20) {
        0..4 => (Kind::Long, rng.u64(10..30), rng.u64(100..250)),
        4..13 => (Kind::Short, rng.u64(..20), 0),
        _ => (Kind::Whole, 0, 0),
    };
    let model = match rng.u32(..8) {
        0 => PASSING[rng.usize(..PASSING.len())],
        _ => STEADY[rng.usize(..STEADY.len())],
    };
    let tongue = Tongue::ALL[rng.usize(..2)];
    let ask = Ask {
        tongue,
        model: model.to_owned(),
        stream: kind != Kind::Whole,
        words: format!("{count} {pace}"),
    };
    let first = revisions.first();
    let begun = caller.begin(ask).await;
    let last = revisions.last();
    let outcome = begun.end().await;
    let text = &outcome.taken.text;
    let counted: String = (0..count).map(|number| format!(" {number}")).collect();
    let answer = text.strip_suffix(counted.as_str());
    let is_passing = PASSING.contains(&model);
    let is_whole = outcome.taken.ending == Ending::Whole && outcome.broken.is_none();
    let fine = (is_whole && answer.is_some()) || (outcome.status == 404 && is_passing);
    let failure = (!fine).then(|| {
        let (status, why) = (outcome.status, &outcome.broken);
        format!(
            "{tongue:?} {kind:?} {model}, revisions {first} to {last}: status {status}, {why:?}, {:?}, attempts `{}`",
            outcome.taken,
            outcome.header("sluice-attempts")
        )
    });
    Record {
        id: outcome.header("request-id").to_owned(),
        kind,
        model: model.to_owned(),
        answer: answer.filter(|_| outcome.status == 200).map(str::to_owned),
        first,
        last,
        ms: outcome.took.as_secs_f64() * 1e3,
        failure,
    }
}
