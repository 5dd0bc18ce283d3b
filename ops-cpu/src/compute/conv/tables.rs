//! Where the vectors of neighbouring outputs lie.

#![expect(unsafe_code, reason = "blocks are read and written through raw pointers")]

use super::Conv;
use crate::arch::{LANES, Lanes};
use crate::compute::float::Float;
use std::ops::Range;

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

    pub(super) fn input(&self, block: usize) -> usize {
        self.inputs[block] as usize
    }

    pub(super) fn output(&self, block: usize) -> usize {
        self.outputs[block] as usize
    }

    /// The whole blocks and the others of a range.
    pub(super) fn kinds(&self, blocks: Range<usize>) -> (Range<usize>, Range<usize>) {
        let middle = self.whole.clamp(blocks.start, blocks.end);
        (blocks.start..middle, middle..blocks.end)
    }

    /// Loads a block of `WHOLE` or of other length.
    ///
    /// # Safety
    /// The numbers of the block may be read.
    #[inline(always)]
    pub(super) unsafe fn load<T: Copy, V: Lanes<T>, const WHOLE: bool>(&self, from: *const T) -> V {
        // SAFETY: as the caller's.
        unsafe { if WHOLE { V::load(from) } else { V::load_first(from, self.rest) } }
    }

    /// Stores a block of `WHOLE` or of other length.
    ///
    /// # Safety
    /// The numbers of the block may be written.
    #[inline(always)]
    pub(super) unsafe fn store<T: Copy, V: Lanes<T>, const WHOLE: bool>(&self, vector: V, to: *mut T) {
        // SAFETY: as the caller's.
        unsafe { if WHOLE { vector.store(to) } else { vector.store_first(to, self.rest) } }
    }
}

/// Numbers of one channel of the padded data.
pub(super) fn plane(conv: &Conv) -> usize {
    conv.padded_input().iter().product()
}
