//! Random numbers: each follows from seed, node, step and its place, and they are distributed as is said.

use super::typed::{Numbers, run_at};
use super::{engine, workers};
use varflow_engine::Engine;
use varflow_ops::{Element, Philox, Run, name_hash};

const NO_INPUTS: &[Numbers<f32>] = &[];
const RUN: Run = Run { seed: 11, step: 5, priority: 0 };

fn draw<T: Element>(engine: &Engine, op: &str, n: usize, given: &[(&str, &str)]) -> Vec<T> {
    let shape = format!("({n},)");
    let given = [&[("shape", &*shape), ("dtype", T::DTYPE.name())], given].concat();
    run_at(engine, RUN, op, &given, NO_INPUTS).1
}

/// The stream of a node that `invoke` names after the operator.
fn stream(op: &str) -> Philox {
    Philox::new(RUN.seed, name_hash(op), RUN.step)
}

#[test]
fn uniform_numbers_are_those_of_the_stream() {
    let s = stream("_random_uniform");
    // Past a whole number of blocks, and past what one worker takes.
    let n = 20_003;
    let given = [("low", "-3"), ("high", "5")];
    for (i, x) in draw::<f32>(engine(), "_random_uniform", n, &given).into_iter().enumerate() {
        let u = s.uniform4(i as u64 / 4)[i % 4];
        assert!((x - (8.0 * u - 3.0)).abs() <= 1e-6, "[{i}]: {x}");
    }
    for (i, x) in draw::<f64>(engine(), "_random_uniform", n, &given).into_iter().enumerate() {
        let u = s.uniform2(i as u64 / 2)[i % 2];
        assert!((x - (8.0 * u - 3.0)).abs() <= 1e-14, "[{i}]: {x}");
    }
}

#[test]
fn normal_numbers_are_those_of_the_stream() {
    let s = stream("_random_normal");
    let given = [("loc", "2"), ("scale", "0.5")];
    let single = draw::<f32>(engine(), "_random_normal", 10_001, &given);
    for (i, x) in draw::<f64>(engine(), "_random_normal", 10_001, &given).into_iter().enumerate() {
        let z = s.normal2(i as u64 / 2)[i % 2];
        assert!((x - (2.0 + 0.5 * z)).abs() <= 1e-14, "[{i}]: {x}");
        assert_eq!(single[i], x as f32, "[{i}]");
    }
}

#[test]
fn as_many_workers_as_may_be_draw_the_same() {
    for op in ["_random_uniform", "_random_normal"] {
        let one = draw::<f32>(&workers(0), op, 50_000, &[]);
        for n in 1..4 {
            assert_eq!(one, draw::<f32>(&workers(n), op, 50_000, &[]), "{op} on {n} workers");
        }
        // More numbers go on where fewer end.
        assert_eq!(one[..777], draw::<f32>(engine(), op, 777, &[]));
    }
}

/// Bounds so close that rounding leads to the upper one, which is not included.
#[test]
fn the_upper_bound_is_left_out() {
    let (low, high) = (1.0_f32, 1.0_f32.next_up().next_up());
    let given = [("low", &*low.to_string()), ("high", &*high.to_string())];
    let all = draw::<f32>(engine(), "_random_uniform", 4000, &given);
    assert!(all.iter().all(|x| (low..high).contains(x)));
    assert!(all.contains(&low) && all.contains(&low.next_up()));
    let all = draw::<f64>(engine(), "_random_uniform", 4000, &[("low", "1"), ("high", "1.0000000000000002")]);
    assert!(all.iter().all(|x| *x == 1.0));
}

#[test]
fn bounds_may_be_equal_or_far_apart() {
    assert_eq!(draw::<f32>(engine(), "_random_uniform", 100, &[("low", "0.1"), ("high", "0.1")]), [0.1; 100]);
    let most = f64::MAX.to_string();
    let least = format!("-{most}");
    let all = draw::<f64>(engine(), "_random_uniform", 1000, &[("low", &least), ("high", &most)]);
    assert!(all.iter().all(|x| x.is_finite()));
    assert!(all.iter().any(|x| *x > 1e308) && all.iter().any(|x| *x < -1e308));
}

/// The mean and the variance of 10⁵ numbers, within five standard errors; and the share of normal numbers within one
/// standard deviation.
#[test]
fn moments() {
    let n = 100_000;
    let moments = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / n as f64;
        (mean, x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64)
    };
    let root = (n as f64).sqrt();
    let x = draw::<f64>(engine(), "_random_uniform", n, &[]);
    let (mean, variance) = moments(&x);
    assert!((mean - 0.5).abs() < 5.0 * (1.0_f64 / 12.0).sqrt() / root, "{mean}");
    assert!((variance - 1.0 / 12.0).abs() < 5.0 * (1.0_f64 / 180.0).sqrt() / root, "{variance}");
    let x = draw::<f64>(engine(), "_random_normal", n, &[]);
    let (mean, variance) = moments(&x);
    assert!(mean.abs() < 5.0 / root, "{mean}");
    assert!((variance - 1.0).abs() < 5.0 * 2.0_f64.sqrt() / root, "{variance}");
    let share = x.iter().filter(|x| x.abs() < 1.0).count() as f64 / n as f64;
    assert!((share - 0.682_689).abs() < 5.0 * 0.4654 / root, "{share}");
}
