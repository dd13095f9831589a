//! LiteLLM's `config.yaml`, read as if it were ours.
//!
//! [`keys`] says what becomes of each key, [`routing`] reads what is about whole
//! groups of deployments, and this file the deployments.

mod keys;
mod routing;

use std::collections::HashMap;

use serde_yaml::Value;

use super::accent;
use super::catalogue::{GENERIC, Row};
use super::document::Node;
use super::native::{self, HOOK_FOLDER, Surroundings};
use super::write::Origins;
use super::{
    Config, Drain, HookEntry, Hooks, Kv, Match, Models, Prices, State, Target, Timeouts, Upstream,
};
use crate::provider::Dialect;
use crate::secret::Secret;
use keys::Keys;
use routing::{Deployment, Routing};

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
pub(super) fn variables(root: &Node<'_>) -> HashMap<String, String> {
    let set = root.value().get("environment_variables");
    let set = set.filter(|_| is_one(root));
    let members = set.and_then(Value::as_mapping).into_iter().flatten();
    members
        .filter_map(|(name, value)| Some((name.as_str()?.to_owned(), value.as_str()?.to_owned())))
        .filter(|(_, value)| !value.starts_with("os.environ/"))
        .collect()
}

/// Read the whole file, as [`native::read`] does its own, and what came from where.
pub(super) fn read(root: &Node<'_>, around: &Surroundings<'_>) -> (Config, Origins) {
    let top = members(root, &keys::TOP);
    let section = |name: &str, keys: &Keys| {
        let node = top.get(name);
        node.map(|node| members(node, keys)).unwrap_or_default()
    };
    let general = section("general_settings", &keys::GENERAL);
    let settings = section("litellm_settings", &keys::SETTINGS);
    let router = section("router_settings", &keys::ROUTER);
    callbacks(settings.get("callbacks"));

    let mut import = Import {
        around,
        caps_answers: flag(settings.get("modify_params")),
        upstreams: Vec::new(),
        deployments: Vec::new(),
        chain: Vec::new(),
        origins: Origins::default(),
    };
    for node in top.get("model_list").map(Node::list).unwrap_or_default() {
        import.deployment(&node);
    }
    let aliases: Vec<_> = [
        settings.get("model_alias_map"),
        router.get("model_group_alias"),
    ]
    .into_iter()
    .flatten()
    .flat_map(Node::members)
    .collect();
    let mut routing = Routing {
        routes: routing::routes(import.deployments, routing::pick(&router)),
        origins: import.origins,
    };
    routing.fallbacks(&router, &settings, &aliases);
    routing.aliases(&aliases);

    let mut origins = routing.origins;
    let key = general
        .get("master_key")
        .filter(|key| key.text().is_some_and(|key| !key.is_empty()));
    if let Some(key) = key {
        origins.note("keys", key.origin());
        origins.key = key.text().map(Secret::new);
    }
    let chain = import.chain.into_iter().chain(native::default_chain());
    let config = Config {
        listen: super::LISTEN,
        keys: key
            .and_then(Node::text)
            .map(super::Keys::of_one)
            .unwrap_or_default(),
        keys_file: None,
        prices: Prices::default(),
        state: State::default(),
        limits: routing::limits(&general, &router, &settings, &mut origins),
        attempts: routing::attempts(&router, &settings, &mut origins),
        drain: Drain::default(),
        upstreams: import.upstreams,
        models: Models {
            routes: routing.routes,
            ..Models::default()
        },
        hooks: Hooks {
            folder: around.folder.map(|folder| folder.join(HOOK_FOLDER)),
            chain: chain.collect(),
            kv: Kv::default(),
            lock: None,
        },
        providers: None,
    };
    (config, origins)
}

fn flag(node: Option<&Node<'_>>) -> bool {
    node.and_then(Node::flag).unwrap_or(false)
}

