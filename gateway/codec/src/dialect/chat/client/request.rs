//! A Chat Completions request, decoded from a client.
//!
//! Members without a place in the inner form stay in `extras`, under their path
//! from the body's root, and become losses where the request is translated. What
//! would not change the answer (`n: 1`, `logprobs: false`) counts as absent.
//! The indexes of the inner form's messages are not the body's: results of tools
//! that follow each other share one message.
//!
//! Nothing is refused here that an upstream of the same dialect could answer:
//! that is [`check_translatable`]'s part, and only where another dialect is spoken.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::conversation::conversation;
use super::tools::{tool_choice, tools};
use crate::fields::{DecodeError, Extras, Fields, Path, required};
use crate::ir::{Block, Refused, Request, RequestMessage, Thinking};
use crate::json::{Text, as_count};

/// Members that say nothing with these values.
const NEUTRAL: [(&str, &[&str]); 9] = [
    ("n", &["1"]),
    ("logprobs", &["false"]),
    ("presence_penalty", &["0", "0.0"]),
    ("frequency_penalty", &["0", "0.0"]),
    ("store", &["false"]),
    ("service_tier", &["\"auto\"", "\"default\""]),
    ("modalities", &["[\"text\"]"]),
    ("verbosity", &["\"medium\""]),
    ("stream_options.include_obfuscation", &["false"]),
];

/// A request of a Chat Completions client.
#[derive(Debug)]
pub struct ClientRequest<'a> {
    /// The request.
    pub request: Request<'a>,
    /// Whether the stream ends with a chunk of token counts
    /// (`stream_options.include_usage`).
    pub include_usage: bool,
}

/// Decode the body of a request.
pub fn decode_client_request(body: &str) -> Result<ClientRequest<'_>, DecodeError> {
    let at = &Path::Root;
    let mut fields = Fields::parse(body, at)?;
    let talk = conversation(required(fields.take("messages"), at, "messages")?)?;
    let mut request = Request {
        model: required(fields.take_str("model", at)?, at, "model")?,
        stream: fields.take_bool("stream", at)?.unwrap_or(false),
        max_tokens: None,
        system: talk.system,
        messages: talk.messages,
        tools: tools(&mut fields)?,
        tool_choice: None,
        stop_sequences: stop_sequences(&mut fields)?,
        temperature: fields.take_number("temperature", at)?,
        top_p: fields.take_number("top_p", at)?,
        top_k: fields.take_number("top_k", at)?,
        thinking: None,
        omits_reasoning: false,
        effort: fields.take_str("reasoning_effort", at)?,
        output_schema: None,
        user_id: fields.take_text("user", at)?,
        extras: talk.extras,
    };
    if request.effort.as_deref() == Some("none") {
        request.effort = None;
        request.thinking = Some(Thinking::Disabled);
    }
    output_limit(&mut fields, &mut request)?;
    tool_choice(&mut fields, &mut request)?;
    response_format(&mut fields, &mut request)?;
    let include_usage = stream_options(&mut fields, &mut request)?;
    request.extras.extend(fields.rest());
    request
        .extras
        .retain(|(key, value)| !is_neutral(key, value));
    Ok(ClientRequest {
        request,
        include_usage,
    })
}

/// The newer name wins; a different older one is kept as unheeded.
fn output_limit<'a>(fields: &mut Fields<'a>, request: &mut Request<'a>) -> Result<(), DecodeError> {
    let at = &Path::Root;
    let newer = fields.take_count("max_completion_tokens", at)?;
    let raw = fields.take("max_tokens");
    let older = raw.map(|raw| count(raw, "max_tokens")).transpose()?;
    if let (Some(raw), Some(newer), Some(older)) = (raw, newer, older)
        && newer != older
    {
        request.extras.push((Cow::Borrowed("max_tokens"), raw));
    }
    request.max_tokens = newer.or(older);
    Ok(())
}

fn count(raw: &RawValue, key: &str) -> Result<u64, DecodeError> {
    let is_number = !raw.get().starts_with('"');
    as_count(raw)
        .filter(|_| is_number)
        .ok_or_else(|| DecodeError::at(&Path::Root.key(key), "expected a whole number"))
}

