//! The networks of the zoo, with random parameters, as cases.

use super::case::Case;
use crate::Result;
use varflow::ops::{Philox, Registry, Shape, name_hash};
use varflow::symbol::{Graph, Symbol, json};
use varflow::zoo;

/// The numbers of all parameters and data hang on it.
const SEED: u64 = 20;

/// Each network's name and the shape of its data.
const NETWORKS: &[(&str, &[usize])] = &[("mlp", &[2, 1, 28, 28]), ("lenet", &[2, 1, 28, 28])];
/// Classes; labels are below it.
const CLASSES: usize = 10;

/// The names of all networks.
pub fn names() -> impl Iterator<Item = &'static str> {
    NETWORKS.iter().map(|(name, _)| *name)
}

/// The network of this name.
///
/// # Errors
/// A network that the zoo does not have or that does not resolve.
pub fn case(registry: &Registry, name: &str) -> Result<Case> {
    let known = NETWORKS.iter().find(|(n, _)| *n == name);
    let (_, data) = known.ok_or_else(|| format!("there is no network \"{name}\""))?;
    let graph = without_dropout(&zoo::by_name(name)?.resolve(registry)?)?.resolve(registry)?;
    let given = [("data".to_string(), Shape::new(data))];
    Case::of_graph((name.to_string(), name), graph, &given, &[], draw)
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

/// Values by what a variable's name says it is, such that activations and gradients stay of one order of magnitude: weights
/// uniform with a variance of 2 over the fan-in (He et al. 2015), scales and variances near one, shifts near zero.
fn draw(name: &str, shape: &Shape) -> Vec<f64> {
    let stream = Philox::new(SEED, name_hash(name), 0);
    let uniform = |low: f64, high: f64| -> Vec<f64> {
        (0..shape.len()).map(|i| low + (high - low) * stream.uniform2(i as u64)[0]).collect()
    };
    let is = |suffix: &str| name.ends_with(suffix);
    match () {
        () if is("label") => uniform(0.0, CLASSES as f64).into_iter().map(f64::floor).collect(),
        () if is("gamma") => uniform(0.9, 1.1),
        () if is("moving_var") => uniform(0.5, 1.5),
        () if is("beta") || is("bias") || is("moving_mean") => uniform(-0.1, 0.1),
        () if shape.rank() > 1 && is("weight") => {
            let fan_in: usize = shape.dims()[1..].iter().product();
            let bound = (6.0 / fan_in.max(1) as f64).sqrt();
            uniform(-bound, bound)
        }
        () => uniform(-1.0, 1.0),
    }
}
