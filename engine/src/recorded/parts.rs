//! What a plan is made of, as the recorder hands it over.

use crate::access::Mode;
use crate::cancel::{CancelToken, Cancelled};
use crate::error::BoxError;
use crate::gate::Gate;
use crate::name::Name;
use crate::node::Header;
use crate::sync::Arc;
use crate::task::{Completion, TaskCtx};
use crate::var::{VarPin, VarState};
use std::ops::Range;
use std::ptr::NonNull;

type SyncFn = Box<dyn Fn(&TaskCtx<'_>) -> Result<(), BoxError> + Send + Sync>;
type AsyncFn = Box<dyn Fn(&TaskCtx<'_>, Completion) + Send + Sync>;

/// What a recorded task does each time.
pub(crate) enum RecordedBody {
    /// Done when it returns.
    Sync(SyncFn),
    /// Done when its token is used.
    Async(AsyncFn),
}

impl RecordedBody {
    /// The same, unless the token is cancelled.
    pub(crate) fn unless_cancelled(self, token: CancelToken) -> Self {
        match self {
            RecordedBody::Sync(f) => RecordedBody::Sync(Box::new(move |ctx| {
                token.check()?;
                f(ctx)
            })),
            RecordedBody::Async(f) => RecordedBody::Async(Box::new(move |ctx, done| match token.check() {
                Ok(()) => f(ctx, done),
                Err(Cancelled) => done.complete(Err(Cancelled.into())),
            })),
        }
    }
}

/// An edge to a task: its index, and whether it has no other predecessor, so that nothing need be counted.
#[derive(Clone, Copy)]
pub(crate) struct Edge(u32);

impl Edge {
    const SOLE: u32 = 1 << 31;

    pub(crate) fn new(to: u32, is_sole: bool) -> Edge {
        Edge(to | if is_sole { Edge::SOLE } else { 0 })
    }

    #[inline]
    pub(super) fn to(self) -> usize {
        (self.0 & !Edge::SOLE) as usize
    }

    #[inline]
    pub(super) fn is_sole(self) -> bool {
        self.0 & Edge::SOLE != 0
    }
}

/// The most tasks of a plan.
pub(crate) const MAX_TASKS: usize = Edge::SOLE as usize - 1;

/// A var that others may touch too.
pub(crate) struct PortSpec {
    pub(crate) var: NonNull<VarState>,
    pub(crate) exclusive: bool,
    /// Its part of [`Plan::edges`]: the tasks that wait for it.
    pub(crate) firsts: Range<u32>,
    /// How many tasks must end before it does.
    pub(crate) lasts: u32,
}

/// A task as recorded.
pub(crate) struct TaskSpec {
    pub(crate) header: Header,
    pub(crate) body: RecordedBody,
    pub(crate) waits: u32,
    pub(crate) successors: Range<u32>,
    pub(crate) releases: Range<u32>,
    /// Its part of [`Plan::accesses`].
    pub(crate) accesses: Range<u32>,
}

/// A var that only the plans behind one gate may touch, for as long as this lives.
pub(crate) struct InsideVar(pub(crate) VarPin);

impl Drop for InsideVar {
    fn drop(&mut self) {
        self.0.state().let_outside();
    }
}

/// What is known of a plan when it is made.
pub(crate) struct PlanParts {
    pub(crate) name: Name,
    pub(crate) tasks: Vec<TaskSpec>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) releases: Vec<u32>,
    /// By number of their vars.
    pub(crate) ports: Vec<PortSpec>,
    pub(crate) gate_firsts: Range<u32>,
    pub(crate) accesses: Vec<(NonNull<VarState>, Mode)>,
    pub(crate) outside: Box<[VarPin]>,
    pub(crate) inside: Vec<Arc<InsideVar>>,
    pub(crate) gate: Gate,
}
