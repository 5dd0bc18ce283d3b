//! What to compute again when only what is cheap may be.
//!
//! What must be kept so that all else that the backward pass reads can be computed again is a vertex cut between what
//! cannot be (results of expensive or random operators) and what is read; that with the fewest bytes is a minimum cut (as in
//! the rematerialisation of PyTorch's functorch, 2022). Variables are there anyway, and weigh nothing.

use super::facts::{Facts, Value};
use super::min_cut::{FlowNetwork, UNBOUNDED};
use super::recipes::Recipes;
use super::script::Script;

/// The script with recipes in the backward phase, each before the first reader. Scripts that have none stay as they are.
pub(super) fn cheap(plain: &Script, recipes: &Recipes, facts: &Facts) -> Script {
    let phases: Vec<&[usize]> = plain.phases().collect();
    let [forward, backward] = phases[..] else { return plain.clone() };
    let Some(is_dropped) = dropped(forward, backward, recipes, facts) else { return plain.clone() };
    let mut is_there: Vec<bool> = is_dropped.iter().map(|d| !d).collect();
    let mut steps = Vec::with_capacity(2 * backward.len());
    for &node in backward {
        for value in facts.nodes[node].reads.iter().flatten() {
            compute_again(*value, facts, &mut is_there, &mut steps);
        }
        steps.push(node);
    }
    Script::new(&[forward.to_vec(), steps])
}

/// Puts recipes for a value and all that they read behind `steps`.
fn compute_again(value: Value, facts: &Facts, is_there: &mut [bool], steps: &mut Vec<usize>) {
    // A list of what is left to do, so that long chains take no stack: a value comes up again when its inputs are there.
    let mut open = vec![value];
    while let Some(&value) = open.last() {
        let recipe = facts.recipe[value].as_deref().filter(|_| !is_there[value]);
        let Some(recipe) = recipe else {
            is_there[value] = true;
            open.pop();
            continue;
        };
        let missing: Vec<Value> = facts.inputs_of(recipe).into_iter().filter(|v| !is_there[*v]).collect();
        if missing.is_empty() {
            steps.extend(recipe);
            let made = recipe.iter().flat_map(|node| &facts.nodes[*node].writes).flatten();
            made.for_each(|v| is_there[*v] = true);
            is_there[value] = true;
            open.pop();
        } else {
            open.extend(missing);
        }
    }
}

/// For each value whether it is computed again. `None` if the cut would take too long to find.
fn dropped(forward: &[usize], backward: &[usize], recipes: &Recipes, facts: &Facts) -> Option<Vec<bool>> {
    let num_values = facts.bytes.len();
    let (source, sink) = (2 * num_values, 2 * num_values + 1);
    let (before, behind) = (|v: Value| 2 * v, |v: Value| 2 * v + 1);
    let mut network = FlowNetwork::new(2 * num_values + 2);
    let made = forward.iter().flat_map(|node| &facts.nodes[*node].writes).flatten().copied();
    for value in made {
        network.add(before(value), behind(value), facts.bytes[value] as u64);
        let node = &recipes.graph.nodes[facts.entry[value].node];
        let is_cheap = node.op.as_ref().is_some_and(|op| op.is_cheap(&node.params));
        match facts.recipe[value].as_deref().filter(|_| is_cheap) {
            None => network.add(source, before(value), UNBOUNDED),
            Some(recipe) => {
                facts.inputs_of(recipe).into_iter().for_each(|v| network.add(behind(v), before(value), UNBOUNDED));
            }
        }
    }
    let read = backward.iter().flat_map(|node| &facts.nodes[*node].reads).flatten();
    let mut is_read = vec![false; num_values];
    read.for_each(|v| is_read[*v] = true);
    // What the backward pass itself computes is reached from nowhere.
    is_read.iter().enumerate().filter(|(_, read)| **read).for_each(|(v, _)| network.add(behind(v), sink, UNBOUNDED));
    let side = network.sink_side(source, sink)?;
    Some((0..num_values).map(|v| side[before(v)] && facts.recipe[v].is_some()).collect())
}
