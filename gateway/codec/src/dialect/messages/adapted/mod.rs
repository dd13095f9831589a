//! A Messages request on its way to an upstream with an [`Accent`].
//!
//! ```text
//! model            the target's
//! system           as it came; without Claude Code's line about billing, and
//!                  with instructions that have no other place, if need be
//! messages         each in the client's own bytes, unless something in it must
//!                  change (`conversation.rs`)
//! tools            without those that only Anthropic runs; tool_choice fits
//! thinking,
//! output_config,
//! max_tokens       what the endpoint understands
//! others           as they came, or as `params`, `drop` and `add` say
//! ```
//! Values that need no change are slices of the client's body. Of a repeated
//! member the last counts, and is the only one sent.

mod conversation;

use std::borrow::Cow;

use serde_json::value::RawValue;

use self::conversation::Conversation;
use super::accent::{
    Accent, LOWERED, MOVED, NO_BUDGET, NO_FIELD, NO_SCHEMA, NO_THINKING, OutputSchema, ThinkingType,
};
use super::blocks::{is_billing_line, schema_instruction, text_block, write_blocks};
use super::outbound::{BUDGET_TOKENS_MIN, Encoded, MAX_TOKENS_DEFAULT};
use crate::fields::{DecodeError, Fields, Path, required};
use crate::ir::{Losses, Request, Thinking, ToolChoiceKind};
use crate::json::{ObjectWriter, Text, write_count};

/// `body`, from which `request` was decoded, for an upstream with `accent` that
/// calls the model `model`.
pub(super) fn forward(
    body: &str,
    request: &Request<'_>,
    model: &str,
    accent: &Accent,
) -> Result<Encoded, DecodeError> {
    let root = Path::Root;
    let members = Fields::parse(body, &root)?.distinct();
    let messages = members.iter().find(|(key, _)| key == "messages");
    let messages = required(messages, &root, "messages")?.1;
    let mut losses = Losses::default();
    let conversation = Conversation::adapted(messages, request, accent, &mut losses)?;
    let mut forwarder = Forwarder {
        request,
        model,
        accent,
        conversation,
        losses,
        out: ObjectWriter::with_capacity(body.len() + 256),
    };
    let schema = forwarder.schema();
    forwarder.conversation.system.extend(schema);
    if !members
        .iter()
        .any(|(key, raw)| key == "system" && raw.get() != "null")
    {
        forwarder.system(None);
    }
    for (key, raw) in members {
        forwarder.member(&key, raw);
    }
    let mut losses = forwarder.losses;
    let (body, members) = accent.settle(forwarder.out, &mut losses);
    Ok(Encoded {
        body,
        members,
        losses,
    })
}

struct Forwarder<'r> {
    request: &'r Request<'r>,
    model: &'r str,
    accent: &'r Accent,
    conversation: Conversation,
    losses: Losses,
    out: ObjectWriter,
}

