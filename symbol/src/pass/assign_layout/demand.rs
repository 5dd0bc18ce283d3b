//! In which orders readers want what they read.

use super::order::{Order, then};
use super::wishes::{Role, Wishes};
use crate::plan::EntryMap;
use varflow_ops::{Entry, Result};

/// The most orders of an entry that are told apart; what is wanted in others is not counted.
const MOST: usize = 8;

/// How many readers want each entry in which order.
pub(super) struct Demand(EntryMap<Vec<(Order, usize)>>);

impl Demand {
    /// # Errors
    /// As [`Wishes::permuted`].
    pub(super) fn new(wishes: &Wishes<'_>) -> Result<Demand> {
        let graph = wishes.graph;
        let mut demand = Demand(EntryMap::from_fn(graph, |_| Vec::new()));
        graph.outputs.iter().for_each(|e| demand.add(*e, None, 1));
        for (i, node) in graph.nodes.iter().enumerate().rev() {
            match &wishes.roles[i] {
                Role::Fixed => node.inputs.iter().for_each(|e| demand.add(*e, None, 1)),
                Role::Wanted(relaid) => {
                    node.inputs.iter().zip(&relaid.inputs).for_each(|(e, order)| demand.add(*e, order.clone(), 1));
                }
                Role::Alias(order) => {
                    let of_alias = std::mem::take(&mut demand.0[Entry { node: i, output: 0 }]);
                    for (wanted, readers) in &of_alias {
                        demand.add(node.inputs[0], then(order, wanted), *readers);
                    }
                }
                Role::Free => {
                    // One that nobody reads wants nothing.
                    let of_output = demand.0[Entry { node: i, output: 0 }].iter().rev().max_by_key(|(_, n)| *n);
                    let Some((order, _)) = of_output.cloned() else { continue };
                    let relaid = order.and_then(|order| wishes.permuted(i, &order).transpose()).transpose()?;
                    for (k, e) in node.inputs.iter().enumerate() {
                        let order = relaid.as_ref().and_then(|relaid| relaid.inputs[k].clone());
                        demand.add(*e, order, 1);
                    }
                }
            }
        }
        Ok(demand)
    }

    fn add(&mut self, entry: Entry, order: Order, readers: usize) {
        let wanted = &mut self.0[entry];
        if let Some((_, n)) = wanted.iter_mut().find(|(known, _)| *known == order) {
            *n += readers;
        } else if wanted.len() < MOST {
            wanted.push((order, readers));
        }
    }

    /// In how many other orders than this an entry is wanted.
    pub(super) fn others(&self, entry: Entry, order: &Order) -> usize {
        self.0[entry].iter().filter(|(wanted, _)| wanted != order).count()
    }
}
