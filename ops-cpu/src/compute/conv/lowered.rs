//! Convolution as a matrix product: the inputs of a run of output rows are copied into the columns of a matrix
//! ("im2col"), and the gradient by the data is added back from one. Works for every geometry.

use super::{Addend, Conv, Terms};
use crate::compute::float::Float;
use crate::compute::gemm::{Matrix, gemm_rows};
use crate::compute::map::Compiled;
use crate::compute::mismatch::Mismatch;
use crate::compute::par::{Par, Parts, Serial, Split, each_part};
use std::ops::Range;

/// Numbers of the matrix, unless one output row takes more: it should stay in the second-level cache.
const MOST_COLUMNS: usize = 96 * 1024;
/// Fewer samples and groups than this are taken one after the other, with the matrix products in parallel.
const FEW: usize = 4;
/// The most matrices that are in use at a time.
const MOST_MATRICES: usize = 8;

/// Output rows whose inputs fill the matrix.
fn rows_at_a_time(conv: &Conv) -> usize {
    let rows = conv.output[0] * conv.output[1];
    (MOST_COLUMNS / (conv.depth() * conv.output[2])).clamp(1, rows)
}

fn matrix_len(conv: &Conv) -> usize {
    conv.depth() * rows_at_a_time(conv) * conv.output[2]
}

/// Samples and groups, in parallel unless they are few.
fn tasks(conv: &Conv) -> Split {
    let tasks = conv.samples * conv.groups;
    Split::new(tasks, 1, 1, if tasks < FEW { 1 } else { MOST_MATRICES })
}

/// Numbers of the copy of what a task reads, where what it writes may take the place of that.
fn copy_len(conv: &Conv) -> usize {
    if conv.can_be_in_place() { conv.input_len() / conv.groups } else { 0 }
}

pub(super) fn workspace_len(conv: &Conv) -> usize {
    tasks(conv).parts() * (matrix_len(conv) + copy_len(conv))
}

pub(super) fn weight_workspace_len(conv: &Conv) -> usize {
    matrix_len(conv)
}

/// Runs of output rows that are taken at a time.
fn runs(conv: &Conv) -> impl Iterator<Item = Range<usize>> {
    let (rows, step) = (conv.output[0] * conv.output[1], rows_at_a_time(conv));
    (0..rows).step_by(step).map(move |start| start..(start + step).min(rows))
}

/// One sample and group of a [`each_task`].
struct Task<'a, T> {
    index: usize,
    /// For loops inside.
    par: &'a dyn Par,
    input: &'a [T],
    out: &'a mut [T],
    matrix: &'a mut [T],
}

