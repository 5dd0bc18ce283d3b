//! Shapes around one use of an operator, as far as they are known.

use crate::{Error, Result};
use std::fmt;
use varflow_abi::{MAX_NDIM, Shape};

/// A shape of which the rank or some dimensions may be unknown.
///
/// ```
/// use varflow_sdk::PartialShape;
/// let mut shape = PartialShape::from([Some(2), None]);
/// assert_eq!(shape.to_string(), "(2, ?)");
/// assert!(shape.merge(&[2, 3].into())?);
/// assert_eq!(shape.known(), Some(vec![2, 3]));
/// assert!(shape.merge(&[2, 4].into()).is_err());
/// # Ok::<(), varflow_sdk::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialShape(Option<Vec<Option<usize>>>);

impl PartialShape {
    /// Nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        PartialShape(None)
    }

    /// Only the rank is known.
    #[must_use]
    pub fn of_rank(rank: usize) -> Self {
        PartialShape(Some(vec![None; rank]))
    }

    /// The number of axes.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        self.0.as_ref().map(Vec::len)
    }

    /// The length of an axis.
    #[must_use]
    pub fn dim(&self, axis: usize) -> Option<usize> {
        self.0.as_ref()?.get(axis).copied().flatten()
    }

    /// All dimensions, if all are known.
    #[must_use]
    pub fn known(&self) -> Option<Vec<usize>> {
        self.0.as_ref()?.iter().copied().collect()
    }

    /// Adds what another one knows, and says whether that was news.
    ///
    /// # Errors
    /// A contradiction: `has shape (2, 3), wanted (2, 4)`.
    pub fn merge(&mut self, other: &PartialShape) -> Result<bool> {
        let refuse = || Error::shape(format!("has shape {self}, wanted {other}"));
        let Some(theirs) = &other.0 else { return Ok(false) };
        let Some(ours) = &self.0 else {
            self.0 = Some(theirs.clone());
            return Ok(true);
        };
        if ours.len() != theirs.len() || ours.iter().zip(theirs).any(|(a, b)| a.is_some() && b.is_some() && a != b) {
            return Err(refuse());
        }
        let both: Vec<_> = ours.iter().zip(theirs).map(|(a, b)| a.or(*b)).collect();
        let is_news = both != *ours;
        self.0 = Some(both);
        Ok(is_news)
    }

    pub(crate) fn from_abi(shape: &Shape) -> Self {
        let Ok(rank) = usize::try_from(shape.ndim) else { return PartialShape(None) };
        PartialShape(Some(shape.dims[..rank.min(MAX_NDIM)].iter().map(|d| usize::try_from(*d).ok()).collect()))
    }

    pub(crate) fn to_abi(&self) -> Result<Shape> {
        let mut shape = Shape { ndim: -1, reserved: 0, dims: [-1; MAX_NDIM] };
        let Some(dims) = &self.0 else { return Ok(shape) };
        if dims.len() > MAX_NDIM {
            return Err(Error::shape(format!("has {} axes, wanted {MAX_NDIM} at most", dims.len())));
        }
        shape.ndim = dims.len() as i32;
        for (to, dim) in shape.dims.iter_mut().zip(dims) {
            let Some(dim) = dim else { continue };
            *to = i64::try_from(*dim).map_err(|_| Error::shape(format!("has shape {self}, which is too large")))?;
        }
        Ok(shape)
    }
}

impl From<&[usize]> for PartialShape {
    fn from(dims: &[usize]) -> Self {
        PartialShape(Some(dims.iter().copied().map(Some).collect()))
    }
}

impl From<Vec<usize>> for PartialShape {
    fn from(dims: Vec<usize>) -> Self {
        PartialShape::from(&dims[..])
    }
}

impl<const N: usize> From<[usize; N]> for PartialShape {
    fn from(dims: [usize; N]) -> Self {
        PartialShape::from(&dims[..])
    }
}

