//! The command `graph`.

use crate::failure::{Failure, say, say_lines};
use crate::network::Network;
use crate::plugins::Plugins;
use crate::shapes::{self, ShapeArgs};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use varflow::Error;
use varflow::ops::Entry;
use varflow::symbol::pass::Draft;
use varflow::symbol::{BindOptions, Passes, dot, passed, svg};

pub(crate) const EXAMPLES: &str = "\
Examples:
  varflow graph --network lenet
  varflow graph --network resnet-50 --passes all --svg > resnet-50.svg
  varflow graph net-symbol.json --image-shape 3,32,32 --passes dead_code,cse --training
  varflow graph --network lenet --dot | dot -Tpng > lenet.png

Without --passes the graph is shown as it is built, with --training with its gradients. Passes run in the order in which they are
named; all is what executors run.";

#[derive(Args)]
pub(crate) struct GraphArgs {
    /// Symbol file ending in .json.
    #[arg(value_name = "FILE", required_unless_present = "network", conflicts_with = "network")]
    file: Option<Network>,
    /// Network: one of `varflow networks`, or a symbol file ending in .json.
    #[arg(long)]
    network: Option<Network>,
    #[command(flatten)]
    shapes: ShapeArgs,
    /// Passes to run, separated by commas, or all, or none.
    #[arg(long, value_name = "LIST", default_value = "none", value_parser = passes)]
    passes: Passes,
    /// The graph for training, gradients included.
    #[arg(long)]
    training: bool,
    /// Print Graphviz's language.
    #[arg(long, group = "form")]
    dot: bool,
    /// Print a picture.
    #[arg(long, group = "form")]
    svg: bool,
    /// Print one JSON object, with keys nodes, outputs and num_forward. Of a node: name, op (null for a variable), attrs, inputs
    /// (names of outputs of other nodes), shape and dtype of its first output.
    #[arg(long, group = "form")]
    json: bool,
}

pub(crate) fn passes(text: &str) -> Result<Passes, String> {
    Passes::named(text).map_err(|e| e.to_string())
}

/// Shows the graph.
pub(crate) fn run(args: &GraphArgs, plugins: &Plugins) -> Result<(), Failure> {
    let rt = plugins.runtime(1)?;
    let network = args.file.as_ref().or(args.network.as_ref());
    let network = network.ok_or_else(|| Failure::Usage("wanted a FILE or --network".to_string()))?;
    let (graph, known) = args.shapes.resolve(network, &rt.registry)?;
    let given = shapes::inputs(&graph, &known)?;
    let options = BindOptions { for_training: args.training, passes: args.passes.clone(), ..BindOptions::default() };
    let draft = passed(&graph, &rt.registry, &given, &options)?;
    if args.dot {
        say_lines(&dot(&draft.graph))
    } else if args.svg {
        say_lines(&svg(&draft.graph, &draft.descs, draft.num_forward))
    } else if args.json {
        let text = serde_json::to_string_pretty(&object(&draft));
        say_lines(&text.map_err(|e| Error::Data(format!("the graph is no JSON: {e}")))?)
    } else {
        table(&draft)
    }
}

/// The operators, a line each; variables show where they are read.
fn table(draft: &Draft) -> Result<(), Failure> {
    let operators = draft.graph.nodes.iter().enumerate().filter_map(|(i, node)| Some((i, node, node.op.as_ref()?)));
    say(&format!("{:<24} {:<32} {:<20} {}", "operator", "node", "shape", "inputs"))?;
    let mut count = 0;
    for (i, node, op) in operators {
        if i == draft.num_forward || i > draft.num_forward && count > 0 && is_first_backward(draft, i) {
            say("-- backward")?;
        }
        count += 1;
        let shape = draft.descs[Entry { node: i, output: 0 }].as_ref().map(|d| d.shape.to_string()).unwrap_or_default();
        let program = node.attrs.get("program").map(|program| format!("  [{program}]")).unwrap_or_default();
        let inputs = inputs(draft, i).join(", ");
        say(&format!("{:<24} {:<32} {shape:<20} {inputs}{program}", op.name(), node.name))?;
    }
    say(&format!("{count} operators; outputs {}", outputs(draft).join(", ")))
}

/// Whether all nodes between the forward ones and this are variables.
fn is_first_backward(draft: &Draft, i: usize) -> bool {
    draft.graph.nodes[draft.num_forward..i].iter().all(|node| node.op.is_none())
}

fn inputs(draft: &Draft, i: usize) -> Vec<String> {
    draft.graph.nodes[i].inputs.iter().map(|e| draft.graph.nodes[e.node].output_name(e.output)).collect()
}

fn outputs(draft: &Draft) -> Vec<String> {
    draft.graph.list_outputs()
}

#[derive(Serialize)]
struct Object<'a> {
    nodes: Vec<NodeObject<'a>>,
    outputs: Vec<String>,
    num_forward: usize,
}

#[derive(Serialize)]
struct NodeObject<'a> {
    name: &'a str,
    op: Option<&'a str>,
    attrs: &'a BTreeMap<String, String>,
    inputs: Vec<String>,
    shape: Option<Vec<usize>>,
    dtype: Option<String>,
}

fn object(draft: &Draft) -> Object<'_> {
    let node = |i: usize| {
        let (node, desc) = (&draft.graph.nodes[i], draft.descs.node(i).first().and_then(Option::as_ref));
        NodeObject {
            name: &node.name,
            op: node.op.as_ref().map(|op| op.name()),
            attrs: &node.attrs,
            inputs: inputs(draft, i),
            shape: desc.map(|d| d.shape.dims().to_vec()),
            dtype: desc.map(|d| d.dtype.to_string()),
        }
    };
    let nodes = (0..draft.graph.nodes.len()).map(node).collect();
    Object { nodes, outputs: outputs(draft), num_forward: draft.num_forward }
}
