//! From operators and tensors to engine tasks.
#![expect(unsafe_code, reason = "names the accesses of a task and hands their views to its kernel")]

use crate::async_run::AsyncRun;
use crate::device::DeviceKind;
use crate::infer::{DTypes, Shapes};
use crate::kernel::{Kernel, KernelCall, KernelCtx};
use crate::operator::Operator;
use crate::registry::Registry;
use crate::rng::name_hash;
use crate::schema::{Attrs, Params};
use crate::{Error, PartialShape, Philox, Result, Tensor, TensorDesc};
use std::sync::Arc;
use varflow_engine::{Completion, Engine, LaneHandle, Mode, RawTask, Recorder, TaskCtx, Var};

/// One use of an operator, bound to tensors: pushed as an engine task as often as wanted.
#[derive(Clone)]
pub struct BoundOp(Arc<Bound>);

struct Bound {
    name: Arc<str>,
    node: u64,
    kernel: Box<dyn Kernel>,
    mutated: Box<[usize]>,
    inputs: Box<[Tensor]>,
    outputs: Box<[Option<Tensor>]>,
    workspace: Option<Tensor>,
    clobbers: Box<[Var]>,
}

/// What changes from run to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// The seed of the program's random numbers.
    pub seed: u64,
    /// Which run this is: part of the name of the random stream.
    pub step: u64,
    /// The task's priority.
    pub priority: i32,
}

impl BoundOp {
    /// Binds a kernel to tensors. `clobbers` are vars of other tensors that share memory with the outputs or the workspace: the
    /// task destroys what they hold, and so is ordered against their tasks.
    ///
    /// # Errors
    /// [`Error::Contract`] when tensors overlap whose sharing the operator does not declare.
    pub fn new(
        op: &dyn Operator,
        params: &Params,
        name: &str,
        kernel: Box<dyn Kernel>,
        tensors: BoundTensors,
        clobbers: &[Var],
    ) -> Result<BoundOp> {
        let BoundTensors { inputs, outputs, workspace } = &tensors;
        let mutated = op.mutates(params);
        check_overlaps(op, params, inputs, &mutated, outputs, workspace.as_ref())
            .map_err(|e| e.at(format!("{} \"{name}\"", op.name())))?;
        let bound = Bound {
            name: name.into(),
            node: name_hash(name),
            kernel,
            mutated: mutated.into(),
            inputs: tensors.inputs.into(),
            outputs: tensors.outputs.into(),
            workspace: tensors.workspace,
            clobbers: clobbers.into(),
        };
        Ok(BoundOp(Arc::new(bound)))
    }

    /// Pushes the task.
    pub fn push(&self, engine: &Engine, lane: Option<&LaneHandle>, run: Run) {
        let (task, bound) = (self.task(engine, lane).priority(run.priority), self.0.clone());
        let Run { seed, step, .. } = run;
        if bound.kernel.is_async() {
            task.run_async(move |_, done| {
                // SAFETY: the task names the accesses.
                unsafe { bound.start(done, seed, step) }
            });
        } else {
            task.run(move |task| {
                // SAFETY: the task names the accesses.
                unsafe { bound.run(task, seed, step) }
            });
        }
    }

    /// Records the task. The step of each run is what the schedule is [submitted with](varflow_engine::Schedule::submit_with).
    pub fn record(&self, engine: &Engine, recorder: &mut Recorder, lane: Option<&LaneHandle>, seed: u64) {
        let (task, bound) = (self.task(engine, lane), self.0.clone());
        if bound.kernel.is_async() {
            task.record_async(recorder, move |task, done| {
                // SAFETY: the task names the accesses.
                unsafe { bound.start(done, seed, task.argument()) }
            });
        } else {
            task.record(recorder, move |task| {
                // SAFETY: the task names the accesses.
                unsafe { bound.run(task, seed, task.argument()) }
            });
        }
    }

    /// The task, with all its accesses named.
    fn task<'a>(&'a self, engine: &'a Engine, lane: Option<&LaneHandle>) -> RawTask<'a> {
        let task = engine.raw(self.0.name.clone());
        let task = lane.into_iter().fold(task, RawTask::lane);
        self.0.accesses().fold(task, |task, (var, mode)| task.access(var, mode))
    }

