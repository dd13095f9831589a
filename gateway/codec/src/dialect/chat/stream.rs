//! A Chat Completions answer, decoded: chunks in, events out.
//!
//! ```text
//!  frame ─▶ chunk ─▶ reasoning ─▶ content ─▶ tool calls ─▶ finish, usage
//!                        └───────────┴───────────┴──▶ Sequencer ─▶ events
//! ```
//! A whole answer is one chunk whose `message` stands where a `delta` would, so
//! streamed and unstreamed answers take the same path. Lenient towards all that
//! vendors send, and honest about what they do not: an answer that breaks off
//! ends in an error, never in a made-up `end_turn`.

mod beside;
mod signing;

use std::borrow::Cow;

use serde_json::value::RawValue;

use self::beside::Beside;
use super::accent::{Accent, OmittedReasoning, Prefill, ReasoningBack};
use super::calls::{Calls, Fragment, Readiness, State};
use super::chunk::{Choice, Choices, Chunk, ContentPart, Delta, items, parse};
use super::error::{decode_embedded, decode_error};
use super::names::Names;
use super::payload::{Cargo, TOO_LARGE, is_signed};
use super::prefill::{self, Echo};
use super::stops::Stops;
use super::tags::{Piece, Tags};
use super::usage::decode_usage;
use crate::hash::hash;
use crate::ir::{
    Event, Losses, Request, Sequencer, Sink, Stop, StopReason, UpstreamError, Usage, tokens_of,
};
use crate::json::{as_count, as_str};

/// What the decoder of an answer must know of its request.
#[derive(Debug)]
pub struct DecodeOptions {
    names: Names,
    family: String,
    id_seed: u64,
    taken: Vec<u64>,
    stops: Stops,
    tags: Tags,
    echo: Echo,
    /// The text that the model goes on with.
    prefill: Option<String>,
    /// Tokens of the prompt, guessed: what stands for counts that never come.
    input_estimate: Option<u64>,
    /// Whether `completion_tokens` leaves reasoning out.
    reasoning_outside: bool,
    /// Whether `reasoning_details` are kept, to go back.
    keeps_details: bool,
    /// Whether the client asked not to see reasoning.
    omits_reasoning: bool,
    /// Whether it is to see none then.
    holds_reasoning: bool,
    /// Whether the client reads what only this dialect says.
    keeps_members: bool,
}

impl DecodeOptions {
    /// `names` come from the encoded request; `family` is whose reasoning this
    /// is; `id_seed` is a random number from which missing call ids are made.
    pub fn new(request: &Request<'_>, names: Names, family: &str, id_seed: u64) -> Self {
        let taken = request.call_ids().map(|id| hash(id.as_bytes())).collect();
        let stops = request.stop_sequences.iter();
        Self {
            names,
            family: family.to_owned(),
            id_seed,
            taken,
            stops: Stops::new(stops.map(|text| text.decoded().into_owned())),
            tags: Tags::new(&Accent::default().think_tags),
            echo: Echo::default(),
            prefill: prefill::unasked_text(request),
            input_estimate: None,
            reasoning_outside: false,
            keeps_details: true,
            omits_reasoning: request.omits_reasoning,
            holds_reasoning: false,
            keeps_members: false,
        }
    }

    /// The same, where the client speaks this dialect as well: what no other has
    /// (`logprobs`, members of a vendor's own) is kept beside the events, rather than
    /// reported as lost.
    pub fn with_members_kept(self) -> Self {
        Self {
            keeps_members: true,
            ..self
        }
    }

    /// The same, where the prompt has about so many tokens: an answer that comes
    /// without counts ends with estimates then.
    pub fn with_input_estimate(self, tokens: u64) -> Self {
        Self {
            input_estimate: Some(tokens),
            ..self
        }
    }

    /// The same, for an endpoint with this accent.
    pub fn with_accent(self, accent: &Accent) -> Self {
        Self {
            tags: Tags::new(&accent.think_tags),
            echo: match (accent.prefill, &self.prefill) {
                (Prefill::PrefixEchoed, Some(text)) => Echo::new(text.clone()),
                _ => Echo::default(),
            },
            reasoning_outside: accent.reasoning_outside,
            keeps_details: matches!(
                accent.reasoning_back,
                ReasoningBack::Same | ReasoningBack::Details
            ),
            holds_reasoning: self.omits_reasoning
                && accent.omitted_reasoning == OmittedReasoning::Hold,
            ..self
        }
    }
}

