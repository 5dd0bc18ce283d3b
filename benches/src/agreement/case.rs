//! One thing to compare: a network, or an operator as a network of one node, and the values that it is given.

use super::array::{self, NamedArray};
use crate::Result;
use varflow::ops::examples::Values;
use varflow::ops::{Attrs, DType, PartialShape, Registry, Shape, name_hash};
use varflow::symbol::{Graph, HostArray, Symbol, infer_dtypes, infer_shapes, sym};

/// One thing to compare.
pub struct Case {
    /// Unique among all cases.
    pub name: String,
    /// The operator, or the network's own name.
    pub subject: String,
    /// What is computed.
    pub program: Program,
    /// The arguments, in order.
    pub arguments: Vec<NamedArray>,
    /// The auxiliary states.
    pub auxiliaries: Vec<NamedArray>,
    /// The gradients of the outputs, in order.
    pub head_grads: Vec<HostArray>,
    /// Why it need not agree.
    pub excuse: Option<&'static str>,
}

/// What a case computes.
pub enum Program {
    /// A graph: scored, and where it has gradients trained.
    Graph(Graph),
    /// An operator that changes its first arguments and has no outputs; MXNet's writes the first as its output.
    Update(String, Attrs),
}

impl Case {
    /// A case of this graph. `given` has the shapes of data, from which those of all other variables follow; `draw` gives
    /// the values of a variable.
    ///
    /// # Errors
    /// What inference says.
    pub fn of_graph(
        (name, subject): (String, &str),
        graph: Graph,
        given: &[(String, Shape)],
        dtypes: &[(String, DType)],
        draw: impl Fn(&str, &Shape) -> Vec<f64>,
    ) -> Result<Case> {
        let partial: Vec<(&str, PartialShape)> = given.iter().map(|(n, s)| (n.as_str(), s.into())).collect();
        let (shapes, dtypes) = (infer_shapes(&graph, &partial)?, infer_dtypes(&graph, dtypes)?);
        let variable = |node: &usize| -> Result<NamedArray> {
            let (name, shape) = (&graph.nodes[*node].name, &shapes[*node][0]);
            Ok((name.clone(), array::from_values(shape, dtypes[*node][0], &draw(name, shape))?))
        };
        let arguments = graph.arguments().iter().map(variable).collect::<Result<_>>()?;
        let auxiliaries = graph.auxiliaries().iter().map(variable).collect::<Result<_>>()?;
        let head_grad = |(i, e): (usize, &varflow::ops::Entry)| {
            let (shape, dtype) = (&shapes[e.node][e.output], dtypes[e.node][e.output]);
            let (_, values) = Values::Apart.draw(shape.len(), 99 + i as u64);
            array::from_values(shape, dtype, &values)
        };
        let head_grads = graph.outputs.iter().enumerate().map(head_grad).collect::<Result<_>>()?;
        let (subject, program) = (subject.to_string(), Program::Graph(graph));
        Ok(Case { name, subject, program, arguments, auxiliaries, head_grads, excuse: None })
    }

    /// Whether some operator of it draws random numbers, in scoring or in training.
    pub fn is_random(&self) -> bool {
        let Program::Graph(graph) = &self.program else { return false };
        graph.nodes.iter().filter_map(|n| n.op.as_ref()).any(|op| !op.is_deterministic())
    }

    /// The case with its floating-point inputs in `float`.
    pub fn in_float(&self, float: DType) -> Result<Inputs> {
        let all = |arrays: &[NamedArray]| -> Result<Vec<NamedArray>> {
            arrays.iter().map(|(n, a)| Ok((n.clone(), array::in_float(a, float)?))).collect()
        };
        let head_grads = self.head_grads.iter().map(|a| array::in_float(a, float)).collect::<Result<_>>()?;
        Ok(Inputs { arguments: all(&self.arguments)?, auxiliaries: all(&self.auxiliaries)?, head_grads })
    }

    /// A number that changes with the inputs: stored references of other inputs say nothing.
    pub fn fingerprint(&self) -> Result<String> {
        let mut text = String::new();
        for (name, array) in self.arguments.iter().chain(&self.auxiliaries) {
            let sum: f64 = array::values(array)?.iter().zip(1_u32..).map(|(v, i)| v * f64::from(i % 97)).sum();
            text.push_str(&format!("{name} {} {sum:.3} ", array.desc.shape));
        }
        Ok(format!("{:016x}", name_hash(&text)))
    }
}

/// What a case is given, in one floating-point type.
pub struct Inputs {
    /// The arguments, in order.
    pub arguments: Vec<NamedArray>,
    /// The auxiliary states.
    pub auxiliaries: Vec<NamedArray>,
    /// The gradients of the outputs, in order.
    pub head_grads: Vec<HostArray>,
}

/// The graph of one use of an operator, with a variable for each of its inputs.
///
/// # Errors
/// As [`Symbol::resolve`].
pub fn one_node(registry: &Registry, op: &str, attrs: &Attrs) -> Result<(Graph, Vec<String>)> {
    let operator = registry.operator(op)?;
    let params = operator.schema().parse(attrs)?;
    let mut names = operator.inputs(&params);
    names.extend(operator.auxiliaries(&params));
    let builder = attrs.iter().fold(sym::op(op), |b, (k, v)| b.set(k, v.as_str()));
    let symbol: Symbol = names.iter().fold(builder, |b, name| b.input(sym::var(name))).name("node").build();
    Ok((symbol.resolve(registry)?, names))
}
