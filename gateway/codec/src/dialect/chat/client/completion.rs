//! A whole answer, encoded as a `chat.completion`.
//!
//! Says the same as the stream does: the texts that stand side by side are one
//! text, those with something between them are set apart by a blank line, and
//! likewise reasoning. `refusal` stays null, since an answer that was refused is
//! known by its `finish_reason` alone: only at its end does a stream know it.

use serde_json::value::RawValue;

use super::beside::{Beside, write_logprobs, write_members};
use super::carrier::{self, Seal};
use crate::fields::{Extras, Fields, Path};
use crate::ir::{
    CHAT_MEMBERS, Kept, Losses, Message, MessageBlock, STOP_MEMBERS, Stop, StopReason, Usage,
};
use crate::json::{ObjectWriter, as_count, write_array, write_count, write_str};

/// What sets texts apart.
pub(super) const GAP: &str = "\n\n";

/// A whole answer in Chat Completions.
#[derive(Debug)]
pub struct Completion {
    /// The JSON body.
    pub body: Vec<u8>,
    /// What it could not carry.
    pub losses: Losses,
}

/// The body of a whole answer, with this fresh `id` (`chatcmpl-...`), under the
/// model name that the client asked for; `created` in seconds since 1970.
pub fn encode_completion(message: &Message, id: &str, model: &str, created: u64) -> Completion {
    let mut losses = Losses::default();
    let beside = Beside::of(&message.extras);
    let mut out = ObjectWriter::with_capacity(1024);
    out.string("id", id);
    out.string("object", "chat.completion");
    out.member("created", |out| write_count(out, created));
    out.string("model", model);
    out.member("choices", |out| {
        out.extend_from_slice(b"[{\"index\":0,\"message\":");
        write_message(out, &Parts::of(message, &mut losses), &beside);
        write_logprobs(out, beside.logprobs);
        out.extend_from_slice(b",\"finish_reason\":");
        write_finish(out, message.stop.as_ref(), &mut losses);
        write_members(out, &beside.choice);
        out.extend_from_slice(b"}]");
    });
    report_kept("answer", &message.extras, &mut losses);
    if let Some(usage) = &message.usage {
        out.member("usage", |out| write_usage(out, usage, &mut losses));
    }
    let (mut body, _) = out.finish();
    body.pop();
    write_members(&mut body, &beside.completion);
    body.push(b'}');
    Completion { body, losses }
}

