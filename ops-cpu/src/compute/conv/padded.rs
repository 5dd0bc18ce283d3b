//! Copies of samples with their padding written out.

use super::Conv;
use crate::compute::float::Float;
use crate::compute::par::{Par, Parts, Split, each_part};

/// Numbers of one sample with its padding, 0 where there is none to write.
pub(super) fn sample_len(conv: &Conv) -> usize {
    if conv.is_padded() { conv.groups * conv.channels * conv.padded_input().iter().product::<usize>() } else { 0 }
}

/// Calls `f` with the start of each row of some channels, and of its place in the padded channels.
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

/// Writes channels and their margins into `padded`.
pub(super) fn write<T: Float>(conv: &Conv, channels: &[T], padded: &mut [T]) {
    let width = conv.input[2];
    let mut done = 0;
    each_row(conv, padded.len() / padded_plane(conv), |from, to| {
        padded[done..to].fill(T::ZERO);
        padded[to..to + width].copy_from_slice(&channels[from..from + width]);
        done = to + width;
    });
    padded[done..].fill(T::ZERO);
}

/// Channels by the loops over many of them.
fn split(conv: &Conv, channels: usize) -> Split {
    Split::new(channels, 1, (32 * 1024 / padded_plane(conv)).max(1), 64)
}

fn padded_plane(conv: &Conv) -> usize {
    conv.padded_input().iter().product()
}

/// Writes samples one after the other.
pub(super) fn write_all<T: Float>(conv: &Conv, par: &dyn Par, samples: &[T], padded: &mut [T]) {
    let plane = conv.input.iter().product::<usize>();
    let split = split(conv, padded.len() / padded_plane(conv));
    let parts = Parts::new(padded, split, padded_plane(conv));
    each_part(par, split.parts(), &|i| {
        let range = split.range(i);
        write(conv, &samples[range.start * plane..range.end * plane], parts.take(i));
    });
}

/// Reads channels back without their margins.
pub(super) fn read<T: Float>(conv: &Conv, padded: &[T], channels: &mut [T]) {
    let width = conv.input[2];
    each_row(conv, padded.len() / padded_plane(conv), |to, from| {
        channels[to..to + width].copy_from_slice(&padded[from..from + width]);
    });
}

/// Reads samples back, as [`write_all`] writes them.
pub(super) fn read_all<T: Float>(conv: &Conv, par: &dyn Par, padded: &[T], samples: &mut [T]) {
    let plane = conv.input.iter().product::<usize>();
    let padded_plane = padded_plane(conv);
    let split = split(conv, padded.len() / padded_plane);
    let parts = Parts::new(samples, split, plane);
    each_part(par, split.parts(), &|i| {
        let range = split.range(i);
        read(conv, &padded[range.start * padded_plane..range.end * padded_plane], parts.take(i));
    });
}
