//! What a revision of the configuration says: as a file, and as the answers that it
//! leads to.

use std::collections::BTreeMap;
use std::fmt::Write;

/// The operator's key, which every revision knows.
pub(super) const KEY: &str = "sk-endurance";

/// The hook that comes, goes and is replaced.
pub(super) const HOOK: &str = "cap-max-tokens";

/// Models that every revision has.
pub(super) const STEADY: [&str; 4] = ["steady-0", "steady-1", "steady-2", "steady-3"];

/// Models that come and go.
pub(super) const PASSING: [&str; 3] = ["passing-0", "passing-1", "passing-2"];

/// Upstreams to choose from.
pub(super) const UPSTREAMS: usize = 3;

/// What clients ask for as the answer's length.
const ASKED_TOKENS: u64 = 1_000;

/// What the component sets that takes the hook's place.
const REPLACED_TOKENS: u64 = 7;

/// One revision.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) revision: usize,
    /// The one whose file this is: another, where only a hook's file differs.
    filed: usize,
    models: BTreeMap<String, Model>,
    urls: Vec<String>,
    /// What each upstream's accent adds to requests.
    marks: [u64; UPSTREAMS],
    connect_timeout_ms: u64,
    calls_max: u64,
    /// The hook is in the chain, with this limit.
    cap: Option<u64>,
    /// Its file stands in the folder, and takes the place of the bundled one.
    pub(super) replaced: bool,
    /// This revision is the one before with another file of the hook.
    pub(super) swaps_hook: bool,
    keys: Vec<u64>,
}

/// Where a model's calls go.
#[derive(Clone, Debug)]
struct Model {
    /// Its name at the upstream.
    name: String,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    /// To this upstream.
    Only(usize),
    /// To this one, after one that refuses connections.
    Second(usize),
    /// To another model, since its only target refuses connections.
    Fallback(&'static str),
}

impl Plan {
    pub(super) fn first(urls: &[String]) -> Self {
        let steady = |name: &&str| {
            let way = Way::Only(0);
            let model = Model {
                name: format!("{name}-0"),
                way,
            };
            ((*name).to_owned(), model)
        };
        Self {
            revision: 0,
            filed: 0,
            models: STEADY.iter().map(steady).collect(),
            urls: urls.to_vec(),
            marks: [0; UPSTREAMS],
            connect_timeout_ms: 10_000,
            calls_max: 1_000,
            cap: None,
            replaced: false,
            swaps_hook: false,
            keys: Vec::new(),
        }
    }

    /// The next revision, and what it changes.
    pub(super) fn next(mut self, rng: &mut fastrand::Rng) -> (Self, &'static str) {
        self.revision += 1;
        self.swaps_hook = false;
        let what = self.change(rng);
        if !self.swaps_hook {
            self.filed = self.revision;
        }
        (self, what)
    }

    fn change(&mut self, rng: &mut fastrand::Rng) -> &'static str {
        let next = self.revision as u64;
        match rng.u32(..10) {
            0..3 => {
                let model = STEADY[rng.usize(..STEADY.len())];
                // The last one is what others fall back to.
                let ways = if model == STEADY[3] { 1 } else { 3 };
                let upstream = rng.usize(..UPSTREAMS);
                let way = match rng.u32(..ways) {
                    0 => Way::Only(upstream),
                    1 => Way::Second(upstream),
                    _ => Way::Fallback(STEADY[3]),
                };
                let name = format!("{model}-{next}");
                self.models.insert(model.to_owned(), Model { name, way });
                "a model is moved"
            }
            3 | 4 => {
                let model = PASSING[rng.usize(..PASSING.len())];
                if self.models.remove(model).is_some() {
                    return "a model is removed";
                }
                let way = Way::Only(rng.usize(..UPSTREAMS));
                let name = format!("{model}-{next}");
                self.models.insert(model.to_owned(), Model { name, way });
                "a model is added"
            }
            5 => {
                self.calls_max = 1_000 + next;
                // With another one of these the gateway has another pool.
                self.connect_timeout_ms = if rng.bool() { 10_000 } else { 9_000 };
                "limits"
            }
            6 => {
                self.cap = match self.cap {
                    Some(_) if rng.bool() => None,
                    _ => Some(100 + next % 800),
                };
                "a hook comes, goes, or is set anew"
            }
            7 => {
                self.replaced = !self.replaced;
                self.swaps_hook = true;
                "a hook is replaced"
            }
            8 => {
                match self.keys.len() {
                    5.. => drop(self.keys.remove(0)),
                    _ => self.keys.push(next),
                }
                "a key comes or goes"
            }
            _ => {
                self.marks[rng.usize(..UPSTREAMS)] = next;
                "an accent"
            }
        }
    }

