//! A var: a piece of state that tasks read and write.

use crate::engine::Core;
use crate::error::{Error, Failure};
use crate::queue::VarQueue;
use crate::sync::{Arc, Mutex, MutexGuard, lock};
use crate::task::Task;
use crate::waiting::{Probe, VarFuture};
use std::future::IntoFuture;

/// A handle on a piece of state. The engine knows nothing of the state itself; it orders the tasks that name the var.
/// Clones stand for the same var.
#[derive(Clone)]
pub struct Var(pub(crate) Arc<VarState>);

pub(crate) struct VarState {
    /// Its number in the engine: the order in which var locks are taken.
    pub(crate) id: usize,
    pub(crate) core: Arc<Core>,
    pub(crate) inner: Mutex<VarInner>,
}

pub(crate) struct VarInner {
    pub(crate) queue: VarQueue<Arc<Task>>,
    pub(crate) poison: Option<Failure>,
}

impl Var {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let id = core.next_var_id();
        Var(Arc::new(VarState { id, core, inner: Mutex::new(VarInner { queue: VarQueue::new(), poison: None }) }))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, VarInner> {
        lock(&self.0.inner)
    }

    /// The number of the var in its engine.
    pub(crate) fn id(&self) -> usize {
        self.0.id
    }

    /// Whether both stand for the same state.
    #[must_use]
    pub fn same(&self, other: &Var) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Waits until every task pushed so far that writes this var is done.
    ///
    /// # Errors
    /// The root cause, if the state is poisoned; it is told at each wait until a task overwrites the var.
    /// [`Error::WaitCycle`] when called inside a task that the wait depends on.
    pub fn wait(&self) -> Result<(), Error> {
        Probe::push(&self.0.core, self).wait()
    }

    /// The failure that poisons the var now, without waiting.
    #[must_use]
    pub fn poison(&self) -> Option<Failure> {
        self.lock().poison.clone()
    }
}

impl std::fmt::Debug for Var {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "var {}", self.id())
    }
}

impl IntoFuture for &Var {
    type Output = Result<(), Error>;
    type IntoFuture = VarFuture;

    fn into_future(self) -> VarFuture {
        VarFuture::new(Probe::push(&self.0.core, self))
    }
}

impl IntoFuture for Var {
    type Output = Result<(), Error>;
    type IntoFuture = VarFuture;

    fn into_future(self) -> VarFuture {
        (&self).into_future()
    }
}
