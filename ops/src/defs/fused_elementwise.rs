//! `_FusedElementwise`: several elementwise operators as one, which passes make so that memory is gone over once.

use super::{elemwise_binary, scalar, unary};
use crate::{Attrs, Error, Kind, Operator, Params, Permutation, Result, Schema, Shapes, TensorDesc};
use std::fmt;
use std::sync::LazyLock;

/// The most steps of a program, and the most inputs.
const MOST: usize = 64;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().int("num_args", 1..=MOST as i64, None, "Number of inputs.").param(
        "program",
        Kind::Text,
        None,
        "The steps, separated by semicolons, such as relu 0; _plus_scalar[2] 1.",
    )
});

/// One step of a [`Program`].
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is computed, by the name of an operator; `softrelu`, `leaky`, `elu`, `selu` and `gelu` of `Activation` and `LeakyReLU` have
    /// names of their own.
    pub function: String,
    /// The function's parameters.
    pub numbers: Vec<f64>,
    /// The registers that it reads: first the inputs, then the results of the steps before.
    pub args: Vec<usize>,
}

/// What a `_FusedElementwise` computes: each step has a register for its result, and the last one's is the output.
///
/// As a text steps are separated by semicolons, each a function, its parameters in brackets and the registers that it reads.
///
/// ```
/// use varflow_ops::defs::Program;
/// // relu(x) · 2 + y, where registers 0 and 1 are the inputs x and y.
/// let program = Program::parse(2, "relu 0; _mul_scalar[2] 2; elemwise_add 3 1")?;
/// assert_eq!(program.steps[1].numbers, [2.0]);
/// assert_eq!(program.to_string(), "relu 0; _mul_scalar[2] 2; elemwise_add 3 1");
/// assert!(Program::parse(1, "relu 1").is_err());
/// # Ok::<(), varflow_ops::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// How many inputs there are.
    pub num_inputs: usize,
    /// The steps.
    pub steps: Vec<Step>,
}

/// How many parameters and registers a function takes; `None` if there is no such function.
fn arity(function: &str) -> Option<(usize, usize)> {
    let (name, args) = function.strip_prefix("_backward_").map_or((function, 1), |name| (name, 2));
    match name {
        "clip" => return Some((2, args)),
        "leaky" | "elu" => return Some((1, args)),
        "selu" | "gelu" | "softrelu" => return Some((0, args)),
        _ => {}
    }
    let is_function = unary::FUNCTIONS.iter().flatten().any(|op| op.name == function);
    let is_plain = || unary::ALL.iter().any(|op| op.name == function) && !is_identity(function);
    let takes = |n: usize| move |op: &&super::elementwise::Elementwise| op.name == function && op.inputs.len() == n;
    if is_function {
        Some((0, args))
    } else if is_plain() {
        Some((0, 1))
    } else if elemwise_binary::ALL.iter().any(|op| op.name == function) {
        Some((0, 2))
    } else {
        scalar::ALL.iter().find(takes(1)).map(|_| (1, 1))
    }
}

fn is_identity(op: &str) -> bool {
    matches!(op, "_copy" | "_CrossDeviceCopy" | "BlockGrad")
}

/// The function that one use of an operator computes of each element, and its parameters; `None` for operators that cannot be
/// a step. The operators that broadcast count if their inputs are of one shape.
#[must_use]
pub fn elementwise_function(op: &str, params: &Params) -> Option<(String, Vec<f64>)> {
    let back = if op.starts_with("_backward_") { "_backward_" } else { "" };
    let (function, numbers) = match op {
        "Activation" | "_backward_Activation" => (format!("{back}{}", params.text("act_type")), Vec::new()),
        "LeakyReLU" | "_backward_LeakyReLU" => {
            let act_type = params.text("act_type");
            let takes_slope = matches!(act_type, "leaky" | "elu");
            (format!("{back}{act_type}"), if takes_slope { vec![params.float("slope")] } else { Vec::new() })
        }
        "clip" | "_backward_clip" => (op.to_string(), vec![params.float("a_min"), params.float("a_max")]),
        "_grad_add" => ("elemwise_add".to_string(), Vec::new()),
        _ => match op.strip_prefix("broadcast_") {
            Some(of @ ("add" | "sub" | "mul" | "div")) => (format!("elemwise_{of}"), Vec::new()),
            Some(of) => (format!("_{of}"), Vec::new()),
            None if scalar::ALL.iter().any(|o| o.name == op) => (op.to_string(), vec![params.float("scalar")]),
            None => (op.to_string(), Vec::new()),
        },
    };
    arity(&function).filter(|(n, _)| *n == numbers.len()).map(|_| (function, numbers))
}

