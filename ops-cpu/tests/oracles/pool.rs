use crate::{Sum, Threads, assert_close, numbers};
use proptest::prelude::*;
use varflow_cpu::compute::{Pool, PoolKind, Serial};

/// MXNet's loops (`src/operator/nn/pool.h`), over one plane of two axes.
#[allow(clippy::too_many_arguments)]
fn naive(
    kind: PoolKind,
    [height, width]: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    pad: [usize; 2],
    [out_height, out_width]: [usize; 2],
    x: &[f32],
    dy: &[f32],
) -> (Vec<Sum>, Vec<Sum>) {
    let mut y = vec![Sum::default(); out_height * out_width];
    let mut dx = vec![Sum::default(); height * width];
    for ph in 0..out_height {
        for pw in 0..out_width {
            let span = |p: usize, axis: usize, len: usize| {
                let start = (p * stride[axis]) as isize - pad[axis] as isize;
                let end = (start + kernel[axis] as isize).min((len + pad[axis]) as isize);
                let size = (end - start).max(0) as usize;
                (start.max(0) as usize, end.min(len as isize).max(0) as usize, size)
            };
            let (h0, h1, h_size) = span(ph, 0, height);
            let (w0, w1, w_size) = span(pw, 1, width);
            let out = ph * out_width + pw;
            let inside: Vec<usize> = (h0..h1).flat_map(|h| (w0..w1).map(move |w| h * width + w)).collect();
            let divisor = match kind {
                PoolKind::Average { count_include_pad: true } => h_size * w_size,
                PoolKind::Average { .. } => inside.len(),
                _ => 1,
            };
            if kind == PoolKind::Max {
                let mut best = inside.first().copied();
                for &i in &inside {
                    if best.is_some_and(|best| x[i] > x[best]) {
                        best = Some(i);
                    }
                }
                if let Some(best) = best {
                    y[out].add(f64::from(x[best]));
                    dx[best].add(f64::from(dy[out]));
                }
            } else {
                for &i in &inside {
                    y[out].add(f64::from(x[i]) / divisor as f64);
                    dx[i].add(f64::from(dy[out]) / divisor as f64);
                }
            }
        }
    }
    (y, dx)
}

fn check(kind: PoolKind, planes: usize, axes: [(usize, usize, usize, usize); 2], full: bool) {
    let (input, kernel) = (axes.map(|a| a.0), axes.map(|a| a.1));
    let (stride, pad) = (axes.map(|a| a.2), axes.map(|a| a.3));
    let pool = Pool::new(kind, planes, &input, &kernel, &stride, &pad, full).unwrap();
    let [_, out_height, out_width] = pool.output();
    let (x_len, y_len) = (input[0] * input[1], out_height * out_width);
    // Few different numbers, so that maxima are shared.
    let x: Vec<f32> = numbers(1, planes * x_len).iter().map(|x| (x * 3.0).round()).collect();
    let dy = numbers(2, planes * y_len);
    let (mut y, mut dx) = (Vec::new(), Vec::new());
    for (x, dy) in x.chunks(x_len).zip(dy.chunks(y_len)) {
        let (more_y, more_dx) = naive(kind, input, kernel, stride, pad, [out_height, out_width], x, dy);
        y.extend(more_y);
        dx.extend(more_dx);
    }
    let mut got = vec![f32::NAN; y.len()];
    pool.forward(&Threads, &x, &mut got).unwrap();
    assert_close(&got, &y);
    let mut got = vec![f32::NAN; dx.len()];
    pool.backward(&Threads, &x, &dy, &mut got).unwrap();
    assert_close(&got, &dx);
}

fn kinds() -> impl Strategy<Value = PoolKind> {
    prop_oneof![
        Just(PoolKind::Max),
        Just(PoolKind::Sum),
        any::<bool>().prop_map(|count_include_pad| PoolKind::Average { count_include_pad }),
    ]
}

fn axis() -> impl Strategy<Value = (usize, usize, usize, usize)> {
    (1..=4usize, 1..=3usize).prop_flat_map(|(k, s)| (0..=12usize, Just(k), Just(s), 0..k)).prop_map(
        |(more, k, s, p)| {
            let least = k.saturating_sub(2 * p).max(1);
            (least + more, k, s, p)
        },
    )
}

proptest! {
    #[test]
    fn windows(kind in kinds(), planes in 1..5usize, h in axis(), w in axis(), full in any::<bool>()) {
        check(kind, planes, [h, w], full);
    }

    #[test]
    fn pairs(planes in 1..5usize, h in 1..9usize, w in 1..30usize) {
        check(PoolKind::Max, planes, [(2 * h, 2, 2, 0), (2 * w, 2, 2, 0)], false);
    }

    #[test]
    fn global(kind in kinds(), planes in 1..5usize, h in 1..9usize, w in 1..9usize) {
        check(kind, planes, [(h, h, 1, 0), (w, w, 1, 0)], false);
    }
}

#[test]
fn many_planes() {
    check(PoolKind::Max, 200, [(24, 2, 2, 0), (24, 2, 2, 0)], false);
    check(PoolKind::Average { count_include_pad: true }, 200, [(13, 3, 2, 1), (13, 3, 2, 1)], true);
}

#[test]
fn lines_and_volumes() {
    let x = [3.0f32, 1.0, 4.0, 1.0, 5.0];
    let mut y = [0.0; 2];
    Pool::new(PoolKind::Max, 1, &[5], &[3], &[2], &[0], false).unwrap().forward(&Serial, &x, &mut y).unwrap();
    assert_eq!(y, [4.0, 5.0]);
    let volume: Vec<f32> = (0..8).map(|x| x as f32).collect();
    let mut mean = [0.0];
    let kind = PoolKind::Average { count_include_pad: false };
    Pool::global(kind, 1, &[2, 2, 2]).unwrap().forward(&Serial, &volume, &mut mean).unwrap();
    assert_eq!(mean, [3.5]);
    assert!(Pool::new(kind, 1, &[2, 2, 2, 2], &[1; 4], &[1; 4], &[0; 4], false).is_err());
}

#[test]
fn what_no_memory_could_hold_is_refused() {
    const HALF: usize = 1 << 31;
    let kind = PoolKind::Average { count_include_pad: true };
    for (planes, len, kernel, stride, pad) in [
        (1, 1, 2 * HALF, 1, HALF),
        (1, 1, usize::MAX, 1, usize::MAX - 1),
        (1, usize::MAX, 1, 1, 0),
        (usize::MAX, 4, 2, 2, 0),
        (1, 4, 2, usize::MAX, 0),
    ] {
        let made = Pool::new(kind, planes, &[len; 3], &[kernel; 3], &[stride; 3], &[pad; 3], true);
        assert!(made.is_err(), "{made:?}");
    }
}