    /// The tensors of its outputs; `None` for those that nobody wants.
    #[must_use]
    pub fn outputs(&self) -> &[Option<Tensor>] {
        &self.0.outputs
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

impl Bound {
    /// What its task names.
    fn accesses(&self) -> impl Iterator<Item = (&Var, Mode)> {
        let mode = |i| if self.mutated.contains(&i) { Mode::Write } else { Mode::Read };
        let inputs = self.inputs.iter().enumerate().map(move |(i, t)| (t.var(), mode(i)));
        let others = self.outputs.iter().flatten().chain(&self.workspace).map(Tensor::var).chain(&self.clobbers);
        inputs.chain(others.map(|var| (var, Mode::Overwrite)))
    }

    /// Runs the kernel.
    ///
    /// # Safety
    /// The task names its accesses.
    unsafe fn run(&self, task: &TaskCtx<'_>, seed: u64, step: u64) -> Result<()> {
        // SAFETY: the task names the vars of all tensors, inputs as read or, if mutated, written, the rest as overwritten.
        let mut ctx = unsafe { self.ctx(Some(task), Philox::new(seed, self.node, step)) };
        self.kernel.run(&mut ctx)
    }

    /// Starts an asynchronous kernel.
    ///
    /// # Safety
    /// `done` is the token of a task that names its accesses.
    unsafe fn start(self: &Arc<Self>, done: Completion, seed: u64, step: u64) {
        // SAFETY: an `Arc` that the run below keeps.
        let this: &'static Bound = unsafe { &*Arc::as_ptr(self) };
        // SAFETY: as in `run`, until `done` is used.
        let ctx = unsafe { this.ctx(None, Philox::new(seed, self.node, step)) };
        self.kernel.start(AsyncRun::new(ctx, self.clone(), done));
    }

    /// What the kernel is handed.
    ///
    /// # Safety
    /// For `'a` a task is running, or is not completed, that names the accesses.
    unsafe fn ctx<'a>(&'a self, task: Option<&'a TaskCtx<'a>>, rng: Philox) -> KernelCtx<'a> {
        let Bound { inputs, outputs, mutated, workspace, .. } = self;
        // SAFETY: the task holds all tensors by the contract, and `check_overlaps` has excluded all sharing but declared in-place
        // pairs; the tensors live as long as `self`.
        unsafe { KernelCtx::new(task, inputs, mutated, outputs, workspace.as_ref(), rng) }
    }
}

/// The tensors of a [`BoundOp`].
pub struct BoundTensors {
    /// Inputs, auxiliary states last.
    pub inputs: Vec<Tensor>,
    /// Outputs; `None` for those that nobody wants.
    pub outputs: Vec<Option<Tensor>>,
    /// Scratch memory, if the kernel asks for any.
    pub workspace: Option<Tensor>,
}

fn check_overlaps(
    op: &dyn Operator,
    params: &Params,
    inputs: &[Tensor],
    mutated: &[usize],
    outputs: &[Option<Tensor>],
    workspace: Option<&Tensor>,
) -> Result<()> {
    let inplace = op.inplace(params);
    let clash =
        |a: String, b: String| Err(Error::Contract(format!("{a} and {b} share memory, which it does not declare")));
    for (o, out) in outputs.iter().enumerate() {
        let Some(out) = out else { continue };
        for (i, input) in inputs.iter().enumerate() {
            let same = out.byte_range() == input.byte_range() && inplace.contains(&(i, o));
            if out.overlaps(input) && !same {
                return clash(format!("input {i}"), format!("output {o}"));
            }
        }
        if let Some(p) = outputs[..o].iter().position(|p| p.as_ref().is_some_and(|p| p.overlaps(out))) {
            return clash(format!("output {p}"), format!("output {o}"));
        }
        if workspace.is_some_and(|w| w.overlaps(out)) {
            return clash("the workspace".to_string(), format!("output {o}"));
        }
    }
    for (i, input) in inputs.iter().enumerate() {
        if workspace.is_some_and(|w| w.overlaps(input)) {
            return clash("the workspace".to_string(), format!("input {i}"));
        }
        let other = inputs.iter().enumerate().position(|(j, t)| j != i && t.overlaps(input));
        if let Some(j) = other.filter(|_| mutated.contains(&i)) {
            return clash(format!("mutated input {i}"), format!("input {j}"));
        }
    }
    Ok(())
}

