//! Pooling over one to three spatial axes.

use super::float::Float;
use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};
use std::ops::Range;

mod pairs;
mod windows;

/// What a window becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// The greatest number; the first such one in scan order receives the gradient. A NaN counts only where it is the
    /// first number of a window.
    Max,
    /// The mean. With `count_include_pad` the divisor counts padding, clipped at the padded input's end.
    Average {
        /// Whether padding counts.
        count_include_pad: bool,
    },
    /// The sum.
    Sum,
    /// The root of the sum of the powers, which keep their signs, for the exponents 1, 2 and 3 (others count as 1).
    Power(u8),
}

impl PoolKind {
    /// Whether the gradient depends on the input.
    #[must_use]
    pub fn needs_input(self) -> bool {
        matches!(self, PoolKind::Max | PoolKind::Power(_))
    }

    /// What a number adds to the sum of a window.
    #[inline(always)]
    pub(crate) fn term<T: Float>(self, x: T) -> T {
        match self {
            PoolKind::Power(2) => x * x,
            PoolKind::Power(3) => x * x * x,
            _ => x,
        }
    }

    /// The root of the sum of [terms](Self::term).
    #[inline(always)]
    pub(crate) fn root<T: Float>(self, sum: T) -> T {
        match self {
            PoolKind::Power(2) => sum.sqrt(),
            PoolKind::Power(3) => T::from_f64(sum.to_f64().cbrt()),
            _ => sum,
        }
    }

    /// The derivative of the root `y` by a number `x` of the window; 0 where the root is, as MXNet has it.
    #[inline(always)]
    pub(crate) fn derivative<T: Float>(self, x: T, y: T) -> T {
        match self {
            PoolKind::Power(2 | 3) if y == T::ZERO => T::ZERO,
            PoolKind::Power(2) => x / y,
            PoolKind::Power(3) => x * x / (y * y),
            _ => T::ONE,
        }
    }
}

/// The geometry of a pooling: planes of up to three spatial axes, `(depth, height, width)`; axes that do not exist have
/// length, kernel and stride 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    kind: PoolKind,
    planes: usize,
    input: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    pad: [usize; 3],
    output: [usize; 3],
}

impl Pool {
    /// `planes` is batch times channels; the other lists name one to three spatial axes. With `full` the output length
    /// is rounded up (`1 + ⌈(input + 2 pad - kernel) / stride⌉`), otherwise down.
    ///
    /// Errors: lists of other lengths than `input`, a zero kernel or stride, padding as long as the kernel, a kernel
    /// longer than the padded input, or lengths whose products do not fit into memory.
    pub fn new(
        kind: PoolKind,
        planes: usize,
        input: &[usize],
        kernel: &[usize],
        stride: &[usize],
        pad: &[usize],
        full: bool,
    ) -> Result<Pool, Mismatch> {
        let wrong = |argument, got, wanted| Err(Mismatch { function: "Pool", argument, got, wanted });
        if !(1..=3).contains(&input.len()) {
            return wrong("number of spatial axes", input.len(), 3);
        }
        Mismatch::check("Pool", "number of kernel lengths", kernel.len(), input.len())?;
        Mismatch::check("Pool", "number of strides", stride.len(), input.len())?;
        Mismatch::check("Pool", "number of paddings", pad.len(), input.len())?;
        let [mut all_input, mut all_kernel, mut all_stride, mut all_pad, mut output] =
            [[1; 3], [1; 3], [1; 3], [0; 3], [1; 3]];
        let skip = 3 - input.len();
        for axis in 0..input.len() {
            let (x, k, s, p) = (input[axis], kernel[axis], stride[axis], pad[axis]);
            if k == 0 || s == 0 {
                return wrong("kernel or stride", 0, 1);
            }
            if p >= k {
                return wrong("padding", p, k - 1);
            }
            let padded = p.saturating_mul(2).saturating_add(x);
            if padded < k {
                return wrong("padded input", padded, k);
            }
            let room = padded - k;
            output[skip + axis] = 1 + if full { room.div_ceil(s) } else { room / s };
            (all_input[skip + axis], all_kernel[skip + axis]) = (x, k);
            (all_stride[skip + axis], all_pad[skip + axis]) = (s, p);
        }
        let pool =
            Pool { kind, planes, input: all_input, kernel: all_kernel, stride: all_stride, pad: all_pad, output };
        pool.check_sizes()?;
        Ok(pool)
    }