/// `stop`: a string, or several.
fn stop_sequences<'a>(fields: &mut Fields<'a>) -> Result<Vec<Text<'a>>, DecodeError> {
    let at = Path::Root;
    let at = at.key("stop");
    let Some(raw) = fields.take("stop") else {
        return Ok(Vec::new());
    };
    if let Some(text) = Text::from_raw(raw) {
        return Ok(vec![text]);
    }
    let items: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|_| DecodeError::at(&at, "expected a string or an array of strings"))?;
    let text = |(i, raw)| {
        Text::from_raw(raw).ok_or_else(|| DecodeError::at(&at.index(i), "expected a string"))
    };
    items.into_iter().enumerate().map(text).collect()
}

/// What asks for JSON where no parameter does.
const JSON_OBJECT: &str = "Answer with one JSON object and nothing else.";

/// A schema is a schema everywhere. Other formats are not (the grammars of some
/// servers), but `json_object` can be said in words. `strict` says nothing: the inner form's schemas
/// always bind.
fn response_format<'a>(
    fields: &mut Fields<'a>,
    request: &mut Request<'a>,
) -> Result<(), DecodeError> {
    let at = Path::Root;
    let at = &at.key("response_format");
    let Some(raw) = fields.take("response_format") else {
        return Ok(());
    };
    let mut format = Fields::of(raw, at)?;
    match &*required(format.take_str("type", at)?, at, "type")? {
        "text" => {}
        "json_object" => {
            request.system.push(Block::Text {
                text: Text::new(JSON_OBJECT),
                extras: Vec::new(),
            });
            request.extras.push((Cow::Borrowed("response_format"), raw));
            return Ok(());
        }
        "json_schema" => {
            let schema = format.take_object("json_schema", at)?;
            let mut schema = required(schema, at, "json_schema")?;
            let at = &at.key("json_schema");
            let raw = schema.take_raw_object("schema", at)?;
            request.output_schema = Some(required(raw, at, "schema")?);
            schema.take_bool("strict", at)?;
            keep(&mut request.extras, at, schema.rest());
        }
        _ => {
            request.extras.push((Cow::Borrowed("response_format"), raw));
            return Ok(());
        }
    }
    keep(&mut request.extras, at, format.rest());
    Ok(())
}

fn stream_options<'a>(
    fields: &mut Fields<'a>,
    request: &mut Request<'a>,
) -> Result<bool, DecodeError> {
    let at = &Path::Root;
    let Some(mut options) = fields.take_object("stream_options", at)? else {
        return Ok(false);
    };
    let at = &at.key("stream_options");
    let include_usage = options.take_bool("include_usage", at)?.unwrap_or(false);
    keep(&mut request.extras, at, options.rest());
    Ok(include_usage)
}

/// Keep members under the path of the object they stood in.
pub(super) fn keep<'a>(extras: &mut Extras<'a>, at: &Path<'_>, rest: Extras<'a>) {
    extras.extend(
        rest.into_iter()
            .map(|(key, raw)| (Cow::Owned(at.key(&key).to_string()), raw)),
    );
}

fn is_neutral(key: &str, value: &RawValue) -> bool {
    NEUTRAL
        .iter()
        .any(|(name, values)| *name == key && values.contains(&value.get()))
}

/// Whether a request that [`decode_client_request`] gave can be answered by an
/// upstream of another dialect at all. What can be left out is left to the
/// encoder, which reports it.
pub fn check_translatable(request: &Request<'_>) -> Result<(), Refused> {
    let extra = |key| {
        let mut members = request.extras.iter();
        members
            .find(|(name, raw)| name == key && raw.get() != "null")
            .map(|(_, raw)| *raw)
    };
    check_answers(request)?;
    if extra("audio").is_some()
        || extra("modalities").is_some_and(|raw| raw.get().contains("audio"))
    {
        let message = "the model answers in text; leave `audio` out and ask for `text` alone";
        return refuse("modalities", message);
    }
    if extra("web_search_options").is_some() {
        let message = "the upstream does not search the web; give the model a tool that does";
        return refuse("web_search_options", message);
    }
    let mut messages = request.messages.iter().enumerate();
    messages.try_for_each(|(i, message)| check_message(i, message))
}

/// Whether the request asks for one answer. An upstream of this dialect gives
/// several, but of its answer, too, only one passes the inner form.
pub(super) fn check_answers(request: &Request<'_>) -> Result<(), Refused> {
    let n = request.extras.iter().find(|(name, _)| name == "n");
    match n.map(|(_, raw)| raw.get()) {
        None | Some("null") => Ok(()),
        Some(_) => refuse(
            "n",
            "only one answer a request is possible here; send one request for each",
        ),
    }
}

