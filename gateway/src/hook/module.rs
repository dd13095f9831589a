//! A compiled component: which stages it has, and how an instance of it begins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{Component, InstancePre, ResourceAny};
use wasmtime::{Store, StoreLimitsBuilder, UpdateDeadline};
use wasmtime_wasi::{ResourceTable, WasiCtxBuilder};

use super::bindings::exports::sluice::hooks as exports;
use super::engine::Engine;
use super::error::FailureKind;
use super::state::{Scope, State};
use super::{Stage, StageSet};
use crate::config::HookEntry;

/// The interface version that this gateway speaks.
const VERSION: &str = "0.1.0";

/// Bytes that one call between host and guest may carry: far above any body,
/// far below what would hurt.
const HOSTCALL_BYTES_MAX: usize = 64 << 20;

/// Objects that a guest may hold of the host's.
const HANDLES_MAX: usize = 1_024;

/// Time for an instance to begin and read its configuration, in ms: an
/// interpreter's takes a hundred times longer than its calls.
const START_MS: u64 = 2_000;

/// A component, compiled and looked through.
pub(super) struct Module {
    pre: InstancePre<State>,
    setup: Option<exports::setup::GuestIndices>,
    on_request: Option<exports::on_request::GuestIndices>,
    on_upstream_request: Option<exports::on_upstream_request::GuestIndices>,
    on_response: Option<exports::on_response::GuestIndices>,
    on_stream: Option<exports::on_stream::GuestIndices>,
}

impl Module {
    /// Compile `wasm` and look at its exports. Takes from 0.1 s to half a minute,
    /// by the guest's language.
    pub(super) fn compile(engine: &Engine, wasm: &[u8]) -> Result<Self, String> {
        if wasm.starts_with(b"\0asm\x01\0\0\0") {
            return Err(
                "it is a core module, not a component; build it for `wasm32-wasip2`".into(),
            );
        }
        let component = Component::from_binary(&engine.wasm, wasm)
            .map_err(|error| format!("it is no WebAssembly component: {}", root(&error)))?;
        other_version(engine, &component)?;
        let pre = engine.linker.instantiate_pre(&component).map_err(|error| {
            format!(
                "it imports what this gateway does not offer: {}",
                root(&error)
            )
        })?;
        let module = Self {
            setup: exports::setup::GuestIndices::new(&pre).ok(),
            on_request: exports::on_request::GuestIndices::new(&pre).ok(),
            on_upstream_request: exports::on_upstream_request::GuestIndices::new(&pre).ok(),
            on_response: exports::on_response::GuestIndices::new(&pre).ok(),
            on_stream: exports::on_stream::GuestIndices::new(&pre).ok(),
            pre,
        };
        if module.stages().is_empty() {
            return Err(format!("it exports no stage of `sluice:hooks@{VERSION}`"));
        }
        Ok(module)
    }

    /// The stages it has.
    pub(super) fn stages(&self) -> StageSet {
        let stages = [
            (Stage::Request, self.on_request.is_some()),
            (Stage::UpstreamRequest, self.on_upstream_request.is_some()),
            (Stage::Response, self.on_response.is_some()),
            (Stage::Stream, self.on_stream.is_some()),
        ];
        stages
            .into_iter()
            .filter(|(_, has)| *has)
            .map(|(stage, _)| stage)
            .collect()
    }

    /// Whether it reads its configuration.
    pub(super) fn has_setup(&self) -> bool {
        self.setup.is_some()
    }

    /// A fresh instance on the terms of `entry`, configured.
    pub(super) async fn instantiate(
        &self,
        entry: &HookEntry,
        config: &Arc<str>,
    ) -> Result<Instance, FailureKind> {
        let limits = &entry.limits;
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let state = State {
            hook: entry.name.as_str().into(),
            config: config.clone(),
            grants: entry.grants.clone(),
            output_bytes_max: limits.output_bytes_max,
            limits: StoreLimitsBuilder::new()
                .memory_size(limits.memory_bytes_max)
                .table_elements(100_000)
                .instances(400)
                .tables(64)
                .memories(16)
                .trap_on_grow_failure(true)
                .build(),
            deadline: Instant::now(),
            scope: Scope::default(),
            wasi: WasiCtxBuilder::new().build(),
            table,
        };
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
        store.set_max_component_handles(HANDLES_MAX);
        // Yield on every tick, so that endless loops starve nobody.
        store.epoch_deadline_callback(|store| {
            if Instant::now() >= store.data().deadline {
                return Err(DeadlinePassed.into());
            }
            Ok(UpdateDeadline::Yield(1))
        });
        let mut instance = Instance {
            store,
            stages: Stages::default(),
            time_ms: limits.time_ms,
            calls: 0,
        };
        instance.arm_for(START_MS);
        let started = guard(START_MS, self.start(&mut instance.store)).await?;
        instance.stages = started;
        Ok(instance)
    }

