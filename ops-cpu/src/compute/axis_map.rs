//! Tensors whose every axis takes places of an axis of another tensor: slices, padding, reversals.

use super::float::Float;
use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};
use smallvec::SmallVec;

/// A stretch of an axis of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many places that are in no other tensor.
    Filled(usize),
    /// `len` places: the first is place `start` of the source, each next one `step` further.
    Taken {
        /// Place of the first.
        start: usize,
        /// From one to the next; 0 repeats.
        step: isize,
        /// How many.
        len: usize,
    },
}

impl Piece {
    fn len(self) -> usize {
        match self {
            Piece::Filled(len) | Piece::Taken { len, .. } => len,
        }
    }

    /// Whether all its places are among `source` places.
    fn is_within(self, source: usize) -> bool {
        let Piece::Taken { start, step, len } = self else { return true };
        let Some(steps) = len.checked_sub(1) else { return true };
        let last = isize::try_from(steps).ok().and_then(|n| n.checked_mul(step)).and_then(|d| start.checked_add_signed(d));
        start < source && last.is_some_and(|last| last < source)
    }
}

/// One axis: its length in the source, and what it is made of in the result.
#[derive(Clone, Debug)]
pub struct AxisMap {
    source: usize,
    pieces: SmallVec<[Piece; 3]>,
}

impl AxisMap {
    /// An axis of `source` places that becomes these pieces, one after the other.
    ///
    /// Errors: a piece that is not within the source.
    pub fn new(source: usize, pieces: &[Piece]) -> Result<AxisMap, Mismatch> {
        let pieces: SmallVec<[Piece; 3]> = pieces.iter().copied().filter(|p| p.len() > 0).collect();
        for piece in &pieces {
            Mismatch::check("AxisMap", "pieces within the axis", usize::from(piece.is_within(source)), 1)?;
        }
        Ok(AxisMap { source, pieces })
    }

    /// An axis that is taken whole.
    pub fn whole(len: usize) -> AxisMap {
        let pieces = if len > 0 { SmallVec::from_slice(&[Piece::Taken { start: 0, step: 1, len }]) } else { SmallVec::new() };
        AxisMap { source: len, pieces }
    }

    fn len(&self) -> usize {
        self.pieces.iter().map(|p| p.len()).sum()
    }

    fn is_whole(&self) -> bool {
        self.pieces[..] == [Piece::Taken { start: 0, step: 1, len: self.source }]
    }
}

/// All axes. Those in front that are taken whole are `outer` slabs, which threads share; those at the end are blocks.
#[derive(Clone, Debug)]
pub struct AxisMaps {
    outer: usize,
    axes: SmallVec<[AxisMap; 4]>,
    block: usize,
    /// Elements of a slab in the source, and in the result.
    slab: [usize; 2],
}

/// Where a run of the result comes from: `None` is filled; otherwise the source's first element and the step.
type From = Option<(usize, isize)>;

impl AxisMaps {
    /// From the outermost axis on.
    pub fn new(maps: &[AxisMap]) -> AxisMaps {
        let first = maps.iter().position(|m| !m.is_whole()).unwrap_or(0);
        let last = maps.iter().rposition(|m| !m.is_whole()).map_or(0, |last| last + 1);
        let lens = |maps: &[AxisMap]| maps.iter().map(AxisMap::len).product::<usize>();
        let axes = &maps[first..last];
        let block = lens(&maps[last..]);
        let source = axes.iter().map(|m| m.source).product::<usize>() * block;
        AxisMaps { outer: lens(&maps[..first]), axes: axes.into(), block, slab: [source, lens(axes) * block] }
    }

    fn check(&self, function: &'static str, source: usize, result: usize) -> Result<(), Mismatch> {
        Mismatch::check(function, "length of the source", source, self.outer * self.slab[0])?;
        Mismatch::check(function, "length of the result", result, self.outer * self.slab[1])
    }

    fn split(&self, slab: usize) -> Split {
        Split::new(self.outer, 1, (32 * 1024 / slab.max(1)).max(1), 64)
    }

    /// The result from the source `x`, with `fill` where nothing is taken.
    ///
    /// Errors: slices of other lengths than the axes say.
    pub fn take<T: Copy + Send + Sync>(&self, par: &dyn Par, x: &[T], fill: T, out: &mut [T]) -> Result<(), Mismatch> {
        self.check("AxisMaps::take", x.len(), out.len())?;
        let [source, result] = self.slab;
        if result == 0 {
            return Ok(());
        }
        let split = self.split(result);
        let parts = Parts::new(out, split, result);
        each_part(par, split.parts(), &|part| {
            for (slab, out) in split.range(part).zip(parts.take(part).chunks_exact_mut(result)) {
                let x = &x[slab * source..][..source];
                self.walk(&mut |from, at, len| copy(x, from, fill, &mut out[at..at + len]));
            }
        });
        Ok(())
    }

