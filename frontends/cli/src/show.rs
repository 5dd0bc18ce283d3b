//! The command `ops show`.

use crate::failure::{Failure, say};
use varflow::Error;
use varflow::ops::plugin::Library;
use varflow::ops::{
    Attrs, DataIterKind, Entry, Gradient, GraphBuilder, Kind, Operator, Param, Params, Reduction, Registry, Schema,
    UpdateRule, Value,
};

/// Prints all about what has this name: an operator, an iterator, a reduction and an optimizer may share it.
pub(crate) fn show(registry: &Registry, libraries: &[Library], name: &str) -> Result<(), Failure> {
    let operator = registry.operator(name);
    let iterator = registry.iterators().find(|(kind, _)| kind.name() == name);
    let reduction = registry.reductions().find(|(reduction, _)| reduction.name() == name);
    let rule = registry.update_rules().find(|(rule, _)| rule.name == name);
    if let Ok(op) = &operator {
        let by = registry.provider_of(op.name()).unwrap_or_default();
        let brings = |l: &Library| l.operators().iter().any(|o| o.name == op.name());
        show_operator(registry, &***op, &provider(libraries, by, brings))?;
    } else if iterator.is_none() && reduction.is_none() && rule.is_none() {
        let sorts = "`varflow ops list --kind iterators`, reductions and optimizers list the rest";
        let text = operator.err().map(|e| e.to_string()).unwrap_or_default();
        return Err(Error::Registry(format!("{text}; {sorts}")).into());
    }
    if let Some((kind, by)) = iterator {
        let brings = |l: &Library| l.iterators().iter().any(|i| i.name == name);
        show_iterator(&**kind, &provider(libraries, by, brings))?;
    }
    if let Some((reduction, by)) = reduction {
        let brings = |l: &Library| l.reductions().iter().any(|r| r.name == name);
        show_reduction(&**reduction, &provider(libraries, by, brings))?;
    }
    if let Some((rule, by)) = rule {
        let brings = |l: &Library| l.update_rules().iter().any(|r| r.name == name);
        show_rule(registry, rule, &provider(libraries, by, brings))?;
    }
    Ok(())
}

/// Who brought something; of a plug-in its file too. Two plug-ins may have one name.
fn provider(libraries: &[Library], by: &str, brings: impl Fn(&Library) -> bool) -> String {
    let library = libraries.iter().filter(|l| l.name() == by && brings(l)).max_by_key(|l| l.preference());
    library.map_or_else(|| by.to_string(), |l| format!("{by} {} ({})", l.version(), l.path().display()))
}

fn show_operator(registry: &Registry, op: &dyn Operator, provider: &str) -> Result<(), Failure> {
    head(op.name(), "operator", op.doc())?;
    if !op.aliases().is_empty() {
        row("also called", &op.aliases().join(", "))?;
    }
    row("provider", provider)?;
    let params = sample(op)?;
    let (mut inputs, states, outputs) = (op.inputs(&params), op.auxiliaries(&params), op.outputs(&params));
    row("inputs", &or_none(&inputs))?;
    if !states.is_empty() {
        row("states", &states.join(", "))?;
    }
    row("outputs", &or_none(&outputs[..op.num_visible_outputs(&params).min(outputs.len())]))?;
    inputs.extend(states);
    let name = |names: &[String], i: usize| names.get(i).cloned().unwrap_or_else(|| i.to_string());
    let pairs = op.inplace(&params).into_iter();
    let pairs: Vec<_> = pairs.map(|(i, o)| format!("{} → {}", name(&inputs, i), name(&outputs, o))).collect();
    row("in place", &or_none(&pairs))?;
    let changed: Vec<_> = op.mutates(&params).into_iter().map(|i| name(&inputs, i)).collect();
    if !changed.is_empty() {
        row("changes", &changed.join(", "))?;
    }
    row("gradient", if has_gradient(op, &params) { "yes" } else { "no" })?;
    let kernels: Vec<_> = registry.kernels_of(op.name()).map(|(kind, by)| format!("{kind} (by {by})")).collect();
    row("kernels", &or_none(&kernels))?;
    parameters(op.schema().params().iter())
}

fn show_iterator(kind: &dyn DataIterKind, provider: &str) -> Result<(), Failure> {
    head(kind.name(), "iterator", kind.doc())?;
    row("provider", provider)?;
    parameters(kind.schema().params().iter())
}

