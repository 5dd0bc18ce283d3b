//! A small provider of operators over f32 vectors, random graphs of them, and an evaluator that knows nothing of plans.
#![allow(dead_code, clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use varflow_engine::Engine;
use varflow_ops::{
    DeviceKind, Entry, Error, Gradient, Kernel, KernelCtx, Operator, Pair, Params, PartialShape, Philox, Provider,
    Registry, Result, Runtime, Schema, Shape, Shapes, TensorDesc, WithWorkspace, name_hash,
};
use varflow_symbol::{BindOptions, Executor, GradReq, Graph, Node};

/// Name, inputs, auxiliary states, outputs, in-place pairs.
type Row = (&'static str, usize, usize, usize, &'static [(usize, usize)]);

/// The operators.
const OPS: [Row; 17] = [
    ("_copy", 1, 0, 1, &[(0, 0)]),
    ("_grad_add", 2, 0, 1, &[(0, 0), (1, 0)]),
    ("add", 2, 0, 1, &[(0, 0), (1, 0)]),
    ("mul", 2, 0, 1, &[(0, 0)]),
    ("neg", 1, 0, 1, &[(0, 0)]),
    ("square", 1, 0, 1, &[]),      // by way of a workspace
    ("split", 1, 0, 2, &[(0, 1)]), // x + 1, 2 x
    ("noise", 1, 0, 2, &[(0, 0)]), // x · mask, mask
    ("fold", 1, 0, 1, &[]),        // halves the length
    ("unfold", 1, 0, 1, &[]),      // doubles it
    ("count", 1, 1, 1, &[(0, 0)]), // x + state, and the state goes up by one
    ("same", 1, 0, 1, &[(0, 0)]),  // a view
    ("latter", 1, 0, 1, &[]),      // a view of the second half
    ("lift", 1, 0, 1, &[]),        // zeroes before it, as many
    ("check", 1, 0, 1, &[(0, 0)]), // x, but an error if its first element is above 1e30
    ("_CrossDeviceCopy", 1, 0, 1, &[]),
    ("loss", 2, 0, 1, &[]), // x, whatever the label
];
const RANDOM_FROM: usize = 2;
const RANDOM_TO: usize = 13;

static SCHEMA: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(Schema::new);

struct TestOp(usize);

impl Operator for TestOp {
    fn name(&self) -> &str {
        OPS[self.0].0
    }

