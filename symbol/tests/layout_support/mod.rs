//! A backend that computes convolutions and poolings on tensors with their axes in any order, by way of the plain kernels.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;
use varflow_engine::Engine;
use varflow_ops::{
    Attrs, DeviceKind, Entry, Gradient, Kernel, KernelCall, KernelCtx, Layout, Operator, Params, Permutation, Provider,
    Registry, Result, Runtime, Schema, Shape, Shapes, TensorDesc, Value, defs, infer_outputs,
};

/// An operator of the CPU that takes some inputs and gives some outputs in orders of its own, told by parameters.
struct Moved {
    of: Arc<dyn Operator>,
    name: String,
    schema: Schema,
}

const ORDERS: [&str; 3] = ["data_axes", "weight_axes", "output_axes"];

fn order(params: &Params, name: &str) -> Option<Permutation> {
    let axes: Vec<usize> = params.tuple(name).iter().map(|a| *a as usize).collect();
    if axes.is_empty() { None } else { Some(Permutation::new(&axes).unwrap()) }
}

fn apply(desc: &TensorDesc, order: Option<Permutation>) -> TensorDesc {
    let shape = order.map_or(Some(desc.shape.clone()), |order| order.apply(&desc.shape));
    TensorDesc { shape: shape.unwrap(), dtype: desc.dtype }
}

impl Moved {
    fn new(registry: &Registry, of: &str) -> Moved {
        let of = registry.operator(of).unwrap().clone();
        let schema = ORDERS.iter().fold(of.schema().clone(), |schema, name| schema.tuple(name, Some(&[]), "An order."));
        Moved { name: format!("Moved{}", of.name()), of, schema }
    }

    fn plain(&self, params: &Params) -> Params {
        let mut attrs: Attrs = params.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        ORDERS.iter().for_each(|name| {
            attrs.remove(*name);
        });
        self.of.schema().parse(&attrs).unwrap()
    }

    /// The inputs with their axes as the operator has them.
    fn unmoved(params: &Params, inputs: &[TensorDesc]) -> Vec<TensorDesc> {
        let orders = [order(params, "data_axes"), order(params, "weight_axes")];
        let orders = orders.into_iter().chain(std::iter::repeat(None));
        inputs.iter().zip(orders).map(|(desc, order)| apply(desc, order.map(|order| order.inverse()))).collect()
    }
}

impl Operator for Moved {
    fn name(&self) -> &str {
        &self.name
    }
    fn doc(&self) -> &str {
        "The same in other orders of axes."
    }
    fn schema(&self) -> &Schema {
        &self.schema
    }
    fn inputs(&self, params: &Params) -> Vec<String> {
        self.of.inputs(&self.plain(params))
    }
    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let known: Option<Vec<Shape>> = (0..s.num_inputs()).map(|i| s.known(i)).collect();
        let Some(known) = known else { return Ok(()) };
        let descs: Vec<_> = known.into_iter().map(|shape| TensorDesc::new(shape, varflow_ops::DType::F32)).collect();
        let outputs = infer_outputs(&*self.of, &self.plain(params), "moved", &Moved::unmoved(params, &descs))?;
        s.set_output(0, apply(&outputs[0], order(params, "output_axes")).shape, "from data")
    }
    /// By way of the plain operator.
    fn gradient(&self, g: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let transposed = |g: &mut Gradient<'_>, name: &str, entry: Entry, order: Option<Permutation>| {
            let Some(order) = order else { return Ok(entry) };
            let axes = Value::Tuple(order.axes().iter().map(|a| *a as i64).collect());
            let attrs = Attrs::from([("axes".to_string(), axes.to_string())]);
            let name = format!("{}_{name}", g.node);
            g.graph.add("transpose", &name, attrs, &[entry])
        };
        let orders = [order(g.params, "data_axes"), order(g.params, "weight_axes")];
        let mut inputs = g.inputs.to_vec();
        for (i, order) in orders.iter().enumerate().take(inputs.len()) {
            inputs[i] = transposed(g, &format!("in{i}"), inputs[i], order.as_ref().map(Permutation::inverse))?;
        }
        let out_grad = g.out_grad(0)?;
        let out_grad = transposed(g, "og", out_grad, order(g.params, "output_axes").map(|o| o.inverse()))?;
        let plain = self.plain(g.params);
        let attrs = plain.to_attrs();
        let output = g.graph.add(self.of.name(), &format!("{}_again", g.node), attrs.clone(), &inputs)?;
        let mut inner = Gradient {
            node: g.node,
            params: &plain,
            attrs: &attrs,
            inputs: &inputs,
            outputs: &[output],
            out_grads: &[Some(out_grad)],
            graph: &mut *g.graph,
        };
        let mut grads = self.of.gradient(&mut inner)?;
        for (i, order) in orders.into_iter().enumerate().take(grads.len()) {
            if let Some(grad) = grads[i] {
                grads[i] = Some(transposed(g, &format!("dx{i}"), grad, order)?);
            }
        }
        Ok(grads)
    }
}

