//! The native file as a JSON Schema, for editors.
//!
//! Which members there are is taken from the tables that the reader knows them by;
//! only what each holds is said here. What a schema cannot say, such as that an
//! upstream exists, is for `sluice check`.

use serde_json::{Map, Value, json};

use super::accent;
use super::native::settings;

/// The schema, of the draft 2020-12.
pub fn schema() -> Value {
    let mut schema = object(&settings::TOP, top);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Sluice's configuration");
    schema["$defs"] = json!({
        "route": route(),
        "target": object(&settings::TARGET, target),
        "hook": { "anyOf": [text(), object(&settings::ENTRY, entry)] },
    });
    schema
}

/// A mapping with these members and no others.
fn object(names: &[&str], member: fn(&str) -> Value) -> Value {
    let members = names.iter().map(|name| ((*name).to_owned(), member(name)));
    json!({
        "type": "object",
        "properties": members.collect::<Map<_, _>>(),
        "additionalProperties": false,
    })
}

fn top(name: &str) -> Value {
    match name {
        "include" => list(text()),
        "keys" => list(json!({ "anyOf": [text(), object(&settings::KEY, key)] })),
        "prices" => map(object(
            &settings::PRICE,
            |_| json!({ "type": "number", "minimum": 0 }),
        )),
        "state" => object(&settings::STATE, state),
        "limits" => object(&settings::LIMITS, limit),
        "drain" => object(&settings::DRAIN, |_| count(0)),
        "telemetry" => object(&settings::TELEMETRY, telemetry),
        "attempts" => object(&settings::ATTEMPTS, attempt),
        "upstreams" => map(object(&settings::UPSTREAM, upstream)),
        "models" => map(json!({ "$ref": "#/$defs/route" })),
        "tiers" => object(&settings::TIERS, |_| json!({ "$ref": "#/$defs/route" })),
        "default" => json!({ "$ref": "#/$defs/route" }),
        "hooks" => object(&settings::HOOKS, hooks),
        _ => text(),
    }
}

fn key(name: &str) -> Value {
    match name {
        "models" => list(text()),
        "calls_max" | "requests_per_minute" | "tokens_per_minute" => count(1),
        "budget" => object(&settings::BUDGET, |name| match name {
            "per" => words(&["day", "month", "total"]),
            "unpriced" => words(&["refuse", "allow"]),
            "tokens" => count(1),
            _ => json!({ "type": "number", "minimum": 0 }),
        }),
        "admin" => json!({ "type": "boolean" }),
        "expires" => day(),
        "previous" => object(&settings::PREVIOUS, |name| match name {
            "expires" => day(),
            _ => text(),
        }),
        _ => text(),
    }
}

fn day() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" })
}

fn state(name: &str) -> Value {
    match name {
        "store" => words(&["memory", "disk", "redis"]),
        "on_store_failure" => words(&["allow", "refuse"]),
        "bytes_max" => count(1),
        _ => text(),
    }
}

fn telemetry(name: &str) -> Value {
    match name {
        "headers" | "attributes" => map(text()),
        "sampling_ratio" => {
            json!({ "type": ["number", "string"], "minimum": 0, "maximum": 1, "pattern": "^[0-9.]+$|\\$\\{" })
        }
        "interval_ms" => count(1),
        "propagate" | "prompts" => flag(),
        _ => text(),
    }
}

fn limit(name: &str) -> Value {
    count(u64::from(name != "queue_max"))
}

fn attempt(name: &str) -> Value {
    let words = words(&["fail", "next", "retry"]);
    match name {
        "on" => json!({
            "type": "object",
            "patternProperties": {
                "^(connect|timeout|overflow|content_policy|[45]xx|[45][0-9][0-9])$": {
                    "anyOf": [words, list(self::words(&["cool", "fail", "next", "retry"]))],
                },
            },
            "additionalProperties": false,
        }),
        "attempts_max" | "failures_max" => count(1),
        _ => count(0),
    }
}

fn upstream(name: &str) -> Value {
    match name {
        "dialect" => words(&["anthropic-messages", "chat-completions"]),
        "auth" => words(&["api-key", "bearer", "x-api-key"]),
        "api_keys" => list(text()),
        "calls_max"
        | "first_byte_timeout_ms"
        | "stream_first_byte_timeout_ms"
        | "idle_timeout_ms"
        | "total_timeout_ms" => count(1),
        "headers" => map(text()),
        "accent" => object(&accents(), accent),
        _ => text(),
    }
}

