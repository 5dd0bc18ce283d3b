//! The arithmetic of one step of a cell, row by row.

use super::{Rnn, RnnCell};
use crate::compute::float::Float;
use crate::compute::map::Compiled;
use crate::compute::par::{Par, Parts, Serial, Split, each_part};
use crate::compute::unary::{Unary, unary_in_place};

/// Numbers of gates that are worth a part of their own.
const GRAIN: usize = 4096;

/// One step forward. Rows are sequences.
pub(super) struct Forward<'a, T> {
    /// The products of the matrix of states with the state.
    pub(super) product: &'a [T],
    /// Those of the input's and of the state's product.
    pub(super) offsets: [&'a [T]; 2],
    /// The state before, whose rows begin so far apart.
    pub(super) state: (&'a [T], usize),
    /// The cell state before, if there is one.
    pub(super) cells: &'a [T],
    /// The products of the matrix of inputs with the input, which become the gates.
    pub(super) gates: &'a mut [T],
    /// What is kept more: the new cell state, or what the state gives to the candidate.
    pub(super) more: &'a mut [T],
    /// The layer's outputs, and the first column of this cell's.
    pub(super) output: (&'a mut [T], usize),
}

fn split(rnn: &Rnn) -> Split {
    Split::new(rnn.batch, 1, (GRAIN / rnn.height()).max(1), 64)
}

/// The numbers of `x` for the rows of a part.
fn rows<T>(x: &[T], from: usize, row: usize) -> impl Iterator<Item = &[T]> {
    x[from * row..].chunks(row)
}

pub(super) fn forward<T: Float>(rnn: &Rnn, par: &dyn Par, step: Forward<'_, T>) {
    let (hidden, height, split) = (rnn.hidden, rnn.height(), split(rnn));
    let more_len = step.more.len() / rnn.batch;
    let gates = Parts::new(step.gates, split, height);
    let more = Parts::new(step.more, split, more_len);
    let (output, column) = step.output;
    let output = Parts::new(output, split, rnn.width());
    each_part(par, split.parts(), &|part| {
        let (gates, more, output) = (gates.take(part), more.take(part), output.take(part));
        let each = gates.chunks_mut(height).zip(output.chunks_mut(rnn.width())).zip(split.range(part));
        for ((gates, output), row) in each {
            let output = &mut output[column..][..hidden];
            let product = &step.product[row * height..][..height];
            let more = &mut more[(row - split.range(part).start) * more_len..][..more_len];
            match rnn.cell {
                RnnCell::Relu | RnnCell::Tanh => {
                    add(gates, product, step.offsets);
                    let function = if rnn.cell == RnnCell::Tanh { Unary::Tanh } else { Unary::Relu };
                    unary_in_place(&Serial, function, gates);
                    output.copy_from_slice(gates);
                }
                RnnCell::Lstm => {
                    add(gates, product, step.offsets);
                    lstm(gates, &step.cells[row * hidden..][..hidden], more, output);
                }
                RnnCell::Gru => {
                    let state = &step.state.0[row * step.state.1..][..hidden];
                    gru(gates, product, step.offsets, (state, more), output);
                }
            }
        }
    });
}

/// `gates += product + offsets`.
fn add<T: Float>(gates: &mut [T], product: &[T], [own, of_state]: [&[T]; 2]) {
    T::dispatch(Compiled(|| {
        for (((gate, &u), &b), &c) in gates.iter_mut().zip(product).zip(own).zip(of_state) {
            *gate += u + (b + c);
        }
    }));
}

fn lstm<T: Float>(gates: &mut [T], before: &[T], cells: &mut [T], output: &mut [T]) {
    let hidden = output.len();
    let (inputs, rest) = gates.split_at_mut(2 * hidden);
    let (candidate, out) = rest.split_at_mut(hidden);
    unary_in_place(&Serial, Unary::Sigmoid, inputs);
    unary_in_place(&Serial, Unary::Tanh, candidate);
    unary_in_place(&Serial, Unary::Sigmoid, out);
    let (input, forget) = inputs.split_at(hidden);
    T::dispatch(Compiled(|| {
        for ((((cell, &before), &i), &f), &g) in cells.iter_mut().zip(before).zip(input).zip(forget).zip(&*candidate) {
            *cell = f * before + i * g;
        }
    }));
    output.copy_from_slice(cells);
    unary_in_place(&Serial, Unary::Tanh, output);
    output.iter_mut().zip(out).for_each(|(h, o)| *h = *h * *o);
}

/// `more` becomes what the state gives to the candidate.
fn gru<T: Float>(
    gates: &mut [T],
    product: &[T],
    [own, of_state]: [&[T]; 2],
    (state, more): (&[T], &mut [T]),
    output: &mut [T],
) {
    let hidden = output.len();
    let (switches, candidate) = gates.split_at_mut(2 * hidden);
    add(switches, product, [own, of_state]);
    unary_in_place(&Serial, Unary::Sigmoid, switches);
    let (reset, update) = switches.split_at(hidden);
    let (product, own, of_state) = (&product[2 * hidden..], &own[2 * hidden..], &of_state[2 * hidden..]);
    T::dispatch(Compiled(|| {
        let terms = more.iter_mut().zip(product).zip(of_state);
        for (((n, &b), &r), ((more, &u), &c)) in candidate.iter_mut().zip(own).zip(reset).zip(terms) {
            *more = u + c;
            *n += b + r * *more;
        }
    }));
    unary_in_place(&Serial, Unary::Tanh, candidate);
    T::dispatch(Compiled(|| {
        for (((h, &n), &z), &before) in output.iter_mut().zip(&*candidate).zip(update).zip(state) {
            *h = (T::ONE - z) * n + z * before;
        }
    }));
}

/// One step backward. Rows are sequences.
pub(super) struct Backward<'a, T> {
    /// The gates of the forward pass.
    pub(super) gates: &'a [T],
    /// What it kept more.
    pub(super) more: &'a [T],
    /// The state before, whose rows begin so far apart.
    pub(super) state: (&'a [T], usize),
    /// The cell state before, if there is one.
    pub(super) cells: &'a [T],
    /// The gradient of the layer's outputs, and the first column of this cell's.
    pub(super) d_output: (&'a [T], usize),
    /// The gradient of the state; becomes that part of the gradient of the state before which does not go through gates.
    pub(super) d_state: &'a mut [T],
    /// The gradient of the cell state, which becomes that of the one before.
    pub(super) d_cells: &'a mut [T],
    /// The gradient of what the input gives to the gates.
    pub(super) d_gates: &'a mut [T],
    /// The gradient of what the state gives to the gates, where it is another.
    pub(super) d_product: &'a mut [T],
}

pub(super) fn backward<T: Float>(rnn: &Rnn, par: &dyn Par, step: Backward<'_, T>) {
    let Backward { d_state, d_cells, d_gates, d_product, .. } = step;
    let (hidden, height, split) = (rnn.hidden, rnn.height(), split(rnn));
    let (cell_len, product_len) = (d_cells.len() / rnn.batch, d_product.len() / rnn.batch);
    let d_state = Parts::new(d_state, split, hidden);
    let d_cells = Parts::new(d_cells, split, cell_len);
    let d_gates = Parts::new(d_gates, split, height);
    let d_product = Parts::new(d_product, split, product_len);
    each_part(par, split.parts(), &|part| {
        let (d_state, d_cells) = (d_state.take(part), d_cells.take(part));
        let (d_gates, d_product) = (d_gates.take(part), d_product.take(part));
        let range = split.range(part);
        let (first, outputs) = (range.start, rows(step.d_output.0, range.start, rnn.width()));
        let each = d_state.chunks_mut(hidden).zip(d_gates.chunks_mut(height)).zip(outputs).zip(range);
        for (((d_state, d_gates), d_output), row) in each {
            let gates = &step.gates[row * height..][..height];
            for (d, g) in d_state.iter_mut().zip(&d_output[step.d_output.1..]) {
                *d += *g;
            }
            let at = row - first;
            match rnn.cell {
                RnnCell::Relu => {
                    for ((d, &h), &g) in d_gates.iter_mut().zip(gates).zip(&*d_state) {
                        *d = if h > T::ZERO { g } else { T::ZERO };
                    }
                }
                RnnCell::Tanh => {
                    for ((d, &h), &g) in d_gates.iter_mut().zip(gates).zip(&*d_state) {
                        *d = g * (T::ONE - h * h);
                    }
                }
                RnnCell::Lstm => {
                    let of_row = row * hidden..(row + 1) * hidden;
                    let cells = [&step.more[of_row.clone()], &step.cells[of_row]];
                    lstm_backward(gates, cells, d_state, &mut d_cells[at * hidden..][..hidden], d_gates);
                }
                RnnCell::Gru => {
                    let state = &step.state.0[row * step.state.1..][..hidden];
                    let more = &step.more[row * hidden..][..hidden];
                    let d_product = &mut d_product[at * height..][..height];
                    gru_backward(gates, [more, state], d_state, d_gates, d_product);
                }
            }
        }
    });
}

fn lstm_backward<T: Float>(
    gates: &[T],
    [cells, before]: [&[T]; 2],
    d_state: &[T],
    d_cells: &mut [T],
    d_gates: &mut [T],
) {
    let hidden = d_state.len();
    let gate = |at: usize| &gates[at * hidden..][..hidden];
    let [i, f, g, o] = [gate(0), gate(1), gate(2), gate(3)];
    let (d_inputs, d_rest) = d_gates.split_at_mut(2 * hidden);
    let ((d_i, d_f), (d_g, d_o)) = (d_inputs.split_at_mut(hidden), d_rest.split_at_mut(hidden));
    d_o.copy_from_slice(cells);
    unary_in_place(&Serial, Unary::Tanh, d_o);
    T::dispatch(Compiled(|| {
        let derivative = |y: T| y * (T::ONE - y);
        for at in 0..hidden {
            let tanh = d_o[at];
            let d_cell = d_cells[at] + d_state[at] * o[at] * (T::ONE - tanh * tanh);
            d_i[at] = d_cell * g[at] * derivative(i[at]);
            d_f[at] = d_cell * before[at] * derivative(f[at]);
            d_g[at] = d_cell * i[at] * (T::ONE - g[at] * g[at]);
            d_o[at] = d_state[at] * tanh * derivative(o[at]);
            d_cells[at] = d_cell * f[at];
        }
    }));
}

fn gru_backward<T: Float>(
    gates: &[T],
    [more, before]: [&[T]; 2],
    d_state: &mut [T],
    d_gates: &mut [T],
    d_product: &mut [T],
) {
    let hidden = d_state.len();
    let gate = |at: usize| &gates[at * hidden..][..hidden];
    let [r, z, n] = [gate(0), gate(1), gate(2)];
    let (d_switches, d_n) = d_gates.split_at_mut(2 * hidden);
    let (d_r, d_z) = d_switches.split_at_mut(hidden);
    let (same, d_more) = d_product.split_at_mut(2 * hidden);
    T::dispatch(Compiled(|| {
        for at in 0..hidden {
            let d = d_state[at];
            d_n[at] = d * (T::ONE - z[at]) * (T::ONE - n[at] * n[at]);
            d_z[at] = d * (before[at] - n[at]) * (z[at] * (T::ONE - z[at]));
            d_r[at] = d_n[at] * more[at] * (r[at] * (T::ONE - r[at]));
            d_more[at] = d_n[at] * r[at];
            d_state[at] = d * z[at];
        }
    }));
    same.copy_from_slice(d_switches);
}
