//! Every dtype to every other: a number that both can hold stays what it is, others are rounded or go to the nearest end.

use super::typed::run;
use half::{bf16, f16};
use varflow_ops::Element;

/// A type, the range of whole numbers that it holds exactly without gaps, and how it is written and read.
trait Whole: Element {
    const RANGE: [i128; 2];
    fn of(x: i128) -> Self;
    fn read(self) -> i128;
}

macro_rules! integers {
    ($($t:ident),*) => { $(impl Whole for $t {
        const RANGE: [i128; 2] = [$t::MIN as i128, $t::MAX as i128];
        fn of(x: i128) -> $t {
            x.try_into().unwrap()
        }
        fn read(self) -> i128 {
            self.into()
        }
    })* };
}
integers!(u8, i8, u16, i16, u32, i32, u64, i64);

macro_rules! floats {
    ($($t:ident: $bits:literal, $of:expr, $read:expr);*) => { $(impl Whole for $t {
        const RANGE: [i128; 2] = [-(1 << $bits), 1 << $bits];
        fn of(x: i128) -> $t {
            ($of)(x as f64)
        }
        fn read(self) -> i128 {
            let x: f64 = ($read)(self);
            assert_eq!(x.fract(), 0.0);
            x as i128
        }
    })* };
}
floats!(f32: 24, |x| x as f32, f64::from; f64: 53, |x| x, |x| x; f16: 11, f16::from_f64, f16::to_f64;
    bf16: 8, bf16::from_f64, bf16::to_f64);

/// Whole numbers around the ends of all ranges.
fn interesting() -> Vec<i128> {
    let powers = (0..65).map(|n| 1_i128 << n);
    let mut all: Vec<_> = powers.flat_map(|p| [p - 2, p - 1, p, p + 1]).flat_map(|x| [x, -x]).collect();
    all.extend([0, 100, -100]);
    all
}

fn between<A: Whole, B: Whole>() {
    let fits = |x: &i128, [low, high]: [i128; 2]| (low..=high).contains(x);
    let is_integer = !B::DTYPE.is_float();
    // A floating-point number takes more than it holds exactly.
    let numbers: Vec<_> =
        interesting().into_iter().filter(|x| fits(x, A::RANGE) && (is_integer || fits(x, B::RANGE))).collect();
    let data: Vec<A> = numbers.iter().map(|x| A::of(*x)).collect();
    let attrs = [("dtype", B::DTYPE.name())];
    let got = run::<A, B>("Cast", &attrs, &[(&[data.len()], &data)]).1;
    for (x, got) in numbers.iter().zip(got) {
        let wanted = if is_integer { (*x).clamp(B::RANGE[0], B::RANGE[1]) } else { *x };
        assert_eq!(got.read(), wanted, "{x} from {} to {}", A::DTYPE, B::DTYPE);
    }
}

macro_rules! to_all {
    ($from:ty) => {
        to_all!($from => u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, f16, bf16)
    };
    ($from:ty => $($to:ty),*) => {
        $(between::<$from, $to>();)*
    };
}

#[test]
fn whole_numbers_between_all_dtypes() {
    to_all!(u8);
    to_all!(i8);
    to_all!(u16);
    to_all!(i16);
    to_all!(u32);
    to_all!(i32);
    to_all!(u64);
    to_all!(i64);
    to_all!(f32);
    to_all!(f64);
    to_all!(f16);
    to_all!(bf16);
}

fn cast<A: Element, B: Element>(data: &[A]) -> Vec<B> {
    run::<A, B>("Cast", &[("dtype", B::DTYPE.name())], &[(&[data.len()], data)]).1
}

#[test]
fn fractions_are_dropped() {
    assert_eq!(cast::<f32, i32>(&[1.9, -1.9, 0.5, -0.5]), [1, -1, 0, 0]);
    assert_eq!(cast::<f64, u8>(&[254.99, 255.5, 256.0, -0.9, -1.0]), [254, 255, 255, 0, 0]);
    assert_eq!(cast::<f16, i8>(&[f16::from_f32(-3.7)]), [-3]);
    assert_eq!(cast::<bf16, u64>(&[bf16::from_f32(2.5)]), [2]);
}

#[test]
fn what_is_no_number_becomes_zero() {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    assert_eq!(cast::<f32, i16>(&odd), [0, i16::MAX, i16::MIN]);
    assert_eq!(cast::<f32, u64>(&odd), [0, u64::MAX, 0]);
    assert!(cast::<f32, f16>(&odd)[0].is_nan() && cast::<f32, bf16>(&odd)[1] == bf16::INFINITY);
}

#[test]
fn floating_point_numbers_are_rounded_to_the_nearest() {
    assert_eq!(cast::<f64, f32>(&[0.1, 1e300, -1e-300]), [0.1, f32::INFINITY, -0.0]);
    assert_eq!(cast::<f32, f64>(&[0.1]), [f64::from(0.1_f32)]);
    assert_eq!(cast::<i32, f32>(&[(1 << 24) + 1, (1 << 24) + 3]), [16_777_216.0, 16_777_220.0]);
    assert_eq!(cast::<f32, f16>(&[65_519.0, 65_520.0, 1.0 / 3.0]).map_bits(), [0x7bff, 0x7c00, 0x3555]);
    assert_eq!(cast::<f32, bf16>(&[1.0 / 3.0]).map_bits(), [0x3eab]);
    assert_eq!(cast::<f16, bf16>(&[f16::from_f32(1.001)]).map_bits(), [0x3f80]);
}

trait MapBits {
    fn map_bits(self) -> Vec<u16>;
}
impl MapBits for Vec<f16> {
    fn map_bits(self) -> Vec<u16> {
        self.into_iter().map(f16::to_bits).collect()
    }
}
impl MapBits for Vec<bf16> {
    fn map_bits(self) -> Vec<u16> {
        self.into_iter().map(bf16::to_bits).collect()
    }
}

/// The gradient goes back to the dtype that data had.
#[test]
fn gradients_are_cast_back() {
    let out_grad = [0.1_f64, -2.0];
    let got = super::typed::run_into::<f64, f32>("_backward_cast", &[("dtype", "float64")], &[(&[2], &out_grad)], &[2]);
    assert_eq!(got, [0.1_f32, -2.0]);
}
