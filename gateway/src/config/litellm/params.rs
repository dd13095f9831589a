//! What a deployment's parameters say of the bodies that its upstream gets: members
//! they have unless the client says otherwise, and such as they never have.

use std::collections::{BTreeMap, HashMap};

use serde_yaml::{Mapping, Value};

use super::super::accent;
use super::super::catalogue::Row;
use super::super::document::Node;
use super::keys;
use crate::provider::{Accent, Dialect};

type Members<'d> = HashMap<String, Node<'d>>;

/// Members of a Chat Completions body that go as they are.
const OF_CHAT: [&str; 30] = [
    "audio",
    "chat_template_kwargs",
    "enable_thinking",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_new_tokens",
    "metadata",
    "min_p",
    "min_tokens",
    "modalities",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "repetition_penalty",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "store",
    "stream_options",
    "tool_choice",
    "tools",
    "top_logprobs",
    "user",
    "verbosity",
    "web_search_options",
    "stop",
];

/// Members that bodies of both dialects have.
const OF_BOTH: [&str; 3] = ["temperature", "top_k", "top_p"];

/// An accent in the making.
struct Fields<'r> {
    dialect: Dialect,
    row: Option<&'r Row>,
    fields: BTreeMap<String, Value>,
}

/// The accent of `row` with what `params`, those that are `unknown` and `info` of a
/// deployment say.
pub(super) fn accent(
    row: &Row,
    dialect: Dialect,
    params: &Members<'_>,
    unknown: &[(String, Node<'_>)],
    info: &Members<'_>,
) -> Accent {
    let row = Some(row).filter(|row| row.dialect == dialect);
    let mut fields = Fields {
        dialect,
        row,
        fields: BTreeMap::new(),
    };
    fields.add_defaults(params);
    fields.add_unknown(unknown);
    if let Some(node) = params.get("additional_drop_params") {
        fields.drop_members(node);
    }
    if let Some(node) = params.get("allowed_openai_params") {
        fields.allow(node);
    }
    fields.support(info);
    accent::over(row, dialect, fields.fields)
}

impl Fields<'_> {
    /// What the accent has by now in `field`.
    fn now(&self, field: &str) -> Option<&Value> {
        let of_row = || self.row?.accent.get(field);
        self.fields.get(field).or_else(of_row)
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.now(field).and_then(Value::as_str)
    }

    fn texts(&self, field: &str) -> Vec<String> {
        let items = self.now(field).and_then(Value::as_sequence);
        let texts = items.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.fields.insert(field.to_owned(), value.into());
    }

    /// `name: value` in every body that has no `name`.
    fn add(&mut self, name: &str, value: Value) {
        let mut members = match self.now("add") {
            Some(Value::Mapping(members)) => members.clone(),
            _ => Mapping::new(),
        };
        members.insert(name.into(), value);
        self.set("add", members);
    }

    fn add_defaults(&mut self, params: &Members<'_>) {
        let mut names: Vec<_> = params.keys().collect();
        names.sort_unstable();
        for name in names {
            let node = &params[name];
            let value = node.value().clone();
            let is_chat = self.dialect == Dialect::ChatCompletions;
            match name.as_str() {
                "max_tokens" | "max_completion_tokens" => {
                    let limit = self.text("output_limit").unwrap_or("max_tokens").to_owned();
                    self.add(&limit, value);
                }
                "extra_body" => {
                    for (name, node) in node.members() {
                        self.add(&name, node.value().clone());
                    }
                }
                "reasoning_effort" => self.add_effort(node),
                "thinking" => self.add_thinking(node),
                "stop" if !is_chat => self.add("stop_sequences", listed(value)),
                name if OF_BOTH.contains(&name) || is_chat && OF_CHAT.contains(&name) => {
                    self.add(name, value);
                }
                name if OF_CHAT.contains(&name) => {
                    let help = "`extra_body` says what bodies of Messages have";
                    node.warn(
                        format!("`{name}` is of Chat Completions, and not sent to Messages"),
                        Some(help.into()),
                    );
                }
                _ => {}
            }
        }
    }

    /// LiteLLM sends whatever it does not know.
    fn add_unknown(&mut self, unknown: &[(String, Node<'_>)]) {
        for (name, node) in unknown {
            if keys::is_special_price(name) {
                let why = keys::SPECIAL_PRICE.into();
                node.warn(format!("`{name}` has no effect in Sluice"), Some(why));
                continue;
            }
            let help = "that is what LiteLLM does with what it does not know";
            node.warn(
                format!("`{name}` is sent in each request's body"),
                Some(help.into()),
            );
            self.add(name, node.value().clone());
        }
    }

    fn add_effort(&mut self, node: &Node<'_>) {
        let value = node.value().clone();
        let ask = self.text("reasoning_ask").unwrap_or("effort");
        match (self.dialect, ask) {
            (Dialect::AnthropicMessages, _) => {
                let effort = Mapping::from_iter([("effort".into(), value)]);
                self.add("output_config", effort.into());
            }
            (_, "effort" | "thinking_effort" | "thinking_kept_effort") => {
                self.add("reasoning_effort", value);
            }
            (_, "reasoning") => {
                let effort = Mapping::from_iter([("effort".into(), value)]);
                self.add("reasoning", effort.into());
            }
            (_, other) => node.warn(
                "is not sent: this provider is asked for reasoning in another way",
                Some(format!("its `accent.reasoning_ask` is `{other}`")),
            ),
        }
    }

    fn add_thinking(&mut self, node: &Node<'_>) {
        let ask = self.text("reasoning_ask").unwrap_or("effort");
        let is_known = self.dialect == Dialect::AnthropicMessages || ask.starts_with("thinking");
        match is_known {
            true => self.add("thinking", node.value().clone()),
            false => {
                let help = "write `reasoning_effort`, or what it takes into `extra_body`";
                node.warn(
                    "is not sent: this provider does not take it",
                    Some(help.into()),
                );
            }
        }
    }

    /// Top-level members; what lies deeper is for a hook ([`pointers`]).
    fn drop_members(&mut self, node: &Node<'_>) {
        let mut dropped = self.texts("drop");
        for name in node.texts().into_iter().filter(|name| !is_deep(name)) {
            if matches!(name.as_str(), "max_tokens" | "max_completion_tokens") {
                let other = self.text("output_limit").unwrap_or("max_tokens");
                dropped.push(other.to_owned());
            }
            dropped.push(name);
        }
        dropped.sort_unstable();
        dropped.dedup();
        if dropped != self.texts("drop") {
            self.set("drop", dropped);
        }
    }

    /// Members that are sent whatever the row says.
    fn allow(&mut self, node: &Node<'_>) {
        let names = node.texts();
        for (field, is_list_of_taken) in [("drop", false), ("params", true)] {
            let was = self.texts(field);
            let mut now = was.clone();
            match is_list_of_taken {
                true if was.is_empty() => {}
                true => now.extend(names.iter().filter(|name| !was.contains(name)).cloned()),
                false => now.retain(|name| !names.contains(name)),
            }
            if now != was {
                self.set(field, now);
            }
        }
        if self.dialect != Dialect::ChatCompletions {
            return;
        }
        for name in ["parallel_tool_calls", "top_k", "user"] {
            if names.iter().any(|known| known == name) {
                self.set(name, true);
            }
        }
    }

    /// What the model cannot see is not sent to it.
    fn support(&mut self, info: &Members<'_>) {
        for (name, field) in [
            ("supports_vision", "images"),
            ("supports_pdf_input", "files"),
        ] {
            let Some(node) = info.get(name) else { continue };
            match (node.flag(), self.dialect) {
                (Some(false), Dialect::ChatCompletions) => self.set(field, false),
                (Some(false), _) => {
                    let help = "`accent.blocks` of the upstream lists what it takes";
                    node.warn(
                        "has no effect on an upstream of Messages",
                        Some(help.into()),
                    );
                }
                _ => {}
            }
        }
    }
}

fn listed(value: Value) -> Value {
    match value {
        Value::Sequence(_) => value,
        one => vec![one].into(),
    }
}

fn is_deep(name: &str) -> bool {
    name.contains(['.', '['])
}

/// `additional_drop_params` that lie deeper, as JSON pointers: `a.b`, `a[0].b`.
pub(super) fn pointers(params: &Members<'_>) -> Vec<String> {
    let Some(node) = params.get("additional_drop_params") else {
        return Vec::new();
    };
    let pointer = |node: &Node<'_>| {
        let name = node.text().filter(|name| is_deep(name))?;
        if name.contains("[*]") {
            let help = "a WebAssembly hook on `on-upstream-request` can do it";
            node.warn(
                format!("`{name}` is not dropped: no member of every item can be"),
                Some(help.into()),
            );
            return None;
        }
        let parts = name
            .split(['.', '['])
            .map(|part| part.trim_end_matches(']'));
        let escaped = parts.map(|part| part.replace('~', "~0").replace('/', "~1"));
        Some(escaped.map(|part| format!("/{part}")).collect())
    };
    node.list().iter().filter_map(pointer).collect()
}
