//! Shapes and dtypes of everything in a graph, from those of some variables. What is known flows both ways along the
//! edges until nothing is news.

mod settle;

use crate::graph::Graph;
use settle::{Knowledge, Settle};
use std::collections::HashMap;
use varflow_ops::{DType, DTypes, Error, PartialShape, Result, Shape, Shapes};

/// Infers the shape of each output of each node: `shapes[node][output]`.
///
/// Known from the start are the `given` shapes of variables, which may be partial, and their `__shape__` attributes.
///
/// # Errors
/// A name in `given` that is no variable; a contradiction, with node, tensor, the shape it has, the one wanted and why;
/// tensors that no memory could hold; shapes that stay open, with the variables that lack theirs.
pub fn infer_shapes(graph: &Graph, given: &[(impl AsRef<str>, PartialShape)]) -> Result<Vec<Vec<Shape>>> {
    let known = infer_partial_shapes(graph, given)?;
    let complete = known.iter().map(|outs| outs.iter().map(PartialShape::known).collect::<Option<Vec<_>>>());
    let shapes = complete.collect::<Option<Vec<_>>>().ok_or_else(|| Error::Shape(describe_open(graph, &known)))?;
    check_total(graph, &shapes)?;
    Ok(shapes)
}

/// Refuses what is too large to be counted in bytes, all tensors together.
fn check_total(graph: &Graph, shapes: &[Vec<Shape>]) -> Result<()> {
    // Planners add workspaces and round up.
    const MOST: usize = isize::MAX as usize / size_of::<u64>() / 4;
    let mut total = 0_usize;
    for (node, shape) in graph.nodes.iter().zip(shapes).flat_map(|(node, shapes)| shapes.iter().map(move |s| (node, s)))
    {
        let sum = shape.checked_len().and_then(|len| total.checked_add(len)).filter(|sum| *sum <= MOST);
        total = sum.ok_or_else(|| {
            let text =
                format!("an output has shape {shape}: together with those before, more than any memory could hold");
            Error::Shape(text).at(node.place())
        })?;
    }
    Ok(())
}

/// Infers as much as follows of the shape of each output of each node: `shapes[node][output]`, with extents and whole
/// shapes that stay open.
///
/// # Errors
/// As [`infer_shapes`], but for shapes that stay open.
pub fn infer_partial_shapes(
    graph: &Graph,
    given: &[(impl AsRef<str>, PartialShape)],
) -> Result<Vec<Vec<PartialShape>>> {
    let mut known = start(graph, "__shape__", parse_shape)?;
    for (node, shape) in find_given(graph, given)? {
        let merged = known[node][0].merge(shape);
        merged.map_err(|e| Error::Shape(format!("the shape given {e}")).at(graph.nodes[node].place()))?;
    }
    Settle::new(graph).run(&mut known, |io| {
        io.inputs.iter().try_for_each(|(name, shape)| check_len(name, shape))?;
        let output_names: Vec<String> = io.outputs.iter().map(|(name, _)| name.clone()).collect();
        let mut shapes = Shapes::new(io.inputs, io.outputs);
        io.op.infer_shape(io.params, &mut shapes)?;
        let (inputs, outputs) = shapes.into_parts();
        output_names.iter().zip(&outputs).try_for_each(|(name, shape)| check_len(name, shape))?;
        Ok((inputs, outputs))
    })?;
    Ok(known)
}

/// Refuses a shape whose elements no memory could hold, so that rules may count them.
fn check_len(name: &str, shape: &PartialShape) -> Result<()> {
    match shape.known() {
        Some(shape) if shape.checked_len().is_none() => {
            Err(Error::Shape(format!("{name} has shape {shape}, which no memory could hold")))
        }
        _ => Ok(()),
    }
}

/// Infers the dtype of each output of each node: `dtypes[node][output]`.
///
/// Known from the start are the `given` dtypes of variables and their `__dtype__` attributes. Where they leave a
/// variable open it is float32, decided in the graph's order.
///
/// # Errors
/// A name in `given` that is no variable; a contradiction, with node, tensor, the dtype it has and the one wanted;
/// outputs whose dtype stays open though those of all variables are known.
pub fn infer_dtypes(graph: &Graph, given: &[(impl AsRef<str>, DType)]) -> Result<Vec<Vec<DType>>> {
    let mut known = start(graph, "__dtype__", |text| parse_dtype(text).map(Some))?;
    for (node, dtype) in find_given(graph, given)? {
        let merged = known[node][0].merge(&Some(*dtype));
        merged.map_err(|e| Error::DType(format!("the dtype given {e}")).at(graph.nodes[node].place()))?;
    }
    let mut settle = Settle::new(graph);
    let mut next = 0;
    loop {
        settle.run(&mut known, |io| {
            let mut dtypes = DTypes::new(io.inputs, io.outputs);
            io.op.infer_dtype(io.params, &mut dtypes)?;
            Ok(dtypes.into_parts())
        })?;
        let is_open = |i: &usize| graph.nodes[*i].op.is_none() && known[*i][0].is_none();
        let Some(variable) = (next..graph.nodes.len()).find(is_open) else { break };
        known[variable][0] = Some(DType::F32);
        settle.changed(variable);
        next = variable + 1;
    }
    let complete = known.iter().map(|outs| outs.iter().copied().collect::<Option<Vec<_>>>());
    complete.collect::<Option<Vec<_>>>().ok_or_else(|| Error::DType(describe_open(graph, &known)))
}

