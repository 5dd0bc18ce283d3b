//! From a graph and what is known of its variables to all that is to be run: forward and backward nodes with every shape,
//! and who gets which gradient.

use super::options::{BindOptions, GradReq};
use crate::pass::{Draft, Stage};
use crate::placement::{GROUP, group_of, place, set_group};
use crate::plan::{EntryMap, View, runs, views, wanted};
use crate::recompute::Rewritten;
use crate::{Graph, Node, gradient, infer_dtypes, infer_shapes};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use varflow_ops::{Attrs, DType, Entry, Error, PartialShape, Registry, Result, Shape, TensorDesc};

/// The gradient of an argument.
pub(super) struct Grad {
    /// The argument's node.
    pub(super) argument: usize,
    /// Where it is computed. `None`: nothing flows there, it is zero.
    pub(super) entry: Option<Entry>,
    /// With [`GradReq::Add`], the variable that stands for the gradient so far: the same tensor as `entry`.
    pub(super) so_far: Option<usize>,
}

/// A graph ready to be planned and bound.
pub(super) struct Network {
    /// The outputs that users see, then the gradients.
    pub(super) graph: Graph,
    pub(super) descs: EntryMap<TensorDesc>,
    pub(super) wanted: EntryMap<bool>,
    /// The group of every node: one number a group of the options, 0 for the others.
    pub(super) groups: Vec<usize>,
    /// The results that are the bytes of others.
    pub(super) views: EntryMap<Option<View>>,
    /// The nodes that run: forward, and for training backward.
    pub(super) phases: Vec<Vec<usize>>,
    pub(super) arguments: Vec<usize>,
    pub(super) auxiliaries: Vec<usize>,
    pub(super) outputs: Vec<Entry>,
    /// For each output the variable that stands for its gradient, if it takes one.
    pub(super) head_grads: Vec<Option<usize>>,
    pub(super) grads: Vec<Grad>,
}

impl Network {
    pub(super) fn new(
        forward: &Graph,
        registry: &Registry,
        given: &[(String, Shape)],
        options: &BindOptions,
    ) -> Result<Network> {
        let Passed { draft, users, wrt, grads, heads } = Passed::new(forward, registry, given, options)?;
        let (mut graph, num_forward, num_outputs) = (draft.graph, draft.num_forward, heads.len());
        let mut computed = graph.outputs.split_off(num_outputs).into_iter();
        let mut net = Network::of(Draft { graph, ..draft }, &users)?;
        if !options.for_training {
            net.wanted = wanted(&net.graph);
            net.phases = vec![net.running(0..net.graph.nodes.len())];
            net.find_views(options);
            return Ok(net);
        }
        let numbers = net.numbers();
        net.head_grads = heads.iter().map(|h| h.as_ref().and_then(|name| numbers.get(name).copied())).collect();
        let mut append = Append { registry, taken: net.outputs.iter().copied().collect(), appended: Vec::new() };
        for (name, is_computed) in wrt.iter().zip(grads) {
            let entry = if is_computed { computed.next() } else { None };
            let Some(&argument) = numbers.get(name) else { continue };
            if entry.is_some() || options.grad_req.contains_key(name) {
                let grad = append.gradient(&mut net.graph, argument, entry, grad_req(name, given, options))?;
                net.graph.outputs.extend(grad.entry);
                net.grads.push(grad);
            }
        }
        let appended = append.appended;
        let old_len = net.graph.nodes.len() - appended.len();
        let appended = |i: usize| i.checked_sub(old_len).map(|i| &appended[i]);
        let like = |e: Entry| appended(e.node).map_or(e, |a| Entry { node: a.like, output: 0 });
        net.descs = EntryMap::from_fn(&net.graph, |e| net.descs[like(e)].clone());
        net.wanted = wanted(&net.graph);
        let mut backward = net.running(num_forward..net.graph.nodes.len());
        // The sort keeps the order of equals, so an appended node comes right after the one that it reads.
        backward.sort_by_key(|i| appended(*i).map_or(*i, |a| a.after));
        net.phases = vec![net.running(0..num_forward), backward];
        net.find_views(options);
        Ok(net)
    }

