//! Binding: tensors for everything, kernels for every node, and both together as tasks to be recorded.

use super::arena::{Arena, TenantId};
use super::fit::{Fitted, fit};
use super::network::{Network, describe};
use super::options::BindOptions;
use super::passes::{Task, Tasks};
use super::planned::Planned;
use super::{Executor, Named};
use crate::placement::{COPY, group_of};
use crate::plan::{EntryMap, Occupant, Place, Plan, View};
use crate::{Graph, Node};
use std::collections::hash_map::Entry as HashEntry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use varflow_engine::{Engine, Var};
use varflow_ops::{
    BoundOp, BoundTensors, DType, Entry, Error, Kernel, Operator, Result, Runtime, Shape, Storage, Tensor, TensorDesc,
};

pub(super) fn bind(rt: &Runtime, graph: &Graph, given: &[(String, Shape)], options: &BindOptions) -> Result<Executor> {
    if options.sharing.as_ref().is_some_and(|sharing| !sharing.engine.same(&rt.engine)) {
        let text = "the executor to share memory with belongs to another engine, wanted one of this runtime's";
        return Err(Error::Contract(text.to_string()));
    }
    let given_names = given.iter().map(|(name, _)| name.as_str());
    let fed = given_names.chain(graph.labels().into_iter().map(|i| graph.nodes[i].name.as_str())).collect();
    let Fitted { planned, report } = fit(&rt.registry, graph, given, options)?;
    let Planned { net, mut train, score, workspace_bytes, plan, .. } = planned;
    let arena = match &options.sharing {
        Some(sharing) if sharing.arena.storage.len_bytes() >= plan.planned_bytes => sharing.arena.clone(),
        _ => Arena::new(&rt.engine, Storage::zeroed(plan.planned_bytes)?),
    };
    let tensors = Tensors::new(&rt.engine, &net, &plan, &workspace_bytes, &fed, &arena, options)?;

    let names = options.group_names();
    let lane = |node: &Node| {
        let lanes = options.groups.get(group_of(node, &names)?)?;
        let is_copy = node.op.as_ref().is_some_and(|op| op.name() == COPY);
        Some(if is_copy { lanes.copy.clone() } else { lanes.compute.clone() })
    };
    let views = tensors.views(&net.graph, &plan);
    // Most nodes have but one, which has the same name.
    let mut outputs: HashMap<Vec<String>, Arc<[String]>> = HashMap::new();
    let mut tasks = |kernels: Vec<(usize, Box<dyn Kernel>)>| -> Result<Box<[Task]>> {
        let task = |(i, kernel)| {
            let node: &Node = &net.graph.nodes[i];
            let op = node.op.as_ref().ok_or_else(|| Error::Contract("runs nothing".to_string()).at(node.place()))?;
            let bound = tensors.bind(&net, &plan, i, &**op, kernel)?;
            let names = op.outputs(&node.params);
            let outputs = outputs.entry(names.clone()).or_insert_with(|| names.into()).clone();
            let views = views.get(&i).map_or_else(Box::default, |views| views.clone().into());
            Ok(Task { lane: lane(node), bound, outputs, views })
        };
        kernels.into_iter().map(task).collect()
    };
    let backward = if options.for_training { train.pop().unwrap_or_default() } else { Vec::new() };
    let backward = tasks(backward)?;
    let forward = tasks(train.pop().unwrap_or_default())?;
    let (train, score) = if options.for_training { (forward, tasks(score)?) } else { (Box::default(), forward) };
    let monitor_order = rt.engine.var();
    let in_arena = tensors.arena_vars(&plan);
    let tenant = TenantId::new(!in_arena.is_empty());
    let gate = if in_arena.is_empty() { rt.engine.gate() } else { arena.gate.clone() };
    let inside = in_arena.into_iter().chain([monitor_order.clone()]).collect();
    let variables = net.graph.nodes.iter().enumerate().filter(|(_, node)| node.op.is_none());
    let views = variables.filter_map(|(i, _)| views.get(&i)).flatten().cloned().collect();
    let tasks = Tasks { train, score, backward, views, seed: options.seed, gate, inside, monitor_order };
    let args = tensors.named(&net, &net.arguments)?;
    let auxes = tensors.named(&net, &net.auxiliaries)?;
    let outputs = tensors.outputs(&net)?;
    let head_grads = tensors.head_grads(&net)?;
    let grads = tensors.grads(&rt.engine, &net)?;
    // Recording takes memory too: what planning took is given back before.
    drop((net, plan, tensors));
    let passes = tasks.record(&rt.engine, None)?;
    Ok(Executor {
        engine: rt.engine.clone(),
        arena,
        tenant,
        for_training: options.for_training,
        can_go_back: false,
        tasks,
        passes,
        args,
        auxes,
        outputs,
        head_grads,
        grads,
        report,
    })
}

/// The tensor of every entry that has memory, and of every workspace.
struct Tensors {
    entries: EntryMap<Option<Tensor>>,
    workspaces: Vec<Option<Tensor>>,
}

