//! A Messages answer, decoded: frames in, events out.
//!
//! ```text
//!  message_start        -> start, with the counts and members known so early
//!  content_block_*      -> one block each; unknown kinds and deltas verbatim
//!  message_delta        -> held: stop reason, counts, further members
//!  message_stop, EOF    -> usage, stop
//!  error                -> error, of its own kind
//! ```
//! What was decoded here and is encoded for a client of the same dialect says
//! the same, but for the answer's id and the model's name. A whole answer is a
//! start whose blocks come complete. Lenient towards servers that imitate the
//! dialect: of blocks that overlap, the later ones wait until the call before them
//! has ended, and a stop reason that its calls contradict is set right. Honest
//! about an answer that breaks off: it ends in an error unless the model had
//! already said why it stopped.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::error::{decode_embedded, kind_of_status};
use super::response::{KNOWN_AT_END, kept, kept_apart, take_citations};
use crate::fields::{Fields, Path};
use crate::ir::{
    BlockStart, CHAT_DELTA, CHAT_MEMBERS, Delta, Event, Kept, Losses, Request, STOP_MEMBERS,
    Sequencer, Sink, Stop, StopReason, Usage, citation_delta,
};
use crate::json::{ObjectWriter, as_count, as_str, trimmed};
use crate::reason;

/// Most members that are gathered from several frames: far more than Anthropic
/// has, and few enough to be looked through each time.
const KEPT_MAX: usize = 64;

/// Most bytes of blocks that wait for the call before them, and most such blocks:
/// more than parallel calls take, and little to keep.
const HELD_BYTES_MAX: usize = 1 << 20;
const HELD_BLOCKS_MAX: usize = 64;

/// Members of a message that are not for its end to say, or have a place of
/// their own: under these names nothing else is kept.
const NOT_AT_END: [&str; 10] = [
    "id",
    "type",
    "role",
    "model",
    "content",
    "usage",
    "stop_reason",
    "stop_sequence",
    CHAT_MEMBERS,
    STOP_MEMBERS,
];

/// Why what is named like the inner form's own does not pass as that.
const OWN_NAME: &str = "a name that the inner form has for something else";

/// What the decoder of an answer must know of its request.
#[derive(Debug)]
pub struct AnswerOptions {
    id_seed: u64,
    taken: HashSet<String>,
}

impl AnswerOptions {
    /// `id_seed` is a random number from which missing call ids are made.
    pub fn new(request: &Request<'_>, id_seed: u64) -> Self {
        Self {
            id_seed,
            taken: request.call_ids().map(str::to_owned).collect(),
        }
    }
}

/// Decodes one answer.
#[derive(Debug)]
pub struct AnswerDecoder {
    options: AnswerOptions,
    sequencer: Sequencer,
    open: Option<Open>,
    held: Held,
    /// How many calls of the client's tools there were.
    calls: usize,
    /// The arguments of one of them were cut off.
    is_cut: bool,
    /// There were blocks of kinds that the inner form does not know.
    has_others: bool,
    usage: Option<Usage>,
    reason: Option<StopReason<'static>>,
    stop_sequence: Option<String>,
    /// Members that go with the stop.
    at_end: Kept,
    /// Those of them that stood beside the `delta`.
    beside_delta: Kept,
    /// Anything that reads like an answer has come.
    answered: bool,
    ended: bool,
    losses: Losses,
    reported: Vec<String>,
}

/// The open block.
#[derive(Debug)]
struct Open {
    /// Its number where it came from, if it had one.
    index: Option<u64>,
    kind: Kind,
    /// Of a thinking block: the last one counts, and goes out at its end.
    signature: String,
    /// Of a tool call: arguments that came with its start, unless deltas follow.
    input: String,
    /// Of a tool call: arguments that came in deltas.
    arguments: String,
}

/// Frames of blocks that began before the open call had ended.
#[derive(Debug, Default)]
struct Held {
    frames: Vec<Vec<u8>>,
    blocks: usize,
    bytes: usize,
}

impl Open {
    /// Whether a call's arguments are all there.
    fn is_whole(&self) -> bool {
        serde_json::from_str::<IgnoredAny>(self.said()).is_ok()
    }

    /// Whether they are a whole object.
    fn is_object(&self) -> bool {
        trimmed(self.said()).starts_with('{') && self.is_whole()
    }

    /// Whether a call's arguments begin like an object that never ends.
    fn is_cut(&self) -> bool {
        let said = trimmed(self.said());
        let read = serde_json::from_str::<IgnoredAny>(said);
        said.starts_with('{') && read.is_err_and(|error| error.is_eof())
    }

