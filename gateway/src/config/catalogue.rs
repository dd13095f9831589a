//! The provider catalogue: one row a vendor. Pure data, embedded from
//! `config/providers.yaml`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::Value;

use super::accent;
use super::prices::ListPrice;
use crate::provider::{Auth, Dialect};

/// The row of servers that no other row describes.
pub(super) const GENERIC: &str = "openai-compatible";

/// All rows by provider name.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Catalogue(BTreeMap<String, Row>);

/// One vendor or server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// Where it listens, unless the vendor has no one place.
    pub(super) base_url: Option<String>,
    /// The wire format it speaks.
    #[serde(default)]
    pub(super) dialect: Dialect,
    /// The header it takes its key in; none is its dialect's custom.
    pub(super) auth: Option<Auth>,
    /// The environment variable that holds its key by custom.
    pub(super) key_variable: Option<String>,
    /// What LiteLLM calls it before the slash of a model's name.
    #[serde(default)]
    pub(super) litellm: Vec<String>,
    /// How it deviates from its dialect; `Accent` has the fields.
    #[serde(default)]
    pub(super) accent: BTreeMap<String, Value>,
    /// List prices of its models, by name or pattern.
    #[serde(default)]
    pub(super) prices: BTreeMap<String, ListPrice>,
    /// The page that has them, and when it was read.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "read by people, and demanded by the test")
    )]
    prices_source: Option<String>,
    /// The page that says so, and when it was read.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "read by people, and demanded by the test")
    )]
    source: Option<String>,
}

impl Catalogue {
    /// The rows that Sluice ships.
    pub(super) fn embedded() -> Self {
        serde_yaml::from_str(include_str!("../../../config/providers.yaml"))
            .expect("the catalogue's test reads the embedded file")
    }

    /// The rows of the operator's own file over these.
    pub(super) fn overlaid(mut self, text: &str) -> Result<Self, String> {
        let own: Self = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        for (name, row) in &own.0 {
            accent::read(row.dialect, &row.accent)
                .map_err(|why| format!("{name}.accent: {why}"))?;
        }
        self.0.extend(own.0);
        Ok(self)
    }

