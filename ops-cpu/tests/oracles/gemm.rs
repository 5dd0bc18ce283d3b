use crate::{Sum, Threads, assert_close, assert_close_wide, numbers, wide};
use proptest::prelude::*;
use varflow_cpu::compute::{Matrix, Serial, gemm};

fn check(m: usize, n: usize, k: usize, (ta, tb): (bool, bool), (alpha, beta): (f32, f32)) {
    let (a, b, c) = (numbers(1, m * k), numbers(2, k * n), numbers(3, m * n));
    let mut wanted = vec![Sum::default(); m * n];
    for i in 0..m {
        for j in 0..n {
            for l in 0..k {
                let a = a[if ta { l * m + i } else { i * k + l }];
                let b = b[if tb { j * k + l } else { l * n + j }];
                wanted[i * n + j].add(f64::from(alpha) * f64::from(a) * f64::from(b));
            }
            wanted[i * n + j].add(f64::from(beta) * f64::from(c[i * n + j]));
        }
    }
    fn operand<T>(data: &[T], rows: usize, columns: usize, transposed: bool) -> Matrix<'_, T> {
        if transposed {
            Matrix::new(data, columns, rows).unwrap().t()
        } else {
            Matrix::new(data, rows, columns).unwrap()
        }
    }
    let mut got = if beta == 0.0 { vec![f32::NAN; m * n] } else { c.clone() };
    gemm(&Threads, alpha, operand(&a, m, k, ta), operand(&b, k, n, tb), beta, &mut got).unwrap();
    assert_close(&got, &wanted);

    let (a, b) = (wide(&a), wide(&b));
    let mut got = if beta == 0.0 { vec![f64::NAN; m * n] } else { wide(&c) };
    let (alpha, beta) = (f64::from(alpha), f64::from(beta));
    gemm(&Serial, alpha, operand(&a, m, k, ta), operand(&b, k, n, tb), beta, &mut got).unwrap();
    assert_close_wide(&got, &wanted);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn products(
        (m, n, k) in (0..40usize, 0..40usize, 0..70usize),
        transposed in any::<(bool, bool)>(),
        factors in prop_oneof![Just((1.0f32, 0.0f32)), Just((1.0, 1.0)), Just((0.5, -2.0))],
    ) {
        check(m, n, k, transposed, factors);
    }
}

#[test]
fn products_in_several_parts() {
    for transposed in [(false, false), (false, true), (true, false), (true, true)] {
        check(64, 500, 200, transposed, (1.0, 0.0));
        check(301, 67, 260, transposed, (1.0, 1.0));
        check(3, 1100, 1100, transposed, (1.0, 0.0));
    }
}

#[test]
fn misfits_are_refused() {
    assert!(Matrix::new(&[0.0f32; 5], 2, 3).is_err());
    assert!(Matrix::strided(&[0.0f32; 5], 2, 2, 4).is_err());
    let a = Matrix::new(&[0.0f32; 6], 2, 3).unwrap();
    assert!(gemm(&Serial, 1.0, a, a, 0.0, &mut [0.0; 4]).is_err());
    assert!(gemm(&Serial, 1.0, a, a.t(), 0.0, &mut [0.0; 5]).is_err());
}
