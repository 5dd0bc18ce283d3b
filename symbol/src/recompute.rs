//! Recomputation: results of the forward pass that are computed again where the backward pass reads them, so that they need
//! not wait in memory.
//!
//! What is run is a [`Script`]: nodes in execution order, in which a node's *recipe*, the nodes that compute its outputs
//! again (`recompute/recipes.rs`), may stand any number of times. Who reads a value reads the latest that was computed
//! before it. So to recompute a value is to put its recipe right before a reader, and everything else follows: who reads
//! what, how long each result lives (`recompute/lifetimes.rs`), and in the end the graph (`recompute/rewrite.rs`).
//!
//! Two ways to write a script:
//! - *Cheap* (`recompute/cheap.rs`): only what memory bandwidth bounds is computed twice, and what is kept is the smallest
//!   set of results from which all else can be had: a minimum cut.
//! - *Within a budget* (`recompute/shrink.rs`): as long as the peak is too high, some value that only waits there is
//!   recomputed after it: the one that gives the most bytes for the least time.

mod cheap;
mod cost;
mod facts;
mod lifetimes;
mod min_cut;
mod recipes;
mod rewrite;
mod script;
mod shrink;

pub(crate) use rewrite::Rewritten;

use crate::Graph;
use crate::plan::{EntryMap, View};
use facts::{Facts, NodeFacts};
use recipes::Recipes;
use rewrite::rewrite;
use script::Script;
use varflow_ops::{Registry, Result, TensorDesc};

/// Which results are computed a second time in the backward pass rather than kept for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recompute {
    /// None.
    #[default]
    None,
    /// Those of operators that memory bandwidth bounds (see [`Operator::is_cheap`](varflow_ops::Operator::is_cheap)), where
    /// that lets less be kept.
    Cheap,
}

/// How much more is computed than without recomputation, as a share of what a step computes without: 0 is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Extra {
    /// Of predicted time.
    pub(crate) time_ratio: f64,
    /// Of floating-point operations.
    pub(crate) flops_ratio: f64,
}

/// How many steps all tries to lower the peak of a network may walk over.
const WORK: usize = 20_000_000;

/// A network about to be planned, and what of it is to be recomputed.
pub(crate) struct Recomputation {
    recipes: Recipes,
    facts: Facts,
    plain: Script,
    script: Script,
    work: usize,
}

impl Recomputation {
    /// Of the graph that runs these nodes, phase by phase. Nothing is recomputed yet.
    ///
    /// # Errors
    /// What an operator says when it is asked how to compute it again.
    pub(crate) fn new(
        graph: &Graph,
        descs: &EntryMap<TensorDesc>,
        views: &EntryMap<Option<View>>,
        phases: &[Vec<usize>],
        registry: &Registry,
    ) -> Result<Recomputation> {
        let plain = Script::new(phases);
        let recipes = Recipes::new(graph, descs, views, &plain, registry)?;
        let facts = Facts::new(&recipes);
        Ok(Recomputation { script: plain.clone(), plain, recipes, facts, work: WORK })
    }

    /// Recomputes in the backward pass what is cheap.
    pub(crate) fn make_cheap(&mut self) {
        self.script = cheap::cheap(&self.plain, &self.recipes, &self.facts);
    }

    /// Says how much scratch memory each node takes, by its number in the graph.
    pub(crate) fn set_workspaces(&mut self, bytes: &[usize]) {
        self.facts.set_workspaces(&self.recipes, bytes);
    }

    /// Recomputes more until no more than `bytes` are alive at a time. Returns how many there are: more than `bytes` if it
    /// cannot be done.
    pub(crate) fn shrink(&mut self, bytes: usize) -> usize {
        shrink::shrink(&mut self.script, &self.facts, bytes, &mut self.work)
    }

    /// The graph that does what has been decided, without what is not needed to keep to `bytes`, and what it costs.
    pub(crate) fn rewritten(&self, bytes: usize) -> (Rewritten, Extra) {
        let mut script = self.script.clone();
        shrink::prune(&mut script, &self.facts, bytes, &mut WORK.clone());
        (rewrite(&self.recipes, &script), self.extra(&script))
    }

    fn extra(&self, script: &Script) -> Extra {
        let share = |of: fn(&NodeFacts) -> f64| {
            let plain: f64 = self.plain.steps().iter().map(|node| of(&self.facts.nodes[*node])).sum();
            let all: f64 = script.steps().iter().map(|node| of(&self.facts.nodes[*node])).sum();
            if plain > 0.0 { (all - plain) / plain } else { 0.0 }
        };
        Extra { time_ratio: share(|node| node.seconds), flops_ratio: share(|node| node.flops) }
    }
}