/// What is known before any rule is asked: what the variables' attributes `key` say.
fn start<T: Knowledge>(graph: &Graph, key: &str, parse: impl Fn(&str) -> Result<T>) -> Result<Vec<Vec<T>>> {
    let mut known: Vec<Vec<T>> = graph.nodes.iter().map(|n| vec![T::default(); n.num_outputs()]).collect();
    for (node, known) in graph.nodes.iter().zip(&mut known) {
        if let (None, Some(text)) = (&node.op, node.attrs.get(key)) {
            known[0] = parse(text).map_err(|e| e.at(node.place()))?;
        }
    }
    Ok(known)
}

fn find_given<'a, T>(graph: &Graph, given: &'a [(impl AsRef<str>, T)]) -> Result<Vec<(usize, &'a T)>> {
    let variables = || graph.nodes.iter().enumerate().filter(|(_, n)| n.op.is_none());
    let by_name: HashMap<_, _> = variables().map(|(i, n)| (n.name.as_str(), i)).collect();
    let find = |(name, value): &'a (_, T)| {
        let name = AsRef::<str>::as_ref(name);
        let node = by_name.get(name).copied().ok_or_else(|| {
            let names = some_of(variables().map(|(_, n)| n.name.clone()));
            Error::Param(format!("the network has no variable \"{name}\": wanted one of {names}"))
        })?;
        Ok((node, value))
    };
    given.iter().map(find).collect()
}

fn describe_open<T: Knowledge>(graph: &Graph, known: &[Vec<T>]) -> String {
    let outputs = known.iter().enumerate().flat_map(|(i, outs)| outs.iter().enumerate().map(move |(o, t)| (i, o, t)));
    let open: Vec<_> = outputs.filter(|(_, _, t)| !t.is_complete()).collect();
    let what = T::WHAT;
    let variables: Vec<_> = open.iter().filter(|(i, ..)| graph.nodes[*i].op.is_none()).collect();
    if variables.is_empty() {
        let list = open.iter().map(|(i, o, t)| format!("{o} of {} {}", graph.nodes[*i].place(), t.describe()));
        return format!("the {what}s of all variables are known, but they leave open output {}", some_of(list));
    }
    let list = variables.iter().map(|(i, _, t)| format!("{} {}", graph.nodes[*i].name, t.describe()));
    format!("the {what}s given do not determine those of {}: give the {what} of data", some_of(list))
}

/// The first few of a list that may be long.
fn some_of(items: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 8;
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        return "(there are none)".to_string();
    }
    let more = items.len().saturating_sub(SHOWN);
    let shown = items[..items.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// Reads `(0, 1, 28, 28)`; 0 and -1 stand for extents to be inferred, and `()` for nothing known.
fn parse_shape(text: &str) -> Result<PartialShape> {
    let refuse = || Error::Param(format!("attribute __shape__ is \"{text}\", wanted a shape such as (0, 1, 28, 28)"));
    let inner = text.trim();
    let inner = inner.strip_prefix(['(', '[']).and_then(|t| t.strip_suffix([')', ']'])).ok_or_else(refuse)?;
    let inner = inner.trim().trim_end_matches(',');
    if inner.is_empty() {
        return Ok(PartialShape::unknown());
    }
    let extent = |text: &str| match text.trim().trim_end_matches('L').parse::<i64>() {
        Ok(-1 | 0) => Ok(None),
        Ok(n) => usize::try_from(n).map(Some).map_err(|_| refuse()),
        Err(_) => Err(refuse()),
    };
    Ok(PartialShape::new(inner.split(',').map(extent).collect::<Result<Vec<_>>>()?))
}

/// Reads the number of a dtype, as MXNet writes it, or its name.
fn parse_dtype(text: &str) -> Result<DType> {
    let by_code = text.trim().parse().ok().and_then(DType::from_code);
    by_code.map_or_else(|| DType::from_name(text.trim()), Ok).map_err(|_| {
        let wanted = "the number or name of a dtype, such as 0 or float32";
        Error::Param(format!("attribute __dtype__ is \"{text}\", wanted {wanted}"))
    })
}