    fn is_deterministic(&self) -> bool {
        self.name() != "noise"
    }
    fn doc(&self) -> &str {
        ""
    }
    fn schema(&self) -> &Schema {
        &SCHEMA
    }
    fn inputs(&self, _: &Params) -> Vec<String> {
        if self.name() == "loss" {
            return vec!["in0".to_string(), "label".to_string()];
        }
        (0..OPS[self.0].1).map(|i| format!("in{i}")).collect()
    }
    fn auxiliaries(&self, _: &Params) -> Vec<String> {
        (0..OPS[self.0].2).map(|i| format!("state{i}")).collect()
    }
    fn outputs(&self, _: &Params) -> Vec<String> {
        (0..OPS[self.0].3).map(|i| format!("out{i}")).collect()
    }
    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        OPS[self.0].4.to_vec()
    }
    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        let len = |s: &Shapes| s.known(0).map(|x| x[0]);
        match self.name() {
            "fold" | "latter" => len(s).map_or(Ok(()), |n| s.set_output(0, PartialShape::new([Some(n / 2)]), "half")),
            "unfold" | "lift" => len(s).map_or(Ok(()), |n| s.set_output(0, PartialShape::new([Some(n * 2)]), "twice")),
            "count" => {
                s.set_input(1, PartialShape::new([Some(1)]), "always")?;
                s.same(&[0], &[0])
            }
            _ => s.same(&(0..s.num_inputs()).collect::<Vec<_>>(), &(0..s.num_outputs()).collect::<Vec<_>>()),
        }
    }
    fn view(&self, _: &Params, input: &TensorDesc, output: &TensorDesc) -> Option<usize> {
        match self.name() {
            "same" => Some(0),
            "latter" => Some(input.len_bytes() - output.len_bytes()),
            _ => None,
        }
    }
    fn is_cheap(&self, _: &Params) -> bool {
        ["add", "mul", "neg"].contains(&self.name())
    }
    fn gradient(&self, g: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let node = g.node.to_string();
        let add = |op: &str, suffix: &str, inputs: &[Entry], graph: &mut dyn varflow_ops::GraphBuilder| {
            graph.add(op, &format!("{node}_{suffix}"), varflow_ops::Attrs::new(), inputs)
        };
        Ok(match self.name() {
            "add" | "_grad_add" => vec![Some(g.out_grad(0)?); 2],
            "mul" => {
                let (og, a, b) = (g.out_grad(0)?, g.inputs[0], g.inputs[1]);
                vec![Some(add("mul", "da", &[og, b], g.graph)?), Some(add("mul", "db", &[og, a], g.graph)?)]
            }
            "neg" => vec![Some(add("neg", "dx", &[g.out_grad(0)?], g.graph)?)],
            "square" => {
                let og = g.out_grad(0)?;
                let twice = add("add", "twice", &[og, og], g.graph)?;
                vec![Some(add("mul", "dx", &[twice, g.inputs[0]], g.graph)?)]
            }
            "split" => {
                let twice = match g.out_grads[1] {
                    Some(og) => Some(add("add", "twice", &[og, og], g.graph)?),
                    None => None,
                };
                vec![match (g.out_grads[0], twice) {
                    (Some(a), Some(b)) => Some(add("add", "dx", &[a, b], g.graph)?),
                    (a, b) => a.or(b),
                }]
            }
            "noise" => match g.out_grads[0] {
                Some(og) => vec![Some(add("mul", "dx", &[og, g.outputs[1]], g.graph)?)],
                None => vec![None],
            },
            "_CrossDeviceCopy" => vec![Some(add("_CrossDeviceCopy", "dx", &[g.out_grad(0)?], g.graph)?)],
            "latter" => vec![Some(add("lift", "dx", &[g.out_grad(0)?], g.graph)?)],
            "lift" => vec![Some(add("latter", "dx", &[g.out_grad(0)?], g.graph)?)],
            "fold" => vec![Some(add("unfold", "dx", &[g.out_grad(0)?], g.graph)?)],
            "unfold" => vec![Some(add("fold", "dx", &[g.out_grad(0)?], g.graph)?)],
            "loss" => vec![Some(g.out_grad(0)?), None],
            _ => vec![Some(g.out_grad(0)?)],
        })
    }
}

/// Operators and kernels.
pub fn registry() -> Registry {
    let mut provider = Provider::new("test");
    for (i, op) in OPS.iter().enumerate() {
        provider = provider.operator(TestOp(i)).kernel(op.0, DeviceKind::Cpu, move |call| {
            let (is_train, name) = (call.is_train, OPS[i].0);
            let bytes = if name == "square" { call.inputs[0].len_bytes() } else { 0 };
            let run = move |ctx: &mut KernelCtx<'_>| run(name, is_train, ctx);
            Ok(Box::new(WithWorkspace { bytes, run }) as Box<dyn Kernel>)
        });
    }
    let mut registry = Registry::new();
    registry.install(provider).unwrap();
    registry
}

fn map(pair: Pair<'_, f32>, f: impl Fn(f32) -> f32) {
    match pair {
        Pair::Same(y) => y.iter_mut().for_each(|y| *y = f(*y)),
        Pair::Apart(x, y) => y.iter_mut().zip(x).for_each(|(y, x)| *y = f(*x)),
    }
}

fn shares(ctx: &KernelCtx<'_>, input: usize) -> bool {
    ctx.input::<f32>(input).is_err()
}

