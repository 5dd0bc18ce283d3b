//! Matrix products and their gradients, against sums in double precision.

use super::dense::{Sum, assert_sums, gradients, numbers, output};
use super::usage::Array;
use proptest::prelude::*;

/// A product whose summed axis has length `k`, and the other axes.
#[derive(Debug)]
struct Case {
    lhs: Vec<usize>,
    rhs: Vec<usize>,
    k: usize,
    turned: [bool; 2],
}

impl Case {
    fn new(m: &[usize], n: &[usize], k: usize, turned: [bool; 2]) -> Self {
        let (first, last) = (|rest: &[usize]| [&[k], rest].concat(), |rest: &[usize]| [rest, &[k]].concat());
        let lhs = if turned[0] { first(m) } else { last(m) };
        let rhs = if turned[1] { last(n) } else { first(n) };
        Case { lhs, rhs, k, turned }
    }

    fn attributes(&self) -> [(&'static str, &'static str); 2] {
        let truth = |b| if b { "True" } else { "False" };
        [("transpose_a", truth(self.turned[0])), ("transpose_b", truth(self.turned[1]))]
    }

    /// The numbers of rows and columns of the result as a matrix.
    fn sizes(&self) -> [usize; 2] {
        [&self.lhs, &self.rhs].map(|shape| shape.iter().product::<usize>() / self.k)
    }

    /// Calls `f(out, lhs, rhs)` with the elements of one multiplication each.
    fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        let [m, n] = self.sizes();
        for (i, j, k) in (0..m).flat_map(|i| (0..n).flat_map(move |j| (0..self.k).map(move |k| (i, j, k)))) {
            let l = if self.turned[0] { k * m + i } else { i * self.k + k };
            let r = if self.turned[1] { j * self.k + k } else { k * n + j };
            f(i * n + j, l, r);
        }
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let rest = || proptest::collection::vec(1..8usize, 0..3);
    let k = prop_oneof![3 => 1..20usize, 1 => 190..300usize];
    (rest(), rest(), k, any::<[bool; 2]>()).prop_map(|(m, n, k, turned)| Case::new(&m, &n, k, turned))
}

fn check(case: &Case, seed: u64) {
    let (lhs, rhs) = (numbers(seed, &case.lhs), numbers(!seed, &case.rhs));
    let sums = |len| vec![Sum::default(); len];
    let mut wanted = sums(case.sizes().iter().product());
    case.each(|o, l, r| wanted[o] += lhs.values[l] * rhs.values[r]);
    let got = output("dot", &case.attributes(), &[&lhs, &rhs]);
    assert_sums(&got, &wanted, case);

    let out_grad = numbers(seed ^ 1, got.desc.shape.dims());
    let (mut d_lhs, mut d_rhs) = (sums(lhs.values.len()), sums(rhs.values.len()));
    case.each(|o, l, r| {
        d_lhs[l] += out_grad.values[o] * rhs.values[r];
        d_rhs[r] += out_grad.values[o] * lhs.values[l];
    });
    let got = gradients("_backward_dot", &case.attributes(), &[&out_grad, &lhs, &rhs], &[&case.lhs, &case.rhs]);
    assert_sums(&got[0], &d_lhs, case);
    assert_sums(&got[1], &d_rhs, case);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn products_and_gradients(case in cases(), seed: u64) {
        check(&case, seed);
    }
}

#[test]
fn large_products() {
    for turned in [[false, false], [true, false], [false, true], [true, true]] {
        check(&Case::new(&[130], &[70], 200, turned), 7);
    }
}

#[test]
fn shapes() {
    let ones = |shape: &[usize]| Array::f64(shape, vec![1.0; shape.iter().product()]);
    let dot = |l: &[usize], r: &[usize]| output("dot", &[], &[&ones(l), &ones(r)]);
    assert_eq!(dot(&[3], &[3]), Array::f64(&[1], vec![3.0]));
    assert_eq!(dot(&[2, 3, 4], &[4, 5]), Array::f64(&[2, 3, 5], vec![4.0; 30]));
    assert_eq!(dot(&[2, 3], &[3]), Array::f64(&[2], vec![3.0; 2]));
}
