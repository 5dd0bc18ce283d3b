//! The forward pass, on vectors of neighbouring outputs.
//!
//! With stride 1 along the last axis, outputs `w..w+8` of a row meet one weight through inputs `w+o..w+o+8`, where the
//! offset `o` depends on the weight alone. So a tile broadcasts weights of up to six filters against two such vectors.

#![expect(unsafe_code, reason = "tiles read and write windows of samples through raw pointers")]

use super::tables::{Cover, Tables, plane, table_len};
use super::tasks::Tasks;
use super::{Addend, Conv, Terms, padded};
use crate::arch::tile::{Cut, Rows, outer, with_height};
use crate::arch::{Job, LANES, Lanes};
use crate::compute::float::Float;
use crate::compute::par::{Claims, Par, Shared, each_part};
use std::ops::Range;

/// Filters of the tallest tile.
const TALLEST: usize = 6;
/// Blocks whose inputs are used for all filters before the next ones are touched.
const STRIP: usize = 8;

fn tasks(conv: &Conv) -> Tasks {
    Tasks::new(conv, conv.groups * Cut::new(conv.filters, TALLEST).tiles())
}

pub(super) fn workspace_len<T: Float>(conv: &Conv) -> usize {
    table_len::<T>(conv, 1) + tasks(conv).slots() * padded::sample_len(conv)
}

/// Without `x`, `y` holds the data, and the convolution is padded. Lengths have been checked; the workspace has
/// [`workspace_len`].
pub(super) fn run<T: Float>(
    conv: &Conv,
    par: &dyn Par,
    x: Option<&[T]>,
    terms: &Terms<'_, T>,
    y: &mut [T],
    workspace: &mut [T],
) {
    // Where channels are summed in several runs each output takes part in each run once, and so it does where it is
    // added to.
    let once = channels_at_a_time(conv).tiles() > 1 || matches!(terms.addend, Addend::Output);
    let (tables, workspace) = Tables::new(conv, if once { Cover::Exact } else { Cover::Overlapping }, 1, workspace);
    let cut = Cut::new(conv.filters, TALLEST);
    let (padded_len, input_len) = (padded::sample_len(conv), conv.input_len());
    let y_start = y.as_mut_ptr();
    let data = Shared(x.map_or(y_start, |x| x.as_ptr().cast_mut()));
    let (y, workspace) = (Shared(y_start), Shared(workspace.as_mut_ptr()));
    for round in tasks(conv).rounds() {
        if round.is_shared() && conv.is_padded() {
            let samples = round.samples();
            // SAFETY: the samples exist, nobody writes to them in this loop, and the workspace has a padded sample for
            // each: a shared round has as many slots as samples.
            unsafe {
                let x =
                    std::slice::from_raw_parts(data.ptr().add(samples.start * input_len), samples.len() * input_len);
                let padded = std::slice::from_raw_parts_mut(workspace.ptr(), samples.len() * padded_len);
                padded::write_all(conv, par, x, padded);
            }
        }
        let claims = Claims::default();
        each_part(par, round.parts(), &|part| {
            claims.claim(part);
            let (slot, samples, pieces) = round.ranges(part);
            for sample in samples {
                // SAFETY: each slot has a padded sample in the workspace, which nobody writes to while parts share it.
                // Where the output takes the place of the data, the convolution is padded: what is read of the sample
                // is its copy, made before anything of the sample is written, and samples have the same place in both.
                let x = unsafe {
                    let x = std::slice::from_raw_parts(data.ptr().add(sample * input_len), input_len);
                    if conv.is_padded() {
                        let padded = workspace.ptr().add(slot * padded_len);
                        if !round.is_shared() {
                            padded::write(conv, x, std::slice::from_raw_parts_mut(padded, padded_len));
                        }
                        std::slice::from_raw_parts(padded, padded_len)
                    } else {
                        x
                    }
                };
                // SAFETY: `y` has `output_len` numbers a sample.
                let y = unsafe { y.ptr().add(sample * conv.output_len()) };
                let addend = match terms.addend {
                    Addend::None => None,
                    Addend::Output => Some(y.cast_const()),
                    Addend::Slice(of) => Some(of[sample * conv.output_len()..][..conv.output_len()].as_ptr()),
                };
                T::dispatch(Forward { conv, tables, cut, pieces: pieces.clone(), x, terms, addend, y });
            }
        });
    }
}

/// One sample and some tiles of filters. `y` points to the output of the sample, of which nobody else touches the
/// planes of these filters, and `addend` to what is added to it.
struct Forward<'a, T> {
    conv: &'a Conv,
    tables: Tables<'a>,
    cut: Cut,
    pieces: Range<usize>,
    x: &'a [T],
    terms: &'a Terms<'a, T>,
    addend: Option<*const T>,
    y: *mut T,
}

/// Channels that are summed before the next ones are touched: the inputs that a strip of blocks meets in them stay in
/// the first-level cache.
fn channels_at_a_time(conv: &Conv) -> Cut {
    const INPUT_BYTES: usize = 16 * 1024;
    let [_, height, width] = conv.padded_input();
    let rows = (STRIP * LANES).div_ceil(conv.output[2]) * conv.stride[1] + (conv.kernel[1] - 1) * conv.dilate[1];
    let bytes = conv.kernel[0] * rows.min(height) * width.min(STRIP * LANES + conv.kernel[2]) * size_of::<f32>();
    Cut::new(conv.channels, (INPUT_BYTES / bytes).max(1))
}