    /// The same network, run as a rewritten graph says.
    ///
    /// # Errors
    /// [`Error::Contract`] when something that users see is not in the new graph.
    pub(super) fn rewritten(&self, to: Rewritten, options: &BindOptions) -> Result<Network> {
        let lost =
            |node: usize| Error::Contract("is lost in recomputation".to_string()).at(self.graph.nodes[node].place());
        let node = |old: &usize| to.node(*old).ok_or_else(|| lost(*old));
        let entry = |old: &Entry| to.entry(*old).ok_or_else(|| lost(old.node));
        let grad = |old: &Grad| {
            let (entry, so_far) = (old.entry.as_ref().map(entry), old.so_far.as_ref().map(node));
            Ok(Grad { argument: node(&old.argument)?, entry: entry.transpose()?, so_far: so_far.transpose()? })
        };
        let mut net = Network {
            arguments: self.arguments.iter().map(node).collect::<Result<_>>()?,
            auxiliaries: self.auxiliaries.iter().map(node).collect::<Result<_>>()?,
            outputs: self.outputs.iter().map(entry).collect::<Result<_>>()?,
            head_grads: self.head_grads.iter().map(|h| h.as_ref().map(node).transpose()).collect::<Result<_>>()?,
            grads: self.grads.iter().map(grad).collect::<Result<_>>()?,
            wanted: wanted(&to.graph),
            graph: to.graph,
            descs: to.descs,
            phases: to.phases,
            groups: Vec::new(),
            views: EntryMap::default(),
        };
        net.find_views(options);
        Ok(net)
    }

    /// Groups, and the views that they allow.
    fn find_views(&mut self, options: &BindOptions) {
        let names = options.group_names();
        let group = |node| group_of(node, &names).map_or(0, |g| 1 + names.iter().take_while(|n| **n < g).count());
        self.groups = self.graph.nodes.iter().map(group).collect();
        self.views = views(&self.graph, &self.descs, &self.groups);
    }

    /// The outputs whose tensors are this network's own until they are computed: not those of variables, nor gradients that are
    /// added to, nor those that go into tensors that users or other executors bring.
    pub(super) fn hosts(&self, options: &BindOptions) -> HashSet<Entry> {
        let is_brought = |grad: &Grad| {
            let name = &self.graph.nodes[grad.argument].name;
            options.grads.contains_key(name) || options.sharing.as_ref().is_some_and(|s| s.grads.contains_key(name))
        };
        let others = self.grads.iter().filter(|grad| grad.so_far.is_some() || is_brought(grad)).filter_map(|g| g.entry);
        let mut hosts: HashSet<Entry> = self.graph.outputs.iter().copied().collect();
        hosts.retain(|entry| self.graph.nodes[entry.node].op.is_some());
        for entry in others {
            hosts.remove(&entry);
        }
        hosts
    }

    fn running(&self, nodes: std::ops::Range<usize>) -> Vec<usize> {
        nodes.filter(|i| runs(&self.graph, &self.wanted, *i)).collect()
    }

    /// The number of each node, by name.
    fn numbers(&self) -> HashMap<String, usize> {
        self.graph.nodes.iter().enumerate().map(|(i, node)| (node.name.clone(), i)).collect()
    }

    /// # Errors
    /// A pass that took out a variable, or left open what shape an entry has.
    fn of(draft: Draft, users: &Users) -> Result<Network> {
        let numbers = draft.numbers();
        let find = |name: &String| {
            let missing = || Error::Contract(format!("passes have taken out the variable \"{name}\""));
            numbers.get(name.as_str()).copied().ok_or_else(missing)
        };
        let arguments = users.arguments.iter().map(find).collect::<Result<_>>()?;
        let auxiliaries = users.auxiliaries.iter().map(find).collect::<Result<_>>()?;
        let descs = draft.complete_descs()?;
        let outputs = draft.graph.outputs.clone();
        Ok(Network {
            graph: draft.graph,
            descs,
            wanted: EntryMap::default(),
            groups: Vec::new(),
            views: EntryMap::default(),
            phases: Vec::new(),
            arguments,
            auxiliaries,
            head_grads: vec![None; outputs.len()],
            outputs,
            grads: Vec::new(),
        })
    }
}

/// The names of the variables that users see.
struct Users {
    arguments: Vec<String>,
    auxiliaries: Vec<String>,
}

fn names_of(graph: &Graph, nodes: &[usize]) -> Vec<String> {
    nodes.iter().map(|i| graph.nodes[*i].name.clone()).collect()
}

fn describe_all(graph: &Graph, shapes: &[Vec<Shape>], dtypes: &[Vec<DType>]) -> EntryMap<Option<TensorDesc>> {
    let desc = |e: Entry| TensorDesc::new(shapes[e.node][e.output].clone(), dtypes[e.node][e.output]);
    EntryMap::from_fn(graph, |e| Some(desc(e)))
}

/// The graph that an executor bound so runs, once passes have run. Bound for training it is the whole graph, and the gradients
/// come after the network's outputs.
///
/// # Errors
/// As [`Executor::bind_graph`](super::Executor::bind_graph), but for tensors and kernels.
pub fn passed(graph: &Graph, registry: &Registry, given: &[(String, Shape)], options: &BindOptions) -> Result<Draft> {
    Ok(Passed::new(graph, registry, given, options)?.draft)
}

