//! A compiled component: which stages it has, and how an instance of it begins.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{Component, InstancePre, ResourceAny};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxBuilder};
use wasmtime_wasi_http::WasiHttpCtx;

use super::bindings::exports::sluice::hooks as exports;
use super::clock::Clock;
use super::engine::{Engine, Meter};
use super::error::{FailureKind, Trap};
use super::limits::Limits;
use super::outbound::Requests;
use super::state::{Scope, State};
use super::terms::Terms;
use super::words::LastWords;
use super::{Stage, StageSet};
use crate::config::Grants;

/// The interface version that this gateway speaks.
pub(super) const VERSION: &str = "0.1.0";

/// What there is in it; a test holds this against the WIT.
const INTERFACES: [&str; 20] = [
    "about",
    "config",
    "current",
    "document",
    "kv",
    "log",
    "metrics",
    "on-complete",
    "on-count-tokens",
    "on-error",
    "on-list-models",
    "on-request",
    "on-response",
    "on-route",
    "on-stream",
    "on-upstream-request",
    "on-upstream-response",
    "routing",
    "setup",
    "types",
];

/// Bytes that one call between host and guest may carry: far above any body,
/// far below what would hurt.
const HOSTCALL_BYTES_MAX: usize = 64 << 20;

/// Objects that a guest may hold of the host's.
const HANDLES_MAX: usize = 1_024;

/// Time for an instance to begin and read its configuration, in ms: an
/// interpreter's takes a hundred times longer than its calls.
pub(super) const START_MS: u64 = 2_000;

/// Most random bytes at once: seeds and keys, and no flood in the host's memory.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// Fuel of an instance where it is counted: without an end, since time limits it.
const FUEL: u64 = u64::MAX;

/// How long a guest's deadline may go unnoticed: two ticks of the engine.
const GRACE: Duration = Duration::from_millis(20);

/// What exists once for each stage: `Stage`, its interface's module, the field.
macro_rules! stages {
    ($($stage:ident $interface:ident),* $(,)?) => {
        /// Where a component has its stages; none where it has not.
        struct Exports {
            $($interface: Option<exports::$interface::GuestIndices>,)*
        }

        impl Exports {
            fn of(pre: &InstancePre<State>) -> Self {
                Self { $($interface: exports::$interface::GuestIndices::new(pre).ok(),)* }
            }

            fn stages(&self) -> StageSet {
                let stages = [$((Stage::$stage, self.$interface.is_some())),*];
                let there = stages.into_iter().filter(|(_, is_there)| *is_there);
                there.map(|(stage, _)| stage).collect()
            }

            fn load(&self, store: &mut Store<State>, instance: &wasmtime::component::Instance) -> wasmtime::Result<Stages> {
                Ok(Stages {
                    $($interface: self.$interface.as_ref().map(|i| i.load(&mut *store, instance)).transpose()?,)*
                })
            }
        }

        /// The stages of one instance.
        #[derive(Default)]
        pub(super) struct Stages {
            $(pub(super) $interface: Option<exports::$interface::Guest>,)*
        }
    };
}

stages! {
    Request on_request,
    Route on_route,
    UpstreamRequest on_upstream_request,
    UpstreamResponse on_upstream_response,
    Stream on_stream,
    Response on_response,
    Error on_error,
    Complete on_complete,
    CountTokens on_count_tokens,
    ListModels on_list_models,
}

/// A component, compiled and looked through.
pub(super) struct Module {
    pre: InstancePre<State>,
    about: Option<exports::about::GuestIndices>,
    setup: Option<exports::setup::GuestIndices>,
    exports: Exports,
    meter: Meter,
}

impl Module {
    /// Compile `wasm` and look at its exports. Takes from 0.1 s to half a minute,
    /// by the guest's language.
    pub(super) fn compile(engine: &Engine, wasm: &[u8]) -> Result<Self, String> {
        Self::link(engine, &Self::component(engine, wasm)?)
    }

    /// The compiled component, whatever it imports and exports.
    pub(super) fn component(engine: &Engine, wasm: &[u8]) -> Result<Component, String> {
        if wasm.starts_with(b"\0asm\x01\0\0\0") {
            return Err(
                "it is a core module, not a component; build it for `wasm32-wasip2`".into(),
            );
        }
        // The parser would show the first bytes of whatever file it is.
        if !wasm.starts_with(b"\0asm") {
            return Err("it is no WebAssembly component: it does not begin as one does".into());
        }
        Component::from_binary(&engine.wasm, wasm).map_err(|error| no_component(&root(&error)))
    }

