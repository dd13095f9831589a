//! Endpoints to encode for: the default, and strict ones that together use
//! every value of every axis that rewrites something.

use std::sync::LazyLock;

use serde_json::json;
use sluice_codec::dialect::{chat, messages};

/// Of Chat Completions.
pub(crate) static CHAT: LazyLock<Vec<chat::Accent>> = LazyLock::new(|| {
    let accents = json!([
        {},
        { "tool_ids": "alphanumeric9", "schema": "minimal", "mid_system": "hoist", "tool_choice": ["auto"],
          "content": "strings", "empty_content": "empty", "output_schema": "instruction",
          "reasoning_ask": "chat_template", "reasoning_back": "tags", "parallel_tool_calls": false,
          "stream_only": true, "empty_result": "-", "prefill": "prefix", "split_calls": true, "cache_key": true, "stream_usage": false, "user": false, "output_limit_max": 4096 },
        { "tool_ids": "max40", "schema": "gemini", "mid_system": "native", "tool_choice": ["required", "none"],
          "images": false, "files": false, "tool_choice_thinking": ["auto"], "prefill": "continue", "cache_marks": "pass", "temperature_max": 1, "output_schema": "json_object", "strict_tools": true,
          "reasoning_ask": "reasoning", "reasoning_back": "details", "top_k": true,
          "output_limit": "max_completion_tokens" },
        { "schema": "moonshot", "tool_choice": ["auto", "none", "named"], "reasoning_back": "always",
          "reasoning_placeholder": "\"\n", "reasoning_ask": "thinking_kept", "stop_max": 1, "efforts": ["high"],
          "drop": ["temperature", "user"], "add": { "x": { "y": [1] }, "model": "never" } },
        { "schema": "cerebras", "reasoning_back": "parts", "reasoning_ask": "enable_thinking", "user_after_tool": false,
          "params": ["model", "messages", "tools", "max_tokens"] },
        { "reasoning_back": "never", "reasoning_ask": "none", "signature_placeholder": "skip\"" },
        { "reasoning_back": "reasoning", "reasoning_ask": "thinking_effort", "unstreamed_tools": true },
    ]);
    serde_json::from_value(accents).expect("accents")
});

/// Of Messages; the first is Anthropic's own.
pub(crate) static MESSAGES: LazyLock<Vec<messages::Accent>> = LazyLock::new(|| {
    let accents = json!([
        {},
        { "mid_system": "fold", "blocks": ["text", "image", "tool_use", "tool_result", "thinking"],
          "anthropic_tools": [], "tool_fields": ["strict"], "thinking": ["enabled", "disabled"], "thinking_back": "always",
          "output_schema": "instruction", "billing_line": false, "betas": false },
        { "mid_system": "hoist", "result_blocks": ["text"], "anthropic_tools": ["web_search"],
          "thinking": ["adaptive"], "output_limit_max": 2048, "drop": ["top_k", "metadata"],
          "add": { "x": { "y": [1] }, "model": "never" } },
        { "mid_system": "fold", "blocks": ["tool_reference"], "thinking": [],
          "params": ["model", "messages", "system", "tools"] },
    ]);
    serde_json::from_value(accents).expect("accents")
});