impl Tensors {
    fn new(
        engine: &Engine,
        net: &Network,
        plan: &Plan,
        workspace_bytes: &[usize],
        fed: &HashSet<&str>,
        arena: &Arena,
        options: &BindOptions,
    ) -> Result<Tensors> {
        // What takes the same place has the same var: its tasks come one after the other anyway.
        let mut vars: HashMap<(usize, usize), Var> = HashMap::new();
        let mut in_arena = |start: usize, desc: TensorDesc| {
            let var = vars.entry((start, desc.len_bytes())).or_insert_with(|| engine.var()).clone();
            Tensor::in_storage(engine, var, arena.storage.clone(), start, desc)
        };
        let mut entries = EntryMap::from_fn(&net.graph, |_| None);
        let mut is_users = vec![false; net.graph.nodes.len()];
        net.arguments.iter().chain(&net.auxiliaries).for_each(|i| is_users[*i] = true);
        for (i, node) in net.graph.nodes.iter().enumerate().filter(|(_, n)| n.op.is_none()) {
            let entry = Entry { node: i, output: 0 };
            let desc = &net.descs[entry];
            // Variables that the passes add have names of their own making, which mean nothing to the options.
            let shared = options.shared.get(&node.name).filter(|_| is_users[i]);
            let from_other = options.sharing.as_ref().and_then(|s| s.tensors.get(&node.name)).filter(|_| is_users[i]);
            if let Some(value) = net.graph.constants.get(&node.name) {
                entries[entry] = Some(Tensor::from_bytes(engine, desc.clone(), &value.bytes)?);
                continue;
            }
            entries[entry] = Some(match (shared, from_other) {
                (Some(tensor), _) => checked_share(engine, "shared for", &node.name, tensor, desc)?,
                (None, Some(tensor)) if fed.contains(node.name.as_str()) => match tensor.first(desc.shape.clone()) {
                    Ok(tensor) if tensor.desc() == desc => tensor,
                    _ => Tensor::zeros(engine, desc.shape.clone(), desc.dtype)?,
                },
                (None, Some(tensor)) => checked_share(engine, "shared for", &node.name, tensor, desc)?,
                (None, None) if net.head_grads.contains(&Some(i)) => {
                    ones(engine, desc).map_err(|e| e.at(node.place()))?
                }
                (None, None) => Tensor::zeros(engine, desc.shape.clone(), desc.dtype)?,
            });
        }
        for grad in &net.grads {
            let name = &net.graph.nodes[grad.argument].name;
            let Some(entry) = grad.entry else { continue };
            let desc = &net.descs[entry];
            let given = match (options.grads.get(name), options.sharing.as_ref().and_then(|s| s.grads.get(name))) {
                (Some(tensor), _) => checked_share(engine, "given for the gradient of", name, tensor, desc)?,
                (None, Some(tensor)) if tensor.desc() == desc => tensor.clone(),
                _ => continue,
            };
            let to = grad.so_far.map_or(entry, |node| Entry { node, output: 0 });
            entries[to] = Some(given);
        }
        for grad in &net.grads {
            if let (Some(entry), Some(node)) = (grad.entry, grad.so_far) {
                entries[entry] = entries[Entry { node, output: 0 }].clone();
            }
        }
        for (entry, place) in plan.places.iter() {
            let desc = &net.descs[entry];
            match place {
                Place::Own if entries[entry].is_none() => {
                    entries[entry] = Some(Tensor::zeros(engine, desc.shape.clone(), desc.dtype)?);
                }
                Place::Arena(start) => entries[entry] = Some(in_arena(*start, desc.clone())?),
                Place::Own | Place::Nowhere | Place::View(_) | Place::Host(_) => {}
            }
        }
        let of = |entries: &EntryMap<Option<Tensor>>, entry: Entry, of: Entry| {
            let missing = || Error::Contract(format!("lies in the memory of {of:?}, which has none"));
            entries[of].clone().ok_or_else(|| missing().at(net.graph.nodes[entry.node].place()))
        };
        for (entry, place) in plan.places.iter() {
            if let Place::Host(host) = place {
                let host = of(&entries, entry, *host)?;
                entries[entry] = Some(host.beneath(engine.var(), net.descs[entry].clone())?);
            }
        }
        for (entry, place) in plan.places.iter() {
            if let Place::View(View { of: root, offset }) = place {
                let root = of(&entries, entry, *root)?;
                entries[entry] = Some(root.part(*offset, net.descs[entry].clone())?);
            }
        }
        let mut made: HashMap<(usize, usize), Tensor> = HashMap::new();
        let mut workspaces = vec![None; plan.workspaces.len()];
        for (node, start) in plan.workspaces.iter().enumerate() {
            let (Some(start), bytes) = (*start, workspace_bytes[node]) else { continue };
            workspaces[node] = Some(match made.entry((start, bytes)) {
                HashEntry::Occupied(made) => made.get().clone(),
                HashEntry::Vacant(place) => place.insert(in_arena(start, TensorDesc::new([bytes], DType::U8))?).clone(),
            });
        }
        Ok(Tensors { entries, workspaces })
    }

