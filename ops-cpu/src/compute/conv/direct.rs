//! Forward pass and gradient by the data, on vectors of neighbouring outputs.
//!
//! With stride 1 along the last axis, outputs `w..w+8` of a row meet one weight through inputs `w+o..w+o+8`, where the
//! offset `o` depends on the weight alone. So a forward tile broadcasts weights of up to six filters against two such
//! vectors, and the gradient by the data is its transposition: a tile sums over filters and adds vectors to the inputs
//! that one weight reaches.

#![expect(unsafe_code, reason = "tiles read and write windows of samples through raw pointers")]

use super::{Conv, padded};
use crate::arch::tile::{Cut, Rows, outer, with_height};
use crate::arch::{Job, LANES, Lanes};
use crate::compute::float::Float;
use crate::compute::par::{Claims, Par, Shared, Split, each_part};
use std::ops::Range;

/// Filters or channels of the tallest tile.
const TALLEST: usize = 6;
/// Blocks whose inputs are used for all filters before the next ones are touched.
const STRIP: usize = 8;
/// Multiply-adds that are worth a part of their own.
const PART: usize = 1 << 20;
/// The most parts of a loop, each of which may own a padded sample.
const MOST_PARTS: usize = 32;

/// Where vectors lie: `offsets` by weight, and `inputs` and `outputs` by block of neighbouring outputs, which may be those
/// of several samples that follow each other.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    pub(super) offsets: &'a [u32],
    pub(super) inputs: &'a [u32],
    pub(super) outputs: &'a [u32],
    /// The first so many blocks are eight outputs long.
    pub(super) whole: usize,
    /// Length of the other blocks.
    pub(super) rest: usize,
}

/// How rows are cut into blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cover {
    /// The last block of a row may overlap the one before, and computes the same numbers again.
    Overlapping,
    /// Each output is in one block.
    Exact,
}

/// `u32` values in a [`Tables`].
fn table_values(conv: &Conv, samples: usize) -> usize {
    let rows = conv.output[0] * conv.output[1];
    conv.depth() + 2 * samples * rows * conv.output[2].div_ceil(LANES)
}

/// Numbers of workspace that a [`Tables`] takes.
pub(super) fn table_len<T>(conv: &Conv, samples: usize) -> usize {
    table_values(conv, samples).div_ceil(size_of::<T>() / size_of::<u32>())
}

impl<'a> Tables<'a> {
    /// Fills in the tables, at the front of `workspace`, and returns what is left of it.
    pub(super) fn new<T: Float>(
        conv: &Conv,
        cover: Cover,
        samples: usize,
        workspace: &'a mut [T],
    ) -> (Tables<'a>, &'a mut [T]) {
        let (table, rest_of_workspace) = workspace.split_at_mut(table_len::<T>(conv, samples));
        let table: &mut [u32] = &mut bytemuck::cast_slice_mut(table)[..table_values(conv, samples)];
        let (offsets, blocks) = table.split_at_mut(conv.depth());
        let (inputs, outputs) = blocks.split_at_mut(blocks.len() / 2);
        let [_, height, width] = conv.padded_input();
        let plane = plane(conv);
        let mut each_offset = offsets.iter_mut();
        for channel in 0..conv.channels {
            for d in 0..conv.kernel[0] {
                for h in 0..conv.kernel[1] {
                    for w in 0..conv.kernel[2] {
                        let row = d * conv.dilate[0] * height + h * conv.dilate[1];
                        if let Some(offset) = each_offset.next() {
                            *offset = (channel * plane + row * width + w * conv.dilate[2]) as u32;
                        }
                    }
                }
            }
        }

        let [out_depth, out_height, out_width] = conv.output;
        let overlapping = cover == Cover::Overlapping && out_width >= LANES;
        let rest = if overlapping { 0 } else { out_width % LANES };
        let whole_in_row = if overlapping { out_width.div_ceil(LANES) } else { out_width / LANES };
        let whole = samples * out_depth * out_height * whole_in_row;
        let (mut next_whole, mut next_rest) = (0, whole);
        for sample in 0..samples {
            for row in 0..out_depth * out_height {
                let (d, h) = (row / out_height, row % out_height);
                let input = (d * conv.stride[0] * height + h * conv.stride[1]) * width;
                for block in 0..out_width.div_ceil(LANES) {
                    let column = if overlapping { (block * LANES).min(out_width - LANES) } else { block * LANES };
                    let next = if block < whole_in_row { &mut next_whole } else { &mut next_rest };
                    inputs[*next] = (sample * conv.groups * conv.channels * plane + input + column) as u32;
                    outputs[*next] = (sample * conv.output_len() + row * out_width + column) as u32;
                    *next += 1;
                }
            }
        }
        (Tables { offsets, inputs, outputs, whole, rest }, rest_of_workspace)
    }

