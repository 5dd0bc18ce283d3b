//! Softmax and its losses against naive ones.

use super::examples::array;
use super::gradient;
use super::usage::{Array, How, Use};
use super::workers;
use proptest::prelude::*;
use varflow_ops::examples::Values;

/// Softmax along one axis of data seen as (outer, axis, inner), or its logarithm.
fn naive(x: &[f64], [outer, n, inner]: [usize; 3], temperature: f64, log: bool) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for o in 0..outer {
        for i in 0..inner {
            let at = |c: usize| (o * n + c) * inner + i;
            let sum: f64 = (0..n).map(|c| (x[at(c)] / temperature).exp()).sum();
            for c in 0..n {
                let scaled = x[at(c)] / temperature;
                y[at(c)] = if log { scaled - sum.ln() } else { scaled.exp() / sum };
            }
        }
    }
    y
}

#[track_caller]
fn assert_near(got: &[f64], wanted: &[f64]) {
    assert_eq!(got.len(), wanted.len());
    for (i, (g, w)) in got.iter().zip(wanted).enumerate() {
        assert!((g - w).abs() <= 1e-12 * (1.0 + w.abs()), "[{i}]: got {g}, wanted {w}");
    }
}

#[allow(clippy::needless_pass_by_value)] // callers hand over numbers and words alike
fn text(value: impl ToString) -> String {
    value.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn softmax_along_any_axis(
        sizes in [1..4_usize, 1..9_usize, 1..40_usize],
        temperature in prop_oneof![Just(1.0), 0.3..4.0_f64],
        log in any::<bool>(),
        seed in any::<u8>(),
    ) {
        let data = array(Values::Apart, &sizes, seed);
        let given = [("axis", "1"), ("temperature", &*text(temperature))];
        let usage = Use::new(if log { "log_softmax" } else { "softmax" }, &given, vec![data.clone()]);
        let got = usage.run(&How::on(&workers(0))).unwrap().output();
        assert_near(&got.values, &naive(&data.values, sizes, temperature, log));
    }
}

/// Differences of exponents that would overflow or vanish.
#[test]
fn large_numbers_do_not_overflow() {
    for op in ["softmax", "log_softmax"] {
        for axis in ["0", "1"] {
            let data = Array::f64(&[2, 2], vec![1e4, -1e4, -1e4, 1e4]).cast(varflow_ops::DType::F32);
            let usage = Use::new(op, &[("axis", axis)], vec![data]);
            let got = usage.run(&How::on(&workers(0))).unwrap().output().values;
            let wanted = if op == "softmax" { [1.0, 0.0, 0.0, 1.0] } else { [0.0, -2e4, -2e4, 0.0] };
            assert_eq!(got, wanted, "{op} along axis {axis}");
        }
    }
}

/// The parameters of a loss, and data as (samples, classes, places).
#[derive(Clone, Debug)]
struct Loss {
    sizes: [usize; 3],
    multi: bool,
    grad_scale: f64,
    ignore_label: i64,
    use_ignore: bool,
    normalization: &'static str,
    out_grad: bool,
    smooth_alpha: f64,
}

fn losses() -> impl Strategy<Value = Loss> {
    let sizes = (1..5_usize, 2..6_usize, 1..20_usize);
    let normalization = prop_oneof![Just("null"), Just("batch"), Just("valid")];
    let numbers = (-2.0..2.0_f64, -1..4_i64, prop_oneof![Just(0.0), 0.0..0.5_f64]);
    (sizes, any::<[bool; 3]>(), normalization, numbers).prop_map(|(sizes, flags, normalization, numbers)| Loss {
        sizes: [sizes.0, sizes.1, if flags[0] { sizes.2 } else { 1 }],
        multi: flags[0],
        grad_scale: numbers.0,
        ignore_label: numbers.1,
        use_ignore: flags[1],
        normalization,
        out_grad: flags[2],
        smooth_alpha: numbers.2,
    })
}