/// Decodes one answer.
#[derive(Debug)]
pub struct StreamDecoder {
    options: DecodeOptions,
    sequencer: Sequencer,
    calls: Calls,
    model: Option<String>,
    finish: Option<Finish>,
    stop_sequence: Option<String>,
    /// A stop sequence was met in the text: what follows it does not count.
    is_cut: bool,
    /// The whole answer is there: no call is given out before it is judged.
    is_whole: bool,
    usage: Option<Usage>,
    /// Bytes of text and reasoning so far.
    passed_bytes: usize,
    /// The field that the open thinking block came in.
    reasoning_field: &'static str,
    /// What the next signature has to carry.
    cargo: Cargo,
    /// What has to go back with the message, until it is known where it stands.
    message_extra: Option<String>,
    beside: Beside,
    /// Text has gone out.
    has_text: bool,
    /// Anything that reads like a chunk has come.
    answered: bool,
    ended: bool,
    losses: Losses,
    reported: Vec<String>,
}

/// Why an answer ended, weakest first: a later word overrides only a weaker one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Finish {
    Unknown,
    Stop,
    ToolCalls,
    Length,
    ContextWindow,
    Filter,
    Failed,
}

impl StreamDecoder {
    /// A decoder for one answer.
    pub fn new(options: DecodeOptions) -> Self {
        Self {
            options,
            sequencer: Sequencer::default(),
            calls: Calls::default(),
            model: None,
            finish: None,
            stop_sequence: None,
            is_cut: false,
            is_whole: false,
            usage: None,
            passed_bytes: 0,
            reasoning_field: "reasoning_content",
            cargo: Cargo::default(),
            message_extra: None,
            beside: Beside::default(),
            has_text: false,
            answered: false,
            ended: false,
            losses: Losses::default(),
            reported: Vec::new(),
        }
    }