/// An answer sorted by where its blocks go.
#[derive(Default)]
struct Parts<'m> {
    content: Joined,
    reasoning: Joined,
    signatures: Vec<(u64, Seal, &'m str)>,
    /// Id, name, arguments.
    calls: Vec<[&'m str; 3]>,
}

impl<'m> Parts<'m> {
    fn of(message: &'m Message, losses: &mut Losses) -> Self {
        let mut parts = Self::default();
        let mut thoughts = 0;
        for (i, block) in message.blocks.iter().enumerate() {
            let at = format!("answer.content[{i}]");
            match block {
                MessageBlock::Text {
                    text,
                    citations,
                    extras,
                } => {
                    parts.content.add(text);
                    if !citations.is_empty() {
                        losses.report(format_args!("{at}.citations"), NO_MEMBER);
                    }
                    report_kept(&at, extras, losses);
                }
                MessageBlock::Thinking {
                    text,
                    signature,
                    extras,
                } => {
                    report_kept(&at, extras, losses);
                    parts.reasoning.set_apart();
                    parts.reasoning.add(text);
                    if !signature.is_empty() {
                        let before = parts.content.text.len() as u64;
                        let mut seal = Seal::new(before, parts.calls.len() as u64);
                        seal.add(text);
                        parts.signatures.push((thoughts, seal, signature));
                    }
                    thoughts += 1;
                }
                MessageBlock::ToolUse {
                    id,
                    name,
                    input,
                    extras,
                } => {
                    let input = match &**input {
                        "" => "{}",
                        input => input,
                    };
                    parts.calls.push([id, name, input]);
                    report_kept(&at, extras, losses);
                }
                MessageBlock::Other { .. } => losses.report(&at, NO_BLOCK),
            }
            if !matches!(block, MessageBlock::Text { .. }) {
                parts.content.set_apart();
            }
        }
        parts
    }
}

/// Why a block of another kind is lost.
pub(super) const NO_BLOCK: &str = "a block that has no place in Chat Completions";

/// Why a member is lost.
pub(super) const NO_MEMBER: &str = "no equivalent in Chat Completions";

/// Report what only the upstream's dialect knows, and says anything.
pub(super) fn report_kept(at: &str, extras: &Kept, losses: &mut Losses) {
    let says = |raw: &str| !matches!(raw, "null" | "[]" | "{}");
    let others = extras.iter().filter(|(key, _)| key != CHAT_MEMBERS);
    for (key, raw) in others.filter(|(_, raw)| says(raw.get())) {
        if key == STOP_MEMBERS
            && let Ok(members) = Fields::of(raw, &Path::Root)
        {
            let members = members.rest();
            for (key, _) in members.iter().filter(|(_, raw)| says(raw.get())) {
                losses.report(format_args!("{at}.{key}"), NO_MEMBER);
            }
            continue;
        }
        losses.report(format_args!("{at}.{key}"), NO_MEMBER);
    }
}

/// Texts that become one.
#[derive(Debug, Default)]
struct Joined {
    text: String,
    apart: bool,
}

impl Joined {
    fn add(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if std::mem::take(&mut self.apart) && !self.text.is_empty() {
            self.text.push_str(GAP);
        }
        self.text.push_str(text);
    }

    /// Something stands between what came and what comes.
    fn set_apart(&mut self) {
        self.apart = true;
    }
}

fn write_message(out: &mut Vec<u8>, parts: &Parts<'_>, beside: &Beside<'_>) {
    out.extend_from_slice(b"{\"role\":\"assistant\",\"content\":");
    match parts.content.text.as_str() {
        "" if !parts.calls.is_empty() => out.extend_from_slice(b"null"),
        text => write_str(out, text),
    }
    out.extend_from_slice(b",\"refusal\":null");
    if !parts.reasoning.text.is_empty() {
        out.extend_from_slice(b",\"reasoning_content\":");
        write_str(out, &parts.reasoning.text);
    }
    if !parts.signatures.is_empty() {
        out.extend_from_slice(b",\"reasoning_details\":");
        write_array(out, &parts.signatures, |out, (index, seal, signature)| {
            carrier::write(out, *index, *seal, signature);
        });
    }
    if !parts.calls.is_empty() {
        out.extend_from_slice(b",\"tool_calls\":");
        write_array(out, &parts.calls, |out, [id, name, arguments]| {
            out.extend_from_slice(b"{\"id\":");
            write_str(out, id);
            out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
            write_str(out, name);
            out.extend_from_slice(b",\"arguments\":");
            write_str(out, arguments);
            out.extend_from_slice(b"}}");
        });
    }
    write_members(out, &beside.message);
    out.push(b'}');
}

/// Append the value of `finish_reason`, and the stop sequence that was met, as
/// vLLM names it: <https://github.com/vllm-project/vllm/pull/2976> (seen 2026-11).
pub(super) fn write_finish(out: &mut Vec<u8>, stop: Option<&Stop<'_>>, losses: &mut Losses) {
    let Some(stop) = stop else {
        out.extend_from_slice(b"null");
        return;
    };
    let word = match &stop.reason {
        StopReason::EndTurn | StopReason::StopSequence => "stop",
        StopReason::MaxTokens | StopReason::ContextWindowExceeded => "length",
        StopReason::ToolUse => "tool_calls",
        StopReason::Refusal => "content_filter",
        StopReason::Other(_) => {
            losses.report(
                "answer.stop_reason",
                "a reason that Chat Completions has no word for",
            );
            "stop"
        }
    };
    report_kept("answer", &stop.extras, losses);
    write_str(out, word);
    if let Some(sequence) = &stop.sequence {
        out.extend_from_slice(b",\"stop_reason\":");
        write_str(out, sequence);
    }
}

/// Append `usage` in OpenAI's arithmetic: the prompt includes what a cache held.
pub(super) fn write_usage(out: &mut Vec<u8>, usage: &Usage, losses: &mut Losses) {
    let prompt = usage.prompt();
    let mut reasoning = 0;
    let mut given = None;
    for (key, raw) in &usage.extras {
        let thinking = (key == "output_tokens_details")
            .then(|| Fields::of(raw, &Path::Root).ok()?.take("thinking_tokens"))
            .flatten()
            .and_then(as_count);
        match thinking {
            Some(count) => reasoning = count,
            None if key == CHAT_MEMBERS => given = Some(&**raw),
            None if matches!(raw.get(), "null" | "[]" | "{}") => {}
            None => losses.report(
                format_args!("answer.usage.{key}"),
                "no equivalent in Chat Completions",
            ),
        }
    }
    let given = given.map(Given::read).unwrap_or_default();
    let counts = [
        ("{\"prompt_tokens\":", prompt),
        (",\"completion_tokens\":", usage.output),
        (",\"total_tokens\":", prompt.saturating_add(usage.output)),
        (
            ",\"prompt_tokens_details\":{\"cached_tokens\":",
            usage.cache_read,
        ),
        (",\"cache_write_tokens\":", usage.cache_write),
    ];
    for (key, count) in counts {
        out.extend_from_slice(key.as_bytes());
        write_count(out, count);
    }
    write_members(out, &given.of_prompt);
    out.extend_from_slice(b"},\"completion_tokens_details\":{\"reasoning_tokens\":");
    write_count(out, reasoning);
    write_members(out, &given.of_completion);
    out.push(b'}');
    write_members(out, &given.others);
    out.push(b'}');
}

/// What the upstream counts that the inner form has no place for.
#[derive(Default)]
struct Given<'a> {
    of_prompt: Extras<'a>,
    of_completion: Extras<'a>,
    others: Extras<'a>,
}

