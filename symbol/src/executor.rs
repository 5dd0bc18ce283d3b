//! Executors: a network bound to tensors, run by submitting schedules that are recorded when it is bound.

mod arena;
mod bind;
mod fit;
mod monitor;
mod network;
mod options;
mod passes;
mod planned;
mod planned_network;
mod report;

pub use monitor::Monitor;
pub use network::passed;
pub use options::{BindOptions, GradReq, GroupLanes, Sharing};
pub use planned_network::{PlannedNetwork, planned};
pub use report::PlanReport;

use crate::{Graph, Symbol};
use arena::{Arena, TenantId};
use passes::{Passes, Tasks};
use varflow_engine::{Engine, Schedule};
use varflow_ops::{Error, Result, Runtime, Shape, Tensor};

/// A tensor and its name.
pub type Named = (String, Tensor);

/// A network bound to tensors: memory planned, kernels made, and each kind of pass a recorded
/// [schedule](varflow_engine::Schedule). A pass submits its schedule and waits for nothing; what is asked of the tensors
/// afterwards waits for them.
///
/// Arguments, auxiliary states, gradients and outputs have memory of their own and may be read or written between steps
/// like any tensor: each is free as soon as the pass itself has used it for the last time, so that a gradient can be taken while
/// the backward pass runs on. Everything else shares an arena (see [`Plan`](crate::Plan)), and in that one pass follows the other.
///
/// A failed kernel poisons what depends on it. Once the cause is mended (the data overwritten, say) the next step heals all
/// that it computes anew; what is updated rather than replaced (auxiliary states, gradients of [`GradReq::Add`])
/// stays poisoned until it is overwritten.
pub struct Executor {
    engine: Engine,
    arena: Arena,
    /// Who it is among those that use the arena.
    tenant: TenantId,
    for_training: bool,
    /// Whether the last pass was a forward pass for training, whose results a backward pass reads and destroys.
    can_go_back: bool,
    tasks: Tasks,
    passes: Passes,
    args: Box<[Named]>,
    auxes: Box<[Named]>,
    outputs: Box<[Named]>,
    head_grads: Box<[Named]>,
    grads: Box<[Named]>,
    report: PlanReport,
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
        tenant.enter(&self.tenant);
        let pass: &Schedule = if is_train { &self.passes.train } else { &self.passes.score };
        pass.submit_with(step);
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
        if !tenant.is(&self.tenant) {
            let text = "backward comes too late: another executor has run since, in the memory that both share";
            return Err(Error::Contract(text.to_string()));
        }
        self.passes.backward.submit_with(step);
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

    /// Shows results inside the network to `monitor` from the next pass on, or with `None` no more. The passes are recorded
    /// anew, so the monitor is asked here what it wants to see. The memory plan stays the same; a pass costs a copy of each
    /// result shown, and results that nobody reads (see [`Plan`](crate::Plan)) are not shown. Nor are those that [passes](BindOptions::passes)
    /// have made part of another node, or of none: bind with [`Passes::none`](crate::Passes::none) to see all.
    ///
    /// # Errors
    /// When the passes become too large to be recorded: the monitor stays what it was.
    pub fn set_monitor(&mut self, monitor: Option<&Monitor>) -> Result<()> {
        self.passes = self.tasks.record(&self.engine, monitor)?;
        Ok(())
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

    /// What it takes of memory. Where everything lies [`planned`] tells.
    #[must_use]
    pub fn plan(&self) -> &PlanReport {
        &self.report
    }
}
