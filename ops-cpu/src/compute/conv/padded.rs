//! Copies of samples with their padding written out.

use super::Conv;
use crate::compute::float::Float;

/// Numbers of one sample with its padding, 0 where there is none to write.
pub(super) fn sample_len(conv: &Conv) -> usize {
    if conv.is_padded() { conv.groups * conv.channels * conv.padded_input().iter().product::<usize>() } else { 0 }
}

/// Calls `f` with the start of each row of the sample, and of its place in the padded sample.
fn each_row(conv: &Conv, channels: usize, mut f: impl FnMut(usize, usize)) {
    let [depth, height, width] = conv.input;
    let [padded_depth, padded_height, padded_width] = conv.padded_input();
    for channel in 0..channels {
        for d in 0..depth {
            for h in 0..height {
                let from = ((channel * depth + d) * height + h) * width;
                let row = (channel * padded_depth + d + conv.pad[0]) * padded_height + h + conv.pad[1];
                f(from, row * padded_width + conv.pad[2]);
            }
        }
    }
}

/// Writes the rows of `sample` into `padded`, whose margins are already zero.
pub(super) fn write<T: Float>(conv: &Conv, sample: &[T], padded: &mut [T]) {
    let width = conv.input[2];
    each_row(conv, conv.groups * conv.channels, |from, to| {
        padded[to..to + width].copy_from_slice(&sample[from..from + width]);
    });
}

/// Reads `channels` channels back without their margins.
pub(super) fn read<T: Float>(conv: &Conv, channels: usize, padded: &[T], sample: &mut [T]) {
    let width = conv.input[2];
    each_row(conv, channels, |to, from| {
        sample[to..to + width].copy_from_slice(&padded[from..from + width]);
    });
}
