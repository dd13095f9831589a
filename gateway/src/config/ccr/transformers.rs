//! What claude-code-router's transformers come to: fields of an accent, bundled
//! hooks, or nothing, where Sluice does the same by itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::accent;
use super::super::catalogue::Row;
use super::super::document::Node;
use super::super::{Grants, Prompt};
use crate::provider::{Accent, Dialect};

/// Those that Sluice has no need of: what they do is part of its translation, or
/// of the provider's row.
const BUILT_IN: [&str; 14] = [
    "Anthropic",
    "OpenAI",
    "anthropic",
    "cerebras",
    "deepseek",
    "gemini",
    "groq",
    "openai",
    "openrouter",
    "reasoning",
    "vercel",
    "cleancache",
    "streamoptions",
    "extrathinktag",
];

/// Why others are not carried over, if more can be said than that they are not.
const LOST: [(&str, &str); 4] = [
    (
        "forcereasoning",
        "ask for reasoning with `accent.reasoning_ask`, or a hook",
    ),
    (
        "openai-responses",
        "Sluice does not speak Responses; Chat Completions is asked for",
    ),
    ("gemini-cli", "a subscription's login is none of an API"),
    ("qwen-cli", "a subscription's login is none of an API"),
];

/// What the transformers of one list come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects {
    accent: BTreeMap<String, serde_yaml::Value>,
    pub(super) hooks: Vec<Effected>,
}

/// A hook in a transformer's place.
#[derive(Clone, Debug)]
pub(super) struct Effected {
    pub(super) hook: &'static str,
    pub(super) config: Value,
    pub(super) grants: Grants,
}

/// The names in a list of `name` and `[name, options]`.
pub(super) fn names(used: Option<&Node<'_>>) -> Vec<String> {
    let nodes = used.map(Node::list).unwrap_or_default();
    nodes.iter().map(|node| parted(node).0).collect()
}

/// A transformer's name and options.
fn parted(node: &Node<'_>) -> (String, Value) {
    let text = |value: &serde_yaml::Value| value.as_str().unwrap_or_default().to_owned();
    let Some(parts) = node.value().as_sequence() else {
        return (text(node.value()), Value::Null);
    };
    let options = parts
        .get(1)
        .and_then(|options| serde_json::to_value(options).ok());
    (
        parts.first().map(text).unwrap_or_default(),
        options.unwrap_or_default(),
    )
}

impl Effects {
    /// What `used` comes to; whatever it does not is reported.
    pub(super) fn of(used: Option<&Node<'_>>) -> Self {
        let mut effects = Self::default();
        for node in used.map(Node::list).unwrap_or_default() {
            let (name, options) = parted(&node);
            effects.take(&node, &name, &options);
        }
        effects
    }

    fn take(&mut self, node: &Node<'_>, name: &str, options: &Value) {
        match name {
            "maxtoken" => match options["max_tokens"].as_u64() {
                Some(most) => self.cap(most),
                None => node.warn("`maxtoken` without `max_tokens`, and left out", None),
            },
            "maxcompletiontokens" => self.set("output_limit", "max_completion_tokens"),
            "customparams" => self.add(options),
            "sampling" => self.sampling(node, options),
            "tooluse" => {
                self.hook("tool-rescue", Value::Null, Prompt::Write);
                node.warn("no tool is forced; the hook `tool-rescue` makes calls of those written as text", None);
            }
            "enhancetool" => {
                self.hook("tool-rescue", Value::Null, Prompt::Write);
                node.warn("arguments that are no JSON are not mended; the hook `tool-rescue` makes calls of those written as text", None);
            }
            "reasoning" if options["enable"] == json!(false) => self.set("reasoning_ask", "none"),
            "cleancache" => self.set("cache_marks", "drop"),
            "openrouter" | "vercel" => self.add(options),
            _ if BUILT_IN.contains(&name) => {}
            _ => {
                let why = LOST.iter().find(|(known, _)| *known == name);
                let why = why.map_or("a WebAssembly hook does such work", |(_, why)| why);
                node.warn(format!("`{name}` is left out"), Some(why.into()));
            }
        }
    }

    fn cap(&mut self, most: u64) {
        self.hook("cap-max-tokens", json!({ "max": most }), Prompt::None);
    }

    /// Values that the client overrides, as there are no others.
    fn sampling(&mut self, node: &Node<'_>, options: &Value) {
        let mut rest = options.clone();
        if let Some(most) = rest
            .as_object_mut()
            .and_then(|rest| rest.remove("max_tokens"))
            && let Some(most) = most.as_u64()
        {
            self.cap(most);
        }
        if rest.as_object().is_some_and(|rest| !rest.is_empty()) {
            self.add(&rest);
            node.warn("`sampling` holds only where the client says nothing", None);
        }
    }

    fn hook(&mut self, hook: &'static str, config: Value, prompt: Prompt) {
        self.hooks.retain(|known| known.hook != hook);
        let grants = Grants {
            prompt,
            ..Grants::default()
        };
        self.hooks.push(Effected {
            hook,
            config,
            grants,
        });
    }

    fn set(&mut self, field: &str, value: &str) {
        self.accent.insert(field.into(), value.into());
    }

    /// Members that every request gets.
    fn add(&mut self, members: &Value) {
        let Ok(serde_yaml::Value::Mapping(members)) = serde_yaml::to_value(members) else {
            return;
        };
        let known = self
            .accent
            .entry("add".into())
            .or_insert_with(|| serde_yaml::Mapping::new().into());
        if let Some(known) = known.as_mapping_mut() {
            known.extend(members);
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.accent.is_empty() && self.hooks.is_empty()
    }

    /// These, and `more` in the place of those that it has, too.
    pub(super) fn with(mut self, more: Self) -> Self {
        self.accent.extend(more.accent);
        for Effected {
            hook,
            config,
            grants,
        } in more.hooks
        {
            self.hook(hook, config, grants.prompt);
        }
        self
    }

    /// The row's accent with these fields, as far as its dialect has them.
    pub(super) fn accent_over(&self, row: Option<&Row>, dialect: Dialect) -> Accent {
        accent::over(row, dialect, self.accent.clone())
    }
}
