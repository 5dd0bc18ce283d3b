//! Gradients of recurrent layers: back through the steps, then matrix products over all steps.

use super::{CellParts, Rnn, RnnCell, RnnInputs, cell};
use crate::compute::float::Float;
use crate::compute::gemm::{Matrix, gemm};
use crate::compute::map::zip_in_place;
use crate::compute::mismatch::Mismatch;
use crate::compute::par::Par;
use crate::compute::reduce::{Reduction, reduce};

/// The gradients that come from outside.
#[derive(Clone, Copy)]
pub struct RnnOutGrads<'a, T> {
    /// Of the outputs of the last layer.
    pub output: &'a [T],
    /// Of the states after the last step; empty for zero.
    pub state: &'a [T],
    /// Of the cell states after the last step; empty for zero.
    pub cells: &'a [T],
}

/// The gradients that are computed; empty ones are left out.
pub struct RnnGrads<'a, T> {
    /// Of data.
    pub data: &'a mut [T],
    /// Of the parameters.
    pub parameters: &'a mut [T],
    /// Of the first states.
    pub state: &'a mut [T],
    /// Of the first cell states.
    pub cells: &'a mut [T],
}

/// Scratch memory, cut up.
struct Scratch<'a, T> {
    d_gates: &'a mut [T],
    d_product: &'a mut [T],
    d_state: &'a mut [T],
    d_cells: &'a mut [T],
    dropped: &'a mut [T],
}

impl Rnn {
    /// Numbers of scratch memory for [`backward`](Self::backward).
    #[must_use]
    pub fn backward_scratch(&self) -> usize {
        self.scratch_lens().iter().sum()
    }

    /// Gradients of the gates, of products where they are others, of the state and of the cell state; a layer's input where
    /// some of it is dropped; and gradients of the outputs of two layers.
    fn scratch_lens(&self) -> [usize; 7] {
        let (gates, state) = (self.rows() * self.height(), self.batch * self.hidden);
        let between = if self.layers > 1 { self.rows() * self.width() } else { 0 };
        let product = if self.cell == RnnCell::Gru { gates } else { 0 };
        let cells = if self.cell == RnnCell::Lstm { state } else { 0 };
        [gates, product, state, cells, self.dropped(), between, between]
    }

    /// The gradients, from what a forward pass read and what it left in the reserve.
    ///
    /// Errors: slices of other lengths than the sizes say.
    pub fn backward<T: Float>(
        &self,
        par: &dyn Par,
        inputs: RnnInputs<'_, T>,
        reserve: &[T],
        out_grads: RnnOutGrads<'_, T>,
        grads: RnnGrads<'_, T>,
        scratch: &mut [T],
    ) -> Result<(), Mismatch> {
        let RnnGrads { data: d_data, parameters: d_parameters, state: d_first, cells: d_first_cells } = grads;
        self.check(inputs, reserve.len())?;
        Mismatch::check("Rnn::backward", "length of out_grad", out_grads.output.len(), self.rows() * self.width())?;
        Mismatch::check_at_least("Rnn::backward", "length of scratch", scratch.len(), self.backward_scratch())?;
        if self.rows() == 0 {
            d_parameters.fill(T::ZERO);
            copy_or_zero(out_grads.state, d_first);
            copy_or_zero(out_grads.cells, d_first_cells);
            return Ok(());
        }
        let mut rest = scratch;
        let [d_gates, d_product, d_state, d_cells, dropped, mut above, mut below] = self.scratch_lens().map(|len| {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(len);
            rest = others;
            own
        });
        let mut scratch = Scratch { d_gates, d_product, d_state, d_cells, dropped };
        let (outputs, factors) = (&reserve[..self.output().end], &reserve[self.factors()]);
        for layer in (0..self.layers).rev() {
            let d_output = if layer + 1 == self.layers { out_grads.output } else { &*above };
            let d_read = if layer == 0 { &mut *d_data } else { &mut *below };
            for direction in 0..self.directions {
                let parts = self.parts(layer, direction);
                copy_or_zero(out_grads.state.get(parts.own.clone()).unwrap_or(&[]), scratch.d_state);
                copy_or_zero(out_grads.cells.get(parts.own.clone()).unwrap_or(&[]), scratch.d_cells);
                let own = &outputs[self.outputs(layer)];
                self.back(par, direction, &parts, (inputs, own, reserve), d_output, &mut scratch)?;
                if let Some(to) = d_first.get_mut(parts.own.clone()) {
                    to.copy_from_slice(scratch.d_state);
                }
                if let Some(to) = d_first_cells.get_mut(parts.own.clone()) {
                    to.copy_from_slice(scratch.d_cells);
                }
                if !d_parameters.is_empty() {
                    let read = self.read(par, layer, (inputs.data, outputs, factors), scratch.dropped)?;
                    let gates = (&*scratch.d_gates, &*scratch.d_product);
                    let states = (own, &inputs.state[parts.own.clone()]);
                    self.parameter_grads(par, (layer, direction), &parts, (read, states), gates, d_parameters)?;
                }
                if !d_read.is_empty() {
                    let weights = &inputs.parameters[parts.input.clone()];
                    let weights = Matrix::new(weights, self.height(), self.reads(layer))?;
                    let d_gates = Matrix::new(scratch.d_gates, self.rows(), self.height())?;
                    gemm(par, T::ONE, d_gates, weights, if direction == 0 { T::ZERO } else { T::ONE }, d_read)?;
                }
            }
            if layer > 0 {
                if self.drops {
                    zip_in_place(par, below, &factors[self.outputs(layer - 1)], |d, factor| d * factor)?;
                }
                std::mem::swap(&mut above, &mut below);
            }
        }
        Ok(())
    }

