use crate::{Sum, Threads, assert_close, numbers};
use proptest::prelude::*;
use varflow_cpu::compute::{
    CrossEntropy, LayerNorm, Serial, Unary, log_softmax, log_softmax_backward, softmax, softmax_backward,
    softmax_cross_entropy, softmax_cross_entropy_backward, softmax_in_place, unary, unary_backward,
    unary_backward_in_place, unary_in_place,
};

fn exact(op: Unary, x: f64) -> f64 {
    match op {
        Unary::Relu => x.max(0.0),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Tanh => x.tanh(),
        Unary::SoftRelu => x.exp().ln_1p(),
        Unary::SoftSign => x / (1.0 + x.abs()),
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => 1.0 / x.sqrt(),
        Unary::Reciprocal => 1.0 / x,
        Unary::Square => x * x,
        Unary::Abs => x.abs(),
        Unary::Negate => -x,
    }
}

#[test]
fn every_function_and_its_derivative() {
    for op in Unary::ALL {
        for len in [0, 1, 7, 8, 9, 40, 20_000] {
            let positive = matches!(op, Unary::Log | Unary::Sqrt | Unary::Rsqrt | Unary::Reciprocal);
            let x: Vec<f32> = numbers(1, len).iter().map(|x| if positive { x + 1.5 } else { 4.0 * x }).collect();
            let dy = numbers(2, len);
            let mut y = vec![f32::NAN; len];
            unary(&Threads, op, &x, &mut y).unwrap();
            let mut in_place = x.clone();
            unary_in_place(&Serial, op, &mut in_place);
            assert_eq!(y, in_place);
            for (&x, &y) in x.iter().zip(&y) {
                let wanted = exact(op, f64::from(x));
                assert!((f64::from(y) - wanted).abs() <= 3e-7 * wanted.abs(), "{op:?}({x}) gave {y}, wanted {wanted}");
            }

            let saved = if op.saves_input() { &x } else { &y };
            let mut dx = vec![f32::NAN; len];
            unary_backward(&Threads, op, saved, &dy, &mut dx).unwrap();
            for ((&x, &dy), &dx) in x.iter().zip(&dy).zip(&dx) {
                let x = f64::from(x);
                let slope = (exact(op, x + 1e-6) - exact(op, x - 1e-6)) / 2e-6;
                assert!((f64::from(dx) - f64::from(dy) * slope).abs() <= 1e-5 * (1.0 + slope.abs()), "{op:?} at {x}");
            }
            let mut in_place = dy.clone();
            unary_backward_in_place(&Serial, op, saved, &mut in_place).unwrap();
            assert_eq!(dx, in_place);
        }
    }
}

#[test]
fn double_precision_goes_the_same_way() {
    for op in Unary::ALL {
        let x: Vec<f64> = (1..30).map(|x| f64::from(x) / 10.0).collect();
        let mut y = vec![0.0; x.len()];
        unary(&Serial, op, &x, &mut y).unwrap();
        assert!(x.iter().zip(&y).all(|(&x, &y)| (y - exact(op, x)).abs() <= 1e-14 * y.abs().max(1.0)), "{op:?}");
    }
}

