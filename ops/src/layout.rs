//! Memory layouts: in which order of axes a backend wants the tensors of an operator.

use crate::dispatch::infer_outputs;
use crate::kernel::KernelCall;
use crate::operator::Operator;
use crate::schema::{Attrs, Params};
use crate::{Error, Result, Shape, TensorDesc};
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// The axes of a tensor in another order: axis `i` is what was axis `axes[i]`, as in `transpose`.
///
/// ```
/// use varflow_ops::{Permutation, Shape};
/// let channels_last = Permutation::new(&[0, 2, 3, 1])?;
/// assert_eq!(channels_last.apply(&Shape::new(&[8, 3, 28, 30])), Some(Shape::new(&[8, 28, 30, 3])));
/// assert!(channels_last.then(&channels_last.inverse()).is_identity());
/// # Ok::<(), varflow_ops::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Permutation(SmallVec<[usize; 6]>);

impl Permutation {
    /// The permutation of these axes.
    ///
    /// # Errors
    /// [`Error::Param`] when they are not each of `0..axes.len()` once.
    pub fn new(axes: &[usize]) -> Result<Permutation> {
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if sorted.into_iter().eq(0..axes.len()) {
            return Ok(Permutation(axes.into()));
        }
        Err(Error::Param(format!("the axes are {axes:?}, wanted each of {} axes once", axes.len())))
    }

    /// Which axis becomes each.
    #[must_use]
    pub fn axes(&self) -> &[usize] {
        &self.0
    }

    /// Whether all axes stay where they are.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.0.iter().enumerate().all(|(i, axis)| i == *axis)
    }

    /// What takes it back.
    #[must_use]
    pub fn inverse(&self) -> Permutation {
        let mut inverse = self.0.clone();
        self.0.iter().enumerate().for_each(|(i, axis)| inverse[*axis] = i);
        Permutation(inverse)
    }

    /// This one, and after it another of as many axes.
    #[must_use]
    pub fn then(&self, next: &Permutation) -> Permutation {
        Permutation(next.0.iter().filter_map(|axis| self.0.get(*axis).copied()).collect())
    }

    /// Where an axis goes; `None` if there is no such axis.
    #[must_use]
    pub fn position(&self, axis: usize) -> Option<usize> {
        self.0.iter().position(|a| *a == axis)
    }

    /// The shape of a tensor once its axes are in this order; `None` if it has not as many.
    #[must_use]
    pub fn apply(&self, shape: &Shape) -> Option<Shape> {
        (self.0.len() == shape.rank()).then(|| self.0.iter().map(|axis| shape[*axis]).collect())
    }
}

impl fmt::Display for Permutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// How a backend wants a node to be computed: what a [`LayoutHook`] answers.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// The operator that computes it; `None`: the same. It changes the same inputs as the node's own.
    pub operator: Option<String>,
    /// The parameters that change, as texts. The others stay as they are.
    pub attrs: Attrs,
    /// For each input, auxiliary states last, the order in which its axes are wanted; `None`: as they are.
    pub inputs: Vec<Option<Permutation>>,
    /// For each output, hidden ones included, the order in which its axes then come.
    pub outputs: Vec<Option<Permutation>>,
}

