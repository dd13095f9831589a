//! A Chat Completions request for an upstream of the same dialect.
//!
//! The body passes as it is, member by member, in its order and in its very
//! bytes. Changed are the model's name and what the endpoint's [`Accent`] demands:
//!
//! ```text
//! max_tokens, max_completion_tokens  -> the name the endpoint knows, its ceiling
//! stream_options                     -> with include_usage, or gone
//! top_k, user, parallel_tool_calls,
//! reasoning_effort                   -> gone, where the endpoint has no such thing
//! messages[].reasoning_content, ...  -> as this endpoint gave it, if our signature
//!                                       says that it did, with what the signature
//!                                       carries back in its place; else in the place
//!                                       it may come back in; or gone; and there on
//!                                       each, where the endpoint demands it
//! thinking                           -> there, where earlier reasoning is read only
//!                                       if that is said
//! stream                             -> true, where the endpoint does nothing else;
//!                                       gone, where it does not stream tools
//! temperature                        -> what the endpoint takes
//! params, drop, add of the accent    -> as they say
//! ```
//! It does not fold system messages, shorten `stop`, or leave out images: what an
//! endpoint refuses of its own dialect, it says itself. Refused is only what it
//! would answer and nobody would read: more than one answer (`n`).

use std::borrow::Cow;

use memchr::memmem;
use serde_json::value::RawValue;

use super::carrier;
use super::request::check_answers;
use super::returned::Returned;
use super::thoughts::REASONING;
use crate::dialect::chat::accent::{Accent, KEPT, OutputLimit, ReasoningAsk, ReasoningBack};
use crate::dialect::chat::envelope::Envelope;
use crate::dialect::chat::names::Names;
use crate::dialect::chat::replay::{FOREIGN, Replay};
use crate::dialect::chat::request::{EncodeOptions, Encoded};
use crate::dialect::chat::sampling;
use crate::fields::{Extras, Fields, Path};
use crate::ir::{Losses, Refused, Request};
use crate::json::{ObjectWriter, Text, as_count, as_str, write_array, write_count};
use crate::members;

/// Forward `body`, from which `request` was decoded, to one target.
pub fn forward_request(
    body: &str,
    request: &Request<'_>,
    options: EncodeOptions<'_>,
) -> Result<Encoded, Refused> {
    let Ok(fields) = Fields::parse(body, &Path::Root) else {
        return Err(Refused {
            path: String::new(),
            message: "expected an object",
            details: None,
        });
    };
    check_answers(request)?;
    let members = fields.distinct();
    let has = |name| {
        let mut members = members.iter();
        members.any(|(key, raw)| key == name && raw.get() != "null")
    };
    let is_whole = options.accent.unstreamed_tools && has("tools");
    let mut forwarder = Forwarder {
        options,
        accent: options.accent,
        streams: (request.stream || options.accent.stream_only) && !is_whole,
        is_whole,
        limit: match has("max_completion_tokens") {
            true => "max_completion_tokens",
            false => "max_tokens",
        },
        replays: false,
        losses: Losses::default(),
        out: ObjectWriter::with_capacity(body.len() + 64),
    };
    for (key, raw) in &members {
        forwarder.member(key, raw);
    }
    if forwarder.streams && !has("stream") {
        forwarder.out.raw("stream", "true");
    }
    if forwarder.adds_usage() && !has("stream_options") {
        forwarder
            .out
            .raw("stream_options", r#"{"include_usage":true}"#);
    }
    if forwarder.replays && options.accent.reasoning_ask.keeps() && !has("thinking") {
        forwarder.out.raw("thinking", KEPT);
    }
    members::add(&mut forwarder.out, &options.accent.add);
    let (body, members) = options
        .accent
        .accepted()
        .retain(forwarder.out, &mut forwarder.losses);
    Ok(Encoded {
        body,
        members,
        losses: forwarder.losses,
        names: Names::default(),
    })
}

/// Why reasoning does not go back.
const LOST: &str = "reasoning goes back only to an upstream that takes it, and gave it";

struct Forwarder<'o> {
    options: EncodeOptions<'o>,
    accent: &'o Accent,
    streams: bool,
    /// A whole answer is asked for, whatever the client wants.
    is_whole: bool,
    /// The member that limits the answer.
    limit: &'static str,
    /// Whether earlier reasoning goes back.
    replays: bool,
    losses: Losses,
    out: ObjectWriter,
}

