//! One call: what logs, headers and metrics show of it.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use serde_json::{Value, json};
use sluice_codec::ir::{Losses, Usage, tokens_of};

use crate::accounts::{Reservation, Use};
use crate::config::{Client, FOREVER, NANO_USD, Price};
use crate::error::Error;
use crate::gate::Pass;
use crate::health::Load;
use crate::hook::{Session, Stage};
use crate::tally::{Ended, Outcome, Tally};
use crate::telemetry::{Finished, Trace};

/// Longest value of a report header, in bytes: some proxies cut at 8 KiB in all.
const HEADER_BYTES_MAX: usize = 512;

/// The status of a call whose client left, as nginx has it.
const CLIENT_LEFT: u16 = 499;

/// The record of one call, from its first byte to its last. Dropping it ends
/// the call and writes its one log line, on disconnect too.
#[derive(Debug)]
pub struct Call {
    /// `req_` and a random part: in the log, the `request-id` header, errors.
    pub id: String,
    /// The model's name as requested.
    pub model: String,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// Who asks, if that is known.
    pub client: Option<Arc<Client>>,
    /// What was taken from that one's limits.
    pub reservation: Option<Reservation>,
    /// About so many tokens are in the prompt, where somebody wants to know.
    pub prompt_guess: u64,
    /// What the latest attempt's target costs, if that is known.
    pub price: Option<Price>,
    /// Text, reasoning and tool input of the answer so far, in bytes.
    pub answer_bytes: u64,
    /// What attempts took that began the answer and broke off.
    broken_off: BrokenOff,
    /// Size of the client's body, in bytes.
    pub request_bytes: usize,
    /// The entry of the configuration that it goes by, for the latest attempt.
    pub route: Option<String>,
    /// `upstream/model` of the latest attempt.
    pub target: Option<String>,
    /// The same as it is configured, for metrics.
    pub target_label: Option<String>,
    /// Attempts so far.
    pub attempts: u32,
    /// What became of each target that was tried: `up/m 503 retry`.
    pub tried: Vec<String>,
    /// The target of the attempt that runs.
    pub trying: Option<String>,
    /// What the latest attempt loads upon its target.
    pub load: Option<Load>,
    /// Its room among all calls.
    pub pass: Option<Pass>,
    /// Its room among its client's.
    pub client_pass: Option<Pass>,
    /// Its room at the upstream of the latest attempt.
    pub upstream_pass: Option<Pass>,
    /// When it must be over.
    pub deadline: Instant,
    /// Fields that could not be carried.
    pub losses: Losses,
    /// Headers of the upstream's answer that the client reads.
    pub passed_back: HeaderMap,
    /// Token counts, once they are known.
    pub usage: Option<Usage>,
    /// The hooks at work on it: what they changed, and which failed.
    pub session: Session,
    /// The snapshot it runs on.
    pub generation: u64,
    /// Its answer goes out as it comes.
    pub is_streamed: bool,
    /// What the collector will be told, if there is one.
    pub(crate) trace: Option<Box<Trace>>,
    tally: Tally,
    outcome: Outcome,
    /// The status that tells how it ended.
    status: u16,
    /// What was given out in the answer's place, or in its middle; empty if nothing was.
    error: String,
    began: Instant,
    first_byte_ms: Option<u64>,
}

/// What attempts took that broke off, beside what the client is shown of the answer.
#[derive(Debug, Default)]
struct BrokenOff {
    /// Their prompts, which the client is not shown twice.
    prompts: Usage,
    /// Tokens of theirs in the answer's.
    output: u64,
    nano_usd: u64,
}

impl Call {
    /// A call begins.
    pub fn begin(generation: u64, request_bytes: usize, total: Duration, tally: Tally) -> Self {
        tally.begun();
        let began = Instant::now();
        Self {
            id: format!("req_{:016x}", fastrand::u64(..)),
            model: String::new(),
            stream: false,
            client: None,
            reservation: None,
            prompt_guess: 0,
            price: None,
            answer_bytes: 0,
            broken_off: BrokenOff::default(),
            request_bytes,
            route: None,
            target: None,
            target_label: None,
            attempts: 0,
            tried: Vec::new(),
            trying: None,
            load: None,
            pass: None,
            client_pass: None,
            upstream_pass: None,
            deadline: began + total.min(FOREVER),
            losses: Losses::default(),
            passed_back: HeaderMap::new(),
            usage: None,
            session: Session::default(),
            generation,
            is_streamed: false,
            trace: None,
            tally,
            outcome: Outcome::ClientLeft,
            status: CLIENT_LEFT,
            error: String::new(),
            began,
            first_byte_ms: None,
        }
    }