impl<T: Float> Job<T> for Forward<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let channels = channels_at_a_time(self.conv);
        for start in (0..self.tables.blocks()).step_by(STRIP) {
            let strip = start..(start + STRIP).min(self.tables.blocks());
            for run in 0..channels.tiles() {
                for piece in self.pieces.clone() {
                    let (group, tile) = (piece / self.cut.tiles(), piece % self.cut.tiles());
                    let panel = Panel {
                        group,
                        filter: group * self.conv.filters + self.cut.start(tile),
                        channels: channels.start(run)..channels.start(run + 1),
                    };
                    // SAFETY: the filters and channels exist and the blocks are the tables'.
                    unsafe {
                        with_height!(self.cut.height(tile), forward_strip::<T, V; _>(&self, &panel, strip.clone()));
                    }
                }
            }
        }
    }
}

/// A tile of filters, from `filter` on, over some channels of their group.
struct Panel {
    group: usize,
    filter: usize,
    channels: Range<usize>,
}

/// # Safety
/// `M` filters exist from `panel.filter` on, the channels exist, and `strip` is a range of blocks.
#[inline(always)]
unsafe fn forward_strip<T: Float, V: Lanes<T>, const M: usize>(
    job: &Forward<'_, T>,
    panel: &Panel,
    strip: Range<usize>,
) {
    let (whole, rest) = job.tables.kinds(strip);
    // SAFETY: as the caller's.
    unsafe {
        let mut block = whole.start;
        while block + 2 <= whole.end {
            forward_tile::<T, V, M, 2, true>(job, panel, block);
            block += 2;
        }
        if block < whole.end {
            forward_tile::<T, V, M, 1, true>(job, panel, block);
        }
        let mut block = rest.start;
        while block + 2 <= rest.end {
            forward_tile::<T, V, M, 2, false>(job, panel, block);
            block += 2;
        }
        if block < rest.end {
            forward_tile::<T, V, M, 1, false>(job, panel, block);
        }
    }
}

/// # Safety
/// As [`forward_strip`], for `N` blocks of one kind from `block` on.
#[inline(always)]
unsafe fn forward_tile<T: Float, V: Lanes<T>, const M: usize, const N: usize, const WHOLE: bool>(
    job: &Forward<'_, T>,
    panel: &Panel,
    block: usize,
) {
    let Forward { conv, tables, .. } = job;
    let (depth, positions) = (conv.depth(), conv.positions());
    let steps = panel.channels.start * conv.taps()..panel.channels.end * conv.taps();
    // SAFETY: offsets of weights added to the start of a block stay inside the group's channels of the (padded) sample;
    // a short block reads only as many numbers as it has outputs. Blocks lie inside the planes of `y`, and those of
    // `addend` inside the same planes.
    unsafe {
        let x = job.x.as_ptr().add(panel.group * conv.channels * plane(conv));
        let y = job.y.add(panel.filter * positions);
        let offsets = tables.offsets.as_ptr().add(steps.start);
        let start = job.terms.weight.as_ptr().add(panel.filter * depth + steps.start);
        let rows = Rows { start, row_stride: depth, step_stride: 1 };
        let mut inputs = [x; N];
        let mut outputs = [y; N];
        for j in 0..N {
            inputs[j] = x.add(tables.input(block + j));
            outputs[j] = y.add(tables.output(block + j));
        }
        let mut sums = [[V::splat(T::ZERO); N]; M];
        for (i, sums) in sums.iter_mut().enumerate() {
            if steps.start > 0 {
                for (sum, output) in sums.iter_mut().zip(outputs) {
                    *sum = tables.load::<T, V, WHOLE>(output.add(i * positions));
                }
                continue;
            }
            if let Some(bias) = job.terms.bias {
                *sums = [V::splat(*bias.as_ptr().add(panel.filter + i)); N];
            }
            if let Some(addend) = job.addend {
                for (j, sum) in sums.iter_mut().enumerate() {
                    let at = (panel.filter + i) * positions + tables.output(block + j);
                    *sum = sum.add(tables.load::<T, V, WHOLE>(addend.add(at)));
                }
            }
        }
        let mut sums = outer::<T, V, M, N>(sums, steps.len(), rows, |step, j| {
            tables.load::<T, V, WHOLE>(inputs[j].add(*offsets.add(step) as usize))
        });
        if let Some([low, high]) = job.terms.bounds.filter(|_| steps.end == depth) {
            let (low, high) = (V::splat(low), V::splat(high));
            sums.as_flattened_mut().iter_mut().for_each(|sum| *sum = high.min(low.max(*sum)));
        }
        for (i, sums) in sums.into_iter().enumerate() {
            for (sum, output) in sums.into_iter().zip(outputs) {
                tables.store::<T, V, WHOLE>(sum, output.add(i * positions));
            }
        }
    }
}
