//! Passes: functions on graphs that make them cheaper to run, and leave alone what they mean.
//!
//! Each pass is one file in `pass/` and one line in the table [`Passes::all`]. A pass
//! - keeps the variables with their names, and the number, names and meaning of the graph's outputs;
//! - keeps the nodes that draw random numbers and their names, which name their streams;
//! - keeps nodes in an order in which each comes after all that it reads, and in training forward nodes before backward ones;
//! - keeps hidden attributes such as `__ctx_group__`, and joins no nodes of different groups;
//! - gives a node that takes the place of others the name of the last of them.

mod assign_layout;
mod cse;
mod dead_code;
mod fold_batch_norm;
mod fold_constants;
mod fuse_batch_norm_relu;
mod fuse_convolution;
mod fuse_elementwise;
mod rewrite;
mod split_batch;

use crate::Graph;
use crate::plan::EntryMap;
use std::collections::{HashMap, HashSet};
use varflow_ops::{Error, Registry, Result, TensorDesc, infer_outputs};

/// When a pass runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// On the graph of a network that is bound for inference.
    Inference,
    /// On the graph of a network that is bound for training, before gradients are made.
    Forward,
    /// On the whole graph of a network that is bound for training, gradients included.
    Training,
}

/// A pass.
pub struct Pass {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub doc: &'static str,
    /// When it runs.
    pub stages: &'static [Stage],
    run: fn(&mut Graph, &Context<'_>) -> Result<()>,
}

/// Every pass, in the order in which they run.
static TABLE: &[Pass] = &[
    Pass {
        name: "dead_code",
        doc: "takes out nodes whose results nobody needs, and nodes that do nothing",
        stages: &[Stage::Inference, Stage::Training],
        run: dead_code::dead_code,
    },
    Pass {
        name: "fold_constants",
        doc: "computes what depends on no variable once, when binding, and takes out arithmetic that changes nothing",
        stages: &[Stage::Inference, Stage::Training],
        run: fold_constants::fold_constants,
    },
    Pass {
        name: "cse",
        doc: "computes once what is computed several times from the same inputs",
        stages: &[Stage::Inference, Stage::Training],
        run: cse::cse,
    },
    Pass {
        name: "fold_batch_norm",
        doc: "makes batch normalisation part of the weights of the convolution before it",
        stages: &[Stage::Inference],
        run: fold_batch_norm::fold_batch_norm,
    },
    Pass {
        name: "fuse_convolution",
        doc: "makes one node of a convolution and the sum and the rectifier that follow it",
        stages: &[Stage::Inference],
        run: fuse_convolution::fuse_convolution,
    },
    Pass {
        name: "fuse_batch_norm_relu",
        doc: "makes one node of a BatchNorm and the rectifier that reads it",
        stages: &[Stage::Inference, Stage::Forward],
        run: fuse_batch_norm_relu::fuse_batch_norm_relu,
    },
    Pass {
        name: "fuse_elementwise",
        doc: "makes elementwise operators that feed each other one operator, which goes over memory once",
        stages: &[Stage::Inference, Stage::Training],
        run: fuse_elementwise::fuse_elementwise,
    },
    Pass {
        name: "assign_layout",
        doc: "computes nodes with their axes in the order that backends want, with conversions where layouts meet",
        stages: &[Stage::Inference, Stage::Forward],
        run: assign_layout::assign_layout,
    },
    Pass {
        name: "split_batch",
        doc: "takes a part of the batch at a time through all layers that work on samples one by one",
        stages: &[Stage::Inference],
        run: split_batch::split_batch,
    },
];

/// What a pass knows besides the graph.
pub struct Context<'a> {
    /// The operators, and who has kernels of them.
    pub registry: &'a Registry,
    /// Why the pass runs.
    pub stage: Stage,
    /// Shape and dtype of each entry of the graph as the pass is given it; `None` where they are not known.
    pub descs: &'a EntryMap<Option<TensorDesc>>,
    /// How many nodes at the beginning are forward nodes: all but in [`Stage::Training`].
    pub num_forward: usize,
    /// The names of the variables that hold data and labels.
    pub data: &'a [String],
    /// How many samples are to be taken through the network at a time; `None`: as is best.
    pub samples_at_a_time: Option<usize>,
}

/// A graph on its way through the passes.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The graph.
    pub graph: Graph,
    /// Shape and dtype of each entry, where they are known.
    pub descs: EntryMap<Option<TensorDesc>>,
    /// How many nodes at the beginning are forward nodes.
    pub num_forward: usize,
    /// The names of the variables that hold data and labels.
    pub data: Vec<String>,
    /// How many samples are to be taken through the network at a time; `None`: as is best.
    pub samples_at_a_time: Option<usize>,
}

