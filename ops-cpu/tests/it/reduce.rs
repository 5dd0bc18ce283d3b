//! Sums and means over axes and their gradients, against sums over all indices in double precision.

use crate::call::{Array, numbers, run, run_into};
use crate::index::{flatten, unflatten};
use proptest::prelude::*;

#[derive(Debug)]
struct Case {
    shape: Vec<usize>,
    reduced: Vec<bool>,
    keepdims: bool,
    exclude: bool,
}

impl Case {
    /// Names the axes from the front or the back, in either order.
    fn attributes(&self, turned: bool) -> Vec<(&'static str, String)> {
        let rank = self.shape.len() as i64;
        let named = self.reduced.iter().zip(0..).filter(|(reduced, _)| **reduced != self.exclude);
        let mut axes: Vec<i64> = named.map(|(_, axis)| if turned { axis - rank } else { axis }).collect();
        if turned {
            axes.reverse();
        }
        let axes: Vec<_> = axes.iter().map(|axis| format!("{axis},")).collect();
        let truth = |b: bool| if b { "True" } else { "False" }.to_string();
        vec![
            ("axis", format!("({})", axes.concat())),
            ("keepdims", truth(self.keepdims)),
            ("exclude", truth(self.exclude)),
        ]
    }

    /// The shape of the result, and with the reduced axes left in.
    fn out(&self) -> (Vec<usize>, Vec<usize>) {
        let whole: Vec<_> =
            self.shape.iter().zip(&self.reduced).map(|(len, reduced)| if *reduced { 1 } else { *len }).collect();
        if self.keepdims {
            return (whole.clone(), whole);
        }
        let kept = self.shape.iter().zip(&self.reduced).filter(|(_, reduced)| !**reduced).map(|(len, _)| *len);
        let kept: Vec<_> = kept.collect();
        (if kept.is_empty() { vec![1] } else { kept }, whole)
    }

    /// Where an element of data goes to.
    fn place(&self, flat: usize) -> usize {
        let mut at = unflatten(flat, &self.shape);
        at.iter_mut().zip(&self.reduced).filter(|(_, reduced)| **reduced).for_each(|(at, _)| *at = 0);
        flatten(&at, &self.out().1)
    }

    fn count(&self) -> usize {
        self.shape.iter().zip(&self.reduced).filter(|(_, reduced)| **reduced).map(|(len, _)| len).product()
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let axes = proptest::collection::vec((1..7usize, any::<bool>()), 1..5);
    (axes, any::<bool>(), any::<bool>(), prop_oneof![3 => Just(1), 1 => Just(300usize)]).prop_map(
        |(axes, keepdims, exclude, last)| {
            let (mut shape, mut reduced): (Vec<usize>, Vec<bool>) = axes.into_iter().unzip();
            shape.iter_mut().rev().take(1).for_each(|len| *len *= last);
            // No named axes means all of them, with and without exclude.
            if reduced.iter().all(|r| *r == exclude) {
                reduced.fill(true);
            }
            Case { shape, reduced, keepdims, exclude }
        },
    )
}

fn pairs<'a>(attributes: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    attributes.iter().map(|(name, text)| (*name, text.as_str())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn outputs(case in cases(), seed: u64, turned: bool) {
        let attributes = case.attributes(turned);
        let data = numbers(seed, &case.shape);
        let (out, _) = case.out();
        let mut wanted = vec![(0.0, 0.0); out.iter().product()];
        for (i, x) in data.data.iter().enumerate() {
            let sum: &mut (f64, f64) = &mut wanted[case.place(i)];
            *sum = (sum.0 + f64::from(*x), sum.1 + f64::from(x.abs()));
        }
        for (op, n) in [("sum", 1.0), ("mean", case.count() as f64)] {
            let got = run(op, &pairs(&attributes), &[data.clone()]);
            prop_assert_eq!(&got.shape, &out);
            for (got, (sum, magnitude)) in got.data.iter().zip(&wanted) {
                let off = (f64::from(*got) - sum / n).abs();
                prop_assert!(off <= 4e-6 * magnitude / n, "{op} {case:?}: {got}, wanted {}", sum / n);
            }
        }
    }

    #[test]
    fn gradients(case in cases(), seed: u64, turned: bool) {
        let attributes = case.attributes(turned);
        let out_grad = numbers(seed, &case.out().0);
        for (op, n) in [("_backward_sum", 1.0), ("_backward_mean", case.count() as f32)] {
            let got = run_into(op, &pairs(&attributes), &[out_grad.clone()], &[&case.shape]);
            for (i, got) in got[0].data.iter().enumerate() {
                prop_assert_eq!(*got, out_grad.data[case.place(i)] / n, "{} {:?} [{}]", op, case, i);
            }
        }
    }
}

#[test]
fn without_axes_everything_is_reduced() {
    let data = Array::new(&[2, 3], vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(run("sum", &[], &[data.clone()]), Array::new(&[1], vec![21.0]));
    assert_eq!(run("mean", &[("axis", "()")], &[data.clone()]), Array::new(&[1], vec![3.5]));
    assert_eq!(run("sum", &[("axis", "1")], &[data]), Array::new(&[2], vec![6.0, 15.0]));
}

/// A running sum in float32 would stop growing at 2²⁴.
#[test]
fn long_sums_keep_their_last_places() {
    let n = 20_000_000;
    let data = Array::new(&[n], vec![1.0_f32; n]);
    assert_eq!(run("sum", &[], &[data]).data, [n as f32]);
}
