//! The command `run`: a network on arrays in files.

use crate::failure::{Failure, say, warn};
use crate::plugins::Plugins;
use clap::Args;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use varflow::io::{Array, encode_npy, read_npy};
use varflow::ops::{PartialShape, StagedFile, Tensor, TensorDesc};
use varflow::symbol::{BindOptions, Executor, Graph, HostArray, Symbol, infer_partial_shapes, json, params};
use varflow::{Error, Runtime};

pub(crate) const EXAMPLES: &str = "\
Examples:
  varflow run --symbol net-symbol.json --params net-0010.params --list
  varflow run --symbol net-symbol.json --params net-0010.params --input data=x.npy --output y.npy
  varflow run --symbol net-symbol.json --params net-0010.params --input data=x.npy --internal pool1 --output pool1.npy
  varflow run --symbol net-symbol.json --input a=a.npy --input b=b.npy --output 'out-{}.npy'

Arrays are taken as they are: shape and dtype must be those that the network wants. Parameters may be called arg:NAME, aux:NAME
or NAME. Labels of losses that nothing gives are zeroes of the shape that follows from the data.

Where {} stands for names, each becomes part of a file name: /, \\ and control characters in it become _, and so do the dots
of . and .. themselves. Files are replaced when all outputs are written, or none is.";

#[derive(Args)]
pub(crate) struct RunArgs {
    /// The network: a symbol file.
    #[arg(long, value_name = "FILE")]
    symbol: PathBuf,
    /// Its parameters and auxiliary states.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// An input and the .npy file that gives it; may be given several times.
    #[arg(long, value_name = "NAME=FILE", value_parser = crate::args::setting)]
    input: Vec<(String, String)>,
    /// Where an output goes, as .npy: FILE for a network of one output, NAME=FILE for one of several, or a pattern in
    /// which {} stands for the name of each.
    #[arg(long, value_name = "[NAME=]FILE", required_unless_present = "list")]
    output: Vec<String>,
    /// Cut the network off here, at an output of a node inside; may be given several times.
    #[arg(long, value_name = "NAME")]
    internal: Vec<String>,
    /// Print the inputs that are to be given, the labels and the outputs, and run nothing.
    #[arg(long)]
    list: bool,
    /// Worker threads; 0 means one for each core.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = crate::args::workers)]
    cpus: usize,
}

/// Runs a network once, for inference.
pub(crate) fn run(args: &RunArgs, plugins: &Plugins) -> Result<(), Failure> {
    let rt = plugins.runtime(args.cpus)?;
    let symbol = cut_off(&rt, json::load(&args.symbol)?, &args.internal)?;
    let graph = symbol.resolve(&rt.registry).map_err(|e| e.at(args.symbol.display().to_string()))?;
    let params = args.params.as_deref().map(read_params).transpose()?.unwrap_or_default();
    let sources = Sources::new(&graph, &params);
    if args.list {
        return sources.list(&graph);
    }
    let targets = targets(&args.output, &graph.list_outputs()).map_err(Failure::Usage)?;
    let inputs = read_inputs(&args.input, &graph)?;
    if let Some(path) = &args.params {
        let used: BTreeSet<&str> = graph.nodes.iter().filter(|n| n.op.is_none()).map(|n| &n.name[..]).collect();
        let rest: Vec<&str> = params.keys().map(|k| &k[..]).filter(|k| !used.contains(k)).collect();
        // A part of a network does not need the parameters of the rest.
        if !rest.is_empty() && args.internal.is_empty() {
            warn(&format!("{} has what the network does not: {}", path.display(), rest.join(", ")));
        }
    }
    sources.check_given(&inputs)?;
    check_shapes(args, &graph, &inputs, &params)?;
    let mut executor = bind(&rt, &graph, &inputs, &params)?;
    executor.forward(false, 0)?;
    let mut files = Vec::new();
    for ((_, tensor), to) in executor.outputs().iter().zip(&targets) {
        let Some(to) = to else { continue };
        let place = |e: Error| e.at(to.display().to_string());
        let bytes = encode_npy(&Array::from_bytes(tensor.desc().clone(), tensor.to_bytes()?)?).map_err(place)?;
        let failed = |e| Error::io(format!("cannot write {}", to.display()), e);
        files.push(StagedFile::write(to, |out| out.write_all(&bytes).map_err(failed))?);
    }
    Ok(StagedFile::commit_all(files)?)
}