fn show_reduction(reduction: &dyn Reduction, provider: &str) -> Result<(), Failure> {
    head(reduction.name(), "reduction", reduction.doc())?;
    row("provider", provider)
}

fn show_rule(registry: &Registry, rule: &UpdateRule, provider: &str) -> Result<(), Failure> {
    head(&rule.name, "optimizer", &rule.doc)?;
    row("provider", provider)?;
    row("operator", &rule.op)?;
    row("states", &or_none(&rule.states))?;
    let none = Schema::new();
    let schema = registry.operator(&rule.op).map_or(&none, |op| op.schema());
    parameters(schema.params().iter().filter(|p| !["lr", "wd", "num_update"].contains(&&p.name[..])))
}

fn head(name: &str, sort: &str, doc: &str) -> Result<(), Failure> {
    say(&format!("{name} ({sort})"))?;
    say(&format!("  {doc}"))
}

fn row(what: &str, text: &str) -> Result<(), Failure> {
    say(&format!("{what:<13}{text}"))
}

fn parameters<'a>(params: impl Iterator<Item = &'a Param>) -> Result<(), Failure> {
    let mut params = params.peekable();
    say(if params.peek().is_none() { "parameters   none" } else { "parameters" })?;
    for p in params {
        let default = p.default.as_ref().map_or("must be given".to_string(), |d| format!("default {d}"));
        say(&format!("  {} ({}, {default}): {}", p.name, kind(&p.kind), p.doc))?;
    }
    Ok(())
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() { "none".to_string() } else { names.join(", ") }
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Int(..) => "integer".to_string(),
        Kind::Float(..) => "number".to_string(),
        Kind::Bool => "True or False".to_string(),
        Kind::Text => "text".to_string(),
        Kind::Choice(of) => of.join(" | "),
        Kind::Tuple => "integers such as (3, 3)".to_string(),
        Kind::DType => "dtype such as float32".to_string(),
    }
}

/// Parameters with which the operator's inputs and outputs can be listed: the defaults, and something fitting where there
/// is none.
fn sample(op: &dyn Operator) -> Result<Params, Error> {
    let missing = op.schema().params().iter().filter(|p| p.default.is_none());
    let attrs: Attrs = missing.map(|p| (p.name.clone(), fitting(p).to_string())).collect();
    op.schema().parse(&attrs)
}

fn fitting(param: &Param) -> Value {
    match &param.kind {
        Kind::Int(least, most) => Value::Int(1.clamp(*least, *most)),
        Kind::Float(least, most) => Value::Float(1.0_f64.clamp(*least, *most)),
        Kind::Bool => Value::Bool(false),
        Kind::Text => Value::Text(String::new()),
        Kind::Choice(of) => Value::Text(of.first().map(ToString::to_string).unwrap_or_default()),
        Kind::Tuple => Value::Tuple(vec![1, 1]),
        Kind::DType => Value::DType(varflow::ops::DType::F32),
    }
}

/// A graph that takes any node and keeps none.
struct Nowhere {
    nodes: usize,
}

impl GraphBuilder for Nowhere {
    fn add(&mut self, _: &str, _: &str, _: Attrs, _: &[Entry]) -> Result<Entry, Error> {
        self.nodes += 1;
        Ok(Entry { node: self.nodes, output: 0 })
    }
}

/// Whether the gradient of any input can be built.
fn has_gradient(op: &dyn Operator, params: &Params) -> bool {
    let num_inputs = op.inputs(params).len() + op.auxiliaries(params).len();
    let inputs: Vec<_> = (0..num_inputs).map(|node| Entry { node, output: 0 }).collect();
    let outputs: Vec<_> = (0..op.outputs(params).len()).map(|output| Entry { node: num_inputs, output }).collect();
    let out_grads: Vec<_> = outputs.iter().copied().map(Some).collect();
    let mut graph = Nowhere { nodes: num_inputs };
    let built = op.gradient(&mut Gradient {
        node: op.name(),
        params,
        attrs: &params.to_attrs(),
        inputs: &inputs,
        outputs: &outputs,
        out_grads: &out_grads,
        graph: &mut graph,
    });
    built.is_ok_and(|grads| grads.iter().any(Option::is_some))
}