    pub(super) fn blocks(&self) -> usize {
        self.inputs.len()
    }

    fn input(&self, block: usize) -> usize {
        self.inputs[block] as usize
    }

    fn output(&self, block: usize) -> usize {
        self.outputs[block] as usize
    }

    /// The whole blocks and the others of a range.
    fn kinds(&self, blocks: Range<usize>) -> (Range<usize>, Range<usize>) {
        let middle = self.whole.clamp(blocks.start, blocks.end);
        (blocks.start..middle, middle..blocks.end)
    }

    /// Loads a block of `WHOLE` or of other length.
    ///
    /// # Safety
    /// The numbers of the block may be read.
    #[inline(always)]
    unsafe fn load<T: Copy, V: Lanes<T>, const WHOLE: bool>(&self, from: *const T) -> V {
        // SAFETY: as the caller's.
        unsafe { if WHOLE { V::load(from) } else { V::load_first(from, self.rest) } }
    }

    /// Stores a block of `WHOLE` or of other length.
    ///
    /// # Safety
    /// The numbers of the block may be written.
    #[inline(always)]
    unsafe fn store<T: Copy, V: Lanes<T>, const WHOLE: bool>(&self, vector: V, to: *mut T) {
        // SAFETY: as the caller's.
        unsafe { if WHOLE { vector.store(to) } else { vector.store_first(to, self.rest) } }
    }
}

/// Numbers of one channel of the padded data.
pub(super) fn plane(conv: &Conv) -> usize {
    conv.padded_input().iter().product()
}

/// Samples by pieces (tiles of filters or channels, over all groups).
#[derive(Clone, Copy)]
struct Tasks {
    samples: Split,
    pieces: Split,
}

impl Tasks {
    fn new(conv: &Conv, pieces: usize) -> Tasks {
        let parts = (conv.samples * conv.work() / PART).clamp(1, MOST_PARTS);
        let samples = Split::new(conv.samples, 1, 1, parts);
        Tasks { samples, pieces: Split::new(pieces, 1, 1, parts / samples.parts()) }
    }

    fn parts(self) -> usize {
        self.samples.parts() * self.pieces.parts()
    }

    /// Which of the sample parts a part belongs to, its samples and its pieces. Unless there is a single range of
    /// pieces, the samples are one.
    fn ranges(self, part: usize) -> (usize, Range<usize>, Range<usize>) {
        let (slot, pieces) = (part / self.pieces.parts(), part % self.pieces.parts());
        (slot, self.samples.range(slot), self.pieces.range(pieces))
    }

    /// Numbers of padded samples: one for each part of the samples.
    fn padded_len(self, conv: &Conv) -> usize {
        self.samples.parts() * padded::sample_len(conv)
    }
}

pub(super) fn forward_workspace_len<T: Float>(conv: &Conv) -> usize {
    let pieces = conv.groups * Cut::new(conv.filters, TALLEST).tiles();
    table_len::<T>(conv, 1) + Tasks::new(conv, pieces).padded_len(conv)
}

/// Lengths have been checked; the workspace has [`forward_workspace_len`].
pub(super) fn forward<T: Float>(
    conv: &Conv,
    par: &dyn Par,
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
    workspace: &mut [T],
) {
    // Where channels are summed in several runs each output takes part in each run once.
    let cover = if channels_at_a_time(conv).tiles() > 1 { Cover::Exact } else { Cover::Overlapping };
    let (tables, workspace) = Tables::new(conv, cover, 1, workspace);
    let cut = Cut::new(conv.filters, TALLEST);
    let tasks = Tasks::new(conv, conv.groups * cut.tiles());
    let padded_len = padded::sample_len(conv);
    // A sample that several parts share is padded beforehand, others just before they are used.
    let shared = tasks.pieces.parts() > 1;
    if shared && conv.is_padded() {
        padded::write_all(conv, par, x, workspace);
    }
    let claims = Claims::default();
    let (y, workspace) = (Shared(y.as_mut_ptr()), Shared(workspace.as_mut_ptr()));
    each_part(par, tasks.parts(), &|part| {
        claims.claim(part);
        let (slot, samples, pieces) = tasks.ranges(part);
        for sample in samples {
            let mut x = &x[sample * conv.input_len()..][..conv.input_len()];
            if conv.is_padded() {
                // SAFETY: each part of the samples has a padded sample in the workspace, which nobody writes to while
                // parts share it.
                x = unsafe {
                    let padded = workspace.ptr().add(slot * padded_len);
                    if !shared {
                        padded::write(conv, x, std::slice::from_raw_parts_mut(padded, padded_len));
                    }
                    std::slice::from_raw_parts(padded, padded_len)
                };
            }
            // SAFETY: `y` has `output_len` numbers a sample.
            let y = unsafe { y.ptr().add(sample * conv.output_len()) };
            T::dispatch(Forward { conv, tables, cut, pieces: pieces.clone(), x, weight, bias, y });
        }
    });
}