impl Forwarder<'_> {
    fn member(&mut self, key: &str, raw: &RawValue) {
        match key {
            _ if raw.get() == "null" && key != "model" => {
                if key != "system" {
                    self.out.raw(key, "null");
                }
            }
            "model" => self.out.string(key, self.model),
            "messages" => {
                let messages = std::mem::take(&mut self.conversation.messages);
                self.out.member(key, |out| out.extend_from_slice(&messages));
            }
            "system" => self.system(Some(raw)),
            "tools" => self.tools(raw),
            "tool_choice" => self.tool_choice(raw),
            "thinking" => self.thinking(raw),
            "output_config" => self.output_config(raw),
            "max_tokens" => self.max_tokens(raw),
            _ => self.out.raw(key, raw.get()),
        }
    }

    /// The instructions: the client's, and those that found their way here.
    fn system(&mut self, raw: Option<&RawValue>) {
        let accent = self.accent;
        let given = &self.request.system;
        let more = std::mem::take(&mut self.conversation.system);
        let is_cut = |block| !accent.billing_line && is_billing_line(block);
        if more.is_empty() && !given.iter().any(is_cut) {
            if let Some(raw) = raw {
                self.out.raw("system", raw.get());
            }
            return;
        }
        let text = raw.and_then(Text::from_raw).map(|text| text_block(&text));
        let items: Vec<&RawValue> = raw
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default();
        let items = items.into_iter().map(|item| item.get().as_bytes());
        let items = text.as_deref().into_iter().chain(items).zip(given);
        let kept = items.filter(|(_, block)| !is_cut(block));
        let kept: Vec<&[u8]> = kept
            .map(|(item, _)| item)
            .chain(more.iter().map(Vec::as_slice))
            .collect();
        if !kept.is_empty() {
            self.out.member("system", |out| write_blocks(out, &kept));
        }
    }

    /// Whether the answer's schema is said in words: the endpoint reads none.
    fn says_schema(&self) -> bool {
        self.accent.output_schema == OutputSchema::Instruction
            && self.request.output_schema.is_some()
    }

    fn schema(&mut self) -> Option<Vec<u8>> {
        let schema = self.request.output_schema.filter(|_| self.says_schema())?;
        self.losses.report("output_config.format", NO_SCHEMA);
        Some(schema_instruction(schema))
    }

    fn output_config(&mut self, raw: &RawValue) {
        let fields = match Fields::of(raw, &Path::Root) {
            Ok(fields) if self.says_schema() => fields,
            _ => return self.out.raw("output_config", raw.get()),
        };
        let mut config = ObjectWriter::with_capacity(64);
        let mut is_empty = true;
        for (key, raw) in fields.distinct() {
            if key != "format" {
                is_empty = false;
                config.raw(&key, raw.get());
            }
        }
        if !is_empty {
            let (config, _) = config.finish();
            self.out
                .member("output_config", |out| out.extend_from_slice(&config));
        }
    }

    fn tools(&mut self, raw: &RawValue) {
        let root = Path::Root;
        let at = root.key("tools");
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
        let mut kept = Vec::with_capacity(items.len());
        let mut is_changed = false;
        for (i, (item, tool)) in items.into_iter().zip(&self.request.tools).enumerate() {
            let at = at.index(i);
            if !self.accent.takes_tool(tool) {
                self.losses.report(at, "a tool that only its vendor runs");
                is_changed = true;
            } else if let Some(tool) = self.fitting(item, &at) {
                kept.push(Cow::Owned(tool));
                is_changed = true;
            } else {
                kept.push(Cow::Borrowed(item.get().as_bytes()));
            }
        }
        if !is_changed {
            self.out.raw("tools", raw.get());
        } else if !kept.is_empty() {
            self.out.member("tools", |out| write_blocks(out, &kept));
        }
    }

    /// A tool without the members that are not taken; none if it has none of those.
    fn fitting(&mut self, tool: &RawValue, at: &Path<'_>) -> Option<Vec<u8>> {
        let members = Fields::of(tool, at).ok()?.distinct();
        if members.iter().all(|(key, _)| self.accent.takes_field(key)) {
            return None;
        }
        let mut fitting = ObjectWriter::with_capacity(tool.get().len());
        for (key, raw) in members {
            if self.accent.takes_field(&key) {
                fitting.raw(&key, raw.get());
            } else if !matches!(raw.get(), "null" | "false") {
                self.losses.report(at.key(&key), NO_FIELD);
            }
        }
        Some(fitting.finish().0)
    }

    /// The choice among the tools that are left.
    fn tool_choice(&mut self, raw: &RawValue) {
        let tools = &self.request.tools;
        let mut left = tools.iter().filter(|tool| self.accent.takes_tool(tool));
        let choice = self.request.tool_choice.as_ref().map(|choice| &choice.kind);
        let is_possible = match choice {
            Some(ToolChoiceKind::Tool(name)) => left.any(|tool| tool.name == *name),
            _ => left.next().is_some(),
        };
        let nothing_went = tools.iter().all(|tool| self.accent.takes_tool(tool));
        if is_possible || nothing_went {
            self.out.raw("tool_choice", raw.get());
        } else if !matches!(choice, Some(ToolChoiceKind::Auto | ToolChoiceKind::None)) {
            self.losses
                .report("tool_choice", "the upstream has no such tool to choose");
        }
    }

    /// The wish to reason, in a value that the endpoint knows, with a budget below
    /// the answer's limit.
    fn thinking(&mut self, raw: &RawValue) {
        let Some(wanted) = self.request.thinking else {
            return self.out.raw("thinking", raw.get());
        };
        let tokens = self.request.max_tokens.unwrap_or(MAX_TOKENS_DEFAULT);
        let most = self.accent.output_limit_max.unwrap_or(u64::MAX);
        let room = tokens.min(most).saturating_sub(1).max(BUDGET_TOKENS_MIN);
        let enabled = |budget| format!(r#"{{"type":"enabled","budget_tokens":{budget}}}"#);
        let sent = match (wanted, self.accent.nearest_thinking(wanted)) {
            (_, None) => return self.losses.report("thinking", NO_THINKING),
            (Thinking::Adaptive, Some(ThinkingType::Enabled)) => enabled(room),
            (Thinking::Enabled { .. }, Some(ThinkingType::Adaptive)) => {
                self.losses.report("thinking.budget_tokens", NO_BUDGET);
                r#"{"type":"adaptive"}"#.to_owned()
            }
            (Thinking::Enabled { budget_tokens }, _) if tokens > most && budget_tokens > room => {
                self.losses.report("thinking.budget_tokens", MOVED);
                enabled(room)
            }
            _ => raw.get().to_owned(),
        };
        self.out.raw("thinking", &sent);
    }

    fn max_tokens(&mut self, raw: &RawValue) {
        match (self.request.max_tokens, self.accent.output_limit_max) {
            (Some(wanted), Some(most)) if wanted > most => {
                self.losses.report("max_tokens", LOWERED);
                self.out.member("max_tokens", |out| write_count(out, most));
            }
            _ => self.out.raw("max_tokens", raw.get()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::decode_request;
    use super::*;

    /// The messages of a body, some of them written oddly.
    const HEAD: &str = r#"{"role":"user","content":[ {"type":"text","text":"\u00e9"} ]}"#;
    const SAID: &str = r#"{"content":"ok" , "role":"assistant"}"#;

    fn forwarded(accent: &Value, body: &str) -> Encoded {
        let accent = serde_json::from_value(accent.clone()).expect("an accent");
        let request = decode_request(body).expect("a request");
        forward(body, &request, "claude", &accent).expect("its body")
    }

    /// `{"model":"m","messages":[MESSAGES]REST}` under `accent`.
    #[track_caller]
    fn check(accent: Value, messages: &[&str], rest: &str, expected: &str, lost: &[&str]) {
        let messages = messages.join(",");
        let body = format!(r#"{{"model":"m","messages":[{messages}]{rest}}}"#);
        let encoded = forwarded(&accent, &body);
        let sent = String::from_utf8(encoded.body).expect("text");
        assert_eq!(sent, expected);
        let losses = encoded.losses.listed().iter();
        let losses: Vec<_> = losses.map(|loss| loss.path.as_str()).collect();
        assert_eq!(losses, lost);
    }

    fn body(messages: &[&str], rest: &str) -> String {
        let messages = messages.join(",");
        format!(r#"{{"model":"claude","messages":[{messages}]{rest}}}"#)
    }

    #[test]
    fn what_need_not_change_stays_in_its_bytes() {
        let rest = r#","max_tokens":1e1,"x":{ "y" : 1.50 },"system":"s","tools":[ {"name":"f","input_schema":{}} ]"#;
        for accent in [
            json!({ "betas": false }),
            json!({ "mid_system": "fold", "blocks": ["thinking"], "anthropic_tools": [], "billing_line": false }),
            json!({ "mid_system": "hoist", "thinking_back": "always", "output_schema": "instruction", "thinking": [] }),
        ] {
            let messages = [HEAD, SAID, HEAD];
            check(accent, &messages, rest, &body(&messages, rest), &[]);
        }
        check(
            json!({ "betas": false }),
            &[HEAD],
            r#","model":"n","top_k":null"#,
            &format!(r#"{{"messages":[{HEAD}],"model":"claude","top_k":null}}"#),
            &[],
        );
    }

    #[test]
    fn system_messages_find_a_place() {
        let system = r#"{"role":"system","content":[{"type":"text","text":"a\n","cache_control":{"type":"ephemeral"}},{"type":"text","text":" "}]}"#;
        let reminder = r#"{"type":"text","text":"<system-reminder>\na\n\n</system-reminder>","cache_control":{"type":"ephemeral"}}"#;
        let result = r#"{"type":"tool_result","tool_use_id":"t","content":"r"}"#;
        let results =
            format!(r#"{{"role":"user","content":[{result},{{"type":"text","text":"b"}}]}}"#);
        let user = |blocks: &str| format!(r#"{{"role":"user","content":[{blocks}]}}"#);
        let fold = |messages: &[&str], expected: &[&str]| {
            check(
                json!({ "mid_system": "fold" }),
                messages,
                "",
                &body(expected, ""),
                &[],
            );
        };
        // Behind the user's words, string or not.
        fold(
            &[HEAD, system, SAID],
            &[
                &user(&format!(r#"{{"type":"text","text":"\u00e9"}},{reminder}"#)),
                SAID,
            ],
        );
        fold(
            &[
                r#"{"role":"user","x":1,"content":"\u00e9"}"#,
                system,
                system,
            ],
            &[&format!(
                r#"{{"role":"user","x":1,"content":[{{"type":"text","text":"\u00e9"}},{reminder},{reminder}]}}"#
            )],
        );
        // Ahead of the next ones, but for results; else alone.
        fold(
            &[SAID, system, &results],
            &[
                SAID,
                &user(&format!(
                    r#"{result},{reminder},{{"type":"text","text":"b"}}"#
                )),
            ],
        );
        fold(&[HEAD, SAID, system], &[HEAD, SAID, &user(reminder)]);
        fold(
            &[HEAD, SAID, system, SAID],
            &[HEAD, SAID, &user(reminder), SAID],
        );
        let block = r#"{"type":"text","text":"a\n","cache_control":{"type":"ephemeral"}}"#;
        let with_system = |messages: &[&str], rest: &str| {
            let messages = messages.join(",");
            format!(r#"{{"system":[{block}],"model":"claude","messages":[{messages}]{rest}}}"#)
        };
        let fold = json!({ "mid_system": "fold" });
        let hoist = json!({ "mid_system": "hoist" });
        check(fold, &[system, HEAD], "", &with_system(&[HEAD], ""), &[]);
        check(
            hoist.clone(),
            &[HEAD, system, SAID],
            "",
            &with_system(&[HEAD, SAID], ""),
            &[],
        );
        check(
            hoist,
            &[HEAD, system],
            r#","system":"s""#,
            &body(
                &[HEAD],
                &format!(r#","system":[{{"type":"text","text":"s"}},{block}]"#),
            ),
            &[],
        );
        check(
            json!({ "mid_system": "fold" }),
            &[
                HEAD,
                r#"{"role":"system","clear_at":"never","content":[{"type":"tool_removal"}]}"#,
            ],
            "",
            &body(&[HEAD], ""),
            &["messages[1].clear_at", "messages[1].content[0]"],
        );
    }

    #[test]
    fn blocks_that_are_not_taken_leave_a_text_or_go() {
        let image = r#"{"type":"image","source":{"type":"url","url":"u"}}"#;
        let pdf = r#"{"type":"document","source":{"type":"url","url":"u"}}"#;
        let no_image = r#"{"type":"text","text":"[image omitted: this model takes no images]"}"#;
        let no_pdf =
            r#"{"type":"text","text":"[document omitted: it cannot be sent to this model]"}"#;
        let sealed = r#"{"type":"redacted_thinking","data":"d"}"#;
        let text = r#"{"type":"text","text":"t" }"#;
        let search = r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#;
        let found = r#"{"type":"web_search_tool_result","tool_use_id":"s","content":[]}"#;
        let user =
            |blocks: &[&str]| format!(r#"{{"role":"user","content":[{}]}}"#, blocks.join(","));
        let model =
            |blocks: &[&str]| format!(r#"{{"role":"assistant","content":[{}]}}"#, blocks.join(","));
        let result = |blocks: &str| {
            format!(
                r#"{{"type":"tool_result","tool_use_id":"t","content":{blocks},"is_error":true}}"#
            )
        };
        check(
            json!({ "blocks": ["thinking"] }),
            &[
                &user(&[text, image, pdf]),
                &model(&[sealed, text]),
                &model(&[sealed]),
            ],
            "",
            &body(&[&user(&[text, no_image, no_pdf]), &model(&[text])], ""),
            &[
                "messages[0].content[1]",
                "messages[0].content[2]",
                "messages[1].content[0]",
                "messages[2].content[0]",
            ],
        );
        check(
            json!({ "anthropic_tools": [] }),
            &[HEAD, &model(&[search, found, text, sealed])],
            "",
            &body(&[HEAD, &model(&[text, sealed])], ""),
            &["messages[1].content[0]", "messages[1].content[1]"],
        );
        // Images of results go behind them all, if messages take any.
        let image_result = result(&format!("[{image}]"));
        let behind = result(r#"[{"type":"text","text":"[image: it follows the results]"}]"#);
        check(
            json!({ "result_blocks": ["text"] }),
            &[&user(&[&image_result, &result("\"r\""), text])],
            "",
            &body(&[&user(&[&behind, &result("\"r\""), text, image])], ""),
            &[],
        );
        check(
            json!({ "blocks": ["document"], "result_blocks": ["text"] }),
            &[&user(&[
                &image_result,
                &result(&format!("[{sealed}]")),
                &result(&format!("[{text},{pdf}]")),
            ])],
            "",
            &body(
                &[&user(&[
                    &result(&format!("[{no_image}]")),
                    &result("\"\""),
                    &result(&format!("[{text},{no_pdf}]")),
                ])],
                "",
            ),
            &[
                "messages[0].content[0].content[0]",
                "messages[0].content[1].content[0]",
                "messages[0].content[2].content[1]",
            ],
        );
    }

    #[test]
    fn thinking_goes_back_as_it_is_wanted() {
        let ours = r#"{"type":"thinking","thinking":"a","signature":"sluice1.reasoning.f"}"#;
        let theirs = r#"{"type":"thinking","thinking":"a","signature":""}"#;
        let call = r#"{"type":"tool_use","id":"t","name":"f","input":{ }}"#;
        let blank = r#"{"type":"thinking","thinking":" ","signature":""}"#;
        let model =
            |blocks: &[&str]| format!(r#"{{"role":"assistant","content":[{}]}}"#, blocks.join(","));
        let always = json!({ "thinking_back": "always" });
        let lost = ["messages[1].content[0]"];
        for (said, sent, lost) in [
            (model(&[theirs, call]), model(&[theirs, call]), &[][..]),
            (model(&[call]), model(&[blank, call]), &[]),
            (model(&[ours, call]), model(&[blank, call]), &lost),
            (SAID.to_owned(), SAID.to_owned(), &[]),
        ] {
            check(
                always.clone(),
                &[HEAD, &said],
                "",
                &body(&[HEAD, &sent], ""),
                lost,
            );
        }
        let same = json!({ "betas": false });
        check(
            same.clone(),
            &[HEAD, &model(&[ours, call])],
            "",
            &body(&[HEAD, &model(&[call])], ""),
            &lost,
        );
        check(
            same,
            &[HEAD, &model(&[ours])],
            "",
            &body(&[HEAD], ""),
            &lost,
        );
    }

    #[test]
    fn top_level_members_fit() {
        let with = |accent: Value, rest: &str, expected: &str, lost: &[&str]| {
            check(accent, &[HEAD], rest, &body(&[HEAD], expected), lost);
        };
        let f = r#"{ "name":"f" }"#;
        let search = r#"{"type":"web_search_20250305","name":"web_search"}"#;
        let none = json!({ "anthropic_tools": [] });
        for (choice, sent, lost) in [
            (
                "auto",
                r#","tool_choice":{"type":"auto"}"#,
                &["tools[1]"][..],
            ),
            (
                "tool\",\"name\":\"f",
                r#","tool_choice":{"type":"tool","name":"f"}"#,
                &["tools[1]"],
            ),
            (
                "tool\",\"name\":\"web_search",
                "",
                &["tools[1]", "tool_choice"],
            ),
        ] {
            let choice = format!(r#","tool_choice":{{"type":"{choice}"}}"#);
            with(
                none.clone(),
                &format!(r#","tools":[{f},{search}]{choice}"#),
                &format!(r#","tools":[{f}]{sent}"#),
                lost,
            );
        }
        let alone = format!(r#","tools":[{search}],"tool_choice":{{"type":"auto"}}"#);
        with(none, &alone, "", &["tools[0]"]);
        with(
            json!({ "anthropic_tools": ["web_search"] }),
            &alone,
            &alone,
            &[],
        );

        let marked = r#","tools":[{"name":"f","cache_control":{},"strict":true,"x":false}]"#;
        with(
            json!({ "tool_fields": ["strict"] }),
            marked,
            r#","tools":[{"name":"f","strict":true}]"#,
            &["tools[0].cache_control"],
        );

        let thinking = |value: &str| format!(r#","max_tokens":5000,"thinking":{value}"#);
        let adaptive = r#"{"type":"adaptive","display":"omitted"}"#;
        let budget = r#"{"type":"enabled","budget_tokens":4000}"#;
        let off = r#"{"type":"disabled"}"#;
        for (taken, wanted, sent, lost) in [
            (json!(["adaptive"]), adaptive, Some(adaptive), None),
            (
                json!(["enabled"]),
                adaptive,
                Some(r#"{"type":"enabled","budget_tokens":4999}"#),
                None,
            ),
            (
                json!(["adaptive"]),
                budget,
                Some(r#"{"type":"adaptive"}"#),
                Some("thinking.budget_tokens"),
            ),
            (json!(["enabled", "disabled"]), off, Some(off), None),
            (json!(["enabled"]), off, None, Some("thinking")),
        ] {
            let sent = sent.map_or(r#","max_tokens":5000"#.to_owned(), thinking);
            with(
                json!({ "thinking": taken, "betas": false }),
                &thinking(wanted),
                &sent,
                lost.as_slice(),
            );
        }
        let lowered = r#","max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":1999}"#;
        let lost = ["max_tokens", "thinking.budget_tokens"];
        with(
            json!({ "output_limit_max": 2000 }),
            &thinking(budget),
            lowered,
            &lost,
        );

        with(
            json!({ "drop": ["top_k"], "add": { "a": [1], "b": 2 } }),
            r#","top_k":1,"b":3"#,
            r#","b":3,"a":[1]"#,
            &["top_k"],
        );
        with(
            json!({ "params": ["top_p"] }),
            r#","top_k":1,"top_p":1,"max_tokens":3"#,
            r#","top_p":1,"max_tokens":3"#,
            &["top_k"],
        );
    }

    #[test]
    fn instructions_join_the_system() {
        let billing = r#"{"type":"text","text":"x-anthropic-billing-header: v"}"#;
        let s = r#"{"type":"text", "text":"s"}"#;
        let cut = json!({ "billing_line": false });
        let with = |accent: &Value, rest: &str, expected: &str, lost: &[&str]| {
            check(
                accent.clone(),
                &[HEAD],
                rest,
                &body(&[HEAD], expected),
                lost,
            );
        };
        with(
            &cut,
            &format!(r#","system":[{billing},{s}]"#),
            &format!(r#","system":[{s}]"#),
            &[],
        );
        with(&cut, &format!(r#","system":[{billing}]"#), "", &[]);
        let schema = r#"{"type":"json_schema","schema":{"type":"object"}}"#;
        let said = r#"{"type":"text","text":"Answer with one JSON object and nothing else. It must fit this JSON schema:\n{\"type\":\"object\"}"}"#;
        let words = json!({ "output_schema": "instruction" });
        let lost = ["output_config.format"];
        with(
            &words,
            &format!(r#","system":[{s}],"output_config":{{"effort":"low","format":{schema}}}"#),
            &format!(r#","system":[{s},{said}],"output_config":{{"effort":"low"}}"#),
            &lost,
        );
        check(
            words,
            &[HEAD],
            &format!(r#","output_config":{{"format":{schema}}}"#),
            &format!(r#"{{"system":[{said}],"model":"claude","messages":[{HEAD}]}}"#),
            &lost,
        );
    }

    fn any_message() -> impl Strategy<Value = Value> {
        let block = prop_oneof![
            Just(json!({ "type": "text", "text": "t" })),
            Just(json!({ "type": "image", "source": { "type": "url", "url": "u" } })),
            Just(json!({ "type": "redacted_thinking", "data": "d" })),
            Just(json!({ "type": "tool_use", "id": "1", "name": "f", "input": {} })),
            Just(json!({ "type": "thinking", "thinking": "t", "signature": "sluice1.r.f" })),
            Just(
                json!({ "type": "tool_result", "tool_use_id": "1", "content": [
                { "type": "image", "source": { "type": "url", "url": "u" } }, { "type": "new" }] })
            ),
        ];
        let content = prop_oneof![
            prop::collection::vec(block, 0..4).prop_map(Value::from),
            Just(json!("s")),
        ];
        let role = prop_oneof![Just("user"), Just("assistant"), Just("system")];
        (role, content).prop_map(|(role, content)| json!({ "role": role, "content": content }))
    }

    proptest! {
        /// What prompt caches demand.
        #[test]
        fn the_next_body_begins_with_this_one(mut messages in prop::collection::vec(any_message(), 0..10)) {
            let said = |role: &str| json!({ "role": role, "content": "q" });
            for accent in [
                json!({ "mid_system": "fold", "blocks": ["tool_reference"], "thinking_back": "always" }),
                json!({ "mid_system": "fold", "result_blocks": ["text"], "anthropic_tools": [] }),
                json!({ "betas": false, "blocks": ["image"] }),
            ] {
                let written = |messages: &[Value]| {
                    let body = json!({ "model": "m", "messages": messages }).to_string();
                    let sent = forwarded(&accent, &body);
                    let is_messages = |member: &&crate::json::Member| &sent.body[member.key.clone()] == b"messages";
                    let at = sent.members.iter().find(is_messages).unwrap().value.clone();
                    String::from_utf8(sent.body[at.start..at.end - 1].to_vec()).unwrap()
                };
                messages.push(said("user"));
                let this = written(&messages);
                messages.extend([said("assistant"), said("user")]);
                let next = written(&messages);
                prop_assert!(next.starts_with(&this), "{} {}", this, next);
            }
        }
    }
}
