//! Windows, axes and orders against naive counts.

use super::{attrs, builtin};
use proptest::prelude::*;
use varflow_ops::defs::{
    Rounding, Window, around_axis, axis_of, convolution_window, pooling_window, reduced_axes, softmax_output_axes,
    temperature, transpose_order,
};
use varflow_ops::{Params, Shape};

fn params(op: &str, given: &[(&str, &str)]) -> Params {
    builtin().operator(op).unwrap().schema().parse(&attrs(given)).unwrap()
}

fn window(kernel: usize, stride: usize, dilate: usize, pad: usize, rounding: Rounding) -> Window {
    Window { kernel: vec![kernel], stride: vec![stride], dilate: vec![dilate], pad: vec![pad], rounding }
}

proptest! {
    /// Windows are counted by sliding one along.
    #[test]
    fn windows_are_counted_right(len in 0..30_usize, k in 1..6_usize, stride in 1..5_usize, dilate in 1..4_usize, pad in 0..4_usize) {
        let extent = (0..k).map(|i| i * dilate).max().unwrap() + 1;
        let padded = len + 2 * pad;
        let starts = |stop: &dyn Fn(usize) -> bool| (0..).step_by(stride).take_while(|s| !stop(*s)).count();
        let valid = (padded >= extent).then(|| starts(&|s| s + extent > padded));
        let w = window(k, stride, dilate, pad, Rounding::Valid);
        prop_assert_eq!((w.count(0, len), w.extent(0), w.rank()), (valid, extent, 1));
        // One more where the last window does not reach the end.
        let full = valid.map(|n| n + usize::from((n - 1) * stride + extent < padded));
        prop_assert_eq!(window(k, stride, dilate, pad, Rounding::Full).count(0, len), full);
        let same = (padded >= extent).then(|| starts(&|s| s >= padded));
        prop_assert_eq!(window(k, stride, dilate, pad, Rounding::Same).count(0, len), same);
    }

    #[test]
    fn axes_wrap(axis in -8..8_i64, rank in 0..6_usize) {
        let wanted = (0..rank as i64).find(|a| *a == axis || *a - rank as i64 == axis);
        prop_assert_eq!(axis_of(axis, rank).ok(), wanted.map(|a| a as usize));
    }

    /// Applying an order to the axes' numbers gives the order.
    #[test]
    fn orders_are_permutations(order in Just((0..5_i64).collect::<Vec<_>>()).prop_shuffle(), negative in any::<[bool; 5]>()) {
        let axes: Vec<_> = order.iter().zip(negative).map(|(a, n)| if n { a - 5 } else { *a }.to_string()).collect();
        let p = params("transpose", &[("axes", &format!("({})", axes.join(", ")))]);
        prop_assert_eq!(transpose_order(&p, 5).unwrap(), order.iter().map(|a| *a as usize).collect::<Vec<_>>());
        prop_assert!(transpose_order(&p, 4).is_err() && transpose_order(&p, 6).is_err());
    }
}

#[test]
fn axes_out_of_range_are_named() {
    assert_eq!(axis_of(3, 3).unwrap_err().to_string(), "axis 3 is out of range for 3 axes");
    assert!(axis_of(i64::MIN, 3).is_err() && axis_of(i64::MAX, 3).is_err());
    assert_eq!(around_axis(&Shape::from([2, 3, 4]), 1), [2, 3, 4]);
    assert_eq!(around_axis(&Shape::from([2, 3, 4]), 0), [1, 2, 12]);
}

#[test]
fn windows_are_read() {
    let w = convolution_window(&params("Convolution", &[("num_filter", "1"), ("kernel", "(3, 5)"), ("pad", "(1, 2)")]))
        .unwrap();
    let wanted = Window {
        kernel: vec![3, 5],
        stride: vec![1, 1],
        dilate: vec![1, 1],
        pad: vec![1, 2],
        rounding: Rounding::Valid,
    };
    assert_eq!(w, wanted);
    let p = params("Pooling", &[("kernel", "(2, 2)"), ("stride", "(2, 2)"), ("pooling_convention", "full")]);
    let w = pooling_window(&p, &[]).unwrap();
    assert_eq!((w.rounding, w.dilate), (Rounding::Full, vec![1, 1]));
    let w =
        pooling_window(&params("Pooling", &[("global_pool", "1"), ("kernel", "(2, 2)"), ("pad", "(1, 1)")]), &[5, 6])
            .unwrap();
    assert_eq!((w.count(0, 5), w.count(1, 6), w.pad), (Some(1), Some(1), vec![0, 0]));
}

#[test]
fn reductions_are_read() {
    let axes = |given: &[(&str, &str)]| reduced_axes(&params("sum", given), 3);
    assert_eq!(axes(&[]).unwrap(), [true; 3]);
    assert_eq!(axes(&[("axis", "()")]).unwrap(), [true; 3]);
    assert_eq!(axes(&[("axis", "(0, -1)")]).unwrap(), [true, false, true]);
    assert_eq!(axes(&[("axis", "(0, -1)"), ("exclude", "True")]).unwrap(), [false, true, false]);
    assert_eq!(
        axes(&[("axis", "(0, -3)")]).unwrap_err().to_string(),
        "parameter \"axis\" is (0, -3), which names axis -3 twice"
    );
    assert!(axes(&[("axis", "3")]).is_err());
    assert_eq!(temperature(&params("softmax", &[("temperature", "2")])), 2.0);
    assert_eq!(temperature(&params("softmax", &[])), 1.0);
}

#[test]
fn softmax_output_looks_along_the_classes() {
    let axes = |given: &[(&str, &str)], dims: &[usize]| {
        softmax_output_axes(&params("SoftmaxOutput", given), &Shape::new(dims))
    };
    assert_eq!(axes(&[], &[4, 5]), [4, 5, 1]);
    assert_eq!(axes(&[], &[4, 5, 6]), [4, 30, 1]);
    assert_eq!(axes(&[("preserve_shape", "1")], &[4, 5, 6]), [20, 6, 1]);
    assert_eq!(axes(&[("multi_output", "1")], &[4, 5, 6, 7]), [4, 5, 42]);
    assert_eq!(axes(&[("multi_output", "1")], &[4]), [4, 1, 1]);
}
