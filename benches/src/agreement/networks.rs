//! The networks of the zoo, with random parameters, as cases.

use super::case::Case;
use crate::Result;
use varflow::ops::{Philox, Registry, Shape, name_hash};
use varflow::symbol::{Graph, Symbol, json};
use varflow::zoo;

/// The numbers of all parameters and data hang on it.
const SEED: u64 = 20;

/// Networks of smaller samples than this many numbers are given two, others one.
const LARGE_SAMPLE: usize = 10_000;

/// The names of all networks.
pub fn names() -> impl Iterator<Item = String> {
    zoo::names()
}

/// The network of this name.
///
/// # Errors
/// A network that the zoo does not have or that does not resolve.
pub fn case(registry: &Registry, name: &str) -> Result<Case> {
    let model = zoo::by_name(name)?;
    let graph = without_dropout(&model.symbol.resolve(registry)?)?.resolve(registry)?;
    let samples = if model.data_shape.len() < LARGE_SAMPLE { 2 } else { 1 };
    let data: Shape = std::iter::once(samples).chain(model.data_shape.dims().iter().copied()).collect();
    let is_text = graph.nodes.iter().any(|n| n.op.as_ref().is_some_and(|op| op.name() == "Embedding"));
    let has = |op: &str| graph.nodes.iter().any(|n| n.op.as_ref().is_some_and(|o| o.name() == op));
    let is_rectified = graph.nodes.iter().any(|n| n.attrs.get("act_type").is_some_and(|kind| kind == "relu"));
    // A channel that passes nothing leaves a convolution of its own without variance.
    let has_depthwise = graph.nodes.iter().any(|n| n.attrs.get("num_group").is_some_and(|g| g != "1"));
    let shifts = match () {
        () if has_depthwise => Shifts::Above,
        () if is_rectified && has("BatchNorm") => Shifts::Far,
        () if is_rectified => Shifts::FarOf(RECTIFIED),
        () => Shifts::Near,
    };
    let draw = |variable: &str, shape: &Shape| match variable {
        "data" if is_text => classes(variable, shape, model.num_classes),
        "softmax_label" => classes(variable, shape, model.num_classes),
        _ => parameter(variable, shape, shifts),
    };
    Case::of_graph((name.to_string(), name), graph, &[("data".to_string(), data)], &[], draw)
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

fn uniform(name: &str, shape: &Shape, low: f64, high: f64) -> Vec<f64> {
    let stream = Philox::new(SEED, name_hash(name), 0);
    (0..shape.len()).map(|i| low + (high - low) * stream.uniform2(i as u64)[0]).collect()
}

/// Whole numbers below `n`.
fn classes(name: &str, shape: &Shape, n: usize) -> Vec<f64> {
    uniform(name, shape, 0.0, n as f64).into_iter().map(f64::floor).collect()
}

/// How a network's shifts (biases and betas) are drawn.
///
/// A number near a rectifier's kink falls on one side in one program and on the other in another, for a last place of
/// difference, and the gradients then differ by whole terms of their sums. So shifts of rectified networks are some
/// deviations away from zero, and a rectifier passes all of a channel or nothing of it, but for the odd number.
#[derive(Clone, Copy)]
enum Shifts {
    /// A tenth at most.
    Near,
    /// Five to six, of either sign.
    Far,
    /// The same, and weights are smaller by the root of this mean square of what they meet, since no normalisation does it.
    FarOf(f64),
    /// Three: within both kinks of a rectifier that is cut off at six.
    Above,
}

/// The mean square of a number that is rectified with a chance of one half: of variance one, five and a half from zero.
const RECTIFIED: f64 = 15.6;

/// Values by what a variable's name says it is, such that activations and gradients stay of one order of magnitude: weights
/// uniform with a variance of one over fan-in and mean square of what they meet (He et al. 2015), scales and variances
/// near one.
fn parameter(name: &str, shape: &Shape, shifts: Shifts) -> Vec<f64> {
    let is = |suffix: &str| name.ends_with(suffix);
    let mean_square = if let Shifts::FarOf(mean_square) = shifts { mean_square } else { 0.5 };
    if is("beta") || is("bias") {
        let share = uniform(name, shape, 0.0, 1.0).into_iter();
        return match shifts {
            Shifts::Near => share.map(|u| 0.2 * u - 0.1).collect(),
            Shifts::Above => share.map(|u| 2.8 + 0.4 * u).collect(),
            Shifts::Far | Shifts::FarOf(_) => {
                share.map(|u| if u < 0.5 { -6.0 + 2.0 * u } else { 4.0 + 2.0 * u }).collect()
            }
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
    uniform(name, shape, low, high)
}
