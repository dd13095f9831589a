//! The chain of one snapshot: hooks found, compiled, checked and in order.
//!
//! Loading gathers every finding. A module whose bytes did not change is not
//! compiled again, and a hook whose terms did not change either keeps its warm
//! instances.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::about::About;
use super::bundled::{SOURCE, bundled};
use super::engine::Engine;
use super::error::{FailureKind, Trap};
use super::ledger::StageReport;
use super::lock::Lock;
use super::module::Module;
use super::pool::Hook;
use super::rehearsal::rehearse;
use super::session::{Facts, Session};
use super::terms::Terms;
use super::{Stage, StageSet};
use crate::config::{Diagnostic, HookEntry, Hooks, KV_MEMORY_BYTES_MAX, Severity, nearest};
use crate::kv::{Memory, Store};
use crate::route;

/// Largest component that is read, in bytes: a Python one has 18 MB.
const WASM_BYTES_MAX: u64 = 64 << 20;

/// The hooks of one snapshot, in order.
#[derive(Default)]
pub struct Chain {
    hooks: Vec<Arc<Hook>>,
    /// Held here too, so that it stays while no hook is there.
    _kv: Option<Arc<dyn Store>>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.describe()).finish()
    }
}

/// A hook, for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookInfo {
    /// Its name.
    pub name: String,
    /// `bundled`, or its file.
    pub source: String,
    /// SHA-256 of its bytes, in hex.
    pub digest: String,
    /// The stages it has.
    pub stages: StageSet,
}

/// A hook's books, to be shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct HookReport {
    /// Its name.
    pub name: String,
    /// `bundled`, or its file.
    pub source: String,
    /// SHA-256 of the bytes that run, in hex.
    pub digest: String,
    /// `act`, or `shadow` if what it decides is only written down.
    pub mode: String,
    /// Whether those are the version before, because the new one crashed.
    pub rolled_back: bool,
    /// Most memory that one instance had, in bytes.
    pub memory_bytes: u64,
    /// What its stages did; those that never ran are left out.
    pub stages: Vec<StageReport>,
}

/// A hook's bytes, and where they come from.
struct Found {
    source: String,
    digest: String,
    wasm: Bytes,
}

enum Bytes {
    Bundled(&'static [u8]),
    File(Vec<u8>),
}

impl Found {
    fn new(source: String, wasm: Bytes) -> Self {
        let mut found = Self {
            source,
            digest: String::new(),
            wasm,
        };
        found.digest = digest(found.wasm());
        found
    }

