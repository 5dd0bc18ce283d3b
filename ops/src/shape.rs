//! Shapes, known and partly known.

use crate::{Error, Result};
use smallvec::SmallVec;
use std::fmt;

/// A tensor's extent along each axis, outermost first. Rank 0 is a scalar of one element.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(SmallVec<[usize; 4]>);

impl Shape {
    /// A shape of these dimensions.
    #[must_use]
    pub fn new(dims: &[usize]) -> Self {
        Shape(dims.into())
    }

    /// The dimensions.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// The number of axes.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements. A shape is never so large that this overflows: see [`checked_len`](Self::checked_len).
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().product()
    }

    /// The number of elements, or `None` if no memory could hold so many of the largest dtype.
    #[must_use]
    pub fn checked_len(&self) -> Option<usize> {
        const MOST: usize = isize::MAX as usize / size_of::<u64>();
        self.0.iter().try_fold(1_usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MOST)
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::ops::Index<usize> for Shape {
    type Output = usize;
    fn index(&self, axis: usize) -> &usize {
        &self.0[axis]
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Shape::new(&dims)
    }
}
impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Shape::new(dims)
    }
}
impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Shape::new(&dims)
    }
}
impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(iter: I) -> Self {
        Shape(iter.into_iter().collect())
    }
}

/// Writes `(2, 3)`, and `(2,)` for one axis.
fn write_tuple<D: fmt::Display>(f: &mut fmt::Formatter<'_>, dims: impl ExactSizeIterator<Item = D>) -> fmt::Result {
    let n = dims.len();
    f.write_str("(")?;
    for (i, d) in dims.enumerate() {
        write!(f, "{}{d}", if i == 0 { "" } else { ", " })?;
    }
    f.write_str(if n == 1 { ",)" } else { ")" })
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tuple(f, self.0.iter())
    }
}
impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is known of a shape: nothing, or its rank and some of its dimensions.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PartialShape(Option<SmallVec<[Option<usize>; 4]>>);

impl PartialShape {
    /// Nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        PartialShape(None)
    }

    /// The rank and some dimensions are known.
    pub fn new(dims: impl IntoIterator<Item = Option<usize>>) -> Self {
        PartialShape(Some(dims.into_iter().collect()))
    }

    /// The dimensions, if the rank is known.
    #[must_use]
    pub fn dims(&self) -> Option<&[Option<usize>]> {
        self.0.as_deref()
    }

    /// The rank, if known.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        self.0.as_ref().map(smallvec::SmallVec::len)
    }

    /// One dimension, if known.
    #[must_use]
    pub fn dim(&self, axis: usize) -> Option<usize> {
        self.0.as_ref().and_then(|d| d.get(axis).copied().flatten())
    }

    /// The shape, if all of it is known.
    #[must_use]
    pub fn known(&self) -> Option<Shape> {
        self.0.as_ref()?.iter().copied().collect::<Option<SmallVec<[usize; 4]>>>().map(Shape)
    }

    /// Adds what `other` knows. Returns whether that was news.
    ///
    /// # Errors
    /// When the two contradict each other: the text gives both.
    pub fn merge(&mut self, other: &PartialShape) -> Result<bool> {
        let Some(theirs) = &other.0 else { return Ok(false) };
        let Some(ours) = &mut self.0 else {
            self.0 = Some(theirs.clone());
            return Ok(true);
        };
        let fits =
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| a.is_none() || b.is_none() || a == b);
        if !fits {
            return Err(Error::Shape(format!("has shape {self}, wanted {other}")));
        }
        let mut news = false;
        for (a, b) in ours.iter_mut().zip(theirs) {
            if a.is_none() && b.is_some() {
                *a = *b;
                news = true;
            }
        }
        Ok(news)
    }
}

impl From<&Shape> for PartialShape {
    fn from(shape: &Shape) -> Self {
        PartialShape(Some(shape.0.iter().copied().map(Some).collect()))
    }
}
impl From<Shape> for PartialShape {
    fn from(shape: Shape) -> Self {
        (&shape).into()
    }
}

impl fmt::Display for PartialShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("(unknown)"),
            Some(d) => write_tuple(f, d.iter().map(|d| d.map_or("?".to_string(), |d| d.to_string()))),
        }
    }
}
impl fmt::Debug for PartialShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
