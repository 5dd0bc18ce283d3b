//! The networks of the zoo, with random parameters, as cases.

use super::case::Case;
use super::references::Reference;
use super::row::{Against, Row, Verdict};
use crate::Result;
use varflow::Runtime;
use varflow::ops::{Philox, Registry, Shape, name_hash};
use varflow::symbol::{Graph, Symbol, json};
use varflow::zoo;

/// The numbers of all parameters and data hang on it, and on the number of the draw.
const SEED: u64 = 20;

/// How often parameters are drawn for a network that rounding carries past the goal.
///
/// A number at a kink of a rectifier or at a tie of a maximum goes one way in one program and the other way in another,
/// for a last place of difference, and the gradients then differ by whole terms of their sums. Some draws have such a
/// number and some have none; what a program computes wrong, or with too few digits, shows in all of them.
const DRAWS: u64 = 6;

/// Networks of smaller samples than this many numbers are given two, others one.
const LARGE_SAMPLE: usize = 10_000;

/// The names of all networks.
pub fn names() -> impl Iterator<Item = String> {
    zoo::names()
}

/// Compares a network: in the draw of which there is a stored reference, else in the draw that is least apart of up to
/// [`DRAWS`]. A draw in which it is apart for another reason than rounding counts as its result.
pub fn compared(rt: &Runtime, name: &str, against: &mut Against) -> (Row, Option<Reference>) {
    let draws = match against {
        Against::Stored(references) => {
            let draw = references.cases.get(name).map_or(0, |r| r.draw);
            draw..draw + 1
        }
        Against::Mxnet(_) => 0..DRAWS,
    };
    let mut best: Option<(Row, Option<Reference>)> = None;
    for draw in draws {
        let (mut row, mut reference) = match case(&rt.registry, name, draw) {
            Ok(case) => Row::new(rt, &case, against),
            Err(e) => (Row::failed(name, e.to_string()), None),
        };
        row.draw = draw;
        reference.iter_mut().for_each(|r| r.draw = draw);
        let is_last = row.verdict == Verdict::Agrees || !row.is_same();
        let is_better = best.as_ref().is_none_or(|(b, _)| row.single.relative < b.single.relative);
        if is_better || !row.is_same() {
            best = Some((row, reference));
        }
        if is_last {
            break;
        }
    }
    best.unwrap_or_else(|| (Row::failed(name, "it was never drawn".to_string()), None))
}

/// The network of this name, with the parameters and data of a draw.
///
/// # Errors
/// A network that the zoo does not have or that does not resolve.
fn case(registry: &Registry, name: &str, draw: u64) -> Result<Case> {
    let model = zoo::by_name(name)?;
    let graph = without_dropout(&model.symbol.resolve(registry)?)?.resolve(registry)?;
    let samples = if model.data_shape.len() < LARGE_SAMPLE { 2 } else { 1 };
    let data: Shape = std::iter::once(samples).chain(model.data_shape.dims().iter().copied()).collect();
    let is_text = graph.nodes.iter().any(|n| n.op.as_ref().is_some_and(|op| op.name() == "Embedding"));
    let is_rectified = graph.nodes.iter().any(|n| n.attrs.get("act_type").is_some_and(|kind| kind == "relu"));
    // A channel that passes nothing leaves a convolution of its own without variance.
    let has_depthwise = graph.nodes.iter().any(|n| n.attrs.get("num_group").is_some_and(|g| g != "1"));
    let shifts = match () {
        () if has_depthwise => Shifts::Above,
        () if is_rectified => Shifts::Far,
        () => Shifts::Near,
    };
    let values = |variable: &str, shape: &Shape| {
        let uniform = |low, high| uniform(Philox::new(SEED + draw, name_hash(variable), 0), shape, low, high);
        match variable {
            "softmax_label" => classes(uniform(0.0, model.num_classes as f64)),
            "data" if is_text => classes(uniform(0.0, model.num_classes as f64)),
            _ => parameter(variable, shape, shifts, uniform),
        }
    };
    Case::of_graph((name.to_string(), name), graph, &[("data".to_string(), data)], &[], values)
}

/// The network with the fraction that `Dropout` drops set to zero, wherever it is random.
fn without_dropout(graph: &Graph) -> Result<Symbol> {
    let mut root: serde_json::Value = serde_json::from_str(&json::to_string(graph))?;
    for node in root["nodes"].as_array_mut().into_iter().flatten() {
        if node["op"] == "Dropout" || node["op"] == "RNN" {
            node["attrs"]["p"] = "0".into();
        }
    }
    Ok(json::from_str(&root.to_string())?)
}

fn uniform(stream: Philox, shape: &Shape, low: f64, high: f64) -> Vec<f64> {
    (0..shape.len()).map(|i| low + (high - low) * stream.uniform2(i as u64)[0]).collect()
}

/// Whole numbers.
fn classes(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(f64::floor).collect()
}

/// How a network's shifts (biases and betas) are drawn.
///
/// Those of rectified networks are some deviations away from zero: a rectifier passes all of a channel or nothing of it,
/// and few numbers lie near its kink.
#[derive(Clone, Copy)]
enum Shifts {
    /// A tenth at most.
    Near,
    /// Five to six, of either sign; weights are smaller by the root of [`RECTIFIED`], the mean square of what they meet.
    Far,
    /// Three: within both kinks of a rectifier that is cut off at six.
    Above,
}

/// The mean square of a number that is rectified with a chance of one half: of variance one, five and a half from zero.
const RECTIFIED: f64 = 15.6;

/// Values by what a variable's name says it is, such that activations and gradients stay of one order of magnitude: weights
/// uniform with a variance of one over fan-in and mean square of what they meet (He et al. 2015), scales and variances
/// near one.
fn parameter(name: &str, shape: &Shape, shifts: Shifts, uniform: impl Fn(f64, f64) -> Vec<f64>) -> Vec<f64> {
    let is = |suffix: &str| name.ends_with(suffix);
    let mean_square = if let Shifts::Far = shifts { RECTIFIED } else { 0.5 };
    if is("beta") || is("bias") {
        let share = uniform(0.0, 1.0).into_iter();
        return match shifts {
            Shifts::Near => share.map(|u| 0.2 * u - 0.1).collect(),
            Shifts::Above => share.map(|u| 2.8 + 0.4 * u).collect(),
            Shifts::Far => share.map(|u| if u < 0.5 { -6.0 + 2.0 * u } else { 4.0 + 2.0 * u }).collect(),
        };
    }
    let (low, high) = match () {
        () if is("gamma") => (0.9, 1.1),
        () if is("moving_var") => (0.5, 1.5),
        () if is("moving_mean") => (-0.1, 0.1),
        () if shape.rank() > 1 && is("weight") => {
            let fan_in: usize = shape.dims()[1..].iter().product();
            let bound = (3.0 / (mean_square * fan_in.max(1) as f64)).sqrt();
            (-bound, bound)
        }
        () => (-1.0, 1.0),
    };
    uniform(low, high)
}