/// Names of services have no effect; a path of Python's cannot work.
fn callbacks(node: Option<&Node<'_>>) {
    let Some(node) = node else { return };
    let nodes = match node.value().is_string() {
        true => vec![node.clone()],
        false => node.list(),
    };
    for node in nodes {
        match node.text() {
            Some(name) if name.contains('.') => {
                let why = keys::NO_PYTHON;
                node.error(format!("`{name}` cannot work: {why}"), None);
            }
            Some(name) => {
                let help = keys::advice("success_callback");
                node.warn(format!("`{name}` has no effect in Sluice"), help);
            }
            None => {}
        }
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
            node.warn(
                format!("`{name}` has no effect in Sluice"),
                keys::advice(name),
            );
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
    /// Whether a deployment's `max_tokens` limits answers.
    caps_answers: bool,
    upstreams: Vec<Upstream>,
    deployments: Vec<Deployment>,
    chain: Vec<HookEntry>,
    origins: Origins,
}

impl Import<'_> {
    /// One entry of `model_list`: a target of its model's route.
    fn deployment(&mut self, node: &Node<'_>) {
        let entry = members(node, &keys::ENTRY);
        let (Some(name), Some(params)) = (entry.get("model_name"), entry.get("litellm_params"))
        else {
            node.error("needs `model_name` and `litellm_params`", None);
            return;
        };
        let params = members(params, &keys::PARAMS);
        let (Some(name), Some(model)) = (name.text(), params.get("model")) else {
            node.error("no `model` in `litellm_params`", None);
            return;
        };
        let Some((upstream, model)) = self.upstream(model, &params) else {
            return;
        };
        let position = self.position(upstream);
        let path = format!("upstreams.{}", self.upstreams[position].name);
        self.origins.note(path, node.origin());
        self.origins.note(format!("models.{name}"), node.origin());
        let info = entry.get("model_info").map(Node::members);
        let target = self.target(position, model, &info.unwrap_or_default());
        self.deployments
            .push(Deployment::new(name, target, &params));
        if let Some(dropped) = params.get("additional_drop_params") {
            self.chain.push(HookEntry {
                matching: Match {
                    models: vec![name.to_owned()],
                    upstreams: Vec::new(),
                },
                config: serde_json::json!({ "params": dropped.texts() }),
                ..HookEntry::named("drop-params", dropped.place())
            });
            let path = format!("hooks.chain[{}]", self.chain.len() - 1);
            self.origins.note(path, dropped.origin());
        }
    }

    /// The model at the upstream, with what `model_info` says of its sizes.
    fn target(&self, upstream: usize, model: String, info: &[(String, Node<'_>)]) -> Target {
        let count = |name: &str| {
            let node = info.iter().find(|(known, _)| known == name);
            node.and_then(|(_, node)| node.count(1))
        };
        let cap = || count("max_tokens").filter(|_| self.caps_answers);
        Target {
            context_window: count("max_input_tokens"),
            output_limit: count("max_output_tokens").or_else(cap),
            ..Target::new(upstream, model)
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
                            let help = remark_on_variables(&url);
                            base.warn(
                                format!("asked at `{path}`, the path for Chat Completions"),
                                help,
                            );
                        }
                        chat
                    }
                    // LiteLLM appends `/v1/messages` where we append `/messages`.
                    (None, Dialect::AnthropicMessages) if !url.ends_with("/v1") => {
                        if let Some(help) = remark_on_variables(&url) {
                            base.warn("asked below `/v1`", Some(help));
                        }
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
            calls_max: params
                .get("max_parallel_requests")
                .and_then(|node| node.count(1))
                .map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
            timeouts: Timeouts::default(),
            headers: headers(params),
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
        // A limit is of one deployment, so that its upstream is its own.
        let is_same = |known: &Upstream| {
            known.calls_max.is_none()
                && upstream.calls_max.is_none()
                && known.provider == upstream.provider
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
}

/// Headers of every request, the customary one of an organisation among them.
fn headers(params: &HashMap<String, Node<'_>>) -> Vec<(String, Secret)> {
    let extra = params.get("extra_headers").map(native::headers);
    let organization = params.get("organization").and_then(Node::text);
    let organization = organization.map(|id| ("openai-organization".into(), Secret::new(id)));
    extra.into_iter().flatten().chain(organization).collect()
}

/// What the value of a variable must be that another path stands behind.
fn remark_on_variables(url: &str) -> Option<String> {
    let is_open = url.contains("${");
    is_open.then(|| "the variable must hold no path".into())
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
