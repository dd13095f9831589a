//! Where a deployment is: the provider that its model's name begins with, or is known
//! for, and the URL.

use std::collections::HashMap;

use super::super::catalogue::{Catalogue, GENERIC, Row};
use super::super::document::Node;
use super::super::native::{self, Surroundings};
use super::keys::slip_of;
use crate::provider::Dialect;

/// Prefixes of vendors whose own wire format would be needed.
const OTHER_DIALECTS: [&str; 9] = [
    "azure_ai",
    "bedrock",
    "bedrock_converse",
    "sagemaker",
    "sagemaker_chat",
    "vertex_ai",
    "vertex_ai_beta",
    "watsonx",
    "watsonx_text",
];

/// Prefixes of what has no chat models: their deployments are left out.
pub(super) const NOT_OF_CHAT: [&str; 15] = [
    "assemblyai",
    "aws_polly",
    "black_forest_labs",
    "deepgram",
    "elevenlabs",
    "fal_ai",
    "infinity",
    "jina_ai",
    "milvus",
    "recraft",
    "runwayml",
    "soniox",
    "stability",
    "topaz",
    "voyage",
];

/// Prefixes of what chooses a model by itself.
const AUTO: [&str; 4] = [
    "adaptive_router",
    "auto_router",
    "complexity_router",
    "quality_router",
];

/// Prefixes of services that are no more.
const CLOSED: [(&str, &str); 2] = [
    ("github", "GitHub Models closed on 2026-07-30"),
    (
        "meta_llama",
        "the Llama API closed on 2026-07-06; `meta/` has its successor",
    ),
];

/// What names without a prefix begin with, and the prefix that LiteLLM's users mean.
const KNOWN_NAMES: [(&str, &str); 12] = [
    ("chatgpt-", "openai"),
    ("claude-", "anthropic"),
    ("codestral-", "mistral"),
    ("deepseek-", "deepseek"),
    ("gpt-", "openai"),
    ("grok-", "xai"),
    ("kimi-", "moonshot"),
    ("mistral-", "mistral"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("sonar", "perplexity"),
];

/// Vendors whose own format LiteLLM speaks, and the path below their `api_base`
/// where they speak Chat Completions.
const CHAT_PATHS: [(&str, &str); 2] = [("azure", "/openai/v1"), ("gemini", "/v1beta/openai")];

/// Hosts of Azure's where its models speak Chat Completions.
/// <https://learn.microsoft.com/en-us/azure/foundry/openai/api-version-lifecycle> (seen 2026-11).
const AZURE_HOSTS: [&str; 3] = [
    ".cognitiveservices.azure.com",
    ".openai.azure.com",
    ".services.ai.azure.com",
];

/// What LiteLLM reads before the slash of an Azure deployment's name.
const AZURE_SERIES: [&str; 3] = ["gpt5_series/", "o_series/", "responses/"];

/// Where calls go, and the model's name there.
pub(super) struct Endpoint<'c> {
    pub(super) provider: &'c str,
    pub(super) row: &'c Row,
    pub(super) dialect: Dialect,
    pub(super) base_url: String,
    pub(super) model: String,
}

/// The endpoint of a deployment of the model in `node`.
pub(super) fn of<'c>(
    node: &Node<'_>,
    params: &HashMap<String, Node<'_>>,
    around: &Surroundings<'c>,
) -> Option<Endpoint<'c>> {
    let base = params.get("api_base").or(params.get("base_url"));
    let named = params.get("custom_llm_provider").and_then(Node::text);
    let (provider, row, model) = provider(node, named, base, around.catalogue)?;
    let base_url = match (base, &row.base_url) {
        (Some(base), _) => base_url(base, provider, row)?,
        (None, Some(url)) => url.clone(),
        (None, None) => {
            node.error("no `api_base`, and this provider has none by default", None);
            return None;
        }
    };
    Some(Endpoint {
        provider,
        row,
        dialect: row.dialect,
        base_url,
        model: model.to_owned(),
    })
}

/// `base`, as far as the dialect's path is to be appended to it.
fn base_url(base: &Node<'_>, provider: &str, row: &Row) -> Option<String> {
    let url = native::base_url(base, row.dialect)?;
    let chat = CHAT_PATHS.iter().find(|(name, _)| *name == provider);
    if let Some((_, path)) = chat {
        let chat = at_chat_path(&url, path);
        if chat != url {
            let help = remark_on_variables(&url);
            base.warn(
                format!("asked at `{path}`, the path for Chat Completions"),
                help,
            );
        }
        return Some(chat);
    }
    // LiteLLM appends `/v1/messages` where we append `/messages`.
    if row.dialect == Dialect::AnthropicMessages && !url.ends_with("/v1") {
        if let Some(help) = remark_on_variables(&url) {
            base.warn("asked below `/v1`", Some(help));
        }
        return Some(format!("{url}/v1"));
    }
    Some(url)
}

