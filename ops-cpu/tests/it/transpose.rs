//! Axes in another order, against indices, in every dtype.

use super::dense::{flatten, unflatten};
use super::typed::run;
use half::{bf16, f16};
use proptest::prelude::*;
use varflow_ops::Element;

fn check<T: Element>(shape: &[usize], order: &[usize], number: impl Fn(usize) -> T) {
    let data: Vec<T> = (0..shape.iter().product()).map(number).collect();
    let axes: Vec<_> = order.iter().map(|axis| format!("{axis},")).collect();
    let axes = format!("({})", axes.concat());
    let (out, got) = run::<T, T>("transpose", &[("axes", &axes)], &[(shape, &data)]);
    assert_eq!(out, order.iter().map(|axis| shape[*axis]).collect::<Vec<_>>());
    for (i, got) in got.iter().enumerate() {
        let at = unflatten(i, &out);
        let mut from = vec![0; shape.len()];
        at.iter().zip(order).for_each(|(at, axis)| from[*axis] = *at);
        assert_eq!(*got, data[flatten(&from, shape)], "{shape:?} {order:?} {at:?}");
    }
}

fn cases() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    proptest::collection::vec(1..24usize, 1..5).prop_flat_map(|shape| {
        let order = Just((0..shape.len()).collect::<Vec<_>>()).prop_shuffle();
        (Just(shape), order)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_order((shape, order) in cases()) {
        check(&shape, &order, |i| i as f32);
        check(&shape, &order, |i| i as u8);
    }
}

#[test]
fn every_dtype() {
    let (shape, order) = (&[3, 4, 5], &[2, 0, 1]);
    check(shape, order, |i| i as f32);
    check(shape, order, |i| i as f64);
    check(shape, order, |i| f16::from_f32(i as f32));
    check(shape, order, |i| bf16::from_f32(i as f32));
    check(shape, order, |i| i as u8);
    check(shape, order, |i| i as i8);
    check(shape, order, |i| i as u16);
    check(shape, order, |i| i as i16);
    check(shape, order, |i| i as u32);
    check(shape, order, |i| i as i32);
    check(shape, order, |i| i as u64);
    check(shape, order, |i| i as i64);
}

#[test]
fn without_axes_the_order_is_turned_round() {
    let got = run::<i32, i32>("transpose", &[], &[(&[2, 3], &[1, 2, 3, 4, 5, 6])]);
    assert_eq!(got, (vec![3, 2], vec![1, 4, 2, 5, 3, 6]));
}