impl Forwarder<'_> {
    fn member(&mut self, key: &str, raw: &RawValue) {
        let accent = self.accent;
        match key {
            "model" => self.out.string(key, self.options.model),
            "stream" | "stream_options" if self.is_whole => {}
            "stream" if accent.stream_only && raw.get() == "null" => {}
            "stream" if accent.stream_only => self.out.raw(key, "true"),
            "messages" => self.messages(raw),
            "max_tokens" | "max_completion_tokens" => self.output_limit(key, raw),
            "stream_options" => self.stream_options(raw),
            "temperature" => {
                let value = sampling::temperature(raw, accent, &mut self.losses);
                self.out.raw(key, &value);
            }
            "top_k" if !accent.top_k => self.drop(key, raw),
            "parallel_tool_calls" if !accent.parallel_tool_calls => self.drop(key, raw),
            "user" if !accent.user => self.drop(key, raw),
            "reasoning_effort" if accent.reasoning_ask == ReasoningAsk::None => {
                self.drop(key, raw);
            }
            _ => self.out.raw(key, raw.get()),
        }
    }

    fn drop(&mut self, key: &str, raw: &RawValue) {
        if raw.get() != "null" {
            self.losses
                .report(key, "the upstream has no such parameter");
        }
    }

    fn output_limit(&mut self, key: &str, raw: &RawValue) {
        if key != self.limit {
            if raw.get() != "null" {
                self.losses
                    .report(key, "`max_completion_tokens` counts where both are given");
            }
            return;
        }
        let name = match self.accent.output_limit {
            OutputLimit::MaxTokens => "max_tokens",
            OutputLimit::MaxCompletionTokens => "max_completion_tokens",
        };
        match (as_count(raw), self.accent.output_limit_max) {
            (Some(wanted), Some(most)) if wanted > most => {
                self.losses
                    .report(key, "lowered to the most that the upstream accepts");
                self.out.member(name, |out| write_count(out, most));
            }
            _ => self.out.raw(name, raw.get()),
        }
    }

    /// Whether the upstream is asked for token counts that the client may not
    /// have asked for: the gateway wants to know them.
    fn adds_usage(&self) -> bool {
        self.streams && self.accent.stream_usage
    }

    fn stream_options(&mut self, raw: &RawValue) {
        if !self.accent.stream_usage {
            return self.drop("stream_options", raw);
        }
        let fields = Fields::of(raw, &Path::Root);
        let Some(mut fields) = fields.ok().filter(|_| self.adds_usage()) else {
            // `null` is written anew at the end, if need be.
            if raw.get() != "null" || !self.adds_usage() {
                self.out.raw("stream_options", raw.get());
            }
            return;
        };
        if fields.take("include_usage").map(RawValue::get) == Some("true") {
            return self.out.raw("stream_options", raw.get());
        }
        let mut options = ObjectWriter::with_capacity(64);
        options.raw("include_usage", "true");
        for (key, raw) in fields.rest() {
            options.raw(&key, raw.get());
        }
        let (options, _) = options.finish();
        self.out
            .member("stream_options", |out| out.extend_from_slice(&options));
    }

    fn messages(&mut self, raw: &RawValue) {
        let is_plain = self.accent.reasoning_back == ReasoningBack::Same
            && !self.accent.reasoning_ask.keeps()
            && self.accent.signature_placeholder.is_none()
            && memmem::find(raw.get().as_bytes(), carrier::ID_PREFIX.as_bytes()).is_none();
        let items: Vec<&RawValue> = match serde_json::from_str(raw.get()) {
            Ok(items) if !is_plain => items,
            _ => return self.out.raw("messages", raw.get()),
        };
        let mut written = Vec::with_capacity(raw.get().len());
        write_array(
            &mut written,
            items.into_iter().enumerate(),
            |out, (i, raw)| {
                self.message(out, i, raw);
            },
        );
        self.out
            .member("messages", |out| out.extend_from_slice(&written));
    }

    /// One message, without what only this gateway understands of its reasoning,
    /// and the reasoning where the endpoint wants it.
    fn message(&mut self, out: &mut Vec<u8>, index: usize, raw: &RawValue) {
        let members = match Fields::of(raw, &Path::Root) {
            Ok(fields) => fields.distinct(),
            Err(_) => return out.extend_from_slice(raw.get().as_bytes()),
        };
        let demands = self.accent.reasoning_back == ReasoningBack::Always && is_of_model(&members);
        let placeholder = self.accent.signature_placeholder.as_deref();
        let concerns = |(key, _): &(Cow<'_, str>, _)| {
            is_reasoning(key) || placeholder.is_some() && key == "tool_calls"
        };
        if !demands && !members.iter().any(concerns) {
            return out.extend_from_slice(raw.get().as_bytes());
        }
        let root = Path::Root;
        let at = root.key("messages");
        let at = at.index(index);
        let returned = Returned::of(&members, self.options.family);
        let signatures = signatures(&members);
        if !signatures.is_empty() && !returned.is_foreign {
            return self.replayed(out, index, &members, &signatures, &returned);
        }
        let goes_back = self.accent.reasoning_back != ReasoningBack::Never && signatures.is_empty();
        let inside = self.inside_content(&members).filter(|_| goes_back);
        let mut message = ObjectWriter::with_capacity(raw.get().len());
        let (mut reasoned, mut has_content) = (false, false);
        for (key, raw) in &members {
            match &**key {
                "content" => {
                    has_content = true;
                    self.content(&mut message, inside, Some(raw));
                }
                "tool_calls" => message.raw(key, &returned.tool_calls(raw, placeholder)),
                key if !is_reasoning(key) => message.raw(key, raw.get()),
                // It says nothing, but an endpoint may refuse the very name.
                key if raw.get() == "null" => {
                    if self.accent.reasoning_back == ReasoningBack::Same {
                        message.raw(key, "null");
                    }
                }
                "reasoning_details" => match foreign_details(raw) {
                    Some(given) if goes_back && !self.is_in_content() => message.raw(key, &given),
                    Some(_) => self.losses.report(at.key(key), LOST),
                    None => {}
                },
                key if !goes_back || self.is_in_content() && !raw.get().starts_with('"') => {
                    self.losses.report(at.key(key), LOST);
                }
                key => {
                    match self.reasoning_name() {
                        _ if self.is_in_content() => {}
                        None => message.raw(key, raw.get()),
                        // Two names held the same text.
                        Some(_) if reasoned => {}
                        Some(name) => message.raw(name, raw.get()),
                    }
                    reasoned = true;
                }
            }
        }
        if !has_content && inside.is_some() {
            self.content(&mut message, inside, None);
        }
        self.replays |= reasoned;
        if demands && !reasoned {
            message.string("reasoning_content", &self.accent.reasoning_placeholder);
        }
        out.extend_from_slice(&message.finish().0);
    }

    /// Whether reasoning goes back inside of `content`.
    fn is_in_content(&self) -> bool {
        matches!(
            self.accent.reasoning_back,
            ReasoningBack::Parts | ReasoningBack::Tags
        )
    }

    /// The text that goes back there: a JSON string, which says something.
    fn inside_content<'r>(&self, members: &Extras<'r>) -> Option<&'r str> {
        let said = |(key, raw): &(Cow<'_, str>, &'r RawValue)| {
            let is_text = raw.get().starts_with('"') && raw.get().len() > 2;
            (REASONING.contains(&&**key) && is_text).then(|| raw.get())
        };
        self.is_in_content()
            .then(|| members.iter().find_map(said))
            .flatten()
    }

    /// A message's `content`, with the reasoning `inside` ahead of what it says.
    fn content(&self, message: &mut ObjectWriter, inside: Option<&str>, raw: Option<&RawValue>) {
        let said = raw.map_or("null", RawValue::get);
        let Some(inside) = inside else {
            return message.raw("content", said);
        };
        let is_tags = self.accent.reasoning_back == ReasoningBack::Tags;
        let tagged = format!(
            "\"<think>\\n{}\\n</think>\\n\\n",
            &inside[1..inside.len() - 1]
        );
        let part = match is_tags {
            true => format!(r#"{{"type":"text","text":{tagged}"}}"#),
            false => {
                format!(r#"{{"type":"thinking","thinking":[{{"type":"text","text":{inside}}}]}}"#)
            }
        };
        let parts = said.strip_prefix('[').unwrap_or_default().trim_start();
        let value = match said.as_bytes().first() {
            Some(b'"') if is_tags => format!("{tagged}{}", &said[1..]),
            Some(b'"') if said.len() > 2 => {
                format!(r#"[{part},{{"type":"text","text":{said}}}]"#)
            }
            Some(b'[') if parts.starts_with(']') => format!("[{part}]"),
            Some(b'[') => format!("[{part},{}", &said[1..]),
            _ if is_tags => format!("{tagged}\""),
            _ => format!("[{part}]"),
        };
        message.raw("content", &value);
    }

    /// A message whose reasoning this endpoint gave: it goes back as it came,
    /// whatever name the client knows it by. Without a signature nobody knows whose
    /// it is, and the client, who sends it, is believed. The texts of several blocks
    /// have become one on the way to the client; it goes with the first.
    fn replayed(
        &mut self,
        out: &mut Vec<u8>,
        index: usize,
        members: &Extras<'_>,
        signatures: &[String],
        returned: &Returned,
    ) {
        let texts = REASONING.iter().filter_map(|name| {
            let member = members.iter().find(|(key, _)| key == name)?;
            Text::from_raw(member.1)
        });
        let text = texts.into_iter().next().unwrap_or_else(|| Text::new(""));
        let nothing = Text::new("");
        let mut replay = Replay::new(self.accent, self.options.family);
        for (i, signature) in signatures.iter().enumerate() {
            let has_payload = |seal: Envelope<'_>| seal.payload.is_some();
            if i == 0 {
                if !replay.add(&text, signature) {
                    self.losses
                        .report(format_args!("messages[{index}]"), FOREIGN);
                }
            } else if Envelope::open(signature).is_some_and(has_payload) {
                replay.add(&nothing, signature);
            }
        }
        self.replays |= !replay.is_empty();
        let mut message = ObjectWriter::with_capacity(256);
        for (key, raw) in members {
            match &**key {
                "content" if replay.is_in_content() => message.member(key, |out| {
                    replay.write_content(out, &texts_of(raw));
                }),
                "tool_calls" => {
                    let placeholder = self.accent.signature_placeholder.as_deref();
                    message.raw(key, &returned.tool_calls(raw, placeholder));
                }
                "extra_content" if returned.message.is_some() => {}
                key if is_reasoning(key) => {}
                key => message.raw(key, raw.get()),
            }
        }
        let (mut message, _) = message.finish();
        message.pop();
        replay.write_members(&mut message);
        message.push(b'}');
        out.extend_from_slice(&message);
    }

    /// The name under which reasoning goes back, if not under its own.
    fn reasoning_name(&self) -> Option<&'static str> {
        match self.accent.reasoning_back {
            ReasoningBack::Same
            | ReasoningBack::Never
            | ReasoningBack::Parts
            | ReasoningBack::Tags => None,
            ReasoningBack::Always | ReasoningBack::ReasoningContent => Some("reasoning_content"),
            ReasoningBack::Reasoning | ReasoningBack::Details => Some("reasoning"),
        }
    }
}

/// The signatures of ours that a message brings back.
fn signatures(members: &Extras<'_>) -> Vec<String> {
    let details = members.iter().find(|(key, _)| key == "reasoning_details");
    let items: Vec<&RawValue> = details
        .and_then(|(_, raw)| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    let carriers = items.into_iter().filter_map(carrier::read);
    carriers.map(|carrier| carrier.signature).collect()
}

/// The texts of an assistant's content, escaped: it holds nothing else.
fn texts_of(content: &RawValue) -> Vec<Cow<'_, str>> {
    if content.get().starts_with('"') {
        let text = Text::from_raw(content);
        return text
            .filter(|text| !text.is_empty())
            .map(|text| Cow::Owned(text.escaped().to_owned()))
            .into_iter()
            .collect();
    }
    let parts: Vec<&RawValue> = serde_json::from_str(content.get()).unwrap_or_default();
    let text = |raw: &RawValue| {
        let mut part = Fields::of(raw, &Path::Root).ok()?;
        let text = part.take("text").or_else(|| part.take("refusal"))?;
        Some(Cow::Owned(Text::from_raw(text)?.escaped().to_owned()))
    };
    parts.into_iter().filter_map(text).collect()
}

/// `reasoning_details` without the items of ours; none if no other is left.
fn foreign_details(raw: &RawValue) -> Option<Cow<'_, str>> {
    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    let foreign: Vec<_> = items
        .iter()
        .filter(|item| carrier::read(item).is_none())
        .collect();
    if foreign.len() == items.len() {
        return Some(Cow::Borrowed(raw.get()));
    }
    let texts: Vec<_> = foreign.iter().map(|item| item.get()).collect();
    (!texts.is_empty()).then(|| Cow::Owned(format!("[{}]", texts.join(","))))
}

