//! Memory that executors share: one at a time uses it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use varflow_engine::{Engine, RawTask, Var};
use varflow_ops::Storage;

/// A block of memory, and whose intermediate results lie in it.
#[derive(Clone)]
pub(super) struct Arena {
    pub(super) storage: Arc<Storage>,
    tenant: Arc<Mutex<Tenant>>,
}

/// Who pushed the last tasks that use the memory.
#[derive(Default)]
pub(super) struct Tenant {
    /// The vars of all that lies in it; they are also who the tenant is.
    vars: Arc<[Var]>,
}

impl Arena {
    pub(super) fn new(storage: Storage) -> Arena {
        Arena { storage: Arc::new(storage), tenant: Arc::default() }
    }

    /// Keeps other executors from pushing.
    pub(super) fn lock(&self) -> MutexGuard<'_, Tenant> {
        self.tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenant {
    /// Whether the last tasks were those of the executor with these vars. One that has nothing in the memory is in nobody's way.
    pub(super) fn is(&self, vars: &Arc<[Var]>) -> bool {
        vars.is_empty() || Arc::ptr_eq(&self.vars, vars)
    }

    /// Makes the executor with these vars the tenant. If it is another than before, a task is pushed that names the vars of both:
    /// so the tasks of one come after those of the other.
    pub(super) fn enter(&mut self, engine: &Engine, vars: &Arc<[Var]>) {
        if self.is(vars) {
            return;
        }
        let all = self.vars.iter().chain(vars.iter());
        all.fold(engine.raw("hand over memory"), RawTask::overwrite).run(|_| {});
        self.vars = vars.clone();
    }
}
