//! LiteLLM's `config.yaml`, read as if it were ours.
//!
//! [`keys`] says what becomes of each key, [`deployments`] reads the entries of
//! `model_list` (with [`endpoint`] where they are, and [`params`] what their bodies
//! have), and [`routing`] what is about whole groups of them.

mod deployments;
mod endpoint;
mod keys;
mod params;
mod routing;

use std::collections::HashMap;

use serde_yaml::Value;

use super::document::{Node, Unset};
use super::native::{self, HOOK_FOLDER, Surroundings};
use super::write::Origins;
use super::{Config, Hooks, Models, Prices};
use crate::secret::Secret;
use deployments::Import;
use keys::{Class, Keys};
use routing::Routing;

/// Whether the document is LiteLLM's.
pub(super) fn is_one(root: &Node<'_>) -> bool {
    root.value().get("model_list").is_some()
}

/// What becomes of the value at `path` if its variable is not set. LiteLLM reads
/// nothing then; but nobody means a gateway that asks for no key.
pub(super) fn unset(path: &str) -> Unset {
    match path {
        "general_settings.master_key" | "litellm_settings.master_key" => Unset::Error,
        _ => Unset::Absent,
    }
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
    let top = section(root, &keys::TOP);
    let part = |name: &str, keys: &Keys| {
        let node = top.get(name);
        node.map(|node| section(node, keys)).unwrap_or_default()
    };
    let general = part("general_settings", &keys::GENERAL);
    let settings = part("litellm_settings", &keys::SETTINGS);
    let router = part("router_settings", &keys::ROUTER);
    // Router settings may stand in both sections; the router's own goes first.
    let mut routed = settings.clone();
    routed.extend(router);
    for name in ["callbacks", "success_callback", "failure_callback"] {
        callbacks(settings.get(name));
    }

    let mut import = Import {
        around,
        caps_answers: flag(settings.get("modify_params")),
        stream_timeout: routed.get("stream_timeout").cloned(),
        credentials: deployments::credentials(top.get("credential_list")),
        upstreams: Vec::new(),
        deployments: Vec::new(),
        left_out: Vec::new(),
        chain: Vec::new(),
        prices: Prices::default(),
        retries: Vec::new(),
        origins: Origins::default(),
    };
    for node in top.get("model_list").map(Node::list).unwrap_or_default() {
        import.deployment(&node);
    }
    let aliases: Vec<_> = [
        settings.get("model_alias_map"),
        routed.get("model_group_alias"),
    ]
    .into_iter()
    .flatten()
    .flat_map(Node::members)
    .collect();
    let mut routing = Routing {
        routes: routing::routes(import.deployments, routing::pick(&routed)),
        left_out: import.left_out,
        origins: import.origins,
    };
    routing.fallbacks(&routed, &aliases);
    routing.aliases(&aliases);

    let mut origins = routing.origins;
    let key = general
        .get("master_key")
        .or(settings.get("master_key"))
        .filter(|key| key.text().is_some_and(|key| !key.is_empty()));
    if let Some(key) = key {
        origins.note("keys", key.origin());
        origins.key = key.text().map(Secret::new);
    }
    let chain = import.chain.into_iter().chain(native::default_chain());
    let config = Config {
        keys: key
            .and_then(Node::text)
            .map(super::Keys::of_one)
            .unwrap_or_default(),
        prices: import
            .prices
            .and_listed(&import.upstreams, around.catalogue),
        limits: routing::limits(&general, &routed, &mut origins),
        attempts: routing::attempts(&routed, &import.retries, &mut origins),
        upstreams: import.upstreams,
        models: Models {
            routes: routing.routes,
            ..Models::default()
        },
        hooks: Hooks {
            folder: around.folder.map(|folder| folder.join(HOOK_FOLDER)),
            chain: chain.collect(),
            ..Hooks::default()
        },
        ..Config::default()
    };
    (config, origins)
}

fn flag(node: Option<&Node<'_>>) -> bool {
    node.and_then(Node::flag).unwrap_or(false)
}

/// The honoured members of a section; of the others each is reported.
fn section<'d>(node: &Node<'d>, keys: &Keys) -> HashMap<String, Node<'d>> {
    /// Where a setting may have been meant to stand.
    const SECTIONS: [(&str, &Keys); 4] = [
        ("general_settings", &keys::GENERAL),
        ("litellm_settings", &keys::SETTINGS),
        ("router_settings", &keys::ROUTER),
        ("litellm_params", &keys::PARAMS),
    ];
    let (honoured, unknown) = keys::members(node, keys);
    for (name, node) in unknown {
        let knows = |(_, keys): &&(&str, &Keys)| {
            let class = keys.class(&name);
            class.is_some_and(|class| !matches!(class, Class::Refused(_)))
        };
        match SECTIONS.iter().find(knows) {
            Some((section, _)) => node.warn(
                format!("`{name}` has no effect here"),
                Some(format!("it belongs into `{section}`")),
            ),
            None => node.error(format!("no setting named `{name}`"), None),
        }
    }
    honoured
}

/// Names of services have no effect; a path of Python's cannot work.
fn callbacks(node: Option<&Node<'_>>) {
    let Some(node) = node else { return };
    for node in node.one_or_list() {
        match node.text() {
            Some(name) if name.contains('.') => {
                let why = keys::NO_PYTHON;
                node.error(format!("`{name}` cannot work: {why}"), None);
            }
            Some(name) => {
                node.warn(
                    format!("`{name}` has no effect in Sluice"),
                    Some(keys::LOGS.into()),
                );
            }
            None => {}
        }
    }
}