fn binary(ctx: &KernelCtx<'_>, f: impl Fn(f32, f32) -> f32) -> Result<()> {
    let zip = |y: &mut [f32], x: &[f32], f: &dyn Fn(f32, f32) -> f32| {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = f(*y, *x));
    };
    if shares(ctx, 0) {
        let b = ctx.input::<f32>(1)?;
        if let Pair::Same(y) = ctx.pair::<f32>(0, 0)? {
            zip(y, b, &f);
        }
    } else if shares(ctx, 1) {
        let a = ctx.input::<f32>(0)?;
        if let Pair::Same(y) = ctx.pair::<f32>(1, 0)? {
            zip(y, a, &|y, x| f(x, y));
        }
    } else {
        let (a, b, y) = (ctx.input::<f32>(0)?, ctx.input::<f32>(1)?, ctx.output::<f32>(0)?);
        y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (a, b))| *y = f(*a, *b));
    }
    Ok(())
}

fn mask(rng: Philox, is_train: bool, i: usize) -> f32 {
    if is_train && rng.uniform4(i as u64)[0] < 0.5 { 0.0 } else { 1.0 }
}

fn run(name: &str, is_train: bool, ctx: &mut KernelCtx<'_>) -> Result<()> {
    match name {
        "_copy" | "same" | "_CrossDeviceCopy" | "loss" => map(ctx.pair(0, 0)?, |x| x),
        "add" | "_grad_add" => binary(ctx, |a, b| a + b)?,
        "mul" => binary(ctx, |a, b| a * b)?,
        "neg" => map(ctx.pair(0, 0)?, |x| -x),
        "square" => {
            let (x, y, w) = (ctx.input::<f32>(0)?, ctx.output::<f32>(0)?, ctx.workspace::<f32>()?);
            w.iter_mut().zip(x).for_each(|(w, x)| *w = x * x);
            std::thread::yield_now();
            y.copy_from_slice(w);
        }
        "split" => {
            if ctx.is_wanted(0) {
                let y = ctx.output::<f32>(0)?;
                if ctx.is_wanted(1) && shares(ctx, 0) {
                    if let Pair::Same(z) = ctx.pair::<f32>(0, 1)? {
                        y.iter_mut().zip(&*z).for_each(|(y, x)| *y = x + 1.0);
                        z.iter_mut().for_each(|z| *z *= 2.0);
                    }
                    return Ok(());
                }
                y.iter_mut().zip(ctx.input::<f32>(0)?).for_each(|(y, x)| *y = x + 1.0);
            }
            if ctx.is_wanted(1) {
                map(ctx.pair(0, 1)?, |x| 2.0 * x);
            }
        }
        "noise" => {
            let rng = ctx.rng();
            if ctx.is_wanted(1) {
                ctx.output::<f32>(1)?.iter_mut().enumerate().for_each(|(i, m)| *m = mask(rng, is_train, i));
            }
            if ctx.is_wanted(0) {
                match ctx.pair::<f32>(0, 0)? {
                    Pair::Same(y) => y.iter_mut().enumerate().for_each(|(i, y)| *y *= mask(rng, is_train, i)),
                    Pair::Apart(x, y) => {
                        y.iter_mut().zip(x).enumerate().for_each(|(i, (y, x))| *y = x * mask(rng, is_train, i));
                    }
                }
            }
        }
        "latter" => {
            let (x, y) = (ctx.input::<f32>(0)?, ctx.output::<f32>(0)?);
            y.copy_from_slice(&x[x.len() - y.len()..]);
        }
        "lift" => {
            let (x, y) = (ctx.input::<f32>(0)?, ctx.output::<f32>(0)?);
            y[..x.len()].fill(0.0);
            y[x.len()..].copy_from_slice(x);
        }
        "fold" => {
            let x = ctx.input::<f32>(0)?;
            ctx.output::<f32>(0)?.iter_mut().zip(x.chunks(2)).for_each(|(y, x)| *y = x[0] + x[1]);
        }
        "unfold" => {
            let x = ctx.input::<f32>(0)?;
            ctx.output::<f32>(0)?.iter_mut().enumerate().for_each(|(i, y)| *y = x[i / 2]);
        }
        "count" => {
            let state = ctx.mutated::<f32>(1)?;
            let c = state[0];
            if ctx.is_wanted(0) {
                map(ctx.pair(0, 0)?, |x| x + c);
            }
            state[0] += 1.0;
        }
        "check" => match ctx.pair::<f32>(0, 0)? {
            Pair::Apart(x, _) if x[0] > 1e30 => return Err(Error::Data("the first element is above 1e30".to_string())),
            Pair::Same(y) if y[0] > 1e30 => return Err(Error::Data("the first element is above 1e30".to_string())),
            pair => map(pair, |x| x),
        },
        _ => unreachable!(),
    }
    Ok(())
}

