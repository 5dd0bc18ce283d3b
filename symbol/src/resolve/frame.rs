//! A node whose inputs are being visited: its parameters, and which input goes where.

use super::count;
use super::draft::Draft;
use crate::symbol::{Head, SymbolNode};
use std::sync::Arc;
use varflow_ops::{Attrs, Entry, Error, Operator, Params, Result};

/// Attributes that files from before MXNet 0.9 write without underscores, on a node (`lr_mult`) or, for one of its
/// inputs, on the consumer (`weight_lr_mult`).
const UNHIDDEN: [&str; 5] = ["ctx_group", "lr_mult", "wd_mult", "force_mirroring", "mirror_stage"];

/// Hidden attributes that say something of one tensor and so do not pass from a node to the variables made for it.
const OF_ONE_TENSOR: [&str; 4] = ["__shape__", "__dtype__", "__init__", "__storage_type__"];

/// A node whose inputs are being visited.
pub(super) struct Frame<'a> {
    pub(super) node: &'a Arc<SymbolNode>,
    pub(super) op: Option<Arc<dyn Operator>>,
    pub(super) params: Params,
    pub(super) attrs: Attrs,
    /// Attributes to hand to inputs that are variables: input, key, value.
    pub(super) for_inputs: Vec<(usize, String, String)>,
    /// The names of inputs and auxiliary states.
    pub(super) slots: Vec<String>,
    /// What is given for each of them.
    pub(super) given: Vec<Option<&'a Head>>,
    /// The inputs visited so far.
    pub(super) entries: Vec<Entry>,
}

impl<'a> Frame<'a> {
    /// Reads parameters and attributes, and puts the given inputs where they belong.
    pub(super) fn new(node: &'a Arc<SymbolNode>, op: Option<Arc<dyn Operator>>) -> Result<Self> {
        let mut frame = Frame {
            node,
            op: None,
            params: Params::default(),
            attrs: hide(&node.attrs),
            for_inputs: Vec::new(),
            slots: Vec::new(),
            given: Vec::new(),
            entries: Vec::new(),
        };
        if let Some(op) = op {
            frame.read_params(&*op)?;
            frame.place_inputs()?;
            frame.op = Some(op);
        }
        Ok(frame)
    }

    /// A variable for an input that is left out. It gets the node's hidden attributes, unless they say something of one tensor.
    pub(super) fn missing_variable(&self) -> Draft {
        let passes = |key: &str| key.starts_with("__") && key.ends_with("__") && !OF_ONE_TENSOR.contains(&key);
        let attrs = self.attrs.iter().filter(|(key, _)| passes(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
        Draft::new(None, None, Params::default(), attrs, Vec::new())
    }

    /// Reads the parameters, and from them the names of the inputs.
    fn read_params(&mut self, op: &dyn Operator) -> Result<()> {
        if op.is_variadic() && !self.attrs.contains_key("num_args") {
            self.attrs.insert("num_args".to_string(), self.node.inputs.len().to_string());
        }
        let mut aside = Vec::new();
        self.attrs.retain(|key, value| {
            let suffix = UNHIDDEN.iter().find(|h| key.strip_suffix(*h).is_some_and(|k| k.ends_with('_')));
            let Some(suffix) = suffix.filter(|_| !key.starts_with("__") && !op.schema().has(key)) else { return true };
            let input = key[..key.len() - suffix.len() - 1].to_string();
            aside.push((input, key.clone(), format!("__{suffix}__"), std::mem::take(value)));
            false
        });
        self.params = op.schema().parse(&self.attrs)?;
        op.check(&self.params)?;
        self.slots = op.inputs(&self.params);
        let (n, wanted) = (self.node.inputs.len(), self.slots.len());
        if op.is_variadic() && n < wanted {
            let text = format!("has {}, but its parameter num_args is {wanted}", count(n, "input"));
            return Err(Error::Param(text));
        }
        self.slots.extend(op.auxiliaries(&self.params));
        for (input, key, hidden, value) in aside {
            let Some(slot) = self.slots.iter().position(|s| *s == input) else {
                return Err(Error::Param(format!("unknown parameter \"{key}\": it has no input \"{input}\"")));
            };
            self.for_inputs.push((slot, hidden, value));
        }
        Ok(())
    }

    /// Puts the given inputs where they belong: those with a name there, the others in order into what is left.
    fn place_inputs(&mut self) -> Result<()> {
        let node = self.node;
        self.given = vec![None; self.slots.len()];
        for input in &node.inputs {
            let Some(name) = &input.slot else { continue };
            let slot = self.slots.iter().position(|s| s == name).ok_or_else(|| {
                Error::Param(format!("unknown input \"{name}\": wanted one of {}", self.slots.join(", ")))
            })?;
            if let Some(other) = self.given[slot].replace(&input.from) {
                let (a, b) = (other.node.place(), input.from.node.place());
                return Err(Error::Param(format!("input {name} is given twice: as {a} and as {b}")));
            }
        }
        let mut free = 0;
        for input in node.inputs.iter().filter(|i| i.slot.is_none()) {
            while self.given.get(free).is_some_and(Option::is_some) {
                free += 1;
            }
            let Some(slot) = self.given.get_mut(free) else {
                let (n, wanted) = (count(node.inputs.len(), "input"), self.slots.len());
                return Err(Error::Param(format!("has {n}, wanted {wanted}: {}", self.slots.join(", "))));
            };
            *slot = Some(&input.from);
        }
        Ok(())
    }
}

/// Writes attributes that old files leave unhidden the way they are written now.
fn hide(attrs: &Attrs) -> Attrs {
    let hidden = |key: &String| UNHIDDEN.contains(&key.as_str()).then(|| format!("__{key}__"));
    attrs.iter().map(|(key, value)| (hidden(key).unwrap_or_else(|| key.clone()), value.clone())).collect()
}
