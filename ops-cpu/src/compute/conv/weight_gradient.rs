//! Gradient by the weight, on vectors of neighbouring outputs.
//!
//! The gradient of one weight is the inner product of all outputs' gradients of its filter with the inputs that it
//! meets, and both lie in vectors: a tile multiplies vectors of up to four filters with those of three weights. Lanes
//! are summed once for a batch of samples, and up to four sums over parts of the batch are added in order at the end.

#![expect(unsafe_code, reason = "tiles read windows of samples through raw pointers")]

use super::direct::{Cover, Tables, plane, table_len};
use super::{Conv, padded};
use crate::arch::tile::{Cut, dot_step};
use crate::arch::{Job, LANES, Lanes};
use crate::compute::float::Float;
use crate::compute::par::{Claims, Par, Parts, Shared, Split, each_part};
use std::ops::Range;

/// Vectors that a sum of lanes is made for, more or less.
const BLOCKS_A_SUM: usize = 128;
/// Numbers of padded samples that a part keeps at a time.
const MOST_PADDED: usize = 128 * 1024;
/// Sums over parts of the batch.
const MOST_SUMS: usize = 4;
/// Numbers in all these sums.
const MOST_SUMMED: usize = 1 << 22;
/// Multiply-adds that are worth a part of their own.
const PART: usize = 1 << 20;
const MOST_PARTS: usize = 32;

/// Samples that are taken together: few outputs make for many.
pub(super) fn samples_together(conv: &Conv) -> usize {
    let blocks = conv.positions().div_ceil(LANES);
    let padded_most = MOST_PADDED.checked_div(padded::sample_len(conv)).unwrap_or(usize::MAX).max(1);
    BLOCKS_A_SUM.div_ceil(blocks).min(padded_most).clamp(1, conv.samples.max(1))
}

/// How the work is cut: tiles of filters (over all groups) by parts of the batch.
#[derive(Clone, Copy)]
struct Tasks {
    cut: Cut,
    tiles: Split,
    /// The batch, for each of the sums.
    samples: Split,
    /// Samples that are taken together.
    together: usize,
}

impl Tasks {
    fn new(conv: &Conv) -> Tasks {
        let cut = Cut::new(conv.filters, 4);
        let together = samples_together(conv);
        let sums = MOST_SUMS.min(MOST_SUMMED / conv.weight_len()).max(1);
        let samples = Split::new(conv.samples, together, together, sums);
        let parts = (conv.samples * conv.work() / PART).clamp(1, MOST_PARTS);
        // Each part pads its samples for itself, which a few tiles must be worth.
        let grain = if conv.is_padded() { 4 } else { 1 };
        let tiles = Split::new(conv.groups * cut.tiles(), 1, grain, parts / samples.parts());
        Tasks { cut, tiles, samples, together }
    }

    fn parts(self) -> usize {
        self.tiles.parts() * self.samples.parts()
    }

    /// Numbers of the sums over parts of the batch: a single one is made in place.
    fn sums_len(self, conv: &Conv) -> usize {
        if self.samples.parts() > 1 { self.samples.parts() * conv.weight_len() } else { 0 }
    }

    fn padded_len(self, conv: &Conv) -> usize {
        self.together * padded::sample_len(conv)
    }
}

pub(super) fn workspace_len<T: Float>(conv: &Conv) -> usize {
    let tasks = Tasks::new(conv);
    table_len::<T>(conv, tasks.together) + tasks.sums_len(conv) + tasks.parts() * tasks.padded_len(conv)
}

