//! Gradient by the data, on vectors of neighbouring outputs: the transposition of the forward pass. A tile sums over
//! filters and adds vectors to the inputs that one weight reaches.

#![expect(unsafe_code, reason = "tiles read and write windows of samples through raw pointers")]

use super::tables::{Cover, Tables, plane, table_len};
use super::tasks::Tasks;
use super::{Conv, padded};
use crate::arch::tile::{Cut, Rows, outer, with_height};
use crate::arch::{Job, Lanes};
use crate::compute::float::Float;
use crate::compute::par::{Claims, Par, Shared, each_part};
use std::ops::Range;

/// Channels of the tallest tile.
const TALLEST: usize = 6;
/// Blocks whose gradients are used for all weights of a channel before the next ones are touched.
const STRIP: usize = 8;

fn tasks(conv: &Conv) -> Tasks {
    Tasks::new(conv, conv.groups * Cut::new(conv.channels, TALLEST).tiles())
}

pub(super) fn workspace_len<T: Float>(conv: &Conv) -> usize {
    table_len::<T>(conv, 1) + conv.weight_len() + tasks(conv).slots() * padded::sample_len(conv)
}

/// Without `dy`, `dx` holds the gradient of the output, and the convolution is padded. Lengths have been checked; the
/// workspace has [`workspace_len`].
pub(super) fn run<T: Float>(
    conv: &Conv,
    par: &dyn Par,
    weight: &[T],
    dy: Option<&[T]>,
    dx: &mut [T],
    workspace: &mut [T],
) {
    let (tables, workspace) = Tables::new(conv, Cover::Exact, 1, workspace);
    let (packed, workspace) = workspace.split_at_mut(conv.weight_len());
    let cut = Cut::new(conv.channels, TALLEST);
    pack(conv, cut, weight, packed);
    let packed = &*packed;
    let (padded_len, input_len, output_len) = (padded::sample_len(conv), conv.input_len(), conv.output_len());
    let dx_start = dx.as_mut_ptr();
    let dy = Shared(dy.map_or(dx_start, |dy| dy.as_ptr().cast_mut()));
    let (dx, workspace) = (Shared(dx_start), Shared(workspace.as_mut_ptr()));
    for round in tasks(conv).rounds() {
        let claims = Claims::default();
        each_part(par, round.parts(), &|part| {
            claims.claim(part);
            let (slot, samples, pieces) = round.ranges(part);
            let channels = first_channel(conv, cut, pieces.start)..first_channel(conv, cut, pieces.end);
            for sample in samples {
                // SAFETY: these channels of the sample, or of the slot's padded sample, belong to this part alone. Where
                // the gradient takes the place of `dy`, the convolution is padded: `dx` is not written here, but after
                // all parts that read the sample.
                let (dy, sums) = unsafe {
                    let (to, len) = if conv.is_padded() {
                        (workspace.ptr().add(slot * padded_len), plane(conv))
                    } else {
                        (dx.ptr().add(sample * input_len), plane(conv))
                    };
                    (
                        std::slice::from_raw_parts(dy.ptr().add(sample * output_len), output_len),
                        std::slice::from_raw_parts_mut(to.add(channels.start * len), channels.len() * len),
                    )
                };
                sums.fill(T::ZERO);
                let pieces = pieces.clone();
                T::dispatch(Backward { conv, tables, cut, pieces, first_channel: channels.start, packed, dy, sums });
                if conv.is_padded() && !round.is_shared() {
                    // SAFETY: the part has the sample alone, and `dy` is not used any more.
                    let dx = unsafe { std::slice::from_raw_parts_mut(dx.ptr().add(sample * input_len), input_len) };
                    padded::read(conv, sums, dx);
                }
            }
        });
        if conv.is_padded() && round.is_shared() {
            let samples = round.samples();
            // SAFETY: the samples exist, the loop over them is done, and a shared round has as many slots as samples.
            unsafe {
                let to = dx.ptr().add(samples.start * input_len);
                let dx = std::slice::from_raw_parts_mut(to, samples.len() * input_len);
                let padded = std::slice::from_raw_parts(workspace.ptr(), samples.len() * padded_len);
                padded::read_all(conv, par, padded, dx);
            }
        }
    }
}

/// The first channel of a piece, counted over all groups; for the number of pieces, the number of channels.
fn first_channel(conv: &Conv, cut: Cut, piece: usize) -> usize {
    let (group, tile) = (piece / cut.tiles(), piece % cut.tiles());
    group * conv.channels + cut.start(tile)
}

/// Where the weights of a tile of channels begin in the packed weight: a run of `[tap][filter][channel of the tile]`.
fn packed_start(conv: &Conv, cut: Cut, group: usize, tile: usize) -> usize {
    (group * conv.channels + cut.start(tile)) * conv.taps() * conv.filters
}