    fn said(&self) -> &str {
        match &*self.arguments {
            "" => &self.input,
            arguments => arguments,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Other,
    Text,
    Thinking,
    ToolUse,
}

impl AnswerDecoder {
    /// A decoder for one answer.
    pub fn new(options: AnswerOptions) -> Self {
        Self {
            options,
            sequencer: Sequencer::default(),
            open: None,
            held: Held::default(),
            calls: 0,
            is_cut: false,
            has_others: false,
            usage: None,
            reason: None,
            stop_sequence: None,
            at_end: Kept::new(),
            beside_delta: Kept::new(),
            answered: false,
            ended: false,
            losses: Losses::default(),
            reported: Vec::new(),
        }
    }

    /// The model has said why it stopped: all that can come is the end.
    pub fn is_finished(&self) -> bool {
        self.reason.is_some()
    }

    /// `stop` or `error` has been given out: nothing further counts.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// What could not be carried.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// Take in the data of one frame. The frame's `event` line says nothing that
    /// its `type` does not, and some servers leave it out.
    pub fn frame(&mut self, data: &[u8], sink: Sink<'_>) {
        if self.ended {
            return;
        }
        match data.trim_ascii() {
            // OpenAI's mark of the end, on servers that speak both dialects.
            b"" | b"[DONE]" => {}
            data => match serde_json::from_slice::<Fields<'_>>(data) {
                Ok(fields) if self.is_early(&fields) => {
                    self.held.blocks += usize::from(fields.peek("content_block").is_some());
                    self.hold(data, sink);
                }
                Ok(fields) => self.object(fields, sink),
                Err(_) => self.report_once("stream", "a frame that is no JSON object was skipped"),
            },
        }
    }

    /// Take in a whole answer that came without a stream.
    pub fn body(&mut self, body: &[u8], sink: Sink<'_>) {
        if self.ended {
            return;
        }
        match serde_json::from_slice::<Fields<'_>>(body) {
            Ok(fields) => {
                self.object(fields, sink);
                self.end(false, sink);
            }
            Err(_) => {
                let found = reason::of_body(200, body);
                let message = format!("the upstream's answer is no JSON object: {found}");
                self.fail("api_error", &message, sink);
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
            self.fail(kind_of_status(status), message, sink);
        }
    }

    /// An event of the stream, or an answer whole, or an error of any shape.
    fn object(&mut self, mut fields: Fields<'_>, sink: Sink<'_>) {
        let kind = fields.take("type").and_then(as_str).unwrap_or_default();
        match &*kind {
            "message_start" => match fields.take("message").map(|raw| self.parse(raw)) {
                Some(Some(message)) => self.start(message, sink),
                _ => self.report_once("message_start", "without a message"),
            },
            "content_block_start" => {
                let index = fields.take("index").and_then(as_count);
                match fields.take("content_block") {
                    Some(raw) => self.block_start(index, raw, sink),
                    None => self.report_once("content_block_start", "without a block"),
                }
            }
            "content_block_delta" => {
                let index = fields.take("index").and_then(as_count);
                match fields.take("delta") {
                    Some(raw) => self.delta(index, raw, sink),
                    None => self.report_once("content_block_delta", "without a delta"),
                }
            }
            "content_block_stop" => {
                let index = fields.take("index").and_then(as_count);
                if self.is_open(index) {
                    self.block_stop(sink);
                    self.release(sink);
                }
            }
            "message_delta" => return self.message_delta(fields),
            "message_stop" => self.end(true, sink),
            "ping" => return,
            "message" => return self.whole(fields, sink),
            _ => return self.unknown(&kind, fields, sink),
        }
        self.report_rest(&kind, fields);
    }

    /// What is no event of this dialect: an error of another shape, an answer
    /// without its type, or something new.
    fn unknown(&mut self, kind: &str, mut fields: Fields<'_>, sink: Sink<'_>) {
        if let Some(raw) = fields.take("error") {
            return self.error(raw, sink);
        }
        if fields.peek("content").is_some_and(is_array) {
            return self.whole(fields, sink);
        }
        // vLLM and SGLang write it flat (seen 2026-11).
        let is_error = fields.take("object").and_then(as_str).as_deref() == Some("error");
        let said = ["message", "detail", "msg"]
            .into_iter()
            .find_map(|key| fields.take(key));
        match said {
            Some(raw) if kind.is_empty() || kind == "error" || is_error => self.error(raw, sink),
            _ if kind == "error" => self.fail("api_error", "the upstream gave no reason", sink),
            _ => self.report_once(
                if kind.is_empty() { "stream" } else { kind },
                "an event that the inner form does not know",
            ),
        }
    }

    fn error(&mut self, raw: &RawValue, sink: Sink<'_>) {
        let error = decode_embedded(raw);
        let kind = match &error.kind {
            Some(kind) => kind,
            None => kind_of_status(error.status),
        };
        if error.details.is_some() {
            self.report_once("error.details", "an error inside a stream has none");
        }
        self.fail(kind, &error.message, sink);
    }
}

// === message ===

impl AnswerDecoder {
    fn start(&mut self, mut message: Fields<'_>, sink: Sink<'_>) {
        let (model, blocks) = self.begin(&mut message);
        self.send_start(model, kept(message), sink);
        self.blocks(blocks, sink);
    }

    /// A whole answer: its end is known with its start.
    fn whole(&mut self, mut message: Fields<'_>, sink: Sink<'_>) {
        let (model, blocks) = self.begin(&mut message);
        let (at_end, extras) = kept_apart(message);
        self.keep_at_end(at_end);
        self.send_start(model, extras, sink);
        self.blocks(blocks, sink);
        self.end(true, sink);
    }

    /// Take what a message says of counts and its stop, its model and blocks.
    fn begin<'a>(
        &mut self,
        message: &mut Fields<'a>,
    ) -> (Option<&'a RawValue>, Option<&'a RawValue>) {
        self.answered = true;
        self.take_usage(message.take("usage"));
        self.take_stop(message);
        // Ids are the gateway's own; type and role never vary.
        for key in ["id", "type", "role"] {
            message.take(key);
        }
        self.drop_own_name(message);
        (message.take("model"), message.take("content"))
    }

    /// Nothing from this dialect passes for what only Chat Completions says.
    fn drop_own_name(&mut self, fields: &mut Fields<'_>) {
        if fields.take(CHAT_MEMBERS).is_some() {
            self.report_once(CHAT_MEMBERS, OWN_NAME);
        }
    }

    fn send_start(&mut self, model: Option<&RawValue>, extras: Kept, sink: Sink<'_>) {
        if self.sequencer.is_started() {
            return self.report_once("message_start", "came after the answer had begun");
        }
        let start = Event::Start {
            model: model.and_then(as_str),
            usage: self.usage.clone(),
            extras,
        };
        self.sequencer.push(start, sink);
    }

    fn blocks(&mut self, raw: Option<&RawValue>, sink: Sink<'_>) {
        let Some(raw) = raw else { return };
        if let Some(text) = as_str(raw) {
            return self.sequencer.text(&text, sink);
        }
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
        for item in items {
            self.block_start(None, item, sink);
            self.block_stop(sink);
        }
    }

    fn message_delta(&mut self, mut fields: Fields<'_>) {
        self.answered = true;
        self.take_usage(fields.take("usage"));
        if let Some(mut delta) = fields.take("delta").and_then(|raw| self.parse(raw)) {
            self.take_stop(&mut delta);
            self.keep_at_end(kept(delta));
        }
        // Known ones have their place wherever they come from.
        let (known, beside) = kept(fields)
            .into_iter()
            .partition(|(key, _)| KNOWN_AT_END.contains(&key.as_str()));
        self.keep_at_end(known);
        let beside = self.for_the_end(beside);
        if !put_all(&mut self.beside_delta, beside) {
            self.report_once("message_delta", "more members than can be kept");
        }
    }

