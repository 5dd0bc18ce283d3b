//! `SequenceMask`, `SequenceLast` and `SequenceReverse`: sequences of different lengths side by side.

use crate::{Attrs, DTypes, Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes};
use std::sync::LazyLock;

fn with_use(schema: Schema) -> Schema {
    schema.bool(
        "use_sequence_length",
        Some(false),
        "Whether there are lengths; without them every sequence is as long as data.",
    )
}

fn with_axis(schema: Schema) -> Schema {
    schema.int("axis", 0..=1, Some(0), "The axis of time; the other of the first two is that of sequences.")
}

static MASK: LazyLock<Schema> = LazyLock::new(|| {
    with_axis(with_use(Schema::new()).float(
        "value",
        f64::MIN..=f64::MAX,
        Some(0.0),
        "What is put after a sequence's end.",
    ))
});

static LAST: LazyLock<Schema> = LazyLock::new(|| with_axis(with_use(Schema::new())));

static REVERSE: LazyLock<Schema> =
    LazyLock::new(|| with_use(Schema::new()).int("axis", 0..=0, Some(0), "The axis of time. Only 0."));

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sequence {
    Mask,
    Last,
    Reverse,
}

fn names(params: &Params, data: &str) -> Vec<String> {
    let length = params.bool("use_sequence_length").then(|| "sequence_length".to_string());
    [data.to_string()].into_iter().chain(length).collect()
}

/// What data's shape tells of the lengths and, without the axis of time, of the last elements.
fn parts(params: &Params, data: &PartialShape) -> Result<Option<[PartialShape; 2]>> {
    let Some(dims) = data.dims() else { return Ok(None) };
    if dims.len() < 2 {
        return Err(Error::Shape(format!("data has shape {data}, wanted axes of time and of sequences")));
    }
    let axis = params.usize("axis");
    if dims[axis] == Some(0) {
        return Err(Error::Shape(format!("data has shape {data}, wanted steps along axis {axis}")));
    }
    let last = dims.iter().enumerate().filter(|(a, _)| *a != axis).map(|(_, d)| *d);
    Ok(Some([PartialShape::new([dims[1 - axis]]), PartialShape::new(last)]))
}

fn infer_dtype(d: &mut DTypes) -> Result<()> {
    d.same(&[0], &[0])?;
    match d.input(0) {
        Some(dtype) if d.num_inputs() > 1 && d.input(1).is_none() => d.set_input(1, dtype),
        _ => Ok(()),
    }
}

impl Operator for Sequence {
    fn name(&self) -> &str {
        match self {
            Sequence::Mask => "SequenceMask",
            Sequence::Last => "SequenceLast",
            Sequence::Reverse => "SequenceReverse",
        }
    }

    fn doc(&self) -> &str {
        match self {
            Sequence::Mask => "output[t, n, …] = data[t, n, …] where t < sequence_length[n], value elsewhere.",
            Sequence::Last => "output[n, …] = data[sequence_length[n] - 1, n, …], or the last step.",
            Sequence::Reverse => {
                "output[t, n, …] = data[sequence_length[n] - 1 - t, n, …] where t < sequence_length[n], data[t, n, …] elsewhere."
            }
        }
    }

    fn schema(&self) -> &Schema {
        match self {
            Sequence::Mask => &MASK,
            Sequence::Last => &LAST,
            Sequence::Reverse => &REVERSE,
        }
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        names(params, "data")
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        if *self != Sequence::Last {
            s.same(&[0], &[0])?;
        }
        let Some([length, last]) = parts(params, s.input(0))? else { return Ok(()) };
        let why = format!("from data {}", s.input(0));
        if s.num_inputs() > 1 {
            s.set_input(1, length, &why)?;
        }
        if *self == Sequence::Last { s.set_output(0, last, &why) } else { Ok(()) }
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        infer_dtype(d)
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs: Vec<_> = [grad.out_grad(0)?].into_iter().chain(grad.inputs.get(1).copied()).collect();
        let mut grads = match self {
            Sequence::Mask => {
                let zero = ("value".to_string(), "0".to_string());
                let attrs: Attrs = grad.attrs.clone().into_iter().chain([zero]).collect();
                let name = format!("{}_backward", grad.node);
                vec![Some(grad.graph.add("SequenceMask", &name, attrs, &inputs)?)]
            }
            Sequence::Last => grad.backward("_backward_SequenceLast", &inputs, 1)?,
            Sequence::Reverse => grad.backward("SequenceReverse", &inputs, 1)?,
        };
        grads.resize(grad.inputs.len(), None);
        Ok(grads)
    }
}

/// Gradient of `SequenceLast`.
pub(super) struct LastBackward;

impl Operator for LastBackward {
    fn name(&self) -> &str {
        "_backward_SequenceLast"
    }

    fn doc(&self) -> &str {
        "d_data = out_grad at the last step of each sequence, 0 elsewhere."
    }

    fn schema(&self) -> &Schema {
        &LAST
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        names(params, "out_grad")
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let Some([length, last]) = parts(params, s.output(0))? else { return Ok(()) };
        let why = format!("from d_data {}", s.output(0));
        s.set_input(0, last, &why)?;
        if s.num_inputs() > 1 { s.set_input(1, length, &why) } else { Ok(()) }
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        infer_dtype(d)
    }
}