/// Infers the outputs of one use of an operator from its inputs.
///
/// # Errors
/// What the operator's rules say, or that the inputs do not determine the outputs.
pub fn infer_outputs(op: &dyn Operator, params: &Params, node: &str, inputs: &[TensorDesc]) -> Result<Vec<TensorDesc>> {
    let place = || format!("{} \"{node}\"", op.name());
    let mut names = op.inputs(params);
    names.extend(op.auxiliaries(params));
    if names.len() != inputs.len() {
        let (n, wanted) = (inputs.len(), names.join(", "));
        return Err(Error::Shape(format!("has {n} inputs, wanted {}: {wanted}", names.len())).at(place()));
    }
    let outputs = op.outputs(params);
    let shapes = names.iter().cloned().zip(inputs.iter().map(|d| PartialShape::from(&d.shape))).collect();
    let mut shapes = Shapes::new(shapes, outputs.iter().map(|n| (n.clone(), PartialShape::unknown())).collect());
    op.infer_shape(params, &mut shapes).map_err(|e| e.at(place()))?;
    let dtypes = names.iter().cloned().zip(inputs.iter().map(|d| Some(d.dtype))).collect();
    let mut dtypes = DTypes::new(dtypes, outputs.iter().map(|n| (n.clone(), None)).collect());
    op.infer_dtype(params, &mut dtypes).map_err(|e| e.at(place()))?;
    let ((_, shapes), (_, dtypes)) = (shapes.into_parts(), dtypes.into_parts());
    let mut out = Vec::new();
    for ((name, shape), dtype) in outputs.iter().zip(shapes).zip(dtypes) {
        match (shape.known(), dtype) {
            (Some(shape), _) if shape.checked_len().is_none() => {
                return Err(Error::Shape(format!("{name} has shape {shape}, which no memory could hold")).at(place()));
            }
            (Some(shape), Some(dtype)) => out.push(TensorDesc { shape, dtype }),
            _ => {
                let text = format!("{name} has shape {shape}, which its inputs do not determine");
                return Err(Error::Shape(text).at(place()));
            }
        }
    }
    Ok(out)
}

/// Runs an operator on tensors: allocates its outputs, pushes one task and returns the outputs at once. In-place pairs
/// are not used; a mutated input is updated where it is.
///
/// # Errors
/// Unknown operator or parameter, shapes that do not fit, no kernel, no memory.
pub fn invoke(
    registry: &Registry,
    engine: &Engine,
    op: &str,
    attrs: &Attrs,
    inputs: &[Tensor],
    run: Run,
) -> Result<Vec<Tensor>> {
    let operator = registry.operator(op)?.clone();
    let params = operator.schema().parse(attrs).and_then(|p| operator.check(&p).map(|()| p)).map_err(|e| e.at(op))?;
    let descs: Vec<TensorDesc> = inputs.iter().map(|t| t.desc().clone()).collect();
    let outputs = infer_outputs(&*operator, &params, op, &descs)?;
    let outs = outputs.iter().map(|d| Tensor::zeros(engine, d.shape.clone(), d.dtype)).collect::<Result<Vec<_>>>()?;
    let bound = bind(registry, &*operator, &params, op, inputs, outs.clone(), true)?;
    bound.push(engine, None, run);
    Ok(outs)
}

/// Binds a use of an operator to tensors of its own, with a workspace of its own.
///
/// # Errors
/// As [`invoke`].
pub fn bind(
    registry: &Registry,
    op: &dyn Operator,
    params: &Params,
    node: &str,
    inputs: &[Tensor],
    outputs: Vec<Tensor>,
    is_train: bool,
) -> Result<BoundOp> {
    let ins: Vec<TensorDesc> = inputs.iter().map(|t| t.desc().clone()).collect();
    let outs: Vec<TensorDesc> = outputs.iter().map(|t| t.desc().clone()).collect();
    let wanted = vec![true; outs.len()];
    let call = KernelCall { op, node, params, inputs: &ins, outputs: &outs, wanted: &wanted, is_train };
    let kernel = registry.kernel(DeviceKind::Cpu, &call)?;
    let workspace = match (kernel.workspace_bytes(), inputs.first().or(outputs.first())) {
        (0, _) | (_, None) => None,
        (n, Some(t)) => Some(Tensor::zeros(t.engine(), [n], crate::DType::U8)?),
    };
    let tensors = BoundTensors { inputs: inputs.to_vec(), outputs: outputs.into_iter().map(Some).collect(), workspace };
    BoundOp::new(op, params, node, kernel, tensors, &[])
}
