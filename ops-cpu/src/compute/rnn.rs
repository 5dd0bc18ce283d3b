//! Layers of recurrent cells over whole sequences.
//!
//! The products with a layer's input are one matrix product over all steps; those with the state are one a step, followed by
//! the cell's own arithmetic ([`cell`]).

use super::float::Float;
use super::gemm::{Matrix, gemm};
use super::mismatch::Mismatch;
use super::par::Par;
use std::ops::Range;

mod backward;
mod cell;

pub use backward::{RnnGrads, RnnOutGrads};

/// A recurrent cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RnnCell {
    /// `h = max(a + u, 0)`.
    Relu,
    /// `h = tanh(a + u)`.
    Tanh,
    /// Gates input, forget, candidate, output.
    Lstm,
    /// Gates reset, update, candidate.
    Gru,
}

/// The sizes of recurrent layers. Tensors are those of the operator `RNN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rnn {
    /// The cell.
    pub cell: RnnCell,
    /// Layers, at least one.
    pub layers: usize,
    /// Cells a layer: 1, or 2 of which the second reads backwards.
    pub directions: usize,
    /// Numbers in a state, at least one.
    pub hidden: usize,
    /// Steps.
    pub steps: usize,
    /// Sequences.
    pub batch: usize,
    /// Numbers a step of the first layer.
    pub input: usize,
    /// Whether the outputs of all layers but the last are multiplied by factors before the next layer reads them.
    pub drops: bool,
}

/// The state of one tensor's parts that a cell of one layer and direction uses.
struct CellParts {
    /// Its matrix of inputs, its matrix of states, and the two vectors of offsets, in the parameters.
    input: Range<usize>,
    state: Range<usize>,
    offsets: [Range<usize>; 2],
    /// Its gates, and what it keeps more, in the reserve.
    gates: Range<usize>,
    more: Range<usize>,
    /// Its state among those of all cells.
    own: Range<usize>,
}

/// What a forward pass reads.
#[derive(Clone, Copy)]
pub struct RnnInputs<'a, T> {
    /// (steps, batch, input).
    pub data: &'a [T],
    /// As many as [`Rnn::parameters`].
    pub parameters: &'a [T],
    /// (layers · directions, batch, hidden).
    pub state: &'a [T],
    /// The same of cell states; empty but for [`RnnCell::Lstm`].
    pub cells: &'a [T],
}

impl Rnn {
    /// Vectors that a cell computes from its input.
    fn gates(&self) -> usize {
        match self.cell {
            RnnCell::Relu | RnnCell::Tanh => 1,
            RnnCell::Gru => 3,
            RnnCell::Lstm => 4,
        }
    }

    fn keeps_more(&self) -> bool {
        matches!(self.cell, RnnCell::Lstm | RnnCell::Gru)
    }

    /// Pairs of a step and a sequence.
    fn rows(&self) -> usize {
        self.steps * self.batch
    }

    /// Numbers that a layer's cells give for one of them.
    fn width(&self) -> usize {
        self.directions * self.hidden
    }

    /// Numbers that a layer reads for one of them.
    fn reads(&self, layer: usize) -> usize {
        if layer == 0 { self.input } else { self.width() }
    }

    /// Numbers of all gates.
    fn height(&self) -> usize {
        self.gates() * self.hidden
    }

    fn matrices(&self, layers: usize) -> usize {
        (0..layers).map(|layer| self.directions * self.height() * (self.reads(layer) + self.hidden)).sum()
    }

