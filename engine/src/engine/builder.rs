//! Describing an engine before it starts.

use super::{Engine, OnDrop};
use crate::bounds::Bounds;
use crate::error::Error;
use crate::lane::Lane;
use crate::lanes::{Pool, Serial};
use crate::sync::Arc;

/// Describes an engine. Lanes are kept in the order in which they are named; the first is the default one.
pub struct EngineBuilder {
    lanes: Vec<LaneSpec>,
    on_drop: OnDrop,
    max_tasks: Option<usize>,
    max_bytes: Option<usize>,
}

enum LaneSpec {
    Pool(usize),
    Given(Arc<dyn Lane>),
}

impl EngineBuilder {
    pub(super) fn new() -> Self {
        EngineBuilder { lanes: Vec::new(), on_drop: OnDrop::Drain, max_tasks: None, max_bytes: None }
    }

    /// Adds a [`Pool`] of `n` worker threads (at least one), named `cpu`.
    #[must_use]
    pub fn cpu_workers(mut self, n: usize) -> Self {
        self.lanes.push(LaneSpec::Pool(n));
        self
    }

    /// Adds a lane.
    #[must_use]
    pub fn lane(mut self, lane: impl Lane) -> Self {
        self.lanes.push(LaneSpec::Given(Arc::new(lane)));
        self
    }

    /// What happens to pending tasks when the engine is dropped; [`OnDrop::Drain`] unless set.
    #[must_use]
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.on_drop = on_drop;
        self
    }

    /// Bounds the tasks that are pending: a push waits while there are `n` (at least one). Unbounded unless set.
    ///
    /// A push inside a task, of whichever engine, never waits, since what it would wait for may wait for that task: such
    /// pushes are counted, and may exceed the bound. A wait is neither counted nor held up. A push waits without end if
    /// nothing pending can finish before the pushing thread does something else, such as using a completion token: as
    /// with any bounded channel. [`Engine::room`] waits without blocking a thread.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicIsize, Ordering};
    /// use varflow_engine::Engine;
    /// # fn main() -> Result<(), varflow_engine::Error> {
    /// static PENDING: AtomicIsize = AtomicIsize::new(0);
    /// let engine = Engine::builder().cpu_workers(2).max_pending_tasks(4).build()?;
    /// for _ in 0..100 {
    ///     let var = engine.var();
    ///     engine.raw("load").write(&var).run(|_| {
    ///         PENDING.fetch_sub(1, Ordering::SeqCst);
    ///     });
    ///     assert!(PENDING.fetch_add(1, Ordering::SeqCst) < 4);
    /// }
    /// engine.wait_all()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn max_pending_tasks(mut self, n: usize) -> Self {
        self.max_tasks = Some(n);
        self
    }

    /// Bounds the bytes of the [sized vars](Engine::sized_var) that pending tasks write: a push waits as long as it would
    /// exceed them. A task that writes more than the whole bound waits until no other sized task is pending, and goes
    /// alone. Otherwise as [`max_pending_tasks`](Self::max_pending_tasks); both can be set. Unbounded unless set.
    #[must_use]
    pub fn max_pending_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Starts the engine; without any lane, with one worker for each core.
    ///
    /// # Errors
    /// [`Error::Lane`] when threads cannot be started.
    pub fn build(mut self) -> Result<Engine, Error> {
        if self.lanes.is_empty() {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            self = self.cpu_workers(cores);
        }
        let start = |spec| -> Result<Arc<dyn Lane>, Error> {
            Ok(match spec {
                LaneSpec::Pool(n) => Arc::new(Pool::start("cpu", n)?),
                LaneSpec::Given(lane) => lane,
            })
        };
        let mut lanes = self.lanes.into_iter();
        let first = lanes.next().map_or_else(|| Ok(Arc::new(Serial::new("serial")) as Arc<dyn Lane>), start)?;
        let engine = Engine::with_lane(first, self.on_drop, Bounds::new(self.max_tasks, self.max_bytes));
        for spec in lanes {
            engine.core.add_lane(start(spec)?)?;
        }
        Ok(engine)
    }
}
