//! Files in, configurations or findings out.

use super::*;

fn environment(name: &str) -> Option<String> {
    match name {
        "KEY" => Some("sk-secret".into()),
        "PORT" => Some("9".into()),
        "DEEPSEEK_API_KEY" => Some("sk-deep".into()),
        "SLUICE_KEY" | "FIREWORKS_API_KEY" | "DEEPSEEK_KEY" => Some("sk-x".into()),
        _ => None,
    }
}

fn loaded(text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    parse("f.yaml", text, Some(Path::new("/etc/sluice")), &environment)
}

/// The findings for `text`, rendered, are `expected`.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let findings = loaded(text).map_or_else(|findings| findings, |loaded| loaded.diagnostics);
    let findings: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(findings, expected, "{text}");
    assert!(
        !findings.concat().contains("sk-"),
        "a secret in {findings:?}"
    );
}

/// `text` with what a file needs beside it.
#[track_caller]
fn check_with_models(text: &str, expected: &[&str]) {
    check(&format!("{text}\nmodels: {{}}\n"), expected);
}

#[test]
fn every_mistake_is_found_in_one_run() {
    check(
        "\
lisen: 127.0.0.1:4000
keys: [\"\", \"${GONE}\"]
limits:
  body_bytes_max: many
  idle_timeout: 3
upstreams:
  a: { provider: opnai }
  b: {}
  c:
    base_url: ftp://x
    accent: { output_limit: tokens, sotp_max: 1 }
models:
  m: [ { upstream: aa, model: x } ]
  n: mm
  o: p
  p: o
hooks:
  chain:
    - { hook: cap, on_failure: ignore, grants: { prompt: all, http: [ok.example, http://h/] } }
    - { config: {} }
",
        &[
            "error: f.yaml:1: lisen: no setting named `lisen`; did you mean `listen`?",
            "error: f.yaml:2: keys[1]: the environment variable `GONE` is not set; set it, or write `${GONE:-a default}`",
            "error: f.yaml:2: keys[0]: expected a key: one line of visible characters",
            "error: f.yaml:4: limits.body_bytes_max: expected a whole number of bytes from 1, got a string",
            "error: f.yaml:5: limits.idle_timeout: no setting named `idle_timeout`; did you mean `idle_timeout_ms`?",
            "error: f.yaml:7: upstreams.a.provider: no provider named `opnai`; did you mean `openai`?",
            "error: f.yaml:8: upstreams.b: no `base_url`, and provider `openai-compatible` has none by default; add the URL that `/chat/completions` is appended to",
            "error: f.yaml:10: upstreams.c.base_url: not an `http://` or `https://` URL",
            "error: f.yaml:11: upstreams.c.accent.output_limit: unknown variant `tokens`, expected `max_tokens` or `max_completion_tokens`",
            "error: f.yaml:11: upstreams.c.accent.sotp_max: no setting named `sotp_max`; did you mean `stop_max`?",
            "error: f.yaml:13: models.m[0].upstream: no upstream named `aa`; did you mean `a`?",
            "error: f.yaml:14: models.n: no model named `mm`; did you mean `m`?",
            "error: f.yaml:15: models.o: the alias `p` leads back to itself",
            "error: f.yaml:16: models.p: the alias `o` leads back to itself",
            "error: f.yaml:19: hooks.chain[0].on_failure: `ignore` is not one of `skip`, `refuse`",
            "error: f.yaml:19: hooks.chain[0].grants.prompt: `all` is not one of `none`, `read`, `write`",
            "error: f.yaml:19: hooks.chain[0].grants.http[1]: not a host; write it as `api.example.com`, `*.example.com` or `10.0.0.5:8200`, without scheme and path",
            "error: f.yaml:20: hooks.chain[1]: no `hook`; name a bundled hook, or a file of the folder without `.wasm`",
        ],
    );
}

#[test]
fn what_is_no_mapping_or_no_yaml_is_told() {
    check(
        "",
        &[
            "error: f.yaml: expected a mapping, got nothing",
            "error: f.yaml: no models, so nothing can be asked for; add `models:` with a name and its targets; `config/minimal.yaml` is an example",
        ],
    );
    check_with_models(
        "upstreams: [a]",
        &["error: f.yaml:1: upstreams: expected a mapping, got a list"],
    );
    check_with_models(
        "listen: 4000",
        &["error: f.yaml:1: listen: expected a string, got a number"],
    );
    check_with_models(
        "listen: \"${KEY}\"",
        &[
            "error: f.yaml:1: listen: not an address with a port; write it as `127.0.0.1:4000`, or `0.0.0.0:4000` for all interfaces",
        ],
    );
    let found = loaded("models: {a: 1\nb").unwrap_err();
    let said = found[0].to_string();
    assert!(
        said.starts_with("error: f.yaml:") && said.contains("not YAML"),
        "{said}"
    );
    let found = loaded("models: {}\nmodels: {}").unwrap_err();
    assert!(found[0].message.contains("duplicate"), "{}", found[0]);
}

#[test]
fn urls_are_taken_as_people_write_them() {
    let url = |written: &str| {
        let loaded = loaded(&format!(
            "upstreams: {{ u: {{ base_url: {written:?} }} }}\nmodels: {{}}"
        ))
        .unwrap();
        (
            loaded.config.upstreams[0].base_url.clone(),
            loaded.diagnostics.len(),
        )
    };
    assert_eq!(url("http://h:1/v1/"), ("http://h:1/v1".into(), 0));
    assert_eq!(url("http://h:${PORT}"), ("http://h:9".into(), 0));
    assert_eq!(
        url("https://h/v1/chat/completions"),
        ("https://h/v1".into(), 1)
    );
    check_with_models(
        "upstreams: { u: { base_url: \"http://me:pw@h/v1\" } }",
        &[
            "error: f.yaml:1: upstreams.u.base_url: a base URL takes no user, password or query; put the credential into `api_key` or `headers`",
        ],
    );
}

#[test]
fn an_accent_is_that_of_its_dialect() {
    let upstream = |fields: &str| {
        let text = format!("upstreams: {{ u: {{ {fields} }} }}\nmodels: {{}}");
        let loaded = loaded(&text).unwrap();
        loaded.config.upstreams[0].accent.clone()
    };
    let Accent::Messages(accent) =
        upstream("provider: deepseek-messages, accent: { mid_system: hoist }")
    else {
        panic!("an accent of Messages");
    };
    assert_eq!(
        accent.mid_system,
        sluice_codec::dialect::messages::MidSystem::Hoist
    );
    assert_eq!(accent.anthropic_tools, ["web_search"]);
    // A row's accent is none of another dialect.
    assert_eq!(
        upstream("provider: deepseek, dialect: anthropic-messages"),
        Accent::of(Dialect::AnthropicMessages)
    );
    check_with_models(
        "upstreams: { u: { provider: anthropic, api_key: k, accent: { mid_sytem: fold, betas: 1 } } }",
        &[
            "error: f.yaml:1: upstreams.u.accent.mid_sytem: no setting named `mid_sytem`; did you mean `mid_system`?",
            "error: f.yaml:1: upstreams.u.accent.betas: invalid type: integer `1`, expected a boolean",
        ],
    );
}

#[test]
fn providers_bring_url_key_and_accent() {
    let loaded = loaded(
        "\
upstreams:
  d: { provider: deepseek, accent: { images: true } }
models:
  m: { upstream: d }
  n: m
  p/*: [ { upstream: d, model: \"x-*\" } ]
",
    )
    .unwrap();
    let upstream = &loaded.config.upstreams[0];
    assert_eq!(upstream.base_url, "https://api.deepseek.com/v1");
    assert_eq!(upstream.api_keys, [Secret::new("sk-deep")]);
    let Accent::Chat(accent) = &upstream.accent else {
        panic!("DeepSeek speaks Chat Completions");
    };
    assert!(
        accent.images
            && accent.reasoning_ask == sluice_codec::dialect::chat::ReasoningAsk::ThinkingEffort
    );
    let routes: Vec<_> = loaded
        .config
        .models
        .routes
        .iter()
        .map(|r| (&*r.pattern, &*r.targets[0].model))
        .collect();
    assert_eq!(routes, [("m", "m"), ("n", "m"), ("p/*", "x-*")]);
    assert_eq!(
        loaded.config.hooks.folder.as_deref(),
        Some(Path::new("/etc/sluice/hooks"))
    );
    assert_eq!(loaded.config.hooks.chain[0].name, "inject-usage");
}

#[test]
fn stars_must_be_filled() {
    check(
        "upstreams: { u: { base_url: http://h } }\nmodels:\n  m: { upstream: u, model: \"a-*\" }\n  n: []\n  o: { model: x }\n",
        &[
            "error: f.yaml:3: models.m: `a-*` has more `*` than the pattern `m` can fill",
            "error: f.yaml:4: models.n: no targets; add `{ upstream: ..., model: ... }`",
            "error: f.yaml:5: models.o: no `upstream`; name one of `upstreams`",
        ],
    );
}

#[test]
fn tiers_and_the_default_are_entries_without_a_name() {
    let loaded = loaded(
        "\
upstreams: { u: { base_url: http://h } }
models:
  m: { targets: [ { upstream: u, model: x, context_window: 9 }, { upstream: u } ], context_window: 7, output_limit: 5 }
tiers: { haiku: m, opus: { upstream: u, model: \"o-*\" } }
default: { upstream: u }
",
    )
    .unwrap();
    let models = &loaded.config.models;
    let all: Vec<_> = models
        .every_route()
        .flat_map(|route| &route.targets)
        .map(|target| (&*target.model, target.context_window, target.output_limit))
        .collect();
    let m = [("x", Some(9), Some(5)), ("m", Some(7), Some(5))];
    let rest = [("o-*", None, None), ("*", None, None)];
    assert_eq!(all, [&m[..], &m, &rest].concat());
    assert_eq!(models.routes[0].context_window(), Some(7));
    check(
        "\
upstreams: { u: { base_url: http://h } }
tiers: { hiaku: m, opus: mm, sonnet: { targets: [], context_window: 0 } }
default: n
models: { m: { upstream: u } }
",
        &[
            "error: f.yaml:2: tiers.hiaku: no setting named `hiaku`; did you mean `haiku`?",
            "error: f.yaml:2: tiers.sonnet.targets: no targets; add `{ upstream: ..., model: ... }`",
            "error: f.yaml:2: tiers.sonnet.context_window: expected a whole number from 1, got a number",
            "error: f.yaml:2: tiers.opus: no model named `mm`; did you mean `m`?",
            "error: f.yaml:3: default: no model named `n`",
        ],
    );
}

#[test]
fn attempts_and_targets_are_read() {
    let loaded = loaded(
        "\
upstreams: { u: { base_url: http://h, api_keys: [a, b] } }
models:
  m:
    targets: [ { upstream: u, weight: 3 }, { upstream: u, model: n, priority: 2 } ]
    pick: latency
    fallbacks: n
    on_overflow: [n, v/x]
  n: { targets: { upstream: u }, pick: weighted }
  v/*: { upstream: u }
attempts: { retries: 3, on: { 503: [fail, cool], timeout: retry } }
",
    )
    .unwrap();
    assert_eq!(loaded.diagnostics, []);
    let config = loaded.config;
    let route = &config.models.routes[0];
    assert_eq!(
        (route.pick, route.affinity),
        (Pick::Latency, Affinity::None)
    );
    let shares = route.targets.iter().map(|it| (it.priority, it.weight));
    assert!(shares.eq([(1, 3), (2, 1)]));
    assert_eq!(route.fallbacks, ["n"]);
    assert_eq!(route.on_overflow, ["n", "v/x"]);
    assert_eq!(config.models.routes[1].affinity, Affinity::Session);
    assert_eq!(config.upstreams[0].api_keys.len(), 2);
    assert_eq!(config.attempts.retries, 3);
    let act = config.attempts.policy.act(Failure::Status(503));
    assert_eq!((act.then, act.cool), (Then::Fail, true));
    let act = config.attempts.policy.act(Failure::Timeout);
    assert_eq!((act.then, act.cool), (Then::Retry, false));
    check(
        "\
upstreams: { u: { base_url: http://h, api_key: a, api_keys: [b] }, v: { base_url: http://h, api_keys: [] } }
attempts: { retires: 1, attempts_max: 0, on: { 600: next, 4x: fail, 500: rety, 501: [cool], 502: {} } }
models:
  m: { targets: [{ upstream: u }], pick: random, affinity: user, fallbacks: [mm], on_overflow: 7 }
  n: [ { upstream: u, weight: 2 } ]
",
        &[
            "error: f.yaml:1: upstreams.u.api_keys: `api_key` is there as well; put all of them into `api_keys`",
            "error: f.yaml:1: upstreams.v.api_keys: no keys; leave it out if there are none",
            "error: f.yaml:2: attempts.retires: no setting named `retires`; did you mean `retries`?",
            "error: f.yaml:2: attempts.attempts_max: expected a whole number from 1, got a number",
            "error: f.yaml:2: attempts.on.600: `600` is no failure; write a status (`429`), a class (`5xx`), `connect`, `timeout`, `overflow` or `content_policy`",
            "error: f.yaml:2: attempts.on.4x: `4x` is no failure; write a status (`429`), a class (`5xx`), `connect`, `timeout`, `overflow` or `content_policy`",
            "error: f.yaml:2: attempts.on.500: `rety` is not one of `fail`, `next`, `retry`",
            "error: f.yaml:2: attempts.on.501: not what can be done about a failure; write `retry`, `next` or `fail`, or `[retry, cool]`",
            "error: f.yaml:2: attempts.on.502: expected a list, got a mapping",
            "error: f.yaml:2: attempts.on.502: not what can be done about a failure; write `retry`, `next` or `fail`, or `[retry, cool]`",
            "error: f.yaml:4: models.m.pick: `random` is not one of `ordered`, `weighted`, `least-busy`, `latency`",
            "error: f.yaml:4: models.m.affinity: `user` is not one of `none`, `session`",
            "error: f.yaml:4: models.m.fallbacks[0]: no model named `mm`; did you mean `m`?",
            "error: f.yaml:4: models.m.on_overflow: expected a list, got a number",
            "warning: f.yaml:5: models.n: `weight` has no effect on targets that are tried in order; add `pick: weighted` beside `targets`",
        ],
    );
}

#[test]
fn the_reference_file_shows_every_default_of_attempts() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/sluice.yaml");
    let attempts = load(&path, &environment).unwrap().config.attempts;
    assert_eq!(attempts, Attempts::default());
}

#[test]
fn a_store_has_what_it_needs_and_nothing_else() {
    let store = |kv: &str| {
        let loaded = loaded(&format!("hooks: {{ kv: {kv} }}\nmodels: {{}}")).unwrap();
        assert_eq!(loaded.config.hooks.kv.place, "f.yaml:1: hooks.kv");
        loaded.config.hooks.kv.store
    };
    let memory = |bytes_max| KvStore::Memory { bytes_max };
    let disk = |path: &str, bytes_max| KvStore::Disk {
        path: path.into(),
        bytes_max,
    };
    assert_eq!(store("{}"), KvStore::default());
    assert_eq!(store("{ bytes_max: 5 }"), memory(5));
    assert_eq!(
        store("{ store: disk }"),
        disk("/etc/sluice/sluice.redb", 1 << 30)
    );
    assert_eq!(
        store("{ store: disk, path: /var/x, bytes_max: 7 }"),
        disk("/var/x", 7)
    );
    let KvStore::Redis { url } = store("{ store: redis, url: \"rediss://:${KEY}@h/0\" }") else {
        panic!("as it says");
    };
    assert_eq!(url.expose(), "rediss://:sk-secret@h/0");

    for (kv, expected) in [
        (
            "{ store: file, pth: x, bytes_max: 0 }",
            &[
                "error: f.yaml:1: hooks.kv.pth: no setting named `pth`; did you mean `path`?",
                "error: f.yaml:1: hooks.kv.store: `file` is not one of `memory`, `disk`, `redis`",
                "error: f.yaml:1: hooks.kv.bytes_max: expected a whole number of bytes from 1, got a number",
            ][..],
        ),
        (
            "{ url: \"redis://:${KEY}@h\", path: x }",
            &[
                "error: f.yaml:1: hooks.kv.path: `path` is of `store: disk`",
                "error: f.yaml:1: hooks.kv.url: `url` is of `store: redis`",
            ],
        ),
        (
            "{ store: redis, bytes_max: 1 }",
            &[
                "error: f.yaml:1: hooks.kv.bytes_max: `bytes_max` is of `memory` and `disk`; a server has its own limit, `maxmemory`",
                "error: f.yaml:1: hooks.kv: no `url`, and `store: redis` needs one; write it as `redis://:PASSWORD@HOST:6379/0`, or `rediss://` for TLS",
            ],
        ),
        (
            "{ store: redis, url: \"https://:${KEY}@h\" }",
            &[
                "error: f.yaml:1: hooks.kv.url: not a `redis://` or `rediss://` URL with a host; write it as `redis://:PASSWORD@HOST:6379/0`, or `rediss://` for TLS",
            ],
        ),
    ] {
        check_with_models(&format!("hooks: {{ kv: {kv} }}"), expected);
    }
}

#[test]
fn what_others_write_is_told_in_our_words() {
    check(
        "tiers: { background: m }\nlimits: { idle_timeout_ms: 10s }\nmodels: {}",
        &[
            "error: f.yaml:1: tiers.background: no setting named `background`; did you mean `haiku`?",
            "error: f.yaml:2: limits.idle_timeout_ms: expected a whole number of milliseconds from 1, got a string",
        ],
    );
}

#[test]
fn a_vendor_without_a_key_is_told() {
    for (upstream, expected) in [
        (
            "provider: groq",
            Some("`GROQ_API_KEY` is not set, so `groq` is asked without a key"),
        ),
        (
            "provider: groq, base_url: \"https://eu.example/v1\"",
            Some("`GROQ_API_KEY` is not set, so `groq` is asked without a key"),
        ),
        (
            "provider: groq, base_url: \"http://localhost:8000/v1\"",
            None,
        ),
        ("provider: groq, base_url: \"http://[::1]:8000/v1\"", None),
        ("provider: groq, api_key: k", None),
        ("provider: groq, headers: { Authorization: k }", None),
        // Its variable is set.
        ("provider: deepseek", None),
        ("base_url: \"http://10.0.0.1/v1\"", None),
    ] {
        let told = expected.map(|expected| {
            format!("warning: f.yaml:1: upstreams.u: {expected}; set it, or write `api_key:`")
        });
        let told: Vec<_> = told.iter().map(String::as_str).collect();
        check_with_models(&format!("upstreams: {{ u: {{ {upstream} }} }}"), &told);
    }
    let deployment = "model_list: [{ model_name: m, litellm_params: { model: groq/m } }]";
    let found = loaded(deployment).unwrap().diagnostics;
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert!(
        found.concat().contains("`GROQ_API_KEY` is not set"),
        "{found:?}"
    );
}

#[test]
fn others_reach_it_only_with_keys() {
    for (text, expected) in [
        ("listen: 0.0.0.0:1\nmodels: {}", true),
        ("listen: 0.0.0.0:1\nkeys: [a]\nmodels: {}", false),
        ("listen: 127.0.0.1:1\nmodels: {}", false),
    ] {
        let config = loaded(text).unwrap().config;
        assert_eq!(config.exposure().is_some(), expected, "{text}");
    }
}

#[test]
fn the_last_key_goes_by_word_alone() {
    let config = |keys: &str| loaded(&format!("{keys}\nmodels: {{}}")).unwrap().config;
    let master = loaded("model_list: []\ngeneral_settings: { master_key: sk-m }").unwrap();
    for (old, new, refused) in [
        (config("keys: [a]"), config(""), true),
        (config("keys: [a]"), config("keys:"), true),
        (config("keys: [a]"), config("keys: []"), false),
        (config("keys: [a]"), config("keys: [b]"), false),
        (config("keys: []"), config(""), false),
        (config(""), config(""), false),
        (master.config, config(""), true),
    ] {
        let opening = new.opening(&old);
        assert_eq!(
            opening.is_some(),
            refused,
            "{:?} to {:?}",
            old.keys,
            new.keys
        );
    }
}

#[test]
fn keys_are_read_as_text_as_key_and_as_hash() {
    // `printf sk-hashed | sha256sum`
    let hash = "sha256:c291001835042e213221b2f9fca79c9c91d08813d599b717bc695a268edb2ea6";
    let text = format!(
        "\
keys:
  - sk-plain
  - {{ name: ann, key: \"${{KEY}}\", models: [kimi-*], requests_per_minute: 5 }}
  - {{ name: bob, key: sk-new, expires: 2027-01-31, previous: {{ hash: \"{hash}\", expires: 2026-12-31 }}, budget: {{ usd: 2.5, per: month }} }}
prices: {{ \"up/*\": {{ input: 1, output: 2 }}, \"up/big\": {{ input: 3, output: 15, cache_read: 0.3 }} }}
models: {{}}
"
    );
    let config = loaded(&text).unwrap().config;
    let name = |key: &str| {
        config
            .keys
            .find(key.as_bytes())
            .map(|it| it.client.name.clone())
    };
    assert_eq!(name("sk-plain").as_deref(), Some(""));
    assert_eq!(name("sk-secret").as_deref(), Some("ann"));
    assert_eq!(name("sk-hashed").as_deref(), Some("bob"));
    assert_eq!((name("sk-hashe"), name(""), name(hash)), (None, None, None));
    let [_, ann, bob] = config.keys.list() else {
        panic!("three keys");
    };
    assert_eq!(bob.previous.as_ref().unwrap().hash(), hash);
    let last_day = |key: &str| config.keys.find(key.as_bytes()).unwrap().expires;
    let days = ["sk-plain", "sk-new", "sk-hashed"].map(last_day);
    let days = days.map(|day| day.map(|day| day.to_string()));
    assert_eq!(
        days,
        [None, Some("2027-01-31".into()), Some("2026-12-31".into())]
    );
    assert!(ann.may_ask_for("kimi-k2[1m]") && !ann.may_ask_for("gpt"));
    assert_eq!(ann.terms(), "models kimi-*; 5 requests a minute");
    let terms = "all models; 2.5 USD a month; until 2027-01-31; its key before until 2026-12-31";
    assert_eq!(bob.terms(), terms);
    let price = |target: &str| {
        config
            .prices
            .of(target)
            .map(|price| (price.output, price.cache_read))
    };
    assert_eq!(price("up/x"), Some((2_000.0, 1_000.0)));
    assert_eq!(price("up/big"), Some((15_000.0, 300.0)));
    assert_eq!(price("other/x"), None);
    for (text, expected) in [
        ("2.5usd/month", Some("2.5 USD a month")),
        ("500tokens/day", Some("500 tokens a day")),
        ("0tokens/day", None),
        ("-1usd/day", None),
        ("5usd/week", None),
        ("5/day", None),
    ] {
        let budget: Result<Budget, _> = text.parse();
        assert_eq!(budget.ok().map(|it| it.to_string()).as_deref(), expected);
    }
}

#[test]
fn state_lasts_where_budgets_are() {
    let store = |more: &str| {
        let loaded = loaded(&format!("{more}\nmodels: {{}}")).unwrap();
        loaded.config.state.store.name()
    };
    let keys = |limit: &str| format!("keys: [ {{ name: a, key: k, {limit} }} ]");
    assert_eq!(store(&keys("requests_per_minute: 1")), "memory");
    let budget = keys("budget: { tokens: 1, per: day }");
    assert_eq!(store(&budget), "disk");
    assert_eq!(
        store(&format!("{budget}\nstate: {{ on_store_failure: refuse }}")),
        "disk"
    );
    assert_eq!(
        store(&format!("{budget}\nstate: {{ store: memory }}")),
        "memory"
    );
    let loaded = loaded(&format!("{budget}\nmodels: {{}}")).unwrap();
    let path = loaded.config.state.store.path().unwrap();
    assert_eq!(path, Path::new("/etc/sluice/sluice-state.redb"));
}

#[test]
fn hooks_have_no_file_of_the_gateway_s_own() {
    let said = |file: &str| {
        format!(
            "`state` and `hooks.kv` have one file, `/etc/sluice/{file}`; name another `path`: what hooks fill must not stop the gateway's counting"
        )
    };
    check_with_models(
        "state: { store: disk, path: a.redb }\nhooks: { kv: { store: disk, path: a.redb } }",
        &[&format!("error: f.yaml:1: state: {}", said("a.redb"))],
    );
    let budget = "keys: [ { name: a, key: k, budget: { tokens: 1, per: day } } ]";
    check_with_models(
        &format!("{budget}\nhooks: {{ kv: {{ store: disk, path: sluice-state.redb }} }}"),
        &[&format!("error: f.yaml:1: {}", said("sluice-state.redb"))],
    );
    check_with_models(
        "hooks: { kv: { store: disk, path: sluice-state.redb } }",
        &[],
    );
}

#[test]
fn stores_lie_beside_the_file_or_where_the_service_says() {
    let text = "\
keys: [ { name: a, key: k, budget: { tokens: 1, per: day } } ]
hooks: { kv: { store: disk, path: own.redb } }
models: {}
";
    for (folder, expected) in [
        (None, "/etc/sluice"),
        (Some(""), "/etc/sluice"),
        (Some("/var/lib/sluice"), "/var/lib/sluice"),
    ] {
        let environment = |name: &str| match name {
            "SLUICE_STATE" => folder.map(str::to_owned),
            _ => None,
        };
        let loaded = parse("f.yaml", text, Some(Path::new("/etc/sluice")), &environment);
        let config = loaded.unwrap().config;
        let files = config.store_files();
        let expected = ["own.redb", "sluice-state.redb"].map(|name| Path::new(expected).join(name));
        assert_eq!(files, expected, "{folder:?}");
    }
}

#[test]
fn mistakes_in_keys_are_told_at_their_line() {
    check_with_models(
        "\
keys:
  - { key: a }
  - { name: a b, key: a }
  - { name: a, key: a, hash: b }
  - { name: b, hash: \"sha256:12\" }
  - { name: c, key: c, budget: { usd: 1 }, modles: [] }
  - { name: d, key: d, budget: { per: week, tokens: 5, usd: 4 } }
  - { name: e, key: e }
  - { name: e, key: f }
  - { name: g, key: e, expires: 2026-02-30, previous: { hash: x } }
prices: { m: { input: -1, output: 1 }, n: { input: 1 } }
state: { store: memory, on_store_failure: ignore, path: x }
",
        &[
            "error: f.yaml:2: keys[0]: no `name`; say who has the key: it is what logs and hooks are shown",
            "error: f.yaml:3: keys[1].name: expected at most 64 letters, digits and `-_.@`",
            "error: f.yaml:4: keys[2]: expected one of `key` and `hash`",
            "error: f.yaml:5: keys[3].hash: expected `sha256:` and 64 hexadecimal digits; `sluice keys add NAME` makes a key and prints its hash",
            "error: f.yaml:6: keys[4].modles: no setting named `modles`; did you mean `models`?",
            "error: f.yaml:6: keys[4].budget: no `per`; `day`, `month`, or `total` for once and for all",
            "error: f.yaml:7: keys[5].budget: expected one of `tokens` and `usd`",
            "error: f.yaml:7: keys[5].budget.per: `week` is not one of `day`, `month`, `total`",
            "error: f.yaml:9: keys[7]: a second key named `e`",
            "error: f.yaml:10: keys[8].expires: expected a day such as `2026-12-31`",
            "error: f.yaml:10: keys[8].previous: expected `hash` and `expires`; `sluice keys rotate NAME` writes both",
            "error: f.yaml:10: keys[8]: the same key stands in another entry",
            "error: f.yaml:11: prices.m.input: expected a number from 0, got a number",
            "error: f.yaml:11: prices.n: a price has `input` and `output`; write US dollars per million tokens: `{ input: 0.6, output: 2.5 }`",
            "error: f.yaml:12: state.path: `path` is of `store: disk`",
            "error: f.yaml:12: state.on_store_failure: `ignore` is not one of `allow`, `refuse`",
        ],
    );
}

#[test]
fn a_target_without_a_price_is_told_where_money_is_counted() {
    check(
        "\
keys: [ { name: a, key: k, models: [m, p/*], budget: { usd: 1, per: total } } ]
upstreams: { u: { base_url: http://h } }
prices: { \"u/x\": { input: 1, output: 1 } }
models:
  m: [ { upstream: u, model: x }, { upstream: u, model: y } ]
  n: { upstream: u, model: z }
  p/*: { upstream: u, model: \"*\" }
",
        &[
            "warning: f.yaml:1: no price of `u/y`, `u/*`, so key `a` is refused there, since it has a budget in dollars; add it to `prices`, or `unpriced: allow` to the budget",
        ],
    );
}

#[test]
fn litellm_files_are_read() {
    let loaded = loaded(
        "\
model_list:
  - model_name: a
    litellm_params: { model: openai/kimi, api_base: http://h/v1, api_key: os.environ/KEY }
  - model_name: a
    litellm_params: { model: openai/kimi-2, api_base: http://h2/v1, additional_drop_params: [user, a.b] }
  - model_name: d/*
    litellm_params: { model: deepseek/*, rpm: 5 }
    model_info: { mode: chat, anything: goes }
litellm_settings: { drop_params: true, model_alias_map: { b: a } }
router_settings: { model_group_alias: { c: { model: a, hidden: true } } }
general_settings: { master_key: os.environ/OWN }
environment_variables: { OWN: sk-own }
",
    )
    .unwrap();
    let config = &loaded.config;
    let notes: Vec<_> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(notes, [""; 0]);
    let upstreams: Vec<_> = config
        .upstreams
        .iter()
        .map(|u| (&*u.name, &*u.base_url))
        .collect();
    assert_eq!(
        upstreams,
        [
            ("openai-compatible", "http://h/v1"),
            ("openai-compatible-2", "http://h2/v1"),
            ("deepseek", "https://api.deepseek.com/v1")
        ]
    );
    let routes: Vec<_> = config
        .models
        .routes
        .iter()
        .map(|r| (&*r.pattern, r.targets.len()))
        .collect();
    assert_eq!(routes, [("a", 2), ("d/*", 1), ("b", 2), ("c", 2)]);
    assert!(config.keys.find(b"sk-own").is_some());
    let chain: Vec<_> = config
        .hooks
        .chain
        .iter()
        .map(|entry| &*entry.name)
        .collect();
    assert_eq!(chain, ["drop-params", "inject-usage"]);
    assert_eq!(
        config.hooks.chain[0].config,
        serde_json::json!({ "params": ["/a/b"] })
    );
}

#[test]
fn litellm_prefixes_of_other_formats_lead_to_chat_completions() {
    let loaded = loaded(
        "\
model_list:
  - model_name: a
    litellm_params: { model: azure/my-gpt, api_base: https://r.openai.azure.com/, api_key: k, api_version: 2025-01-01 }
  - model_name: b
    litellm_params: { model: azure/o_series/my-o, api_base: https://openai.example/openai/deployments/my-o, api_key: k }
  - model_name: c/*
    litellm_params: { model: azure/*, api_base: https://r.openai.azure.com/openai/v1, api_key: k }
  - model_name: g
    litellm_params: { model: gemini/gemini-3.8-flash, api_key: k }
  - model_name: h
    litellm_params: { model: gemini/gemini-3.8-flash, api_base: http://proxy/v1beta, api_key: k }
",
    )
    .unwrap();
    let notes: Vec<_> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "warning: f.yaml:3: model_list[0].litellm_params.api_version: `api_version` has no effect in Sluice; the URL below `/openai/v1` has no version",
            "warning: f.yaml:3: model_list[0].litellm_params.api_base: asked at `/openai/v1`, the path for Chat Completions",
            "warning: f.yaml:5: model_list[1].litellm_params.api_base: asked at `/openai/v1`, the path for Chat Completions",
            "warning: f.yaml:11: model_list[4].litellm_params.api_base: asked at `/v1beta/openai`, the path for Chat Completions",
        ]
    );
    let config = &loaded.config;
    let upstreams: Vec<_> = config
        .upstreams
        .iter()
        .map(|u| (&*u.name, &*u.base_url))
        .collect();
    assert_eq!(
        upstreams,
        [
            ("azure", "https://r.openai.azure.com/openai/v1"),
            ("azure-2", "https://openai.example/openai/v1"),
            (
                "gemini",
                "https://generativelanguage.googleapis.com/v1beta/openai"
            ),
            ("gemini-2", "http://proxy/v1beta/openai"),
        ]
    );
    let targets: Vec<_> = config
        .models
        .routes
        .iter()
        .map(|r| (r.targets[0].upstream, &*r.targets[0].model))
        .collect();
    assert_eq!(
        targets,
        [
            (0, "my-gpt"),
            (1, "my-o"),
            (0, "*"),
            (2, "gemini-3.8-flash"),
            (3, "gemini-3.8-flash"),
        ]
    );
}

#[test]
fn litellm_prefixes_that_cannot_work_say_why() {
    check(
        "\
model_list:
  - model_name: a
    litellm_params: { model: azure/gpt }
  - model_name: b
    litellm_params: { model: azure/gpt, api_base: http://h, tenant_id: t }
  - model_name: c
    litellm_params: { model: github/gpt-4o }
  - model_name: d
    litellm_params: { model: bedrock/x }
",
        &[
            "warning: f.yaml:1: `AZURE_OPENAI_API_KEY` is not set, so `azure` is asked without a key; set it, or write `api_key:`",
            "error: f.yaml:3: model_list[0].litellm_params.model: no `api_base`, and this provider has none by default",
            "error: f.yaml:5: model_list[1].litellm_params.tenant_id: `tenant_id` cannot work: Sluice fetches no tokens from Entra; give it an `api_key`",
            "warning: f.yaml:5: model_list[1].litellm_params.api_base: asked at `/openai/v1`, the path for Chat Completions",
            "error: f.yaml:7: model_list[2].litellm_params.model: `github/` leads nowhere: GitHub Models closed on 2026-07-30",
            "error: f.yaml:9: model_list[3].litellm_params.model: `bedrock/` speaks neither Chat Completions nor Messages; give it an OpenAI-compatible `api_base`, and write `openai/` for the prefix",
        ],
    );
}

#[test]
fn variables_of_litellm_s_that_are_not_set_are_nothing() {
    check(
        "\
model_list:
  - model_name: a
    litellm_params: { model: openai/a, api_base: os.environ/GONE_BASE }
  - model_name: b
    litellm_params: { model: deepseek/b, api_key: os.environ/GONE }
",
        &[
            "warning: f.yaml:2: model_list[0]: `a` is left out: `GONE_BASE` of its `api_base` is not set",
            "warning: f.yaml:3: model_list[0].litellm_params.api_base: the environment variable `GONE_BASE` is not set; so this counts as absent, as in LiteLLM",
            "warning: f.yaml:5: model_list[1].litellm_params.api_key: the environment variable `GONE` is not set; so this counts as absent, as in LiteLLM",
        ],
    );
    // But nobody means a gateway that asks for no key.
    check(
        "\
model_list: [ { model_name: b, litellm_params: { model: deepseek/b } } ]
general_settings: { master_key: os.environ/GONE }
",
        &[
            "error: f.yaml:2: general_settings.master_key: the environment variable `GONE` is not set; set it, or write `${GONE:-a default}`",
        ],
    );
}

#[test]
fn litellm_mistakes_are_found() {
    check(
        "\
model_list:
  - model_name: a
    litellm_params: { model: vertex_ai/gemini, api_base: http://h }
  - model_name: b
    litellm_params: { model: my-own, tiemout: 3 }
  - model_name: c
    litellm_params: { model: depseek/x }
  - litellm_params: { model: openai/x }
litellm_settings: { callbacks: my.handler, cache: true }
general_settings: { custom_auth: x.y }
",
        &[
            "error: f.yaml:3: model_list[0].litellm_params.model: `vertex_ai/` speaks neither Chat Completions nor Messages; give it an OpenAI-compatible `api_base`, and write `openai/` for the prefix",
            "error: f.yaml:5: model_list[1].litellm_params.tiemout: no setting named `tiemout`; did you mean `timeout`?",
            "error: f.yaml:5: model_list[1].litellm_params.model: `my-own` names no provider; write the provider before it: `openai/...`, `anthropic/...`, `gemini/...`",
            "error: f.yaml:7: model_list[2].litellm_params.model: no provider named `depseek`; did you mean `deepseek`?",
            "error: f.yaml:8: model_list[3]: needs `model_name` and `litellm_params`",
            "warning: f.yaml:9: litellm_settings.cache: `cache` has no effect in Sluice; answers are not cached",
            "error: f.yaml:9: litellm_settings.callbacks: `my.handler` cannot work: Sluice runs no Python; a WebAssembly hook does its work",
            "error: f.yaml:10: general_settings.custom_auth: `custom_auth` cannot work: Sluice runs no Python; a WebAssembly hook does its work",
        ],
    );
}

#[test]
fn shipped_files_load_without_a_word() {
    for file in ["litellm.yaml", "minimal.yaml", "sluice.yaml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../config")
            .join(file);
        let loaded =
            load(&path, &environment).unwrap_or_else(|findings| panic!("{file}: {findings:?}"));
        assert_eq!(loaded.diagnostics, [], "{file}");
    }
}

#[test]
fn the_reference_file_shows_every_setting() {
    use native::settings::*;
    let text = include_str!("../../../config/sluice.yaml");
    let known = [
        &TOP[..],
        &KEY,
        &PREVIOUS,
        &BUDGET,
        &PRICE,
        &STATE,
        &LIMITS,
        &DRAIN,
        &TELEMETRY,
        &UPSTREAM,
        &TIERS,
        &ROUTE,
        &ATTEMPTS,
        &TARGET,
        &HOOKS,
        &KV,
        &ENTRY,
        &MATCH,
        &HOOK_LIMITS,
        &GRANTS,
        &accent::CHAT,
        &accent::MESSAGES,
    ];
    for setting in known.concat() {
        assert!(
            text.contains(&format!("{setting}:")),
            "`{setting}` is missing in config/sluice.yaml"
        );
    }
}

#[test]
fn the_embedded_default_takes_keys_and_servers_that_are_there() {
    let ollama = |address: SocketAddr| address.port() == 11434;
    let loaded = embedded_default("http://127.0.0.1:1/v1", &environment, &ollama).unwrap();
    assert_eq!(loaded.diagnostics, []);
    let routes: Vec<_> = loaded
        .config
        .models
        .routes
        .iter()
        .map(|route| &*route.pattern)
        .collect();
    assert_eq!(
        routes,
        [
            "demo",
            "claude-*",
            "deepseek/*",
            "deepseek-messages/*",
            "fireworks/*",
            "fireworks-messages/*",
            "ollama/*"
        ]
    );
    assert_eq!(loaded.config.upstreams[0].base_url, "http://127.0.0.1:1/v1");
    assert_eq!(loaded.config.hooks.folder, None);
}

#[test]
fn what_only_one_of_the_parsers_takes_ends_and_has_no_lines() {
    // The brace stands further out than its key.
    let text = "models:\n  m: { upstream: u,\n    model: x\n}\nnonsense: 1\nupstreams: { u: { base_url: \"http://127.0.0.1:1/v1\" } }";
    let found = loaded(text).expect_err("a setting that is none");
    let found = found.iter().map(ToString::to_string);
    let found: Vec<_> = found.filter(|it| it.contains("`nonsense`")).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("error: f.yaml: nonsense"), "{found:?}");
}

#[test]
fn list_prices_are_those_of_the_vendors_own_place() {
    let input = |more: &str, prices: &str| {
        let text = format!(
            "upstreams: {{ a: {{ provider: anthropic, api_key: k{more} }} }}\nmodels: {{ m: {{ upstream: a }} }}\n{prices}"
        );
        let price = loaded(&text).expect("sound").config.prices;
        let usd = |price: Price| (price.input / NANO_USD * 1e6).round();
        price.of("a/claude-opus-5-5").map(usd)
    };
    assert_eq!(input("", ""), Some(4.0));
    let own = "prices: { \"*\": { input: 9, output: 9 } }";
    assert_eq!(input("", own), Some(9.0));
    assert_eq!(input(", base_url: \"https://elsewhere.test/v1\"", ""), None);
}
