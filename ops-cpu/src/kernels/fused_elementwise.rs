//! `_FusedElementwise`: a program of elementwise functions, run over blocks that stay in the first cache.

use super::clip::{clipped, passed_by_clip};
use super::dtype::Real;
use super::function::vector;
use super::leaky_relu::Rectifier;
use super::par::{Workers, chunks};
use crate::compute::{Binary, Function, Mismatch, Serial, Unary, binary, map, unary, unary_backward, zip};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use varflow_ops::defs::{Program, Step};
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Pair, Result};

/// Elements of a block: a few registers of them fit into the first cache.
const BLOCK: usize = 1024;
/// Elements that are worth a part of their own.
const GRAIN: usize = 16 * 1024;

/// Computes a block of a step's result from those of one or two registers.
type Compute<T> = Box<dyn Fn(&[T], &[T], &mut [T]) -> Result<(), Mismatch> + Send + Sync>;

/// Where a register is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Input(usize),
    Slot(usize),
    Output,
}

struct Prepared<T> {
    compute: Compute<T>,
    args: [Place; 2],
    to: Place,
}

struct Fused<T> {
    num_inputs: usize,
    steps: Vec<Prepared<T>>,
    /// Slots that the steps use. One more holds an input in whose place the output is.
    num_slots: usize,
    /// Slots that no thread works with.
    idle: Mutex<Vec<Slots<T>>>,
}

type Slots<T> = Vec<Vec<T>>;

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let program = Program::of(call.params)?;
    let computes = program.steps.iter().map(compute::<T>).collect::<Result<Vec<_>>>()?;
    let (places, num_slots) = places(&program);
    let n = program.num_inputs;
    let steps = program.steps.iter().zip(computes).enumerate().map(|(i, (step, compute))| {
        let first = step.args.first().map_or(Place::Output, |a| places[*a]);
        let args = [first, step.args.get(1).map_or(first, |a| places[*a])];
        Prepared { compute, args, to: places[n + i] }
    });
    let fused = Fused { num_inputs: n, steps: steps.collect(), num_slots, idle: Mutex::default() };
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| fused.run(ctx)))
}

/// Where each register is, and how many slots that takes. A slot is free again after the last step that reads it.
fn places(program: &Program) -> (Vec<Place>, usize) {
    let n = program.num_inputs;
    let mut last = vec![0; n + program.steps.len()];
    for (i, step) in program.steps.iter().enumerate() {
        step.args.iter().for_each(|a| last[*a] = i);
    }
    let mut places: Vec<Place> = (0..n).map(Place::Input).collect();
    let (mut free, mut num_slots) = (Vec::new(), 0);
    for (i, step) in program.steps.iter().enumerate() {
        let place = if i + 1 == program.steps.len() {
            Place::Output
        } else {
            // A result is not written over what the step reads.
            Place::Slot(free.pop().unwrap_or_else(|| {
                num_slots += 1;
                num_slots - 1
            }))
        };
        for (k, a) in step.args.iter().enumerate() {
            match places[*a] {
                Place::Slot(slot) if last[*a] == i && !step.args[..k].contains(a) => free.push(slot),
                _ => {}
            }
        }
        // Nobody reads it.
        if let (Place::Slot(slot), 0) = (place, last[n + i]) {
            free.push(slot);
        }
        places.push(place);
    }
    (places, num_slots)
}

impl<T: Real> Fused<T> {
    fn run(&self, ctx: &mut KernelCtx<'_>) -> Result<()> {
        let shared = (0..self.num_inputs).find(|i| ctx.shares(*i, 0));
        let mut inputs: SmallVec<[&[T]; 8]> = SmallVec::new();
        for i in 0..self.num_inputs {
            inputs.push(if Some(i) == shared { &[] } else { ctx.input(i)? });
        }
        let output: &mut [T] = match shared {
            None => ctx.output(0)?,
            Some(i) => match ctx.pair(i, 0)? {
                Pair::Same(both) => both,
                Pair::Apart(..) => return Err(Error::Contract(format!("input {i} and the output overlap"))),
            },
        };
        let failed = Mutex::new(None);
        chunks(&Workers::of(ctx), output, 1, GRAIN, |start, chunk| {
            let mut slots = self.take_slots();
            let mut at = start;
            for block in chunk.chunks_mut(BLOCK) {
                let range = at..at + block.len();
                at = range.end;
                if let Err(e) = self.block(&inputs, shared, &mut slots, &range, block) {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
                }
            }
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(slots);
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), |e| Err(e.into()))
    }

