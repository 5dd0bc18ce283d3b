//! The examples of all operators, as cases.

use super::array;
use super::case::{Case, Program, one_node};
use crate::Result;
use varflow::ops::examples::{self, Example};
use varflow::ops::{Attrs, DType, Registry, Shape};

/// Where MXNet 1.9.1 fails, or does not do what it documents, so that varflow does otherwise: operator, what is in the case's
/// name, why.
const EXCUSED: &[(&str, &str, &str)] = &[
    (
        "Deconvolution",
        "target_shape",
        "MXNet's oneDNN takes no target shape with which a side is padded more than the other",
    ),
    ("LRN", "of (2, 4, 3)", "MXNet takes images only"),
    ("LeakyReLU", "rrelu", "MXNet ends its process"),
    ("LeakyReLU", "selu", "MXNet's gradient multiplies the output by lambda once more"),
    ("Pooling", "convention=same", "MXNet fails on the convention same with one axis"),
    ("SoftmaxActivation", "of (2, 3, 2)", "MXNet's gradient on three axes is not that of its output"),
    ("SoftmaxOutput", "out_grad=1", "MXNet multiplies by the output where the output's gradient is meant"),
    ("_CrossDeviceCopy", "", "MXNet runs it between devices only"),
    ("amp_cast", "float64", "MXNet's oneDNN has no float64"),
    ("reverse", "-1", "MXNet takes no negative axis"),
    ("slice_like", "axes=(0, -1)", "MXNet counts the axis -1 of both by the first, and the second has fewer"),
];

/// Operator, name and case for each example; an error where its operator refuses it.
pub fn cases(registry: &Registry) -> impl Iterator<Item = (&'static str, String, Result<Case>)> {
    // MXNet has none of the operators that only our passes make.
    let ours = |example: &&Example| example.0.starts_with("_Fused");
    examples::all().filter(move |example| !ours(example)).map(|example| (example.0, name(example), case(registry, example)))
}

fn case(registry: &Registry, example: &Example) -> Result<Case> {
    let (op, given, inputs, outputs) = example;
    let attrs: Attrs = given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let drawn = (1..).zip(*inputs).map(|(seed, (shape, values))| {
        let (dtype, values) = values.draw(shape.iter().product(), seed);
        (Shape::new(shape), if dtype == DType::F64 { DType::F32 } else { dtype }, values)
    });
    if outputs.is_empty() {
        let arguments = drawn
            .enumerate()
            .map(|(i, (shape, dtype, values))| Ok((format!("input{i}"), array::from_values(&shape, dtype, &values)?)));
        return Ok(Case {
            name: name(example),
            subject: op.to_string(),
            program: Program::Update(op.to_string(), attrs),
            arguments: arguments.collect::<Result<_>>()?,
            auxiliaries: Vec::new(),
            head_grads: Vec::new(),
            excuse: None,
        });
    }
    let (graph, names) = one_node(registry, op, &attrs)?;
    let drawn: Vec<_> = names.into_iter().zip(drawn).collect();
    let shapes: Vec<_> = drawn.iter().map(|(n, (shape, ..))| (n.clone(), shape.clone())).collect();
    let dtypes: Vec<_> = drawn.iter().map(|(n, (_, dtype, _))| (n.clone(), *dtype)).collect();
    let draw = |name: &str, _: &Shape| {
        drawn.iter().find(|(n, _)| n == name).map_or(Vec::new(), |(_, (.., values))| values.clone())
    };
    let name = name(example);
    let excuse = EXCUSED.iter().find(|(o, part, _)| o == op && name.contains(part)).map(|(.., why)| *why);
    Ok(Case { excuse, ..Case::of_graph((name, op), graph, &shapes, &dtypes, draw)? })
}

/// `Pooling kernel=(2, 2) of (1, 2, 4, 6)`.
fn name((op, given, inputs, _): &Example) -> String {
    let mut text = op.to_string();
    given.iter().for_each(|(k, v)| text.push_str(&format!(" {k}={v}")));
    for (i, (shape, values)) in inputs.iter().enumerate() {
        text.push_str(&format!("{} {} {values:?}", if i == 0 { " of" } else { "," }, Shape::new(shape)));
    }
    text
}