/// Lengths have been checked; the workspace has [`workspace_len`].
pub(super) fn run<T: Float>(conv: &Conv, par: &dyn Par, x: &[T], dy: &[T], dweight: &mut [T], workspace: &mut [T]) {
    let tasks = Tasks::new(conv);
    let (tables, workspace) = Tables::new(conv, Cover::Exact, tasks.together, workspace);
    let (sums, workspace) = workspace.split_at_mut(tasks.sums_len(conv));
    let partial = !sums.is_empty();
    let target = Shared(if partial { sums.as_mut_ptr() } else { dweight.as_mut_ptr() });
    let padded_len = tasks.padded_len(conv);
    let workspace = Shared(workspace.as_mut_ptr());
    let claims = Claims::default();
    each_part(par, tasks.parts(), &|part| {
        claims.claim(part);
        let (sum, tiles) = (part / tasks.tiles.parts(), tasks.tiles.range(part % tasks.tiles.parts()));
        // SAFETY: each part has room of its own in the workspace, and is claimed once.
        let padded = unsafe { std::slice::from_raw_parts_mut(workspace.ptr().add(part * padded_len), padded_len) };
        let filters = first_filter(conv, tasks.cut, tiles.start)..first_filter(conv, tasks.cut, tiles.end);
        let at = if partial { sum * conv.weight_len() } else { 0 } + filters.start * conv.depth();
        // SAFETY: these filters of this sum belong to this part alone.
        let sums = unsafe { std::slice::from_raw_parts_mut(target.ptr().add(at), filters.len() * conv.depth()) };
        sums.fill(T::ZERO);
        let samples = tasks.samples.range(sum);
        for start in samples.clone().step_by(tasks.together) {
            let count = (samples.end - start).min(tasks.together);
            let mut x = &x[start * conv.input_len()..][..count * conv.input_len()];
            if conv.is_padded() {
                let padded_samples = padded.chunks_mut(padded::sample_len(conv));
                for (sample, padded) in x.chunks(conv.input_len()).zip(padded_samples) {
                    padded::write(conv, sample, padded);
                }
                x = &*padded;
            }
            let dy = &dy[start * conv.output_len()..][..count * conv.output_len()];
            // Blocks of the first `count` samples lead both the whole and the other ones.
            let whole = 0..tables.whole / tasks.together * count;
            let others = tables.whole..tables.whole + (tables.blocks() - tables.whole) / tasks.together * count;
            for (whole, others) in runs(whole, others) {
                let tiles = tiles.clone();
                T::dispatch(Products { conv, tables, cut: tasks.cut, tiles, whole, others, x, dy, sums });
            }
        }
    });
    if partial {
        join(par, conv, tasks, sums, dweight);
    }
}

/// Blocks that are taken at a time, so that what they touch in a few filters stays in the first-level cache.
fn runs(whole: Range<usize>, others: Range<usize>) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let count = ((whole.len() + others.len() + BLOCKS_A_SUM / 2) / BLOCKS_A_SUM).max(1);
    let cut = move |blocks: &Range<usize>, run: usize| {
        blocks.start + run * blocks.len() / count..blocks.start + (run + 1) * blocks.len() / count
    };
    (0..count).map(move |run| (cut(&whole, run), cut(&others, run)))
}

/// Adds the sums over parts of the batch, in order.
fn join<T: Float>(par: &dyn Par, conv: &Conv, tasks: Tasks, sums: &[T], dweight: &mut [T]) {
    let split = Split::new(conv.weight_len(), 64, 32 * 1024, 64);
    let parts = Parts::new(dweight, split, 1);
    each_part(par, split.parts(), &|i| {
        let dweight = parts.take(i);
        dweight.copy_from_slice(&sums[split.range(i)]);
        for sum in 1..tasks.samples.parts() {
            for (dweight, &part) in dweight.iter_mut().zip(&sums[sum * conv.weight_len()..][split.range(i)]) {
                *dweight += part;
            }
        }
    });
}

/// The first filter of a tile, counted over all groups; for the number of tiles, the number of filters.
fn first_filter(conv: &Conv, cut: Cut, tile: usize) -> usize {
    let (group, tile) = (tile / cut.tiles(), tile % cut.tiles());
    group * conv.filters + cut.start(tile)
}

/// Some tiles of filters over samples taken together. `sums` begins with the first of these filters.
struct Products<'a, T> {
    conv: &'a Conv,
    tables: Tables<'a>,
    cut: Cut,
    tiles: Range<usize>,
    /// The blocks of eight outputs and the other ones.
    whole: Range<usize>,
    others: Range<usize>,
    x: &'a [T],
    dy: &'a [T],
    sums: &'a mut [T],
}

