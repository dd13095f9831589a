//! LiteLLM's `config.yaml`, read as if it were ours.
//!
//! Every key is in one of three tables: honoured here, without effect (a
//! warning says so), or refused (with the reason). Whatever is in none is a
//! mistake, reported with the nearest name: LiteLLM would send it upstream.
//! The schema: <https://docs.litellm.ai/docs/proxy/config_settings> (seen 2026-11).

use std::collections::{HashMap, HashSet};

use serde_yaml::Value;

use super::accent;
use super::catalogue::{GENERIC, Row};
use super::document::Node;
use super::native::{self, HOOK_FOLDER, Surroundings};
use super::{
    Attempts, Config, HookEntry, Hooks, Kv, Limits, Match, Models, Prices, Route, State, Target,
    Upstream,
};
use crate::provider::Dialect;
use crate::secret::Secret;

/// Keys of one mapping.
struct Keys {
    /// Read below.
    honoured: &'static [&'static str],
    /// What Sluice does anyway, or has no need of: nothing is lost, nothing said.
    idle: &'static [&'static str],
    /// Accepted without effect, and said so.
    ignored: &'static [&'static str],
    /// What cannot work.
    refused: &'static [(&'static str, &'static str)],
}

const NO_PYTHON: &str = "Sluice runs no Python; a WebAssembly hook does its work";
const NO_ENTRA: &str = "Sluice fetches no tokens from Entra; give it an `api_key`";

const TOP: Keys = Keys {
    honoured: &[
        "model_list",
        "litellm_settings",
        "general_settings",
        "router_settings",
        "environment_variables",
    ],
    idle: &[],
    ignored: &[
        "callback_settings",
        "credential_list",
        "guardrails",
        "policies",
        "search_tools",
    ],
    refused: &[
        ("include", "one file is read; put its content here"),
        ("mcp_servers", "Sluice serves models, not tools"),
    ],
};

const ENTRY: Keys = Keys {
    honoured: &["model_name", "litellm_params"],
    idle: &["model_info"],
    ignored: &[],
    refused: &[],
};

const PARAMS: Keys = Keys {
    honoured: &[
        "model",
        "api_base",
        "base_url",
        "api_key",
        "extra_headers",
        "additional_drop_params",
    ],
    idle: &[
        "base_model",
        "custom_llm_provider",
        "drop_params",
        "input_cost_per_token",
        "merge_reasoning_content_in_choices",
        "output_cost_per_token",
        "tags",
        "use_chat_completions_api",
    ],
    ignored: &[
        "allowed_openai_params",
        "api_version",
        "cache_control_injection_points",
        "keepalive_seconds",
        "max_retries",
        "max_tokens",
        "organization",
        "order",
        "rpm",
        "stream_timeout",
        "temperature",
        "timeout",
        "top_p",
        "tpm",
        "weight",
    ],
    refused: &[
        ("azure_ad_token", "write the token as `api_key`"),
        ("client_id", NO_ENTRA),
        ("client_secret", NO_ENTRA),
        (
            "mock_response",
            "use the model `demo` of `sluice serve` without a config",
        ),
        ("tenant_id", NO_ENTRA),
    ],
};

const SETTINGS: Keys = Keys {
    honoured: &["model_alias_map"],
    idle: &[
        "anthropic_messages_estimate_initial_input_tokens",
        "drop_params",
        "json_logs",
        "modify_params",
        "set_verbose",
        "telemetry",
        "use_chat_completions_url_for_anthropic_messages",
    ],
    ignored: &[
        "additional_drop_params",
        "anthropic_sse_ping_interval_seconds",
        "cache",
        "cache_params",
        "content_policy_fallbacks",
        "context_window_fallbacks",
        "default_fallbacks",
        "failure_callback",
        "fallbacks",
        "max_budget",
        "budget_duration",
        "num_retries",
        "request_timeout",
        "service_callback",
        "sse_keepalive_interval_seconds",
        "success_callback",
    ],
    refused: &[
        ("callbacks", NO_PYTHON),
        ("custom_provider_map", NO_PYTHON),
        ("post_call_rules", NO_PYTHON),
    ],
};

