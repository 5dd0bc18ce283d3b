//! Executors: a network bound to tensors, run by pushing engine tasks.

mod arena;
mod bind;
mod monitor;
mod network;
mod options;
mod report;

pub use monitor::Monitor;
pub use network::passed;
pub use options::{BindOptions, GradReq, GroupLanes, Sharing};
pub use report::PlanReport;

use crate::plan::Plan;
use crate::{Graph, Symbol};
use arena::Arena;
use std::sync::Arc;
use varflow_engine::{Engine, LaneHandle, Var};
use varflow_ops::{BoundOp, Error, Result, Run, Runtime, Shape, Tensor};

/// A tensor and its name.
pub type Named = (String, Tensor);

/// A network bound to tensors: memory planned, kernels made, tasks prepared. A step pushes the tasks and waits for
/// nothing; what is asked of the tensors afterwards waits for them.
///
/// Arguments, auxiliary states, gradients and outputs have memory of their own and may be read or written between steps
/// like any tensor. Everything else shares an arena (see [`Plan`]).
///
/// A failed kernel poisons what depends on it. Once the cause is mended (the data overwritten, say) the next step heals all
/// that it computes anew; what is updated rather than replaced (auxiliary states, gradients of [`GradReq::Add`])
/// stays poisoned until it is overwritten.
pub struct Executor {
    engine: Engine,
    arena: Arena,
    /// The vars of what lies in the arena.
    arena_vars: Arc<[Var]>,
    monitor: Option<Monitor>,
    /// Keeps the monitor's tasks in order.
    monitor_order: Var,
    seed: u64,
    for_training: bool,
    /// Whether the last pass was a forward pass for training, whose results a backward pass reads and destroys.
    can_go_back: bool,
    /// Forward tasks for training; empty if not bound for it.
    train: Vec<Task>,
    /// Forward tasks for inference.
    score: Vec<Task>,
    backward: Vec<Task>,
    args: Vec<Named>,
    auxes: Vec<Named>,
    outputs: Vec<Named>,
    head_grads: Vec<Named>,
    grads: Vec<Named>,
    report: PlanReport,
    plan: Plan,
    /// With gradients, when bound for training.
    graph: Graph,
}

/// A node's task.
struct Task {
    node: usize,
    /// `None`: the default lane.
    lane: Option<LaneHandle>,
    op: BoundOp,
}

impl Executor {
    /// Binds a network. `given` are the shapes of data and labels, by variable name; those of the parameters follow.
    /// Fresh tensors hold zeroes.
    ///
    /// # Errors
    /// What [`Symbol::resolve`] says, and see [`bind_graph`](Self::bind_graph).
    pub fn bind(rt: &Runtime, symbol: &Symbol, given: &[(String, Shape)], options: &BindOptions) -> Result<Executor> {
        Executor::bind_graph(rt, &symbol.resolve(&rt.registry)?, given, options)
    }

    /// Binds a network that is resolved already.
    ///
    /// # Errors
    /// A name in `given` or the options that no variable has; shapes or dtypes that contradict each other or stay open; a
    /// shared tensor of another shape or dtype than the network wants, or of another engine; an operator without gradient or
    /// kernel; no memory.
    pub fn bind_graph(
        rt: &Runtime,
        graph: &Graph,
        given: &[(String, Shape)],
        options: &BindOptions,
    ) -> Result<Executor> {
        bind::bind(rt, graph, given, options)
    }

    /// Pushes a forward pass. `step` numbers the random streams: the same step draws the same numbers. On an executor
    /// bound for training `is_train` says whether operators such as `Dropout` train or score.
    ///
    /// # Errors
    /// [`Error::Contract`] for a training pass of an executor that is not bound for it.
    pub fn forward(&mut self, is_train: bool, step: u64) -> Result<()> {
        if is_train && !self.for_training {
            let text = "forward is to train, but the executor is bound for inference: bind it with for_training";
            return Err(Error::Contract(text.to_string()));
        }
        let mut tenant = self.arena.lock();
        tenant.enter(&self.engine, &self.arena_vars);
        self.push(if is_train { &self.train } else { &self.score }, step);
        drop(tenant);
        self.can_go_back = is_train;
        Ok(())
    }

