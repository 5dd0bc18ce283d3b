//! How an executor is to be bound.

use super::arena::Arena;
use crate::{Passes, Recompute};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use varflow_engine::{Engine, LaneHandle};
use varflow_ops::{DType, Tensor};

/// What becomes of the gradient of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GradReq {
    /// It is not computed.
    Null,
    /// Each backward pass replaces what the gradient's tensor holds.
    Write,
    /// Each backward pass adds to what the gradient's tensor holds. A failed pass poisons it until it is overwritten.
    Add,
}

/// The lanes of a group of nodes: a device's, or some of the host's.
#[derive(Clone, Debug)]
pub struct GroupLanes {
    /// Where its nodes run.
    pub compute: LaneHandle,
    /// Where copies to it run. It may be the same.
    pub copy: LaneHandle,
}

/// What an executor shares with others: its parameters, auxiliary states and gradients, by name, and the memory of its
/// intermediate results. So networks for inputs of several lengths (buckets) cost the memory of the largest, if that is bound
/// first.
///
/// Data (arguments whose shapes are given when binding) and [labels](crate::Graph::labels) of another shape get the first bytes of
/// the shared ones' memory if they have room there, and memory of their own if not; parameters must have the same shapes. Executors that share memory
/// belong to one engine. They may be used in turn in any order, and from several threads; but a backward pass must follow its own
/// forward pass. Passes are not to be pushed from within tasks (a monitor's, say): pushing may wait for tasks to finish, and keeps
/// the other executors from pushing meanwhile.
#[derive(Clone)]
pub struct Sharing {
    pub(super) engine: Engine,
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) grads: BTreeMap<String, Tensor>,
    pub(super) arena: Arena,
}

impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sharing({} tensors, {} bytes)", self.tensors.len(), self.arena.storage.len_bytes())
    }
}

/// How an executor is to be bound. The default is for inference.
#[derive(Clone, Debug, Default)]
pub struct BindOptions {
    /// Whether there are to be backward passes. If not, `grad_req` has no effect.
    pub for_training: bool,
    /// What becomes of gradients, by argument. Arguments left out: `Null` for those whose shape is given when binding
    /// (data and labels), `Write` for the others (parameters).
    pub grad_req: BTreeMap<String, GradReq>,
    /// Dtypes of variables, by name; float32 where nothing says otherwise.
    pub dtypes: Vec<(String, DType)>,
    /// Arguments and auxiliary states to be used instead of fresh ones, by name: so that a training and a scoring executor
    /// have the same parameters.
    pub shared: BTreeMap<String, Tensor>,
    /// Tensors that gradients go into, by argument; fresh ones for the others.
    pub grads: BTreeMap<String, Tensor>,
    /// An executor whose parameters, gradients and memory are used where they fit: see [`Sharing`].
    pub sharing: Option<Sharing>,
    /// Where the nodes of a group run, by the value of their attribute `__ctx_group__`; the others run on the engine's default
    /// lane. What crosses from group to group is copied on the copy lane of the group that it is for.
    pub groups: BTreeMap<String, GroupLanes>,
    /// What is done to the graph before it is planned. The default is every pass.
    pub passes: Passes,
    /// What is computed a second time in backward passes, to keep less until then.
    pub recompute: Recompute,
    /// How many tensors of its size an optimizer keeps for each argument that has a gradient: 1 for momentum, 2 for Adam. They
    /// count towards the memory budget, whose is the only use of this number.
    pub optimizer_states: usize,
    /// The most bytes that the executor may take: data, parameters, auxiliary states, gradients, the optimizer's states, outputs
    /// and the arena, as [`PlanReport::total_bytes`](super::PlanReport::total_bytes) counts them. Where it would take more, as much is
    /// recomputed as it takes to fit, expensive operators too.
    pub memory_budget: Option<usize>,
    /// The same for the arena alone: intermediate results and workspaces.
    pub arena_budget: Option<usize>,
    /// How much may be made to wait so that memory can be shared: nodes that do not need each other's results are only made to
    /// wait for each other if they are further apart than so many places in the execution order. The default, 0, gives the
    /// smallest plan; `usize::MAX` the most concurrent, where sharing memory keeps no two nodes of a pass from running at the same
    /// time. See [`PlanInput::reuse_distance`](crate::plan::PlanInput::reuse_distance). What is
    /// recomputed has to wait, or nothing would be saved: with [`Recompute::Cheap`], and where a budget is not kept to without
    /// recomputation, it is 0.
    pub reuse_distance: usize,
    /// How many samples an inference pass takes through the network at a time, where its operators work on samples one by one;
    /// the default is as many as keep results in cache. Intermediate results take the memory of so many samples.
    pub samples_at_a_time: Option<usize>,
    /// The seed of random operators.
    pub seed: u64,
}

impl BindOptions {
    pub(super) fn group_names(&self) -> BTreeSet<&str> {
        self.groups.keys().map(String::as_str).collect()
    }
}