/// Says in which layout a backend wants a node; `None`: as it is.
///
/// In training (`is_train`) the answer promises that the node has a gradient in that layout, and kernels for scoring too. Of nodes
/// that it has had its way with already it says `None`.
pub type LayoutHook = Arc<dyn Fn(&KernelCall<'_>) -> Result<Option<Layout>> + Send + Sync>;

/// A node as it is computed in a layout that was found to mean the same.
#[derive(Clone)]
pub struct Relaid {
    /// The operator.
    pub op: Arc<dyn Operator>,
    /// Its parameters.
    pub params: Params,
    /// Those that differ from the node's, as texts.
    pub attrs: Attrs,
    /// The order of each input's axes; `None`: as they are.
    pub inputs: Vec<Option<Permutation>>,
    /// The order of each output's axes.
    pub outputs: Vec<Option<Permutation>>,
}

impl Relaid {
    /// The node that `call` tells of, computed by `op` in `layout`.
    ///
    /// # Errors
    /// [`Error::Contract`] when the layout has not one entry an input and output, permutes axes that there are not or an input that
    /// the operator changes, or changes other inputs; [`Error::Param`] for parameters that the operator does not take;
    /// [`Error::Shape`] when the outputs that follow from the permuted inputs are not the permuted outputs.
    pub fn new(op: Arc<dyn Operator>, layout: Layout, call: &KernelCall<'_>) -> Result<Relaid> {
        let mut all = call.params.to_attrs();
        all.extend(layout.attrs.iter().map(|(name, value)| (name.clone(), value.clone())));
        let params = op.schema().parse(&all)?;
        op.check(&params)?;
        let mutated = call.op.mutates(call.params);
        if op.mutates(&params) != mutated {
            let (is, wanted) = (op.mutates(&params), mutated);
            let text = format!("{} changes the inputs {is:?}, wanted {wanted:?} as {}", op.name(), call.op.name());
            return Err(Error::Contract(text));
        }
        let mut names = call.op.inputs(call.params);
        names.extend(call.op.auxiliaries(call.params));
        let (inputs, given) = permuted("input", &names, call.inputs, layout.inputs)?;
        if let Some(i) = mutated.into_iter().find(|i| matches!(inputs.get(*i), Some(Some(_)))) {
            let name = names.get(i).map_or("", String::as_str);
            let text = format!("permutes the input {name}, which the operator changes: wanted it as it is");
            return Err(Error::Contract(text));
        }
        let names = call.op.outputs(call.params);
        let (outputs, wanted) = permuted("output", &names, call.outputs, layout.outputs)?;
        let found = infer_outputs(&*op, &params, call.node, &given)?;
        if found.len() != wanted.len() {
            let text = format!("{} has {} outputs, wanted {}", op.name(), found.len(), wanted.len());
            return Err(Error::Contract(text));
        }
        for ((is, wanted), name) in found.iter().zip(&wanted).zip(&names) {
            if is != wanted {
                let text = format!(
                    "gives {name} as {} of {}, wanted {} of {}",
                    is.shape, is.dtype, wanted.shape, wanted.dtype
                );
                return Err(Error::Shape(text));
            }
        }
        Ok(Relaid { op, params, attrs: layout.attrs, inputs, outputs })
    }

    /// The node that `call` tells of, an `op`, computed of tensors with their axes in another order, if
    /// [it can be](Operator::permuted).
    ///
    /// # Errors
    /// As [`new`](Self::new), if what the operator says of itself does not hold.
    pub fn permuted(op: &Arc<dyn Operator>, order: &Permutation, call: &KernelCall<'_>) -> Result<Option<Relaid>> {
        let Some(attrs) = op.permuted(call.params, call.inputs, order) else { return Ok(None) };
        let of_rank = |desc: &TensorDesc| (desc.shape.rank() == order.0.len()).then(|| order.clone());
        let inputs = call.inputs.iter().map(of_rank).collect();
        let outputs = call.outputs.iter().map(of_rank).collect();
        Relaid::new(op.clone(), Layout { operator: None, attrs, inputs, outputs }, call).map(Some)
    }
}

/// The orders, without those that change nothing, and the tensors with their axes in these.
fn permuted(
    what: &str,
    names: &[String],
    descs: &[TensorDesc],
    orders: Vec<Option<Permutation>>,
) -> Result<(Vec<Option<Permutation>>, Vec<TensorDesc>)> {
    if orders.len() != descs.len() {
        let (n, wanted) = (orders.len(), names.join(", "));
        return Err(Error::Contract(format!("has the orders of {n} {what}s, wanted {}: {wanted}", descs.len())));
    }
    let orders: Vec<_> = orders.into_iter().map(|order| order.filter(|order| !order.is_identity())).collect();
    let permute = |(i, desc): (usize, &TensorDesc)| {
        let Some(order) = &orders[i] else { return Ok(desc.clone()) };
        let refuse = || {
            let (name, shape) = (names.get(i).map_or("", String::as_str), &desc.shape);
            let text = format!("has the order {order} for the {what} {name} of shape {shape}");
            Error::Contract(format!("{text}, wanted one of {} axes", shape.rank()))
        };
        Ok(TensorDesc { shape: order.apply(&desc.shape).ok_or_else(refuse)?, dtype: desc.dtype })
    };
    let descs = descs.iter().enumerate().map(permute).collect::<Result<_>>()?;
    Ok((orders, descs))
}
