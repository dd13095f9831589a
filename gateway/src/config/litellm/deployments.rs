//! Entries of `model_list`: each is a target of its model's route, at an upstream that
//! it may share with others.

use std::collections::HashMap;

use super::super::document::Node;
use super::super::native::{self, Surroundings};
use super::super::write::Origins;
use super::super::{Grants, HookEntry, Match, Price, Prices, Prompt, Target, Timeouts, Upstream};
use super::endpoint::{self, Endpoint};
use super::keys::{self, members};
use super::params;
use super::routing::{Deployment, milliseconds, pattern};
use crate::secret::Secret;

type Members<'d> = HashMap<String, Node<'d>>;

/// Kinds of models that are served; all others are left out.
const CHAT_MODES: [&str; 3] = ["chat", "completion", "responses"];

/// What the deployments have amounted to so far.
pub(super) struct Import<'s, 'd> {
    pub(super) around: &'s Surroundings<'s>,
    /// Whether a deployment's `max_tokens` limits answers.
    pub(super) caps_answers: bool,
    /// The router's, for deployments that say nothing.
    pub(super) stream_timeout: Option<Node<'d>>,
    /// `credential_list`, by name.
    pub(super) credentials: HashMap<String, Members<'d>>,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) deployments: Vec<Deployment>,
    /// Names of models, of which some deployment cannot be had.
    pub(super) left_out: Vec<String>,
    pub(super) chain: Vec<HookEntry>,
    pub(super) prices: Prices,
    /// Retries that deployments ask for, one by one.
    pub(super) retries: Vec<Node<'d>>,
    pub(super) origins: Origins,
}

