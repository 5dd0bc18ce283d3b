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
pub(super) struct Tenant(Option<TenantId>);

/// Stands for an executor.
#[derive(Clone, Default)]
pub(super) struct TenantId(Arc<()>);

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
    /// Whether the last pass was this executor's.
    pub(super) fn is(&self, id: &TenantId) -> bool {
        self.0.as_ref().is_some_and(|tenant| Arc::ptr_eq(&tenant.0, &id.0))
    }

    /// A pass of this executor follows.
    pub(super) fn enter(&mut self, id: &TenantId) {
        if !self.is(id) {
            self.0 = Some(id.clone());
        }
    }
}