    /// Look a component through, and give it what it imports.
    pub(super) fn link(engine: &Engine, component: &Component) -> Result<Self, String> {
        other_version(engine, component)?;
        let pre = engine.linker.instantiate_pre(component).map_err(|error| {
            format!(
                "it imports what this gateway does not offer: {}",
                root(&error)
            )
        })?;
        let module = Self {
            about: exports::about::GuestIndices::new(&pre).ok(),
            setup: exports::setup::GuestIndices::new(&pre).ok(),
            exports: Exports::of(&pre),
            meter: engine.meter,
            pre,
        };
        if module.stages().is_empty() {
            return Err(format!("it exports no stage of `sluice:hooks@{VERSION}`"));
        }
        Ok(module)
    }

    /// The stages it has.
    pub(super) fn stages(&self) -> StageSet {
        self.exports.stages()
    }

    /// Whether it reads its configuration.
    pub(super) fn has_setup(&self) -> bool {
        self.setup.is_some()
    }

    /// A fresh instance on these terms, configured.
    pub(super) async fn instantiate(&self, terms: &Arc<Terms>) -> Result<Instance, FailureKind> {
        let mut instance = self.bare(terms);
        let deadline = instance.arm_for(START_MS);
        instance.stages = guard(deadline, self.start(&mut instance.store)).await?;
        Ok(instance)
    }

    /// What the hook says of itself; none if it says nothing.
    pub(super) async fn describe(&self, terms: &Arc<Terms>) -> Result<Option<String>, FailureKind> {
        let Some(about) = &self.about else {
            return Ok(None);
        };
        let mut instance = self.bare(terms);
        let deadline = instance.arm_for(START_MS);
        let store = &mut instance.store;
        let described = async {
            let linked = self.pre.instantiate_async(&mut *store).await?;
            let about = about.load(&mut *store, &linked)?;
            about.call_describe(&mut *store).await.map(Ok)
        };
        guard(deadline, described).await.map(Some)
    }

    /// An instance whose component has not been linked yet.
    fn bare(&self, terms: &Arc<Terms>) -> Instance {
        let limits = &terms.entry.limits;
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let clock = Clock::new();
        let words = LastWords::default();
        let state = State {
            requests: Requests::new(terms, &clock),
            http: WasiHttpCtx::new(),
            terms: terms.clone(),
            limits: Limits::new(limits),
            clock,
            scope: Scope::default(),
            wasi: wasi(&terms.entry.grants, &words),
            words,
            table,
        };
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
        store.set_max_component_handles(HANDLES_MAX);
        if self.meter == Meter::On {
            store.set_fuel(FUEL).expect("a metered engine takes fuel");
        }
        // Yield on every tick, so that endless loops starve nobody.
        store.epoch_deadline_callback(|store| {
            if store.data().clock.tick() {
                return Err(DeadlinePassed.into());
            }
            Ok(UpdateDeadline::Yield(1))
        });
        Instance {
            store,
            stages: Stages::default(),
            time_ms: limits.time_ms,
            meter: self.meter,
            calls: 0,
        }
    }

    async fn start(&self, store: &mut Store<State>) -> wasmtime::Result<Result<Stages, String>> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let stages = self.exports.load(store, &instance)?;
        if let Some(setup) = &self.setup {
            let setup = setup.load(&mut *store, &instance)?;
            if let Err(wrong) = setup.call_configure(&mut *store).await? {
                return Ok(Err(wrong));
            }
        }
        Ok(Ok(stages))
    }
}

/// A component's instance: its memory, and the way into its stages.
pub(super) struct Instance {
    pub(super) store: Store<State>,
    pub(super) stages: Stages,
    time_ms: u64,
    meter: Meter,
    /// Calls it has served.
    pub(super) calls: u32,
}

impl Instance {
    /// Fuel that it has used, about an instruction each; none if nobody counts.
    pub(super) fn fuel(&self) -> Option<u64> {
        let left = (self.meter == Meter::On).then(|| self.store.get_fuel().ok());
        Some(FUEL - left.flatten()?)
    }

    /// Begin the time of one stage.
    pub(super) fn arm(&mut self) -> Deadline {
        self.arm_for(self.time_ms)
    }

    fn arm_for(&mut self, time_ms: u64) -> Deadline {
        let state = self.store.data_mut();
        state.clock.arm(time_ms);
        state.scope.written_bytes = 0;
        state.requests.begin();
        state.words.forget();
        let deadline = Deadline {
            clock: state.clock.clone(),
            time_ms,
            words: state.words.clone(),
        };
        self.store.set_epoch_deadline(1);
        deadline
    }

    /// Let go of a guest's resource.
    pub(super) async fn drop_resource(&mut self, resource: ResourceAny) -> Result<(), FailureKind> {
        let deadline = self.arm();
        guard(deadline, async {
            resource.resource_drop_async(&mut self.store).await.map(Ok)
        })
        .await
    }
}

#[derive(Debug, thiserror::Error)]
#[error("deadline passed")]
struct DeadlinePassed;

/// When a call into a guest must be done.
pub(super) struct Deadline {
    clock: Clock,
    /// The time that was given.
    time_ms: u64,
    /// What the guest writes meanwhile.
    words: LastWords,
}