impl<'a> Given<'a> {
    fn read(raw: &'a RawValue) -> Self {
        let at = &Path::Root;
        let mut usage = Fields::of(raw, at).unwrap_or_default();
        let mut details = |key: &str, own: &[&str]| {
            let details = usage.take_object(key, at).ok().flatten();
            says_more(details.unwrap_or_default(), own)
        };
        let of_prompt = details(
            "prompt_tokens_details",
            &["cached_tokens", "cache_write_tokens"],
        );
        let of_completion = details("completion_tokens_details", &["reasoning_tokens"]);
        let own = ["prompt_tokens", "completion_tokens", "total_tokens"];
        Self {
            of_prompt,
            of_completion,
            others: says_more(usage, &own),
        }
    }
}

/// The members that say something, but for those of our `own`.
fn says_more<'a>(fields: Fields<'a>, own: &[&str]) -> Extras<'a> {
    let mut members = fields.rest();
    members.retain(|(key, raw)| !own.contains(&&**key) && raw.get() != "null");
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(blocks: Vec<MessageBlock>, reason: StopReason<'static>) -> Message {
        Message {
            blocks,
            stop: Some(Stop::new(reason)),
            ..Message::default()
        }
    }

    fn text(text: &str) -> MessageBlock {
        MessageBlock::text(text)
    }

    fn thinking(text: &str, signature: &str) -> MessageBlock {
        MessageBlock::Thinking {
            text: text.into(),
            signature: signature.into(),
            extras: Kept::new(),
        }
    }

    fn call(input: &str) -> MessageBlock {
        MessageBlock::ToolUse {
            id: "1".into(),
            name: "f".into(),
            input: input.into(),
            extras: Kept::new(),
        }
    }

    #[track_caller]
    fn check(message: &Message, choice: &str, losses: &[&str]) {
        let completion = encode_completion(message, "chatcmpl-1", "m", 7);
        let expected = format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant",{choice}}}]}}"#
        );
        assert_eq!(String::from_utf8_lossy(&completion.body), expected);
        let listed = completion.losses.listed().iter();
        assert_eq!(listed.map(|loss| &*loss.path).collect::<Vec<_>>(), losses);
    }

    #[test]
    fn blocks_find_their_places() {
        check(
            &message(vec![], StopReason::EndTurn),
            r#""content":"","refusal":null},"logprobs":null,"finish_reason":"stop""#,
            &[],
        );
        check(
            &message(
                vec![text("a"), text("b"), thinking("r", "s"), text("c")],
                StopReason::MaxTokens,
            ),
            r#""content":"ab\n\nc","refusal":null,"reasoning_content":"r","reasoning_details":[{"type":"reasoning.text","id":"sluice1.0.1.af63ef4c86020cd5.2.0","signature":"s","index":0}]},"logprobs":null,"finish_reason":"length""#,
            &[],
        );
        check(
            &message(vec![call(""), call("{\"a\":1}")], StopReason::ToolUse),
            r#""content":null,"refusal":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},"logprobs":null,"finish_reason":"tool_calls""#,
            &[],
        );
    }

    #[test]
    fn what_has_no_place_is_reported() {
        let block = serde_json::from_str(r#"{"type":"server_tool_use"}"#).unwrap();
        let other = MessageBlock::Other {
            block,
            deltas: vec![],
        };
        check(
            &message(
                vec![text("a"), other, text("b")],
                StopReason::Other("pause_turn".into()),
            ),
            r#""content":"a\n\nb","refusal":null},"logprobs":null,"finish_reason":"stop""#,
            &["answer.content[1]", "answer.stop_reason"],
        );
    }

    #[test]
    fn stops_have_openais_words() {
        for (reason, word) in [
            (StopReason::EndTurn, "stop"),
            (StopReason::StopSequence, "stop"),
            (StopReason::MaxTokens, "length"),
            (StopReason::ContextWindowExceeded, "length"),
            (StopReason::ToolUse, "tool_calls"),
            (StopReason::Refusal, "content_filter"),
        ] {
            let choice = format!(
                r#""content":"","refusal":null}},"logprobs":null,"finish_reason":"{word}""#
            );
            check(&message(vec![], reason), &choice, &[]);
        }
        let met = Message {
            stop: Some(Stop {
                sequence: Some("END".into()),
                ..Stop::new(StopReason::StopSequence)
            }),
            ..Message::default()
        };
        check(
            &met,
            r#""content":"","refusal":null},"logprobs":null,"finish_reason":"stop","stop_reason":"END""#,
            &[],
        );
    }

    #[test]
    fn the_prompt_includes_what_a_cache_held() {
        let raw = |text: &str| serde_json::from_str(text).unwrap();
        let usage = Usage {
            input: 1,
            output: 20,
            cache_read: 300,
            cache_write: 4000,
            extras: vec![
                (
                    "output_tokens_details".into(),
                    raw(r#"{"thinking_tokens":5}"#),
                ),
                (
                    "server_tool_use".into(),
                    raw(r#"{"web_search_requests":1}"#),
                ),
                ("cache_creation".into(), raw("null")),
            ],
        };
        let (mut out, mut losses) = (Vec::new(), Losses::default());
        write_usage(&mut out, &usage, &mut losses);
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"prompt_tokens":4301,"completion_tokens":20,"total_tokens":4321,"prompt_tokens_details":{"cached_tokens":300,"cache_write_tokens":4000},"completion_tokens_details":{"reasoning_tokens":5}}"#
        );
        assert_eq!(losses.listed()[0].path, "answer.usage.server_tool_use");
        assert_eq!(losses.count(), 1);
    }

    /// A client that returns the message as it came gives reasoning, text and
    /// calls back whole.
    #[test]
    fn what_the_client_returns_is_what_it_got() {
        use crate::dialect::chat::decode_client_request;

        let blocks = vec![thinking("r\"", "sig"), text("t"), call("{\"a\":1}")];
        let completion = encode_completion(&message(blocks, StopReason::ToolUse), "i", "m", 7);
        let answer: serde_json::Value = serde_json::from_slice(&completion.body).unwrap();
        let returned = &answer["choices"][0]["message"];
        let body = format!(r#"{{"model":"m","messages":[{returned}]}}"#);
        let decoded = decode_client_request(&body).unwrap().request;
        let message = &decoded.messages[0];
        assert!(message.extras.iter().all(|(_, raw)| raw.get() == "null"));
        assert_eq!(
            format!("{:?}", message.content),
            r#"[Thinking { text: "r\"", signature: "sig" }, Text { text: "t", extras: [] }, ToolUse { id: "1", name: "f", input: RawValue({"a":1}), extras: [] }]"#
        );
    }
}