const GENERAL: Keys = Keys {
    honoured: &["master_key", "max_request_size_mb"],
    idle: &[
        "cancel_on_disconnect",
        "completion_model",
        "disable_spend_logs",
    ],
    ignored: &[
        "alerting",
        "alerting_threshold",
        "background_health_checks",
        "database_connection_pool_limit",
        "database_url",
        "health_check_interval",
        "store_model_in_db",
        "store_prompts_in_spend_logs",
    ],
    refused: &[
        ("custom_auth", NO_PYTHON),
        (
            "pass_through_endpoints",
            "only the endpoints of models are served",
        ),
    ],
};

const ROUTER: Keys = Keys {
    honoured: &["model_group_alias"],
    idle: &["disable_cooldowns", "set_verbose"],
    ignored: &[
        "allowed_fails",
        "allowed_fails_policy",
        "content_policy_fallbacks",
        "context_window_fallbacks",
        "cooldown_time",
        "enable_pre_call_checks",
        "fallbacks",
        "max_fallbacks",
        "model_group_retry_policy",
        "num_retries",
        "redis_host",
        "redis_password",
        "redis_port",
        "redis_url",
        "retry_after",
        "retry_policy",
        "routing_strategy",
        "routing_strategy_args",
        "timeout",
    ],
    refused: &[],
};

/// Prefixes of vendors whose own wire format would be needed.
const OTHER_DIALECTS: [&str; 5] = ["azure_ai", "bedrock", "sagemaker", "vertex_ai", "watsonx"];

/// Prefixes of services that are no more.
const CLOSED: [(&str, &str); 2] = [
    ("github", "GitHub Models closed on 2026-07-30"),
    (
        "meta_llama",
        "the Llama API closed on 2026-07-06; `meta/` has its successor",
    ),
];

/// Vendors whose own format LiteLLM speaks, and the path below their `api_base`
/// where they speak Chat Completions.
const CHAT_PATHS: [(&str, &str); 2] = [("azure", "/openai/v1"), ("gemini", "/v1beta/openai")];

/// What LiteLLM reads before the slash of an Azure deployment's name.
const AZURE_SERIES: [&str; 3] = ["gpt5_series/", "o_series/", "responses/"];

/// Whether the document is LiteLLM's.
pub(super) fn is_one(root: &Node<'_>) -> bool {
    root.value().get("model_list").is_some()
}

/// `environment_variables` of a file that may be LiteLLM's: they count before
/// its other variables are read.
pub(super) fn variables(text: &str) -> HashMap<String, String> {
    let root: Value = serde_yaml::from_str(text).unwrap_or_default();
    let set = if root.get("model_list").is_some() {
        root.get("environment_variables")
    } else {
        None
    };
    let members = set.and_then(Value::as_mapping).into_iter().flatten();
    members
        .filter_map(|(name, value)| Some((name.as_str()?.to_owned(), value.as_str()?.to_owned())))
        .filter(|(_, value)| !value.starts_with("os.environ/"))
        .collect()
}

/// Read the whole file, as [`native::read`] does its own.
pub(super) fn read(root: &Node<'_>, around: &Surroundings<'_>) -> Config {
    let top = members(root, &TOP);
    let general = top
        .get("general_settings")
        .map(|node| members(node, &GENERAL))
        .unwrap_or_default();
    let settings = top
        .get("litellm_settings")
        .map(|node| members(node, &SETTINGS))
        .unwrap_or_default();
    let router = top
        .get("router_settings")
        .map(|node| members(node, &ROUTER))
        .unwrap_or_default();

    let mut import = Import {
        around,
        upstreams: Vec::new(),
        routes: Vec::new(),
        chain: Vec::new(),
    };
    for node in top.get("model_list").map(Node::list).unwrap_or_default() {
        import.deployment(&node);
    }
    for aliases in [
        settings.get("model_alias_map"),
        router.get("model_group_alias"),
    ]
    .into_iter()
    .flatten()
    {
        import.aliases(aliases);
    }
    let mut limits = Limits::default();
    if let Some(megabytes) = general
        .get("max_request_size_mb")
        .and_then(|node| node.count(1))
    {
        limits.body_bytes_max = usize::try_from(megabytes << 20).unwrap_or(usize::MAX);
    }
    let key = general
        .get("master_key")
        .and_then(Node::text)
        .filter(|key| !key.is_empty());
    Config {
        listen: super::LISTEN,
        keys: key.map(super::Keys::of_one).unwrap_or_default(),
        keys_file: None,
        prices: Prices::default(),
        state: State::default(),
        limits,
        attempts: Attempts::default(),
        upstreams: import.upstreams,
        models: Models {
            routes: import.routes,
            ..Models::default()
        },
        hooks: Hooks {
            folder: around.folder.map(|folder| folder.join(HOOK_FOLDER)),
            chain: import
                .chain
                .into_iter()
                .chain(native::default_chain())
                .collect(),
            kv: Kv::default(),
            lock: None,
        },
        providers: None,
    }
}