    fn keep_at_end(&mut self, members: Kept) {
        let members = self.for_the_end(members);
        if !put_all(&mut self.at_end, members) {
            self.report_once("message_delta", "more members than can be kept");
        }
    }

    /// The members that the end may say.
    fn for_the_end(&mut self, mut members: Kept) -> Kept {
        members.retain(|(key, _)| {
            let is_free = !NOT_AT_END.contains(&key.as_str());
            if !is_free {
                self.report_once(
                    &format!("message_delta.{key}"),
                    "not for the end of an answer to say",
                );
            }
            is_free
        });
        members
    }

    fn take_stop(&mut self, fields: &mut Fields<'_>) {
        if let Some(word) = self.string(fields, "stop_reason") {
            self.reason = Some(StopReason::from_word(word).into_owned());
        }
        if let Some(text) = self.string(fields, "stop_sequence") {
            self.stop_sequence = Some(text.into_owned());
        }
    }

    /// Counts are cumulative, and overwrite where they are not `null`.
    fn take_usage(&mut self, raw: Option<&RawValue>) {
        let Some(raw) = raw else { return };
        let Some(mut fields) = self.parse(raw) else {
            return;
        };
        self.drop_own_name(&mut fields);
        let usage = self.usage.get_or_insert_default();
        for (key, count) in [
            ("input_tokens", &mut usage.input),
            ("output_tokens", &mut usage.output),
            ("cache_read_input_tokens", &mut usage.cache_read),
            ("cache_creation_input_tokens", &mut usage.cache_write),
        ] {
            if let Some(found) = fields.take(key).and_then(as_count) {
                *count = found;
            }
        }
        if !put_all(&mut usage.extras, kept(fields)) {
            self.report_once("usage", "more members than can be kept");
        }
    }

    fn end(&mut self, done: bool, sink: Sink<'_>) {
        if self.ended {
            return;
        }
        self.release_all(sink);
        let reason = match self.reason.take() {
            Some(reason) => self.reconciled(reason),
            None if !self.answered => {
                return self.fail("api_error", "the upstream sent no answer", sink);
            }
            None if !done => {
                let message = "the upstream closed early, without a stop reason";
                return self.fail("api_error", message, sink);
            }
            None => self.reconciled(StopReason::EndTurn),
        };
        self.ended = true;
        if let Some(usage) = self.usage.take() {
            self.sequencer.usage(usage, sink);
        }
        let mut extras = std::mem::take(&mut self.at_end);
        extras.extend(object(&self.beside_delta).map(|raw| (STOP_MEMBERS.to_owned(), raw)));
        let stop = Stop {
            reason,
            sequence: self.stop_sequence.take().map(Cow::Owned),
            extras,
        };
        self.sequencer.stop(stop, sink);
    }