/// Which passes run, in their order. The default is all that there are; with [`none`](Self::none) the graph is run as it was built.
///
/// ```
/// use varflow_symbol::Passes;
/// assert_eq!(Passes::named("cse,fuse_elementwise")?.names().collect::<Vec<_>>(), ["cse", "fuse_elementwise"]);
/// assert!(Passes::named("fuse").unwrap_err().to_string().contains("wanted some of dead_code, "));
/// # Ok::<(), varflow_ops::Error>(())
/// ```
#[derive(Clone)]
pub struct Passes(Vec<&'static Pass>);

impl Default for Passes {
    fn default() -> Self {
        Passes(TABLE.iter().collect())
    }
}

impl std::fmt::Debug for Passes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Passes {
    /// Every pass that there is.
    #[must_use]
    pub fn all() -> &'static [Pass] {
        TABLE
    }

    /// No pass.
    #[must_use]
    pub fn none() -> Passes {
        Passes(Vec::new())
    }

    /// The passes of these names, separated by commas, to be run in this order. `all` and `none` stand for what they say.
    ///
    /// # Errors
    /// [`Error::Param`] for an unknown name, with the names that there are.
    pub fn named(names: &str) -> Result<Passes> {
        match names.trim() {
            "all" => return Ok(Passes::default()),
            "none" | "" => return Ok(Passes::none()),
            _ => {}
        }
        let find = |name: &str| {
            TABLE.iter().find(|pass| pass.name == name.trim()).ok_or_else(|| {
                let known: Vec<_> = TABLE.iter().map(|pass| pass.name).collect();
                let text = format!(
                    "there is no pass \"{}\": wanted some of {}, or all or none",
                    name.trim(),
                    known.join(", ")
                );
                Error::Param(text)
            })
        };
        Ok(Passes(names.split(',').map(find).collect::<Result<_>>()?))
    }

    /// The names of the passes, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|pass| pass.name)
    }

    /// Runs those passes that have to do with `stage`.
    ///
    /// # Errors
    /// What a pass says, named.
    pub fn run(&self, draft: &mut Draft, registry: &Registry, stage: Stage) -> Result<()> {
        for pass in self.0.iter().filter(|pass| pass.stages.contains(&stage)) {
            draft.apply(pass, registry, stage).map_err(|e| e.at(format!("pass {}", pass.name)))?;
        }
        Ok(())
    }
}

impl Draft {
    /// A graph all of whose nodes are forward nodes.
    #[must_use]
    pub fn new(graph: Graph, descs: EntryMap<Option<TensorDesc>>) -> Draft {
        let num_forward = graph.nodes.len();
        Draft { graph, descs, num_forward, data: Vec::new(), samples_at_a_time: None }
    }

    /// The description of every entry.
    ///
    /// # Errors
    /// [`Error::Shape`] with an entry of which shape or dtype are not known.
    pub fn complete_descs(&self) -> Result<EntryMap<TensorDesc>> {
        let open = self.descs.iter().find(|(_, desc)| desc.is_none());
        if let Some((entry, _)) = open {
            let node = &self.graph.nodes[entry.node];
            let text = format!("the shape of output {} is not known once passes have run", entry.output);
            return Err(Error::Shape(text).at(node.place()));
        }
        let nothing = || TensorDesc::new([0], varflow_ops::DType::F32);
        Ok(EntryMap::from_fn(&self.graph, |e| self.descs[e].clone().unwrap_or_else(nothing)))
    }

    /// The number of each node, by name.
    #[must_use]
    pub fn numbers(&self) -> HashMap<&str, usize> {
        self.graph.nodes.iter().enumerate().map(|(i, node)| (node.name.as_str(), i)).collect()
    }

    fn apply(&mut self, pass: &Pass, registry: &Registry, stage: Stage) -> Result<()> {
        // What is known of shapes stays known: a node that keeps its name and operator computes what it did.
        let before: HashMap<String, (Option<String>, Vec<Option<TensorDesc>>)> = (self.graph.nodes.iter().enumerate())
            .map(|(i, node)| {
                let op = node.op.as_ref().map(|op| op.name().to_string());
                (node.name.clone(), (op, self.descs.node(i).to_vec()))
            })
            .collect();
        let forward: HashSet<String> = self.graph.nodes[..self.num_forward].iter().map(|n| n.name.clone()).collect();
        let whole = self.num_forward < self.graph.nodes.len();
        let context = Context {
            registry,
            stage,
            descs: &self.descs,
            num_forward: self.num_forward,
            data: &self.data,
            samples_at_a_time: self.samples_at_a_time,
        };
        // They refer to nodes by number, and have done what they are for: shapes are known.
        self.graph.alike.clear();
        (pass.run)(&mut self.graph, &context)?;

        let last_forward = self.graph.nodes.iter().rposition(|node| forward.contains(&node.name));
        self.num_forward = if whole { last_forward.map_or(0, |i| i + 1) } else { self.graph.nodes.len() };
        let mut after: Vec<Vec<Option<TensorDesc>>> = Vec::with_capacity(self.graph.nodes.len());
        for node in &self.graph.nodes {
            let op = node.op.as_ref().map(|op| op.name());
            let known = before.get(&node.name).filter(|(was, _)| was.as_deref() == op);
            let inputs: Option<Vec<TensorDesc>> =
                node.inputs.iter().map(|e| after.get(e.node)?.get(e.output)?.clone()).collect();
            after.push(match (known, &node.op, inputs) {
                (Some((_, known)), ..) if known.len() == node.num_outputs() => known.clone(),
                (_, None, _) => vec![self.graph.constants.get(&node.name).map(|value| value.desc.clone())],
                (_, Some(op), Some(inputs)) => {
                    let outputs = infer_outputs(&**op, &node.params, &node.name, &inputs)?;
                    outputs.into_iter().map(Some).collect()
                }
                (_, Some(_), None) => vec![None; node.num_outputs()],
            });
        }
        self.descs = EntryMap::from_fn(&self.graph, |e| after[e.node][e.output].clone());
        Ok(())
    }
}
