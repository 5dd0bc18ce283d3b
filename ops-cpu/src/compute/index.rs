//! Rows of a table by their numbers, and back.

use super::float::Float;
use super::mismatch::Mismatch;
use super::number::Number;
use super::par::{Par, Parts, Split, each_part};

/// Numbers of elements that are worth a part of their own.
const GRAIN: usize = 32 * 1024;

/// Numbers of rows, each below a bound.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    places: &'a [u64],
    bound: usize,
}

impl<'a> Places<'a> {
    /// Numbers of rows in a table of `bound` rows.
    ///
    /// Errors: a number that is not below `bound`.
    pub fn new(places: &'a [u64], bound: usize) -> Result<Places<'a>, Mismatch> {
        if let Some(most) = places.iter().max() {
            let wanted = usize::try_from(*most).unwrap_or(usize::MAX).saturating_add(1);
            Mismatch::check_at_least("Places", "number of rows", bound, wanted)?;
        }
        Ok(Places { places, bound })
    }

    /// How many.
    #[must_use]
    pub fn len(self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.places.is_empty()
    }

    /// The number `i`.
    #[must_use]
    pub fn at(self, i: usize) -> usize {
        // Below `bound`, which is a `usize`.
        self.places[i] as usize
    }
}

/// `outer` tables of rows of `inner` elements. How many rows a table has is said by the [`Places`].
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    /// How many tables.
    pub outer: usize,
    /// Elements of a row.
    pub inner: usize,
}

impl Tables {
    fn check(self, function: &'static str, places: Places<'_>, table: usize, rows: usize) -> Result<(), Mismatch> {
        Mismatch::check(function, "length of the tables", table, self.outer * places.bound * self.inner)?;
        Mismatch::check(function, "length of the rows", rows, self.outer * places.len() * self.inner)
    }

    /// `rows[o, j] = table[o, places[j]]`, rows all.
    ///
    /// Errors: slices of other lengths than these say.
    pub fn take<T: Copy + Send + Sync>(
        self,
        par: &dyn Par,
        table: &[T],
        places: Places<'_>,
        rows: &mut [T],
    ) -> Result<(), Mismatch> {
        self.check("Tables::take", places, table.len(), rows.len())?;
        if rows.is_empty() {
            return Ok(());
        }
        let (n, inner) = (places.len(), self.inner);
        let split = Split::new(self.outer * n, 1, (GRAIN / inner).max(1), 64);
        let parts = Parts::new(rows, split, inner);
        each_part(par, split.parts(), &|part| {
            for (row, out) in split.range(part).zip(parts.take(part).chunks_exact_mut(inner)) {
                let from = row / n * places.bound + places.at(row % n);
                out.copy_from_slice(&table[from * inner..][..inner]);
            }
        });
        Ok(())
    }

    /// `table[o, places[j]] += rows[o, j]` from 0 on, in the order of `j`.
    ///
    /// Errors: slices of other lengths than these say.
    pub fn add_back<T: Float>(
        self,
        par: &dyn Par,
        rows: &[T],
        places: Places<'_>,
        table: &mut [T],
    ) -> Result<(), Mismatch> {
        self.put_back(par, rows, places, table, |to, from| *to += from)
    }

    /// `table[o, places[j]] = rows[o, j]`, 0 elsewhere. Of several rows for one place the last stays.
    ///
    /// Errors: slices of other lengths than these say.
    pub fn put<T: Number>(
        self,
        par: &dyn Par,
        rows: &[T],
        places: Places<'_>,
        table: &mut [T],
    ) -> Result<(), Mismatch> {
        self.put_back(par, rows, places, table, |to, from| *to = from)
    }

    /// Each part has rows of the table of its own and goes through all places, so that the order of sums is one.
    fn put_back<T: Number>(
        self,
        par: &dyn Par,
        rows: &[T],
        places: Places<'_>,
        table: &mut [T],
        put: impl Fn(&mut T, T) + Sync,
    ) -> Result<(), Mismatch> {
        self.check("Tables::put_back", places, table.len(), rows.len())?;
        if table.is_empty() {
            return Ok(());
        }
        let (n, bound, inner) = (places.len(), places.bound, self.inner);
        // Whole tables where there are many: every part that has some of a table goes through all its places.
        let unit = if self.outer < 16 { 1 } else { bound };
        let split = Split::new(self.outer * bound, unit, (GRAIN / inner).max(1), 16);
        let parts = Parts::new(table, split, inner);
        each_part(par, split.parts(), &|part| {
            let (range, table) = (split.range(part), parts.take(part));
            table.fill(T::ZERO);
            for o in range.start / bound..range.end.div_ceil(bound) {
                for j in 0..n {
                    let at = o * bound + places.at(j);
                    if range.contains(&at) {
                        let from = &rows[(o * n + j) * inner..][..inner];
                        let to = &mut table[(at - range.start) * inner..][..inner];
                        to.iter_mut().zip(from).for_each(|(to, from)| put(to, *from));
                    }
                }
            }
        });
        Ok(())
    }
}

