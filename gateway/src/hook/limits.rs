//! What an instance may take of the machine, and how much it took.

use wasmtime::{ResourceLimiter, StoreLimits, StoreLimitsBuilder};

use crate::config::HookLimits;

/// Most elements of a table, core instances, tables and memories: what
/// interpreters bring.
const TABLE_ELEMENTS_MAX: usize = 100_000;
const INSTANCES_MAX: usize = 400;
const TABLES_MAX: usize = 64;
const MEMORIES_MAX: usize = 16;

/// The limits of one instance, and the memory that it has come to.
pub(super) struct Limits {
    inner: StoreLimits,
    /// Of its largest memory.
    pub(super) memory_bytes: usize,
}

impl Limits {
    pub(super) fn new(limits: &HookLimits) -> Self {
        Self {
            inner: StoreLimitsBuilder::new()
                .memory_size(limits.memory_bytes_max)
                .table_elements(TABLE_ELEMENTS_MAX)
                .instances(INSTANCES_MAX)
                .tables(TABLES_MAX)
                .memories(MEMORIES_MAX)
                .trap_on_grow_failure(true)
                .build(),
            memory_bytes: 0,
        }
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let may = self.inner.memory_growing(current, desired, maximum)?;
        if may {
            self.memory_bytes = self.memory_bytes.max(desired);
        }
        Ok(may)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.inner.table_growing(current, desired, maximum)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.inner.memory_grow_failed(error)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.inner.table_grow_failed(error)
    }

    fn instances(&self) -> usize {
        self.inner.instances()
    }

    fn tables(&self) -> usize {
        self.inner.tables()
    }

    fn memories(&self) -> usize {
        self.inner.memories()
    }
}