    async fn start(
        &self,
        mut store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Stages, String>> {
        let instance = self.pre.instantiate_async(&mut store).await?;
        let load = &instance;
        let stages = Stages {
            on_request: self
                .on_request
                .as_ref()
                .map(|i| i.load(&mut store, load))
                .transpose()?,
            on_upstream_request: self
                .on_upstream_request
                .as_ref()
                .map(|i| i.load(&mut store, load))
                .transpose()?,
            on_response: self
                .on_response
                .as_ref()
                .map(|i| i.load(&mut store, load))
                .transpose()?,
            on_stream: self
                .on_stream
                .as_ref()
                .map(|i| i.load(&mut store, load))
                .transpose()?,
        };
        if let Some(setup) = &self.setup {
            let setup = setup.load(&mut store, load)?;
            if let Err(wrong) = setup.call_configure(&mut store).await? {
                return Ok(Err(wrong));
            }
        }
        Ok(Ok(stages))
    }
}

/// The stages of one instance.
#[derive(Default)]
pub(super) struct Stages {
    pub(super) on_request: Option<exports::on_request::Guest>,
    pub(super) on_upstream_request: Option<exports::on_upstream_request::Guest>,
    pub(super) on_response: Option<exports::on_response::Guest>,
    pub(super) on_stream: Option<exports::on_stream::Guest>,
}

/// A component's instance: its memory, and the way into its stages.
pub(super) struct Instance {
    pub(super) store: Store<State>,
    pub(super) stages: Stages,
    time_ms: u64,
    /// Calls it has served.
    pub(super) calls: u32,
}

impl Instance {
    /// Begin the time of one stage.
    pub(super) fn arm(&mut self) -> u64 {
        self.arm_for(self.time_ms);
        self.time_ms
    }

    fn arm_for(&mut self, time_ms: u64) {
        let state = self.store.data_mut();
        state.deadline = Instant::now() + Duration::from_millis(time_ms);
        state.scope.written_bytes = 0;
        self.store.set_epoch_deadline(1);
    }

    /// Let go of a guest's resource.
    pub(super) async fn drop_resource(&mut self, resource: ResourceAny) -> Result<(), FailureKind> {
        let time_ms = self.arm();
        guard(time_ms, async {
            resource.resource_drop_async(&mut self.store).await.map(Ok)
        })
        .await
    }
}

#[derive(Debug, thiserror::Error)]
#[error("deadline passed")]
struct DeadlinePassed;

/// One call into a guest, within its time. The guest's own deadline comes
/// first; this one also ends calls that wait in the host.
pub(super) async fn guard<R>(
    time_ms: u64,
    call: impl Future<Output = wasmtime::Result<Result<R, String>>>,
) -> Result<R, FailureKind> {
    let most = Duration::from_millis(time_ms + 2 * 10);
    match tokio::time::timeout(most, call).await {
        Err(_) => Err(FailureKind::TimedOut(time_ms)),
        Ok(Ok(Ok(result))) => Ok(result),
        Ok(Ok(Err(reported))) => Err(FailureKind::Reported(cut(reported))),
        Ok(Err(error)) if error.is::<DeadlinePassed>() => Err(FailureKind::TimedOut(time_ms)),
        Ok(Err(error)) => Err(FailureKind::Trapped(cut(root(&error)))),
    }
}

/// The cause alone: what wraps it names functions of the guest.
fn root(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

fn cut(mut text: String) -> String {
    if let Some(end) = (0..=300).rev().find(|at| text.is_char_boundary(*at)) {
        text.truncate(end);
    }
    text
}

/// A hook built for another version of the interface gets a sentence that says
/// so, in place of a missing import's name.
fn other_version(engine: &Engine, component: &Component) -> Result<(), String> {
    let kind = component.component_type();
    let imports = kind
        .imports(&engine.wasm)
        .map(|(name, _)| name.to_owned())
        .collect::<Vec<_>>();
    let exports = kind.exports(&engine.wasm).map(|(name, _)| name.to_owned());
    for name in imports.into_iter().chain(exports) {
        let Some((_, version)) = name
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
    }
    Ok(())
}
