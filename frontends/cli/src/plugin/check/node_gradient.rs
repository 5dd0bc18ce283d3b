//! Checks a gradient that is made of graph nodes: the operator is bound as a network, and its gradients are compared with central
//! differences of its outputs.

use super::cases::{Case, cases, decode, slope};
use super::child::{Finding, Passed, Teller};
use super::operator::Subject;
use std::sync::Arc;
use varflow::engine::Engine;
use varflow::ops::{DType, Philox, Registry, Tensor};
use varflow::symbol::{BindOptions, Executor, GradReq, sym};
use varflow::{Error, Result, Runtime};

/// A network of one node.
struct Network {
    executor: Executor,
    dtype: DType,
    /// What each output is multiplied by before all are summed up.
    heads: Vec<Vec<f64>>,
}

impl Network {
    fn new(registry: &Arc<Registry>, case: &Case, values: &[Vec<u8>], dtype: DType) -> Result<Network> {
        let rt = Runtime { engine: Engine::serial(), registry: registry.clone() };
        let names = case.op.inputs(&case.params);
        let mut node = sym::op(case.op.name()).name("checked");
        for name in &names {
            node = node.input_named(name, sym::var(name).build());
        }
        for (name, value) in case.params.to_attrs() {
            node = node.set(&name, value.as_str());
        }
        let given: Vec<_> = names.iter().cloned().zip(case.inputs.iter().map(|d| d.shape.clone())).collect();
        let is_float = |i: &usize| case.inputs[*i].dtype == dtype;
        let options = BindOptions {
            for_training: true,
            grad_req: (0..names.len()).filter(is_float).map(|i| (names[i].clone(), GradReq::Write)).collect(),
            dtypes: names.iter().cloned().zip(case.inputs.iter().map(|d| d.dtype)).collect(),
            ..BindOptions::default()
        };
        let executor = Executor::bind(&rt, &node.build(), &given, &options)?;
        let all = executor.args().iter().chain(executor.auxes());
        for ((_, tensor), bytes) in all.zip(values).filter(|((_, t), _)| t.dtype() == dtype) {
            set(tensor, &decode(dtype, bytes))?;
        }
        let mut heads = Vec::new();
        for (o, (_, output)) in executor.outputs().iter().enumerate() {
            let stream = Philox::new(7, o as u64, 0);
            heads.push(
                (0..output.shape().len() as u64).map(|k| 2.0 * stream.uniform2(k)[0] - 1.0).collect::<Vec<f64>>(),
            );
        }
        // Where the gradient uses none, there is none to set, and it is compared all the same.
        for ((_, tensor), head) in executor.head_grads().iter().zip(&heads) {
            set(tensor, head)?;
        }
        Ok(Network { executor, dtype, heads })
    }

    /// The outputs.
    fn outputs(&mut self) -> Result<Vec<Vec<f64>>> {
        self.executor.forward(true, 1)?;
        self.executor.outputs().iter().map(|(_, output)| values(output, self.dtype)).collect()
    }
}

fn set(tensor: &Tensor, values: &[f64]) -> Result<()> {
    match tensor.dtype() {
        DType::F32 => tensor.set(values.iter().map(|v| *v as f32).collect::<Vec<f32>>()),
        DType::F64 => tensor.set(values.to_vec()),
        dtype => Err(Error::DType(format!("{dtype} is too coarse for differences"))),
    }
}

fn values(tensor: &Tensor, dtype: DType) -> Result<Vec<f64>> {
    if dtype == DType::F64 {
        return tensor.to_vec::<f64>();
    }
    Ok(tensor.to_vec::<f32>()?.into_iter().map(f64::from).collect())
}

/// The check.
///
/// # Errors
/// A gradient that is another than the differences.
pub(crate) fn check(subject: &Subject, teller: &mut Teller) -> Finding {
    if subject.table.table.gradient.is_none() || subject.table.backward.is_some() {
        return Ok(Passed::Skipped("it has no gradient made of nodes".to_string()));
    }
    let (step, tolerance) = match subject.dtype {
        DType::F64 => (1e-4, 1e-5),
        DType::F32 => (1e-2, 1e-2),
        dtype => return Ok(Passed::Skipped(format!("{dtype} is too coarse for differences"))),
    };
    for case in cases(&subject.op, &subject.table, subject.dtype)? {
        if case.op.is_loss(&case.params) {
            return Ok(Passed::Skipped("it is a loss: its gradient is not its output's".to_string()));
        }
        let text = case.text("the gradient");
        teller.doing(text.clone(), Vec::new())?;
        compare(&subject.registry, &case, step, tolerance).map_err(|e| format!("{text}: {e}"))?;
    }
    Ok(Passed::Ok(format!("as central differences, {}", subject.dtype)))
}

fn compare(registry: &Arc<Registry>, case: &Case, step: f64, tolerance: f64) -> Result<()> {
    let dtype = case.inputs.first().map_or(DType::F32, |d| d.dtype);
    let mut network = Network::new(registry, case, &case.values(1), dtype)?;
    if network.outputs()?.iter().flatten().any(|v| !v.is_finite()) {
        // Such as of a logarithm: it is looked into where it has values.
        network = Network::new(registry, case, &case.values_between(1, 0.1, 2.0), dtype)?;
    }
    network.executor.forward_backward(1)?;
    let grads = network.executor.grads().to_vec();
    for (name, grad) in grads {
        // One of which nothing was said is zero.
        let found = values(&grad, dtype)?;
        let arg = network.executor.args().iter().find(|(n, _)| *n == name).map(|(_, t)| t.clone());
        let Some(arg) = arg else { continue };
        let at = values(&arg, dtype)?;
        for k in (0..at.len()).take(24) {
            let mut slopes = Vec::new();
            // Near a kink a smaller step may still see one side only.
            for h in [step, step / 4.0, step / 16.0] {
                let mut there = |x: f64| {
                    let mut moved = at.clone();
                    moved[k] = x;
                    set(&arg, &moved)?;
                    network.outputs()
                };
                let (above, below) = (there(at[k] + h)?, there(at[k] - h)?);
                slopes.extend(slope(&above, &below, &network.heads, 2.0 * h));
            }
            set(&arg, &at)?;
            let fits = |s: &f64| (s - found[k]).abs() <= tolerance * (1.0 + s.abs());
            if let Some(wanted) = slopes.first().filter(|_| !slopes.iter().any(fits)) {
                let found = found[k];
                let text = format!("of element {k} of {name} is {found}, central differences of forward give {wanted}");
                return Err(Error::Data(text));
            }
        }
    }
    Ok(())
}