/// One sample and some tiles of filters. `y` points to the output of the sample, of which nobody else touches the
/// planes of these filters.
struct Forward<'a, T> {
    conv: &'a Conv,
    tables: Tables<'a>,
    cut: Cut,
    pieces: Range<usize>,
    x: &'a [T],
    weight: &'a [T],
    bias: Option<&'a [T]>,
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
    // a short block reads only as many numbers as it has outputs. Blocks lie inside the planes of `y`.
    unsafe {
        let x = job.x.as_ptr().add(panel.group * conv.channels * plane(conv));
        let y = job.y.add(panel.filter * positions);
        let offsets = tables.offsets.as_ptr().add(steps.start);
        let start = job.weight.as_ptr().add(panel.filter * depth + steps.start);
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
            } else if let Some(bias) = job.bias {
                *sums = [V::splat(*bias.as_ptr().add(panel.filter + i)); N];
            }
        }
        let sums = outer::<T, V, M, N>(sums, steps.len(), rows, |step, j| {
            tables.load::<T, V, WHOLE>(inputs[j].add(*offsets.add(step) as usize))
        });
        for (i, sums) in sums.into_iter().enumerate() {
            for (sum, output) in sums.into_iter().zip(outputs) {
                tables.store::<T, V, WHOLE>(sum, output.add(i * positions));
            }
        }
    }
}

pub(super) fn backward_workspace_len<T: Float>(conv: &Conv) -> usize {
    let pieces = conv.groups * Cut::new(conv.channels, TALLEST).tiles();
    table_len::<T>(conv, 1) + conv.weight_len() + Tasks::new(conv, pieces).padded_len(conv)
}

/// Lengths have been checked; the workspace has [`backward_workspace_len`].
pub(super) fn backward_data<T: Float>(
    conv: &Conv,
    par: &dyn Par,
    weight: &[T],
    dy: &[T],
    dx: &mut [T],
    workspace: &mut [T],
) {
    let (tables, workspace) = Tables::new(conv, Cover::Exact, 1, workspace);
    let (packed, workspace) = workspace.split_at_mut(conv.weight_len());
    let cut = Cut::new(conv.channels, TALLEST);
    pack(conv, cut, weight, packed);
    let packed = &*packed;
    let tasks = Tasks::new(conv, conv.groups * cut.tiles());
    let padded_len = padded::sample_len(conv);
    let input_plane: usize = conv.input.iter().product();
    let claims = Claims::default();
    let (dx, workspace) = (Shared(dx.as_mut_ptr()), Shared(workspace.as_mut_ptr()));
    each_part(par, tasks.parts(), &|part| {
        claims.claim(part);
        let (slot, samples, pieces) = tasks.ranges(part);
        let first_channel = |piece: usize| {
            let group = piece / cut.tiles();
            if group < conv.groups {
                group * conv.channels + cut.start(piece % cut.tiles())
            } else {
                group * conv.channels
            }
        };
        let channels = first_channel(pieces.start)..first_channel(pieces.end);
        let padded_channels =
            if conv.is_padded() { channels.start * plane(conv)..channels.end * plane(conv) } else { 0..0 };
        // SAFETY: each part of the samples has a padded sample in the workspace, of which these channels belong to this
        // part alone.
        let padded = unsafe {
            let start = workspace.ptr().add(slot * padded_len + padded_channels.start);
            std::slice::from_raw_parts_mut(start, padded_channels.len())
        };
        for sample in samples {
            let dy = &dy[sample * conv.output_len()..][..conv.output_len()];
            let at = sample * conv.input_len() + channels.start * input_plane;
            // SAFETY: the channels of this sample belong to this part alone.
            let dx = unsafe { std::slice::from_raw_parts_mut(dx.ptr().add(at), channels.len() * input_plane) };
            let sums = if conv.is_padded() { &mut *padded } else { &mut *dx };
            sums.fill(T::ZERO);
            let job =
                Backward { conv, tables, cut, pieces: pieces.clone(), first_channel: channels.start, packed, dy, sums };
            T::dispatch(job);
            if conv.is_padded() {
                padded::read(conv, channels.len(), padded, dx);
            }
        }
    });
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