proptest! {
    #[test]
    fn softmaxes(rows in 0..20usize, columns in 1..40usize, shift in -200.0..200.0f32) {
        let len = rows * columns;
        let x: Vec<f32> = numbers(1, len).iter().map(|x| 5.0 * x + shift).collect();
        let dy = numbers(2, len);
        let (mut p, mut logs) = (vec![f32::NAN; len], vec![f32::NAN; len]);
        softmax(&Threads, columns, &x, &mut p).unwrap();
        log_softmax(&Threads, columns, &x, &mut logs).unwrap();
        let mut in_place = x.clone();
        softmax_in_place(&Serial, columns, &mut in_place).unwrap();
        prop_assert_eq!(&p, &in_place);

        let (mut dx, mut dx_log) = (vec![f32::NAN; len], vec![f32::NAN; len]);
        softmax_backward(&Threads, columns, &p, &dy, &mut dx).unwrap();
        log_softmax_backward(&Threads, columns, &logs, &dy, &mut dx_log).unwrap();
        for row in 0..rows {
            let range = row * columns..(row + 1) * columns;
            let max = x[range.clone()].iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let e: Vec<f64> = x[range.clone()].iter().map(|&x| (f64::from(x) - f64::from(max)).exp()).collect();
            let sum: f64 = e.iter().sum();
            let dy = &dy[range.clone()];
            let dot: f64 = e.iter().zip(dy).map(|(e, &dy)| e / sum * f64::from(dy)).sum();
            let total: f64 = dy.iter().map(|&dy| f64::from(dy)).sum();
            for (i, at) in range.enumerate() {
                let p_exact = e[i] / sum;
                prop_assert!((f64::from(p[at]) - p_exact).abs() <= 2e-6 * p_exact);
                prop_assert!((f64::from(logs[at]) - p_exact.ln()).abs() <= 3e-6 * (1.0 + p_exact.ln().abs()));
                prop_assert!((f64::from(dx[at]) - p_exact * (f64::from(dy[i]) - dot)).abs() <= 1e-5 * p_exact);
                prop_assert!((f64::from(dx_log[at]) - (f64::from(dy[i]) - p_exact * total)).abs() <= 2e-5);
            }
        }
    }

    #[test]
    fn cross_entropies(rows in 0..20usize, columns in 1..20usize) {
        let p: Vec<f32> = numbers(1, rows * columns).iter().map(|x| x.abs()).collect();
        let labels: Vec<f32> = (0..rows).map(|r| if r % 5 == 4 { -1.0 } else { (r % columns) as f32 }).collect();
        let options = CrossEntropy { scale: 0.25, ignore_label: Some(-1.0) };
        let (mut dx, mut loss) = (vec![f32::NAN; p.len()], vec![f32::NAN; rows]);
        softmax_cross_entropy_backward(&Threads, columns, &p, &labels, options, &mut dx).unwrap();
        softmax_cross_entropy(columns, &p, &labels, options, &mut loss).unwrap();
        let mut wanted = vec![Sum::default(); p.len()];
        for (at, wanted) in wanted.iter_mut().enumerate() {
            let (row, column) = (at / columns, at % columns);
            if labels[row] >= 0.0 {
                wanted.add(f64::from(p[at]) * 0.25);
                wanted.add(if labels[row] == column as f32 { -0.25 } else { 0.0 });
            }
        }
        assert_close(&dx, &wanted);
        for (row, loss) in loss.iter().enumerate() {
            let wanted = if labels[row] < 0.0 { 0.0 } else { -p[row * columns + row % columns].max(1e-8).ln() };
            prop_assert!((loss - wanted).abs() <= 1e-6 * wanted.abs());
        }
    }
}

#[test]
fn labels_outside_the_classes_are_refused() {
    let options = CrossEntropy { scale: 1.0f32, ignore_label: None };
    for label in [3.0, -1.0, f32::NAN] {
        let mut dx = [0.0; 3];
        assert!(softmax_cross_entropy_backward(&Serial, 3, &[0.3; 3], &[label], options, &mut dx).is_err());
    }
}

#[test]
fn gradients_of_a_layer_norm_are_of_its_length() {
    let norm = LayerNorm { rows: 2, len: 3, eps: 1e-5 };
    let (x, gamma, ones) = ([0_f32; 6], [1_f32; 3], [1_f32; 2]);
    let mut scratch = vec![0.0; norm.backward_scratch()];
    let mut backward = |d_gamma: usize, d_beta: usize| {
        let (mut dx, mut d_gamma, mut d_beta) = ([0_f32; 6], vec![0_f32; d_gamma], vec![0_f32; d_beta]);
        let gradients = [&mut dx[..], &mut d_gamma, &mut d_beta];
        norm.backward(&Serial, [&x, &x, &gamma, &ones, &ones], gradients, &mut scratch)
    };
    backward(3, 0).unwrap();
    for (d_gamma, d_beta) in [(2, 3), (3, 4)] {
        assert!(backward(d_gamma, d_beta).unwrap_err().to_string().contains("length of d_gamma or d_beta"));
    }
}