/// The honoured members; the others are reported as their table says.
fn members<'d>(node: &Node<'d>, keys: &Keys) -> HashMap<String, Node<'d>> {
    let mut honoured = HashMap::new();
    for (key, node) in node.members() {
        let name = key.as_str();
        if keys.honoured.contains(&name) {
            honoured.insert(key, node);
        } else if keys.ignored.contains(&name) {
            node.warn(format!("`{name}` has no effect in Sluice"), None);
        } else if let Some((_, why)) = keys.refused.iter().find(|(refused, _)| *refused == name) {
            node.error(format!("`{name}` cannot work: {why}"), None);
        } else if !keys.idle.contains(&name) {
            let refused = keys.refused.iter().map(|(name, _)| *name);
            let known = keys
                .honoured
                .iter()
                .chain(keys.idle)
                .chain(keys.ignored)
                .copied();
            node.unknown("setting", name, known.chain(refused));
        }
    }
    honoured
}

/// What the deployments have amounted to so far.
struct Import<'s> {
    around: &'s Surroundings<'s>,
    upstreams: Vec<Upstream>,
    routes: Vec<Route>,
    chain: Vec<HookEntry>,
}

impl Import<'_> {
    /// One entry of `model_list`: a target of its model's route. Entries of one
    /// name are tried in order.
    fn deployment(&mut self, node: &Node<'_>) {
        let entry = members(node, &ENTRY);
        let (Some(name), Some(params)) = (entry.get("model_name"), entry.get("litellm_params"))
        else {
            node.error("needs `model_name` and `litellm_params`", None);
            return;
        };
        let params = members(params, &PARAMS);
        let (Some(name), Some(model)) = (name.text(), params.get("model")) else {
            node.error("no `model` in `litellm_params`", None);
            return;
        };
        let Some((upstream, model)) = self.upstream(model, &params) else {
            return;
        };
        let target = Target::new(self.position(upstream), model);
        match self.routes.iter_mut().find(|route| route.pattern == name) {
            Some(route) => route.targets.push(target),
            None => self.routes.push(Route::new(name, vec![target])),
        }
        if let Some(dropped) = params.get("additional_drop_params") {
            self.chain.push(HookEntry {
                matching: Match {
                    models: vec![name.to_owned()],
                    upstreams: Vec::new(),
                },
                config: serde_json::json!({ "params": dropped.texts() }),
                ..HookEntry::named("drop-params", dropped.place())
            });
        }
    }

    /// The upstream of a deployment, and the model's name there.
    fn upstream(
        &self,
        node: &Node<'_>,
        params: &HashMap<String, Node<'_>>,
    ) -> Option<(Upstream, String)> {
        let model = node.text()?;
        let base = params.get("api_base").or(params.get("base_url"));
        let (provider, row, model) = self.provider(node, model, base.is_some())?;
        let base_url = match base {
            Some(base) => {
                let url = native::base_url(base, row.dialect)?;
                let chat = CHAT_PATHS.iter().find(|(name, _)| *name == provider);
                match (chat, row.dialect) {
                    (Some((_, path)), _) => {
                        let chat = at_chat_path(&url, path);
                        if chat != url {
                            base.warn(
                                format!("asked at `{path}`, the path for Chat Completions"),
                                None,
                            );
                        }
                        chat
                    }
                    // LiteLLM appends `/v1/messages` where we append `/messages`.
                    (None, Dialect::AnthropicMessages) if !url.ends_with("/v1") => {
                        format!("{url}/v1")
                    }
                    _ => url,
                }
            }
            None => match &row.base_url {
                Some(url) => url.clone(),
                None => {
                    node.error("no `api_base`, and this provider has none by default", None);
                    return None;
                }
            },
        };
        let key = params
            .get("api_key")
            .and_then(Node::text)
            .filter(|key| !key.is_empty())
            .map(Secret::new);
        let upstream = Upstream {
            name: provider.to_owned(),
            provider: provider.to_owned(),
            dialect: row.dialect,
            auth: row.auth.unwrap_or(row.dialect.auth()),
            base_url,
            api_keys: key
                .or_else(|| native::key_of(row, self.around))
                .into_iter()
                .collect(),
            calls_max: None,
            headers: params
                .get("extra_headers")
                .map(native::headers)
                .unwrap_or_default(),
            accent: accent::of(Some(row), row.dialect, None),
        };
        Some((upstream, model.to_owned()))
    }

    /// The catalogue's row for `prefix/model`, and the rest of the name.
    fn provider<'m>(
        &self,
        node: &Node<'_>,
        model: &'m str,
        has_base: bool,
    ) -> Option<(&str, &Row, &'m str)> {
        let catalogue = self.around.catalogue;
        let generic = || Some((GENERIC, catalogue.row(GENERIC)?));
        let Some((prefix, rest)) = model.split_once('/') else {
            let row = if has_base { generic() } else { None };
            if row.is_none() {
                node.error(
                    format!("`{model}` names no provider"),
                    Some(format!("write `openai/{model}`")),
                );
            }
            return row.map(|(name, row)| (name, row, model));
        };
        if OTHER_DIALECTS.contains(&prefix) {
            let help =
                "give it an OpenAI-compatible `api_base`, and write `openai/` for the prefix";
            node.error(
                format!("`{prefix}/` speaks neither Chat Completions nor Messages"),
                Some(help.into()),
            );
            return None;
        }
        if let Some((_, why)) = CLOSED.iter().find(|(closed, _)| *closed == prefix) {
            node.error(format!("`{prefix}/` leads nowhere: {why}"), None);
            return None;
        }
        // `openai/` with a base means "compatible", which OpenAI's own accent is not.
        let row = match prefix {
            "openai" if has_base => generic(),
            _ => catalogue.by_litellm_prefix(prefix),
        };
        if row.is_none() {
            let known = catalogue
                .rows()
                .flat_map(|(_, row)| &row.litellm)
                .map(String::as_str);
            node.unknown("provider", prefix, known);
        }
        let series = AZURE_SERIES
            .iter()
            .find_map(|series| rest.strip_prefix(series))
            .filter(|_| prefix == "azure");
        row.map(|(name, row)| (name, row, series.unwrap_or(rest)))
    }

    /// Where `upstream` stands; the same endpoint and key stand once.
    fn position(&mut self, mut upstream: Upstream) -> usize {
        let is_same = |known: &Upstream| {
            known.provider == upstream.provider
                && known.base_url == upstream.base_url
                && known.api_keys == upstream.api_keys
                && known.headers == upstream.headers
        };
        if let Some(position) = self.upstreams.iter().position(is_same) {
            return position;
        }
        let namesakes = self
            .upstreams
            .iter()
            .filter(|known| known.provider == upstream.provider)
            .count();
        if namesakes > 0 {
            upstream.name = format!("{}-{}", upstream.provider, namesakes + 1);
        }
        self.upstreams.push(upstream);
        self.upstreams.len() - 1
    }

    /// `alias: model`, or `alias: { model: ..., hidden: ... }`.
    fn aliases(&mut self, node: &Node<'_>) {
        let mut seen: HashSet<String> = self
            .routes
            .iter()
            .map(|route| route.pattern.clone())
            .collect();
        for (alias, node) in node.members() {
            let named = match node.value().is_mapping() {
                true => node.object(&["model", "hidden"]).remove("model"),
                false => Some(node.clone()),
            };
            let Some(model) = named.as_ref().and_then(Node::text) else {
                continue;
            };
            let Some(route) = self.routes.iter().find(|route| route.pattern == model) else {
                node.unknown(
                    "model",
                    model,
                    self.routes.iter().map(|route| route.pattern.as_str()),
                );
                continue;
            };
            if seen.insert(alias.clone()) {
                self.routes.push(Route {
                    pattern: alias,
                    ..route.clone()
                });
            }
        }
    }
}

/// `url` with `path` in place of what LiteLLM's users write below the host: nothing,
/// or a path of the vendor's own format, which begins like `path`.
fn at_chat_path(url: &str, path: &str) -> String {
    let begins = path.split('/').nth(1);
    // The host may be called like the path.
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    let root = url
        .match_indices('/')
        .map(|(slash, _)| slash)
        .filter(|slash| *slash >= host)
        .find(|slash| url[slash + 1..].split('/').next() == begins)
        .map_or(url, |slash| &url[..slash]);
    format!("{root}{path}")
}
