//! Sums and means over axes and their gradients, against sums over all indices in double precision.

use super::dense::{Sum, assert_sums, flatten, gradients, numbers, output, unflatten};
use super::typed::run;
use super::usage::Array;
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
        for (op, n) in [("sum", 1.0), ("mean", case.count() as f64)] {
            let mut wanted = vec![Sum::default(); out.iter().product()];
            data.values.iter().enumerate().for_each(|(i, x)| wanted[case.place(i)] += x / n);
            let got = output(op, &pairs(&attributes), &[&data]);
            prop_assert_eq!(got.desc.shape.dims(), &*out);
            assert_sums(&got, &wanted, &(op, &case));
        }
    }

    #[test]
    fn repeated_gradients(case in cases(), seed: u64, turned: bool) {
        let attributes = case.attributes(turned);
        let out_grad = numbers(seed, &case.out().0);
        for (op, n) in [("_backward_sum", 1.0), ("_backward_mean", case.count() as f64)] {
            let got = gradients(op, &pairs(&attributes), &[&out_grad], &[&case.shape]);
            for (i, got) in got[0].values.iter().enumerate() {
                let wanted = f64::from((out_grad.values[case.place(i)] / n) as f32);
                prop_assert_eq!(*got, wanted, "{} {:?} [{}]", op, case, i);
            }
        }
    }
}

#[test]
fn without_axes_everything_is_reduced() {
    let data = Array::f64(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(output("sum", &[], &[&data]), Array::f64(&[1], vec![21.0]));
    assert_eq!(output("mean", &[("axis", "()")], &[&data]), Array::f64(&[1], vec![3.5]));
    assert_eq!(output("sum", &[("axis", "1")], &[&data]), Array::f64(&[2], vec![6.0, 15.0]));
}

/// A running sum in single precision would stop growing at 2²⁴.
#[test]
fn long_sums_keep_their_last_places() {
    let n = (1 << 24) + 1000;
    let data = vec![1.0_f32; n];
    assert_eq!(run::<f32, f32>("sum", &[], &[(&[n], &data)]).1, [n as f32]);
}
