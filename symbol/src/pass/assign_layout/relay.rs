//! The new graph in the making.

use super::super::fold_constants::drop_unread;
use super::demand::Demand;
use super::order::{Order, between, then};
use super::wishes::{Role, Wishes};
use crate::placement::GROUP;
use crate::plan::EntryMap;
use crate::{Graph, HostArray, Node};
use std::collections::HashSet;
use std::sync::Arc;
use varflow_ops::{Attrs, Entry, Error, Operator, Params, Registry, Relaid, Result, Value};

/// The most orders that are tried for one node.
const MOST: usize = 8;

/// An entry of the old graph as the new one has it.
struct Version<'a> {
    order: Order,
    /// The group of the node that gives it.
    group: Option<&'a str>,
    entry: Entry,
}

/// The graph that is made of an old one.
pub(super) struct Relay<'a> {
    wishes: &'a Wishes<'a>,
    demand: &'a Demand,
    transpose: Arc<dyn Operator>,
    new: Graph,
    /// For each old entry what it is: an old entry, itself for all but aliases, with its axes in some order.
    means: EntryMap<(Entry, Order)>,
    /// The versions of each old entry, the one that its node gives first.
    versions: EntryMap<Vec<Version<'a>>>,
    /// The old nodes that have another name.
    renamed: Vec<bool>,
    /// The names of all nodes, old and new.
    names: HashSet<String>,
}