    fn wasm(&self) -> &[u8] {
        match &self.wasm {
            Bytes::Bundled(wasm) => wasm,
            Bytes::File(wasm) => wasm,
        }
    }
}

/// SHA-256 of a hook's bytes, in hex.
pub(super) fn digest(wasm: &[u8]) -> String {
    let bytes = Sha256::digest(wasm);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Chain {
    /// No hooks.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Load the hooks that `hooks` names, and bare files of its folder. Compiles:
    /// not for a thread of the runtime. With any error nothing is loaded; the
    /// findings of a chain that loads are warnings and notes.
    pub fn load(
        engine: &Arc<Engine>,
        hooks: &Hooks,
        previous: Option<&Chain>,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut loader = Loader {
            engine,
            previous,
            kv: Arc::new(Memory::new(0)),
            diagnostics: Vec::new(),
        };
        match engine.stores.open(&hooks.kv.store) {
            Ok(store) => loader.kv = store,
            Err(why) => loader.say(Severity::Error, &hooks.kv.place, why),
        }
        let mut files = loader.folder(hooks.folder.as_deref());
        let mut wanted = loader.resolve(hooks, &mut files);
        loader.keep_to_lock(hooks.lock.as_deref(), &mut wanted);
        let modules = loader.compile(&wanted);
        loader.chain(wanted, &modules)
    }

    /// What is wrong with the names in `hooks` and the files of its folder, before any
    /// of them is compiled.
    pub fn missing(engine: &Arc<Engine>, hooks: &Hooks) -> Vec<Diagnostic> {
        let mut loader = Loader {
            engine,
            previous: None,
            kv: Arc::new(Memory::new(0)),
            diagnostics: Vec::new(),
        };
        let mut files = loader.folder(hooks.folder.as_deref());
        loader.resolve(hooks, &mut files);
        let mut findings = loader.diagnostics;
        findings.retain(|finding| finding.severity == Severity::Error);
        findings
    }

    /// A chain of one hook, the bytes `wasm`, under `entry`: as [`Chain::load`]
    /// would admit it.
    pub fn of_one(
        engine: &Arc<Engine>,
        entry: HookEntry,
        wasm: Vec<u8>,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let module = Module::compile(engine, &wasm).map(Arc::new);
        Self::of_module(engine, entry, wasm, module)
    }

    /// Likewise, of what came of compiling `wasm`.
    pub(super) fn of_module(
        engine: &Arc<Engine>,
        entry: HookEntry,
        wasm: Vec<u8>,
        module: Result<Arc<Module>, String>,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let found = Found::new(entry.place.clone(), Bytes::File(wasm));
        let modules = HashMap::from([(found.digest.clone(), module)]);
        let loader = Loader {
            engine,
            previous: None,
            kv: Arc::new(Memory::new(KV_MEMORY_BYTES_MAX as usize)),
            diagnostics: Vec::new(),
        };
        loader.chain(vec![(entry, found)], &modules)
    }

    /// The entries under which the hooks run, in order.
    pub fn entries(&self) -> impl Iterator<Item = &HookEntry> {
        self.hooks.iter().map(|hook| hook.entry())
    }

    /// The hooks, in order.
    pub fn describe(&self) -> Vec<HookInfo> {
        let info = |hook: &Arc<Hook>| HookInfo {
            name: hook.entry().name.clone(),
            source: hook.source.clone(),
            digest: hook.digest.clone(),
            stages: hook.stages,
        };
        self.hooks.iter().map(info).collect()
    }

    /// What the hooks did so far.
    pub fn report(&self) -> Vec<HookReport> {
        let report = |hook: &Arc<Hook>| {
            let effective = hook.effective();
            HookReport {
                name: hook.entry().name.clone(),
                source: effective.source.clone(),
                digest: effective.digest.clone(),
                mode: hook.entry().mode.name().into(),
                rolled_back: !Arc::ptr_eq(hook, &effective),
                memory_bytes: effective.ledger.memory_bytes(),
                stages: effective
                    .ledger
                    .report(|stage| effective.quarantine[stage as usize].left_s()),
            }
        };
        self.hooks.iter().map(report).collect()
    }

    /// The stages that some hook has.
    pub fn stages(&self) -> StageSet {
        let hooks = self.hooks.iter();
        hooks.fold(StageSet::default(), |set, hook| set.with(hook.stages))
    }

    /// The hooks that run on a call with these facts.
    pub fn session(&self, facts: Facts) -> Session {
        let matches = |hook: &&Arc<Hook>| {
            let models = &hook.entry().matching.models;
            models.is_empty()
                || models
                    .iter()
                    .any(|pattern| route::matches(pattern, &facts.model))
        };
        let hooks: Vec<_> = self
            .hooks
            .iter()
            .filter(matches)
            .map(Hook::effective)
            .collect();
        Session::new(hooks.into_iter(), facts)
    }
}

struct Loader<'l> {
    engine: &'l Arc<Engine>,
    previous: Option<&'l Chain>,
    /// The store of all hooks.
    kv: Arc<dyn Store>,
    diagnostics: Vec<Diagnostic>,
}

impl Loader<'_> {
    fn say(&mut self, severity: Severity, place: &str, message: String) {
        self.diagnostics.push(Diagnostic {
            severity,
            file: place.to_owned(),
            line: None,
            path: String::new(),
            message,
            help: None,
        });
    }