fn pack<T: Float>(conv: &Conv, cut: Cut, weight: &[T], packed: &mut [T]) {
    let (taps, depth) = (conv.taps(), conv.depth());
    for group in 0..conv.groups {
        let weight = &weight[group * conv.filters * depth..][..conv.filters * depth];
        for tile in 0..cut.tiles() {
            let height = cut.height(tile);
            let packed = &mut packed[packed_start(conv, cut, group, tile)..][..height * taps * conv.filters];
            for (filter, weight) in weight.chunks(depth).enumerate() {
                for (i, weight) in weight[cut.start(tile) * taps..][..height * taps].chunks(taps).enumerate() {
                    for (tap, &weight) in weight.iter().enumerate() {
                        packed[(tap * conv.filters + filter) * height + i] = weight;
                    }
                }
            }
        }
    }
}

/// One sample and some tiles of channels, whose gradients begin at `sums`.
struct Backward<'a, T> {
    conv: &'a Conv,
    tables: Tables<'a>,
    cut: Cut,
    pieces: Range<usize>,
    first_channel: usize,
    packed: &'a [T],
    dy: &'a [T],
    sums: &'a mut [T],
}

impl<T: Float> Job<T> for Backward<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let Backward { conv, cut, .. } = self;
        let sums = self.sums.as_mut_ptr();
        for piece in self.pieces.clone() {
            let (group, tile) = (piece / cut.tiles(), piece % cut.tiles());
            let channel = group * conv.channels + cut.start(tile) - self.first_channel;
            // SAFETY: the channels exist and `sums` begins with the first of this job.
            unsafe {
                let packed = self.packed.as_ptr().add(packed_start(conv, cut, group, tile));
                let dy = self.dy.as_ptr().add(group * conv.filters * conv.positions());
                let sums = sums.add(channel * plane(conv));
                with_height!(cut.height(tile), backward_panel::<T, V; _>(conv, &self.tables, packed, dy, sums));
            }
        }
    }
}

/// # Safety
/// `packed` holds the weights of `M` channels, `dy` the outputs of their group, `sums` their (padded) gradients.
#[inline(always)]
unsafe fn backward_panel<T: Float, V: Lanes<T>, const M: usize>(
    conv: &Conv,
    tables: &Tables<'_>,
    packed: *const T,
    dy: *const T,
    sums: *mut T,
) {
    for start in (0..tables.blocks()).step_by(STRIP) {
        let (whole, rest) = tables.kinds(start..(start + STRIP).min(tables.blocks()));
        for tap in 0..conv.taps() {
            // SAFETY: the tap exists, and so do the blocks.
            unsafe {
                let packed = packed.add(tap * conv.filters * M);
                let sums = sums.add(tables.offsets[tap] as usize);
                let mut block = whole.start;
                while block + 2 <= whole.end {
                    backward_tile::<T, V, M, 2, true>(conv, tables, packed, dy, sums, block);
                    block += 2;
                }
                if block < whole.end {
                    backward_tile::<T, V, M, 1, true>(conv, tables, packed, dy, sums, block);
                }
                let mut block = rest.start;
                while block + 2 <= rest.end {
                    backward_tile::<T, V, M, 2, false>(conv, tables, packed, dy, sums, block);
                    block += 2;
                }
                if block < rest.end {
                    backward_tile::<T, V, M, 1, false>(conv, tables, packed, dy, sums, block);
                }
            }
        }
    }
}

/// # Safety
/// As [`backward_panel`], for one tap, which `packed` and `sums` point to, and `N` blocks of one kind from `block` on.
#[inline(always)]
unsafe fn backward_tile<T: Float, V: Lanes<T>, const M: usize, const N: usize, const WHOLE: bool>(
    conv: &Conv,
    tables: &Tables<'_>,
    packed: *const T,
    dy: *const T,
    sums: *mut T,
    block: usize,
) {
    let (positions, plane) = (conv.positions(), plane(conv));
    // SAFETY: as in `forward_tile`, with the parts of input and output exchanged.
    unsafe {
        let rows = Rows { start: packed, row_stride: 1, step_stride: M };
        let mut outputs = [dy; N];
        let mut inputs = [sums; N];
        for j in 0..N {
            outputs[j] = dy.add(tables.output(block + j));
            inputs[j] = sums.add(tables.input(block + j));
        }
        let zero = V::splat(T::ZERO);
        let tile = outer::<T, V, M, N>([[zero; N]; M], conv.filters, rows, |step, j| {
            tables.load::<T, V, WHOLE>(outputs[j].add(step * positions))
        });
        for (i, tile) in tile.into_iter().enumerate() {
            for (vector, input) in tile.into_iter().zip(inputs) {
                let sum = input.add(i * plane);
                tables.store::<T, V, WHOLE>(tables.load::<T, V, WHOLE>(sum).add(vector), sum);
            }
        }
    }
}