    /// Numbers in the parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.matrices(self.layers) + self.layers * self.directions * 2 * self.height()
    }

    /// Numbers in the states of all cells.
    #[must_use]
    pub fn states(&self) -> usize {
        self.layers * self.directions * self.batch * self.hidden
    }

    /// Numbers that a forward pass leaves for the backward pass.
    #[must_use]
    pub fn reserve(&self) -> usize {
        self.factors().end
    }

    fn outputs(&self, layer: usize) -> Range<usize> {
        let len = self.rows() * self.width();
        layer * len..(layer + 1) * len
    }

    /// Where the reserve has the outputs of the last layer.
    #[must_use]
    pub fn output(&self) -> Range<usize> {
        self.outputs(self.layers - 1)
    }

    /// Where the reserve has the factors of the outputs of all layers but the last; filled before the forward pass.
    #[must_use]
    pub fn factors(&self) -> Range<usize> {
        let kept = self.height() + if self.keeps_more() { self.hidden } else { 0 };
        let start = self.output().end + self.layers * self.directions * self.rows() * kept;
        let layers = if self.drops { self.layers - 1 } else { 0 };
        start..start + layers * self.rows() * self.width()
    }

    fn parts(&self, layer: usize, direction: usize) -> CellParts {
        let (height, cell) = (self.height(), layer * self.directions + direction);
        let start = self.matrices(layer) + direction * height * (self.reads(layer) + self.hidden);
        let input = start..start + height * self.reads(layer);
        let state = input.end..input.end + height * self.hidden;
        let offsets = self.matrices(self.layers) + cell * 2 * height;
        let more = if self.keeps_more() { self.hidden } else { 0 };
        let gates = self.output().end + cell * self.rows() * (height + more);
        let gates = gates..gates + self.rows() * height;
        let own = self.batch * self.hidden;
        CellParts {
            input,
            state,
            offsets: [offsets..offsets + height, offsets + height..offsets + 2 * height],
            more: gates.end..gates.end + self.rows() * more,
            gates,
            own: cell * own..(cell + 1) * own,
        }
    }

    /// The steps in the order in which a direction reads them.
    fn order(&self, direction: usize) -> impl DoubleEndedIterator<Item = usize> {
        let last = self.steps;
        (0..self.steps).map(move |step| if direction == 0 { step } else { last - 1 - step })
    }

    /// The step before `step`, in the order of a direction.
    fn before(&self, direction: usize, step: usize) -> Option<usize> {
        if direction == 0 { step.checked_sub(1) } else { Some(step + 1).filter(|step| *step < self.steps) }
    }

    fn check<T: Copy>(&self, inputs: RnnInputs<'_, T>, reserve: usize) -> Result<(), Mismatch> {
        Mismatch::check("Rnn", "length of data", inputs.data.len(), self.rows() * self.input)?;
        Mismatch::check("Rnn", "length of parameters", inputs.parameters.len(), self.parameters())?;
        Mismatch::check("Rnn", "length of state", inputs.state.len(), self.states())?;
        let cells = if self.cell == RnnCell::Lstm { self.states() } else { 0 };
        Mismatch::check("Rnn", "length of cell states", inputs.cells.len(), cells)?;
        Mismatch::check("Rnn", "length of reserve", reserve, self.reserve())
    }

    /// Numbers of scratch memory for [`forward`](Self::forward).
    #[must_use]
    pub fn forward_scratch(&self) -> usize {
        self.batch * self.height() + self.dropped()
    }

    /// Numbers that a layer reads where some are dropped.
    fn dropped(&self) -> usize {
        if self.drops && self.layers > 1 { self.rows() * self.width() } else { 0 }
    }

    /// Fills the reserve but for the factors, which it reads; the outputs of the last layer are at
    /// [`output`](Self::output). The states after the last step go to `state` and `cells`, unless these are empty.
    ///
    /// Errors: slices of other lengths than the sizes say.
    pub fn forward<T: Float>(
        &self,
        par: &dyn Par,
        inputs: RnnInputs<'_, T>,
        reserve: &mut [T],
        (state, cells): (&mut [T], &mut [T]),
        scratch: &mut [T],
    ) -> Result<(), Mismatch> {
        self.check(inputs, reserve.len())?;
        Mismatch::check_at_least("Rnn::forward", "length of scratch", scratch.len(), self.forward_scratch())?;
        if self.rows() == 0 {
            let copy = |from: &[T], to: &mut [T]| to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            copy(inputs.state, state);
            copy(inputs.cells, cells);
            return Ok(());
        }
        let (product, dropped) = scratch.split_at_mut(self.batch * self.height());
        let (outputs, kept) = reserve.split_at_mut(self.output().end);
        for layer in 0..self.layers {
            let (below, from) = outputs.split_at_mut(self.outputs(layer).start);
            let own = &mut from[..self.rows() * self.width()];
            let (cells_kept, factors) = kept.split_at_mut(self.factors().start - self.output().end);
            let read = self.read(par, layer, (inputs.data, below, factors), dropped)?;
            for direction in 0..self.directions {
                let parts = self.parts(layer, direction);
                let in_kept = |range: &Range<usize>| range.start - self.output().end..range.end - self.output().end;
                let (gates, more) =
                    cells_kept[in_kept(&(parts.gates.start..parts.more.end))].split_at_mut(parts.gates.len());
                self.run(par, (read, layer, direction), &parts, inputs, (own, gates, more), product)?;
                let last = self.order(direction).next_back().unwrap_or(0);
                if !state.is_empty() {
                    let rows = own[last * self.batch * self.width()..].chunks(self.width());
                    for (to, row) in state[parts.own.clone()].chunks_mut(self.hidden).zip(rows) {
                        to.copy_from_slice(&row[direction * self.hidden..][..self.hidden]);
                    }
                }
                if !cells.is_empty() {
                    let len = self.batch * self.hidden;
                    cells[parts.own.clone()].copy_from_slice(&more[last * len..][..len]);
                }
            }
        }
        Ok(())
    }

    /// What a layer reads: data, or the outputs of the layer below, times their factors.
    fn read<'a, T: Float>(
        &self,
        par: &dyn Par,
        layer: usize,
        (data, below, factors): (&'a [T], &'a [T], &[T]),
        dropped: &'a mut [T],
    ) -> Result<&'a [T], Mismatch> {
        if layer == 0 {
            return Ok(data);
        }
        let below = &below[self.outputs(layer - 1)];
        if !self.drops {
            return Ok(below);
        }
        let dropped = &mut dropped[..below.len()];
        super::map::zip(par, below, &factors[self.outputs(layer - 1)], dropped, |y, factor| y * factor)?;
        Ok(dropped)
    }

    /// One cell over all steps.
    fn run<T: Float>(
        &self,
        par: &dyn Par,
        (read, layer, direction): (&[T], usize, usize),
        parts: &CellParts,
        inputs: RnnInputs<'_, T>,
        (own, gates, more): (&mut [T], &mut [T], &mut [T]),
        product: &mut [T],
    ) -> Result<(), Mismatch> {
        let (batch, hidden, height, width) = (self.batch, self.hidden, self.height(), self.width());
        let weights = Matrix::new(&inputs.parameters[parts.input.clone()], height, self.reads(layer))?;
        let data = Matrix::new(read, self.rows(), self.reads(layer))?;
        gemm(par, T::ONE, data, weights.t(), T::ZERO, gates)?;
        let weights = Matrix::new(&inputs.parameters[parts.state.clone()], height, hidden)?;
        let offsets = parts.offsets.clone().map(|range| &inputs.parameters[range]);
        let (first, first_cells) = (&inputs.state[parts.own.clone()], inputs.cells.get(parts.own.clone()));
        let column = direction * hidden;
        for step in self.order(direction) {
            // The step before lies on the side of this one that the direction says.
            let (before, after) = own.split_at_mut((step + 1 - usize::from(direction == 0)) * batch * width);
            let (now, earlier) = if direction == 0 {
                (&mut after[..batch * width], step.checked_sub(1).map(|at| &before[at * batch * width..]))
            } else {
                (&mut before[step * batch * width..], Some(&*after).filter(|after| !after.is_empty()))
            };
            let (state, stride) = match earlier {
                Some(rows) => (&rows[column..], width),
                None => (first, hidden),
            };
            gemm(par, T::ONE, Matrix::strided(state, batch, hidden, stride)?, weights.t(), T::ZERO, product)?;
            let (row, len) = (step * batch * height, batch * hidden);
            let (kept_before, kept) = match self.before(direction, step) {
                _ if !self.keeps_more() => (None, &mut [][..]),
                None => (first_cells, &mut more[step * len..][..len]),
                Some(other) => {
                    let (low, high) = more.split_at_mut(step.max(other) * len);
                    if other < step {
                        (Some(&low[other * len..]), &mut high[..len])
                    } else {
                        (Some(&high[..len]), &mut low[step * len..][..len])
                    }
                }
            };
            cell::forward(
                self,
                par,
                cell::Forward {
                    product,
                    offsets,
                    state: (state, stride),
                    cells: kept_before.unwrap_or(&[]),
                    gates: &mut gates[row..][..batch * height],
                    more: kept,
                    output: (now, column),
                },
            );
        }
        Ok(())
    }
}
