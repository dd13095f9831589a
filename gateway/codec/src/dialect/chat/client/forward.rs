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
//! messages[].reasoning_content, ...  -> the name it may come back in, or gone;
//!                                       what our signatures carry, back in its place
//! stream                             -> true, where the endpoint does nothing else;
//!                                       gone, where it does not stream tools
//! temperature                        -> what the endpoint takes
//! params, drop, add of the accent    -> as they say
//! ```
//! It does not fold system messages, shorten `stop`, or leave out images: what an
//! endpoint refuses of its own dialect, it says itself.

use std::{borrow::Cow, collections::HashSet};

use memchr::memmem;
use serde_json::value::RawValue;

use super::carrier;
use super::conversation::REASONING;
use super::returned::Returned;
use crate::dialect::chat::accent::{Accent, OutputLimit, ReasoningAsk, ReasoningBack};
use crate::dialect::chat::members;
use crate::dialect::chat::names::Names;
use crate::dialect::chat::request::{EncodeOptions, Encoded};
use crate::dialect::chat::sampling;
use crate::fields::{Extras, Fields, Path};
use crate::ir::{Losses, Refused, Request};
use crate::json::{ObjectWriter, as_count, write_array, write_count};

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
    let members = last_of_each(fields.rest());
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
    members::add(&mut forwarder.out, options.accent);
    let (body, members) = members::retain(forwarder.out, options.accent, &mut forwarder.losses);
    Ok(Encoded {
        body,
        members,
        losses: forwarder.losses,
        names: Names::default(),
    })
}

/// Of a repeated member the last one, which is the one that counts.
fn last_of_each(members: Extras<'_>) -> Extras<'_> {
    let mut seen = HashSet::with_capacity(members.len());
    let mut kept: Vec<_> = members
        .into_iter()
        .rev()
        .filter(|(key, _)| seen.insert(key.clone()))
        .collect();
    kept.reverse();
    kept
}

struct Forwarder<'o> {
    options: EncodeOptions<'o>,
    accent: &'o Accent,
    streams: bool,
    /// A whole answer is asked for, whatever the client wants.
    is_whole: bool,
    /// The member that limits the answer.
    limit: &'static str,
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
            Ok(fields) => last_of_each(fields.rest()),
            Err(_) => return out.extend_from_slice(raw.get().as_bytes()),
        };
        let placeholder = self.accent.signature_placeholder.as_deref();
        let concerns = |(key, _): &(Cow<'_, str>, _)| {
            is_reasoning(key) || placeholder.is_some() && key == "tool_calls"
        };
        if !members.iter().any(concerns) {
            return out.extend_from_slice(raw.get().as_bytes());
        }
        let root = Path::Root;
        let at = root.key("messages");
        let at = at.index(index);
        let returned = Returned::of(&members, self.options.family);
        let mut way = Way {
            // Without a signature nobody knows whose reasoning it is, and the client,
            // who sends it, is believed.
            is_open: self.accent.reasoning_back != ReasoningBack::Never && !returned.is_foreign,
            details: match self.accent.reasoning_back {
                ReasoningBack::Same | ReasoningBack::Details => &returned.details,
                _ => &[],
            },
            has_text: false,
        };
        let mut message = ObjectWriter::with_capacity(raw.get().len());
        for (key, raw) in &members {
            match &**key {
                "tool_calls" => message.raw(key, &returned.tool_calls(raw, placeholder)),
                key if is_reasoning(key) && raw.get() != "null" => {
                    self.reasoning(&mut message, key, raw, &mut way, &at);
                }
                _ => message.raw(key, raw.get()),
            }
        }
        if let Some(extra) = &returned.message
            && !message.has("extra_content")
        {
            message.raw("extra_content", extra);
        }
        out.extend_from_slice(&message.finish().0);
    }

    fn reasoning(
        &mut self,
        message: &mut ObjectWriter,
        key: &str,
        raw: &RawValue,
        way: &mut Way<'_>,
        at: &Path<'_>,
    ) {
        let value = match key {
            "reasoning_details" => unpacked(raw, way.details),
            // The details hold the text.
            _ if way.is_open && !way.details.is_empty() => None,
            _ => Some(Cow::Borrowed(raw.get())),
        };
        let Some(value) = value else { return };
        if !way.is_open {
            return self.losses.report(
                at.key(key),
                "reasoning goes back only to an upstream that takes it, and gave it",
            );
        }
        if key == "reasoning_details" {
            return message.raw(key, &value);
        }
        match self.reasoning_name() {
            None => message.raw(key, &value),
            // Two names held the same text.
            Some(_) if way.has_text => {}
            Some(name) => message.raw(name, &value),
        }
        way.has_text = true;
    }

    /// The name under which reasoning goes back, if not under its own.
    fn reasoning_name(&self) -> Option<&'static str> {
        match self.accent.reasoning_back {
            ReasoningBack::Same
            | ReasoningBack::Never
            | ReasoningBack::Details
            | ReasoningBack::Parts
            | ReasoningBack::Tags => None,
            ReasoningBack::Always | ReasoningBack::ReasoningContent => Some("reasoning_content"),
            ReasoningBack::Reasoning => Some("reasoning"),
        }
    }
}

/// How a message's reasoning goes back.
struct Way<'a> {
    /// Whether it does.
    is_open: bool,
    /// Items of `reasoning_details` that our signatures held.
    details: &'a [String],
    /// Whether its text has been written.
    has_text: bool,
}

fn is_reasoning(key: &str) -> bool {
    REASONING.contains(&key) || key == "reasoning_details"
}

/// `reasoning_details` with `details` in the place of our items; none if nothing
/// is left.
fn unpacked<'a>(raw: &'a RawValue, details: &[String]) -> Option<Cow<'a, str>> {
    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    let foreign: Vec<_> = items
        .iter()
        .filter(|item| carrier::read(item).is_none())
        .collect();
    if foreign.len() == items.len() {
        return Some(Cow::Borrowed(raw.get()));
    }
    let foreign = foreign.iter().map(|item| item.get());
    let texts: Vec<_> = details.iter().map(String::as_str).chain(foreign).collect();
    (!texts.is_empty()).then(|| Cow::Owned(format!("[{}]", texts.join(","))))
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
            r#","n":3,"seed":1,"logprobs":true,"user":"me","stop":["1","2","3","4","5"]"#,
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
        check_message(&same, &ours("here"), plain, 0);
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
        check_message(
            &back(ReasoningBack::ReasoningContent),
            r#","reasoning":"r","reasoning_content":"r""#,
            plain,
            0,
        );
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
            any::<u16>().prop_map(|n| ("n", json!(n))),
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