/// The catalogue's row for `prefix/model`, or for what `named` says, and the rest of
/// the name.
fn provider<'c, 'm>(
    node: &Node<'m>,
    named: Option<&'m str>,
    base: Option<&Node<'_>>,
    catalogue: &'c Catalogue,
) -> Option<(&'c str, &'c Row, &'m str)> {
    let model = node.text()?;
    let generic = || Some((GENERIC, catalogue.row(GENERIC)?));
    let prefixed = match named {
        Some(named) => {
            let rest = model.strip_prefix(named);
            let rest = rest.and_then(|rest| rest.strip_prefix('/'));
            Some((named, rest.unwrap_or(model)))
        }
        None => model.split_once('/').or_else(|| inferred(model)),
    };
    let Some((prefix, rest)) = prefixed else {
        let row = if base.is_some() { generic() } else { None };
        if row.is_none() {
            let help = "write the provider before it: `openai/...`, `anthropic/...`, `gemini/...`";
            node.error(format!("`{model}` names no provider"), Some(help.into()));
        }
        return row.map(|(name, row)| (name, row, model));
    };
    if let Some(base) = base.filter(|_| prefix == "azure_ai") {
        let row = match is_azure_host(base) {
            true => catalogue.by_litellm_prefix("azure"),
            false => generic(),
        };
        return row.map(|(name, row)| (name, row, rest));
    }
    if let Some((message, help)) = refusal(prefix) {
        node.error(message, help);
        return None;
    }
    // `openai/` with a base means "compatible", which OpenAI's own accent is not.
    let row = match prefix {
        "openai" if base.is_some() => generic(),
        _ => catalogue.by_litellm_prefix(prefix),
    };
    if row.is_none() {
        let known = catalogue.rows().flat_map(|(_, row)| &row.litellm);
        let help = match slip_of(prefix, known.map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => {
                "if it speaks Chat Completions, write `openai/` for the prefix, and its `api_base`"
                    .into()
            }
        };
        node.error(format!("no provider named `{prefix}`"), Some(help));
    }
    let series = AZURE_SERIES
        .iter()
        .find_map(|series| rest.strip_prefix(series))
        .filter(|_| prefix == "azure");
    row.map(|(name, row)| (name, row, series.unwrap_or(rest)))
}

/// The provider that a bare name is known for.
fn inferred(model: &str) -> Option<(&'static str, &str)> {
    let known = KNOWN_NAMES
        .iter()
        .find(|(begin, _)| model.starts_with(begin));
    known.map(|(_, prefix)| (*prefix, model))
}

/// Why nothing of `prefix` can be asked, and what to do about it.
fn refusal(prefix: &str) -> Option<(String, Option<String>)> {
    if AUTO.contains(&prefix) {
        let message = format!("`{prefix}/` chooses a model by itself, which Sluice does not");
        let help = "a WebAssembly hook with `on-route` does; `long-context` is one";
        return Some((message, Some(help.into())));
    }
    if OTHER_DIALECTS.contains(&prefix) {
        let message = format!("`{prefix}/` speaks neither Chat Completions nor Messages");
        let help = "give it an OpenAI-compatible `api_base`, and write `openai/` for the prefix";
        return Some((message, Some(help.into())));
    }
    let closed = CLOSED.iter().find(|(closed, _)| *closed == prefix);
    closed.map(|(_, why)| (format!("`{prefix}/` leads nowhere: {why}"), None))
}

fn is_azure_host(base: &Node<'_>) -> bool {
    let host = base.value().as_str().and_then(|url| url.split('/').nth(2));
    host.is_some_and(|host| AZURE_HOSTS.iter().any(|end| host.ends_with(end)))
}

/// What the value of a variable must be that another path stands behind.
fn remark_on_variables(url: &str) -> Option<String> {
    let is_open = url.contains("${");
    is_open.then(|| "the variable must hold no path".into())
}

/// `url` with `path` in place of what LiteLLM's users write below the host: nothing,
/// or a path of the vendor's own format, which begins like `path`.
fn at_chat_path(url: &str, path: &str) -> String {
    let begins = [path.split('/').nth(1), Some("models")];
    // The host may be called like the path.
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    let root = url
        .match_indices('/')
        .map(|(slash, _)| slash)
        .filter(|slash| *slash >= host)
        .find(|slash| begins.contains(&url[slash + 1..].split('/').next()))
        .map_or(url, |slash| &url[..slash]);
    format!("{root}{path}")
}
