//! Arithmetic with repeated axes and its gradients, against sums over all indices in double precision.

use crate::call::{Array, numbers, run, run_into};
use crate::index::{flatten_repeated, unflatten};
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
fn operand(seed: u64, shape: &[usize]) -> Array<f32> {
    numbers(seed, shape).map(|x| x + 1.5 * x.signum())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn outputs([l_shape, r_shape, out] in shapes(), seed: u64) {
        let (lhs, rhs) = (operand(seed, &l_shape), operand(!seed, &r_shape));
        for (op, f) in FORWARD {
            let got = run(op, &[], &[lhs.clone(), rhs.clone()]);
            prop_assert_eq!(&got.shape, &out);
            for (i, got) in got.data.iter().enumerate() {
                let at = unflatten(i, &out);
                let l = f64::from(lhs.data[flatten_repeated(&at, &l_shape)]);
                let r = f64::from(rhs.data[flatten_repeated(&at, &r_shape)]);
                let wanted = f(l, r);
                prop_assert!((f64::from(*got) - wanted).abs() <= 1e-6 * wanted.abs(), "{op} {at:?}: {got}, wanted {wanted}");
            }
        }
    }

    #[test]
    fn gradients([l_shape, r_shape, out] in shapes(), seed: u64) {
        let (lhs, rhs) = (operand(seed, &l_shape), operand(!seed, &r_shape));
        let out_grad = numbers(seed ^ 1, &out);
        for (op, has_operands, terms) in BACKWARD {
            // The gradients, and the sums of the magnitudes of their terms, which rounding errors are relative to.
            let mut wanted = [vec![(0.0, 0.0); lhs.data.len()], vec![(0.0, 0.0); rhs.data.len()]];
            for (i, g) in out_grad.data.iter().enumerate() {
                let at = unflatten(i, &out);
                let places = [flatten_repeated(&at, &l_shape), flatten_repeated(&at, &r_shape)];
                let terms = terms(f64::from(*g), f64::from(lhs.data[places[0]]), f64::from(rhs.data[places[1]]));
                for side in 0..2 {
                    let sum = &mut wanted[side][places[side]];
                    *sum = (sum.0 + terms[side], sum.1 + terms[side].abs());
                }
            }
            let mut inputs = vec![out_grad.clone()];
            if *has_operands {
                inputs.extend([lhs.clone(), rhs.clone()]);
            }
            let got = run_into(op, &[], &inputs, &[&l_shape, &r_shape]);
            for (side, got) in got.iter().enumerate() {
                for (got, (sum, magnitude)) in got.data.iter().zip(&wanted[side]) {
                    let off = (f64::from(*got) - sum).abs();
                    prop_assert!(off <= 4e-6 * magnitude, "{op} side {side}: {got}, wanted {sum}");
                }
            }
        }
    }
}
