//! Nodes on their way into a graph, and how those without a name get one.

use super::count;
use crate::graph::Node;
use crate::symbol::SymbolNode;
use std::collections::HashMap;
use std::sync::Arc;
use varflow_ops::{Attrs, Entry, Error, Operator, Params, Result};

/// A node whose name may still be missing.
pub(super) struct Draft {
    pub(super) op: Option<Arc<dyn Operator>>,
    pub(super) attrs: Attrs,
    /// For a variable made for an input that was left out: the node that reads it, and the input's name.
    pub(super) made_for: Option<(usize, String)>,
    /// How many outputs users see.
    pub(super) visible: usize,
    total: usize,
    name: Option<String>,
    /// What an automatic name begins with.
    prefix: String,
    params: Params,
    inputs: Vec<Entry>,
}

impl Draft {
    pub(super) fn new(
        op: Option<Arc<dyn Operator>>,
        of: Option<&SymbolNode>,
        params: Params,
        attrs: Attrs,
        inputs: Vec<Entry>,
    ) -> Draft {
        let counts = |op: &Arc<dyn Operator>| (op.num_visible_outputs(&params), op.outputs(&params).len());
        let (visible, total) = op.as_ref().map_or((1, 1), counts);
        let name = of.and_then(|node| node.name.clone());
        let prefix = of.map(|node| node.prefix.clone()).unwrap_or_default();
        Draft { op, attrs, made_for: None, visible, total, name, prefix, params, inputs }
    }

    /// `Convolution "conv1"`, for errors.
    pub(super) fn place(&self) -> String {
        let op = self.op.as_ref().map_or("variable", |op| op.name());
        self.name.as_ref().map_or_else(|| format!("{op} (unnamed)"), |name| format!("{op} \"{name}\""))
    }

    /// The number of an output, if there is such a one.
    pub(super) fn checked_output(&self, output: usize) -> Result<usize> {
        if output < self.total {
            return Ok(output);
        }
        let text = format!("has {}, there is no output {output}", count(self.total, "output"));
        Err(Error::Param(text).at(self.place()))
    }
}

/// Names all nodes: given names first, then automatic ones, then those of variables made for inputs.
pub(super) fn into_nodes(mut drafts: Vec<Draft>) -> Result<Vec<Node>> {
    let mut taken: HashMap<String, usize> = HashMap::new();
    for (i, draft) in drafts.iter().enumerate() {
        let Some(name) = &draft.name else { continue };
        if let Some(other) = taken.insert(name.clone(), i) {
            return Err(twice(name, &drafts[other].place(), &draft.place()));
        }
    }
    let mut counters: HashMap<String, usize> = HashMap::new();
    for (i, draft) in drafts.iter_mut().enumerate() {
        let (None, Some(op)) = (&draft.name, &draft.op) else { continue };
        let kind = format!("{}{}", draft.prefix, op.name().to_lowercase());
        let number = counters.entry(kind.clone()).or_default();
        let name = loop {
            let name = format!("{kind}{number}");
            *number += 1;
            if !taken.contains_key(&name) {
                break name;
            }
        };
        taken.insert(name.clone(), i);
        draft.name = Some(name);
    }
    for i in 0..drafts.len() {
        let Some((consumer, slot)) = drafts[i].made_for.take() else { continue };
        let consumer = &drafts[consumer];
        let name = format!("{}_{slot}", consumer.name.as_deref().unwrap_or_default());
        if let Some(other) = taken.insert(name.clone(), i) {
            let made = format!("the variable for input {slot} of {}", consumer.place());
            return Err(twice(&name, &drafts[other].place(), &made));
        }
        drafts[i].name = Some(name);
    }
    let node = |d: Draft| {
        let Draft { op, attrs, name, params, inputs, .. } = d;
        Node { op, name: name.unwrap_or_default(), params, attrs: attrs.into(), inputs }
    };
    Ok(drafts.into_iter().map(node).collect())
}

fn twice(name: &str, a: &str, b: &str) -> Error {
    Error::Param(format!(
        "the name \"{name}\" is used twice: by {a} and by {b}; to use one variable in two places, clone its symbol"
    ))
}
