//! A component looked through by itself, outside any chain: for its author.

use std::sync::Arc;

use super::about::About;
use super::chain::{Chain, digest};
use super::engine::Engine;
use super::error::FailureKind;
use super::module::{Module, VERSION, names};
use super::terms::Terms;
use crate::config::{HookEntry, KV_MEMORY_BYTES_MAX};
use crate::kv::Memory;

/// What a component is, and whether this gateway would load it.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Its size.
    pub bytes: usize,
    /// SHA-256 of its bytes, in hex.
    pub digest: String,
    /// Names of what it imports; none if it is no component.
    pub imports: Vec<String>,
    /// Names of what it exports.
    pub exports: Vec<String>,
    /// What it says of itself, if it can be asked.
    pub about: Option<About>,
    /// Every reason why the gateway would not load it under the entry.
    pub complaints: Vec<String>,
}

impl Inspection {
    /// The interface version that this gateway speaks.
    pub const GATEWAY_VERSION: &'static str = VERSION;

    /// Look `wasm` through, and try to load it under `entry`. Compiles: not for a
    /// thread of the runtime.
    pub fn of(engine: &Arc<Engine>, entry: HookEntry, wasm: Vec<u8>) -> Self {
        let mut inspection = Self {
            bytes: wasm.len(),
            digest: digest(&wasm),
            imports: Vec::new(),
            exports: Vec::new(),
            about: None,
            complaints: Vec::new(),
        };
        let component = match Module::component(engine, &wasm) {
            Ok(component) => component,
            Err(why) => {
                inspection.complaints.push(why);
                return inspection;
            }
        };
        (inspection.imports, inspection.exports) = names(engine, &component);
        let module = Module::link(engine, &component).map(Arc::new);
        if let Ok(module) = &module {
            let kv = Arc::new(Memory::new(KV_MEMORY_BYTES_MAX as usize));
            let terms = Arc::new(Terms::new(entry.clone(), engine.services.clone(), kv));
            inspection.about = about(module, &terms);
        }
        if let Err(found) = Chain::of_module(engine, entry, wasm, module) {
            let complaints = found.into_iter().map(|finding| finding.message);
            inspection.complaints.extend(complaints);
        }
        inspection
    }
}

/// What the hook says of itself. What goes wrong is among the complaints anyhow.
fn about(module: &Module, terms: &Arc<Terms>) -> Option<About> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .ok()?;
    let described: Result<_, FailureKind> = runtime.block_on(module.describe(terms));
    About::parse(&described.ok()??).ok()
}
