//! A use of an operator and the graph of its gradient, with values.

use super::usage::{Array, How, Use};
use super::{registry, workers};
use std::sync::Arc;
use varflow_ops::{
    Attrs, DType, DTypes, Entry, Gradient, GraphBuilder, Operator, Params, PartialShape, Recompute, Result, Shapes,
    TensorDesc,
};

struct Node {
    /// None for a variable.
    op: Option<(Arc<dyn Operator>, Attrs, Params)>,
    inputs: Vec<Entry>,
    known: Vec<(PartialShape, Option<DType>)>,
    values: Vec<Array>,
}

/// Nodes in the order of their making.
#[derive(Default)]
struct Graph(Vec<Node>);

impl Graph {
    fn variable(&mut self, value: Array) -> Entry {
        let known = vec![((&value.desc.shape).into(), Some(value.desc.dtype))];
        self.0.push(Node { op: None, inputs: Vec::new(), known, values: vec![value] });
        Entry { node: self.0.len() - 1, output: 0 }
    }

    /// One round of inference; each pair of `alike` has one shape and dtype.
    fn infer(&mut self, alike: &[(Entry, Entry)]) {
        for n in 0..self.0.len() {
            let Some((op, _, params)) = self.0[n].op.clone() else { continue };
            let inputs = self.0[n].inputs.clone();
            let ins: Vec<_> = inputs.iter().map(|e| self.0[e.node].known[e.output].clone()).collect();
            let outs = self.0[n].known.clone();
            let (mut in_names, out_names) = (op.inputs(&params), op.outputs(&params));
            in_names.extend(op.auxiliaries(&params));
            let named = |names: &[String], known: &[(PartialShape, Option<DType>)]| -> Vec<_> {
                names.iter().cloned().zip(known.iter().map(|k| k.0.clone())).collect()
            };
            let mut shapes = Shapes::new(named(&in_names, &ins), named(&out_names, &outs));
            op.infer_shape(&params, &mut shapes).unwrap();
            let mut dtypes = DTypes::new(
                in_names.into_iter().zip(ins.iter().map(|k| k.1)).collect(),
                out_names.into_iter().zip(outs.iter().map(|k| k.1)).collect(),
            );
            op.infer_dtype(&params, &mut dtypes).unwrap();
            let ((in_shapes, out_shapes), (in_dtypes, out_dtypes)) = (shapes.into_parts(), dtypes.into_parts());
            for (e, known) in inputs.into_iter().zip(in_shapes.into_iter().zip(in_dtypes)) {
                self.0[e.node].known[e.output] = known;
            }
            self.0[n].known = out_shapes.into_iter().zip(out_dtypes).collect();
        }
        for (a, b) in alike.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]) {
            let (shape, dtype) = self.0[b.node].known[b.output].clone();
            let to = &mut self.0[a.node].known[a.output];
            to.0.merge(&shape).unwrap();
            to.1 = to.1.or(dtype);
        }
    }

    /// Runs every node, and returns what was run.
    fn evaluate(&mut self) -> Result<Vec<Use>> {
        let engine = workers(0);
        let mut uses = Vec::new();
        for n in 0..self.0.len() {
            let Some((op, attrs, params)) = self.0[n].op.clone() else { continue };
            let inputs = self.0[n].inputs.iter().map(|e| self.0[e.node].values[e.output].clone()).collect();
            let known = |(shape, dtype): &(PartialShape, Option<DType>)| {
                TensorDesc::new(shape.known().unwrap(), dtype.unwrap())
            };
            let outputs = self.0[n].known.iter().map(known).collect();
            let usage = Use { op, attrs, params, inputs, outputs };
            self.0[n].values = usage.run(&How::on(&engine))?.outputs.into_iter().flatten().collect();
            uses.push(usage);
        }
        Ok(uses)
    }
}

impl GraphBuilder for Graph {
    fn add(&mut self, op: &str, _: &str, attrs: Attrs, inputs: &[Entry]) -> Result<Entry> {
        let op = registry().operator(op)?.clone();
        let params = op.schema().parse(&attrs)?;
        op.check(&params)?;
        let known = vec![(PartialShape::unknown(), None); op.outputs(&params).len()];
        self.0.push(Node { op: Some((op, attrs, params)), inputs: inputs.to_vec(), known, values: Vec::new() });
        Ok(Entry { node: self.0.len() - 1, output: 0 })
    }
}

/// What a use's gradient is, and how it came about.
pub struct Backward {
    /// The gradients of the inputs; none for those that have none.
    pub grads: Vec<Option<Array>>,
    /// Every operator that was run, the first one included.
    pub uses: Vec<Use>,
}

/// Runs a use and its gradient, with `out_grad` as the gradient of its first output.
pub fn backward(usage: &Use, out_grad: Option<Array>) -> Result<Backward> {
    let mut graph = Graph::default();
    let inputs: Vec<_> = usage.inputs.iter().map(|a| graph.variable(a.clone())).collect();
    let first = graph.add(usage.op.name(), "node", usage.attrs.clone(), &inputs)?;
    let outputs: Vec<_> = (0..usage.outputs.len()).map(|output| Entry { output, ..first }).collect();
    let mut out_grads = vec![None; outputs.len()];
    out_grads[0] = out_grad.map(|g| graph.variable(g));
    let grads = usage.op.gradient(&mut Gradient {
        node: "node",
        params: &usage.params,
        attrs: &usage.attrs,
        inputs: &inputs,
        outputs: &outputs,
        out_grads: &out_grads,
        graph: &mut graph,
    })?;
    let alike: Vec<_> = grads.iter().zip(&inputs).filter_map(|(g, i)| Some(((*g)?, *i))).collect();
    for _ in 0..4 {
        graph.infer(&alike);
    }
    let uses = graph.evaluate()?;
    let value = |e: Entry| graph.0[e.node].values[e.output].clone();
    Ok(Backward { grads: grads.into_iter().map(|g| g.map(value)).collect(), uses })
}

/// The outputs of a use, each with what is computed once more for it; `None` where that cannot be.
pub fn recomputed(usage: &Use) -> Result<Option<Vec<(Array, Array)>>> {
    let mut graph = Graph::default();
    let inputs: Vec<_> = usage.inputs.iter().map(|a| graph.variable(a.clone())).collect();
    let first = graph.add(usage.op.name(), "node", usage.attrs.clone(), &inputs)?;
    let known = |desc: &TensorDesc| ((&desc.shape).into(), Some(desc.dtype));
    graph.0[first.node].known = usage.outputs.iter().map(known).collect();
    let outputs: Vec<_> = (0..usage.outputs.len()).map(|output| Entry { output, ..first }).collect();
    let again = usage.op.recompute(&mut Recompute {
        node: "node",
        params: &usage.params,
        attrs: &usage.attrs,
        inputs: &inputs,
        outputs: &outputs,
        graph: &mut graph,
    })?;
    let Some(again) = again else { return Ok(None) };
    let alike: Vec<_> = again.iter().copied().zip(outputs.iter().copied()).collect();
    for _ in 0..4 {
        graph.infer(&alike);
    }
    graph.evaluate()?;
    let value = |e: Entry| graph.0[e.node].values[e.output].clone();
    Ok(Some(outputs.into_iter().zip(again).map(|(o, a)| (value(o), value(a))).collect()))
}