impl<'d> Import<'_, 'd> {
    /// One entry of `model_list`: a target of its model's route.
    pub(super) fn deployment(&mut self, node: &Node<'d>) {
        let (entry, misplaced) = members(node, &keys::ENTRY);
        report_misplaced(&misplaced);
        let (Some(name), Some(written)) = (entry.get("model_name"), entry.get("litellm_params"))
        else {
            node.error("needs `model_name` and `litellm_params`", None);
            return;
        };
        let (mut params, unknown) = members(written, &keys::PARAMS);
        self.take_credential(&mut params);
        let (Some(name), Some(model)) = (name.text(), params.get("model")) else {
            node.error("no `model` in `litellm_params`", None);
            return;
        };
        let info = entry.get("model_info").map(info).unwrap_or_default();
        if let Some(why) = left_out(written, model, &info) {
            self.left_out.push(name.to_owned());
            node.warn(format!("`{name}` is left out: {why}"), None);
            return;
        }
        let Some(endpoint) = endpoint::of(model, &params, self.around) else {
            return;
        };
        let model = endpoint.model.clone();
        let accent = params::accent(endpoint.row, endpoint.dialect, &params, &unknown, &info);
        let upstream = Upstream {
            accent,
            ..self.upstream(endpoint, &params)
        };
        let position = self.position(upstream, &params);
        let path = format!("upstreams.{}", self.upstreams[position].name);
        self.origins.note(path, node.origin());
        let path = format!("models.{}", pattern(name));
        self.origins.note(path, node.origin());
        self.price(position, &model, &params, &info);
        let retries = params.get("num_retries").or(params.get("max_retries"));
        self.retries.extend(retries.cloned());
        let target = self.target(position, model, &info);
        self.deployments
            .push(Deployment::new(name, target, &params));
    }

    /// Put what the named credential has beside what stands there.
    fn take_credential(&self, params: &mut Members<'d>) {
        let Some(node) = params.get("litellm_credential_name").cloned() else {
            return;
        };
        let Some(name) = node.text() else { return };
        let Some(values) = self.credentials.get(name) else {
            let known = self.credentials.keys().map(String::as_str);
            node.unknown("credential", name, known);
            return;
        };
        for (name, value) in values {
            params.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    /// The upstream, but for its accent.
    fn upstream(&self, endpoint: Endpoint<'_>, params: &Members<'_>) -> Upstream {
        let key = params
            .get("api_key")
            .and_then(Node::text)
            .filter(|key| !key.is_empty())
            .map(Secret::new);
        let row = endpoint.row;
        Upstream {
            name: endpoint.provider.to_owned(),
            provider: endpoint.provider.to_owned(),
            dialect: endpoint.dialect,
            auth: row.auth.unwrap_or(endpoint.dialect.auth()),
            base_url: endpoint.base_url,
            api_keys: key
                .or_else(|| native::key_of(row, self.around))
                .into_iter()
                .collect(),
            calls_max: params
                .get("max_parallel_requests")
                .and_then(|node| node.count(1))
                .map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
            timeouts: self.timeouts(params),
            headers: headers(params),
            accent: crate::provider::Accent::of(endpoint.dialect),
        }
    }

    /// LiteLLM's are times for reading: for the first byte, and each silence after it.
    fn timeouts(&self, params: &Members<'_>) -> Timeouts {
        let default = super::super::Limits::default();
        let own = params.get("timeout").and_then(milliseconds);
        let router = self.stream_timeout.as_ref().filter(|_| own.is_none());
        let of_streams = params.get("stream_timeout").or(router);
        let of_streams = of_streams.and_then(milliseconds);
        let silence = of_streams.or(own);
        Timeouts {
            first_byte_ms: own,
            stream_first_byte_ms: of_streams,
            idle_ms: silence.map(|ms| ms.min(default.idle_timeout_ms)),
            total_ms: None,
        }
    }

    /// The model at the upstream, with what `model_info` says of its sizes.
    fn target(&self, upstream: usize, model: String, info: &Members<'_>) -> Target {
        let count = |name: &str| info.get(name).and_then(|node| node.count(1));
        let cap = || count("max_tokens").filter(|_| self.caps_answers);
        Target {
            context_window: count("max_input_tokens"),
            output_limit: count("max_output_tokens").or_else(cap),
            ..Target::new(upstream, model)
        }
    }

    /// What tokens cost there, if both kinds have a price.
    fn price(&mut self, upstream: usize, model: &str, params: &Members<'_>, info: &Members<'_>) {
        let cost = |name: &str| params.get(name).or(info.get(name))?.number();
        let input = cost("input_cost_per_token");
        let output = cost("output_cost_per_token");
        let (Some(input), Some(output)) = (input, output) else {
            let only = params
                .get("input_cost_per_token")
                .or(params.get("output_cost_per_token"));
            if let Some(node) = only {
                node.warn("a price needs input and output, and is left out", None);
            }
            return;
        };
        let price = Price::of_tokens(
            input,
            output,
            cost("cache_read_input_token_cost"),
            cost("cache_creation_input_token_cost"),
        );
        let target = format!("{}/{model}", self.upstreams[upstream].name);
        self.prices.set(target, price);
    }

    /// Where `upstream` stands; the same endpoint, key and settings stand once.
    fn position(&mut self, mut upstream: Upstream, params: &Members<'_>) -> usize {
        let hooks = hooks(params);
        let hooks_of = |name: &str| {
            let of = |hook: &&HookEntry| hook.matching.upstreams == [name];
            let found = self.chain.iter().filter(of);
            found.map(|hook| &hook.config).collect::<Vec<_>>()
        };
        let wanted: Vec<_> = hooks.iter().map(|(hook, _)| &hook.config).collect();
        let is_same = |known: &Upstream| {
            let renamed = Upstream {
                name: known.name.clone(),
                ..upstream.clone()
            };
            // A limit is of one deployment, so that its upstream is its own.
            known.calls_max.is_none() && *known == renamed && hooks_of(&known.name) == wanted
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
        for (hook, origin) in hooks {
            let path = format!("hooks.chain[{}]", self.chain.len());
            self.origins.note(path, origin);
            self.chain.push(HookEntry {
                matching: Match {
                    models: Vec::new(),
                    upstreams: vec![upstream.name.clone()],
                },
                ..hook
            });
        }
        self.upstreams.push(upstream);
        self.upstreams.len() - 1
    }
}

/// `credential_list`, by name.
pub(super) fn credentials<'d>(node: Option<&Node<'d>>) -> HashMap<String, Members<'d>> {
    let named = |node: &Node<'d>| {
        let (entry, _) = members(node, &keys::CREDENTIAL);
        let name = entry.get("credential_name")?.text()?.to_owned();
        let (values, _) = members(entry.get("credential_values")?, &keys::PARAMS);
        Some((name, values))
    };
    let nodes = node.map(Node::list).unwrap_or_default();
    nodes.iter().filter_map(named).collect()
}