    /// One cell back through all steps: the gradients of its gates, and of the states before the first step.
    fn back<T: Float>(
        &self,
        par: &dyn Par,
        direction: usize,
        parts: &CellParts,
        (inputs, own, reserve): (RnnInputs<'_, T>, &[T], &[T]),
        d_output: &[T],
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Mismatch> {
        let (batch, hidden, height, width) = (self.batch, self.hidden, self.height(), self.width());
        let (gates, more) = (&reserve[parts.gates.clone()], &reserve[parts.more.clone()]);
        let weights = Matrix::new(&inputs.parameters[parts.state.clone()], height, hidden)?;
        let column = direction * hidden;
        // The gradient of a gated unit's state does not all go through its gates.
        let direct = if self.cell == RnnCell::Gru { T::ONE } else { T::ZERO };
        for step in self.order(direction).rev() {
            let of_state = |step: usize| step * batch * hidden..(step + 1) * batch * hidden;
            let of_gates = step * batch * height..(step + 1) * batch * height;
            let (state, cells) = match self.before(direction, step) {
                Some(step) => ((&own[step * batch * width + column..], width), more.get(of_state(step))),
                None => ((&inputs.state[parts.own.clone()], hidden), inputs.cells.get(parts.own.clone())),
            };
            cell::backward(
                self,
                par,
                cell::Backward {
                    gates: &gates[of_gates.clone()],
                    more: more.get(of_state(step)).unwrap_or(&[]),
                    state,
                    cells: cells.unwrap_or(&[]),
                    d_output: (&d_output[step * batch * width..], column),
                    d_state: scratch.d_state,
                    d_cells: scratch.d_cells,
                    d_gates: &mut scratch.d_gates[of_gates.clone()],
                    d_product: scratch.d_product.get_mut(of_gates.clone()).unwrap_or(&mut []),
                },
            );
            let d_product = if self.cell == RnnCell::Gru { &*scratch.d_product } else { &*scratch.d_gates };
            let d_product = Matrix::new(&d_product[of_gates], batch, height)?;
            gemm(par, T::ONE, d_product, weights, direct, scratch.d_state)?;
        }
        Ok(())
    }

    /// The gradients of one cell's parameters.
    fn parameter_grads<T: Float>(
        &self,
        par: &dyn Par,
        (layer, direction): (usize, usize),
        parts: &CellParts,
        (read, (own, first)): (&[T], (&[T], &[T])),
        (d_gates, d_product): (&[T], &[T]),
        grads: &mut [T],
    ) -> Result<(), Mismatch> {
        let (rows, batch, hidden, height) = (self.rows(), self.batch, self.hidden, self.height());
        let d_product = if self.cell == RnnCell::Gru { d_product } else { d_gates };
        let read = Matrix::new(read, rows, self.reads(layer))?;
        gemm(par, T::ONE, Matrix::new(d_gates, rows, height)?.t(), read, T::ZERO, &mut grads[parts.input.clone()])?;
        // The states before all steps but the first are outputs, those of the neighbouring steps.
        let (later, earlier, start) = if direction == 0 {
            (&d_product[batch * height..], &own[direction * hidden..], &d_product[..batch * height])
        } else {
            let last = (rows - batch) * height;
            (&d_product[..last], &own[(batch * self.width()).min(own.len())..], &d_product[last..])
        };
        let d_state = &mut grads[parts.state.clone()];
        let first = Matrix::new(first, batch, hidden)?;
        gemm(par, T::ONE, Matrix::new(start, batch, height)?.t(), first, T::ZERO, d_state)?;
        if self.steps > 1 {
            let earlier = if direction == 0 { earlier } else { &earlier[direction * hidden..] };
            let earlier = Matrix::strided(earlier, rows - batch, hidden, self.width())?;
            gemm(par, T::ONE, Matrix::new(later, rows - batch, height)?.t(), earlier, T::ONE, d_state)?;
        }
        for (range, of) in parts.offsets.clone().into_iter().zip([d_gates, d_product]) {
            reduce(par, Reduction::Sum, of, &[rows, height], &[0], &mut grads[range])?;
        }
        Ok(())
    }
}

/// Zeroes where there is nothing to copy.
fn copy_or_zero<T: Float>(from: &[T], to: &mut [T]) {
    if from.len() == to.len() { to.copy_from_slice(from) } else { to.fill(T::ZERO) }
}