/// `outer` slabs of `len` rows of `inner` elements, of which one a column is picked: `places[o, k]` says from which row.
#[derive(Clone, Copy, Debug)]
pub struct Picks {
    /// How many slabs.
    pub outer: usize,
    /// Elements of a row.
    pub inner: usize,
}

impl Picks {
    fn check(self, function: &'static str, places: Places<'_>, data: usize, picked: usize) -> Result<(), Mismatch> {
        let columns = self.outer * self.inner;
        Mismatch::check(function, "length of data", data, columns * places.bound)?;
        Mismatch::check(function, "number of places", places.len(), columns)?;
        Mismatch::check(function, "length of the picked", picked, columns)
    }

    /// `picked[o, k] = data[o, places[o, k], k]`.
    ///
    /// Errors: slices of other lengths than these say.
    pub fn take<T: Copy + Send + Sync>(
        self,
        par: &dyn Par,
        data: &[T],
        places: Places<'_>,
        picked: &mut [T],
    ) -> Result<(), Mismatch> {
        self.check("Picks::take", places, data.len(), picked.len())?;
        let split = Split::new(picked.len(), 1, GRAIN, 64);
        let parts = Parts::new(picked, split, 1);
        each_part(par, split.parts(), &|part| {
            for (at, out) in split.range(part).zip(parts.take(part)) {
                let (o, k) = (at / self.inner, at % self.inner);
                *out = data[(o * places.bound + places.at(at)) * self.inner + k];
            }
        });
        Ok(())
    }

    /// `data[o, places[o, k], k] = picked[o, k]`, 0 elsewhere.
    ///
    /// Errors: slices of other lengths than these say.
    pub fn put<T: Number>(
        self,
        par: &dyn Par,
        picked: &[T],
        places: Places<'_>,
        data: &mut [T],
    ) -> Result<(), Mismatch> {
        self.check("Picks::put", places, data.len(), picked.len())?;
        let slab = places.bound * self.inner;
        if slab == 0 {
            return Ok(());
        }
        let split = Split::new(self.outer, 1, (GRAIN / slab).max(1), 64);
        let parts = Parts::new(data, split, slab);
        each_part(par, split.parts(), &|part| {
            for (o, data) in split.range(part).zip(parts.take(part).chunks_exact_mut(slab)) {
                data.fill(T::ZERO);
                for k in 0..self.inner {
                    let at = o * self.inner + k;
                    data[places.at(at) * self.inner + k] = picked[at];
                }
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
    fn rows_come_and_go() {
        let table = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let places = Places::new(&[2, 0, 2], 3).unwrap();
        let (tables, mut rows) = (Tables { outer: 1, inner: 2 }, [0.0; 6]);
        tables.take(&Serial, &table, places, &mut rows).unwrap();
        assert_eq!(rows, [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
        let mut back = [9.0; 6];
        tables.add_back(&Serial, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], places, &mut back).unwrap();
        assert_eq!(back, [3.0, 4.0, 0.0, 0.0, 6.0, 8.0f32]);
        tables.put(&Serial, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], places, &mut back).unwrap();
        assert_eq!(back, [3.0, 4.0, 0.0, 0.0, 5.0, 6.0]);
        assert!(Places::new(&[3], 3).is_err());
        assert!(tables.take(&Serial, &table, places, &mut [0.0; 4]).is_err());
    }

    #[test]
    fn one_of_each_column_is_picked() {
        let (picks, data) = (Picks { outer: 2, inner: 2 }, [1, 2, 3, 4, 5, 6, 7, 8]);
        let places = Places::new(&[1, 0, 0, 1], 2).unwrap();
        let (mut picked, mut back) = ([0; 4], [9; 8]);
        picks.take(&Serial, &data, places, &mut picked).unwrap();
        assert_eq!(picked, [3, 2, 5, 8]);
        picks.put(&Serial, &picked, places, &mut back).unwrap();
        assert_eq!(back, [0, 2, 3, 0, 5, 0, 0, 8]);
    }
}