    /// What a call for `model` is answered; none if there is no such model.
    pub(super) fn answer(&self, model: &str) -> Option<String> {
        let model = self.models.get(model)?;
        let (upstream, name) = match &model.way {
            Way::Only(upstream) | Way::Second(upstream) => (*upstream, &model.name),
            Way::Fallback(other) => {
                let other = self.models.get(*other)?;
                let Way::Only(upstream) = other.way else {
                    return None;
                };
                (upstream, &other.name)
            }
        };
        let tokens = match (self.replaced, self.cap) {
            (true, _) => REPLACED_TOKENS,
            (false, Some(cap)) => cap,
            (false, None) => ASKED_TOKENS,
        };
        Some(said(upstream, name, tokens, self.marks[upstream]))
    }

    /// What the log says when it is taken up.
    pub(super) fn mark(&self) -> String {
        match self.swaps_hook {
            true => format!("hook `{HOOK}`"),
            false => format!("`rev-{}` added", self.filed),
        }
    }

    /// The file. Its first line is about a model on its last, so that no beginning of it
    /// is sound.
    pub(super) fn file(&self) -> String {
        let mut file = "tiers: { opus: end }\n".to_owned();
        let _ = writeln!(file, "keys:\n  - {KEY}");
        for key in &self.keys {
            let _ = writeln!(file, "  - {{ name: key-{key}, key: sk-{key} }}");
        }
        let _ = writeln!(
            file,
            "limits: {{ connect_timeout_ms: {}, calls_max: {} }}",
            self.connect_timeout_ms, self.calls_max
        );
        let _ = writeln!(file, "hooks:\n  folder: hooks\n  chain:");
        if let Some(cap) = self.cap {
            let _ = writeln!(
                file,
                "    - {{ hook: {HOOK}, config: {{ max: {cap} }}, limits: {{ time_ms: 20000, wait_ms: 20000 }} }}"
            );
        }
        let _ = writeln!(file, "    - inject-usage\nupstreams:");
        let _ = writeln!(file, "  dead: {{ base_url: \"http://127.0.0.1:1/v1\" }}");
        for (at, (url, mark)) in self.urls.iter().zip(self.marks).enumerate() {
            let _ = writeln!(
                file,
                "  up-{at}: {{ base_url: \"{url}\", accent: {{ add: {{ mark: {mark} }} }} }}"
            );
        }
        let _ = writeln!(file, "models:");
        for (model, Model { name, way }) in &self.models {
            let dead = format!("{{ upstream: dead, model: {name} }}");
            let _ = match way {
                Way::Only(at) => {
                    writeln!(file, "  {model}: {{ upstream: up-{at}, model: {name} }}")
                }
                Way::Second(at) => writeln!(
                    file,
                    "  {model}: [ {dead}, {{ upstream: up-{at}, model: {name} }} ]"
                ),
                Way::Fallback(other) => writeln!(
                    file,
                    "  {model}: {{ targets: [ {dead} ], fallbacks: [ {other} ] }}"
                ),
            };
        }
        let _ = writeln!(
            file,
            "  rev-{}: end\n  end: {{ upstream: up-0, model: end }}",
            self.filed
        );
        file
    }
}

/// What an upstream says of a request, which is all that revisions change about it.
pub(super) fn said(upstream: usize, model: &str, tokens: u64, mark: u64) -> String {
    format!("up-{upstream} {model} {tokens} {mark}")
}

/// The revision that a reload with these changes took up, after that of before.
pub(super) fn revision_of(changes: &str, before: usize) -> usize {
    let added = changes.split("model `rev-").skip(1).find_map(|rest| {
        let (number, rest) = rest.split_once('`')?;
        rest.starts_with(" added").then(|| number.parse().ok())?
    });
    match added {
        Some(revision) => revision,
        // One that swaps the hook's file changes no other.
        None if changes.contains(&format!("hook `{HOOK}`")) => before + 1,
        None => before,
    }
}