/// Members of an entry that LiteLLM does not look for there.
fn report_misplaced(misplaced: &[(String, Node<'_>)]) {
    for (name, node) in misplaced {
        let class = keys::PARAMS.class(name);
        let help = class.map(|_| "it belongs into `litellm_params`".into());
        node.warn(format!("`{name}` has no effect here"), help);
    }
}

/// `model_info`, in which anything may stand.
fn info<'d>(node: &Node<'d>) -> Members<'d> {
    let mut info = HashMap::new();
    for (name, node) in node.members() {
        let class = keys::INFO.class(&name);
        match (class, keys::INFO.meant(&name)) {
            (Some(keys::Class::Honoured), _) => drop(info.insert(name, node)),
            (Some(keys::Class::Ignored(why)), _) => node.warn(
                format!("`{name}` has no effect in Sluice"),
                Some(why.into()),
            ),
            (Some(_), _) => {}
            (None, _) if keys::is_special_price(&name) => {
                let why = keys::SPECIAL_PRICE.into();
                node.warn(format!("`{name}` has no effect in Sluice"), Some(why));
            }
            (None, _) if name.starts_with("supports_") && keys::is_ability(&name) => {
                if node.value().as_bool() == Some(false) {
                    let help = "what an upstream does not take is said by its `accent`";
                    node.warn(
                        format!("`{name}: false` has no effect in Sluice"),
                        Some(help.into()),
                    );
                }
            }
            (None, Some(meant)) => {
                let help = format!("did you mean `{meant}`?");
                node.warn(
                    format!("`{name}` is not known, and has no effect"),
                    Some(help),
                );
            }
            // Whatever the team notes there, it has no effect in LiteLLM either.
            (None, None) => {}
        }
    }
    info
}

/// Why a deployment is no part of the configuration, if it is none.
fn left_out(params: &Node<'_>, model: &Node<'_>, info: &Members<'_>) -> Option<String> {
    let mode = info.get("mode").and_then(Node::text);
    if let Some(mode) = mode.filter(|mode| !CHAT_MODES.contains(mode)) {
        return Some(format!(
            "only chat models are served, and its `mode` is `{mode}`"
        ));
    }
    let prefix = model.text()?.split('/').next()?;
    if endpoint::NOT_OF_CHAT.contains(&prefix) {
        return Some(format!("`{prefix}/` has no chat models"));
    }
    let unset = ["model", "api_base", "base_url"].into_iter();
    let unset = unset
        .filter_map(|name| Some((name, params.unset(name)?)))
        .next();
    unset.map(|(name, variable)| format!("`{variable}` of its `{name}` is not set"))
}

/// Headers of every request, the customary ones of an organisation and of a user
/// agent among them.
fn headers(params: &Members<'_>) -> Vec<(String, Secret)> {
    let written = ["extra_headers", "headers"].into_iter();
    let written = written.filter_map(|name| params.get(name));
    let customary = [
        ("organization", "openai-organization"),
        ("custom_user_agent", "user-agent"),
        ("user_agent", "user-agent"),
    ];
    let customary = customary.into_iter().filter_map(|(param, header)| {
        let text = params.get(param)?.text()?;
        Some((header.to_owned(), Secret::new(text)))
    });
    written.flat_map(native::headers).chain(customary).collect()
}

/// Hooks that the upstream needs for what its accent cannot say, and where each is
/// written.
fn hooks(params: &Members<'_>) -> Vec<(HookEntry, String)> {
    let mut hooks = Vec::new();
    let pointers = params::pointers(params);
    if let Some(node) = params.get("additional_drop_params")
        && !pointers.is_empty()
    {
        let entry = HookEntry {
            config: serde_json::json!({ "params": pointers }),
            ..HookEntry::named("drop-params", node.place())
        };
        hooks.push((entry, node.origin()));
    }
    if let Some(node) = params.get("merge_reasoning_content_in_choices")
        && node.flag() == Some(true)
    {
        let entry = HookEntry {
            config: serde_json::json!({ "to": "tags" }),
            grants: Grants {
                prompt: Prompt::Write,
                ..Grants::default()
            },
            ..HookEntry::named("think-tags", node.place())
        };
        hooks.push((entry, node.origin()));
    }
    hooks
}