fn check_message(index: usize, message: &RequestMessage<'_>) -> Result<(), Refused> {
    let root = Path::Root;
    let at = root.key("messages");
    let at = at.index(index);
    let at = at.key("content");
    let mut blocks = message.content.iter().enumerate();
    blocks.try_for_each(|(i, block)| match block {
        Block::ToolResult { content, .. } => {
            let nested = at.index(i);
            let nested = nested.key("content");
            let mut content = content.iter().enumerate();
            content.try_for_each(|(j, block)| check_block(&nested.index(j), block))
        }
        block => check_block(&at.index(i), block),
    })
}

/// A block without an equivalent, whose absence would change the answer.
fn check_block(at: &Path<'_>, block: &Block<'_>) -> Result<(), Refused> {
    let Block::Other { kind, .. } = block else {
        return Ok(());
    };
    refuse(
        &at.to_string(),
        match &**kind {
            // Reasoning written as a part, by Mistral's models: the encoder reports it.
            "thinking" | "reasoning" => return Ok(()),
            "input_audio" => "`input_audio` has no equivalent here; send its transcript as text",
            "file" => {
                "only a PDF in `file_data` (`data:application/pdf;base64,...`) can be sent here; \
                 send other files as text"
            }
            "custom" => "calls of custom tools have no equivalent here; use function tools",
            _ => "a part that only OpenAI understands; dropping it would change the answer",
        },
    )
}

fn refuse(path: &str, message: &'static str) -> Result<(), Refused> {
    Err(Refused {
        path: path.to_owned(),
        message,
        details: None,
    })
}

