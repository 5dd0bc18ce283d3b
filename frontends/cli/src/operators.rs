//! The command `ops`.

use crate::args::{OpsArgs, OpsCommand};
use crate::failure::{Failure, say};
use varflow::ops::{Attrs, Kind, Operator, Param, Params, Registry, Value};
use varflow::registry;

/// Looks into the operators.
pub(crate) fn run(args: &OpsArgs) -> Result<(), Failure> {
    let registry = registry()?;
    match &args.command {
        OpsCommand::List { all } => list(&registry, *all),
        OpsCommand::Show { name } => show(&registry, name),
    }
}

fn list(registry: &Registry, all: bool) -> Result<(), Failure> {
    let shown: Vec<_> = registry.operators().filter(|op| all || !op.is_hidden()).collect();
    let width = shown.iter().map(|op| op.name().len()).max().unwrap_or(0);
    shown.iter().try_for_each(|op| {
        let first = op.doc().split_once(". ").map_or(op.doc(), |(first, _)| first);
        say(&format!("{:<width$}  {}", op.name(), first.trim_end_matches('.')))
    })
}

fn show(registry: &Registry, name: &str) -> Result<(), Failure> {
    let op = registry.operator(name)?;
    say(op.name())?;
    say(&format!("  {}", op.doc()))?;
    if !op.aliases().is_empty() {
        say(&format!("also called  {}", op.aliases().join(", ")))?;
    }
    let params = sample(&**op)?;
    say(&format!("inputs       {}", or_none(&op.inputs(&params))))?;
    let states = op.auxiliaries(&params);
    if !states.is_empty() {
        say(&format!("states       {}", states.join(", ")))?;
    }
    let outputs = op.outputs(&params);
    let visible = op.num_visible_outputs(&params).min(outputs.len());
    say(&format!("outputs      {}", or_none(&outputs[..visible])))?;
    let kernels: Vec<_> = registry.kernels_of(op.name()).map(|(kind, by)| format!("{kind} (by {by})")).collect();
    say(&format!("kernels      {}", or_none(&kernels)))?;
    say(if op.schema().params().is_empty() { "parameters   none" } else { "parameters" })?;
    op.schema().params().iter().try_for_each(|p| {
        let default = p.default.as_ref().map_or("must be given".to_string(), |d| format!("default {d}"));
        say(&format!("  {} ({}, {default}): {}", p.name, kind(&p.kind), p.doc))
    })
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
fn sample(op: &dyn Operator) -> Result<Params, varflow::Error> {
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
        Kind::Choice(of) => Value::Text(of.first().cloned().unwrap_or_default()),
        Kind::Tuple => Value::Tuple(vec![1, 1]),
        Kind::DType => Value::DType(varflow::ops::DType::F32),
    }
}