    /// Refuses what is too large, so that no length or position can overflow.
    fn check_sizes(&self) -> Result<(), Mismatch> {
        const MOST: usize = isize::MAX as usize / size_of::<f64>();
        let at_most = |argument, factors: &[&[usize]]| {
            let got = factors.iter().copied().flatten().fold(1, |n: usize, factor| n.saturating_mul(*factor));
            if got <= MOST { Ok(()) } else { Err(Mismatch { function: "Pool", argument, got, wanted: MOST }) }
        };
        let planes = [self.planes.max(1)];
        at_most("numbers of input", &[&planes, &self.input])?;
        at_most("numbers in all windows", &[&planes, &self.output, &self.kernel])?;
        (0..3).try_for_each(|axis| {
            // The last window of those that rounding up adds begins less than a stride behind the padded input.
            let reach = [self.input[axis], self.pad[axis], self.pad[axis], self.stride[axis], self.kernel[axis]];
            let reach = reach.into_iter().fold(0, |n: usize, len| n.saturating_add(len));
            at_most("length of padded input, stride and kernel", &[&[reach]])
        })
    }

    /// One window over each whole plane.
    pub fn global(kind: PoolKind, planes: usize, input: &[usize]) -> Result<Pool, Mismatch> {
        let ones = [1; 3];
        let zeros = [0; 3];
        let rank = input.len().min(3);
        Pool::new(kind, planes, input, input, &ones[..rank], &zeros[..rank], false)
    }

    /// Output lengths, `(depth, height, width)`.
    pub fn output(&self) -> [usize; 3] {
        self.output
    }

    fn lengths(&self) -> (usize, usize) {
        (self.input.iter().product(), self.output.iter().product())
    }

    /// Planes a part.
    fn split(&self) -> Split {
        let (input, output) = self.lengths();
        let window: usize = self.kernel.iter().product();
        let cost = (output * window).max(input).max(1);
        Split::new(self.planes, 1, (32 * 1024 / cost).max(1), 64)
    }

    fn in_pairs(&self) -> bool {
        self.kind == PoolKind::Max
            && self.kernel == [1, 2, 2]
            && self.stride == [1, 2, 2]
            && self.pad == [0; 3]
            && self.input[1].is_multiple_of(2)
            && self.input[2].is_multiple_of(2)
    }

    /// `y` of `planes · output` from `x` of `planes · input`. A window that lies wholly in the padding becomes 0.
    pub fn forward<T: Float>(&self, par: &dyn Par, x: &[T], y: &mut [T]) -> Result<(), Mismatch> {
        let (input, output) = self.lengths();
        Mismatch::check("Pool::forward", "length of x", x.len(), self.planes * input)?;
        Mismatch::check("Pool::forward", "length of y", y.len(), self.planes * output)?;
        let split = self.split();
        let parts = Parts::new(y, split, output);
        each_part(par, split.parts(), &|i| {
            let (y, x) = (parts.take(i), &x[scaled(&split.range(i), input)]);
            if self.in_pairs() {
                pairs::max_forward(self.input[2], x, y);
            } else {
                windows::forward(self, x, y);
            }
        });
        Ok(())
    }

    /// `dx` from `dy`, and from the `x` of the forward pass, which those that [need it](PoolKind::needs_input) look at again.
    pub fn backward<T: Float>(&self, par: &dyn Par, x: &[T], dy: &[T], dx: &mut [T]) -> Result<(), Mismatch> {
        let (input, output) = self.lengths();
        let needs_input = self.kind.needs_input();
        if needs_input {
            Mismatch::check("Pool::backward", "length of x", x.len(), self.planes * input)?;
        }
        Mismatch::check("Pool::backward", "length of dy", dy.len(), self.planes * output)?;
        Mismatch::check("Pool::backward", "length of dx", dx.len(), self.planes * input)?;
        let split = self.split();
        let parts = Parts::new(dx, split, input);
        each_part(par, split.parts(), &|i| {
            let range = split.range(i);
            let (dx, dy) = (parts.take(i), &dy[scaled(&range, output)]);
            let x = if needs_input { &x[scaled(&range, input)] } else { &[] };
            if self.in_pairs() {
                pairs::max_backward(self.input[2], x, dy, dx);
            } else {
                windows::backward(self, x, dy, dx);
            }
        });
        Ok(())
    }
}

fn scaled(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start * by..range.end * by
}