    /// Pushes the backward pass that belongs to the last forward pass; `step` as there.
    ///
    /// # Errors
    /// [`Error::Contract`] unless the last pass was `forward(true, …)`: a backward pass takes over the memory of the
    /// results that it reads, so each needs a forward pass of its own.
    pub fn backward(&mut self, step: u64) -> Result<()> {
        if !self.can_go_back {
            let text =
                "backward has nothing to go back over: each backward pass needs a forward pass for training before it";
            return Err(Error::Contract(text.to_string()));
        }
        self.can_go_back = false;
        let tenant = self.arena.lock();
        if !tenant.is(&self.arena_vars) {
            let text = "backward comes too late: another executor has run since, in the memory that both share";
            return Err(Error::Contract(text.to_string()));
        }
        self.push(&self.backward, step);
        Ok(())
    }

    /// Pushes a forward pass for training and its backward pass.
    ///
    /// # Errors
    /// [`Error::Contract`] when the executor is not bound for training.
    pub fn forward_backward(&mut self, step: u64) -> Result<()> {
        self.forward(true, step)?;
        self.backward(step)
    }

    fn push(&self, tasks: &[Task], step: u64) {
        let run = Run { seed: self.seed, step, priority: 0 };
        for task in tasks {
            task.op.push(&self.engine, task.lane.as_ref(), run);
            let Some(monitor) = &self.monitor else { continue };
            let names = self.graph.nodes[task.node].output_names();
            for (name, tensor) in names.into_iter().zip(task.op.outputs()) {
                let Some(tensor) = tensor else { continue };
                if monitor.wants(&name) {
                    monitor.push(&name.into(), tensor, &self.monitor_order);
                }
            }
        }
    }

    /// Shows results inside the network to `monitor` from the next pass on, or with `None` no more. The memory plan stays the
    /// same; a pass costs a copy of each result shown, and results that nobody reads (see [`Plan`]) are not shown. Nor are those that
    /// [passes](BindOptions::passes) have made part of another node, or of none: bind with [`Passes::none`](crate::Passes::none)
    /// to see all.
    pub fn set_monitor(&mut self, monitor: Option<Monitor>) {
        self.monitor = monitor;
    }

    /// What another executor is to share with this one, by [`BindOptions::sharing`].
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        Sharing {
            engine: self.engine.clone(),
            tensors: self.args.iter().chain(&self.auxes).cloned().collect(),
            grads: self.grads.iter().cloned().collect(),
            arena: self.arena.clone(),
        }
    }

    /// Data, labels and parameters, in the network's order.
    #[must_use]
    pub fn args(&self) -> &[Named] {
        &self.args
    }

    /// The gradients, by argument, in the order of the arguments; those of [`GradReq::Null`] and, unless asked for, those
    /// that are always zero are left out.
    #[must_use]
    pub fn grads(&self) -> &[Named] {
        &self.grads
    }

    /// The auxiliary states.
    #[must_use]
    pub fn auxes(&self) -> &[Named] {
        &self.auxes
    }

    /// What the network computes, named `<node>_<output>`. An output that is an argument is the argument's own tensor.
    #[must_use]
    pub fn outputs(&self) -> &[Named] {
        &self.outputs
    }

    /// The gradients of outputs that are no losses, from which backward passes start, named `<node>_out_grad`. They hold
    /// ones unless they are set.
    #[must_use]
    pub fn head_grads(&self) -> &[Named] {
        &self.head_grads
    }

    /// What it takes of memory.
    #[must_use]
    pub fn plan(&self) -> &PlanReport {
        &self.report
    }

    /// Where everything lies. Entries are those of the graph with gradients, when bound for training.
    #[must_use]
    pub fn memory_plan(&self) -> &Plan {
        &self.plan
    }
}
