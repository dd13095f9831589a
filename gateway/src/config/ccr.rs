//! claude-code-router's `config.json`, of its versions 1 and 2: providers,
//! transformers, and a router by what a call is for.
//!
//! Much of it has no counterpart, since Sluice does by itself what most
//! transformers are for. So nothing here is refused that could be left out, and
//! whatever is left out is reported.
//! The format: <https://github.com/musistudio/claude-code-router> (seen 2026-11).

mod transformers;

use std::net::{IpAddr, SocketAddr};

use super::accent;
use super::catalogue::{Catalogue, GENERIC, Row};
use super::document::Node;
use super::native::{self, Surroundings};
use super::write::Origins;
use super::{
    Config, HookEntry, Hooks, Keys, LISTEN, Limits, Match, Models, Prices, Route, Target, Tier,
    Timeouts, Upstream,
};
use crate::provider::Dialect;
use crate::secret::Secret;
use transformers::{Effected, Effects};

/// What Sluice does anyway, or has no need of.
const IDLE: [&str; 1] = ["NON_INTERACTIVE_MODE"];

/// What has no effect, and what there is instead.
const IGNORED: [(&str, &str); 9] = [
    (
        "CUSTOM_ROUTER_PATH",
        "a WebAssembly hook with `on-route` does its work",
    ),
    (
        "CLAUDE_PATH",
        "`claude` is started by its user; `docs/claude-code.md` says how it finds Sluice",
    ),
    (
        "LOG",
        "each call is a line on standard error, as `--log-format` says",
    ),
    ("LOG_LEVEL", "`SLUICE_LOG` says how much is logged"),
    ("PROXY_URL", "set `HTTPS_PROXY` where `sluice serve` runs"),
    (
        "REWRITE_SYSTEM_PROMPT",
        "a WebAssembly hook with `on-request` does its work",
    ),
    ("StatusLine", "Claude Code has a status line of its own"),
    (
        "forceUseImageAgent",
        "models that see no images are told that one was left out",
    ),
    (
        "transformers",
        "plugins of JavaScript are not run; a WebAssembly hook does such work",
    ),
];

/// The members of the first shape of the file, which knew one endpoint alone.
const FIRST_SHAPE: [&str; 3] = ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"];

/// What it says in the later one.
const FIRST_SHAPE_NOW: &str = "the shape of claude-code-router before its `Providers`: write \
    `\"Providers\": [{ \"name\": \"main\", \"api_base_url\": \"OPENAI_BASE_URL/chat/completions\", \
    \"api_key\": \"OPENAI_API_KEY\", \"models\": [\"OPENAI_MODEL\"] }], \
    \"Router\": { \"default\": \"main,OPENAI_MODEL\" }` with those values";

/// The prompt's tokens above which the long-context model is asked, if the file
/// does not say.
const LONG_CONTEXT: u64 = 60_000;

/// What Claude Code asks for of an answer: a window holds both.
const ANSWER: u64 = 32_000;

/// `text` with blanks in place of its comments, which JSON has none of.
pub(super) fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut in_string = false;
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\\', Some(_)) if in_string => {
                plain.push(c);
                plain.extend(rest.next());
                continue;
            }
            ('"', _) => in_string = !in_string,
            ('/', Some('/')) if !in_string => {
                while rest.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            ('/', Some('*')) if !in_string => {
                let mut last = ' ';
                for c in rest.by_ref().skip(1) {
                    if c == '\n' {
                        plain.push(c);
                    }
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
                continue;
            }
            // No indentation of YAML's may hold a tab.
            ('\t', _) if !in_string => {
                plain.push(' ');
                continue;
            }
            _ => {}
        }
        plain.push(c);
    }
    plain
}