impl Loss {
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![
            ("grad_scale", text(self.grad_scale)),
            ("ignore_label", text(self.ignore_label)),
            ("use_ignore", text(self.use_ignore)),
            ("multi_output", text(self.multi)),
            ("normalization", text(self.normalization)),
            ("out_grad", text(self.out_grad)),
            ("smooth_alpha", text(self.smooth_alpha)),
        ]
    }

    fn shapes(&self) -> (Vec<usize>, Vec<usize>) {
        let [samples, classes, places] = self.sizes;
        if self.multi {
            (vec![samples, classes, places], vec![samples, places])
        } else {
            (vec![samples, classes], vec![samples])
        }
    }

    /// As the definition says it.
    fn gradient(&self, output: &[f64], label: &[f64], out_grad: Option<&[f64]>) -> Vec<f64> {
        let [samples, classes, places] = self.sizes;
        let valid = label.iter().filter(|l| **l as i64 != self.ignore_label).count().max(1);
        let divisor = match self.normalization {
            "valid" => valid,
            "batch" => samples * places,
            _ => places,
        };
        let mut d = vec![0.0; output.len()];
        for s in 0..samples {
            for c in 0..classes {
                for p in 0..places {
                    let (at, label) = ((s * classes + c) * places + p, label[s * places + p] as i64);
                    if self.use_ignore && label == self.ignore_label {
                        continue;
                    }
                    let elsewhere = self.smooth_alpha / (classes - 1) as f64;
                    let target = if label == c as i64 { 1.0 - self.smooth_alpha } else { elsewhere };
                    let outside = out_grad.map_or(1.0, |g| g[at]);
                    d[at] = (output[at] - target) * self.grad_scale / divisor as f64 * outside;
                }
            }
        }
        d
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn loss_gradients_are_as_defined(loss in losses(), seed in any::<u8>(), int_labels in any::<bool>()) {
        let (data, label) = loss.shapes();
        let classes = loss.sizes[1];
        let output = array(Values::Share, &data, seed);
        let kind = if int_labels { Values::IntClasses(classes) } else { Values::Classes(classes) };
        let label = array(kind, &label, seed.wrapping_add(1));
        let out_grad = loss.out_grad.then(|| array(Values::Apart, &data, seed.wrapping_add(2)));
        let wanted = loss.gradient(&output.values, &label.values, out_grad.as_ref().map(|g| &*g.values));
        let attrs = loss.attrs();
        let given: Vec<_> = attrs.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let inputs: Vec<_> = [Some(output.clone()), Some(label), out_grad].into_iter().flatten().collect();
        let usage = Use::with_outputs("_backward_SoftmaxOutput", &given, inputs, vec![output.desc]);
        let how = How::on(super::engine());
        let got = usage.run(&how).unwrap();
        let in_place = usage.run(&How { inplace: Some((0, 0)), ..how }).unwrap();
        prop_assert!(got.same_bits(&in_place));
        assert_near(&got.output().values, &wanted);
    }

    #[test]
    fn loss_outputs_are_softmax(loss in losses(), seed in any::<u8>()) {
        let (data, label) = loss.shapes();
        let inputs = vec![array(Values::Apart, &data, seed), array(Values::Classes(loss.sizes[1]), &label, seed)];
        let wanted = naive(&inputs[0].values, loss.sizes, 1.0, false);
        let usage = Use::new("SoftmaxOutput", &[("multi_output", &text(loss.multi))], inputs);
        assert_near(&usage.run(&How::on(super::engine())).unwrap().output().values, &wanted);
    }
}

/// Labels of data's shape are probabilities.
#[test]
fn labels_may_be_probabilities() {
    let output = array(Values::Share, &[3, 4], 1);
    let label = array(Values::Share, &[3, 4], 2);
    let given = [("grad_scale", "0.5"), ("normalization", "batch"), ("smooth_alpha", "0.3")];
    let wanted: Vec<_> = output.values.iter().zip(&label.values).map(|(y, l)| (y - l) * 0.5).collect();
    let usage =
        Use::with_outputs("_backward_SoftmaxOutput", &given, vec![output.clone(), label], vec![output.desc.clone()]);
    assert_near(&usage.run(&How::on(&workers(0))).unwrap().output().values, &wanted);
}

/// The gradient is that of the summed cross entropy, by central differences through `log_softmax`.
#[test]
fn the_loss_is_the_cross_entropy() {
    let data = array(Values::Apart, &[4, 5], 3);
    let label = array(Values::IntClasses(5), &[4], 4);
    let usage = Use::new("SoftmaxOutput", &[], vec![data.clone(), label.clone()]);
    let grads = super::graph::backward(&usage, None).unwrap().grads;
    assert!(grads[1].is_none());
    let entropy = |data: Array| -> f64 {
        let log = Use::new("log_softmax", &[], vec![data]).run(&How::on(&workers(0))).unwrap().output();
        label.values.iter().enumerate().map(|(s, l)| -log.values[s * 5 + *l as usize]).sum()
    };
    for (at, grad) in grads[0].as_ref().unwrap().values.iter().enumerate() {
        let moved = |by: f64| {
            let mut moved = data.clone();
            moved.values[at] += by;
            entropy(moved)
        };
        let wanted = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!((grad - wanted).abs() < 1e-8, "[{at}]: {grad}, wanted {wanted}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn gradients_along_any_axis(
        sizes in [1..3_usize, 1..5_usize, 1..19_usize],
        temperature in 0.5..3.0_f64,
        log in any::<bool>(),
        seed in any::<u8>(),
    ) {
        let given = [("axis", "1"), ("temperature", &*text(temperature))];
        let data = array(Values::Apart, &sizes, seed);
        gradient::check(&Use::new(if log { "log_softmax" } else { "softmax" }, &given, vec![data]));
    }
}
