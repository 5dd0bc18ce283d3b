//! AVX2 and FMA lanes.
//!
//! [`Ymm`] may be used only in code reached through [`run`], which checks that the processor has the instructions.
//! Nothing else in the crate names it, apart from [`super::Dispatch`].

#![expect(unsafe_code, reason = "processor intrinsics")]

use super::{Job, LANES, Lanes, math};
use core::arch::x86_64::*;

/// Eight `f32` in one 256-bit register.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Ymm(__m256);

/// Whether this processor has AVX2 and FMA.
#[inline]
pub(crate) fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

/// Runs `job` compiled for AVX2 and FMA. Panics where the processor lacks them.
#[inline]
pub(crate) fn run<T: Copy, V: Lanes<T>, J: Job<T>>(job: J) -> J::Out {
    assert!(available(), "AVX2 and FMA wanted");
    // SAFETY: the processor has the two features.
    unsafe { with_features::<T, V, J>(job) }
}

#[target_feature(enable = "avx2,fma")]
fn with_features<T: Copy, V: Lanes<T>, J: Job<T>>(job: J) -> J::Out {
    job.run::<V>()
}

/// Sliding window over which a mask of `count` set lanes starts at `8 - count`.
static MASKS: [i32; 2 * LANES] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[inline(always)]
fn mask(count: usize) -> __m256i {
    let start = LANES - count.min(LANES);
    // SAFETY: start <= 8, so eight values of the sixteen remain.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(start).cast()) }
}

/// Wraps intrinsics that only compute.
macro_rules! ymm {
    ($e:expr) => {
        // SAFETY: this type is only used under `run`, which has checked for AVX2 and FMA.
        Ymm(unsafe { $e })
    };
}

impl Ymm {
    /// Exchanges lanes 2..4 with lanes 4..6.
    #[inline(always)]
    fn swap_middle(self) -> Self {
        ymm!(_mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(self.0))))
    }
}

impl Lanes<f32> for Ymm {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        ymm!(_mm256_set1_ps(value))
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        ymm!(_mm256_loadu_ps(from))
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        ymm!(_mm256_maskload_ps(from, mask(count)))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller says that eight numbers may be written.
        unsafe { _mm256_storeu_ps(to, self.0) };
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: the caller says that `count` numbers may be written, and the mask covers so many.
        unsafe {
            if count == 4 {
                // Masked stores take many times as long.
                _mm_storeu_ps(to, _mm256_castps256_ps128(self.0));
            } else {
                _mm256_maskstore_ps(to, mask(count), self.0);
            }
        }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        ymm!(_mm256_add_ps(self.0, other.0))
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        ymm!(_mm256_sub_ps(self.0, other.0))
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        ymm!(_mm256_mul_ps(self.0, other.0))
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        ymm!(_mm256_div_ps(self.0, other.0))
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        ymm!(_mm256_fmadd_ps(self.0, factor.0, addend.0))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        ymm!(_mm256_max_ps(self.0, other.0))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        ymm!(_mm256_min_ps(self.0, other.0))
    }
    #[inline(always)]
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
        ymm!(_mm256_blendv_ps(no.0, yes.0, _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0)))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        ymm!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        ymm!(_mm256_sqrt_ps(self.0))
    }
    #[inline(always)]
    fn unzip(self, next: Self) -> (Self, Self) {
        // The shuffles work in each half; the permutation brings the middle quarters into order.
        let even = ymm!(_mm256_shuffle_ps::<0b10_00_10_00>(self.0, next.0)).swap_middle();
        let odd = ymm!(_mm256_shuffle_ps::<0b11_01_11_01>(self.0, next.0)).swap_middle();
        (even, odd)
    }
    #[inline(always)]
    fn zip(self, odd: Self) -> (Self, Self) {
        let (even, odd) = (self.swap_middle(), odd.swap_middle());
        (ymm!(_mm256_unpacklo_ps(even.0, odd.0)), ymm!(_mm256_unpackhi_ps(even.0, odd.0)))
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: as in `ymm!`.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    fn apart<J: Job<f32>>(job: J) -> J::Out {
        // `inline(never)` has no effect beside `target_feature`, but a function without the features stays between
        // two functions that have them.
        #[inline(never)]
        fn between<J: Job<f32>>(job: J) -> J::Out {
            // SAFETY: as in `ymm!`.
            unsafe { with_features::<f32, Ymm, J>(job) }
        }
        between(job)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        math::exp(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        math::ln(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        math::tanh(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        math::sigmoid(self)
    }
    #[inline(always)]
    fn softrelu(self) -> Self {
        math::softrelu(self)
    }
}

impl math::FloatBits for Ymm {
    #[inline(always)]
    fn round(self) -> Self {
        ymm!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0))
    }
    #[inline(always)]
    fn scale2(self, power: Self) -> Self {
        ymm!({
            let power = _mm256_cvtps_epi32(power.0);
            let half = _mm256_srai_epi32::<1>(power);
            let rest = _mm256_sub_epi32(power, half);
            let bias = _mm256_set1_epi32(127);
            let half = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(half, bias)));
            let rest = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(rest, bias)));
            _mm256_mul_ps(_mm256_mul_ps(self.0, half), rest)
        })
    }
    #[inline(always)]
    fn pow2_of_shifted(self) -> Self {
        ymm!({
            let power = _mm256_slli_epi32::<23>(_mm256_castps_si256(self.0));
            _mm256_castsi256_ps(_mm256_add_epi32(power, _mm256_castps_si256(_mm256_set1_ps(1.0))))
        })
    }
    #[inline(always)]
    fn exponent(self) -> Self {
        ymm!({
            let biased = _mm256_srli_epi32::<23>(_mm256_castps_si256(self.0));
            _mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127)))
        })
    }
    #[inline(always)]
    fn mantissa(self) -> Self {
        ymm!({
            let fraction = _mm256_and_ps(self.0, _mm256_castsi256_ps(_mm256_set1_epi32(0x007f_ffff)));
            _mm256_or_ps(fraction, _mm256_set1_ps(1.0))
        })
    }
    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        ymm!({
            let bit = _mm256_set1_ps(-0.0);
            _mm256_or_ps(_mm256_andnot_ps(bit, self.0), _mm256_and_ps(bit, sign.0))
        })
    }
}