    /// The gradient `dx` by the source, from `dy` by the result: each element's sum over the places where it is.
    ///
    /// Errors: slices of other lengths than the axes say.
    pub fn add_back<T: Float>(&self, par: &dyn Par, dy: &[T], dx: &mut [T]) -> Result<(), Mismatch> {
        self.check("AxisMaps::add_back", dx.len(), dy.len())?;
        let [source, result] = self.slab;
        if source == 0 {
            return Ok(());
        }
        let split = self.split(source);
        let parts = Parts::new(dx, split, source);
        each_part(par, split.parts(), &|part| {
            for (slab, dx) in split.range(part).zip(parts.take(part).chunks_exact_mut(source)) {
                let dy = &dy[slab * result..][..result];
                dx.fill(T::ZERO);
                self.walk(&mut |from, at, len| add(&dy[at..at + len], from, dx));
            }
        });
        Ok(())
    }

    /// Calls `run(from, at, len)` for stretches of a slab of the result, in order.
    fn walk(&self, run: &mut impl FnMut(From, usize, usize)) {
        walk(&self.axes, self.block, [0, 0], self.slab, run);
    }
}

/// Walks the axes inside a place of the outer ones: `at` is where the source and the result are there, and `lens` is how
/// many elements they have.
fn walk(
    axes: &[AxisMap],
    block: usize,
    at: [usize; 2],
    lens: [usize; 2],
    run: &mut impl FnMut(From, usize, usize),
) {
    let Some((axis, inner)) = axes.split_first() else { return run(Some((at[0], 1)), at[1], lens[1]) };
    // An axis without places in the source or the result has no elements to walk, or only filled ones.
    let source = lens[0].checked_div(axis.source).unwrap_or(0);
    let result = lens[1].checked_div(axis.len()).unwrap_or(0);
    let mut to = at[1];
    for piece in &axis.pieces {
        match *piece {
            Piece::Filled(len) => run(None, to, len * result),
            Piece::Taken { start, step, len } if inner.is_empty() && (block == 1 || step == 1) => {
                run(Some((at[0] + start * source, step)), to, len * result);
            }
            Piece::Taken { start, step, len } => {
                let mut from = start;
                for i in 0..len {
                    walk(inner, block, [at[0] + from * source, to + i * result], [source, result], run);
                    from = from.wrapping_add_signed(step);
                }
            }
        }
        to += piece.len() * result;
    }
}

fn copy<T: Copy>(x: &[T], from: From, fill: T, out: &mut [T]) {
    match from {
        None => out.fill(fill),
        Some((start, 1)) => out.copy_from_slice(&x[start..][..out.len()]),
        Some((start, step)) => {
            let mut from = start;
            for out in out {
                *out = x[from];
                from = from.wrapping_add_signed(step);
            }
        }
    }
}

fn add<T: Float>(dy: &[T], from: From, dx: &mut [T]) {
    match from {
        None => {}
        Some((start, 1)) => dx[start..][..dy.len()].iter_mut().zip(dy).for_each(|(dx, dy)| *dx += *dy),
        Some((start, step)) => {
            let mut from = start;
            for dy in dy {
                dx[from] += *dy;
                from = from.wrapping_add_signed(step);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::Serial;

    const TAKEN: fn(usize, isize, usize) -> Piece = |start, step, len| Piece::Taken { start, step, len };

    #[test]
    fn pieces_follow_each_other() {
        // A mirror image before, data, and two of the fill after, in the middle axis.
        let axes = [
            AxisMap::whole(2),
            AxisMap::new(3, &[TAKEN(2, -1, 2), TAKEN(0, 1, 3), Piece::Filled(1)]).unwrap(),
            AxisMap::whole(2),
        ];
        let x: Vec<i32> = (0..12).collect();
        let mut out = [0; 24];
        AxisMaps::new(&axes).take(&Serial, &x, -1, &mut out).unwrap();
        let wanted = [4, 5, 2, 3, 0, 1, 2, 3, 4, 5, -1, -1];
        assert_eq!(out[..12], wanted);
        assert!(out[12..].iter().zip(wanted).all(|(a, b)| *a == if b < 0 { -1 } else { b + 6 }));
        let (dy, mut dx) = ([1.0; 24], [9.0; 12]);
        AxisMaps::new(&axes).add_back(&Serial, &dy, &mut dx).unwrap();
        assert_eq!(dx, [1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0f32]);
    }

    #[test]
    fn pieces_beyond_the_axis_are_refused() {
        for piece in [TAKEN(3, 1, 1), TAKEN(1, 1, 3), TAKEN(1, -1, 3), TAKEN(0, isize::MAX, 3), TAKEN(usize::MAX, 1, 2)] {
            assert!(AxisMap::new(3, &[piece]).is_err(), "{piece:?}");
        }
    }

    #[test]
    fn nothing_is_taken_from_nothing() {
        let axes = [AxisMap::new(0, &[Piece::Filled(2)]).unwrap(), AxisMap::whole(2)];
        let mut out = [0; 4];
        AxisMaps::new(&axes).take(&Serial, &[], 7, &mut out).unwrap();
        assert_eq!(out, [7; 4]);
    }
}