/// The fields of both dialects' accents: which it is depends on the provider.
fn accents() -> Vec<&'static str> {
    let of_messages = accent::MESSAGES.iter();
    let more = of_messages.filter(|name| !accent::CHAT.contains(name));
    accent::CHAT.iter().chain(more).copied().collect()
}

fn accent(name: &str) -> Value {
    let choices = ["auto", "none", "required", "named"];
    match name {
        "output_limit" => words(&["max_tokens", "max_completion_tokens"]),
        "output_limit_max" | "stop_max" => count(0),
        "reasoning_ask" => words(&[
            "effort",
            "thinking",
            "thinking_effort",
            "thinking_kept",
            "thinking_kept_effort",
            "enable_thinking",
            "chat_template",
            "reasoning",
            "none",
        ]),
        "reasoning_back" => words(&[
            "same",
            "never",
            "reasoning_content",
            "reasoning",
            "always",
            "details",
            "parts",
            "tags",
        ]),
        "reasoning_placeholder" | "empty_result" => text(),
        "signature_placeholder" => json!({ "type": ["string", "null"] }),
        "omitted_reasoning" => words(&["send", "hold"]),
        "mid_system" => words(&["fold", "native", "hoist"]),
        "tool_choice" => list(words(&choices)),
        "tool_choice_thinking" => json!({ "anyOf": [list(words(&choices)), { "type": "null" }] }),
        "prefill" => words(&[
            "instruct",
            "turn",
            "prefix",
            "prefix_echoed",
            "partial",
            "continue",
        ]),
        "tool_ids" => words(&["any", "alphanumeric9", "max40"]),
        "schema" => words(&["pass", "minimal", "gemini", "moonshot", "cerebras"]),
        "output_schema" => words(&["json_schema", "json_object", "instruction"]),
        "content" => words(&["parts", "strings"]),
        "empty_content" => words(&["null", "empty", "space"]),
        "cache_marks" => words(&["drop", "pass"]),
        "temperature_min" | "temperature_max" => json!({ "type": ["number", "null"] }),
        "thinking" => list(words(&["adaptive", "enabled", "disabled"])),
        "thinking_back" => words(&["same", "always"]),
        "efforts" | "think_tags" | "params" | "drop" | "blocks" | "result_blocks"
        | "anthropic_tools" | "tool_fields" => list(text()),
        "add" => json!({ "type": "object" }),
        _ => flag(),
    }
}

/// An alias, a target, a list of them, or an entry with what holds for all.
fn route() -> Value {
    let target = json!({ "$ref": "#/$defs/target" });
    let mut entry = object(&settings::ROUTE, route_member);
    entry["required"] = json!(["targets"]);
    json!({ "anyOf": [text(), target, list(target.clone()), entry] })
}

fn route_member(name: &str) -> Value {
    let target = json!({ "$ref": "#/$defs/target" });
    match name {
        "targets" => json!({ "anyOf": [target, list(target.clone())] }),
        "pick" => words(&["ordered", "weighted", "least-busy", "latency"]),
        "affinity" => words(&["none", "session"]),
        "on_loss" => words(&["report", "refuse"]),
        "on_broken_stream" => words(&["fail", "continue"]),
        "context_window" | "output_limit" => count(1),
        _ => json!({ "anyOf": [text(), list(text())] }),
    }
}

fn target(name: &str) -> Value {
    match name {
        "upstream" | "model" => text(),
        "weight" => count(0),
        _ => count(1),
    }
}

fn hooks(name: &str) -> Value {
    match name {
        "kv" => object(&settings::KV, |name| match name {
            "store" => words(&["memory", "disk", "redis"]),
            "bytes_max" => count(1),
            _ => text(),
        }),
        "chain" => list(json!({ "$ref": "#/$defs/hook" })),
        _ => text(),
    }
}

fn entry(name: &str) -> Value {
    match name {
        "enabled" | "hold_streams" | "trial" => flag(),
        "match" => object(&settings::MATCH, |_| list(text())),
        // Only the hook can judge it.
        "config" => json!(true),
        "limits" => object(&settings::HOOK_LIMITS, |name| {
            count(u64::from(name != "wait_ms"))
        }),
        "on_failure" => words(&["skip", "refuse"]),
        "isolation" => words(&["reuse", "call"]),
        "mode" => words(&["act", "shadow"]),
        "grants" => object(&settings::GRANTS, |name| match name {
            "prompt" => words(&["none", "read", "write"]),
            "kv" => flag(),
            _ => list(text()),
        }),
        _ => text(),
    }
}