fn is_reasoning(key: &str) -> bool {
    REASONING.contains(&key) || key == "reasoning_details"
}

/// Whether a message is the model's.
fn is_of_model(members: &Extras<'_>) -> bool {
    let mut members = members.iter();
    members.any(|(key, raw)| key == "role" && as_str(raw).as_deref() == Some("assistant"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::chat::client::decode_client_request;

    fn forward(body: &str, accent: &Accent) -> Encoded {
        let decoded = decode_client_request(body).unwrap();
        let options = EncodeOptions {
            model: "up",
            accent,
            family: "here",
        };
        forward_request(body, &decoded.request, options).unwrap()
    }

    /// `members` beside the model and the messages, forwarded: what is sent in
    /// their place, and the paths of what was lost.
    #[track_caller]
    fn check(accent: &Accent, members: &str, expected: &str, losses: &[&str]) {
        let whole =
            |model: &str, members: &str| format!(r#"{{"model":"{model}"{members},"x" : [ 1 ]}}"#);
        let messages =
            |members: &str| format!(r#","messages":[{{"role": "user","content":"u"}}]{members}"#);
        let encoded = forward(&whole("m", &messages(members)), accent);
        // What follows `x` was added at the end.
        let (expected, added) = expected.split_once('|').unwrap_or((expected, ""));
        let mut sent = whole("up", &messages(expected)).replace("\"x\" : ", "\"x\":");
        sent.insert_str(sent.len() - 1, added);
        assert_eq!(String::from_utf8(encoded.body).unwrap(), sent);
        let paths: Vec<_> = encoded
            .losses
            .listed()
            .iter()
            .map(|loss| &*loss.path)
            .collect();
        assert_eq!(paths, losses, "{members}");
    }

    /// The same for the members of an assistant message.
    #[track_caller]
    fn check_message(accent: &Accent, members: &str, expected: &str, losses: usize) {
        let whole = |model: &str, members: &str| {
            format!(
                r#"{{"model":"{model}","messages":[{{"role":"assistant","content":"t"{members}}}]}}"#
            )
        };
        let encoded = forward(&whole("m", members), accent);
        assert_eq!(
            String::from_utf8(encoded.body).unwrap(),
            whole("up", expected)
        );
        assert_eq!(encoded.losses.count(), losses, "{members}");
    }

    #[test]
    fn what_the_endpoint_knows_passes() {
        let accent = Accent::default();
        for members in [
            "",
            r#","n":1,"seed":1,"logprobs":true,"user":"me","stop":["1","2","3","4","5"]"#,
            r#","max_tokens":5,"reasoning_effort":"minimal","parallel_tool_calls":false,"stream_options":null"#,
            r#","stream":true,"stream_options":{"include_usage": true}"#,
        ] {
            check(&accent, members, members, &[]);
        }
    }

    #[test]
    fn what_it_does_not_know_is_changed_or_gone() {
        let accent = Accent::default();
        check(
            &accent,
            r#","max_completion_tokens":5"#,
            r#","max_tokens":5"#,
            &[],
        );
        check(
            &accent,
            r#","max_tokens":4,"max_completion_tokens":5"#,
            r#","max_tokens":5"#,
            &["max_tokens"],
        );
        check(&accent, r#","top_k":5"#, "", &["top_k"]);
        let usage = r#""stream_options":{"include_usage":true}"#;
        check(
            &accent,
            r#","stream":true"#,
            &format!(r#","stream":true|,{usage}"#),
            &[],
        );
        check(
            &accent,
            r#","stream":true,"stream_options":null"#,
            &format!(r#","stream":true|,{usage}"#),
            &[],
        );
        check(
            &accent,
            r#","stream":true,"stream_options":{"include_usage":false,"a":1}"#,
            r#","stream":true,"stream_options":{"include_usage":true,"a":1}"#,
            &[],
        );
        let narrow = Accent {
            output_limit: OutputLimit::MaxCompletionTokens,
            output_limit_max: Some(9),
            parallel_tool_calls: false,
            stream_usage: false,
            user: false,
            reasoning_ask: ReasoningAsk::None,
            ..Accent::default()
        };
        check(
            &narrow,
            r#","max_tokens":10"#,
            r#","max_completion_tokens":9"#,
            &["max_tokens"],
        );
        check(
            &narrow,
            r#","stream":true,"user":"u","parallel_tool_calls":false,"reasoning_effort":"low","stream_options":{"include_usage":true}"#,
            r#","stream":true"#,
            &[
                "user",
                "parallel_tool_calls",
                "reasoning_effort",
                "stream_options",
            ],
        );
    }

    #[test]
    fn reasoning_goes_back_where_it_may() {
        let back = |reasoning_back| Accent {
            reasoning_back,
            ..Accent::default()
        };
        let ours = |family: &str| {
            format!(
                r#","reasoning_content":"r","reasoning_details":[{{"id":"sluice1.0","signature":"sluice1.reasoning.{family}"}}]"#
            )
        };
        let plain = r#","reasoning_content":"r""#;
        let same = back(ReasoningBack::Same);
        check_message(&same, plain, plain, 0);
        check_message(&same, &ours("here"), r#","reasoning":"r""#, 0);
        check_message(&same, &ours("elsewhere"), "", 1);
        check_message(&back(ReasoningBack::Never), plain, "", 1);
        check_message(
            &back(ReasoningBack::Reasoning),
            plain,
            r#","reasoning":"r""#,
            0,
        );
        let item = |signature: &str| {
            let signature = Value::from(signature);
            format!(
                r#","reasoning_content":"r","reasoning_details":[{{"id":"sluice1.0","signature":{signature}}}]"#
            )
        };
        let details = item(r#"sluice2.reasoning.4.here[{"data":"x"}]"#);
        let restored = r#","reasoning_details":[{"data":"x"}]"#;
        check_message(&same, &details, restored, 0);
        check_message(&back(ReasoningBack::Details), &details, restored, 0);
        check_message(&back(ReasoningBack::Always), &details, plain, 0);
        check_message(
            &same,
            &item(r#"sluice2.reasoning.5.other[{"data":"x"}]"#),
            "",
            1,
        );
        let foreign = r#","reasoning_details":[{"id":"x","data":"d"}]"#;
        check_message(&same, foreign, foreign, 0);
        // What the vendor gave beside the text comes out of the signature again.
        let loaded = r#","reasoning_content":"r","reasoning_details":[{"id":"sluice1.0","signature":"sluice2.reasoning.4.here[{\"data\":\"d\"},1]"}]"#;
        let given = r#","reasoning_details":[{"data":"d"},1]"#;
        check_message(&same, loaded, given, 0);
        check_message(&back(ReasoningBack::Details), loaded, given, 0);
        check_message(&back(ReasoningBack::ReasoningContent), loaded, plain, 0);
        check_message(
            &back(ReasoningBack::ReasoningContent),
            r#","reasoning":"r","reasoning_content":"r""#,
            plain,
            0,
        );
    }

    #[test]
    fn reasoning_is_on_every_message_where_it_must() {
        let always = Accent {
            reasoning_back: ReasoningBack::Always,
            reasoning_placeholder: " ".to_owned(),
            ..Accent::default()
        };
        let there = r#","reasoning_content":"r""#;
        let none = r#","reasoning_content":" ""#;
        check_message(&always, there, there, 0);
        check_message(&always, "", none, 0);
        check_message(&always, r#","reasoning_content":null"#, none, 0);
        let foreign = r#","reasoning":"r","reasoning_details":[{"id":"sluice1.0","signature":"sluice1.reasoning.elsewhere"}]"#;
        check_message(&always, foreign, none, 1);
        let body = r#"{"model":"up","messages":[{"role":"user","content":"u"}]}"#;
        let sent = String::from_utf8(forward(body, &always).body).unwrap();
        assert_eq!(sent, body);
    }

    #[test]
    fn reasoning_goes_back_inside_the_content() {
        #[track_caller]
        fn check_content(reasoning_back: ReasoningBack, members: &str, expected: &str) {
            let accent = Accent {
                reasoning_back,
                ..Accent::default()
            };
            let whole = |members: &str| {
                format!(r#"{{"model":"up","messages":[{{"role":"assistant"{members}}}]}}"#)
            };
            let sent = forward(&whole(members), &accent);
            assert_eq!(String::from_utf8(sent.body).unwrap(), whole(expected));
        }
        let part = r#"{"type":"thinking","thinking":[{"type":"text","text":"r\n"}]}"#;
        let text = r#"{"type":"text","text":"t"}"#;
        let told = r#","reasoning_content":"r\n""#;
        let calls = r#","name":"n""#;
        for (content, expected) in [
            (r#","content":"t""#, format!("[{part},{text}]")),
            (r#","content":"""#, format!("[{part}]")),
            (r#","content":null"#, format!("[{part}]")),
            (r#","content":[ ]"#, format!("[{part}]")),
            (
                r#","content":[{"type":"text","text":"t"}]"#,
                format!("[{part},{text}]"),
            ),
        ] {
            let expected = format!(r#","content":{expected}{calls}"#);
            check_content(
                ReasoningBack::Parts,
                &format!("{content}{told}{calls}"),
                &expected,
            );
        }
        let absent = format!(r#"{calls},"content":[{part}]"#);
        check_content(ReasoningBack::Parts, &format!("{told}{calls}"), &absent);
        let plain = r#","content":"t""#;
        for silent in ["null", r#""""#] {
            let members = format!(r#"{plain},"reasoning_content":{silent}"#);
            check_content(ReasoningBack::Parts, &members, plain);
        }
        let tags = r#"<think>\nr\n\n</think>\n\n"#;
        let cases = [
            (r#","content":"t""#, format!(r#""{tags}t""#)),
            (r#","content":null"#, format!(r#""{tags}""#)),
            (
                r#","content":[{"type":"text","text":"t"}]"#,
                format!(r#"[{{"type":"text","text":"{tags}"}},{text}]"#),
            ),
        ];
        for (content, expected) in cases {
            let expected = format!(r#","content":{expected}"#);
            check_content(ReasoningBack::Tags, &format!("{content}{told}"), &expected);
        }
    }

    #[test]
    fn signatures_of_calls_go_back_where_they_came_from() {
        let gemini = Accent {
            reasoning_back: ReasoningBack::Never,
            signature_placeholder: Some("skip".into()),
            ..Accent::default()
        };
        let calls = |a: &str, b: &str| {
            let function = r#""function":{"name":"f","arguments":"{}"}"#;
            format!(r#","tool_calls":[{{"id":"a",{function}{a}}},{{"id":"b",{function}{b}}}]"#)
        };
        let extra = |text: &str| {
            format!(r#","extra_content":{{"google":{{"thought_signature":"{text}"}}}}"#)
        };
        let signed = |family: &str| {
            let signature = Value::from(format!(
                r#"sluice2.extra_content.{}.{family}{{"calls":{{"a":{{"google":{{"thought_signature":"s"}}}}}},"message":{{"m":1}}}}"#,
                family.len()
            ));
            format!(
                r#"{},"reasoning_details":[{{"id":"sluice1.0","signature":{signature}}}]"#,
                calls("", "")
            )
        };
        let own = format!(r#"{},"extra_content":{{"m":1}}"#, calls(&extra("s"), ""));
        for accent in [&gemini, &Accent::default()] {
            check_message(accent, &signed("here"), &own, 0);
            // The client knows how itself.
            let known = calls(&extra("c"), "");
            check_message(accent, &known, &known, 0);
        }
        check_message(&gemini, &signed("other"), &calls(&extra("skip"), ""), 0);
        check_message(&gemini, &calls("", ""), &calls(&extra("skip"), ""), 0);
        check_message(&Accent::default(), &calls("", ""), &calls("", ""), 0);
    }

    #[test]
    fn earlier_reasoning_is_asked_for_where_it_goes_back() {
        let accent = Accent {
            reasoning_ask: ReasoningAsk::ThinkingKept,
            ..Accent::default()
        };
        let thinking = |reasoning: &str, rest: &str| {
            let body = format!(
                r#"{{"model":"m"{rest},"messages":[{{"role":"user","content":"hi"}},{{"role":"assistant","content":"a"{reasoning}}}]}}"#
            );
            let request = decode_client_request(&body).unwrap().request;
            let options = EncodeOptions {
                model: "m",
                accent: &accent,
                family: "here",
            };
            let forwarded = forward_request(&body, &request, options).unwrap();
            let body: Value = serde_json::from_slice(&forwarded.body).unwrap();
            body["thinking"].clone()
        };
        let kept: Value = serde_json::from_str(KEPT).unwrap();
        let signed = r#","reasoning_content":"r","reasoning_details":[{"id":"sluice1.0","signature":"sluice1.reasoning_content.here"}]"#;
        let foreign = r#","reasoning_content":"r","reasoning_details":[{"id":"sluice1.0","signature":"sluice1.reasoning_content.there"}]"#;
        assert_eq!(thinking(signed, ""), kept);
        assert_eq!(thinking(r#","reasoning_content":"r""#, ""), kept);
        assert_eq!(thinking(foreign, ""), Value::Null);
        assert_eq!(thinking("", ""), Value::Null);
        let own = json!({ "type": "disabled" });
        assert_eq!(thinking(signed, r#","thinking":{"type":"disabled"}"#), own);
    }

    fn any_request() -> impl Strategy<Value = Value> {
        let text = "[a-z\\n\"\u{e9}]{0,6}";
        let message = prop_oneof![
            text.prop_map(|text| json!({"role": "user", "content": text})),
            text.prop_map(
                |text| json!({"role": "user", "content": [{"type": "text", "text": text}]})
            ),
            text.prop_map(|text| json!({"role": "assistant", "content": text, "reasoning": "r"})),
            text.prop_map(|text| json!({"role": "tool", "tool_call_id": text, "content": "x"})),
        ];
        let member = prop_oneof![
            any::<u16>().prop_map(|n| ("max_tokens", json!(n))),
            Just(("n", json!(1))),
            any::<i32>().prop_map(|n| ("seed", json!(n))),
            text.prop_map(|text| ("user", json!(text))),
            text.prop_map(|text| ("stop", json!([text]))),
            text.prop_map(|text| ("vendor_thing", json!({"a": [text, null]}))),
            any::<bool>().prop_map(|b| ("parallel_tool_calls", json!(b))),
            Just(("stream_options", json!({"include_usage": true, "b": 1}))),
            Just(("stream", json!(false))),
        ];
        let messages = prop::collection::vec(message, 1..5);
        (messages, prop::collection::vec(member, 0..6)).prop_map(|(messages, members)| {
            let mut body = json!({"model": "up", "messages": messages});
            for (key, value) in members {
                body[key] = value;
            }
            body
        })
    }

    proptest! {
        #[test]
        fn the_same_dialect_and_model_is_the_same_json(body in any_request()) {
            let encoded = forward(&body.to_string(), &Accent::default());
            prop_assert_eq!(serde_json::from_slice::<Value>(&encoded.body).unwrap(), body);
            prop_assert_eq!(encoded.losses.count(), 0);
        }
    }
}