impl<'a> Relay<'a> {
    /// # Errors
    /// When nobody provides `transpose`.
    pub(super) fn new(wishes: &'a Wishes<'a>, demand: &'a Demand, registry: &Registry) -> Result<Relay<'a>> {
        let old = wishes.graph;
        Ok(Relay {
            wishes,
            demand,
            transpose: registry.operator("transpose")?.clone(),
            new: Graph { constants: old.constants.clone(), ..Graph::default() },
            means: EntryMap::from_fn(old, |e| (e, None)),
            versions: EntryMap::from_fn(old, |_| Vec::new()),
            renamed: vec![false; old.nodes.len()],
            names: old.nodes.iter().map(|node| node.name.clone()).collect(),
        })
    }

    /// # Errors
    /// As [`Wishes::permuted`].
    pub(super) fn run(mut self) -> Result<Graph> {
        let (old, wishes) = (self.wishes.graph, self.wishes);
        for (i, node) in old.nodes.iter().enumerate() {
            match &wishes.roles[i] {
                Role::Fixed => self.place(i, None)?,
                Role::Wanted(relaid) => self.place(i, Some(relaid))?,
                Role::Free => {
                    let best = self.best(i)?;
                    self.place(i, best.as_ref())?;
                }
                Role::Alias(order) => {
                    let (of, before) = &self.means[node.inputs[0]];
                    let meaning = (*of, then(before, order));
                    self.means[Entry { node: i, output: 0 }] = meaning;
                }
            }
        }
        for e in &old.outputs {
            let entry = self.read(*e, &None, wishes.group(e.node))?;
            self.new.outputs.push(entry);
        }
        let is_constant = |i: &usize| self.new.constants.contains_key(&self.new.nodes[*i].name);
        let constants: Vec<usize> = (0..self.new.nodes.len()).filter(is_constant).collect();
        drop_unread(&mut self.new, &constants);
        Ok(self.new)
    }

    /// The order in which a free node moves the fewest bytes, among those in which its inputs are at hand; `None`: as it is.
    fn best(&self, i: usize) -> Result<Option<Relaid>> {
        let inputs = &self.wishes.graph.nodes[i].inputs;
        let group = self.wishes.group(i);
        let mut candidates = Vec::new();
        for e in inputs {
            let (of, before) = &self.means[*e];
            let here = self.versions[*of].iter().filter(|version| version.group == group);
            for order in here.filter_map(|version| between(before, &version.order)) {
                if candidates.len() < MOST && !candidates.contains(&order) {
                    candidates.push(order);
                }
            }
        }
        let mut best = None;
        for order in &candidates {
            let Some(relaid) = self.wishes.permuted(i, order)? else { continue };
            let bytes = self.moved_bytes(i, Some(&relaid));
            if best.as_ref().is_none_or(|(least, _)| bytes < *least) {
                best = Some((bytes, relaid));
            }
        }
        Ok(best.filter(|(bytes, _)| *bytes <= self.moved_bytes(i, None)).map(|(_, relaid)| relaid))
    }

    /// The bytes of inputs that a node would need conversions of, and of outputs that others would.
    fn moved_bytes(&self, i: usize, relaid: Option<&Relaid>) -> u64 {
        let (inputs, group) = (&self.wishes.graph.nodes[i].inputs, self.wishes.group(i));
        let (mut bytes, mut seen) = (0_u64, HashSet::new());
        for (k, e) in inputs.iter().enumerate() {
            let order = relaid.and_then(|relaid| relaid.inputs[k].clone());
            if seen.insert(*e) && !self.is_at_hand(*e, &order, group) {
                bytes = bytes.saturating_add(self.wishes.len_bytes(*e));
            }
        }
        for output in 0..self.versions.node(i).len() {
            let entry = Entry { node: i, output };
            let order = relaid.and_then(|relaid| relaid.outputs[output].clone());
            let others = self.demand.others(entry, &order) as u64;
            bytes = bytes.saturating_add(self.wishes.len_bytes(entry).saturating_mul(others));
        }
        bytes
    }

    fn is_at_hand(&self, e: Entry, order: &Order, group: Option<&str>) -> bool {
        let (of, before) = &self.means[e];
        let order = &then(before, order);
        self.versions[*of].iter().any(|v| v.order == *order && v.group == group)
    }

    /// Adds the node, as it is or relaid.
    fn place(&mut self, i: usize, relaid: Option<&Relaid>) -> Result<()> {
        let group = self.wishes.group(i);
        let mut node = self.wishes.graph.nodes[i].clone();
        for (k, e) in node.inputs.iter_mut().enumerate() {
            let order = relaid.and_then(|relaid| relaid.inputs[k].clone());
            *e = self.read(*e, &order, group)?;
        }
        let outputs = relaid.map_or(&[][..], |relaid| &relaid.outputs);
        if let Some(relaid) = relaid {
            node.op = Some(relaid.op.clone());
            node.params = relaid.params.clone();
            Arc::make_mut(&mut node.attrs).extend(relaid.attrs.clone());
            self.renamed[i] = outputs.iter().any(Option::is_some);
            if self.renamed[i] {
                node.name = self.fresh(format!("{}_relaid", node.name));
            }
        }
        let to = self.push(node);
        for output in 0..self.versions.node(i).len() {
            let order = outputs.get(output).cloned().flatten();
            let version = Version { order, group, entry: Entry { node: to, output } };
            self.versions[Entry { node: i, output }].push(version);
        }
        // Here what it is converted from need not wait for the end of the graph.
        for output in 0..outputs.len() {
            let entry = Entry { node: i, output };
            if self.wishes.is_output(entry) {
                self.read(entry, &None, group)?;
            }
        }
        Ok(())
    }

    /// An old entry with its axes in this order, for a node of this group.
    fn read(&mut self, e: Entry, order: &Order, group: Option<&'a str>) -> Result<Entry> {
        let (of, before) = self.means[e].clone();
        let wanted = then(&before, order);
        if let Some(version) = self.versions[of].iter().find(|v| v.order == wanted && v.group == group) {
            return Ok(version.entry);
        }
        let (old, home) = (self.wishes.graph, self.wishes.group(of.node));
        let (from, is) = if group != home {
            // What crosses from group to group is as the graph has it.
            let from = self.read(e, &None, home)?;
            if order.is_none() {
                return Ok(from);
            }
            (from, before)
        } else if let Some(version) = self.versions[of].first() {
            (version.entry, version.order.clone())
        } else {
            let text = "is read by a node that comes before it, wanted it after";
            return Err(Error::Contract(text.to_string()).at(old.nodes[of.node].place()));
        };
        let Some(axes) = between(&is, &wanted) else { return Ok(from) };
        if let Some(value) = self.new.constants.get(&self.new.nodes[from.node].name).and_then(|v| v.permuted(&axes)) {
            let entry = self.constant(value, from, group);
            self.versions[of].push(Version { order: wanted, group, entry });
            return Ok(entry);
        }
        let axes = Value::Tuple(axes.axes().iter().map(|axis| *axis as i64).collect());
        let mut attrs = Attrs::from([("axes".to_string(), axes.to_string())]);
        let params = self.transpose.schema().parse(&attrs)?;
        attrs.extend(group.map(|group| (GROUP.to_string(), group.to_string())));
        let name = if order.is_none() && e != of {
            let alias = &old.nodes[e.node];
            let hidden = alias.attrs.iter().filter(|(name, _)| name.starts_with("__"));
            attrs.extend(hidden.map(|(name, value)| (name.clone(), value.clone())));
            alias.name.clone()
        } else if wanted.is_none() && group == home && of.output == 0 && self.is_free(of.node) {
            old.nodes[of.node].name.clone()
        } else {
            let name = old.nodes[of.node].output_name(of.output);
            self.fresh(match &wanted {
                Some(order) => format!("{name}_as_{}", order.axes().iter().map(usize::to_string).collect::<String>()),
                None => format!("{name}_as_is"),
            })
        };
        let node = Node { op: Some(self.transpose.clone()), name, params, attrs: attrs.into(), inputs: vec![from] };
        let entry = Entry { node: self.push(node), output: 0 };
        self.versions[of].push(Version { order: wanted, group, entry });
        Ok(entry)
    }

    /// A constant that is made of another.
    fn constant(&mut self, value: HostArray, of: Entry, group: Option<&str>) -> Entry {
        let name = self.fresh(format!("{}_as", self.new.nodes[of.node].name));
        self.new.constants.insert(name.clone(), Arc::new(value));
        let attrs: Attrs = group.map(|group| (GROUP.to_string(), group.to_string())).into_iter().collect();
        let node = Node { op: None, name, params: Params::default(), attrs: attrs.into(), inputs: Vec::new() };
        Entry { node: self.push(node), output: 0 }
    }

    /// Whether the name of an old node is free for what gives its first output.
    fn is_free(&self, i: usize) -> bool {
        self.renamed[i] && self.wishes.has_plain_name(i)
    }

    fn push(&mut self, node: Node) -> usize {
        self.new.nodes.push(node);
        self.new.nodes.len() - 1
    }

    /// A name that no node has.
    fn fresh(&mut self, mut name: String) -> String {
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}