    /// The reason that the calls bear out. A client waits for nobody at `end_turn`,
    /// runs what it should not at `tool_use`, and acts on no call at all where there
    /// is none.
    fn reconciled(&self, reason: StopReason<'static>) -> StopReason<'static> {
        match reason {
            StopReason::EndTurn | StopReason::ToolUse if self.is_cut => StopReason::MaxTokens,
            StopReason::EndTurn if self.calls > 0 => StopReason::ToolUse,
            StopReason::ToolUse if self.calls == 0 && !self.has_others => StopReason::EndTurn,
            reason => reason,
        }
    }

    fn fail(&mut self, kind: &str, message: &str, sink: Sink<'_>) {
        // What waits is given out, but no block is closed for that: clients keep a
        // whole block, and Claude Code asks again only if it has none.
        while !self.held.frames.is_empty() {
            self.block_stop(sink);
            self.release(sink);
        }
        self.ended = true;
        self.sequencer.error(kind, message, sink);
    }
}

// === blocks ===

impl AnswerDecoder {
    /// Whether a piece with this index belongs to the open block.
    fn is_open(&self, index: Option<u64>) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| index.is_none() || open.index.is_none() || open.index == index)
    }

    /// Whether a frame belongs to a block that began before the open call had all
    /// its arguments: relays begin parallel calls at once, and fill them by turns.
    fn is_early(&self, fields: &Fields<'_>) -> bool {
        let open = self.open.as_ref();
        let Some(open) = open.filter(|open| open.kind == Kind::ToolUse) else {
            return false;
        };
        let index = fields.peek("index").and_then(as_count);
        if index.is_none() || open.index.is_none() || index == open.index {
            return false;
        }
        let others_wait = !self.held.frames.is_empty();
        match fields.peek("type").and_then(as_str).as_deref() {
            Some("content_block_start" | "content_block_delta") => others_wait || !open.is_whole(),
            Some("content_block_stop") => others_wait,
            _ => false,
        }
    }

    fn hold(&mut self, data: &[u8], sink: Sink<'_>) {
        self.held.bytes += data.len();
        self.held.frames.push(data.to_owned());
        if self.held.bytes > HELD_BYTES_MAX || self.held.blocks > HELD_BLOCKS_MAX {
            self.report_once("content_block_start", "too many blocks at once");
            self.block_stop(sink);
            self.release(sink);
        }
    }

    /// The call that others waited for has ended.
    fn release(&mut self, sink: Sink<'_>) {
        for data in std::mem::take(&mut self.held).frames {
            self.frame(&data, sink);
        }
    }

    /// Nothing more comes: blocks end, and none waits any longer.
    fn release_all(&mut self, sink: Sink<'_>) {
        self.block_stop(sink);
        while !self.held.frames.is_empty() {
            self.release(sink);
            self.block_stop(sink);
        }
    }

    fn block_start(&mut self, index: Option<u64>, raw: &RawValue, sink: Sink<'_>) {
        self.block_stop(sink);
        self.answered = true;
        let Some(mut fields) = self.parse(raw) else {
            return;
        };
        let kind = fields.take("type").and_then(as_str).unwrap_or_default();
        match &*kind {
            "text" => self.text_start(index, fields, sink),
            "thinking" => self.thinking_start(index, fields, sink),
            "tool_use" if fields.peek("name").and_then(as_str).is_some() => {
                self.call_start(index, fields, sink);
            }
            // Nothing that a client could tell from another block, or call.
            "" => self.report_once("content_block_start", "a block without a type"),
            "tool_use" => self.report_once("content_block_start", "a call without a name"),
            _ => self.open(
                Kind::Other,
                index,
                BlockStart::Other(Cow::Borrowed(raw)),
                Kept::new(),
                sink,
            ),
        }
    }

    /// Some servers put text into the start, where Anthropic has an empty one.
    fn text_start(&mut self, index: Option<u64>, mut fields: Fields<'_>, sink: Sink<'_>) {
        let text = self.string(&mut fields, "text").unwrap_or_default();
        let citations = take_citations(&mut fields);
        self.open(Kind::Text, index, BlockStart::Text, kept(fields), sink);
        self.sequencer.text(&text, sink);
        for delta in citations.iter().filter_map(|raw| citation_delta(raw)) {
            self.push(delta, sink);
        }
    }

    fn thinking_start(&mut self, index: Option<u64>, mut fields: Fields<'_>, sink: Sink<'_>) {
        let text = self.string(&mut fields, "thinking").unwrap_or_default();
        let signature = self.string(&mut fields, "signature").unwrap_or_default();
        let block = BlockStart::Thinking;
        self.open(Kind::Thinking, index, block, kept(fields), sink);
        self.sequencer.thinking(&text, sink);
        if let Some(open) = &mut self.open {
            open.signature = signature.into_owned();
        }
    }

    fn call_start(&mut self, index: Option<u64>, mut fields: Fields<'_>, sink: Sink<'_>) {
        let id = self.string(&mut fields, "id").unwrap_or_default();
        let id = self.client_id(id);
        let name = self.string(&mut fields, "name").unwrap_or_default();
        let input = fields.take("input").map(whole_input).unwrap_or_default();
        let block = BlockStart::ToolUse { id, name };
        self.open(Kind::ToolUse, index, block, kept(fields), sink);
        if let Some(open) = &mut self.open {
            open.input = input.into_owned();
        }
    }

    /// The id that the client gets for a call: its own, unless another call has
    /// it. Clients find a call's result by its id.
    fn client_id<'a>(&mut self, own: Cow<'a, str>) -> Cow<'a, str> {
        let id = if own.is_empty() || self.options.taken.contains(&*own) {
            format!("toolu_{:016x}{:02}", self.options.id_seed, self.calls).into()
        } else {
            own
        };
        self.calls += 1;
        self.options.taken.insert(id.to_string());
        id
    }

    fn open(
        &mut self,
        kind: Kind,
        index: Option<u64>,
        block: BlockStart<'_>,
        extras: Kept,
        sink: Sink<'_>,
    ) {
        self.open = Some(Open {
            index,
            kind,
            signature: String::new(),
            input: String::new(),
            arguments: String::new(),
        });
        self.has_others |= kind == Kind::Other;
        let start = Event::BlockStart {
            index: 0,
            block,
            extras,
        };
        self.sequencer.push(start, sink);
    }

    fn push(&mut self, delta: Delta<'_>, sink: Sink<'_>) {
        self.sequencer.push(Event::Delta { index: 0, delta }, sink);
    }

    fn delta(&mut self, index: Option<u64>, raw: &RawValue, sink: Sink<'_>) {
        self.answered = true;
        let open = self.open.as_ref().filter(|_| self.is_open(index));
        let open = open.map(|open| open.kind);
        let Some(mut fields) = self.parse(raw) else {
            return;
        };
        let kind = fields.take("type").and_then(as_str).unwrap_or_default();
        if kind.is_empty() {
            return self.report_once("content_block_delta", "without a type");
        }
        if kind == CHAT_DELTA {
            return self.report_once(CHAT_DELTA, OWN_NAME);
        }
        if open == Some(Kind::Other) {
            return self.push(Delta::Other(Cow::Borrowed(raw)), sink);
        }
        let own = match &*kind {
            "text_delta" => "text",
            "thinking_delta" => "thinking",
            "signature_delta" => "signature",
            _ => "",
        };
        let has_own = fields.peek(own).is_some();
        let known = match &*kind {
            "text_delta" | "thinking_delta" | "signature_delta" => self.string(&mut fields, own),
            "input_json_delta" => fields
                .take("partial_json")
                .map(|raw| as_str(raw).unwrap_or(Cow::Borrowed(raw.get()))),
            _ => None,
        };
        if has_own && known.is_none() {
            // No client could add it to what it has.
            return self.report_rest(&kind, fields);
        }
        // `estimated_tokens` of reasoning that is withheld, and what may come.
        let says_more = known.as_ref().is_none_or(|text| text.is_empty())
            && (known.is_none() || !fields.is_empty());
        match known {
            _ if says_more && open.is_some() => {
                return self.push(Delta::Other(Cow::Borrowed(raw)), sink);
            }
            Some(text) if !says_more => match &*kind {
                "text_delta" => self.text(open, index, &text, sink),
                "thinking_delta" => self.thinking(open, index, &text, sink),
                "signature_delta" => self.signature(open, text),
                _ => self.input(open, &text, sink),
            },
            _ => self.report_once(&kind, "a delta without its block"),
        }
        self.report_rest(&kind, fields);
    }

    fn text(&mut self, open: Option<Kind>, index: Option<u64>, text: &str, sink: Sink<'_>) {
        if text.is_empty() {
            return;
        }
        if open != Some(Kind::Text) {
            self.block_stop(sink);
            self.open(Kind::Text, index, BlockStart::Text, Kept::new(), sink);
        }
        self.sequencer.text(text, sink);
    }

    fn thinking(&mut self, open: Option<Kind>, index: Option<u64>, text: &str, sink: Sink<'_>) {
        if text.is_empty() {
            return;
        }
        if open != Some(Kind::Thinking) {
            self.block_stop(sink);
            let block = BlockStart::Thinking;
            self.open(Kind::Thinking, index, block, Kept::new(), sink);
        }
        self.sequencer.thinking(text, sink);
    }

    fn signature(&mut self, open: Option<Kind>, text: Cow<'_, str>) {
        match &mut self.open {
            _ if text.is_empty() => {}
            Some(block) if open == Some(Kind::Thinking) => block.signature = text.into_owned(),
            _ => self.report_once("signature_delta", "a delta without its block"),
        }
    }

    fn input(&mut self, open: Option<Kind>, fragment: &str, sink: Sink<'_>) {
        if fragment.is_empty() {
            return;
        }
        match &mut self.open {
            // Relays send the whole text once more at the end.
            Some(block) if block.arguments == fragment && block.is_object() => {}
            // Blanks at the head say nothing, nor replace what the start said.
            Some(block) if block.arguments.is_empty() && trimmed(fragment).is_empty() => {}
            Some(block) if open == Some(Kind::ToolUse) => {
                block.input.clear();
                block.arguments.push_str(fragment);
                self.sequencer.tool_input(fragment, sink);
            }
            _ => self.report_once("input_json_delta", "a delta without its block"),
        }
    }

    fn block_stop(&mut self, sink: Sink<'_>) {
        let Some(open) = self.open.take() else { return };
        self.is_cut |= open.is_cut();
        if !open.signature.is_empty() {
            self.sequencer.sign(&open.signature, sink);
        }
        self.sequencer.tool_input(&open.input, sink);
        self.sequencer.close(sink);
    }
}

