//! Arithmetic with repeated axes and its gradients, against sums over all indices in double precision.

use super::dense::{Sum, assert_sums, flatten_repeated, gradients, map, numbers, output, unflatten};
use super::usage::{Array, How, Use};
use super::workers;
use proptest::prelude::*;

type Formula = fn(f64, f64) -> f64;

const FORWARD: &[(&str, Formula)] = &[
    ("broadcast_add", |l, r| l + r),
    ("broadcast_sub", |l, r| l - r),
    ("broadcast_mul", |l, r| l * r),
    ("broadcast_div", |l, r| l / r),
];

/// Name, whether it is given the operands, and both terms from out_grad, lhs and rhs.
const BACKWARD: &[(&str, bool, fn(f64, f64, f64) -> [f64; 2])] = &[
    ("_backward_broadcast_add", false, |g, _, _| [g, g]),
    ("_backward_broadcast_sub", false, |g, _, _| [g, -g]),
    ("_backward_broadcast_mul", true, |g, l, r| [g * r, g * l]),
    ("_backward_broadcast_div", true, |g, l, r| [g / r, -g * l / (r * r)]),
];

/// Shapes of lhs, rhs and the output.
fn shapes() -> impl Strategy<Value = [Vec<usize>; 3]> {
    let axes = proptest::collection::vec((1..6usize, 0..4u8), 0..5);
    (axes, 0..3usize, any::<bool>(), prop_oneof![4 => Just(1), 1 => Just(700usize)]).prop_map(
        |(axes, missing, of_lhs, last)| {
            let mut out: Vec<usize> = axes.iter().map(|a| a.0).collect();
            // Now and then an axis that is long enough to be cut for several workers.
            out.iter_mut().rev().take(1).for_each(|len| *len *= last);
            let with_ones = |which| -> Vec<usize> {
                out.iter().zip(&axes).map(|(len, a)| if a.1 == which { 1 } else { *len }).collect()
            };
            let (mut lhs, mut rhs) = (with_ones(1), with_ones(2));
            let missing = missing.min(out.len());
            // Whoever has an axis that the other lacks has it whole.
            let (short, whole) = if of_lhs { (&mut lhs, &mut rhs) } else { (&mut rhs, &mut lhs) };
            short.drain(..missing);
            whole[..missing].copy_from_slice(&out[..missing]);
            [lhs, rhs, out]
        },
    )
}

/// Away from 0, so that quotients are well conditioned.
fn operand(seed: u64, shape: &[usize]) -> Array {
    map(&numbers(seed, shape), |x| x + 1.5 * x.signum())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn outputs([l_shape, r_shape, out] in shapes(), seed: u64) {
        let (lhs, rhs) = (operand(seed, &l_shape), operand(!seed, &r_shape));
        for (op, f) in FORWARD {
            let got = output(op, &[], &[&lhs, &rhs]);
            prop_assert_eq!(got.desc.shape.dims(), &*out);
            for (i, got) in got.values.iter().enumerate() {
                let at = unflatten(i, &out);
                let l = lhs.values[flatten_repeated(&at, &l_shape)];
                let r = rhs.values[flatten_repeated(&at, &r_shape)];
                prop_assert_eq!(*got, f64::from(f(l, r) as f32), "{} at {:?}", op, at);
            }
        }
    }

    #[test]
    fn sums_over_repeated_axes([l_shape, r_shape, out] in shapes(), seed: u64) {
        let (lhs, rhs) = (operand(seed, &l_shape), operand(!seed, &r_shape));
        let out_grad = numbers(seed ^ 1, &out);
        for (op, has_operands, terms) in BACKWARD {
            let mut wanted = [vec![Sum::default(); lhs.values.len()], vec![Sum::default(); rhs.values.len()]];
            for (i, g) in out_grad.values.iter().enumerate() {
                let at = unflatten(i, &out);
                let places = [flatten_repeated(&at, &l_shape), flatten_repeated(&at, &r_shape)];
                let terms = terms(*g, lhs.values[places[0]], rhs.values[places[1]]);
                (0..2).for_each(|side| wanted[side][places[side]] += terms[side]);
            }
            let inputs: &[_] = if *has_operands { &[&out_grad, &lhs, &rhs] } else { &[&out_grad] };
            let got = gradients(op, &[], inputs, &[&l_shape, &r_shape]);
            assert_sums(&got[0], &wanted[0], &(op, "lhs"));
            assert_sums(&got[1], &wanted[1], &(op, "rhs"));
        }
    }

    #[test]
    fn in_place_of_either([l_shape, r_shape, out] in shapes(), seed: u64) {
        let engine = workers(0);
        let inputs = [operand(seed, &l_shape), operand(!seed, &r_shape)];
        for (op, _) in FORWARD {
            let usage = Use::new(op, &[], inputs.to_vec());
            let apart = usage.run(&How::on(&engine)).unwrap();
            for i in (0..2).filter(|i| inputs[*i].values.len() == out.iter().product()) {
                let same = usage.run(&How { inplace: Some((i, 0)), ..How::on(&engine) }).unwrap();
                prop_assert!(same.same_bits(&apart), "{op} in place of input {i}");
            }
        }
    }
}