/// A network that passes have been over, and who is who in it.
struct Passed {
    /// Gradients come after the outputs that users see.
    draft: Draft,
    users: Users,
    /// The arguments whose gradients are asked for, and which of these are computed.
    wrt: Vec<String>,
    grads: Vec<bool>,
    /// For each output the name of the variable that stands for its gradient, if it takes one.
    heads: Vec<Option<String>>,
}

impl Passed {
    fn new(forward: &Graph, registry: &Registry, given: &[(String, Shape)], options: &BindOptions) -> Result<Passed> {
        let groups = options.groups.keys().map(String::as_str).collect();
        let placed = if options.groups.is_empty() { None } else { Some(place(forward, registry, &groups)?) };
        let forward = placed.as_ref().unwrap_or(forward);
        let (arguments, auxiliaries) = (forward.arguments(), forward.auxiliaries());
        check_names(forward, &arguments, &auxiliaries, options)?;
        let shapes = forward_shapes(forward, given, options)?;
        let dtypes = infer_dtypes(forward, &given_dtypes(options))?;
        let users = Users { arguments: names_of(forward, &arguments), auxiliaries: names_of(forward, &auxiliaries) };
        let mut draft = Draft::new(forward.clone(), describe_all(forward, &shapes, &dtypes));
        draft.data = given.iter().map(|(name, _)| name.clone()).collect();
        draft.samples_at_a_time = options.samples_at_a_time;
        if !options.for_training {
            options.passes.run(&mut draft, registry, Stage::Inference)?;
            let heads = vec![None; draft.graph.outputs.len()];
            return Ok(Passed { draft, users, wrt: Vec::new(), grads: Vec::new(), heads });
        }
        options.passes.run(&mut draft, registry, Stage::Forward)?;
        let asked_for = |a: &&String| grad_req(a, given, options) != GradReq::Null;
        let wrt: Vec<String> = users.arguments.iter().filter(asked_for).cloned().collect();
        let Differentiated { mut draft, grads, heads } = differentiate(&draft, registry, &wrt)?;
        // To passes the gradients are outputs like others.
        draft.graph.outputs.extend(grads.iter().flatten());
        options.passes.run(&mut draft, registry, Stage::Training)?;
        Ok(Passed { draft, users, wrt, grads: grads.iter().map(Option::is_some).collect(), heads })
    }
}

/// A graph with gradients.
struct Differentiated {
    draft: Draft,
    /// The gradient of each argument asked for.
    grads: Vec<Option<Entry>>,
    /// For each output the name of the variable that stands for its gradient, if it takes one.
    heads: Vec<Option<String>>,
}

/// Appends the gradients of the arguments `wrt`.
fn differentiate(forward: &Draft, registry: &Registry, wrt: &[String]) -> Result<Differentiated> {
    let numbers = forward.numbers();
    let wrt: Vec<usize> = wrt.iter().filter_map(|name| numbers.get(name.as_str()).copied()).collect();
    let made = gradient(&forward.graph, registry, &wrt)?;
    let variables = forward.graph.nodes.iter().enumerate().filter(|(_, node)| node.op.is_none());
    let known: Vec<(&str, &TensorDesc)> = variables
        .filter_map(|(i, n)| Some((n.name.as_str(), forward.descs[Entry { node: i, output: 0 }].as_ref()?)))
        .collect();
    let shapes: Vec<(&str, PartialShape)> = known.iter().map(|(n, d)| (*n, PartialShape::from(&d.shape))).collect();
    let dtypes: Vec<(&str, DType)> = known.iter().map(|(n, d)| (*n, d.dtype)).collect();
    let (shapes, dtypes) = (infer_shapes(&made.graph, &shapes)?, infer_dtypes(&made.graph, &dtypes)?);
    let descs = describe_all(&made.graph, &shapes, &dtypes);
    let heads = made.head_grads.iter().map(|h| h.map(|i| made.graph.nodes[i].name.clone())).collect();
    let draft = Draft { num_forward: made.num_forward, ..Draft::new(made.graph, descs) };
    Ok(Differentiated { draft, grads: made.grads, heads })
}

/// A node that the executor adds: the node whose shape and dtype it has, and the node that it runs after.
struct Appended {
    like: usize,
    after: usize,
}

/// Adds nodes where a gradient cannot be computed right into its tensor: it is added to what is there, or it is also
/// something else.
struct Append<'a> {
    registry: &'a Registry,
    /// The entries that have a tensor of their own already.
    taken: HashSet<Entry>,
    appended: Vec<Appended>,
}