// === reading ===

impl AnswerDecoder {
    fn parse<'a>(&mut self, raw: &'a RawValue) -> Option<Fields<'a>> {
        let fields = Fields::of(raw, &Path::Root).ok();
        if fields.is_none() {
            self.report_once("stream", "something else where an object belongs");
        }
        fields
    }

    /// Take a string; anything else in its place is reported.
    fn string<'a>(&mut self, fields: &mut Fields<'a>, key: &str) -> Option<Cow<'a, str>> {
        let raw = fields.take(key)?;
        let text = as_str(raw);
        if text.is_none() {
            self.report_once(key, "malformed, taken as absent");
        }
        text
    }

    fn report_rest(&mut self, kind: &str, fields: Fields<'_>) {
        for (key, _) in fields.rest() {
            self.report_once(
                &format!("{kind}.{key}"),
                "the inner form has no place for it",
            );
        }
    }

    fn report_once(&mut self, path: &str, reason: &'static str) {
        if !self.reported.iter().any(|known| known == path) && self.reported.len() < 64 {
            self.reported.push(path.to_owned());
            self.losses.report(format_args!("answer.{path}"), reason);
        }
    }
}

/// Arguments that stand whole in a block, as JSON text; empty ones add nothing.
/// Some servers write them as a string.
fn whole_input(raw: &RawValue) -> Cow<'_, str> {
    let text = as_str(raw).unwrap_or(Cow::Borrowed(raw.get()));
    let inner = text.trim().strip_prefix('{');
    match inner.and_then(|inner| inner.strip_suffix('}')) {
        Some(inner) if inner.trim().is_empty() => Cow::Borrowed(""),
        _ => text,
    }
}

/// An object of these members, if there are any.
fn object(members: &Kept) -> Option<Box<RawValue>> {
    let mut object = ObjectWriter::with_capacity(64);
    for (key, raw) in members {
        object.raw(key, raw.get());
    }
    let text = String::from_utf8(object.finish().0).ok()?;
    let raw = RawValue::from_string(text).ok()?;
    (!members.is_empty()).then_some(raw)
}

fn is_array(raw: &RawValue) -> bool {
    raw.get().starts_with('[')
}

