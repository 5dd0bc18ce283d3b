//! What inference rules work with: the shapes and dtypes around one node, as far as they are known.

use crate::{DType, Error, PartialShape, Result, Shape};

/// The shapes of one node's inputs (auxiliary states last) and outputs.
pub struct Shapes {
    inputs: Vec<(String, PartialShape)>,
    outputs: Vec<(String, PartialShape)>,
}

impl Shapes {
    /// From names and what is known.
    #[must_use]
    pub fn new(inputs: Vec<(String, PartialShape)>, outputs: Vec<(String, PartialShape)>) -> Self {
        Shapes { inputs, outputs }
    }

    /// What is known of an input.
    #[must_use]
    pub fn input(&self, i: usize) -> &PartialShape {
        &self.inputs[i].1
    }

    /// What is known of an output.
    #[must_use]
    pub fn output(&self, o: usize) -> &PartialShape {
        &self.outputs[o].1
    }

    /// How many inputs there are.
    #[must_use]
    pub fn num_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// How many outputs there are.
    #[must_use]
    pub fn num_outputs(&self) -> usize {
        self.outputs.len()
    }

    /// The shape of input `i`, if wholly known.
    #[must_use]
    pub fn known(&self, i: usize) -> Option<Shape> {
        self.input(i).known()
    }

    /// Adds that input `i` has this shape; `why` says what it follows from, for the error.
    ///
    /// # Errors
    /// `weight has shape (10, 64), wanted (10, 128) from data (32, 128)`.
    pub fn set_input(&mut self, i: usize, shape: impl Into<PartialShape>, why: &str) -> Result<()> {
        merge(&mut self.inputs[i], &shape.into(), why)
    }

    /// Adds that output `o` has this shape.
    ///
    /// # Errors
    /// As [`set_input`](Self::set_input).
    pub fn set_output(&mut self, o: usize, shape: impl Into<PartialShape>, why: &str) -> Result<()> {
        merge(&mut self.outputs[o], &shape.into(), why)
    }

    /// Makes all these inputs and outputs have one shape: what is known of one is known of all.
    ///
    /// # Errors
    /// A contradiction between two of them.
    pub fn same(&mut self, inputs: &[usize], outputs: &[usize]) -> Result<()> {
        let mut all = PartialShape::unknown();
        let mut from = String::new();
        let names = inputs.iter().map(|i| &self.inputs[*i]).chain(outputs.iter().map(|o| &self.outputs[*o]));
        for (name, shape) in names {
            let mut seen = shape.clone();
            merge(&mut (name.clone(), std::mem::take(&mut seen)), &all, &from)?;
            if all.merge(shape)? {
                from = format!("from {name} {shape}");
            }
        }
        for i in inputs {
            merge(&mut self.inputs[*i], &all, &from)?;
        }
        for o in outputs {
            merge(&mut self.outputs[*o], &all, &from)?;
        }
        Ok(())
    }

    /// Takes the results out: inputs, then outputs.
    #[must_use]
    pub fn into_parts(self) -> (Vec<PartialShape>, Vec<PartialShape>) {
        let strip = |v: Vec<(String, PartialShape)>| v.into_iter().map(|(_, s)| s).collect();
        (strip(self.inputs), strip(self.outputs))
    }
}

fn merge(slot: &mut (String, PartialShape), with: &PartialShape, why: &str) -> Result<()> {
    let (name, shape) = slot;
    shape
        .merge(with)
        .map(|_| ())
        .map_err(|e| Error::Shape(format!("{name} {e}{}{why}", if why.is_empty() { "" } else { " " })))
}

/// The dtypes of one node's inputs (auxiliary states last) and outputs.
pub struct DTypes {
    names: (Vec<String>, Vec<String>),
    inputs: Vec<Option<DType>>,
    outputs: Vec<Option<DType>>,
}

impl DTypes {
    /// From names and what is known.
    #[must_use]
    pub fn new(inputs: Vec<(String, Option<DType>)>, outputs: Vec<(String, Option<DType>)>) -> Self {
        let (in_names, inputs) = inputs.into_iter().unzip();
        let (out_names, outputs) = outputs.into_iter().unzip();
        DTypes { names: (in_names, out_names), inputs, outputs }
    }

    /// What is known of an input.
    #[must_use]
    pub fn input(&self, i: usize) -> Option<DType> {
        self.inputs[i]
    }

    /// What is known of an output.
    #[must_use]
    pub fn output(&self, o: usize) -> Option<DType> {
        self.outputs[o]
    }

    /// How many inputs there are.
    #[must_use]
    pub fn num_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// How many outputs there are.
    #[must_use]
    pub fn num_outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Adds that input `i` has this dtype.
    ///
    /// # Errors
    /// When it has another.
    pub fn set_input(&mut self, i: usize, dtype: DType) -> Result<()> {
        set(&self.names.0[i], &mut self.inputs[i], dtype)
    }

    /// Adds that output `o` has this dtype.
    ///
    /// # Errors
    /// When it has another.
    pub fn set_output(&mut self, o: usize, dtype: DType) -> Result<()> {
        set(&self.names.1[o], &mut self.outputs[o], dtype)
    }

    /// Makes all these inputs and outputs have one dtype.
    ///
    /// # Errors
    /// When two of them differ.
    pub fn same(&mut self, inputs: &[usize], outputs: &[usize]) -> Result<()> {
        let known =
            inputs.iter().find_map(|i| self.inputs[*i]).or_else(|| outputs.iter().find_map(|o| self.outputs[*o]));
        let Some(dtype) = known else { return Ok(()) };
        inputs.iter().try_for_each(|i| self.set_input(*i, dtype))?;
        outputs.iter().try_for_each(|o| self.set_output(*o, dtype))
    }

    /// Makes every input and output have one dtype.
    ///
    /// # Errors
    /// When two of them differ.
    pub fn all_same(&mut self) -> Result<()> {
        let (i, o): (Vec<_>, Vec<_>) = ((0..self.inputs.len()).collect(), (0..self.outputs.len()).collect());
        self.same(&i, &o)
    }

    /// Takes the results out: inputs, then outputs.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Option<DType>>, Vec<Option<DType>>) {
        (self.inputs, self.outputs)
    }
}

fn set(name: &str, slot: &mut Option<DType>, dtype: DType) -> Result<()> {
    match *slot {
        Some(is) if is != dtype => Err(Error::DType(format!("{name} has dtype {is}, wanted {dtype}"))),
        _ => {
            *slot = Some(dtype);
            Ok(())
        }
    }
}