    /// The chain of `wanted`, admitted; nothing with any error.
    fn chain(
        mut self,
        wanted: Vec<(HookEntry, Found)>,
        modules: &HashMap<String, Result<Arc<Module>, String>>,
    ) -> Result<(Chain, Vec<Diagnostic>), Vec<Diagnostic>> {
        let hooks: Vec<_> = wanted
            .into_iter()
            .filter_map(|(entry, found)| self.admit(entry, &found, modules))
            .collect();
        let is_error = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
        match self.diagnostics.iter().any(is_error) {
            true => Err(self.diagnostics),
            false => {
                for hook in &hooks {
                    hook.probation.end_of_previous();
                }
                let chain = Chain {
                    hooks,
                    _kv: Some(self.kv),
                };
                Ok((chain, self.diagnostics))
            }
        }
    }

    /// Leave of `wanted` what the lock file lets run, and tell of the rest: before
    /// anything of it is compiled.
    fn keep_to_lock(&mut self, file: Option<&Path>, wanted: &mut Vec<(HookEntry, Found)>) {
        let lock = match file.map_or(Ok(None), Lock::read) {
            Ok(None) => return,
            Ok(Some(lock)) => lock,
            Err(why) => {
                let place = file.map_or_else(String::new, |file| file.display().to_string());
                self.say(Severity::Error, &place, why);
                return;
            }
        };
        wanted.retain(|(entry, found)| {
            let complaint = lock.complaint(entry, &found.source, &found.digest);
            if let Some(complaint) = &complaint {
                self.say(Severity::Error, &entry.place, complaint.clone());
            }
            complaint.is_none()
        });
    }