impl<T: Float> Job<T> for Products<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(mut self) {
        let depth = self.conv.depth();
        let across = Cut::new(depth, 3);
        let first = first_filter(self.conv, self.cut, self.tiles.start);
        for tile in self.tiles.clone() {
            let filter = first_filter(self.conv, self.cut, tile);
            let group = tile / self.cut.tiles();
            let at = (filter - first) * depth;
            for j in 0..across.tiles() {
                let weight = across.start(j);
                // SAFETY: the filters and weights exist.
                unsafe {
                    match across.height(j) {
                        1 => self.filters::<V, 1>(tile, group, filter, weight, at + weight),
                        2 => self.filters::<V, 2>(tile, group, filter, weight, at + weight),
                        _ => self.filters::<V, 3>(tile, group, filter, weight, at + weight),
                    }
                }
            }
        }
    }
}

impl<T: Float> Products<'_, T> {
    #[inline(always)]
    unsafe fn filters<V: Lanes<T>, const N: usize>(
        &mut self,
        tile: usize,
        group: usize,
        filter: usize,
        weight: usize,
        at: usize,
    ) {
        // SAFETY: as the caller's.
        unsafe {
            match self.cut.height(tile % self.cut.tiles()) {
                1 => self.tile::<V, 1, N>(group, filter, weight, at),
                2 => self.tile::<V, 2, N>(group, filter, weight, at),
                3 => self.tile::<V, 3, N>(group, filter, weight, at),
                _ => self.tile::<V, 4, N>(group, filter, weight, at),
            }
        }
    }

    /// Adds to the gradients of weights `weight..weight + N` of filters `filter..filter + M`, which are `sums[at..]`.
    #[inline(always)]
    unsafe fn tile<V: Lanes<T>, const M: usize, const N: usize>(
        &mut self,
        group: usize,
        filter: usize,
        weight: usize,
        at: usize,
    ) {
        let sums = self.sums[at..].as_mut_ptr();
        V::apart(Tile::<T, M, N> { products: self, group, filter, weight, sums });
    }
}

/// Inner products of `M` filters with `N` weights.
struct Tile<'a, 'b, T, const M: usize, const N: usize> {
    products: &'a Products<'b, T>,
    group: usize,
    filter: usize,
    weight: usize,
    sums: *mut T,
}

impl<T: Float, const M: usize, const N: usize> Job<T> for Tile<'_, '_, T, M, N> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let Products { conv, tables, whole, others, .. } = self.products;
        let mut sums = [[V::splat(T::ZERO); N]; M];
        // SAFETY: the filters and weights exist; offsets of weights added to the start of a block stay inside the
        // group's channels of the (padded) sample, and a short block reads only as many numbers as it has outputs.
        unsafe {
            let x = self.products.x.as_ptr().add(self.group * conv.channels * plane(conv));
            let mut inputs = [x; N];
            for (j, input) in inputs.iter_mut().enumerate() {
                *input = x.add(*tables.offsets.as_ptr().add(self.weight + j) as usize);
            }
            let mut outputs = [self.products.dy.as_ptr().add(self.filter * conv.positions()); M];
            for (i, output) in outputs.iter_mut().enumerate() {
                *output = output.add(i * conv.positions());
            }
            let (input, output) = (tables.inputs.as_ptr(), tables.outputs.as_ptr());
            for block in whole.start..whole.end {
                let (input, output) = (*input.add(block) as usize, *output.add(block) as usize);
                dot_step(&mut sums, |i| V::load(outputs[i].add(output)), |j| V::load(inputs[j].add(input)));
            }
            for block in others.start..others.end {
                let (input, output) = (*input.add(block) as usize, *output.add(block) as usize);
                dot_step(
                    &mut sums,
                    |i| V::load_first(outputs[i].add(output), tables.rest),
                    |j| V::load_first(inputs[j].add(input), tables.rest),
                );
            }
            let depth = conv.depth();
            for (i, sums) in sums.iter().enumerate() {
                for (j, sum) in sums.iter().enumerate() {
                    *self.sums.add(i * depth + j) += sum.sum();
                }
            }
        }
    }
}