/// Read the whole file, and what came from where.
pub(super) fn read(root: &Node<'_>, around: &Surroundings<'_>) -> (Config, Origins) {
    let mut import = Import {
        catalogue: around.catalogue,
        upstreams: Vec::new(),
        routes: Vec::new(),
        hooks: Vec::new(),
        origins: Origins::default(),
    };
    let top = root.members();
    let member = |name: &str| {
        top.iter()
            .find(|(known, _)| known == name)
            .map(|(_, node)| node)
    };
    let is_first_shape = member("Router").is_none() && member("OPENAI_BASE_URL").is_some();
    for (name, node) in &top {
        if !(is_first_shape && FIRST_SHAPE.contains(&name.as_str())) {
            report_top(name, node);
        }
    }
    let providers = member("Providers").or(member("providers"));
    for node in providers.map(Node::list).unwrap_or_default() {
        import.provider(&node);
    }
    let mut models = Models::default();
    match member("Router") {
        Some(node) => import.router(node, &mut models),
        None if is_first_shape => {
            let help = "import it after that";
            root.error(FIRST_SHAPE_NOW, Some(help.into()));
        }
        None => root.error("no `Router`, so nothing is asked for", None),
    }
    if let Some(node) = member("fallback") {
        import.fallbacks(node, member("Router"), &mut models);
    }
    models.routes = import.routes;
    let key = member("APIKEY")
        .and_then(Node::text)
        .filter(|key| !key.is_empty());
    if let (Some(node), true) = (member("APIKEY"), key.is_some()) {
        import.origins.note("keys", node.origin());
    }
    let mut limits = Limits::default();
    if let Some(node) = member("API_TIMEOUT_MS")
        && let Some(ms) = node.count(1)
    {
        limits.first_byte_timeout_ms = ms;
        import
            .origins
            .note("limits.first_byte_timeout_ms", node.origin());
    }
    import.origins.key = key.map(secret);
    let keys = key.map(Keys::of_one);
    let chain = import.hooks.into_iter().chain(native::default_chain());
    let config = Config {
        listen: listen(member("HOST"), member("PORT"), key.is_some()),
        keys: keys.unwrap_or_default(),
        prices: Prices::default().and_listed(&import.upstreams, around.catalogue),
        limits,
        upstreams: import.upstreams,
        models,
        hooks: Hooks {
            chain: chain.collect(),
            ..Hooks::default()
        },
        ..Config::default()
    };
    (config, import.origins)
}

/// Report a member of the file that is not read.
fn report_top(name: &str, node: &Node<'_>) {
    const READ: [&str; 8] = [
        "APIKEY",
        "API_TIMEOUT_MS",
        "HOST",
        "PORT",
        "Providers",
        "Router",
        "fallback",
        "providers",
    ];
    let ignored = IGNORED.iter().find(|(known, _)| *known == name);
    if let Some((_, instead)) = ignored {
        node.warn("has no effect in Sluice", Some((*instead).into()));
    } else if !READ.contains(&name) && !IDLE.contains(&name) {
        node.warn("is not known, and left out", None);
    }
}

/// As claude-code-router does: without a key for others nobody else gets in.
fn listen(host: Option<&Node<'_>>, port: Option<&Node<'_>>, has_key: bool) -> SocketAddr {
    let port = port.and_then(|node| node.count(1));
    let port = port.and_then(|port| u16::try_from(port).ok());
    let port = port.unwrap_or(LISTEN.port());
    let ip = host.and_then(|node| match node.text()? {
        "localhost" => Some(LISTEN.ip()),
        host => match host.parse::<IpAddr>() {
            Ok(ip) if ip.is_loopback() || has_key => Some(ip),
            Ok(_) => {
                node.warn(
                    "only this machine is listened to: there is no `APIKEY`",
                    None,
                );
                None
            }
            Err(_) => {
                node.warn("not an address, and left out", None);
                None
            }
        },
    });
    SocketAddr::new(ip.unwrap_or(LISTEN.ip()), port)
}

/// `$NAME` is a variable there, like `${NAME}`.
fn reference(text: &str) -> String {
    let name = text.strip_prefix('$').unwrap_or_default();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match is_name {
        true => format!("${{{name}}}"),
        false => text.to_owned(),
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(reference(text))
}

/// What the file has amounted to so far.
struct Import<'c> {
    catalogue: &'c Catalogue,
    upstreams: Vec<Upstream>,
    /// By `provider,model`, which clients may ask for, too.
    routes: Vec<Route>,
    hooks: Vec<HookEntry>,
    origins: Origins,
}

