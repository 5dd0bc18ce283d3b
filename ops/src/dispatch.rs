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
use varflow_engine::{Engine, LaneHandle, Mode, TaskCtx, Var};

/// One use of an operator, bound to tensors: pushed as an engine task as often as wanted.
#[derive(Clone)]
pub struct BoundOp(Arc<Bound>);

struct Bound {
    name: Arc<str>,
    node: u64,
    kernel: Box<dyn Kernel>,
    inputs: Vec<Tensor>,
    mutated: Vec<usize>,
    outputs: Vec<Option<Tensor>>,
    workspace: Option<Tensor>,
    accesses: Vec<(Var, Mode)>,
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
        let BoundTensors { inputs, outputs, workspace } = tensors;
        let mutated = op.mutates(params);
        check_overlaps(op, params, &inputs, &mutated, &outputs, workspace.as_ref())
            .map_err(|e| e.at(format!("{} \"{name}\"", op.name())))?;
        let mut accesses = Vec::new();
        for (i, t) in inputs.iter().enumerate() {
            accesses.push((t.var().clone(), if mutated.contains(&i) { Mode::Write } else { Mode::Read }));
        }
        let outs = outputs.iter().flatten().chain(&workspace).map(Tensor::var);
        accesses.extend(outs.chain(clobbers).map(|v| (v.clone(), Mode::Overwrite)));
        let bound =
            Bound { node: name_hash(name), name: name.into(), kernel, inputs, mutated, outputs, workspace, accesses };
        Ok(BoundOp(Arc::new(bound)))
    }

    /// Pushes the task.
    pub fn push(&self, engine: &Engine, lane: Option<&LaneHandle>, run: Run) {
        let bound = self.0.clone();
        let mut task = engine.raw(bound.name.clone()).priority(run.priority);
        if let Some(lane) = lane {
            task = task.lane(lane);
        }
        for (var, mode) in &self.0.accesses {
            task = task.access(var, *mode);
        }
        if self.0.kernel.is_async() {
            task.run_async(move |_, done| {
                // SAFETY: as below, until `done` is used; the run keeps `bound`.
                let ctx = unsafe { bound.ctx(None, run) };
                bound.kernel.start(AsyncRun::new(ctx, bound.clone(), done));
            });
        } else {
            task.run(move |task| {
                // SAFETY: the task names the vars of all tensors, inputs as read or, if mutated, written, the rest as
                // overwritten; `bound` lives until it returns.
                let mut ctx = unsafe { bound.ctx(Some(task), run) };
                bound.kernel.run(&mut ctx)
            });
        }
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
    /// What the kernel is handed.
    ///
    /// # Safety
    /// For `'a` the bound operator lives, and a task is running, or is not completed, that names its accesses.
    unsafe fn ctx<'a>(&self, task: Option<&'a TaskCtx<'a>>, run: Run) -> KernelCtx<'a> {
        let inputs = self.inputs.iter().map(Tensor::view).collect();
        let outputs = self.outputs.iter().map(|t| t.as_ref().map(Tensor::view)).collect();
        let workspace = self.workspace.as_ref().map(Tensor::view);
        let rng = Philox::new(run.seed, self.node, run.step);
        // SAFETY: the task holds all tensors by the contract, and `check_overlaps` has excluded all sharing but declared in-place
        // pairs; the tensors live as long as `self`.
        unsafe { KernelCtx::new(task, inputs, &self.mutated, outputs, workspace, rng) }
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