    fn bind(
        &self,
        net: &Network,
        plan: &Plan,
        i: usize,
        op: &dyn Operator,
        kernel: Box<dyn Kernel>,
    ) -> Result<BoundOp> {
        let node = &net.graph.nodes[i];
        let inputs = node.inputs.iter().map(|e| self.entry(net, *e)).collect::<Result<Vec<_>>>()?;
        let outputs = self.entries.node(i).to_vec();
        let workspace = self.workspaces[i].clone();
        // Those that it overwrites itself need no mention.
        let mut seen: HashSet<usize> = outputs.iter().flatten().chain(&workspace).map(|t| t.var().number()).collect();
        let clobbers = plan.clobbers[i].iter().filter_map(|o| self.var(*o));
        let clobbers: Vec<Var> = clobbers.filter(|var| seen.insert(var.number())).cloned().collect();
        let tensors = BoundTensors { inputs, outputs, workspace };
        BoundOp::new(op, &node.params, &node.name, kernel, tensors, &clobbers)
    }

    /// The views of the results of each node.
    fn views(&self, graph: &Graph, plan: &Plan) -> HashMap<usize, Vec<Named>> {
        let mut views: HashMap<usize, Vec<Named>> = HashMap::new();
        for (entry, place) in plan.places.iter() {
            if let (Place::View(View { of, .. }), Some(tensor)) = (place, &self.entries[entry]) {
                let name = graph.nodes[entry.node].output_name(entry.output);
                views.entry(of.node).or_default().push((name, tensor.clone()));
            }
        }
        views
    }

    /// The vars of all that lies in the arena, or in the memory of an output before it is computed.
    fn arena_vars(&self, plan: &Plan) -> Vec<Var> {
        let inside = plan.places.iter().filter(|(_, place)| matches!(place, Place::Arena(_) | Place::Host(_)));
        let entries = inside.filter_map(|(entry, _)| self.entries[entry].as_ref());
        let mut seen = HashSet::new();
        let vars = entries.chain(self.workspaces.iter().flatten()).map(Tensor::var);
        vars.filter(|var| seen.insert(var.number())).cloned().collect()
    }

    fn var(&self, occupant: Occupant) -> Option<&Var> {
        let tensor = match occupant {
            Occupant::Entry(entry) => &self.entries[entry],
            Occupant::Workspace(node) => &self.workspaces[node],
        };
        tensor.as_ref().map(Tensor::var)
    }

    fn entry(&self, net: &Network, entry: Entry) -> Result<Tensor> {
        let missing = || Error::Contract(format!("output {} has no memory", entry.output));
        self.entries[entry].clone().ok_or_else(|| missing().at(net.graph.nodes[entry.node].place()))
    }

    fn named(&self, net: &Network, variables: &[usize]) -> Result<Box<[Named]>> {
        let named = |i: &usize| Ok((net.graph.nodes[*i].name.clone(), self.entry(net, Entry { node: *i, output: 0 })?));
        variables.iter().map(named).collect()
    }

    fn outputs(&self, net: &Network) -> Result<Box<[Named]>> {
        let names = net.graph.entry_names(&net.outputs);
        names.into_iter().zip(&net.outputs).map(|(name, e)| Ok((name, self.entry(net, *e)?))).collect()
    }

    fn head_grads(&self, net: &Network) -> Result<Box<[Named]>> {
        let variables: Vec<usize> = net.head_grads.iter().copied().flatten().collect();
        self.named(net, &variables)
    }

    fn grads(&self, engine: &Engine, net: &Network) -> Result<Box<[Named]>> {
        let mut grads = Vec::with_capacity(net.grads.len());
        for grad in &net.grads {
            let desc = &net.descs[Entry { node: grad.argument, output: 0 }];
            let tensor = match grad.entry {
                Some(entry) => self.entry(net, entry)?,
                None => Tensor::zeros(engine, desc.shape.clone(), desc.dtype)?,
            };
            grads.push((net.graph.nodes[grad.argument].name.clone(), tensor));
        }
        Ok(grads.into())
    }
}

fn checked_share(engine: &Engine, how: &str, name: &str, tensor: &Tensor, wanted: &TensorDesc) -> Result<Tensor> {
    if !tensor.engine().same(engine) {
        return Err(Error::Contract(format!("the tensor {how} \"{name}\" belongs to another engine")));
    }
    if tensor.desc() != wanted {
        let (is, wanted) = (describe(tensor.desc()), describe(wanted));
        return Err(Error::Shape(format!("the tensor {how} \"{name}\" is {is}, the network wants {wanted}")));
    }
    Ok(tensor.clone())
}

fn ones(engine: &Engine, desc: &TensorDesc) -> Result<Tensor> {
    let (shape, n) = (desc.shape.clone(), desc.shape.len());
    match desc.dtype {
        DType::F32 => Tensor::from_slice(engine, shape, &vec![1_f32; n]),
        DType::F64 => Tensor::from_slice(engine, shape, &vec![1_f64; n]),
        dtype => {
            Err(Error::DType(format!("gradients of {dtype} outputs are not supported, wanted float32 or float64")))
        }
    }
}