    pub(super) fn row(&self, provider: &str) -> Option<&Row> {
        self.0.get(provider)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.0.iter().map(|(name, row)| (name.as_str(), row))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The row that LiteLLM knows by `prefix`.
    pub(super) fn by_litellm_prefix(&self, prefix: &str) -> Option<(&str, &Row)> {
        self.rows()
            .find(|(_, row)| row.litellm.iter().any(|known| known == prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Accent;
    use sluice_codec::dialect::chat::{EncodeOptions, encode_request};
    use sluice_codec::dialect::messages::{decode_request, forward_request};

    /// The accent of `row`; a mistake in it fails the test.
    fn accent_of(name: &str, row: &Row) -> Accent {
        accent::read(row.dialect, &row.accent).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    #[test]
    fn every_row_is_sound() {
        let catalogue = Catalogue::embedded();
        assert!(catalogue.row(GENERIC).is_some());
        let mut local = Vec::new();
        let mut prefixes = Vec::new();
        for (name, row) in catalogue.rows() {
            accent_of(name, row);
            assert!(row.source.is_some() || name == GENERIC, "{name}: no source");
            assert_eq!(
                row.prices.is_empty(),
                row.prices_source.is_none(),
                "{name}: prices come from a page"
            );
            for (model, price) in &row.prices {
                let read = price.cache_read.unwrap_or(price.input);
                let sound = 0.0 < read && read <= price.input && price.input <= price.output;
                assert!(sound, "{name}: {model}: {price:?}");
            }
            if let Some(url) = &row.base_url {
                assert!(
                    url.starts_with("http") && !url.ends_with('/'),
                    "{name}: {url}"
                );
                if url.starts_with("http:") {
                    // A server that is up must be known by its port.
                    assert!(!local.contains(&url), "{name}: {url} stands in two rows");
                    local.push(url);
                }
            }
            for prefix in &row.litellm {
                assert!(
                    !prefixes.contains(&prefix),
                    "{name}: {prefix} stands in two rows"
                );
                prefixes.push(prefix);
            }
        }
    }

    /// A request that every accent changes somewhere.
    const REQUEST: &str = r#"{
        "model": "m", "max_tokens": 100000, "temperature": 1.5, "top_k": 4,
        "stop_sequences": ["a", "b", "c", "d", "e", "f"],
        "thinking": {"type": "enabled", "budget_tokens": 40000}, "metadata": {"user_id": "u"},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "tools": [
            {"name": "f", "strict": true, "input_schema": {"type": "object",
                "properties": {"a": {"$schema": "s", "type": "string", "pattern": "^x"}}}},
            {"name": "g", "input_schema": {"type": "object"}}
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "url", "url": "http://i"}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sluice1.reasoning.up"},
                {"type": "tool_use", "id": "toolu_0123456789012345678901234567890123456789", "name": "f", "input": {}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "content": "r",
                "tool_use_id": "toolu_0123456789012345678901234567890123456789"},
                {"type": "tool_result", "tool_use_id": "b"}]},
            {"role": "system", "content": "now"},
            {"role": "assistant", "content": "done"},
            {"role": "user", "content": "go on"}
        ]}"#;

    /// What each row makes of [`REQUEST`]: what its body holds, and what it does not.
    const EXPECTED: [(&str, &[&str], &[&str]); 61] = [
        (
            "azure",
            &[r#""max_completion_tokens":100000"#, r#""id":"call_"#],
            &[r#""max_tokens""#, "prompt_cache_key"],
        ),
        (
            "baseten",
            &[
                r#""reasoning_content":"hm""#,
                r#""reasoning_effort":"high""#,
            ],
            &["top_k", r#""type":"file""#],
        ),
        (
            "bedrock-openai",
            &["It must fit this JSON schema"],
            &["response_format", "\"hm\""],
        ),
        (
            "byteplus-ark",
            &[r#""max_tokens":100000"#, r#""thinking":{"type":"enabled"}"#],
            &["reasoning_effort"],
        ),
        (
            "cerebras",
            &["image omitted", r#""max_completion_tokens""#],
            &["parallel_tool_calls", "pattern", "\"hm\""],
        ),
        (
            "chutes",
            &[r#""top_k":4"#],
            &["reasoning_effort", r#""user":"#, "\"hm\""],
        ),
        (
            "cloudflare",
            &[r#""role":"assistant","content":"""#],
            &["\"hm\"", r#""user":"#],
        ),
        (
            "cohere",
            &[
                r#""reasoning_effort":"high""#,
                r#""tool_choice":"required""#,
            ],
            &["parallel_tool_calls"],
        ),
        (
            "dashscope",
            &[
                r#""enable_thinking":true"#,
                r#""thinking_budget":40000"#,
                r#""stream":true"#,
                r#""cache_control":"#,
                r#""tool_choice":"auto""#,
            ],
            &["\"required\""],
        ),
        (
            "dashscope-cn",
            &[r#""enable_thinking":true"#, r#""stream":true"#],
            &[r#""type":"file""#],
        ),
        (
            "databricks",
            &[
                r#""max_tokens":100000"#,
                r#""content":"(no output)","tool_call_id":"b"}"#,
                r#""tool_call_id":"toolu_0123456789012345678901234567890123456789"},{"role":"assistant","#,
            ],
            &["parallel_tool_calls", r#""user":"#],
        ),
        (
            "deepinfra",
            &[r#""tool_choice":"auto""#, "Call one of your tools now."],
            &["parallel_tool_calls"],
        ),
        (
            "deepseek",
            &[
                r#""thinking":{"type":"enabled"}"#,
                r#""reasoning_effort":"max""#,
                r#""content":"done","reasoning_content":"""#,
                r#""response_format":{"type":"json_object"}"#,
                r#""tool_choice":"auto""#,
            ],
            &["image_url"],
        ),
        (
            "featherless",
            &[
                r#""chat_template_kwargs":{"enable_thinking":true"#,
                r#""tool_choice":"auto""#,
            ],
            &[],
        ),
        (
            "fireworks",
            &[r#""reasoning_content":"hm""#, r#""top_k":4"#],
            &[r#""type":"file""#],
        ),
        (
            "gemini",
            &[
                r#""stop":["a","b","c","d","e"]"#,
                r#""thought_signature":"skip_thought_signature_validator""#,
            ],
            &["$schema", "\"hm\""],
        ),
        (
            "github-copilot",
            &[r#""max_completion_tokens""#, r#""id":"call_"#],
            &[r#""max_tokens""#],
        ),
        (
            "groq",
            &[r#""max_completion_tokens""#],
            &["reasoning_content", "\"hm\""],
        ),
        (
            "huggingface",
            &[r#""reasoning_effort":"high""#],
            &["\"hm\"", r#""user":"#],
        ),
        (
            "hyperbolic",
            &[r#""max_tokens":100000"#],
            &["reasoning_effort", "\"hm\"", "top_k"],
        ),
        (
            "litellm",
            &[r#""strict":true"#, r#""reasoning_content":"hm""#],
            &[],
        ),
        (
            "llama-cpp",
            &[r#""tool_choice":"required""#, "chat_template_kwargs"],
            &["pattern"],
        ),
        (
            "llamafile",
            &[r#""tool_choice":"required""#, r#""top_k":4"#],
            &["pattern"],
        ),
        (
            "lm-studio",
            &[r#""tool_choice":"required""#, r#""top_k":4"#],
            &[r#""type":"file""#],
        ),
        (
            "meta",
            &[
                r#""tool_choice":"auto""#,
                r#""max_completion_tokens""#,
                r#""reasoning_effort":"xhigh""#,
            ],
            &[r#""stop":"#],
        ),
        (
            "minimax",
            &[
                r"<think>\nhm\n</think>",
                r#""max_completion_tokens""#,
                r#""temperature":1,"#,
            ],
            &["pattern", "reasoning_effort"],
        ),
        (
            "minimax-cn",
            &[r"<think>\nhm\n</think>", r#""tool_choice":"auto""#],
            &["pattern"],
        ),
        (
            "mistral",
            &[
                r#""content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]"#,
                r#""strict":true"#,
                r#"{"role":"assistant","content":"I have read the result."},{"role":"user""#,
            ],
            &[
                "toolu_",
                "call_0",
                r#""user":"#,
                "top_k",
                "reasoning_content",
            ],
        ),
        (
            "mistral-rs",
            &[r#""enable_thinking":true"#],
            &["thinking_budget"],
        ),
        (
            "mlx-lm",
            &["image omitted", "chat_template_kwargs"],
            &[r#""user":"#],
        ),
        (
            "modelscope",
            &[
                r#""stream":true"#,
                r#""max_tokens":100000"#,
                r#""enable_thinking":true"#,
            ],
            &[],
        ),
        (
            "moonshot",
            &[
                r#""content":"done","reasoning_content":" ""#,
                r#""thinking":{"type":"enabled"}"#,
                r#""reasoning_effort":"max""#,
                r#""tool_choice":"auto""#,
            ],
            &["temperature", "$schema"],
        ),
        (
            "moonshot-cn",
            &[r#""content":"done","reasoning_content":" ""#],
            &["temperature", "$schema"],
        ),
        (
            "nebius",
            &[
                r#""reasoning_effort":"high""#,
                r#""reasoning_content":"hm""#,
            ],
            &[r#""type":"file""#],
        ),
        (
            "new-api",
            &[r#""reasoning_content":"hm""#],
            &[r#""type":"file""#],
        ),
        (
            "novita",
            &[r#""enable_thinking":true"#, r#""max_tokens":100000"#],
            &["thinking_budget"],
        ),
        (
            "nvidia-nim",
            &[r#""max_tokens":100000"#, "response_format"],
            &["pattern", r#""user":"#, "stream_options", "\"hm\""],
        ),
        (
            "ollama",
            &[
                r#""reasoning":"hm""#,
                r#""reasoning_effort":"max""#,
                "Call one of your tools now.",
            ],
            &["\"required\"", r#""user":"#],
        ),
        (
            "ollama-cloud",
            &[r#""reasoning":"hm""#, r#""reasoning_effort":"max""#],
            &["\"required\""],
        ),
        (
            "one-api",
            &[r#""reasoning_content":"hm""#],
            &[r#""type":"file""#],
        ),
        (
            "openai",
            &[
                r#""max_completion_tokens""#,
                r#"{"role":"system","content":"now"}"#,
                r#""strict":true"#,
                r#""prompt_cache_key":""#,
            ],
            &["\"hm\""],
        ),
        (
            "openrouter",
            &[
                r#""reasoning":{"max_tokens":40000}"#,
                r#""reasoning":"hm""#,
                r#""type":"file""#,
                r#""cache_control":"#,
            ],
            &["reasoning_effort"],
        ),
        (
            "perplexity",
            &[r#""max_tokens":100000"#],
            &[r#""tools":"#, r#""tool_choice":"#, r#""stop":"#],
        ),
        (
            "requesty",
            &[r#""reasoning_effort":"max""#, r#""type":"file""#],
            &[],
        ),
        (
            "sambanova",
            &["image omitted", r#""parallel_tool_calls":false"#],
            &["image_url", "\"hm\""],
        ),
        (
            "sglang",
            &["chat_template_kwargs", r#""reasoning_content":"hm""#],
            &["reasoning_effort"],
        ),
        (
            "siliconflow",
            &[r#""max_tokens":100000"#, r#""thinking_budget":40000"#],
            &[],
        ),
        (
            "siliconflow-cn",
            &[r#""max_tokens":100000"#, r#""enable_thinking":true"#],
            &[],
        ),
        (
            "tgi",
            &[r#""max_tokens":100000"#],
            &["reasoning_effort", "\"hm\"", r#""user":"#],
        ),
        (
            "together",
            &[r#""reasoning":"hm""#, r#""top_k":4"#],
            &[r#""type":"file""#],
        ),
        (
            "vercel-ai-gateway",
            &[r#""reasoning":{"max_tokens":40000}"#, r#""reasoning":"hm""#],
            &["reasoning_effort"],
        ),
        (
            "vllm",
            &[r#""reasoning":"hm""#, r#""top_k":4"#],
            &[r#""type":"file""#],
        ),
        (
            "volcengine-ark",
            &[r#""max_tokens":100000"#, r#""thinking":{"type":"enabled"}"#],
            &["reasoning_effort"],
        ),
        (
            "wandb",
            &[r#""max_tokens":100000"#, "chat_template_kwargs"],
            &["\"hm\""],
        ),
        (
            "xai",
            &[r#""max_completion_tokens""#],
            &[r#""stop":"#, "reasoning_effort"],
        ),
        (
            "xiaomi-mimo",
            &[
                r#""content":" ","reasoning_content":"hm""#,
                r#""content":"done","reasoning_content":" ""#,
            ],
            &[],
        ),
        (
            "xinference",
            &["chat_template_kwargs", r#""tool_choice":"auto""#],
            &["parallel_tool_calls"],
        ),
        (
            "zai",
            &[
                r#""thinking":{"type":"enabled","clear_thinking":false}"#,
                r#""reasoning_effort":"#,
                r#""tool_stream":true"#,
                r#""tool_choice":"auto""#,
                r#""stop":["a"]"#,
            ],
            &["\"required\"", r#""user":"#],
        ),
        (
            "zai-coding",
            &[r#""tool_stream":true"#, r#""reasoning_content":"hm""#],
            &["\"required\""],
        ),
        (
            "zhipu",
            &[r#""tool_stream":true"#, r#""reasoning_content":"hm""#],
            &["\"required\""],
        ),
        (
            "zhipu-coding",
            &[r#""tool_stream":true"#, r#""reasoning_content":"hm""#],
            &["\"required\""],
        ),
    ];

    /// A request that every accent of Messages changes somewhere.
    const MESSAGES_REQUEST: &str = r#"{"model":"m","max_tokens":9,"top_k":4,"stop_sequences":["z"],
        "system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=1"},{"type":"text","text":"s"}],
        "thinking":{"type":"adaptive"},"tool_choice":{"type":"any"},
        "output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"object"}}},
        "tools":[{"name":"f","input_schema":{"type":"object"},"strict":true,"cache_control":{}},{"type":"web_search_20250305","name":"web_search"},
            {"type":"code_execution_20250825","name":"code_execution"}],
        "messages":[{"role":"user","content":"hi"},
            {"role":"assistant","content":[{"type":"redacted_thinking","data":"sealed"},{"type":"tool_use","id":"t","name":"f","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[
                {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},
                {"type":"tool_reference","tool_name":"g"}]},
                {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}}]},
            {"role":"system","content":"now"}]}"#;

    /// What each row of Messages makes of [`MESSAGES_REQUEST`].
    const MESSAGES_EXPECTED: [(&str, &[&str], &[&str]); 17] = [
        (
            "dashscope-messages",
            &[r#""data":"sealed""#, FOLDED],
            &["web_search", "billing"],
        ),
        (
            "dashscope-cn-messages",
            &[r#""type":"adaptive""#, FOLDED],
            &["web_search", "billing"],
        ),
        (
            "deepseek-messages",
            &[
                "web_search_20250305",
                r#"{"type":"thinking","thinking":" ","signature":""},{"type":"tool_use""#,
                r#""thinking":{"type":"enabled""#,
                r#""output_config":{"effort":"high"}"#,
                "It must fit this JSON schema",
                "document omitted",
                "Tool g is loaded",
                FOLDED,
            ],
            &["sealed", "code_execution", "billing", "top_k"],
        ),
        (
            "fireworks-messages",
            &[
                r#""thinking":{"type":"enabled""#,
                r#""strict":true"#,
                FOLDED,
            ],
            &["web_search", "cache_control", "sealed"],
        ),
        (
            "llama-cpp-messages",
            &["document omitted", FOLDED],
            &["sealed", "web_search"],
        ),
        (
            "lm-studio-messages",
            &[
                "[image: it follows the results]",
                r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},{"type":"text""#,
                FOLDED,
            ],
            &["sealed", "web_search", "tool_reference"],
        ),
        (
            "minimax-messages",
            &[r#""type":"adaptive""#, "document omitted", FOLDED],
            &["web_search", "top_k", "stop_sequences", "billing"],
        ),
        (
            "minimax-cn-messages",
            &["It must fit this JSON schema", FOLDED],
            &["web_search"],
        ),
        (
            "moonshot-messages",
            &[r#""thinking":" ","signature":""#, r#""top_k":4"#, FOLDED],
            &["web_search", "billing"],
        ),
        (
            "moonshot-cn-messages",
            &[r#""thinking":" ""#, FOLDED],
            &["web_search"],
        ),
        (
            "ollama-messages",
            &[
                "web_search_20250305",
                r#""thinking":{"type":"enabled""#,
                FOLDED,
            ],
            &["code_execution", "tool_choice", "sealed"],
        ),
        (
            "sglang-messages",
            &[
                r#""thinking":{"type":"enabled""#,
                "Tool g is loaded",
                FOLDED,
            ],
            &["sealed", "web_search", "document\""],
        ),
        (
            "vllm-messages",
            &[
                r#""data":"sealed""#,
                r#""tool_name":"g""#,
                r#""format":"#,
                "billing",
                FOLDED,
            ],
            &["web_search", "document\""],
        ),
        (
            "xiaomi-mimo-messages",
            &[r#""thinking":" ""#, FOLDED],
            &["web_search"],
        ),
        (
            "zai-messages",
            &[r#""type":"document""#, FOLDED],
            &["web_search", "billing"],
        ),
        (
            "zhipu-messages",
            &[r#""type":"document""#, FOLDED],
            &["web_search", "billing"],
        ),
        (
            "anthropic",
            &["billing", r#"{"role":"system","content":"now"}"#],
            &[],
        ),
    ];

    /// The `system` message of [`MESSAGES_REQUEST`], as part of the message before.
    const FOLDED: &str = r#"<system-reminder>\nnow\n</system-reminder>"}]}]"#;

    /// What `accent` makes of a request.
    fn sent(accent: &Accent) -> String {
        let body = match accent {
            Accent::Chat(accent) => {
                let request = decode_request(REQUEST).expect("a request");
                let options = EncodeOptions {
                    model: "m",
                    accent,
                    family: "up",
                };
                encode_request(&request, options).expect("no refusal").body
            }
            Accent::Messages(accent) => {
                let request = decode_request(MESSAGES_REQUEST).expect("a request");
                let sent = forward_request(MESSAGES_REQUEST, &request, "m", accent);
                sent.expect("its body").body
            }
        };
        String::from_utf8(body).expect("text")
    }

    #[test]
    fn every_accent_is_heard() {
        let catalogue = Catalogue::embedded();
        let expected = || EXPECTED.iter().chain(&MESSAGES_EXPECTED);
        for (name, row) in catalogue.rows().filter(|(_, row)| !row.accent.is_empty()) {
            let known = expected().any(|(known, ..)| *known == name);
            assert!(known, "{name} has an accent, and no line in this test");
            accent_of(name, row);
        }
        for (name, holds, lacks) in expected() {
            let row = catalogue.row(name);
            let row = row.unwrap_or_else(|| panic!("no row `{name}`"));
            let body = sent(&accent_of(name, row));
            for fragment in *holds {
                assert!(body.contains(fragment), "{name}: no `{fragment}` in {body}");
            }
            for fragment in *lacks {
                assert!(!body.contains(fragment), "{name}: `{fragment}` in {body}");
            }
        }
    }
}