    /// The first bytes of the answer are on their way.
    pub fn first_byte(&mut self) {
        let elapsed = self.elapsed_ms();
        self.first_byte_ms.get_or_insert(elapsed);
    }

    /// The latest attempt has nothing more to do with its target; what it loaded upon
    /// that is for the caller to judge.
    pub fn leave_target(&mut self) -> Option<Load> {
        self.upstream_pass = None;
        self.load.take()
    }

    /// The latest attempt broke off in the answer, and another goes on.
    pub fn broke_off(&mut self) {
        let spent = self.spent();
        let nano_usd = self.nano_usd(&spent).unwrap_or(0);
        self.broken_off.nano_usd = self.broken_off.nano_usd.saturating_add(nano_usd);
        let prompts = std::mem::take(&mut self.broken_off.prompts);
        self.broken_off.prompts = prompts.and_prompt_of(&spent);
        self.broken_off.output = spent.output;
    }

    /// All of the answer was given out.
    pub fn answered(&mut self) {
        (self.outcome, self.status) = (Outcome::Answered, 200);
    }

    /// `error` was given out.
    pub fn failed(&mut self, error: &Error) {
        (self.outcome, self.status) = (Outcome::Failed, error.status);
        self.error.clone_from(&error.message);
    }

    /// Header value that reports the losses; none if there are none.
    pub fn losses_header(&self) -> Option<String> {
        let listed = self.losses.listed().iter().map(|loss| loss.path.as_str());
        header_list(self.losses.count(), listed)
    }

    /// Header value that reports the attempts; none before the first.
    pub fn attempts_header(&self) -> Option<String> {
        header_list(
            self.attempts as usize,
            self.tried.iter().map(String::as_str),
        )
    }

    /// Header value that reports failed hooks; none if there are none.
    pub fn hooks_header(&self) -> Option<String> {
        let failures = texts(self.session.failures());
        header_list(failures.len(), failures.iter().map(String::as_str))
    }

    /// The name of who asks; empty if it is not known.
    pub fn client(&self) -> &str {
        self.client.as_ref().map_or("", |client| &client.name)
    }

    /// What it took of its client's limits: as the upstream counted, and where that
    /// does not say, or not yet, as far as the answer came.
    fn spent(&self) -> Usage {
        let counted = self.usage.clone().unwrap_or_default();
        let is_whole = self.outcome == Outcome::Answered;
        let was_asked = self.attempts > 0 && self.outcome == Outcome::ClientLeft;
        let guess = match counted.prompt() == 0 && (was_asked || self.answer_bytes > 0) {
            true => self.prompt_guess,
            false => 0,
        };
        let output = match is_whole && counted.output > 0 {
            true => counted.output,
            false => counted.output.max(tokens_of(self.answer_bytes)),
        };
        Usage {
            input: counted.input.saturating_add(guess),
            output,
            ..counted
        }
    }

    /// What the latest attempt's part of `spent` costs, if that is known.
    fn nano_usd(&self, spent: &Usage) -> Option<u64> {
        let output = spent.output.saturating_sub(self.broken_off.output);
        let price = self.price?;
        Some(price.of(&Usage {
            output,
            ..spent.clone()
        }))
    }