    /// The `.wasm` files of the folder by name. One that is absent is empty.
    fn folder(&mut self, folder: Option<&Path>) -> HashMap<String, Found> {
        let mut files = HashMap::new();
        let Some(entries) = folder.and_then(|folder| std::fs::read_dir(folder).ok()) else {
            return files;
        };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let Some(name) = hook_name(&path) else {
                continue;
            };
            match read(&path) {
                Ok(wasm) => {
                    files.insert(
                        name,
                        Found::new(path.display().to_string(), Bytes::File(wasm)),
                    );
                }
                Err(why) => {
                    self.say(
                        Severity::Error,
                        &path.display().to_string(),
                        format!("cannot be read: {why}"),
                    );
                }
            }
        }
        files
    }

    /// The chain's entries with their bytes, then the bare files.
    fn resolve(
        &mut self,
        hooks: &Hooks,
        files: &mut HashMap<String, Found>,
    ) -> Vec<(HookEntry, Found)> {
        let mut wanted = Vec::new();
        let named: Vec<_> = hooks.chain.iter().map(|entry| entry.name.clone()).collect();
        for entry in hooks.chain.iter().filter(|entry| entry.enabled) {
            let file = files.get(&entry.name).map(|file| Found {
                source: file.source.clone(),
                digest: file.digest.clone(),
                wasm: file.copy(),
            });
            let built_in = || {
                let hook = bundled().iter().find(|hook| hook.name == entry.name)?;
                Some(Found::new(SOURCE.into(), Bytes::Bundled(hook.wasm)))
            };
            match file.or_else(built_in) {
                Some(found) => wanted.push((entry.clone(), found)),
                None => {
                    let message = unknown_hook(&entry.name, hooks.folder.as_deref(), files.keys());
                    self.say(Severity::Error, &entry.place, message);
                }
            }
        }
        let mut bare: Vec<_> = files
            .drain()
            .filter(|(name, _)| !named.contains(name))
            .collect();
        bare.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, found) in bare {
            let source = found.source.clone();
            self.say(
                Severity::Note,
                &source,
                format!("`{name}` joins the end of the chain, without configuration or grants"),
            );
            wanted.push((HookEntry::named(name, source), found));
        }
        wanted
    }

    /// The modules by digest: those of the previous chain, and new ones,
    /// compiled side by side.
    fn compile(
        &mut self,
        wanted: &[(HookEntry, Found)],
    ) -> HashMap<String, Result<Arc<Module>, String>> {
        let mut modules: HashMap<String, Result<Arc<Module>, String>> = HashMap::new();
        for hook in self.previous.iter().flat_map(|chain| &chain.hooks) {
            modules.insert(hook.digest.clone(), Ok(hook.module.clone()));
        }
        let mut new: Vec<&Found> = Vec::new();
        for (_, found) in wanted {
            let is_known = modules.contains_key(&found.digest)
                || new.iter().any(|other| other.digest == found.digest);
            if !is_known {
                new.push(found);
            }
        }
        let engine = self.engine;
        std::thread::scope(|scope| {
            let compiling: Vec<_> = new
                .into_iter()
                .map(|found| {
                    (
                        found,
                        scope.spawn(|| Module::compile(engine, found.wasm()).map(Arc::new)),
                    )
                })
                .collect();
            for (found, thread) in compiling {
                let compiled = thread
                    .join()
                    .unwrap_or_else(|_| Err("its compilation panicked".into()));
                modules.insert(found.digest.clone(), compiled);
            }
        });
        modules
    }

    /// A hook in its place, once it has shown that it can begin.
    fn admit(
        &mut self,
        entry: HookEntry,
        found: &Found,
        modules: &HashMap<String, Result<Arc<Module>, String>>,
    ) -> Option<Arc<Hook>> {
        if let Some(hook) = self.unchanged(&entry, found) {
            return Some(hook);
        }
        let name = entry.name.clone();
        let place = entry.place.clone();
        let module = match modules.get(&found.digest)? {
            Ok(module) => module.clone(),
            Err(why) => {
                self.say(
                    Severity::Error,
                    &place,
                    format!("hook `{name}` ({}): {why}", found.source),
                );
                return None;
            }
        };
        let stages = module.stages();
        if stages.has(Stage::Response) && !stages.has(Stage::Stream) && !entry.hold_streams {
            self.say(
                Severity::Error,
                &place,
                format!(
                    "hook `{name}` has on-response and no on-stream, so streamed answers would pass it by; set `hold_streams: true` to let it hold them back, or give it on-stream"
                ),
            );
            return None;
        }
        let is_empty = entry
            .config
            .as_object()
            .is_some_and(serde_json::Map::is_empty)
            || entry.config.is_null();
        if !module.has_setup() && !is_empty {
            self.say(
                Severity::Warning,
                &place,
                format!("hook `{name}` does not read its `config`"),
            );
        }
        let hook = Arc::new(Hook::new(
            Terms::new(entry, self.engine.services.clone(), self.kv.clone()),
            found.source.clone(),
            found.digest.clone(),
            module,
            self.replaced(&name, &found.digest),
        ));
        match begin(&hook) {
            Ok(complaints) if complaints.is_empty() => return Some(hook),
            Ok(complaints) => {
                for what in complaints {
                    self.say(Severity::Error, &place, format!("hook `{name}` {what}"));
                }
            }
            Err(why) => {
                let why = match why {
                    FailureKind::Reported(wrong) => format!("refuses its config: {wrong}"),
                    other => format!("does not start: it {}", other.in_full()),
                };
                self.say(Severity::Error, &place, format!("hook `{name}` {why}"));
            }
        }
        None
    }

    /// The hook whose place another version takes, in case that one is no good.
    fn replaced(&self, name: &str, digest: &str) -> Option<Arc<Hook>> {
        let mut hooks = self.previous.iter().flat_map(|chain| &chain.hooks);
        let old = hooks.find(|hook| hook.entry().name == name)?.effective();
        (old.digest != digest).then_some(old)
    }

    /// The very hook of the previous chain, if nothing about it changed.
    fn unchanged(&self, entry: &HookEntry, found: &Found) -> Option<Arc<Hook>> {
        let hooks = self.previous.iter().flat_map(|chain| &chain.hooks);
        hooks
            .filter(|hook| hook.digest == found.digest && hook.source == found.source)
            .filter(|hook| Arc::ptr_eq(&hook.terms.kv, &self.kv))
            .find(|hook| same_terms(hook.entry(), entry))
            .cloned()
    }
}

impl Found {
    fn copy(&self) -> Bytes {
        match &self.wasm {
            Bytes::Bundled(wasm) => Bytes::Bundled(wasm),
            Bytes::File(wasm) => Bytes::File(wasm.clone()),
        }
    }
}

