//! Elements in order of size along an axis.

use super::mismatch::Mismatch;
use super::number::Number;
use super::par::{Par, Parts, Split, each_part};
use std::cmp::Ordering;

/// Numbers of elements that are worth a part of their own.
const GRAIN: usize = 8 * 1024;

/// `outer` slabs of `len` rows of `inner` elements: a lane is the elements of a column of a slab.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    /// How many slabs.
    pub outer: usize,
    /// Elements of a lane.
    pub len: usize,
    /// Elements of a row.
    pub inner: usize,
}

/// The order of numbers, in which a NaN is above all others.
fn compare<T: Number>(a: T, b: T) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

impl Lanes {
    /// How many lanes.
    #[must_use]
    pub fn lanes(self) -> usize {
        self.outer * self.inner
    }

    /// Where element 0 of lane `i` is; each next one is `inner` further.
    fn start(self, i: usize) -> usize {
        i / self.inner * self.len * self.inner + i % self.inner
    }

    /// Where place `at` of lane `i` is in slabs of `k` rows.
    #[must_use]
    pub fn element(self, i: usize, at: usize, k: usize) -> usize {
        (i / self.inner * k + at) * self.inner + i % self.inner
    }

    /// For each lane the places of its first `k` elements in order, lane after lane; of equal ones the first comes first.
    ///
    /// Errors: slices of other lengths than the lanes say, or lanes shorter than `k`.
    pub fn order<T: Number>(
        self,
        par: &dyn Par,
        x: &[T],
        k: usize,
        is_ascending: bool,
        places: &mut [u64],
    ) -> Result<(), Mismatch> {
        Mismatch::check("Lanes::order", "length of x", x.len(), self.lanes() * self.len)?;
        Mismatch::check("Lanes::order", "number of places", places.len(), self.lanes() * k)?;
        Mismatch::check_at_least("Lanes::order", "length of a lane", self.len, k)?;
        if places.is_empty() {
            return Ok(());
        }
        let split = Split::new(self.lanes(), 1, (GRAIN / self.len).max(1), 64);
        let parts = Parts::new(places, split, k);
        // No two elements compare as equal, so that there is one order.
        let before = |a: &(T, usize), b: &(T, usize)| {
            let by_value = if is_ascending { compare(a.0, b.0) } else { compare(b.0, a.0) };
            by_value.then(a.1.cmp(&b.1))
        };
        each_part(par, split.parts(), &|part| {
            let mut lane = Vec::with_capacity(self.len);
            for (i, places) in split.range(part).zip(parts.take(part).chunks_exact_mut(k)) {
                lane.clear();
                lane.extend(x[self.start(i)..].iter().step_by(self.inner).take(self.len).copied().zip(0..));
                if k < self.len {
                    lane.select_nth_unstable_by(k - 1, before);
                }
                let first = &mut lane[..k];
                first.sort_unstable_by(before);
                places.iter_mut().zip(first).for_each(|(place, element)| *place = element.1 as u64);
            }
        });
        Ok(())
    }

    /// For each lane the place of its first largest element, or smallest, or its first NaN, as a number.
    ///
    /// Errors: slices of other lengths than the lanes say, or lanes without elements.
    pub fn extreme<T: Number>(
        self,
        par: &dyn Par,
        x: &[T],
        is_largest: bool,
        places: &mut [T],
    ) -> Result<(), Mismatch> {
        Mismatch::check("Lanes::extreme", "length of x", x.len(), self.lanes() * self.len)?;
        Mismatch::check("Lanes::extreme", "number of places", places.len(), self.lanes())?;
        if places.is_empty() {
            return Ok(());
        }
        Mismatch::check_at_least("Lanes::extreme", "length of a lane", self.len, 1)?;
        let split = Split::new(self.lanes(), 1, (GRAIN / self.len).max(1), 64);
        let parts = Parts::new(places, split, 1);
        each_part(par, split.parts(), &|part| {
            for (i, place) in split.range(part).zip(parts.take(part)) {
                let lane = &x[self.start(i)..];
                let (mut best, mut at) = (lane[0], 0);
                for (j, v) in lane.iter().step_by(self.inner).take(self.len).enumerate() {
                    let beats = if is_largest { *v > best } else { *v < best };
                    if beats || (v.is_nan() && !best.is_nan()) {
                        (best, at) = (*v, j);
                    }
                }
                *place = T::from_f64(at as f64);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::Serial;

    #[test]
    fn of_equal_ones_the_first_comes_first() {
        let lanes = Lanes { outer: 1, len: 4, inner: 2 };
        let x = [2.0, f64::NAN, 5.0, 1.0, 5.0, f64::INFINITY, 1.0, 1.0];
        let (mut all, mut top) = ([0; 8], [0; 4]);
        lanes.order(&Serial, &x, 4, true, &mut all).unwrap();
        assert_eq!(all, [3, 0, 1, 2, 1, 3, 2, 0]);
        lanes.order(&Serial, &x, 2, false, &mut top).unwrap();
        assert_eq!(top, [1, 2, 0, 2]);
        let mut at = [0.0; 2];
        lanes.extreme(&Serial, &x, true, &mut at).unwrap();
        assert_eq!(at, [1.0, 0.0]);
        lanes.extreme(&Serial, &x, false, &mut at).unwrap();
        assert_eq!(at, [3.0, 0.0]);
        assert!(lanes.order(&Serial, &x, 5, true, &mut [0; 10]).is_err());
        assert!(Lanes { outer: 1, len: 0, inner: 1 }.extreme(&Serial, &[], true, &mut [0.0]).is_err());
    }
}