fn transpose(from: &[f32], shape: &Shape, order: Option<&Permutation>) -> Vec<f32> {
    let Some(order) = order else { return from.to_vec() };
    let to = order.apply(shape).unwrap();
    let mut strides = vec![1; shape.rank()];
    (1..shape.rank()).rev().for_each(|a| strides[a - 1] = strides[a] * shape[a]);
    let place = |mut i: usize| {
        let mut at = 0;
        for a in (0..to.rank()).rev() {
            at += i % to[a] * strides[order.axes()[a]];
            i /= to[a];
        }
        at
    };
    (0..to.len()).map(|i| from[place(i)]).collect()
}

/// By way of the operator's own kernel.
fn moved_kernel(registry: &Registry, moved: &Moved, call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let plain = moved.plain(call.params);
    let inputs = Moved::unmoved(call.params, call.inputs);
    let out = infer_outputs(&*moved.of, &plain, call.node, &inputs)?;
    let same = KernelCall { op: &*moved.of, params: &plain, inputs: &inputs, outputs: &out, ..*call };
    registry.kernel(DeviceKind::Cpu, &same)?;
    let orders =
        [order(call.params, "data_axes"), order(call.params, "weight_axes"), order(call.params, "output_axes")];
    let given: Vec<Shape> = call.inputs.iter().map(|desc| desc.shape.clone()).collect();
    let (attrs, name) = (plain.to_attrs(), moved.of.name().to_string());
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let rt = runtime(Provider::new("none"));
        let mut tensors = Vec::new();
        for (i, desc) in inputs.iter().enumerate() {
            let back = orders[..2].get(i).cloned().flatten().map(|order| order.inverse());
            let values = transpose(ctx.input::<f32>(i)?, &given[i], back.as_ref());
            tensors.push(varflow_ops::Tensor::from_slice(&rt.engine, desc.shape.clone(), &values)?);
        }
        let out = varflow_ops::invoke(&rt.registry, &rt.engine, &name, &attrs, &tensors, varflow_ops::Run::default())?;
        let values = transpose(&out[0].to_vec::<f32>()?, out[0].shape(), orders[2].as_ref());
        ctx.output::<f32>(0)?.copy_from_slice(&values);
        Ok(())
    }))
}

fn base() -> Registry {
    let mut registry = Registry::new();
    registry.install(defs::provider()).unwrap();
    registry.install(varflow_cpu::provider()).unwrap();
    registry
}

pub fn runtime(provider: Provider) -> Runtime {
    let mut registry = base();
    registry.install(provider).unwrap();
    Runtime::new(Engine::serial(), registry)
}

pub fn permutation(axes: &[usize]) -> Permutation {
    Permutation::new(axes).unwrap()
}

pub fn last() -> Permutation {
    permutation(&[0, 2, 3, 1])
}

/// The layout in which `Moved…` computes the node, with these orders of data, weight and output.
pub fn layout(call: &KernelCall<'_>, orders: [Option<Permutation>; 3]) -> Layout {
    let text = |order: &Permutation| Value::Tuple(order.axes().iter().map(|a| *a as i64).collect()).to_string();
    let named = ORDERS.iter().zip(&orders).filter_map(|(name, order)| Some((name.to_string(), text(order.as_ref()?))));
    let attrs = named.collect();
    let [data, weight, output] = orders;
    let inputs = [data, weight].into_iter().chain(std::iter::repeat(None)).take(call.inputs.len()).collect();
    Layout { operator: Some(format!("Moved{}", call.op.name())), attrs, inputs, outputs: vec![output] }
}

/// A provider whose convolutions and poolings are wanted as `wish` says.
pub fn backend(wish: impl Fn(&KernelCall<'_>) -> Result<Option<Layout>> + Clone + Send + Sync + 'static) -> Provider {
    let registry = base();
    let provider = Provider { preference: 1, ..Provider::new("backend") };
    ["Convolution", "Pooling"].iter().fold(provider, |provider, op| {
        let kernel = |call: &KernelCall<'_>| {
            let moved = Moved::new(&base(), call.op.name().strip_prefix("Moved").unwrap());
            moved_kernel(&base(), &moved, call)
        };
        let moved = Moved::new(&registry, op);
        let name = moved.name.clone();
        provider.operator(moved).kernel(&name, DeviceKind::Cpu, kernel).layout(op, DeviceKind::Cpu, wish.clone())
    })
}

/// Channels last, of data and filters.
pub fn channels_last() -> Provider {
    backend(|call| {
        let weight = (call.op.name() == "Convolution").then(last);
        Ok(Some(layout(call, [Some(last()), weight, Some(last())])))
    })
}