    /// Slots of this thread. They are made once for as many threads as ever work at a time.
    fn take_slots(&self) -> Slots<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| vec![vec![T::ZERO; BLOCK]; self.num_slots + 1])
    }

    /// Runs the steps over one block. `shared` is the input that `output` holds to begin with.
    fn block(
        &self,
        inputs: &[&[T]],
        shared: Option<usize>,
        slots: &mut Slots<T>,
        range: &Range<usize>,
        output: &mut [T],
    ) -> Result<(), Mismatch> {
        let n = range.len();
        if shared.is_some() {
            slots[self.num_slots][..n].copy_from_slice(output);
        }
        for step in &self.steps {
            // While a step writes its result that slot is out of the list.
            let mut slot = match step.to {
                Place::Slot(to) => std::mem::take(&mut slots[to]),
                _ => Vec::new(),
            };
            let [a, b] = step.args.map(|place| match place {
                Place::Input(i) if Some(i) == shared => &slots[self.num_slots][..n],
                Place::Input(i) => &inputs[i][range.clone()],
                Place::Slot(s) => &slots[s][..n],
                Place::Output => &[],
            });
            let done = match step.to {
                Place::Slot(_) => (step.compute)(a, b, &mut slot[..n]),
                _ => (step.compute)(a, b, output),
            };
            if let Place::Slot(to) = step.to {
                slots[to] = slot;
            }
            done?;
        }
        Ok(())
    }
}

/// A step's function: the one that the operator's own kernel uses, so that the bits are the same.
fn compute<T: Real>(step: &Step) -> Result<Compute<T>> {
    let name = step.function.as_str();
    let number = |i: usize| step.numbers.get(i).copied().unwrap_or_default();
    let (base, is_backward) = name.strip_prefix("_backward_").map_or((name, false), |base| (base, true));
    if let Some(rectifier) = rectifier(base, number(0)) {
        return Ok(if is_backward {
            let of_output = matches!(base, "selu") || base != "gelu" && number(0) >= 0.0;
            Box::new(move |d, saved, out| {
                out.copy_from_slice(d);
                rectifier.backward(&Serial, of_output, out, saved)
            })
        } else {
            Box::new(move |x, _, out| {
                out.copy_from_slice(x);
                rectifier.forward(&Serial, out);
                Ok(())
            })
        });
    }
    if base == "clip" {
        let (min, max) = (T::from_f64(number(0)), T::from_f64(number(1)));
        return Ok(match is_backward {
            true => Box::new(move |g, x, out| zip(&Serial, g, x, out, passed_by_clip(min, max))),
            false => Box::new(move |x, _, out| map(&Serial, x, out, clipped(min, max))),
        });
    }
    if let Some(op) = arithmetic(name) {
        if step.args.len() == 2 {
            return Ok(Box::new(move |a, b, out| binary(&Serial, op, (a, &[a.len()]), (b, &[b.len()]), out)));
        }
        let scalar = T::from_f64(number(0));
        return Ok(Box::new(move |a, _, out| binary(&Serial, op, (a, &[a.len()]), (&[scalar], &[1]), out)));
    }
    let function = Function::named(base);
    let vectors = if base == "softrelu" { Some(Unary::SoftRelu) } else { function.and_then(vector) };
    Ok(match (vectors, function, is_backward) {
        (Some(op), _, false) => Box::new(move |x, _, out| unary(&Serial, op, x, out)),
        (Some(op), _, true) => Box::new(move |d, saved, out| unary_backward(&Serial, op, saved, d, out)),
        (None, Some(function), false) => Box::new(move |x, _, out| function.forward(&Serial, x, out)),
        (None, Some(function), true) => Box::new(move |d, saved, out| function.backward(&Serial, saved, d, out)),
        (None, None, _) => return Err(Error::Param(format!("the step \"{name}\" has no cpu kernel"))),
    })
}

fn rectifier<T: Real>(name: &str, slope: f64) -> Option<Rectifier<T>> {
    matches!(name, "leaky" | "elu" | "selu" | "gelu").then(|| Rectifier::new(name, slope))
}

/// Functions of two registers, or of one and a number.
fn arithmetic(name: &str) -> Option<Binary> {
    Some(match name.strip_suffix("_scalar").unwrap_or(name) {
        "elemwise_add" | "_grad_add" | "_plus" => Binary::Add,
        "elemwise_sub" | "_minus" => Binary::Sub,
        "elemwise_mul" | "_mul" => Binary::Mul,
        "elemwise_div" | "_div" => Binary::Div,
        "_rminus" => Binary::SubFrom,
        "_rdiv" => Binary::DivInto,
        "_mod" => Binary::Mod,
        "_rmod" => Binary::ModOf,
        "_power" => Binary::Power,
        "_rpower" => Binary::PowerOf,
        "_maximum" => Binary::Maximum,
        "_minimum" => Binary::Minimum,
        "_hypot" => Binary::Hypot,
        "_equal" => Binary::Equal,
        "_not_equal" => Binary::NotEqual,
        "_greater" => Binary::Greater,
        "_greater_equal" => Binary::GreaterEqual,
        "_lesser" => Binary::Lesser,
        "_lesser_equal" => Binary::LesserEqual,
        "_logical_and" => Binary::LogicalAnd,
        "_logical_or" => Binary::LogicalOr,
        "_logical_xor" => Binary::LogicalXor,
        _ => return None,
    })
}
