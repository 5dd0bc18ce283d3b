//! Element types around one use of an operator, as far as they are known.

use crate::{DType, Error, Result};

/// The dtypes of an operator's inputs (auxiliary states last) and outputs. A rule adds what follows, in either direction.
pub struct DTypes {
    pub(crate) inputs: Vec<(String, Option<DType>)>,
    pub(crate) outputs: Vec<(String, Option<DType>)>,
}

impl DTypes {
    /// How many inputs there are, auxiliary states included.
    #[must_use]
    pub fn num_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// How many outputs there are.
    #[must_use]
    pub fn num_outputs(&self) -> usize {
        self.outputs.len()
    }

    /// What is known of an input.
    #[must_use]
    pub fn input(&self, i: usize) -> Option<DType> {
        self.inputs[i].1
    }

    /// What is known of an output.
    #[must_use]
    pub fn output(&self, o: usize) -> Option<DType> {
        self.outputs[o].1
    }

    /// Adds that input `i` has this dtype.
    ///
    /// # Errors
    /// When it has another.
    pub fn set_input(&mut self, i: usize, dtype: DType) -> Result<()> {
        set(&mut self.inputs[i], dtype)
    }

    /// Adds that output `o` has this dtype.
    ///
    /// # Errors
    /// When it has another.
    pub fn set_output(&mut self, o: usize, dtype: DType) -> Result<()> {
        set(&mut self.outputs[o], dtype)
    }

    /// Makes these inputs and outputs have one dtype.
    ///
    /// # Errors
    /// When two of them differ.
    pub fn same(&mut self, inputs: &[usize], outputs: &[usize]) -> Result<()> {
        let known = inputs.iter().find_map(|i| self.input(*i)).or_else(|| outputs.iter().find_map(|o| self.output(*o)));
        let Some(dtype) = known else { return Ok(()) };
        inputs.iter().try_for_each(|i| self.set_input(*i, dtype))?;
        outputs.iter().try_for_each(|o| self.set_output(*o, dtype))
    }

    /// Makes all inputs and outputs have one dtype.
    ///
    /// # Errors
    /// When two of them differ.
    pub fn all_same(&mut self) -> Result<()> {
        let (inputs, outputs): (Vec<_>, Vec<_>) = ((0..self.num_inputs()).collect(), (0..self.num_outputs()).collect());
        self.same(&inputs, &outputs)
    }
}

fn set((name, slot): &mut (String, Option<DType>), dtype: DType) -> Result<()> {
    if let Some(is) = slot.filter(|is| *is != dtype) {
        return Err(Error::dtype(format!("{name} has dtype {is}, wanted {dtype}")));
    }
    *slot = Some(dtype);
    Ok(())
}
