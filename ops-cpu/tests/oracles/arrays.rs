use crate::{Sum, Threads, assert_close, numbers};
use proptest::prelude::*;
use varflow_cpu::compute::{Binary, Reduction, Serial, binary, binary_in_place, reduce, transpose};

/// The multi-index of `flat` in `shape`.
fn index(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut out = vec![0; shape.len()];
    for (i, &len) in shape.iter().enumerate().rev() {
        out[i] = flat % len;
        flat /= len;
    }
    out
}

/// The flat index of the last axes of `at` in `shape`, where axes of length 1 repeat.
fn flat(at: &[usize], shape: &[usize]) -> usize {
    let at = &at[at.len() - shape.len()..];
    at.iter().zip(shape).fold(0, |flat, (&at, &len)| flat * len + if len == 1 { 0 } else { at })
}

fn shapes() -> impl Strategy<Value = (Vec<usize>, Vec<usize>, Vec<usize>)> {
    let axes = proptest::collection::vec((1..7usize, 0..4usize), 0..5);
    (axes, 0..3usize, any::<bool>()).prop_map(|(axes, missing, of_a)| {
        let out: Vec<usize> = axes.iter().map(|a| a.0).collect();
        let mut a: Vec<usize> = axes.iter().map(|&(len, which)| if which == 1 { 1 } else { len }).collect();
        let mut b: Vec<usize> = axes.iter().map(|&(len, which)| if which == 2 { 1 } else { len }).collect();
        let missing = missing.min(out.len());
        // A missing axis repeats, so the other operand must have it whole.
        let (short, whole) = if of_a { (&mut a, &mut b) } else { (&mut b, &mut a) };
        short.drain(..missing);
        whole[..missing].copy_from_slice(&out[..missing]);
        (a, b, out)
    })
}

fn operators() -> impl Strategy<Value = (Binary, fn(f32, f32) -> f32)> {
    let all: Vec<(Binary, fn(f32, f32) -> f32)> = vec![
        (Binary::Add, |a, b| a + b),
        (Binary::Sub, |a, b| a - b),
        (Binary::Mul, |a, b| a * b),
        (Binary::Div, |a, b| a / b),
        (Binary::Maximum, f32::max),
        (Binary::Minimum, f32::min),
        (Binary::Power, f32::powf),
        (Binary::Mod, |a, b| a - b * (a / b).floor()),
        (Binary::Hypot, f32::hypot),
        (Binary::Equal, |a, b| f32::from(a == b)),
        (Binary::NotEqual, |a, b| f32::from(a != b)),
        (Binary::Greater, |a, b| f32::from(a > b)),
        (Binary::GreaterEqual, |a, b| f32::from(a >= b)),
        (Binary::Lesser, |a, b| f32::from(a < b)),
        (Binary::LesserEqual, |a, b| f32::from(a <= b)),
    ];
    proptest::sample::select(all)
}