impl Append<'_> {
    fn gradient(&mut self, graph: &mut Graph, argument: usize, from: Option<Entry>, req: GradReq) -> Result<Grad> {
        let Some(from) = from else { return Ok(Grad { argument, entry: None, so_far: None }) };
        let (mut entry, mut so_far) = (from, None);
        if req == GradReq::Add {
            let sum = self.node(graph, (argument, "so_far"), None, from, Vec::new())?;
            entry = self.node(graph, (argument, "sum"), Some("_grad_add"), from, vec![sum, from])?;
            so_far = Some(sum.node);
        } else if graph.nodes[from.node].op.is_none() || self.taken.contains(&from) {
            entry = self.node(graph, (argument, "copy"), Some("_copy"), from, vec![from])?;
        }
        self.taken.insert(entry);
        Ok(Grad { argument, entry: Some(entry), so_far })
    }

    fn node(
        &mut self,
        graph: &mut Graph,
        (argument, suffix): (usize, &str),
        op: Option<&str>,
        after: Entry,
        inputs: Vec<Entry>,
    ) -> Result<Entry> {
        let op = op.map(|op| self.registry.operator(op).cloned()).transpose()?;
        let params = op.as_ref().map(|op| op.schema().parse(&Attrs::new())).transpose()?.unwrap_or_default();
        let name = format!("{}_grad_{suffix}", graph.nodes[argument].name);
        let mut attrs = Arc::default();
        set_group(&mut attrs, graph.nodes[argument].attrs.get(GROUP).map(String::as_str));
        graph.nodes.push(Node { op, name, params, attrs, inputs });
        self.appended.push(Appended { like: argument, after: after.node });
        Ok(Entry { node: graph.nodes.len() - 1, output: 0 })
    }
}

fn grad_req(argument: &str, given: &[(String, Shape)], options: &BindOptions) -> GradReq {
    let default = if given.iter().any(|(n, _)| n == argument) { GradReq::Null } else { GradReq::Write };
    options.grad_req.get(argument).copied().unwrap_or(default)
}

fn check_names(graph: &Graph, arguments: &[usize], auxiliaries: &[usize], options: &BindOptions) -> Result<()> {
    let (arguments, auxiliaries) = (names_of(graph, arguments), names_of(graph, auxiliaries));
    let refuse = |what: &str, name: &str, wanted: &[String]| {
        Err(Error::Param(format!("{what} names \"{name}\", wanted one of {}", wanted.join(", "))))
    };
    let known: HashSet<&String> = arguments.iter().chain(&auxiliaries).collect();
    if let Some(name) = options.shared.keys().find(|n| !known.contains(n)) {
        return refuse("shared", name, &[arguments, auxiliaries].concat());
    }
    let known: HashSet<&String> = arguments.iter().collect();
    if let Some(name) = options.grads.keys().find(|n| !known.contains(n)) {
        return refuse("grads", name, &arguments);
    }
    if let Some(name) = options.grad_req.keys().find(|n| !known.contains(n)) {
        return refuse("grad_req", name, &arguments);
    }
    Ok(())
}

/// Shapes from those given; where these leave some open, from those of shared tensors too. A shared tensor of another
/// shape than follows from the rest is left to be found by its own check, which can name it.
fn forward_shapes(graph: &Graph, given: &[(String, Shape)], options: &BindOptions) -> Result<Vec<Vec<Shape>>> {
    let given: Vec<(&str, PartialShape)> = given.iter().map(|(n, s)| (n.as_str(), s.into())).collect();
    let shapes = infer_shapes(graph, &given);
    if shapes.is_ok() || options.shared.is_empty() {
        return shapes;
    }
    let shared = options.shared.iter().map(|(n, t)| (n.as_str(), t.shape().into()));
    let is_new = |n: &str| !given.iter().any(|(g, _)| *g == n);
    let all: Vec<_> = given.iter().cloned().chain(shared.filter(|(n, _)| is_new(n))).collect();
    infer_shapes(graph, &all)
}

fn given_dtypes(options: &BindOptions) -> Vec<(&str, DType)> {
    let given = options.dtypes.iter().map(|(n, d)| (n.as_str(), *d));
    let is_new = |n: &str| !options.dtypes.iter().any(|(g, _)| g == n);
    let shared = options.shared.iter().map(|(n, t)| (n.as_str(), t.dtype()));
    given.chain(shared.filter(|(n, _)| is_new(n))).collect()
}

/// `float32 (10, 128)`.
pub(super) fn describe(desc: &TensorDesc) -> String {
    format!("{} {}", desc.dtype, desc.shape)
}