    /// The model has said why it stopped: all that can come is usage and the end.
    pub fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// `stop` or `error` has been given out: nothing further counts.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// What could not be carried.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// Take in the data of one frame.
    pub fn frame(&mut self, data: &[u8], sink: Sink<'_>) {
        if self.ended {
            return;
        }
        match data.trim_ascii() {
            b"" => {}
            b"[DONE]" => self.end(true, sink),
            data => match serde_json::from_slice::<Chunk<'_>>(data) {
                Ok(chunk) => self.chunk(&chunk, sink),
                Err(_) => self.report_once("stream", "a frame that is no JSON object was skipped"),
            },
        }
    }

    /// Take in a whole answer that came without a stream.
    pub fn body(&mut self, body: &[u8], sink: Sink<'_>) {
        match serde_json::from_slice::<Chunk<'_>>(body) {
            Ok(chunk) => {
                self.is_whole = true;
                self.chunk(&chunk, sink);
                self.end(true, sink);
            }
            Err(_) => {
                let found = decode_error(200, body).message;
                self.fail(
                    502,
                    &format!("the upstream's answer is no JSON object: {found}"),
                    sink,
                );
            }
        }
    }

    /// The upstream's bytes have ended.
    pub fn finish(&mut self, sink: Sink<'_>) {
        self.end(false, sink);
    }

    /// The upstream's bytes broke off: the answer ends in an error, of the kind that has
    /// this status.
    pub fn abort(&mut self, status: u16, message: &str, sink: Sink<'_>) {
        if !self.ended {
            self.fail(status, message, sink);
        }
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, sink: Sink<'_>) {
        if let Some(error) = embedded_error(chunk) {
            self.fail(error.status, &error.message, sink);
            return;
        }
        if self.model.is_none() {
            self.model = chunk.model.and_then(as_str).map(Cow::into_owned);
        }
        self.answered |= chunk.choices.is_some();
        let choices: Choices<'_> = chunk.choices.and_then(parse).unwrap_or_default();
        if choices.others {
            self.report_once("choices", "only the first choice has an equivalent");
        }
        let mut usage = chunk.usage;
        let choice = choices.first.as_ref();
        let delta = choice.and_then(|choice| parse::<Delta<'_>>(choice.delta.or(choice.message)?));
        self.keep(chunk, choice, delta.as_ref());
        if let Some(choice) = choice {
            self.choice(choice, delta.as_ref(), sink);
            // Moonshot puts usage there (seen 2026-11).
            usage = usage.or(choice.usage);
        }
        self.give_kept(sink);
        self.take_usage(usage.or_else(|| groq_usage(chunk.x_groq?)));
        if self.is_cut {
            self.end(true, sink);
        }
    }

    fn choice(&mut self, choice: &Choice<'_>, delta: Option<&Delta<'_>>, sink: Sink<'_>) {
        if let Some(delta) = delta {
            self.delta(delta, sink);
        }
        // vLLM and SGLang name what was met: a sequence, or the model's own end token.
        let met = choice.stop_reason.or(choice.matched_stop).and_then(as_str);
        if let Some(text) = met.filter(|text| self.options.stops.contains(text)) {
            self.stop_sequence = Some(text.into_owned());
        }
        if let Some(word) = choice
            .finish_reason
            .and_then(as_str)
            .filter(|word| !word.is_empty())
        {
            self.finish = self.finish.max(Some(finish_of_word(&word)));
        }
    }

    /// Order inside one delta: reasoning, then content, then tool calls.
    fn delta(&mut self, delta: &Delta<'_>, sink: Sink<'_>) {
        if let Some(extra) = delta.extra_content.filter(|raw| is_signed(raw)) {
            self.message_extra = Some(extra.get().to_owned());
        }
        self.reasoning(delta, sink);
        if let Some(content) = delta.content {
            self.content(content, sink);
        }
        if let Some(text) = delta
            .refusal
            .and_then(as_str)
            .filter(|text| !text.is_empty())
        {
            self.finish = self.finish.max(Some(Finish::Filter));
            self.text(&text, sink);
        }
        let calls = delta.tool_calls.map(items).unwrap_or_default();
        for raw in calls.into_iter().chain(delta.function_call) {
            self.flush_tags(sink);
            self.flush_stops(sink);
            self.call(raw, sink);
        }
    }

    /// Reasoning comes in one of several fields; some relays fill two with the
    /// same text, so the first one counts.
    fn reasoning(&mut self, delta: &Delta<'_>, sink: Sink<'_>) {
        let fields = [
            ("reasoning_content", delta.reasoning_content),
            ("reasoning", delta.reasoning),
            ("reasoning_text", delta.reasoning_text),
        ];
        let details = delta.reasoning_details.map(items).unwrap_or_default();
        for raw in &details {
            if self.options.keeps_details && !self.cargo.detail(raw) {
                self.report_once("choices[0].delta.reasoning_details", TOO_LARGE);
            }
        }
        for (field, raw) in fields {
            if let Some(text) = raw.and_then(as_str).filter(|text| !text.is_empty()) {
                return self.thinking(field, &text, sink);
            }
        }
        for part in details.into_iter().filter_map(parse::<ContentPart<'_>>) {
            if let Some(text) = part.text.or(part.summary).and_then(as_str) {
                self.thinking("reasoning_details", &text, sink);
            }
        }
    }

    fn content(&mut self, raw: &RawValue, sink: Sink<'_>) {
        if let Some(text) = as_str(raw) {
            return self.tagged(&text, sink);
        }
        for raw in items(raw) {
            let Some(part) = parse::<ContentPart<'_>>(raw) else {
                continue;
            };
            if let Some(text) = part.text.and_then(as_str) {
                self.tagged(&text, sink);
            } else if let Some(thinking) = part.thinking.or(part.content).or(part.summary) {
                // Mistral: `{"type":"thinking","thinking":[{"type":"text",...}]}`;
                // Databricks: `{"type":"reasoning","summary":[...]}` (seen 2026-11).
                for raw in items(thinking) {
                    let text = as_str(raw).or_else(|| as_str(parse::<ContentPart<'_>>(raw)?.text?));
                    self.thinking("content", &text.unwrap_or_default(), sink);
                }
            } else {
                self.report_once(
                    "choices[0].delta.content",
                    "a part that is neither text nor reasoning",
                );
            }
        }
    }

    /// Text, and reasoning written at its head.
    fn tagged(&mut self, content: &str, sink: Sink<'_>) {
        if self.options.tags.is_plain() {
            return self.text(content, sink);
        }
        let mut pieces = Vec::new();
        self.options.tags.feed(content, &mut |piece, part| {
            pieces.push((piece, part.to_owned()))
        });
        self.pieces(pieces, sink);
    }

    /// No more text comes, or something else comes before it.
    fn flush_tags(&mut self, sink: Sink<'_>) {
        if !self.options.tags.is_plain() {
            let mut pieces = Vec::new();
            self.options
                .tags
                .finish(&mut |piece, part| pieces.push((piece, part.to_owned())));
            self.pieces(pieces, sink);
        }
    }

    fn pieces(&mut self, pieces: Vec<(Piece, String)>, sink: Sink<'_>) {
        for (piece, part) in pieces {
            match piece {
                Piece::Thinking => self.thinking("tags", &part, sink),
                Piece::Text => self.text(&part, sink),
            }
        }
    }

    fn thinking(&mut self, field: &'static str, text: &str, sink: Sink<'_>) {
        if text.is_empty() || self.is_cut {
            return;
        }
        self.flush_stops(sink);
        self.flush_calls(sink);
        self.start(sink);
        self.reasoning_field = field;
        self.passed_bytes += text.len();
        if !self.options.holds_reasoning {
            return self.sequencer.thinking(text, sink);
        }
        if !self.sequencer.is_thinking() {
            self.sequencer.begin_thinking(sink);
        }
        if !self.cargo.hold(text) {
            self.report_once(&format!("choices[0].delta.{field}"), TOO_LARGE);
        }
    }

    /// Text for the client, up to the first of its stop sequences.
    fn text(&mut self, text: &str, sink: Sink<'_>) {
        match self.options.echo.is_over() {
            true => self.own_text(text, sink),
            false => {
                let text = self.options.echo.feed(text);
                self.own_text(&text, sink);
            }
        }
    }

    fn own_text(&mut self, text: &str, sink: Sink<'_>) {
        if self.is_cut || text.is_empty() {
            return;
        }
        if self.options.stops.is_empty() {
            return self.certain_text(text, sink);
        }
        let (certain, met) = self.options.stops.feed(text);
        self.certain_text(&certain, sink);
        if met.is_some() {
            self.stop_sequence = met;
            self.is_cut = true;
        }
    }

    /// What might have begun a stop sequence, or an echo, did not.
    fn flush_stops(&mut self, sink: Sink<'_>) {
        let text = self.options.echo.flush();
        self.own_text(&text, sink);
        let text = self.options.stops.flush();
        self.certain_text(&text, sink);
    }

    fn certain_text(&mut self, text: &str, sink: Sink<'_>) {
        if text.is_empty() {
            return;
        }
        self.flush_calls(sink);
        if !std::mem::replace(&mut self.has_text, true) {
            self.load_message_extra();
        }
        self.sign(sink);
        self.start(sink);
        self.passed_bytes += text.len();
        self.sequencer.text(text, sink);
    }

    fn call(&mut self, raw: &RawValue, sink: Sink<'_>) {
        if self.is_cut {
            return;
        }
        let Some(fragment) = Fragment::read(raw) else {
            return self.report_once(
                "choices[0].delta.tool_calls",
                "a piece that is no tool call",
            );
        };
        if let Err(reason) = self.calls.add(fragment) {
            self.report_once("choices[0].delta.tool_calls", reason);
        }
        self.load_call_extras();
        self.pump_calls(false, sink);
    }

    /// Pass on what can be: the first unfinished call's arguments, and the next
    /// call's as soon as that one is whole and another waits.
    fn pump_calls(&mut self, all: bool, sink: Sink<'_>) {
        if self.is_whole && !all {
            return;
        }
        for at in 0..self.calls.0.len() {
            let another_waits = at + 1 < self.calls.0.len();
            let call = &mut self.calls.0[at];
            let has_ended = all || (another_waits && call.has_closed());
            match call.state {
                State::Closed => continue,
                State::Waiting if call.name.is_empty() && !all => return,
                State::Waiting => match call.readiness(has_ended) {
                    Readiness::Wait => return,
                    Readiness::Begin => self.begin_call(at, sink),
                    Readiness::Incomplete => {
                        self.void_call(at, "incomplete", sink);
                        continue;
                    }
                    Readiness::Unreadable => {
                        self.void_call(at, "unreadable", sink);
                        continue;
                    }
                },
                State::Open => {}
            }
            let call = &mut self.calls.0[at];
            self.sequencer.tool_input(call.unsent(), sink);
            if !has_ended {
                return;
            }
            call.state = State::Closed;
            self.sequencer.tool_input(call.unsent(), sink);
            self.give_kept(sink);
            self.sequencer.close(sink);
        }
    }

    fn begin_call(&mut self, at: usize, sink: Sink<'_>) {
        let seed = self.options.id_seed;
        let call = &mut self.calls.0[at];
        call.state = State::Open;
        call.client_id = call.new_id(&mut self.options.taken, || {
            format!("toolu_{seed:016x}{at:02}")
        });
        self.load_message_extra();
        self.load_call_extras();
        self.sign(sink);
        self.start(sink);
        let call = &self.calls.0[at];
        let name = self.options.names.restore(&call.name);
        self.sequencer.tool_use(&call.client_id, name, sink);
    }

    /// The truth, not an invented input: what the model wrote, as text.
    fn void_call(&mut self, at: usize, what: &str, sink: Sink<'_>) {
        self.sign(sink);
        self.start(sink);
        self.sequencer.close(sink);
        // Chat clients have one text, in which it would stand amidst a line.
        let follows_text = self.has_text || self.calls.0.iter().any(|call| call.is_void);
        let gap = if follows_text { "\n" } else { "" };
        let call = &mut self.calls.0[at];
        call.state = State::Closed;
        call.is_void = true;
        let name = self.options.names.restore(&call.name);
        let text = format!("{gap}[{what} call of tool {name}] {}", call.arguments);
        self.sequencer.text(&text, sink);
        self.give_kept(sink);
        self.sequencer.close(sink);
    }

    fn flush_calls(&mut self, sink: Sink<'_>) {
        if self.calls.0.iter().any(|call| call.state != State::Closed) {
            self.pump_calls(true, sink);
        }
    }

    fn start(&mut self, sink: Sink<'_>) {
        if !self.sequencer.is_started() {
            let start = Event::Start {
                model: self.model.as_deref().map(Cow::Borrowed),
                usage: None,
                extras: self.beside.take(),
            };
            self.sequencer.push(start, sink);
        }
    }

    /// Counts are cumulative where they come more than once: the last counts.
    fn take_usage(&mut self, raw: Option<&RawValue>) {
        let Some(raw) = raw else { return };
        match decode_usage(
            raw,
            self.options.reasoning_outside,
            self.options.keeps_members,
        ) {
            Some(usage) => self.usage = Some(usage),
            None => self.report_once("usage", "malformed, taken as absent"),
        }
    }

    fn end(&mut self, done: bool, sink: Sink<'_>) {
        if self.ended {
            return;
        }
        self.flush_tags(sink);
        self.flush_stops(sink);
        self.flush_calls(sink);
        self.end_message_extra();
        self.sign(sink);
        let stop = match self.stop_reason(done) {
            Ok(reason) => reason,
            Err(message) => return self.fail(502, message, sink),
        };
        self.ended = true;
        self.start(sink);
        if self.sequencer.is_blank() {
            // Clients take an answer without any block for a broken one.
            self.sequencer.begin_text(sink);
        }
        self.give_kept(sink);
        self.sequencer.close(sink);
        if self.beside.waits() {
            self.report_once("choices[0]", "members that came while no block was open");
        }
        if let Some(usage) = self.usage.take().or_else(|| self.estimated_usage()) {
            self.sequencer.usage(usage, sink);
        }
        let sequence = self
            .stop_sequence
            .take()
            .filter(|_| stop == StopReason::StopSequence);
        self.sequencer.stop(
            Stop {
                reason: stop,
                sequence: sequence.map(Cow::Owned),
                extras: self.beside.take(),
            },
            sink,
        );
    }

    /// What stands for counts that never came.
    fn estimated_usage(&mut self) -> Option<Usage> {
        let input = self.options.input_estimate?;
        self.report_once("usage", "the upstream gave no counts; these are estimates");
        let calls = self.calls.0.iter();
        let calls: usize = calls
            .map(|call| call.name.len() + call.arguments.len())
            .sum();
        let output = tokens_of((self.passed_bytes + calls) as u64);
        Some(Usage::estimated(input, output))
    }

    fn stop_reason(&self, done: bool) -> Result<StopReason<'static>, &'static str> {
        let calls = &self.calls.0;
        let called = calls.iter().any(|call| !call.is_void);
        if self.is_cut {
            return Ok(StopReason::StopSequence);
        }
        if calls.iter().any(|call| !call.is_complete()) && self.finish.is_some() {
            // Whatever the upstream says: the arguments were cut off.
            return Ok(StopReason::MaxTokens);
        }
        Ok(match self.finish {
            Some(Finish::Failed) => {
                return Err("the upstream reported a failure as its finish reason");
            }
            Some(Finish::Filter) => StopReason::Refusal,
            Some(Finish::ContextWindow) => StopReason::ContextWindowExceeded,
            Some(Finish::Length) => StopReason::MaxTokens,
            Some(Finish::Stop | Finish::ToolCalls | Finish::Unknown) if called => {
                StopReason::ToolUse
            }
            Some(_) if self.stop_sequence.is_some() => StopReason::StopSequence,
            Some(_) => StopReason::EndTurn,
            None if !self.answered => return Err("the upstream sent no answer"),
            None if !done => return Err("the upstream closed early, without a finish reason"),
            None if called => StopReason::ToolUse,
            None if self.sequencer.is_started() => StopReason::EndTurn,
            None => return Err("the upstream ended without an answer or a finish reason"),
        })
    }

    fn fail(&mut self, status: u16, message: &str, sink: Sink<'_>) {
        self.ended = true;
        self.sequencer.error(kind_of_status(status), message, sink);
    }

    fn report_once(&mut self, path: &str, reason: &'static str) {
        if !self.reported.iter().any(|known| known == path) && self.reported.len() < 64 {
            self.reported.push(path.to_owned());
            self.losses.report(format_args!("answer.{path}"), reason);
        }
    }
}

/// An error in the place of a chunk, in the shapes that vendors give it.
fn embedded_error(chunk: &Chunk<'_>) -> Option<UpstreamError> {
    if let Some(error) = chunk.error {
        return Some(decode_embedded(error, chunk.code));
    }
    if let Some(base) = chunk.base_resp {
        // MiniMax: HTTP 200 with `base_resp.status_code` other than 0 (seen 2026-11).
        let code = parse::<BaseResp<'_>>(base)?
            .status_code
            .and_then(as_count)?;
        return (code != 0).then(|| UpstreamError {
            status: 502,
            ..decode_embedded(base, None)
        });
    }
    let says_error = chunk
        .object
        .and_then(as_str)
        .is_some_and(|object| object == "error");
    if says_error || chunk.choices.is_none() {
        let message = chunk.message.or(chunk.detail).or(chunk.msg)?;
        return Some(decode_embedded(message, chunk.code));
    }
    None
}

#[derive(serde::Deserialize)]
struct BaseResp<'a> {
    #[serde(borrow, default)]
    status_code: Option<&'a RawValue>,
}

/// Groq: `x_groq.usage` (seen 2026-11).
fn groq_usage(raw: &RawValue) -> Option<&RawValue> {
    #[derive(serde::Deserialize)]
    struct Groq<'a> {
        #[serde(borrow, default)]
        usage: Option<&'a RawValue>,
    }
    parse::<Groq<'_>>(raw)?.usage
}

fn finish_of_word(word: &str) -> Finish {
    match word.to_ascii_lowercase().as_str() {
        "stop" | "eos" | "eos_token" | "end" | "end_turn" | "completed" | "complete"
        | "stop_sequence" => Finish::Stop,
        "tool_calls" | "function_call" | "tool_call" | "tool_use" => Finish::ToolCalls,
        "length" | "max_tokens" | "model_length" | "max_output_tokens" => Finish::Length,
        "model_context_window_exceeded" | "context_length_exceeded" => Finish::ContextWindow,
        "content_filter" | "safety" | "sensitive" | "refusal" | "error_toxic" => Finish::Filter,
        "error" | "abort" | "network_error" | "insufficient_system_resource" => Finish::Failed,
        _ => Finish::Unknown,
    }
}

fn kind_of_status(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        408 | 504 => "timeout_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}