fn text() -> Value {
    json!({ "type": "string" })
}

/// A whole number, or a variable that holds one.
fn count(min: u64) -> Value {
    json!({ "type": ["integer", "string"], "minimum": min, "pattern": "^[0-9]+$|\\$\\{" })
}

/// `true` or `false`, or a variable that holds one.
fn flag() -> Value {
    json!({ "type": ["boolean", "string"], "pattern": "^(true|false)$|\\$\\{" })
}

/// One of these, or a variable that holds one.
fn words(words: &[&str]) -> Value {
    json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": "\\$\\{" }] })
}

fn list(item: Value) -> Value {
    json!({ "type": "array", "items": item })
}

fn map(member: Value) -> Value {
    json!({ "type": "object", "additionalProperties": member })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::accent::read;
    use crate::provider::Dialect;

    /// What is wrong with `text`, as far as the schema can tell.
    fn findings(text: &str) -> Vec<String> {
        let mut file: serde_yaml::Value = serde_yaml::from_str(text).expect("YAML");
        file.apply_merge().expect("sound anchors");
        let file = serde_json::to_value(file).expect("as JSON");
        let validator = jsonschema::validator_for(&schema()).expect("a sound schema");
        let found = validator.iter_errors(&file);
        found
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    #[test]
    fn shipped_and_imported_files_are_sound() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let mut files: Vec<_> = ["default", "minimal", "sluice"]
            .iter()
            .map(|name| format!("{root}/config/{name}.yaml").into())
            .collect();
        for folder in ["litellm", "ccr"] {
            let folder = format!("{root}/tests/fixtures/import/{folder}");
            let entries = std::fs::read_dir(folder).expect("samples").flatten();
            let paths = entries.map(|entry| entry.path());
            files.extend(paths.filter(|path| path.extension().is_some_and(|it| it == "native")));
        }
        assert!(files.len() > 20);
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a file");
            if !text.is_empty() {
                assert_eq!(findings(&text), [""; 0], "{}", file.display());
            }
        }
    }

    #[test]
    fn what_the_reader_refuses_is_found() {
        for text in [
            "lisen: 127.0.0.1:4000",
            "limits: { calls_mx: 1 }",
            "limits: { calls_max: 0 }",
            "limits: { calls_max: many }",
            "attempts: { on: { 600: retry } }",
            "attempts: { on: { 500: again } }",
            "upstreams: { u: { bse_url: http://h } }",
            "upstreams: { u: { accent: { sotp_max: 1 } } }",
            "upstreams: { u: { accent: { mid_system: top } } }",
            "models: { m: { upstraem: u } }",
            "models: { m: { targets: [], pick: random } }",
            "tiers: { hiaku: m }",
            "hooks: { kv: { store: file } }",
            "telemetry: { endpont: http://h }",
            "telemetry: { sampling_ratio: 1.5 }",
            "hooks: { chain: [ { hook: a, mod: act } ] }",
            "hooks: { chain: [ { hook: a, grants: { prompt: all } } ] }",
        ] {
            assert_eq!(findings(text).len(), 1, "{text}");
        }
        for text in [
            "limits: { calls_max: \"${CALLS}\" }",
            "hooks: { chain: [ { hook: a, mode: \"${MODE:-act}\", trial: \"${TRIAL}\" } ] }",
        ] {
            assert_eq!(findings(text), [""; 0], "{text}");
        }
    }

    /// Every word that the schema knows for an accent is one for a dialect that has
    /// the field.
    #[test]
    fn words_of_accents_are_those_of_the_codec() {
        for name in accents() {
            let field = accent(name);
            let is_list = field["items"].is_object();
            let field = if is_list { &field["items"] } else { &field };
            let words = field["anyOf"][0]["enum"].as_array();
            for word in words.into_iter().flatten() {
                let word = word.as_str().expect("a word");
                let value = match is_list {
                    true => serde_yaml::Value::from(vec![word]),
                    false => word.into(),
                };
                let fields = [(name.to_owned(), value)].into();
                let dialects = [Dialect::ChatCompletions, Dialect::AnthropicMessages];
                let known = dialects
                    .iter()
                    .any(|dialect| read(*dialect, &fields).is_ok());
                assert!(known, "{name}: {word}");
            }
        }
    }
}