/// A `data:` URL's media type and base64 text; none for any other URL.
pub(super) fn data_url<'a>(url: &Text<'a>) -> Option<(Text<'a>, Text<'a>)> {
    // Some libraries escape each slash, a few everything.
    let plain = match url.escaped() {
        text if text.starts_with("data:") || !text.contains('\\') => url.clone(),
        _ => Text::new(&url.decoded()),
    };
    let (head, base64) = plain.split_once(";base64,")?;
    let (scheme, media_type) = head.split_once(":")?;
    if scheme.escaped() != "data" {
        return None;
    }
    let media_type = match media_type.split_once(";") {
        Some((media_type, _parameters)) => media_type,
        None => media_type,
    };
    Some((media_type, base64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ir::{ImageSource, ToolChoiceKind};

    /// A request in few words: `role: block block`, then what else is set.
    fn shown(request: &Request<'_>) -> String {
        let mut lines = Vec::new();
        if !request.system.is_empty() {
            lines.push(format!("system: {}", blocks(&request.system)));
        }
        for message in &request.messages {
            let role = format!("{:?}", message.role).to_lowercase();
            let extras = keys(&message.extras);
            lines.push(format!("{role}: {}{extras}", blocks(&message.content)));
        }
        lines.join(" | ")
    }

    fn blocks(blocks: &[Block<'_>]) -> String {
        let shown = blocks.iter().map(|block| match block {
            Block::Text { text, extras } => format!("{text:?}{}", keys(extras)),
            Block::Image { source, extras } => match source {
                ImageSource::Base64 { media_type, data } => {
                    format!(
                        "image({} {}){}",
                        media_type.decoded(),
                        data.decoded(),
                        keys(extras)
                    )
                }
                ImageSource::Url(url) => format!("image({url:?}){}", keys(extras)),
                ImageSource::Other(raw) => format!("image({raw})"),
            },
            Block::ToolUse {
                id,
                name,
                input,
                extras,
            } => {
                format!("call({id} {name} {input}){}", keys(extras))
            }
            Block::ToolResult {
                id,
                content,
                extras,
                ..
            } => {
                format!("result({id} {}){}", self::blocks(content), keys(extras))
            }
            Block::Thinking { text, signature } => format!("think({text:?} {signature})"),
            Block::ToolReference { name } => format!("tool({name})"),
            Block::Document(raw) => format!("document({raw})"),
            Block::Other { kind, .. } => format!("other({kind})"),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    fn keys(extras: &Extras<'_>) -> String {
        let extras = extras.iter().filter(|(_, raw)| raw.get() != "null");
        let keys: Vec<_> = extras.map(|(key, _)| format!("{key}")).collect();
        if keys.is_empty() {
            String::new()
        } else {
            format!("+[{}]", keys.join(" "))
        }
    }

    fn decode(body: &str) -> Result<ClientRequest<'_>, DecodeError> {
        decode_client_request(body)
    }

    /// The messages `messages`, decoded, or the error.
    #[track_caller]
    fn check(messages: &str, expected: &str) {
        let body = format!(r#"{{"model":"m","messages":{messages}}}"#);
        let got = match decode(&body) {
            Ok(decoded) => shown(&decoded.request),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "{messages}");
    }

    /// The member `members`, decoded and read by `read`, or the error.
    #[track_caller]
    fn check_member(members: &str, read: fn(&ClientRequest<'_>) -> String, expected: &str) {
        let body =
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"u"}}],{members}}}"#);
        let got = match decode(&body) {
            Ok(decoded) => read(&decoded) + &keys(&decoded.request.extras),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "{members}");
    }

    #[test]
    fn instructions_lead_or_stay_in_place() {
        check(
            r#"[{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b"}]},
                {"role":"user","content":"u"},{"role":"system","content":"c"}]"#,
            r#"system: "a" "b" | user: "u" | system: "c""#,
        );
        check("[]", "messages: at least one message is required");
        check(
            r#"[{"role":"bot"}]"#,
            "messages[0].role: expected `system`, `developer`, `user`, `assistant`, `tool` or `function`",
        );
        check(
            r#"[{"role":7}]"#,
            "messages[0].role: expected a string, got `7`",
        );
        check("[3]", "messages[0]: expected an object, got `3`");
        check(
            r#"[{"role":"user","content":4}]"#,
            "messages[0].content: expected a string or an array of content parts",
        );
    }

    #[test]
    fn results_share_a_message_and_come_first() {
        check(
            r#"[{"role":"assistant","content":null,"tool_calls":[
                  {"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\": \"\\n\"}"}},
                  {"id":"2","index":1,"type":"function","function":{"name":"g","arguments":""}}]},
                {"role":"tool","tool_call_id":"1","content":"x"},
                {"role":"tool","tool_call_id":"2","content":[{"type":"text","text":"y"}]},
                {"role":"user","content":"u"},{"role":"user","name":"n","content":"v"}]"#,
            r#"assistant: call(1 f {"a": "\n"}) call(2 g {}) | user: result(1 "x") result(2 "y") "u" "v"+[name]"#,
        );
        check(
            r#"[{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"x"}]"#,
            r#"assistant: call(call_0 f {}) | user: result(call_0 "x")"#,
        );
        check(
            r#"[{"role":"tool","content":"x"}]"#,
            "messages[0].tool_call_id: required, and missing",
        );
    }

    #[test]
    fn arguments_are_the_text_of_an_object() {
        for bad in ["{", "[1]", "3", "nonsense", "{} {}"] {
            check(
                &format!(
                    r#"[{{"role":"assistant","tool_calls":[{{"id":"1","function":{{"name":"f","arguments":"{bad}"}}}}]}}]"#
                ),
                &format!(r#"assistant: call(1 f {{"unparsed_arguments":"{bad}"}})+[arguments]"#),
            );
        }
        check(
            r#"[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":{}}}]}]"#,
            "messages[0].tool_calls[0].function.arguments: expected a string, got an object",
        );
    }

    #[test]
    fn parts_become_blocks() {
        check(
            r#"[{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"t","prompt_cache_breakpoint":{"mode":"explicit"}},
                {"type":"image_url","image_url":{"url":"data:image\/png;base64,iVBO\/w==","detail":"auto"}},
                {"type":"image_url","image_url":{"url":"https://x/y.png","detail":"high"}},
                {"type":"image_url","image_url":"https://x/z.png"},{"type":"input_audio","input_audio":{}}]}]"#,
            r#"user: "t"+[prompt_cache_breakpoint] image(image/png iVBO/w==) image("https://x/y.png")+[detail] image("https://x/z.png") other(input_audio)"#,
        );
        check(
            r#"[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBE"},"x":1},
                {"type":"file","file":{"file_id":"f"}}]}]"#,
            r#"user: document({"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"a.pdf"}) other(file)+[content[0].x]"#,
        );
        check(
            r#"[{"role":"assistant","content":[{"type":"text","text":"t"},{"type":"refusal","refusal":"r"}],"refusal":null,"annotations":[]}]"#,
            r#"assistant: "t" "r"+[annotations]"#,
        );
    }

    #[test]
    fn reasoning_comes_back_with_its_signature_or_without_one() {
        check(
            r#"[{"role":"assistant","content":"t","reasoning_content":"r","reasoning":"r",
                "reasoning_details":[{"type":"reasoning.text","id":"sluice1.0","signature":"sig","index":0}]}]"#,
            r#"assistant: think("r" sig) "t""#,
        );
        check(
            r#"[{"role":"assistant","content":"t","reasoning":"r","reasoning_details":[{"type":"reasoning.text","text":"r","signature":"foreign"}]}]"#,
            r#"assistant: think("r" ) "t"+[reasoning_details]"#,
        );
        check(
            r#"[{"role":"assistant","content":"t","reasoning_content":"a","reasoning":"b"}]"#,
            r#"assistant: think("a" ) "t"+[reasoning]"#,
        );
    }

    #[test]
    fn limits_and_switches() {
        let limit = |r: &ClientRequest<'_>| format!("{:?}", r.request.max_tokens);
        check_member(r#""max_tokens":5"#, limit, "Some(5)");
        check_member(
            r#""max_tokens":5,"max_completion_tokens":7"#,
            limit,
            "Some(7)+[max_tokens]",
        );
        check_member(
            r#""max_tokens":"5""#,
            limit,
            "max_tokens: expected a whole number",
        );
        let stop = |r: &ClientRequest<'_>| format!("{:?}", r.request.stop_sequences);
        check_member(r#""stop":"a\n""#, stop, r#"["a\n"]"#);
        check_member(r#""stop":["a","b"]"#, stop, r#"["a", "b"]"#);
        check_member(r#""stop":["a",1]"#, stop, "stop[1]: expected a string");
        let effort =
            |r: &ClientRequest<'_>| format!("{:?} {:?}", r.request.effort, r.request.thinking);
        check_member(
            r#""reasoning_effort":"high""#,
            effort,
            "Some(\"high\") None",
        );
        check_member(
            r#""reasoning_effort":"none""#,
            effort,
            "None Some(Disabled)",
        );
        let usage = |r: &ClientRequest<'_>| r.include_usage.to_string();
        check_member(
            r#""stream":true,"stream_options":{"include_usage":true,"x":1}"#,
            usage,
            "true+[stream_options.x]",
        );
        check_member(r#""stream_options":null"#, usage, "false");
        check_member(
            r#""n":1,"logprobs":false,"seed":3,"temperature":0.5,"top_p":1,"top_k":4"#,
            usage,
            "false+[seed]",
        );
        check_member(
            r#""temperature":"hot""#,
            usage,
            "temperature: expected a number, got a string",
        );
    }

    #[test]
    fn tools_and_the_choice_among_them() {
        fn read(decoded: &ClientRequest<'_>) -> String {
            let tools = decoded.request.tools.iter().map(|tool| {
                let schema = tool.schema.map_or("-", |raw| raw.get());
                format!(
                    "{}:{:?}:{schema}{} ",
                    tool.name,
                    tool.strict,
                    keys(&tool.extras)
                )
            });
            let choice = decoded.request.tool_choice.as_ref().map(|choice| {
                let kind = match &choice.kind {
                    ToolChoiceKind::Tool(name) => name,
                    ToolChoiceKind::Auto => "auto",
                    ToolChoiceKind::Any => "any",
                    ToolChoiceKind::None => "none",
                };
                format!("{kind} {}", choice.disable_parallel)
            });
            format!(
                "{}{}",
                tools.collect::<String>(),
                choice.unwrap_or_default()
            )
        }
        let two = r#""tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"},"strict":true}},
            {"type":"custom","custom":{"name":"c","format":{"type":"text"}}}]"#;
        let both = r#"f:Some(true):{"type":"object"} c:None:-+[format] "#;
        let choices = [
            ("", both.to_owned()),
            (
                r#","tool_choice":"required","parallel_tool_calls":false"#,
                format!("{both}any true"),
            ),
            (
                r#","parallel_tool_calls":false"#,
                format!("{both}auto true"),
            ),
            (r#","parallel_tool_calls":true"#, both.to_owned()),
            (
                r#","tool_choice":{"type":"function","function":{"name":"f"}}"#,
                format!("{both}f false"),
            ),
            (r#","function_call":{"name":"f"}"#, format!("{both}f false")),
            (
                r#","tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}}]}}"#,
                r#"f:Some(true):{"type":"object"} any false"#.to_owned(),
            ),
            (
                r#","tool_choice":"maybe""#,
                "tool_choice: expected `auto`, `required`, `none` or a named tool".to_owned(),
            ),
        ];
        for (choice, expected) in choices {
            check_member(&format!("{two}{choice}"), read, &expected);
        }
        check_member(
            r#""tool_choice":"none","parallel_tool_calls":false"#,
            read,
            "",
        );
        check_member(
            r#""functions":[{"name":"f"}]"#,
            read,
            r#"f:None:{"type":"object","properties":{}} "#,
        );
        check_member(
            r#""tools":[{"type":"function"}]"#,
            read,
            "tools[0].function: required, and missing",
        );
    }

    #[test]
    fn formats() {
        let schema = |r: &ClientRequest<'_>| {
            r.request
                .output_schema
                .map_or("-", |raw| raw.get())
                .to_owned()
        };
        check_member(r#""response_format":{"type":"text"}"#, schema, "-");
        check_member(
            r#""response_format":{"type":"json_object"}"#,
            schema,
            "-+[response_format]",
        );
        check_member(
            r#""response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"a":1}}}"#,
            schema,
            r#"{"a":1}+[response_format.json_schema.name]"#,
        );
        check_member(
            r#""response_format":{"type":"json_schema"}"#,
            schema,
            "response_format.json_schema: required, and missing",
        );
        check_member(
            r#""response_format":{"type":"json_schema","json_schema":{"schema":"s"}}"#,
            schema,
            "response_format.json_schema.schema: expected an object, got a string",
        );
    }

    #[test]
    fn what_would_change_the_answer_is_refused() {
        #[track_caller]
        fn check(messages: &str, members: &str, path: &str) {
            let body = format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":{messages}}}]{members}}}"#
            );
            let decoded = decode(&body).unwrap();
            let got = check_translatable(&decoded.request).map_err(|refused| refused.path);
            assert_eq!(got.err().unwrap_or_default(), path, "{body}");
        }
        check(
            "\"u\"",
            r#","seed":1,"logit_bias":{"1":2},"logprobs":true,"n":null"#,
            "",
        );
        check("\"u\"", r#","n":2"#, "n");
        check("\"u\"", r#","modalities":["text","audio"]"#, "modalities");
        check("\"u\"", r#","web_search_options":{}"#, "web_search_options");
        check(
            r#"[{"type":"text","text":"t"},{"type":"input_audio"}]"#,
            "",
            "messages[0].content[1]",
        );
        check(
            r#"[{"type":"file","file":{"file_id":"f"}}]"#,
            "",
            "messages[0].content[0]",
        );
        check(
            r#"[{"type":"file","file":{"file_data":"data:application/pdf;base64,AA"}}]"#,
            "",
            "",
        );
    }

    /// Bodies that are nearly right: members under the right names, of any type.
    fn any_json(depth: u32) -> impl Strategy<Value = String> {
        let words = [
            "null",
            "true",
            "7",
            "-1.5e9",
            "\"\"",
            "\"user\"",
            "\"assistant\"",
            "\"tool\"",
            "\"system\"",
            "\"text\"",
            "\"function\"",
            "\"image_url\"",
            "\"file\"",
            "\"{}\"",
            "\"{\\\"a\\\":1}\"",
            "\"data:a\\/b;base64,\\u0041\"",
            "\"data:\\u00e9\"",
            "\"\\ud83d\"",
        ];
        let keys = [
            "model",
            "messages",
            "role",
            "content",
            "type",
            "text",
            "image_url",
            "url",
            "file",
            "file_data",
            "tool_calls",
            "function",
            "name",
            "arguments",
            "id",
            "tool_call_id",
            "function_call",
            "tools",
            "tool_choice",
            "stop",
            "max_tokens",
            "stream",
            "stream_options",
            "reasoning_content",
            "reasoning_details",
            "response_format",
            "json_schema",
            "schema",
            "refusal",
            "signature",
            "functions",
        ];
        let leaf = prop::sample::select(words.to_vec()).prop_map(str::to_owned);
        leaf.prop_recursive(depth, 64, 6, move |inner| {
            let member = (prop::sample::select(keys.to_vec()), inner.clone())
                .prop_map(|(key, value)| format!("\"{key}\":{value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..4)
                    .prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(member, 0..8)
                    .prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_that_arrives_panics(messages in any_json(5), body in any_json(4), cut in any::<prop::sample::Index>()) {
            let _ = decode(&body);
            let whole = format!(r#"{{"model":"m","messages":[{messages},{{"role":"user","content":{messages}}}],"tools":[{body}],"tool_choice":{body}}}"#);
            if let Ok(decoded) = decode(&whole) {
                let _ = check_translatable(&decoded.request);
            }
            let at = (0..=cut.index(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
            let _ = decode(&whole[..at]);
        }

        #[test]
        fn bytes_never_panic(body in ".{0,60}") {
            let _ = decode(&body);
        }
    }
}