    fn elapsed_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Its client left, or time was over.
        let unfinished = self.trying.take();
        let unfinished = unfinished.map(|target| format!("{target} unfinished"));
        self.tried.extend(unfinished);
        let ms = self.elapsed_ms();
        let spent = self.spent();
        let nano_usd = self.nano_usd(&spent);
        let nano_usd = nano_usd.map(|latest| latest.saturating_add(self.broken_off.nano_usd));
        // The client is not shown the prompts of attempts that broke off.
        let hidden = &self.broken_off.prompts;
        let spent = spent.and_prompt_of(hidden);
        if let Some(reservation) = self.reservation.take() {
            reservation.settle(Use {
                tokens: spent.prompt().saturating_add(spent.output),
                nano_usd: nano_usd.unwrap_or(self.broken_off.nano_usd),
            });
        }
        let usd = nano_usd.map(|nano| nano as f64 / NANO_USD);
        let counted = self.usage.take();
        self.usage = counted.map(|usage| usage.and_prompt_of(hidden));
        let usage = self.usage.clone().unwrap_or_default();
        let edits = texts(self.session.edits()).join("; ");
        let failures = texts(self.session.failures()).join("; ");
        let shadow = texts(self.session.shadows()).join("; ");
        tracing::info!(
            call = %self.id,
            client = self.client(),
            model = %self.model,
            stream = self.stream,
            route = self.route.as_deref().unwrap_or(""),
            target = self.target.as_deref().unwrap_or(""),
            attempts = self.attempts,
            tried = self.tried.join(", "),
            generation = self.generation,
            outcome = self.outcome.name(),
            status = self.status,
            error = self.error,
            ms,
            first_byte_ms = self.first_byte_ms,
            input_tokens = usage.input,
            output_tokens = usage.output,
            cached_tokens = usage.cache_read,
            usd,
            losses = self.losses_header().as_deref().unwrap_or(""),
            edits,
            hook_failures = failures,
            shadow,
            "Call finished."
        );
        let trace = self.trace.take();
        let ended = self.ended(nano_usd);
        self.tally.ended(&ended);
        if let Some(trace) = trace {
            trace.finish(&self.finished(ended, usd));
        }
        if self.session.wants(Stage::Complete) {
            let record = self.record(ms, usd);
            std::mem::take(&mut self.session).complete(&record, self.status);
        }
    }
}

impl Call {
    /// What is counted.
    fn ended(&self, nano_usd: Option<u64>) -> Ended<'_> {
        Ended {
            client: self.client(),
            route: self.route.as_deref(),
            target: self.target_label.as_deref(),
            outcome: self.outcome,
            status: self.status,
            seconds: self.began.elapsed().as_secs_f64(),
            first_byte_seconds: self.first_byte_ms.map(|ms| ms as f64 / 1_000.0),
            is_streamed: self.is_streamed,
            attempts: self.attempts,
            losses: self.losses.count(),
            usage: self.usage.as_ref(),
            nano_usd,
        }
    }

    /// What the collector is told.
    fn finished<'c>(&'c self, ended: Ended<'c>, usd: Option<f64>) -> Finished<'c> {
        Finished {
            id: &self.id,
            model: &self.model,
            stream: self.stream,
            target: self.target.as_deref(),
            generation: self.generation,
            ended,
            tried: &self.tried,
            losses: &self.losses,
            edits: self.session.edits(),
            failures: self.session.failures(),
            usd,
        }
    }

    /// What `on-complete` hooks are shown.
    fn record(&self, ms: u64, usd: Option<f64>) -> Value {
        let losses = self.losses.listed().iter();
        let losses: Vec<_> = losses
            .map(|loss| json!({ "path": loss.path, "reason": loss.reason }))
            .collect();
        let usage = self.usage.as_ref().map(|usage| {
            json!({
                "input_tokens": usage.input,
                "output_tokens": usage.output,
                "cache_read_input_tokens": usage.cache_read,
                "cache_creation_input_tokens": usage.cache_write,
            })
        });
        json!({
            "id": self.id, "model": self.model, "stream": self.stream,
            "route": self.route, "target": self.target, "attempts": self.attempts, "tried": self.tried, "generation": self.generation,
            "outcome": self.outcome.name(), "status": self.status, "error": self.error,
            "ms": ms, "first_byte_ms": self.first_byte_ms,
            "client": self.client.as_ref().map(|client| &client.name),
            "usage": usage, "usd": usd, "losses": losses, "edits": texts(self.session.edits()),
            "shadow": texts(self.session.shadows()),
        })
    }
}

fn texts(items: &[impl ToString]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

/// `count; first, second, ...` in visible ASCII, cut to a header's size.
fn header_list<'a>(count: usize, items: impl Iterator<Item = &'a str>) -> Option<String> {
    if count == 0 {
        return None;
    }
    let mut value = count.to_string();
    for (i, item) in items.enumerate() {
        if value.len() + item.len() > HEADER_BYTES_MAX {
            value.push_str(", ...");
            break;
        }
        let _ = write!(value, "{} {item}", if i == 0 { ";" } else { "," });
    }
    value.retain(|c| c == ' ' || c.is_ascii_graphic());
    Some(value)
}
