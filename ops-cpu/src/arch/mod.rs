//! Vector lanes and run-time choice of instruction set.
//!
//! Every kernel is written once, generic over [`Lanes`]: eight numbers that move together. [`Wide`] is the portable
//! form, a plain array, and the oracle of the tests; [`avx2::Ymm`] maps each method to one or two AVX2+FMA
//! instructions. A kernel is a [`Job`]; [`Dispatch::dispatch`] runs it with the best lanes that the processor has.
//! The two forms add in the same order and differ only in whether a multiply-add rounds once or twice.

#![expect(unsafe_code, reason = "lanes are read and written through raw pointers")]

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
pub(crate) mod math;
pub(crate) mod tile;
pub(crate) mod wide;

pub(crate) use wide::Wide;

/// How many numbers one [`Lanes`] value holds.
pub(crate) const LANES: usize = 8;

/// Eight numbers of type `T`. Every method is `inline(always)`, so that it compiles with the instruction set of the
/// [`Job`] it ends up in.
pub(crate) trait Lanes<T: Copy>: Copy {
    /// All lanes equal to `value`.
    fn splat(value: T) -> Self;

    /// Reads eight numbers, at any alignment.
    ///
    /// # Safety
    /// `from` is valid for reads of eight `T`.
    unsafe fn load(from: *const T) -> Self;

    /// Reads `count` numbers into the first lanes and sets the others to zero.
    ///
    /// # Safety
    /// `count <= 8` and `from` is valid for reads of `count` `T`.
    unsafe fn load_first(from: *const T, count: usize) -> Self;

    /// Writes eight numbers, at any alignment.
    ///
    /// # Safety
    /// `to` is valid for writes of eight `T`.
    unsafe fn store(self, to: *mut T);

    /// Writes the first `count` lanes.
    ///
    /// # Safety
    /// `count <= 8` and `to` is valid for writes of `count` `T`.
    unsafe fn store_first(self, to: *mut T, count: usize);

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once where the processor can.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// `self > other ? self : other` in each lane, so a NaN in either gives `other`.
    fn max(self, other: Self) -> Self;
    /// `self < other ? self : other` in each lane, so a NaN in either gives `other`.
    fn min(self, other: Self) -> Self;
    /// `self > other ? yes : no` in each lane.
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self;
    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    /// The even and the odd numbers of `self` followed by `next`.
    fn unzip(self, next: Self) -> (Self, Self);
    /// Inverse of [`Lanes::unzip`].
    fn zip(self, odd: Self) -> (Self, Self);
    /// Sum of the lanes in the order `((0+4)+(2+6)) + ((1+5)+(3+7))`.
    fn sum(self) -> T;

    /// Runs `job` with these lanes as a function of its own where that helps: registers are then shared out for its
    /// inner loop alone.
    fn apart<J: Job<T>>(job: J) -> J::Out;

    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn tanh(self) -> Self;
    /// `1 / (1 + exp(-x))`.
    fn sigmoid(self) -> Self;
    /// `ln(1 + exp(x))`.
    fn softrelu(self) -> Self;
}

/// Work that is generic over the lanes it uses. `run` must be `#[inline(always)]`, or it would be compiled without
/// the instruction set chosen for it.
pub(crate) trait Job<T: Copy> {
    type Out;
    fn run<V: Lanes<T>>(self) -> Self::Out;
}

/// A number type for which lanes exist.
pub(crate) trait Dispatch: Copy {
    /// Runs `job` with the best lanes of this processor.
    fn dispatch<J: Job<Self>>(job: J) -> J::Out;
}

impl Dispatch for f32 {
    #[inline]
    fn dispatch<J: Job<f32>>(job: J) -> J::Out {
        #[cfg(target_arch = "x86_64")]
        if avx2::available() {
            return avx2::run::<f32, avx2::Ymm, J>(job);
        }
        job.run::<Wide<f32>>()
    }
}

impl Dispatch for f64 {
    #[inline]
    fn dispatch<J: Job<f64>>(job: J) -> J::Out {
        #[cfg(target_arch = "x86_64")]
        if avx2::available() {
            return avx2::run::<f64, Wide<f64>, J>(job);
        }
        job.run::<Wide<f64>>()
    }
}

/// Runs `job` with the portable lanes: the oracle of the tests.
#[cfg(test)]
pub(crate) fn portable<T: Copy, J: Job<T>>(job: J) -> J::Out
where
    Wide<T>: Lanes<T>,
{
    job.run::<Wide<T>>()
}