impl From<Vec<Option<usize>>> for PartialShape {
    fn from(dims: Vec<Option<usize>>) -> Self {
        PartialShape(Some(dims))
    }
}

impl<const N: usize> From<[Option<usize>; N]> for PartialShape {
    fn from(dims: [Option<usize>; N]) -> Self {
        PartialShape(Some(dims.to_vec()))
    }
}

impl fmt::Display for PartialShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(dims) = &self.0 else { return f.write_str("unknown") };
        let dims: Vec<_> = dims.iter().map(|d| d.map_or("?".to_string(), |d| d.to_string())).collect();
        write!(f, "({}{})", dims.join(", "), if dims.len() == 1 { "," } else { "" })
    }
}

/// The shapes of an operator's inputs (auxiliary states last) and outputs. A rule adds what follows, in either direction; it
/// is called until nothing is news.
pub struct Shapes {
    pub(crate) inputs: Vec<(String, PartialShape)>,
    pub(crate) outputs: Vec<(String, PartialShape)>,
}

impl Shapes {
    /// How many inputs there are, auxiliary states included.
    #[must_use]
    pub fn num_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// How many outputs there are.
    #[must_use]
    pub fn num_outputs(&self) -> usize {
        self.outputs.len()
    }

    /// What is known of an input.
    #[must_use]
    pub fn input(&self, i: usize) -> &PartialShape {
        &self.inputs[i].1
    }

    /// What is known of an output.
    #[must_use]
    pub fn output(&self, o: usize) -> &PartialShape {
        &self.outputs[o].1
    }

    /// The shape of an input, if wholly known.
    #[must_use]
    pub fn known(&self, i: usize) -> Option<Vec<usize>> {
        self.input(i).known()
    }

    /// Adds that input `i` has this shape; `why` says what it follows from, for the error.
    ///
    /// # Errors
    /// `weight has shape (10, 64), wanted (10, 128) from data (32, 128)`.
    pub fn set_input(&mut self, i: usize, shape: impl Into<PartialShape>, why: &str) -> Result<()> {
        merge(&mut self.inputs[i], &shape.into(), why)
    }

    /// Adds that output `o` has this shape.
    ///
    /// # Errors
    /// As [`set_input`](Self::set_input).
    pub fn set_output(&mut self, o: usize, shape: impl Into<PartialShape>, why: &str) -> Result<()> {
        merge(&mut self.outputs[o], &shape.into(), why)
    }

    /// Makes these inputs and outputs have one shape: what is known of one is known of all.
    ///
    /// # Errors
    /// A contradiction between two of them.
    pub fn same(&mut self, inputs: &[usize], outputs: &[usize]) -> Result<()> {
        let (mut all, mut why) = (PartialShape::unknown(), String::new());
        let slots = inputs.iter().map(|i| &self.inputs[*i]).chain(outputs.iter().map(|o| &self.outputs[*o]));
        for (name, shape) in slots {
            merge(&mut (name.clone(), shape.clone()), &all, &why)?;
            if all.merge(shape)? {
                why = format!("from {name} {shape}");
            }
        }
        inputs.iter().try_for_each(|i| merge(&mut self.inputs[*i], &all, &why))?;
        outputs.iter().try_for_each(|o| merge(&mut self.outputs[*o], &all, &why))
    }

    /// Makes all inputs and outputs have one shape.
    ///
    /// # Errors
    /// A contradiction between two of them.
    pub fn all_same(&mut self) -> Result<()> {
        let (inputs, outputs): (Vec<_>, Vec<_>) = ((0..self.num_inputs()).collect(), (0..self.num_outputs()).collect());
        self.same(&inputs, &outputs)
    }
}

fn merge((name, shape): &mut (String, PartialShape), with: &PartialShape, why: &str) -> Result<()> {
    let space = if why.is_empty() { "" } else { " " };
    shape.merge(with).map(|_| ()).map_err(|e| Error::shape(format!("{name} {e}{space}{why}")))
}