/// Runs `body` for each sample and group. Without `input`, `out` holds it, and is copied before it is written.
fn each_task<T: Float>(
    conv: &Conv,
    par: &dyn Par,
    input: Option<&[T]>,
    out: &mut [T],
    workspace: &mut [T],
    body: impl Fn(Task<'_, T>) -> Result<(), Mismatch> + Sync,
) -> Result<(), Mismatch> {
    let tasks_len = (conv.samples * conv.groups).max(1);
    let (input_len, out_len) = (input.map_or(0, <[T]>::len) / tasks_len, out.len() / tasks_len);
    let one = |index: usize, par: &dyn Par, out: &mut [T], scratch: &mut [T]| {
        let (matrix, copy) = scratch.split_at_mut(matrix_len(conv));
        let input = match input {
            Some(input) => &input[index * input_len..][..input_len],
            None => {
                copy.copy_from_slice(out);
                copy
            }
        };
        body(Task { index, par, input, out, matrix })
    };
    let split = tasks(conv);
    if split.parts() == 1 {
        return (out.chunks_mut(out_len.max(1)).enumerate())
            .try_for_each(|(index, out)| one(index, par, out, workspace));
    }
    let outs = Parts::new(out, split, out_len);
    let slots = Split::new(split.parts(), 1, 1, split.parts());
    let scratch = Parts::new(workspace, slots, matrix_len(conv) + copy_len(conv));
    let first_error = std::sync::OnceLock::new();
    each_part(par, split.parts(), &|part| {
        let scratch = scratch.take(part);
        for (out, index) in outs.take(part).chunks_mut(out_len.max(1)).zip(split.range(part)) {
            if let Err(error) = one(index, &Serial, out, scratch) {
                let _ = first_error.set(error);
            }
        }
    });
    first_error.into_inner().map_or(Ok(()), Err)
}

/// Without `x`, `y` holds the data, and the convolution [can be in place](Conv::can_be_in_place).
pub(super) fn forward<T: Float>(
    conv: &Conv,
    par: &dyn Par,
    x: Option<&[T]>,
    terms: &Terms<'_, T>,
    y: &mut [T],
    workspace: &mut [T],
) -> Result<(), Mismatch> {
    let (depth, positions) = (conv.depth(), conv.positions());
    each_task(conv, par, x, y, workspace, |task| {
        let Task { index, par, input, out: y, matrix } = task;
        let first_filter = index % conv.groups * conv.filters;
        let weight = &terms.weight[first_filter * depth..][..conv.filters * depth];
        let beta = if start(terms, first_filter, index * y.len(), positions, y) { T::ONE } else { T::ZERO };
        for rows in runs(conv) {
            let columns = rows.len() * conv.output[2];
            let matrix = &mut matrix[..depth * columns];
            gather(conv, par, input, rows.clone(), matrix);
            let (a, b) = (Matrix::new(weight, conv.filters, depth)?, Matrix::new(matrix, depth, columns)?);
            gemm_rows(par, T::ONE, a, b, beta, &mut y[rows.start * conv.output[2]..], positions)?;
        }
        if let Some([low, high]) = terms.bounds {
            bound(y, low, high);
        }
        Ok(())
    })
}

/// Writes what is added to the products of a sample and group, whose output lies at `at` of the whole, and says whether
/// there is any such.
fn start<T: Float>(terms: &Terms<'_, T>, first_filter: usize, at: usize, positions: usize, y: &mut [T]) -> bool {
    if let Addend::Slice(of) = terms.addend {
        y.copy_from_slice(&of[at..at + y.len()]);
    }
    let is_added = !matches!(terms.addend, Addend::None);
    let Some(bias) = terms.bias else { return is_added };
    for (y, &bias) in y.chunks_mut(positions.max(1)).zip(&bias[first_filter..]) {
        if is_added {
            y.iter_mut().for_each(|y| *y += bias);
        } else {
            y.fill(bias);
        }
    }
    true
}

fn bound<T: Float>(y: &mut [T], low: T, high: T) {
    T::dispatch(Compiled(|| {
        for y in y.iter_mut() {
            // Not a number stays so.
            *y = if *y < low {
                low
            } else if *y > high {
                high
            } else {
                *y
            };
        }
    }));
}

/// Without `dy`, `dx` holds the gradient of the output, and the convolution [can be in place](Conv::can_be_in_place).
pub(super) fn backward_data<T: Float>(
    conv: &Conv,
    par: &dyn Par,
    weight: &[T],
    dy: Option<&[T]>,
    dx: &mut [T],
    workspace: &mut [T],
) -> Result<(), Mismatch> {
    let (depth, positions) = (conv.depth(), conv.positions());
    each_task(conv, par, dy, dx, workspace, |task| {
        let Task { index, par, input: dy, out: dx, matrix } = task;
        let weight = &weight[index % conv.groups * conv.filters * depth..][..conv.filters * depth];
        dx.fill(T::ZERO);
        for rows in runs(conv) {
            let columns = rows.len() * conv.output[2];
            let matrix = &mut matrix[..depth * columns];
            let a = Matrix::new(weight, conv.filters, depth)?.t();
            let b = Matrix::strided(&dy[rows.start * conv.output[2]..], conv.filters, columns, positions)?;
            gemm_rows(par, T::ONE, a, b, T::ZERO, matrix, columns)?;
            scatter(conv, matrix, rows, dx);
        }
        Ok(())
    })
}

pub(super) fn backward_weight<T: Float>(
    conv: &Conv,
    par: &dyn Par,
    x: &[T],
    dy: &[T],
    dweight: &mut [T],
    workspace: &mut [T],
) -> Result<(), Mismatch> {
    let (depth, positions) = (conv.depth(), conv.positions());
    dweight.fill(T::ZERO);
    for task in 0..conv.samples * conv.groups {
        let dweight = &mut dweight[task % conv.groups * conv.filters * depth..][..conv.filters * depth];
        let dy = &dy[task * conv.filters * positions..][..conv.filters * positions];
        for rows in runs(conv) {
            let columns = rows.len() * conv.output[2];
            let matrix = &mut workspace[..depth * columns];
            gather(conv, par, group_data(conv, x, task), rows.clone(), matrix);
            let a = Matrix::strided(&dy[rows.start * conv.output[2]..], conv.filters, columns, positions)?;
            let b = Matrix::new(matrix, depth, columns)?.t();
            gemm_rows(par, T::ONE, a, b, T::ONE, dweight, depth)?;
        }
    }
    Ok(())
}

/// The channels of one sample and group.
fn group_data<'a, T>(conv: &Conv, x: &'a [T], task: usize) -> &'a [T] {
    let len = conv.input_len() / conv.groups;
    &x[task * len..][..len]
}

