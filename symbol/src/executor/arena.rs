//! Memory that executors share: one at a time uses it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use varflow_engine::{Engine, Gate};
use varflow_ops::Storage;

/// A block of memory, and whose intermediate results lie in it.
#[derive(Clone)]
pub(super) struct Arena {
    pub(super) storage: Arc<Storage>,
    /// All schedules that use the memory are behind it, whosoever they are: each finds there what the one before left.
    pub(super) gate: Gate,
    tenant: Arc<Mutex<Tenant>>,
}

/// Who pushed the last pass that uses the memory.
#[derive(Default)]
pub(super) struct Tenant(Option<Arc<()>>);

/// Stands for an executor, if it has anything in the memory.
pub(super) struct TenantId(Option<Arc<()>>);

impl TenantId {
    pub(super) fn new(uses_arena: bool) -> TenantId {
        TenantId(uses_arena.then(Arc::default))
    }
}

impl Arena {
    pub(super) fn new(engine: &Engine, storage: Storage) -> Arena {
        Arena { storage: Arc::new(storage), gate: engine.gate(), tenant: Arc::default() }
    }

    /// Keeps other executors from pushing.
    pub(super) fn lock(&self) -> MutexGuard<'_, Tenant> {
        self.tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenant {
    /// Whether the last pass was this executor's. One that has nothing in the memory is in nobody's way.
    pub(super) fn is(&self, id: &TenantId) -> bool {
        let Some(id) = &id.0 else { return true };
        self.0.as_ref().is_some_and(|tenant| Arc::ptr_eq(tenant, id))
    }

    /// A pass of this executor follows.
    pub(super) fn enter(&mut self, id: &TenantId) {
        if !self.is(id) {
            self.0.clone_from(&id.0);
        }
    }
}
