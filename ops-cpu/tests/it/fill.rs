//! Zeroes and ones of every dtype.

use super::typed::{Numbers, run};
use half::{bf16, f16};
use varflow_ops::Element;

const NO_INPUTS: &[Numbers<f32>] = &[];

fn check<T: Element>(zero: T, one: T) {
    let given = [("shape", "(3, 4)"), ("dtype", T::DTYPE.name())];
    let data = [one; 6];
    for (value, op, like) in [(zero, "_zeros", "zeros_like"), (one, "_ones", "ones_like")] {
        assert_eq!(run::<f32, T>(op, &given, NO_INPUTS), (vec![3, 4], vec![value; 12]), "{op} {}", T::DTYPE);
        assert_eq!(run::<T, T>(like, &[], &[(&[2, 3], &data)]), (vec![2, 3], vec![value; 6]), "{like} {}", T::DTYPE);
    }
}

#[test]
fn every_dtype() {
    check(0.0_f32, 1.0);
    check(0.0_f64, 1.0);
    check(f16::ZERO, f16::ONE);
    check(bf16::ZERO, bf16::ONE);
    check(0_u8, 1);
    check(0_i8, 1);
    check(0_u16, 1);
    check(0_i16, 1);
    check(0_u32, 1);
    check(0_i32, 1);
    check(0_u64, 1);
    check(0_i64, 1);
}