/// Where the input row that a weight meets at an output row begins, if it is not padding.
fn input_row(conv: &Conv, weight: usize, row: usize) -> Option<usize> {
    let [_, kernel_height, kernel_width] = conv.kernel;
    let tap = weight / kernel_width;
    let (channel, d, h) =
        (tap / (kernel_height * conv.kernel[0]), tap / kernel_height % conv.kernel[0], tap % kernel_height);
    let d = (row / conv.output[1] * conv.stride[0] + d * conv.dilate[0]).checked_sub(conv.pad[0])?;
    let h = (row % conv.output[1] * conv.stride[1] + h * conv.dilate[1]).checked_sub(conv.pad[1])?;
    let inside = d < conv.input[0] && h < conv.input[1];
    inside.then(|| ((channel * conv.input[0] + d) * conv.input[1] + h) * conv.input[2])
}

/// The outputs of a row whose input is not padding, and the input column of the first of them.
fn input_columns(conv: &Conv, weight: usize) -> (Range<usize>, usize) {
    let [stride, pad, width] = [conv.stride[2], conv.pad[2], conv.input[2]];
    let shift = weight % conv.kernel[2] * conv.dilate[2];
    let first = pad.saturating_sub(shift).div_ceil(stride).min(conv.output[2]);
    let past = (width + pad).saturating_sub(shift).div_ceil(stride).min(conv.output[2]).max(first);
    (first..past, (first * stride + shift).saturating_sub(pad))
}

/// Fills `matrix`, of one row a weight and one column an output of `rows`.
fn gather<T: Float>(conv: &Conv, par: &dyn Par, x: &[T], rows: Range<usize>, matrix: &mut [T]) {
    let columns = rows.len() * conv.output[2];
    let split = Split::new(conv.depth(), 1, (32 * 1024 / columns.max(1)).max(1), 64);
    let parts = Parts::new(matrix, split, columns);
    each_part(par, split.parts(), &|part| {
        for (line, weight) in parts.take(part).chunks_mut(columns).zip(split.range(part)) {
            let (inside, first) = input_columns(conv, weight);
            for (out, row) in line.chunks_mut(conv.output[2]).zip(rows.clone()) {
                let Some(start) = input_row(conv, weight, row) else {
                    out.fill(T::ZERO);
                    continue;
                };
                out[..inside.start].fill(T::ZERO);
                out[inside.end..].fill(T::ZERO);
                if inside.is_empty() {
                    continue;
                }
                let x = &x[start + first..start + conv.input[2]];
                for (out, x) in out[inside.clone()].iter_mut().zip(x.iter().step_by(conv.stride[2])) {
                    *out = *x;
                }
            }
        }
    });
}

/// Adds `matrix` to the inputs that [`gather`] would fill it from.
fn scatter<T: Float>(conv: &Conv, matrix: &[T], rows: Range<usize>, dx: &mut [T]) {
    let columns = rows.len() * conv.output[2];
    for (weight, line) in matrix.chunks(columns).enumerate() {
        let (inside, first) = input_columns(conv, weight);
        for (sums, row) in line.chunks(conv.output[2]).zip(rows.clone()) {
            let Some(start) = input_row(conv, weight, row).filter(|_| !inside.is_empty()) else { continue };
            let dx = &mut dx[start + first..start + conv.input[2]];
            for (dx, &sum) in dx.iter_mut().step_by(conv.stride[2]).zip(&sums[inside.clone()]) {
                *dx += sum;
            }
        }
    }
}
