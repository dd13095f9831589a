//! The one WebAssembly engine of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Cache, Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::bindings::EveryStage;
use super::cache;
use super::state::State;
use super::terms::Services;
use crate::config::HOOK_MEMORY_BYTES_CEILING;
use crate::kv::Stores;

/// How often running hooks yield and look at their deadline. Shorter costs
/// every guest loop, longer lets an endless one overstay.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Instances alive at once, of all hooks: a watched stream holds one each.
const INSTANCES_MAX: u32 = 2_048;

/// Memory of an instance that stays mapped between calls: about what a Rust
/// hook touches, so that reuse costs no page faults.
const RESIDENT_BYTES: usize = 2 << 20;

/// Places in the pool that stay mapped while nobody is in them. A new version of a
/// hook takes new places as long as there are fewer, and each keeps what the version
/// before touched; more would only be of use to many hooks with `isolation: call`.
pub(super) const EMPTY_PLACES_MAX: u32 = 16;

/// Engine and linker, and the thread that drives deadlines.
pub struct Engine {
    pub(super) wasm: wasmtime::Engine,
    pub(super) linker: Linker<State>,
    /// What hooks are lent.
    pub services: Services,
    /// Where hooks can keep what outlives a call.
    pub(super) stores: Stores,
    pub(super) meter: Meter,
    ticker: Option<JoinHandle<()>>,
    stopped: Arc<AtomicBool>,
}

/// Whether what hooks execute is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meter {
    On,
    Off,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// Start the engine, for hooks that use `stores`.
    pub fn new(stores: Stores) -> wasmtime::Result<Arc<Self>> {
        Self::start(stores, Meter::Off)
    }

    /// The same, with what hooks execute being counted.
    pub fn metered(stores: Stores) -> wasmtime::Result<Arc<Self>> {
        Self::start(stores, Meter::On)
    }

    fn start(stores: Stores, meter: Meter) -> wasmtime::Result<Arc<Self>> {
        let start = |strategy| {
            let mut config = config(strategy, cache::open());
            config.consume_fuel(meter == Meter::On);
            wasmtime::Engine::new(&config)
        };
        let wasm = start(pooling()).or_else(|error| {
            tracing::warn!(%error, "No address space for the instance pool; hooks will start more slowly.");
            start(InstanceAllocationStrategy::OnDemand)
        })?;
        let mut linker = Linker::new(&wasm);
        // Every language's runtime imports some of WASI; all of it is there, and
        // leads nowhere: no files, no sockets, no variables.
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        // Its requests are looked at one by one.
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        EveryStage::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let ticker = std::thread::Builder::new()
            .name("hook-ticks".into())
            .spawn({
                let (engine, stopped) = (wasm.clone(), stopped.clone());
                move || {
                    while !stopped.load(Ordering::Relaxed) {
                        std::thread::sleep(TICK);
                        engine.increment_epoch();
                    }
                }
            })?;
        Ok(Arc::new(Self {
            wasm,
            linker,
            services: Services::default(),
            stores,
            meter,
            ticker: Some(ticker),
            stopped,
        }))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            // It panics nowhere; a failure to join changes nothing.
            let _ = ticker.join();
        }
    }
}

fn config(strategy: InstanceAllocationStrategy, cache: Option<Cache>) -> Config {
    let mut config = Config::new();
    config
        .cache(cache)
        .wasm_component_model(true)
        // Deadlines by epoch: a tenth of what fuel costs.
        .epoch_interruption(true)
        // Async-lifted exports are not part of the interface; without them a
        // warm call costs 0.4 us instead of 2.7 us.
        .concurrency_support(false)
        .allocation_strategy(strategy);
    config
}

fn pooling() -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES_MAX)
        .total_core_instances(INSTANCES_MAX * 4)
        .total_memories(INSTANCES_MAX)
        .total_tables(INSTANCES_MAX * 4)
        .total_stacks(INSTANCES_MAX)
        // Interpreters bring many core modules, and large tables.
        .max_core_instances_per_component(400)
        .max_tables_per_component(64)
        .max_component_instance_size(16 << 20)
        .max_core_instance_size(16 << 20)
        .table_elements(100_000)
        .max_memory_size(HOOK_MEMORY_BYTES_CEILING)
        .max_unused_warm_slots(EMPTY_PLACES_MAX)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        .table_keep_resident(64 << 10);
    InstanceAllocationStrategy::Pooling(pool)
}
