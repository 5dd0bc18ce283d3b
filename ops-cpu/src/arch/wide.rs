//! The portable lanes: an array of eight numbers.

#![expect(unsafe_code, reason = "lanes are read and written through raw pointers")]

use super::{Job, LANES, Lanes, math};

/// Eight numbers in an array.
#[derive(Clone, Copy)]
pub(crate) struct Wide<T>([T; LANES]);

impl<T: Copy> Wide<T> {
    #[inline(always)]
    fn map(self, f: impl Fn(T) -> T) -> Self {
        Wide([
            f(self.0[0]),
            f(self.0[1]),
            f(self.0[2]),
            f(self.0[3]),
            f(self.0[4]),
            f(self.0[5]),
            f(self.0[6]),
            f(self.0[7]),
        ])
    }

    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(T, T) -> T) -> Self {
        let mut out = self;
        for i in 0..LANES {
            out.0[i] = f(self.0[i], other.0[i]);
        }
        out
    }
}

macro_rules! wide_lanes {
    ($t:ty { $($math:item)* }) => {
        impl Lanes<$t> for Wide<$t> {
            #[inline(always)]
            fn splat(value: $t) -> Self {
                Wide([value; LANES])
            }

            #[inline(always)]
            unsafe fn load(from: *const $t) -> Self {
                // SAFETY: the caller says that eight numbers may be read, and an array of them needs no more alignment.
                Wide(unsafe { from.cast::<[$t; LANES]>().read_unaligned() })
            }

            #[inline(always)]
            unsafe fn load_first(from: *const $t, count: usize) -> Self {
                let mut lanes = [0.0; LANES];
                for (i, lane) in lanes.iter_mut().enumerate().take(count) {
                    // SAFETY: i < count, and the caller says that `count` numbers may be read.
                    *lane = unsafe { from.add(i).read() };
                }
                Wide(lanes)
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $t) {
                // SAFETY: the caller says that eight numbers may be written.
                unsafe { to.cast::<[$t; LANES]>().write_unaligned(self.0) };
            }

            #[inline(always)]
            unsafe fn store_first(self, to: *mut $t, count: usize) {
                for (i, lane) in self.0.iter().enumerate().take(count) {
                    // SAFETY: i < count, and the caller says that `count` numbers may be written.
                    unsafe { to.add(i).write(*lane) };
                }
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self.zip(other, |a, b| a + b)
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self.zip(other, |a, b| a - b)
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self.zip(other, |a, b| a * b)
            }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                self.zip(other, |a, b| a / b)
            }
            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                self.mul(factor).add(addend)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                self.zip(other, |a, b| if a > b { a } else { b })
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                self.zip(other, |a, b| if a < b { a } else { b })
            }
            #[inline(always)]
            fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
                let mut out = no;
                for i in 0..LANES {
                    if self.0[i] > other.0[i] {
                        out.0[i] = yes.0[i];
                    }
                }
                out
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.map(<$t>::abs)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.map(<$t>::sqrt)
            }
            #[inline(always)]
            fn unzip(self, next: Self) -> (Self, Self) {
                let (a, b) = (self.0, next.0);
                (Wide([a[0], a[2], a[4], a[6], b[0], b[2], b[4], b[6]]), Wide([a[1], a[3], a[5], a[7], b[1], b[3], b[5], b[7]]))
            }
            #[inline(always)]
            fn zip(self, odd: Self) -> (Self, Self) {
                let (e, o) = (self.0, odd.0);
                (Wide([e[0], o[0], e[1], o[1], e[2], o[2], e[3], o[3]]), Wide([e[4], o[4], e[5], o[5], e[6], o[6], e[7], o[7]]))
            }
            #[inline(always)]
            fn sum(self) -> $t {
                let l = self.0;
                ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
            }
            #[inline(always)]
            fn apart<J: Job<$t>>(job: J) -> J::Out {
                job.run::<Self>()
            }
            $($math)*
        }
    };
}

wide_lanes!(f32 {
    #[inline(always)]
    fn exp(self) -> Self { math::exp(self) }
    #[inline(always)]
    fn ln(self) -> Self { math::ln(self) }
    #[inline(always)]
    fn tanh(self) -> Self { math::tanh(self) }
    #[inline(always)]
    fn sigmoid(self) -> Self { math::sigmoid(self) }
    #[inline(always)]
    fn softrelu(self) -> Self { math::softrelu(self) }
});

wide_lanes!(f64 {
    #[inline(always)]
    fn exp(self) -> Self { self.map(f64::exp) }
    #[inline(always)]
    fn ln(self) -> Self { self.map(f64::ln) }
    #[inline(always)]
    fn tanh(self) -> Self { self.map(f64::tanh) }
    #[inline(always)]
    fn sigmoid(self) -> Self { self.map(|x| 1.0 / (1.0 + (-x).exp())) }
    #[inline(always)]
    fn softrelu(self) -> Self { self.map(|x| if x.is_nan() { x } else { x.max(0.0) + (-x.abs()).exp().ln_1p() }) }
});

impl math::FloatBits for Wide<f32> {
    #[inline(always)]
    fn round(self) -> Self {
        self.map(f32::round_ties_even)
    }

    #[inline(always)]
    fn scale2(self, power: Self) -> Self {
        self.zip(power, |x, power| {
            let power = power as i32;
            let half = power >> 1;
            x * f32::from_bits(((half + 127) << 23) as u32) * f32::from_bits(((power - half + 127) << 23) as u32)
        })
    }

    #[inline(always)]
    fn pow2_of_shifted(self) -> Self {
        self.map(|x| f32::from_bits((x.to_bits() << 23).wrapping_add(1f32.to_bits())))
    }

    #[inline(always)]
    fn exponent(self) -> Self {
        self.map(|x| ((x.to_bits() >> 23) as i32 - 127) as f32)
    }

    #[inline(always)]
    fn mantissa(self) -> Self {
        self.map(|x| f32::from_bits((x.to_bits() & 0x007f_ffff) | 0x3f80_0000))
    }

    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        self.zip(sign, f32::copysign)
    }
}