/// The values of all entries of a graph, node by node, each in memory of its own. `values` holds those of the variables;
/// the states in it are updated.
pub fn evaluate(
    graph: &Graph,
    values: &mut BTreeMap<String, Vec<f32>>,
    is_train: bool,
    (seed, step): (u64, u64),
) -> Vec<Vec<Vec<f32>>> {
    let mut all: Vec<Vec<Vec<f32>>> = Vec::new();
    for node in &graph.nodes {
        let Some(op) = &node.op else {
            all.push(vec![values[&node.name].clone()]);
            continue;
        };
        let input = |i: usize| -> &Vec<f32> { &all[node.inputs[i].node][node.inputs[i].output] };
        let x = input(0);
        let zip =
            |f: &dyn Fn(f32, f32) -> f32| -> Vec<f32> { x.iter().zip(input(1)).map(|(a, b)| f(*a, *b)).collect() };
        let each = |f: &dyn Fn(f32) -> f32| -> Vec<f32> { x.iter().map(|x| f(*x)).collect() };
        let outs = match op.name() {
            "add" | "_grad_add" => vec![zip(&|a, b| a + b)],
            "mul" => vec![zip(&|a, b| a * b)],
            "neg" => vec![each(&|x| -x)],
            "square" => vec![each(&|x| x * x)],
            "split" => vec![each(&|x| x + 1.0), each(&|x| 2.0 * x)],
            "noise" => {
                let rng = Philox::new(seed, name_hash(&node.name), step);
                let m: Vec<f32> = (0..x.len()).map(|i| mask(rng, is_train, i)).collect();
                vec![x.iter().zip(&m).map(|(x, m)| x * m).collect(), m]
            }
            "latter" => vec![x[x.len() / 2..].to_vec()],
            "lift" => vec![[vec![0.0; x.len()], x.clone()].concat()],
            "fold" => vec![x.chunks(2).map(|x| x[0] + x[1]).collect()],
            "unfold" => vec![x.iter().flat_map(|x| [*x, *x]).collect()],
            "count" => {
                let c = input(1)[0];
                let name = &graph.nodes[node.inputs[1].node].name;
                values.get_mut(name).unwrap()[0] += 1.0;
                vec![each(&|x| x + c)]
            }
            _ => vec![x.clone()],
        };
        all.push(outs);
    }
    all
}

/// One random choice: an operator, and two numbers that choose its inputs.
pub type Choice = (usize, usize, usize);

/// Random programs for [`build`]: choices, and numbers that choose the outputs.
pub fn programs(max_nodes: usize) -> impl Strategy<Value = (Vec<Choice>, Vec<usize>)> {
    let choice = (RANDOM_FROM..RANDOM_TO, 0..1000_usize, 0..1000_usize);
    (prop::collection::vec(choice, 1..max_nodes), prop::collection::vec(0..1000_usize, 1..4))
}

/// The length of the variables.
pub const LEN: usize = 24;