/// Overwrite members of `known` by those of `more` that say something. False if
/// there were too many.
fn put_all(known: &mut Kept, more: Kept) -> bool {
    let mut all = true;
    for (key, value) in more {
        let is_full = known.len() >= KEPT_MAX;
        match known.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) if value.get() != "null" => *old = value,
            Some(_) => {}
            None if is_full => all = false,
            None => known.push((key, value)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::{StreamEncoder, encode_message};
    use super::*;
    use crate::ir::{Message, Order};
    use crate::sse::FrameReader;

    fn decoder() -> AnswerDecoder {
        AnswerDecoder::new(AnswerOptions {
            id_seed: 7,
            taken: HashSet::from(["taken".to_owned()]),
        })
    }

    /// The events of what `run` feeds to a decoder; they are lawful, and end.
    fn events(run: impl FnOnce(&mut AnswerDecoder, Sink<'_>)) -> Vec<Event<'static>> {
        let (mut decoder, mut order, mut events) = (decoder(), Order::default(), Vec::new());
        let mut sink = |event: Event<'_>| {
            assert_eq!(order.check(&event), Ok(()), "{event:?}");
            events.push(event.into_owned());
        };
        run(&mut decoder, &mut sink);
        decoder.finish(&mut sink);
        assert!(decoder.is_ended());
        assert!(order.is_ended());
        events
    }

    fn of_body(body: &str) -> Vec<Event<'static>> {
        events(|decoder, sink| decoder.body(body.as_bytes(), sink))
    }

    fn of_stream(pieces: &[&[u8]]) -> Vec<Event<'static>> {
        events(|decoder, sink| {
            let mut reader = FrameReader::default();
            for piece in pieces {
                let frame = &mut |frame: crate::sse::Frame<'_>| decoder.frame(frame.data, sink);
                reader.feed(piece, frame).unwrap();
            }
            reader.finish(&mut |frame| decoder.frame(frame.data, sink));
        })
    }

    fn sse(frames: &[&str]) -> String {
        frames
            .iter()
            .map(|data| format!("data: {data}\n\n"))
            .collect()
    }

    fn whole(events: Vec<Event<'static>>) -> Value {
        let mut message = Message::default();
        events.into_iter().for_each(|event| message.push(event));
        if let Some((kind, text)) = message.error {
            return json!({ "error": kind, "message": text });
        }
        serde_json::from_slice(&encode_message(&message, "msg_1", "m")).unwrap()
    }

    fn values(bytes: &[u8]) -> Vec<Value> {
        let mut values = Vec::new();
        let mut reader = FrameReader::default();
        let mut take = |frame: crate::sse::Frame<'_>| {
            let value: Value = serde_json::from_slice(frame.data).unwrap();
            assert_eq!(value["type"].as_str().unwrap().as_bytes(), frame.event);
            values.push(value);
        };
        reader.feed(bytes, &mut take).unwrap();
        values
    }

    const USAGE: &str = r#"{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":9,"output_tokens":OUT,"service_tier":"standard","cache_creation":{"ephemeral_5m_input_tokens":0}}"#;

    /// A stream of every kind of block, as Anthropic sends it; `#` for usage.
    fn rich() -> Vec<String> {
        [
            r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"container":null,"usage":U1}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"","estimated_tokens":5}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQB"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"xyz"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"query\""}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":":\"é\"}"}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"text","text":"","citations":[]}}"#,
            r#"{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"a\n"}}"#,
            r#"{"type":"content_block_delta","index":3,"delta":{"type":"citations_delta","citation":{"type":"char_location","cited_text":"x"}}}"#,
            r#"{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"b"}}"#,
            r#"{"type":"content_block_stop","index":3}"#,
            r#"{"type":"content_block_start","index":4,"content_block":{"type":"compaction","content":null}}"#,
            r#"{"type":"content_block_delta","index":4,"delta":{"type":"compaction_delta","content":"short"}}"#,
            r#"{"type":"content_block_stop","index":4}"#,
            r#"{"type":"content_block_start","index":5,"content_block":{"type":"tool_use","id":"toolu_1","name":"Bash","input":{},"caller":{"type":"direct"}}}"#,
            r#"{"type":"content_block_delta","index":5,"delta":{"type":"input_json_delta","partial_json":"{\"c\":1.0}"}}"#,
            r#"{"type":"content_block_stop","index":5}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":"cyber"},"container":{"id":"c"}},"usage":U2,"context_management":{"applied_edits":[]},"x_new":{"y":1}}"#,
            r#"{"type":"message_stop"}"#,
        ]
        .map(|frame| {
            frame
                .replace("U1", &USAGE.replace("OUT", "1"))
                .replace("U2", &USAGE.replace("OUT", "42"))
        })
        .to_vec()
    }

    /// The answer of `rich`, whole.
    fn rich_body() -> String {
        let content = r#"[{"type":"thinking","thinking":"hm","signature":"EqQB"},{"type":"redacted_thinking","data":"xyz"},
            {"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"é"}},
            {"type":"text","text":"a\nb","citations":[{"type":"char_location",
              "cited_text":"x"}]},{"type":"compaction","content":"short"},
            {"type":"tool_use","id":"toolu_1","name":"Bash","input":{"c":1.0},"caller":{"type":"direct"}}]"#;
        let usage = USAGE.replace("OUT", "42");
        format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":{content},"stop_reason":"refusal","stop_sequence":null,
            "stop_details":{{"type":"refusal","category":"cyber"}},"container":{{"id":"c"}},"context_management":{{"applied_edits":[]}},"x_new":{{"y":1}},"usage":{usage}}}"#
        )
    }

    #[test]
    fn a_stream_passes_as_it_came() {
        let frames = rich();
        let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
        let mut encoder = StreamEncoder::new("msg_1".into(), "m".into(), 99);
        let mut out = Vec::new();
        for event in of_stream(&[sse(&frames).as_bytes()]) {
            encoder.encode(&event, &mut out);
        }
        let expected: Vec<Value> = frames
            .iter()
            .map(|frame| serde_json::from_str(frame).unwrap())
            .collect();
        let got = values(&out);
        for (got, expected) in got.iter().zip(&expected) {
            assert_eq!(got, expected);
        }
        assert_eq!(got.len(), expected.len());
    }

    #[test]
    fn a_whole_answer_passes_as_it_came() {
        let body: Value = serde_json::from_str(&rich_body()).unwrap();
        assert_eq!(whole(of_body(&rich_body())), body);
        let frames = rich();
        let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
        assert_eq!(whole(of_stream(&[sse(&frames).as_bytes()])), body);
        // Streamed to the client, it amounts to the same, and stays in its frames.
        let mut encoder = StreamEncoder::new("msg_1".into(), "m".into(), 0);
        let mut out = Vec::new();
        for event in of_body(&rich_body()) {
            encoder.encode(&event, &mut out);
        }
        let again = values(&out);
        let again: Vec<String> = again.iter().map(Value::to_string).collect();
        let again: Vec<&str> = again.iter().map(String::as_str).collect();
        assert_eq!(whole(of_stream(&[sse(&again).as_bytes()])), body);
    }

    /// What the frames amount to: blocks and stop reason, or an error.
    #[track_caller]
    fn check(frames: &[&str], expected: Value) {
        let mut got = whole(of_stream(&[sse(frames).as_bytes()]));
        if got.get("error").is_none() {
            got = json!({ "content": got["content"].take(), "stop": got["stop_reason"].take() });
        }
        assert_eq!(got, expected);
    }

    const START: &str = r#"{"type":"message_start","message":{"model":"x"}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;

    fn ended(reason: &str) -> String {
        format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}}}}"#)
    }

    #[test]
    fn servers_that_imitate_the_dialect_are_understood() {
        let text = |text: &str, stop: &str| json!({ "content": [{ "type": "text", "text": text }], "stop": stop });
        // No usage, no index, no message_stop, blocks left open, pings, [DONE].
        check(
            &[
                START,
                r#"{"type":"ping"}"#,
                r#"{"type":"content_block_start","content_block":{"type":"text","text":"a"}}"#,
                r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"b"}}"#,
                &ended("end_turn"),
                "[DONE]",
            ],
            text("ab", "end_turn"),
        );
        // No start at all, no block start, no stop reason.
        check(
            &[
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#,
                STOP,
            ],
            text("a", "end_turn"),
        );
        // Arguments in the start; ids that are missing or taken.
        check(
            &[
                START,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","name":"A","input":{"x":1}}}"#,
                r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"taken","name":"B","input":"{\"y\":2}"}}"#,
                r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"own","name":"C","input":{"old":1}}}"#,
                r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
                r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"d","name":"D","input":{"x":1}}}"#,
                r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":" "}}"#,
                STOP,
            ],
            json!({ "content": [
                { "type": "tool_use", "id": "toolu_000000000000000700", "name": "A", "input": { "x": 1 } },
                { "type": "tool_use", "id": "toolu_000000000000000701", "name": "B", "input": { "y": 2 } },
                { "type": "tool_use", "id": "own", "name": "C", "input": {} },
                { "type": "tool_use", "id": "d", "name": "D", "input": { "x": 1 } },
            ], "stop": "tool_use" }),
        );
        // A whole answer in one frame, and one without its type.
        check(
            &[
                r#"{"type":"message","content":[{"type":"text","text":"a"}],"stop_reason":"max_tokens"}"#,
            ],
            text("a", "max_tokens"),
        );
        check(
            &[r#"{"content":[{"type":"text","text":"a"}]}"#],
            text("a", "end_turn"),
        );
        // Of two signatures the last counts.
        check(
            &[
                START,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"a","signature":"1"}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"2"}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"b"}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"3"}}"#,
                &ended("pause_turn"),
            ],
            json!({ "content": [{ "type": "thinking", "thinking": "ab", "signature": "3" }], "stop": "pause_turn" }),
        );
    }

    #[test]
    fn calls_wait_for_each_other_within_bounds() {
        let start = |i: usize| {
            format!(
                r#"{{"type":"content_block_start","index":{i},"content_block":{{"type":"tool_use","id":"c{i}","name":"A","input":{{}}}}}}"#
            )
        };
        let input = |i: usize| {
            format!(
                r#"{{"type":"content_block_delta","index":{i},"delta":{{"type":"input_json_delta","partial_json":"{{\"i\":{i}}}"}}}}"#
            )
        };
        let all = |calls: usize| {
            let mut frames = vec![START.to_owned()];
            frames.extend((0..calls).map(start));
            frames.extend((0..calls).map(input));
            frames.push(STOP.to_owned());
            let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
            let answer = whole(of_stream(&[sse(&frames).as_bytes()]));
            let blocks = answer["content"].as_array().unwrap().iter();
            blocks
                .map(|block| block["input"]["i"].as_u64())
                .collect::<Vec<_>>()
        };
        assert_eq!(all(40), (0..40).map(Some).collect::<Vec<_>>());
        // Of too many, the last ones are whole, and none is missing.
        let many = all(200);
        assert_eq!((many.len(), many[199]), (200, Some(199)));
    }

    /// Claude Code asks again for an answer of which no block is whole.
    #[test]
    fn an_answer_that_breaks_off_leaves_its_block_open() {
        let text =
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
        let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"half"}}"#;
        let events = events(|decoder, sink| {
            for data in [START, text, delta] {
                decoder.frame(data.as_bytes(), sink);
            }
            decoder.abort(502, "cut", sink);
        });
        let stops = events
            .iter()
            .filter(|event| matches!(event, Event::BlockStop { .. }));
        assert_eq!(stops.count(), 0, "{events:?}");
        assert!(matches!(events.last(), Some(Event::Error { .. })));
    }

    #[test]
    fn arguments_sent_twice_count_once() {
        #[track_caller]
        fn check_input(fragments: &[&str], expected: Value) {
            let mut frames = vec![
                START.to_owned(),
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"A"}}"#.to_owned(),
            ];
            frames.extend(fragments.iter().map(|text| {
                json!({ "type": "content_block_delta", "index": 0,
                    "delta": { "type": "input_json_delta", "partial_json": text } })
                .to_string()
            }));
            frames.push(STOP.to_owned());
            let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
            let got = whole(of_stream(&[sse(&frames).as_bytes()]));
            let block = &got["content"][0];
            let found = block.get("input").unwrap_or(&block["text"]);
            assert_eq!(*found, expected);
        }
        check_input(&["{\"a\":1}", "{\"a\":1}"], json!({ "a": 1 }));
        // A number may go on as it began.
        check_input(&["7", "7"], json!("[unreadable call of tool A] 77"));
    }

    #[test]
    fn a_refusal_has_details_once() {
        #[track_caller]
        fn check_details(at_start: &str, at_end: &str, expected: Value) {
            let start =
                format!(r#"{{"type":"message_start","message":{{"model":"m"{at_start}}}}}"#);
            let end = format!(
                r#"{{"type":"message_delta","delta":{{"stop_reason":"refusal"{at_end}}}}}"#
            );
            let events = of_stream(&[sse(&[&start, &end, STOP]).as_bytes()]);
            let mut encoder = StreamEncoder::new("i".into(), "m".into(), 0);
            let mut out = Vec::new();
            for event in &events {
                encoder.encode(event, &mut out);
            }
            let frames = values(&out);
            let delta = &frames[frames.len() - 2]["delta"];
            let message = &frames[0]["message"];
            let streamed = delta.get("stop_details").or(message.get("stop_details"));
            assert_eq!(streamed, Some(&expected));
            assert_eq!(whole(events)["stop_details"], expected);
        }
        let none = json!({ "type": "refusal", "category": null, "explanation": null });
        check_details("", "", none);
        check_details(r#","stop_details":null"#, "", json!(null));
        check_details(r#","stop_details":{"a":1}"#, "", json!({ "a": 1 }));
        check_details("", r#"},"stop_details":{"a":1},"x":{"#, json!({ "a": 1 }));
        check_details(
            r#","stop_details":null"#,
            r#","stop_details":{"a":1}"#,
            json!({ "a": 1 }),
        );
    }

    #[test]
    fn failures_are_errors() {
        let error = |kind: &str, message: &str| json!({ "error": kind, "message": message });
        let overloaded =
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        check(
            &[START, overloaded, STOP],
            error("overloaded_error", "Overloaded"),
        );
        check(&[overloaded], error("overloaded_error", "Overloaded"));
        check(
            &[r#"{"error":{"message":"slow down","type":"x","code":"rate_limit_exceeded"}}"#],
            error("rate_limit_error", "slow down"),
        );
        check(
            &[r#"{"error":{"message":"m","code":503}}"#],
            error("overloaded_error", "m"),
        );
        check(
            &[r#"{"type":"error","message":"m"}"#],
            error("api_error", "m"),
        );
        check(&[r#"{"detail":"m"}"#], error("api_error", "m"));
        check(&[], error("api_error", "the upstream sent no answer"));
        check(
            &["<html>"],
            error("api_error", "the upstream sent no answer"),
        );
        check(
            &[START],
            error(
                "api_error",
                "the upstream closed early, without a stop reason",
            ),
        );
        let got = whole(of_body("<html><title>502</title>"));
        assert_eq!(
            got["message"],
            "the upstream's answer is no JSON object: the upstream sent a web page: 502"
        );
        assert_eq!(
            whole(of_body("{}"))["message"],
            "the upstream sent no answer"
        );
        assert_eq!(whole(of_body(overloaded))["error"], "overloaded_error");
        let aborted = events(|decoder, sink| {
            decoder.frame(START.as_bytes(), sink);
            decoder.abort(502, "the upstream went away", sink);
            decoder.frame(STOP.as_bytes(), sink);
        });
        assert_eq!(whole(aborted)["message"], "the upstream went away");
    }

    #[test]
    fn what_has_no_place_is_reported() {
        let (mut decoder, mut passed) = (decoder(), 0);
        for frame in [
            START,
            r#"{"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"x"}}"#,
            r#"{"type":"brand_new"}"#,
            r#"{"type":"content_block_start","content_block":{"text":"a"}}"#,
            r#"{"type":"content_block_start","content_block":{"type":"thinking"}}"#,
            r#"{"type":"content_block_delta","delta":{"text":"a"}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":7,"y":1}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","estimated_tokens":1}}"#,
            r#"{"type":"message_stop","x":1}"#,
        ] {
            decoder.frame(frame.as_bytes(), &mut |event| {
                passed += usize::from(matches!(event, Event::Delta { .. }));
            });
        }
        assert_eq!(passed, 1, "the tokens that were counted");
        let losses = decoder.take_losses();
        let paths: Vec<_> = losses
            .listed()
            .iter()
            .map(|loss| loss.path.as_str())
            .collect();
        assert_eq!(
            paths,
            [
                "answer.input_json_delta",
                "answer.brand_new",
                "answer.content_block_start",
                "answer.content_block_delta",
                "answer.thinking",
                "answer.thinking_delta.y",
                "answer.message_stop.x"
            ]
        );
    }

    #[test]
    fn names_of_the_inner_form_do_not_pass() {
        let mut decoder = decoder();
        let mut events = Vec::new();
        for frame in [
            r#"{"type":"message_start","message":{"chat_completion":{"a":1},"usage":{"chat_completion":7}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"chat_completion_delta","chat_completion":{}}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","chat_completion":{"b":1}},"chat_completion":{"c":1}}"#,
            STOP,
        ] {
            decoder.frame(frame.as_bytes(), &mut |event| {
                events.push(event.into_owned())
            });
        }
        assert!(!format!("{events:?}").contains("chat_completion"));
        let losses = decoder.take_losses();
        let paths = losses.listed().iter().map(|loss| loss.path.as_str());
        assert_eq!(
            paths.collect::<Vec<_>>(),
            [
                "answer.chat_completion",
                "answer.chat_completion_delta",
                "answer.message_delta.chat_completion",
            ]
        );
    }

    #[test]
    fn the_end_says_nothing_twice() {
        let frames = [
            START,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","content":[7],"model":"x","kept":1},"stop_reason":"refusal"}"#,
            STOP,
        ];
        let events = of_stream(&[sse(&frames).as_bytes()]);
        let Some(Event::Stop(stop)) = events.last() else {
            panic!("a stop");
        };
        let keys: Vec<_> = stop.extras.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["kept"]);
        let got = whole(events);
        assert_eq!(
            (&got["content"], &got["stop_reason"]),
            (&json!([]), &json!("end_turn"))
        );
    }

    #[test]
    fn counts_overwrite_where_they_are_given() {
        let frames = [
            r#"{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1,"service_tier":"standard"}}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":null,"output_tokens":8,"cache_read_input_tokens":2,"service_tier":null}}"#,
        ];
        let got = whole(of_stream(&[sse(&frames).as_bytes()]));
        let expected = json!({ "input_tokens": 5, "output_tokens": 8, "cache_read_input_tokens": 2,
            "cache_creation_input_tokens": 0, "service_tier": "standard" });
        assert_eq!(got["usage"], expected);
    }

    fn any_frame() -> impl Strategy<Value = String> {
        let block = prop_oneof![
            Just(r#"{"type":"text","text":"t","citations":[{}]}"#),
            Just(r#"{"type":"thinking","thinking":"","signature":"s"}"#),
            Just(r#"{"type":"tool_use","id":"i","name":"n","input":{"a":1}}"#),
            Just(r#"{"type":"tool_use"}"#),
            Just(r#"{"type":"new","x":1}"#),
            Just("7"),
        ];
        let delta = prop_oneof![
            Just(r#"{"type":"text_delta","text":"é"}"#),
            Just(r#"{"type":"thinking_delta","thinking":"h"}"#),
            Just(r#"{"type":"signature_delta","signature":"z"}"#),
            Just(r#"{"type":"input_json_delta","partial_json":"{}"}"#),
            Just(r#"{"type":"citations_delta","citation":{}}"#),
            Just(r#"{"type":"new_delta"}"#),
            Just(r#"{"type":"text_delta","text":7}"#),
            Just("[]"),
        ];
        prop_oneof![
            Just(START.to_owned()),
            (0..3, block).prop_map(|(i, block)| format!(
                r#"{{"type":"content_block_start","index":{i},"content_block":{block}}}"#
            )),
            (0..3, delta).prop_map(|(i, delta)| format!(
                r#"{{"type":"content_block_delta","index":{i},"delta":{delta}}}"#
            )),
            (0..3).prop_map(|i| format!(r#"{{"type":"content_block_stop","index":{i}}}"#)),
            Just(ended("tool_use")),
            Just(r#"{"type":"message_delta","usage":{"output_tokens":3}}"#.to_owned()),
            Just(STOP.to_owned()),
            Just(r#"{"error":{}}"#.to_owned()),
            "[ -~]{0,20}",
        ]
    }

    proptest! {
        #[test]
        fn any_frames_become_lawful_however_they_are_cut(
            frames in prop::collection::vec(any_frame(), 0..12),
            cuts in prop::collection::vec(0usize..2_000, 0..6),
        ) {
            let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
            let text = sse(&frames);
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let shown = |events: Vec<Event<'static>>| format!("{events:?}");
            prop_assert_eq!(shown(of_stream(&pieces)), shown(of_stream(&[bytes])));
        }

        #[test]
        fn any_bytes_end_in_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            events(|decoder, sink| decoder.frame(&bytes, sink));
            events(|decoder, sink| decoder.body(&bytes, sink));
        }
    }
}