/// The part of a network that computes these internal outputs; all of it if there are none.
fn cut_off(rt: &Runtime, symbol: Symbol, internal: &[String]) -> Result<Symbol, Failure> {
    if internal.is_empty() {
        return Ok(symbol);
    }
    let internals = symbol.internals(&rt.registry)?;
    let find = |name: &String| {
        let matches = |n: &str| n == name || n.strip_suffix("_output") == Some(name);
        let found = internals.iter().find(|(n, _)| matches(n)).map(|(_, symbol)| symbol.clone());
        found.ok_or_else(|| {
            let near: Vec<&str> = internals.iter().map(|(n, _)| &n[..]).filter(|n| n.contains(&name[..])).collect();
            let all = internals.iter().map(|(n, _)| &n[..]);
            let names = if near.is_empty() { all.collect() } else { near };
            let names = names.join(", ");
            Failure::Usage(format!("--internal {name}: the network has no such output inside, wanted one of {names}"))
        })
    };
    Ok(Symbol::group(internal.iter().map(find).collect::<Result<Vec<_>, Failure>>()?))
}

/// Arrays by their names without `arg:` and `aux:`.
fn read_params(path: &Path) -> Result<BTreeMap<String, HostArray>, Error> {
    let mut arrays = BTreeMap::new();
    for (key, array) in params::load(path)? {
        let name = key.strip_prefix("arg:").or_else(|| key.strip_prefix("aux:")).unwrap_or(&key);
        if arrays.insert(name.to_string(), array).is_some() {
            return Err(Error::Data(format!("{}: there are two arrays called {name}", path.display())));
        }
    }
    Ok(arrays)
}

/// Where the values of a network's variables come from.
struct Sources<'a> {
    /// Variables that no parameter file gives.
    inputs: Vec<&'a str>,
    /// Those of them that are labels of losses, which inference does not look at.
    labels: Vec<&'a str>,
}