proptest! {
    #[test]
    fn broadcasts((a_shape, b_shape, shape) in shapes(), (op, f) in operators()) {
        let positive = |seed, shape: &[usize]| -> Vec<f32> {
            numbers(seed, shape.iter().product()).iter().map(|x| (x * 4.0).round() / 2.0 + 2.5).collect()
        };
        let (mut a, b) = (positive(1, &a_shape), positive(2, &b_shape));
        let wanted: Vec<f32> = (0..shape.iter().product())
            .map(|i| index(i, &shape))
            .map(|at| f(a[flat(&at, &a_shape)], b[flat(&at, &b_shape)]))
            .collect();
        let close = |got: &[f32]| got.iter().zip(&wanted).all(|(x, y)| (x - y).abs() <= 1e-6 * y.abs().max(1.0));
        let mut got = vec![f32::NAN; wanted.len()];
        binary(&Serial, op, (&a, &a_shape), (&b, &b_shape), &mut got).unwrap();
        prop_assert!(close(&got), "{got:?} {wanted:?}");
        if a_shape == shape {
            binary_in_place(&Serial, op, (&mut a, &a_shape), (&b, &b_shape)).unwrap();
            prop_assert_eq!(a, got);
        }
    }

    #[test]
    fn reductions(shape in proptest::collection::vec(1..6usize, 0..5), mask in 0..32usize) {
        let axes: Vec<usize> = (0..shape.len()).filter(|axis| mask >> axis & 1 == 1).collect();
        let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
        let kept_shape: Vec<usize> = kept.iter().map(|&axis| shape[axis]).collect();
        let x = numbers(1, shape.iter().product());
        let mut groups = vec![Vec::new(); kept_shape.iter().product()];
        for (i, &x) in x.iter().enumerate() {
            let at = index(i, &shape);
            let at: Vec<usize> = kept.iter().map(|&axis| at[axis]).collect();
            groups[flat(&at, &kept_shape)].push(f64::from(x));
        }
        let check = |reduction, f: &dyn Fn(&[f64]) -> f64| {
            let mut got = vec![f32::NAN; groups.len()];
            reduce(&Serial, reduction, &x, &shape, &axes, &mut got).unwrap();
            let wanted: Vec<Sum> = groups
                .iter()
                .map(|group| Sum { value: f(group), magnitude: group.iter().map(|x| x.abs()).sum() })
                .collect();
            assert_close(&got, &wanted);
        };
        check(Reduction::Sum, &|x| x.iter().sum());
        check(Reduction::Mean, &|x| x.iter().sum::<f64>() / x.len() as f64);
        check(Reduction::Max, &|x| x.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        check(Reduction::Min, &|x| x.iter().copied().fold(f64::INFINITY, f64::min));
        check(Reduction::Product, &|x| x.iter().product());
        check(Reduction::SumSquares, &|x| x.iter().map(|x| x * x).sum());
    }

    #[test]
    fn permutations(shape in proptest::collection::vec(1..7usize, 0..5), order in any::<u64>()) {
        let mut axes: Vec<usize> = (0..shape.len()).collect();
        axes.sort_by_key(|&axis| order.wrapping_mul(2 * axis as u64 + 3) >> 32);
        let x = numbers(1, shape.iter().product());
        let out_shape: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
        let mut got = vec![f32::NAN; x.len()];
        transpose(&Serial, &x, &shape, &axes, &mut got).unwrap();
        for (i, &got) in got.iter().enumerate() {
            let out_at = index(i, &out_shape);
            let mut at = vec![0; shape.len()];
            for (d, &axis) in axes.iter().enumerate() {
                at[axis] = out_at[d];
            }
            prop_assert_eq!(got, x[flat(&at, &shape)]);
        }
    }
}

#[test]
fn long_arrays_in_several_parts() {
    let (rows, columns) = (301, 1003);
    let x = numbers(1, rows * columns);
    let mut t = vec![0.0; x.len()];
    transpose(&Threads, &x, &[rows, columns], &[1, 0], &mut t).unwrap();
    assert!((0..x.len()).all(|i| x[i] == t[i % columns * rows + i / columns]));

    let bias = numbers(2, columns);
    let mut sum = vec![0.0; x.len()];
    binary(&Threads, Binary::Add, (&x, &[rows, columns]), (&bias, &[columns]), &mut sum).unwrap();
    assert!((0..x.len()).all(|i| sum[i] == x[i] + bias[i % columns]));

    for axes in [&[0][..], &[1], &[0, 1]] {
        let len = [columns, rows, 1][axes.len().max(axes[0] + 1) - 1 + usize::from(axes.len() == 2)];
        let mut wanted = vec![Sum::default(); len];
        for (i, &x) in x.iter().enumerate() {
            wanted[[i % columns, i / columns, 0][if axes.len() == 2 { 2 } else { axes[0] }]].add(f64::from(x));
        }
        let mut got = vec![0.0; len];
        reduce(&Threads, Reduction::Sum, &x, &[rows, columns], axes, &mut got).unwrap();
        assert_close(&got, &wanted);
    }
}

#[test]
fn misfits_are_refused() {
    let x = [0.0f32; 6];
    assert!(binary(&Serial, Binary::Add, (&x, &[2, 3]), (&x[..2], &[2]), &mut [0.0; 6]).is_err());
    assert!(binary_in_place(&Serial, Binary::Add, (&mut [0.0; 3], &[3]), (&x, &[2, 3])).is_err());
    assert!(reduce(&Serial, Reduction::Sum, &x, &[2, 3], &[2], &mut [0.0; 6]).is_err());
    assert!(transpose(&Serial, &x, &[2, 3], &[0, 0], &mut [0.0; 6]).is_err());
}

#[test]
fn maxima_and_minima_notice_nan() {
    let x = [1.0f32, f32::NAN, 3.0, 0.0];
    for reduction in [Reduction::Max, Reduction::Min] {
        let mut got = [0.0];
        reduce(&Serial, reduction, &x, &[4], &[0], &mut got).unwrap();
        assert!(got[0].is_nan());
    }
    let mut empty = [0.0f32; 2];
    reduce(&Serial, Reduction::Sum, &[], &[0, 2], &[0], &mut empty).unwrap();
    assert_eq!(empty, [0.0; 2]);
}