impl Program {
    /// The most steps of a program, and the most inputs.
    pub const MOST: usize = MOST;

    /// Reads a program.
    ///
    /// # Errors
    /// [`Error::Param`] with the step: a function that there is not, too few or too many parameters or registers, a register that is
    /// not written before, more than [`MOST`](Self::MOST) steps.
    pub fn parse(num_inputs: usize, text: &str) -> Result<Program> {
        let texts: Vec<&str> = text.split(';').map(str::trim).collect();
        if texts.len() > MOST {
            let text = format!("parameter \"program\" has {} steps, wanted at most {MOST}", texts.len());
            return Err(Error::Param(text));
        }
        let steps = texts.iter().enumerate().map(|(i, text)| {
            Step::parse(text, num_inputs + i)
                .map_err(|why| Error::Param(format!("parameter \"program\" has the step \"{text}\": {why}")))
        });
        Ok(Program { num_inputs, steps: steps.collect::<Result<_>>()? })
    }

    /// The program of one use of the operator, which has been checked.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn of(params: &Params) -> Result<Program> {
        Program::parse(params.usize("num_args"), params.text("program"))
    }
}

impl Step {
    fn parse(text: &str, registers: usize) -> Result<Step, String> {
        let (head, args) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let (function, numbers) = match head.split_once('[') {
            Some((function, rest)) => (function, rest.strip_suffix(']').ok_or("wanted ] after its parameters")?),
            None => (head, ""),
        };
        let (wanted_numbers, wanted_args) =
            arity(function).ok_or_else(|| format!("there is no function {function}"))?;
        let numbers: Option<Vec<f64>> = numbers.split(',').filter(|t| !t.is_empty()).map(|t| t.parse().ok()).collect();
        let numbers = numbers.filter(|n| n.len() == wanted_numbers);
        let args: Option<Vec<usize>> =
            args.split_whitespace().map(|t| t.parse().ok().filter(|r| *r < registers)).collect();
        let args = args.filter(|a| a.len() == wanted_args);
        Ok(Step {
            function: function.to_string(),
            numbers: numbers.ok_or_else(|| format!("wanted {wanted_numbers} numbers as parameters"))?,
            args: args.ok_or_else(|| format!("wanted {wanted_args} registers below {registers}"))?,
        })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { "; " })?;
            f.write_str(&step.function)?;
            let numbers: Vec<_> = step.numbers.iter().map(f64::to_string).collect();
            if !numbers.is_empty() {
                write!(f, "[{}]", numbers.join(","))?;
            }
            step.args.iter().try_for_each(|register| write!(f, " {register}"))?;
        }
        Ok(())
    }
}

/// Runs a [`Program`] over its inputs, element by element.
pub(super) struct FusedElementwise;

impl Operator for FusedElementwise {
    fn name(&self) -> &str {
        "_FusedElementwise"
    }

    fn doc(&self) -> &str {
        "output = what the last step of program computes, element by element. Registers below num_args are the inputs, all of \
         one shape; the others are the results of the steps, in order. A step is a function, its parameters in brackets, and the \
         registers that it reads: relu 0; _mul_scalar[2] 2; elemwise_add 3 1."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        Program::of(params).map(|_| ())
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        (0..params.usize("num_args")).map(|i| format!("arg{i}")).collect()
    }

    fn is_variadic(&self) -> bool {
        true
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        let inputs: Vec<_> = (0..s.num_inputs()).collect();
        s.same(&inputs, &[0])
    }

    fn inplace(&self, params: &Params) -> Vec<(usize, usize)> {
        (0..params.usize("num_args")).map(|i| (i, 0)).collect()
    }

    fn permuted(&self, _: &Params, _: &[TensorDesc], _: &Permutation) -> Option<Attrs> {
        Some(Attrs::new())
    }

    fn per_sample(&self, _: &Params, inputs: &[TensorDesc]) -> Option<Vec<usize>> {
        Some((0..inputs.len()).collect())
    }
}