impl<'a> Sources<'a> {
    fn new(graph: &'a Graph, params: &BTreeMap<String, HostArray>) -> Self {
        let all_labels = graph.labels();
        let open = graph.nodes.iter().enumerate().filter(|(_, n)| n.op.is_none() && !params.contains_key(&n.name));
        let (labels, inputs): (Vec<_>, Vec<_>) = open.partition(|(i, _)| all_labels.binary_search(i).is_ok());
        let names =
            |nodes: Vec<(usize, &'a varflow::symbol::Node)>| nodes.into_iter().map(|(_, n)| &n.name[..]).collect();
        Sources { inputs: names(inputs), labels: names(labels) }
    }

    fn list(&self, graph: &Graph) -> Result<(), Failure> {
        let outputs = graph.list_outputs();
        let outputs = outputs.iter().map(|name| ("output", &name[..]));
        let inputs = self.inputs.iter().map(|name| ("input", *name));
        let labels = self.labels.iter().map(|name| ("label", *name));
        inputs.chain(labels).chain(outputs).try_for_each(|(what, name)| say(&format!("{what} {name}")))
    }

    /// Refuses to begin while something is not given.
    fn check_given(&self, inputs: &BTreeMap<String, Array>) -> Result<(), Error> {
        let missing: Vec<&str> = self.inputs.iter().copied().filter(|n| !inputs.contains_key(*n)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let text = format!(
            "nothing gives {}: wanted --input NAME=FILE, or an array in --params, for each",
            missing.join(", ")
        );
        Err(Error::Param(text))
    }
}

fn read_inputs(given: &[(String, String)], graph: &Graph) -> Result<BTreeMap<String, Array>, Failure> {
    let mut inputs = BTreeMap::new();
    for (name, file) in given {
        if !graph.nodes.iter().any(|n| n.op.is_none() && n.name == *name) {
            let names = [graph.list_arguments(), graph.list_auxiliaries()].concat();
            let names = if names.is_empty() { "none".to_string() } else { names.join(", ") };
            let text = format!("--input {name}={file}: the network has no variable {name}, its variables are {names}");
            return Err(Failure::Usage(text));
        }
        if inputs.insert(name.clone(), read_npy(file)?).is_some() {
            return Err(Failure::Usage(format!("--input {name} is given twice")));
        }
    }
    Ok(inputs)
}

/// The file of each output, if it goes to one: no two to the same.
fn targets(given: &[String], outputs: &[String]) -> Result<Vec<Option<PathBuf>>, String> {
    let (mut targets, mut taken) = (vec![None; outputs.len()], HashMap::new());
    let names = || outputs.join(", ");
    for text in given {
        let (chosen, file): (Vec<usize>, &str) = match text.split_once('=') {
            Some((name, file)) => {
                let at = outputs.iter().position(|o| o == name || o.strip_suffix("_output") == Some(name));
                let missing = || format!("--output {text}: the network has no output {name}, but {}", names());
                (vec![at.ok_or_else(missing)?], file)
            }
            None if text.contains("{}") || outputs.len() == 1 => ((0..outputs.len()).collect(), text),
            None => {
                let n = outputs.len();
                return Err(format!(
                    "--output {text}: there are {n} outputs, wanted NAME=FILE or a file name with {{}} for {}",
                    names()
                ));
            }
        };
        for i in chosen {
            let path = PathBuf::from(file.replace("{}", &file_part(&outputs[i])));
            let refuse = |what: &str| Err(format!("--output {text}: {what}"));
            // Spelled the same way, however they were given.
            let same = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
            if let Some(other) = taken.insert(same, i).filter(|other| *other != i) {
                let (a, b, file) = (&outputs[other], &outputs[i], path.display());
                return refuse(&format!("outputs {a} and {b} both go to {file}, wanted a file for each"));
            }
            if targets[i].replace(path).is_some() {
                return refuse(&format!("there are two files for output {}", outputs[i]));
            }
        }
    }
    Ok(targets)
}

/// Refuses arrays that do not fit each other, as inference sees it: it tells which operator wants what.
fn check_shapes(
    args: &RunArgs,
    graph: &Graph,
    inputs: &BTreeMap<String, Array>,
    params: &BTreeMap<String, HostArray>,
) -> Result<(), Error> {
    let variables = graph.nodes.iter().filter(|n| n.op.is_none()).map(|n| &n.name);
    let shape = |name: &String| match (inputs.get(name), params.get(name)) {
        (Some(array), _) => Some(array.shape().clone()),
        (None, array) => array.map(|array| array.desc.shape.clone()),
    };
    let given: Vec<_> = variables.filter_map(|name| Some((name, PartialShape::from(shape(name)?)))).collect();
    infer_partial_shapes(graph, &given).map(|_| ()).map_err(|e| match &args.params {
        Some(path) => e.at(format!("{} and {} do not fit", path.display(), told(inputs))),
        None => e.at(told(inputs)),
    })
}

/// `inputs data float32 (2, 3)`.
fn told(inputs: &BTreeMap<String, Array>) -> String {
    let list: Vec<_> = inputs.iter().map(|(n, a)| format!("{n} {} {}", a.dtype(), a.shape())).collect();
    if list.is_empty() { "no inputs".to_string() } else { format!("inputs {}", list.join(", ")) }
}

/// A name as a part of a file name that leads to no other folder.
fn file_part(name: &str) -> String {
    if name == "." || name == ".." {
        return name.replace('.', "_");
    }
    name.replace(|c: char| c == '/' || c == '\\' || c.is_control(), "_")
}

fn bind(
    rt: &Runtime,
    graph: &Graph,
    inputs: &BTreeMap<String, Array>,
    params: &BTreeMap<String, HostArray>,
) -> Result<Executor, Error> {
    let mut options = BindOptions::default();
    let variables = graph.nodes.iter().filter(|n| n.op.is_none()).map(|n| &n.name);
    for name in variables {
        let tensor = match (inputs.get(name), params.get(name)) {
            (Some(array), _) => Tensor::from_bytes(&rt.engine, desc(array), array.as_bytes()),
            (None, Some(array)) => Tensor::from_bytes(&rt.engine, array.desc.clone(), &array.bytes),
            (None, None) => continue,
        };
        options.shared.insert(name.clone(), tensor.map_err(|e| e.at(name.clone()))?);
    }
    let auxiliaries = graph.list_auxiliaries();
    let is_argument = |name: &str| !auxiliaries.contains(&name);
    let given: Vec<_> =
        inputs.iter().filter(|(n, _)| is_argument(n)).map(|(n, a)| (n.clone(), a.shape().clone())).collect();
    Executor::bind_graph(rt, graph, &given, &options).map_err(|e| e.at(format!("with {}", told(inputs))))
}

fn desc(array: &Array) -> TensorDesc {
    TensorDesc { shape: array.shape().clone(), dtype: array.dtype() }
}