/// Start one instance, as a call would, keep it warm, and try the hook out: what
/// keeps it from running under its entry.
///
/// What it says of itself is asked of an instance that was not configured, so that
/// a config its schema refuses is refused in the schema's words.
fn begin(hook: &Arc<Hook>) -> Result<Vec<String>, FailureKind> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.map_err(|error| {
        FailureKind::Trapped(Trap {
            cause: error.to_string(),
            ..Trap::default()
        })
    })?;
    runtime.block_on(async {
        if let Some(about) = hook.module.describe(&hook.terms).await? {
            let complaints = match About::parse(&about) {
                Ok(about) => about.complaints(hook.entry()),
                Err(why) => vec![why],
            };
            if !complaints.is_empty() {
                return Ok(complaints);
            }
        }
        let lease = hook.lease().await?;
        hook.release(lease);
        if !hook.entry().trial {
            return Ok(Vec::new());
        }
        let failed = rehearse(hook).await;
        let complaint = failed.map(|(stage, kind)| {
            format!(
                "{kind} in the trial call, in {stage}; mend it, or let it in with `trial: false`"
            )
        });
        Ok(complaint.into_iter().collect())
    })
}

/// Equal but for the place, which moves with every line added above it.
fn same_terms(a: &HookEntry, b: &HookEntry) -> bool {
    let terms = |entry: &HookEntry| HookEntry {
        place: String::new(),
        ..entry.clone()
    };
    terms(a) == terms(b)
}

/// The name of a hook file; none for what editors and mounts leave about.
fn hook_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let name = file.strip_suffix(".wasm")?;
    (!name.is_empty() && !name.starts_with('.') && path.is_file()).then(|| name.to_owned())
}

fn read(path: &PathBuf) -> std::io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > WASM_BYTES_MAX {
        return Err(std::io::Error::other(format!(
            "larger than {WASM_BYTES_MAX} bytes"
        )));
    }
    std::fs::read(path)
}

fn unknown_hook<'f>(
    name: &str,
    folder: Option<&Path>,
    files: impl Iterator<Item = &'f String>,
) -> String {
    let known = bundled()
        .iter()
        .map(|hook| hook.name)
        .chain(files.map(String::as_str));
    let hint = nearest(name, known).map_or_else(String::new, |nearest| {
        format!("; did you mean `{nearest}`?")
    });
    let place = folder.map_or_else(String::new, |folder| {
        format!(", and no `{name}.wasm` in `{}`", folder.display())
    });
    format!("no bundled hook named `{name}`{place}{hint}")
}

#[cfg(test)]
mod tests {
    use super::super::engine::EMPTY_PLACES_MAX;
    use super::*;
    use crate::kv::Stores;

    /// The n-th version of a hook: the same code, and another custom section.
    fn version(n: u8) -> Vec<u8> {
        let hook = bundled().iter().find(|hook| hook.name == "force-stream");
        let wasm = hook.expect("it is bundled").wasm;
        [wasm, &[0, 2, 1, b'a' + n]].concat()
    }

    #[test]
    fn of_many_versions_two_are_kept() {
        let engine = Engine::new(Stores::rehearsal()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let hooks = Hooks {
            folder: Some(folder.path().to_owned()),
            ..Hooks::default()
        };
        let mut chain: Option<Chain> = None;
        let mut versions = Vec::new();
        for n in 0..2 * EMPTY_PLACES_MAX as u8 {
            // Two take turns, so that there is less to compile.
            std::fs::write(folder.path().join("it.wasm"), version(n % 2)).unwrap();
            let (next, _) = Chain::load(&engine, &hooks, chain.as_ref()).unwrap();
            let hook = &next.hooks[0];
            versions.push((Arc::downgrade(hook), Arc::downgrade(&hook.module)));
            chain = Some(next);
        }
        let (of_old, of_last_two) = versions.split_at(versions.len() - 2);
        for (hook, module) in of_old {
            assert_eq!((hook.strong_count(), module.strong_count()), (0, 0));
        }
        assert!(of_last_two.iter().all(|(hook, _)| hook.strong_count() > 0));
        let pool = engine.wasm.pooling_allocator_metrics();
        let pool = pool.expect("address space for it");
        assert_eq!(pool.component_instances(), 2, "one warm instance each");
        let empty = pool.unused_warm_memories();
        assert!(empty <= EMPTY_PLACES_MAX, "{empty}");
    }
}