/// Builds a graph over two data and two parameter vectors of [`LEN`] elements.
pub fn build(registry: &Registry, choices: &[Choice], heads: &[usize]) -> Graph {
    let mut graph = Graph::default();
    let mut open: Vec<(Entry, usize)> = Vec::new();
    let variable = |graph: &mut Graph, name: String| {
        graph.nodes.push(Node { op: None, name, params: Params::default(), attrs: Arc::default(), inputs: Vec::new() });
        Entry { node: graph.nodes.len() - 1, output: 0 }
    };
    for name in ["data0", "data1", "weight0", "weight1"] {
        open.push((variable(&mut graph, name.to_string()), LEN));
    }
    for (n, &(op, a, b)) in choices.iter().enumerate() {
        // Mostly recent entries, so that there are long chains.
        let recent = |i: usize, len: usize| len - 1 - (i * i / 1000) * len / 1000;
        let (first, len) = open[recent(a, open.len())];
        let (name, op) = match OPS[op].0 {
            "fold" | "latter" if len < 2 || len % 2 == 1 => ("neg", None),
            "unfold" if len > 2 * LEN => ("neg", None),
            name => (name, Some(op)),
        };
        let op = op.unwrap_or_else(|| OPS.iter().position(|o| o.0 == name).unwrap());
        let mut inputs = vec![first];
        if OPS[op].1 == 2 {
            let fit: Vec<Entry> = open.iter().filter(|o| o.1 == len).map(|o| o.0).collect();
            inputs.push(fit[recent(b, fit.len())]);
        }
        if name == "count" {
            inputs.push(variable(&mut graph, format!("node{n}_state")));
        }
        let operator: Arc<dyn Operator> = registry.operator(name).unwrap().clone();
        graph.nodes.push(Node {
            op: Some(operator),
            name: format!("node{n}"),
            params: Params::default(),
            attrs: Arc::default(),
            inputs,
        });
        let len = match name {
            "fold" | "latter" => len / 2,
            "unfold" => len * 2,
            _ => len,
        };
        let node = graph.nodes.len() - 1;
        open.extend((0..OPS[op].3).map(|output| (Entry { node, output }, len)));
    }
    graph.outputs = heads.iter().map(|h| open[open.len() - 1 - h % open.len().min(12)].0).collect();
    graph
}

pub const SEED: u64 = 7;

/// Runs `body` and fails if it takes longer than a minute.
pub fn within_a_minute(body: impl FnOnce() + Send + 'static) {
    let (done, wait) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        body();
        done.send(()).unwrap();
    });
    match wait.recv_timeout(Duration::from_secs(60)) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)),
    }
}

pub fn runtime(engine: &Engine) -> Runtime {
    Runtime::new(engine.clone(), registry())
}

pub fn given() -> Vec<(String, Shape)> {
    ["data0", "data1"].map(|n| (n.to_string(), Shape::new(&[LEN]))).to_vec()
}

pub fn options(for_training: bool) -> BindOptions {
    BindOptions {
        for_training,
        grad_req: BTreeMap::from([("weight1".to_string(), GradReq::Add)]),
        seed: SEED,
        ..BindOptions::default()
    }
}

/// Every random program uses all four variables, so that all have a shape.
pub fn program(choices: &[Choice], heads: &[usize]) -> Graph {
    let registry = registry();
    let mut graph = build(&registry, choices, heads);
    for weight in [2, 3] {
        // weight · data, so that the shape of the weight follows.
        let inputs = vec![Entry { node: weight, output: 0 }, Entry { node: weight - 2, output: 0 }];
        let template = graph.nodes[0].clone();
        let op = Some(registry.operator("mul").unwrap().clone());
        graph.nodes.push(varflow_symbol::Node { op, name: format!("use{weight}"), inputs, ..template });
        graph.outputs.push(Entry { node: graph.nodes.len() - 1, output: 0 });
    }
    graph
}

pub fn first_values(graph: &Graph) -> BTreeMap<String, Vec<f32>> {
    let variables = graph.nodes.iter().filter(|n| n.op.is_none()).enumerate();
    let value = |k: usize, name: &str| match name {
        n if n.ends_with("state") => vec![1.0],
        n if n.contains("out_grad") => Vec::new(),
        _ => (0..LEN).map(|i| ((i * 7 + k * 5) % 11) as f32 / 8.0 - 0.5).collect(),
    };
    variables.map(|(k, n)| (n.name.clone(), value(k, &n.name))).collect()
}

pub fn set_all(executor: &Executor, values: &BTreeMap<String, Vec<f32>>) {
    for (name, tensor) in executor.args().iter().chain(executor.auxes()) {
        tensor.set(values[name].clone()).unwrap();
    }
}
