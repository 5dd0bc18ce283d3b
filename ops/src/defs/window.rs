//! Windows that slide over the axes after batch and channel: what Convolution and Pooling share.

use crate::{Error, Params, Result, Shapes};

/// How the number of windows along an axis is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Windows lie wholly in the padded data: ⌊(len + 2 pad - kernel) / stride⌋ + 1.
    Valid,
    /// The last window may stick out: ⌈(len + 2 pad - kernel) / stride⌉ + 1.
    Full,
    /// ⌈(len + 2 pad) / stride⌉.
    Same,
}

/// A window: one number an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its size, in elements that it looks at.
    pub kernel: Vec<usize>,
    /// The distance of one window from the next.
    pub stride: Vec<usize>,
    /// The distance of the elements that it looks at.
    pub dilate: Vec<usize>,
    /// How many elements are thought before the first and after the last.
    pub pad: Vec<usize>,
    /// How windows are counted.
    pub rounding: Rounding,
}

impl Window {
    /// Reads `kernel`, `stride` and `pad`, and `dilate` where the operator has it. What is left out is 1, for `pad` 0.
    ///
    /// # Errors
    /// [`Error::Param`] for lists of unequal length, more than three axes, or numbers out of range.
    pub(super) fn parse(params: &Params, rounding: Rounding) -> Result<Window> {
        let rank = params.tuple("kernel").len();
        let sizes = |name: &str, min: usize, default: usize| -> Result<Vec<usize>> {
            let given = params.tuple(name);
            let value = || params.value(name);
            if !given.is_empty() && given.len() != rank {
                let kernel = params.value("kernel");
                return Err(Error::Param(format!(
                    "parameter \"{name}\" is {}, wanted {rank} numbers as in kernel {kernel}",
                    value()
                )));
            }
            const MAX: usize = i32::MAX as usize;
            let bounded = |v: &i64| usize::try_from(*v).ok().filter(|v| (min..=MAX).contains(v));
            if given.is_empty() {
                return Ok(vec![default; rank]);
            }
            let refuse =
                || Error::Param(format!("parameter \"{name}\" is {}, wanted numbers from {min} to {MAX}", value()));
            given.iter().map(bounded).collect::<Option<Vec<_>>>().ok_or_else(refuse)
        };
        if rank > 3 {
            return Err(Error::Param(format!(
                "parameter \"kernel\" is {}, wanted 1, 2 or 3 numbers",
                params.value("kernel")
            )));
        }
        let dilates = params.iter().any(|(name, _)| name == "dilate");
        let dilate = if dilates { sizes("dilate", 1, 1)? } else { vec![1; rank] };
        Ok(Window {
            kernel: sizes("kernel", 1, 1)?,
            stride: sizes("stride", 1, 1)?,
            dilate,
            pad: sizes("pad", 0, 0)?,
            rounding,
        })
    }

    /// How many axes it slides over.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.kernel.len()
    }

    /// The elements from the first to the last that it looks at along an axis, both included.
    #[must_use]
    pub fn extent(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilate[axis] + 1
    }

    /// The number of windows along an axis of `len` elements; `None` if not one fits.
    #[must_use]
    pub fn count(&self, axis: usize, len: usize) -> Option<usize> {
        let (padded, stride) = (len.checked_add(2 * self.pad[axis])?, self.stride[axis]);
        let room = padded.checked_sub(self.extent(axis))?;
        Some(match self.rounding {
            Rounding::Valid => room / stride + 1,
            Rounding::Full => room.div_ceil(stride) + 1,
            Rounding::Same => padded.div_ceil(stride),
        })
    }

    /// The length of an axis with `count` windows, where only one length has so many.
    fn len_of(&self, axis: usize, count: usize) -> Option<usize> {
        if self.stride[axis] != 1 {
            return None;
        }
        let padded = match self.rounding {
            Rounding::Valid | Rounding::Full => count.checked_add(self.extent(axis) - 1)?,
            Rounding::Same => count,
        };
        padded.checked_sub(2 * self.pad[axis])
    }

    /// Tells data (input `i`) and output 0 of each other's lengths along the axes that the window slides over.
    ///
    /// # Errors
    /// [`Error::Shape`] when data is smaller than the window, or the two contradict each other.
    pub(super) fn infer(&self, s: &mut Shapes, i: usize) -> Result<()> {
        let of_window = || (0..self.rank()).map(|a| (a, a + 2));
        let mut counts = vec![None; 2];
        for (a, axis) in of_window() {
            let Some(len) = s.input(i).dim(axis) else {
                counts.push(None);
                continue;
            };
            let count = self.count(a, len);
            let (extent, pad) = (self.extent(a), self.pad[a]);
            let count = count.ok_or_else(|| {
                let data = s.input(i);
                Error::Shape(format!(
                    "data has shape {data}, wanted axis {axis} to hold a window of {extent} with {pad} of padding at both ends"
                ))
            })?;
            counts.push(Some(count));
        }
        let why = format!("from data {}", s.input(i));
        s.set_output(0, crate::PartialShape::new(counts), &why)?;
        let mut lens = vec![None; 2];
        lens.extend(of_window().map(|(a, axis)| s.output(0).dim(axis).and_then(|n| self.len_of(a, n))));
        let why = format!("from output {}", s.output(0));
        s.set_input(i, crate::PartialShape::new(lens), &why)
    }
}

/// Refuses layouts other than batch, channel, then the rest.
pub(super) fn check_layout(params: &Params) -> Result<()> {
    match params.value("layout") {
        crate::Value::Text(layout) if !layout.starts_with("NC") => {
            Err(Error::Param(format!("parameter \"layout\" is \"{layout}\", wanted NCW, NCHW, NCDHW or None")))
        }
        _ => Ok(()),
    }
}