/// One call into a guest, within its time. The guest's own deadline comes
/// first; this one also ends calls that wait in the host.
pub(super) async fn guard<R>(
    deadline: Deadline,
    call: impl Future<Output = wasmtime::Result<Result<R, String>>>,
) -> Result<R, FailureKind> {
    let Deadline {
        clock,
        time_ms,
        words,
    } = deadline;
    let mut call = pin!(clock.run(call));
    let ended = loop {
        let most = clock.deadline().max(Instant::now()) + GRACE;
        match tokio::time::timeout_at(most.into(), &mut call).await {
            Ok(ended) => break ended,
            // It waits for the host, which gave it more time; or the machine is busy.
            Err(_) if !clock.has_passed() => {}
            Err(_) => return Err(FailureKind::TimedOut(time_ms)),
        }
    };
    match ended {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(reported)) => Err(FailureKind::Reported(cut(reported))),
        Err(error) if error.is::<DeadlinePassed>() => Err(FailureKind::TimedOut(time_ms)),
        Err(error) => Err(FailureKind::Trapped(Trap {
            cause: cut(root(&error)),
            words: words.text(),
        })),
    }
}

/// WASI without files, sockets and arguments; clocks, random numbers and the
/// variables that were granted are real. Of what is written, the last is kept.
fn wasi(grants: &Grants, words: &LastWords) -> WasiCtx {
    let mut wasi = WasiCtxBuilder::new();
    wasi.stdout(words.clone()).stderr(words.clone());
    wasi.max_random_size(RANDOM_BYTES_MAX);
    // Even one that leads nowhere would be a descriptor of the process.
    wasi.allow_tcp(false).allow_udp(false);
    for name in &grants.env {
        if let Ok(value) = std::env::var(name) {
            wasi.env(name, value);
        }
    }
    wasi.build()
}

/// Why bytes are no component that this engine takes.
fn no_component(why: &str) -> String {
    // So says the engine of whatever belongs to asynchronous functions.
    if why.contains("async feature") {
        return "it was built for asynchronous calls, which this gateway does not make; build it for synchronous ones (componentize-qjs: `--sync`; jco: `--backend-qjs-disable-async`)".into();
    }
    format!("it is no WebAssembly component: {why}")
}

/// The cause alone, on one line: what wraps it names functions of the guest.
fn root(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    cause.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(mut text: String) -> String {
    if let Some(end) = (0..=300).rev().find(|at| text.is_char_boundary(*at)) {
        text.truncate(end);
    }
    text
}

/// A hook of another version of the interface gets a sentence that says so, in place
/// of a missing import's name; and one with an interface that came later is refused,
/// since nobody would ever call it.
fn other_version(engine: &Engine, component: &Component) -> Result<(), String> {
    let (imports, exports) = names(engine, component);
    for name in imports.into_iter().chain(exports) {
        let Some((interface, version)) = name
            .strip_prefix("sluice:hooks/")
            .and_then(|name| name.split_once('@'))
        else {
            continue;
        };
        let minor = |version: &str| version.rsplit_once('.').map(|(minor, _)| minor.to_owned());
        if minor(version) != minor(VERSION) {
            return Err(format!(
                "it was built for `sluice:hooks@{version}` and this gateway speaks {VERSION}; build it with a matching SDK, or update the gateway"
            ));
        }
        if !INTERFACES.contains(&interface) {
            return Err(format!(
                "it has `{name}`, which this gateway does not know: it speaks {VERSION}; update the gateway"
            ));
        }
    }
    Ok(())
}

/// The names of what a component imports and exports.
pub(super) fn names(engine: &Engine, component: &Component) -> (Vec<String>, Vec<String>) {
    let kind = component.component_type();
    let imports = kind.imports(&engine.wasm).map(|(name, _)| name.to_owned());
    let exports = kind.exports(&engine.wasm).map(|(name, _)| name.to_owned());
    (imports.collect(), exports.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Stores;

    #[test]
    fn asynchronous_components_are_refused_with_a_way_out() {
        let engine = Engine::new(Stores::rehearsal()).unwrap();
        // A component of one type: an asynchronous function without parameters.
        let wasm = b"\0asm\x0d\0\x01\0\x07\x05\x01\x43\0\x01\0";
        let why = Module::component(&engine, wasm).err().unwrap();
        assert!(why.contains("`--sync`"), "{why}");
    }

    #[test]
    fn the_interfaces_are_those_of_the_wit() {
        const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit/0.1.0");
        let mut found = Vec::new();
        for file in std::fs::read_dir(FOLDER).expect("a folder").flatten() {
            let text = std::fs::read_to_string(file.path()).expect("WIT is text");
            let lines = text.lines();
            let names =
                lines.filter_map(|line| line.strip_prefix("interface ")?.strip_suffix(" {"));
            found.extend(names.map(str::to_owned));
        }
        found.sort();
        assert_eq!(found, INTERFACES);
    }
}
