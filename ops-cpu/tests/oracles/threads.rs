//! The same bits whatever the number of threads.

use crate::{Threads, numbers};
use varflow_cpu::compute::{Conv, Matrix, Par, Reduction, Serial, gemm, reduce};

fn both(run: impl Fn(&dyn Par) -> Vec<f32>) {
    let (one, three) = (run(&Serial), run(&Threads));
    assert!(one.iter().zip(&three).all(|(a, b)| a.to_bits() == b.to_bits()));
}

#[test]
fn products_sums_and_convolutions() {
    let (a, b) = (numbers(1, 65 * 800), numbers(2, 500 * 800));
    both(|par| {
        let mut c = vec![0.0; 65 * 500];
        let (a, b) = (Matrix::new(&a, 65, 800).unwrap(), Matrix::new(&b, 500, 800).unwrap());
        gemm(par, 1.0, a, b.t(), 0.0, &mut c).unwrap();
        c
    });
    both(|par| {
        let mut sum = vec![0.0; 1];
        reduce(par, Reduction::Sum, &b, &[500, 800], &[0, 1], &mut sum).unwrap();
        sum
    });
    for stride in [1, 2] {
        let conv = Conv::new(33, 6, &[16, 16], 16, &[3, 3], &[stride; 2], &[1, 1], &[1, 1], 2).unwrap();
        let (x, dy) = (numbers(3, 33 * conv.input_len()), numbers(4, 33 * conv.output_len()));
        let w = numbers(5, conv.weight_len());
        both(|par| {
            let mut y = vec![0.0; dy.len()];
            conv.forward(par, &x, &w, None, &mut y, &mut vec![0.0; conv.forward_workspace_len::<f32>()]).unwrap();
            y
        });
        both(|par| {
            let mut dx = vec![0.0; x.len()];
            let mut workspace = vec![0.0; conv.backward_data_workspace_len::<f32>()];
            conv.backward_data(par, &w, &dy, &mut dx, &mut workspace).unwrap();
            dx
        });
        both(|par| {
            let mut dw = vec![0.0; w.len()];
            let mut workspace = vec![0.0; conv.backward_weight_workspace_len::<f32>()];
            conv.backward_weight(par, &x, &dy, &mut dw, &mut workspace).unwrap();
            dw
        });
    }
}
