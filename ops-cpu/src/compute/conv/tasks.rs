//! How a batch is cut into parts that run at the same time, and how many copies of samples they keep.

use super::Conv;
use crate::compute::par::Split;
use std::ops::Range;

/// Multiply-adds that are worth a part of their own.
const PART: usize = 1 << 20;
/// The most parts of a loop.
const MOST_PARTS: usize = 32;
/// The most samples that are copied at a time, where each part copies for itself.
const MOST_COPIES: usize = 8;
/// Multiply-adds of a sample that is worth loops of its own.
const LARGE: usize = 1 << 26;
/// Pieces that a loop over large samples should have.
const ENOUGH_PIECES: usize = 16;

/// Whether parts share one copy of each sample, and take the samples one after the other, rather than each part
/// samples of its own: for large samples, whose copies would take much memory, and for few. A sample is cut into
/// `pieces`.
pub(super) fn is_shared(conv: &Conv, pieces: usize) -> bool {
    let few = conv.samples < MOST_COPIES;
    conv.is_padded()
        && conv.samples.saturating_mul(conv.work()) >= 2 * PART
        && if few { pieces > conv.samples } else { conv.work() >= LARGE && pieces >= MOST_COPIES }
}

/// Parts that a loop over so many samples is worth, `MOST_COPIES` at most if each of them `copies`.
pub(super) fn parts(conv: &Conv, samples: usize, copies: bool) -> usize {
    let most = if copies { MOST_COPIES } else { MOST_PARTS };
    (samples.saturating_mul(conv.work()) / PART).clamp(1, most)
}

/// A batch, cut into rounds that follow each other; a round, into samples by pieces (tiles of filters or channels, over
/// all groups).
#[derive(Clone, Copy)]
pub(super) struct Tasks {
    samples: usize,
    /// Samples of a round.
    together: usize,
    /// Parts of the samples of a round.
    slots: usize,
    pieces: Split,
}

impl Tasks {
    pub(super) fn new(conv: &Conv, pieces: usize) -> Tasks {
        let samples = conv.samples;
        let (together, slots, pieces_most) = if is_shared(conv, pieces) {
            let together = ENOUGH_PIECES.div_ceil(pieces).min(samples);
            (together, together, parts(conv, together, false).div_ceil(together))
        } else {
            let parts = parts(conv, samples, conv.is_padded());
            let slots = Split::new(samples, 1, 1, parts).parts();
            (samples, slots, if conv.is_padded() { 1 } else { parts / slots })
        };
        Tasks { samples, together, slots, pieces: Split::new(pieces, 1, 1, pieces_most) }
    }

    /// Samples that are copied at a time: one for each slot.
    pub(super) fn slots(self) -> usize {
        self.slots
    }

    pub(super) fn rounds(self) -> impl Iterator<Item = Round> {
        (0..self.samples).step_by(self.together.max(1)).map(move |first| {
            let count = self.together.min(self.samples - first);
            Round { first, samples: Split::new(count, 1, 1, self.slots), pieces: self.pieces }
        })
    }
}

/// Samples that are computed at the same time.
#[derive(Clone, Copy)]
pub(super) struct Round {
    first: usize,
    samples: Split,
    pieces: Split,
}

impl Round {
    pub(super) fn parts(self) -> usize {
        self.samples.parts() * self.pieces.parts()
    }

    /// Whether several parts share a sample. Then each slot is of one sample.
    pub(super) fn is_shared(self) -> bool {
        self.pieces.parts() > 1
    }

    /// All its samples.
    pub(super) fn samples(self) -> Range<usize> {
        self.first..self.first + self.samples.range(self.samples.parts() - 1).end
    }

    /// The slot of a part, its samples and its pieces.
    pub(super) fn ranges(self, part: usize) -> (usize, Range<usize>, Range<usize>) {
        let (slot, pieces) = (part / self.pieces.parts(), part % self.pieces.parts());
        let samples = self.samples.range(slot);
        (slot, self.first + samples.start..self.first + samples.end, self.pieces.range(pieces))
    }
}