impl Import<'_> {
    /// A provider: an upstream, and further ones for models that have transformers of
    /// their own.
    fn provider(&mut self, node: &Node<'_>) {
        const KNOWN: [&str; 6] = [
            "name",
            "api_base_url",
            "api_key",
            "models",
            "transformer",
            "transformers",
        ];
        let members = node.members();
        for (key, node) in &members {
            if !KNOWN.contains(&key.as_str()) {
                node.warn("is not known, and left out", None);
            }
        }
        let member = |name: &str| {
            members
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, n)| n)
        };
        let (Some(name), Some(url)) = (member("name").and_then(Node::text), member("api_base_url"))
        else {
            node.error("needs `name` and `api_base_url`", None);
            return;
        };
        let transformers = member("transformer").or(member("transformers"));
        let transformers = transformers.map(Node::members).unwrap_or_default();
        let used = |owner: &str| transformers.iter().find(|(known, _)| known == owner);
        let own = used("use").map(|(_, node)| node.clone());
        let Some(upstream) = self.upstream(name, url, own.as_ref()) else {
            return;
        };
        let key = member("api_key")
            .and_then(Node::text)
            .filter(|key| !key.is_empty());
        let upstream = Upstream {
            api_keys: key.map(secret).into_iter().collect(),
            ..upstream
        };
        let effects = Effects::of(own.as_ref());
        let common = self.add(upstream.clone(), effects.clone(), node.origin());
        let models = member("models").map(Node::list).unwrap_or_default();
        for model in &models {
            let Some(model_name) = model.text() else {
                continue;
            };
            let own = used(model_name)
                .map(|(_, node)| node.members())
                .unwrap_or_default();
            let own = own
                .iter()
                .find(|(key, _)| key == "use")
                .map(|(_, node)| node);
            let more = Effects::of(own);
            let position = match (own, more.is_nothing()) {
                (Some(node), false) => {
                    let special = Upstream {
                        name: format!("{name}/{model_name}"),
                        ..upstream.clone()
                    };
                    self.add(special, effects.clone().with(more), node.origin())
                }
                _ => common,
            };
            self.origins
                .note(format!("models.{name},{model_name}"), model.origin());
            self.route(name, model_name, position);
        }
        for (owner, node) in &transformers {
            let is_model = models
                .iter()
                .any(|model| model.value().as_str() == Some(owner));
            if owner != "use" && !is_model {
                node.warn("is no model of this provider, and left out", None);
            }
        }
    }

    /// The endpoint, by the URL that is called.
    fn upstream(&self, name: &str, node: &Node<'_>, used: Option<&Node<'_>>) -> Option<Upstream> {
        let written = reference(node.text()?);
        let url = written.trim_end_matches('/');
        if url.contains(['@', '?']) {
            let help = "put the credential into `api_key`";
            node.error("a URL takes no user, password or query", Some(help.into()));
            return None;
        }
        if transformers::names(used)
            .iter()
            .any(|name| name.starts_with("vertex"))
        {
            node.error(
                format!(
                    "`{name}` is at Vertex, which speaks neither Chat Completions nor Messages"
                ),
                Some("take its models from another provider".into()),
            );
            return None;
        }
        let (base, dialect) = endpoint(node, url);
        let (provider, row) = self.row(&base, dialect);
        let is_gemini = provider == "gemini";
        let base_url = match row.and_then(|row| row.base_url.clone()) {
            Some(usual) if is_gemini || usual == base || base == usual.trim_end_matches("/v1") => {
                usual
            }
            _ => base,
        };
        Some(Upstream {
            name: name.to_owned(),
            provider: provider.to_owned(),
            dialect,
            auth: row.and_then(|row| row.auth).unwrap_or(dialect.auth()),
            base_url,
            api_keys: Vec::new(),
            calls_max: None,
            timeouts: Timeouts::default(),
            headers: Vec::new(),
            accent: accent::of(row, dialect, None),
        })
    }

    /// The vendor whose URL it is: the same, or at least the same host.
    fn row(&self, base: &str, dialect: Dialect) -> (&str, Option<&Row>) {
        let base = base.replace("://localhost", "://127.0.0.1");
        let host = |url: &str| url.split('/').nth(2).map(str::to_owned);
        let of_dialect = || {
            self.catalogue
                .rows()
                .filter(|(_, row)| row.dialect == dialect)
        };
        let same = of_dialect().find(|(_, row)| row.base_url.as_deref() == Some(&base));
        let of_host = || {
            let is_there = |url: &String| host(url).is_some() && host(url) == host(&base);
            of_dialect().find(|(_, row)| row.base_url.as_ref().is_some_and(is_there))
        };
        match same.or_else(of_host) {
            Some((name, row)) => (name, Some(row)),
            None => (GENERIC, self.catalogue.row(GENERIC)),
        }
    }

    /// Take `upstream` in, with what its transformers come to.
    fn add(&mut self, mut upstream: Upstream, effects: Effects, origin: String) -> usize {
        let row = self.catalogue.row(&upstream.provider);
        upstream.accent = effects.accent_over(row, upstream.dialect);
        self.origins
            .note(format!("upstreams.{}", upstream.name), origin.clone());
        for Effected {
            hook,
            config,
            grants,
        } in effects.hooks
        {
            let known = self
                .hooks
                .iter_mut()
                .find(|known| known.name == hook && known.config == config);
            match known {
                Some(known) => known.matching.upstreams.push(upstream.name.clone()),
                None => {
                    let path = format!("hooks.chain[{}]", self.hooks.len());
                    self.origins.note(path, origin.clone());
                    self.hooks.push(HookEntry {
                        matching: Match {
                            models: Vec::new(),
                            upstreams: vec![upstream.name.clone()],
                        },
                        config,
                        grants,
                        ..HookEntry::named(hook, "")
                    });
                }
            }
        }
        self.upstreams.push(upstream);
        self.upstreams.len() - 1
    }

    fn route(&mut self, provider: &str, model: &str, upstream: usize) {
        let pattern = format!("{provider},{model}");
        if !self.routes.iter().any(|route| route.pattern == pattern) {
            let target = Target::new(upstream, model);
            self.routes.push(Route::new(pattern, vec![target]));
        }
    }

    /// `Router`: who is asked for what.
    fn router(&mut self, node: &Node<'_>, models: &mut Models) {
        let roles = node.members();
        let role = |name: &str| {
            roles
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, n)| n)
        };
        let Some(default) = role("default").and_then(|node| self.named(node)) else {
            node.error("no `default` that is a provider's model", None);
            return;
        };
        self.origins
            .note("default", format!("{}.default", node.origin()));
        models.default = Some(Route {
            pattern: "default".into(),
            ..self.routes[default].clone()
        });
        let threshold = role("longContextThreshold").and_then(|node| node.count(1));
        for (name, node) in &roles {
            match name.as_str() {
                "default" | "longContextThreshold" => {}
                "background" => self.background(node, models),
                "longContext" => self.long_context(node, threshold, default, models),
                "think" => self.unlike_default(node, default, "Claude Code asks for reasoning in nearly every call; `tiers.opus` may be meant"),
                "webSearch" => self.unlike_default(node, default, "a hook with `on-route` can tell by the tools"),
                "image" => self.unlike_default(node, default, "a hook with `on-route` can tell by the content"),
                _ => report_top(name, node),
            }
        }
    }

    /// The position of the route that `provider,model` names; reported if there is
    /// no such provider.
    fn named(&mut self, node: &Node<'_>) -> Option<usize> {
        let name = node.text()?;
        let find = |routes: &[Route]| routes.iter().position(|route| route.pattern == name);
        if let Some(known) = find(&self.routes) {
            return Some(known);
        }
        let of = |upstream: &Upstream| {
            name.split_once(',')
                .is_some_and(|(own, _)| own == upstream.name)
        };
        let Some(upstream) = self.upstreams.iter().position(of) else {
            let known = self.routes.iter().map(|route| route.pattern.as_str());
            let help = super::nearest(name, known).map(|near| format!("did you mean `{near}`?"));
            node.warn(
                format!("`{name}` is no provider's model, and left out"),
                help,
            );
            return None;
        };
        let (provider, model) = name.split_once(',')?;
        self.route(provider, model, upstream);
        find(&self.routes)
    }

    /// Claude Code asks a Haiku for titles and the like.
    fn background(&mut self, node: &Node<'_>, models: &mut Models) {
        let Some(route) = self.named(node) else {
            return;
        };
        self.origins.note("tiers.haiku", node.origin());
        let route = Route {
            pattern: "tiers.haiku".into(),
            ..self.routes[route].clone()
        };
        models.tiers.push((Tier::Haiku, route));
    }

    /// Whoever has a longer prompt, or one that did not fit, is sent elsewhere.
    fn long_context(
        &mut self,
        node: &Node<'_>,
        threshold: Option<u64>,
        default: usize,
        models: &mut Models,
    ) {
        let Some(long) = self.named(node) else { return };
        if long == default {
            return;
        }
        let to = self.routes[long].pattern.clone();
        let window = threshold.unwrap_or(LONG_CONTEXT) + ANSWER;
        let path = format!("hooks.chain[{}]", self.hooks.len());
        self.origins.note(&path, node.origin());
        self.origins.note(
            path,
            format!("the window is that of the prompt, and {ANSWER} tokens of an answer"),
        );
        self.hooks.push(HookEntry {
            // Whoever names provider and model gets that model, however long the prompt.
            config: serde_json::json!({
                "models": { "*,*": null, "*": { "window": window, "to": to } }
            }),
            ..HookEntry::named("long-context", "")
        });
        self.routes[default].on_overflow = vec![to.clone()];
        if let Some(default) = &mut models.default {
            default.on_overflow = vec![to];
        }
    }

    /// A role that calls cannot be told apart by, unless it is the default's.
    fn unlike_default(&mut self, node: &Node<'_>, default: usize, instead: &str) {
        if let Some(role) = self.named(node)
            && role != default
        {
            node.warn("such calls go where all others do", Some(instead.into()));
        }
    }

    /// `fallback`: by role, the models that are asked after a failure.
    fn fallbacks(&mut self, node: &Node<'_>, router: Option<&Node<'_>>, models: &mut Models) {
        for (role, node) in node.members() {
            let names = node.list();
            let names: Vec<_> = names.iter().filter_map(|name| self.named(name)).collect();
            let names: Vec<_> = names
                .iter()
                .map(|at| self.routes[*at].pattern.clone())
                .collect();
            let model = router.and_then(|router| router.value().get(role.as_str())?.as_str());
            let route = self
                .routes
                .iter_mut()
                .find(|route| Some(route.pattern.as_str()) == model);
            let Some(route) = route else {
                node.warn("is no role of `Router`, and left out", None);
                continue;
            };
            self.origins
                .note(format!("models.{}", route.pattern), node.origin());
            route.fallbacks = names.clone();
            match role.as_str() {
                "default" => models
                    .default
                    .iter_mut()
                    .for_each(|route| route.fallbacks = names.clone()),
                "background" => models
                    .tiers
                    .iter_mut()
                    .for_each(|(_, route)| route.fallbacks = names.clone()),
                _ => {}
            }
        }
    }
}

/// What dialect is spoken at `url`, and the URL without the dialect's path.
fn endpoint(node: &Node<'_>, url: &str) -> (String, Dialect) {
    for dialect in [Dialect::ChatCompletions, Dialect::AnthropicMessages] {
        if let Some(base) = url.strip_suffix(dialect.path()) {
            return (base.to_owned(), dialect);
        }
    }
    if let Some(base) = url.strip_suffix("/responses") {
        node.warn(
            "asked at `/chat/completions`: Sluice does not speak Responses",
            None,
        );
        return (base.to_owned(), Dialect::ChatCompletions);
    }
    if let Some((base, _)) = url.split_once("/v1beta/models") {
        node.warn(
            "asked at `/v1beta/openai`, the path for Chat Completions",
            None,
        );
        return (format!("{base}/v1beta/openai"), Dialect::ChatCompletions);
    }
    if !url.contains("${") {
        node.warn("`/chat/completions` is appended", None);
    }
    (url.to_owned(), Dialect::ChatCompletions)
}
