//! Gradients against central differences, in double precision.

use super::usage::{Array, How, Use};
use super::{examples, graph, workers};

/// Half the distance of the two points of a difference.
const STEP: f64 = 1e-5;

/// `Σ out_grad · output`.
fn inner(usage: &Use, how: &How<'_>, out_grad: &Array) -> f64 {
    let output = usage.run(how).unwrap().output();
    output.values.iter().zip(&out_grad.values).map(|(y, g)| y * g).sum()
}

/// Checks the gradients of all floating-point inputs that have one.
#[track_caller]
pub fn check(usage: &Use) {
    let Some(out_grad) = examples::out_grad(usage) else { return };
    let grads = graph::backward(usage, Some(out_grad.clone())).unwrap().grads;
    let engine = workers(0);
    let how = How::on(&engine);
    assert_eq!(grads.len(), usage.inputs.len(), "{usage:?}");
    for (i, grad) in grads.iter().enumerate() {
        let Some(grad) = grad else { continue };
        assert_eq!(grad.desc, usage.inputs[i].desc, "{usage:?}");
        for at in 0..grad.values.len() {
            let moved = |by: f64| {
                let mut moved = usage.clone();
                moved.inputs[i].values[at] += by;
                inner(&moved, &how, &out_grad)
            };
            let wanted = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            let got = grad.values[at];
            let bound = 1e-6 * (1.0 + wanted.abs());
            assert!((got - wanted).abs() <= bound, "{usage:?}: gradient of input {i}[{at}] is {got}, wanted {wanted}");
        }
    }
}

/// The gradient passes that stop on purpose, or are that of a loss: see `softmax`.
const OTHERWISE: [&str; 2] = ["BlockGrad", "SoftmaxOutput"];

#[test]
fn gradients_are_central_differences() {
    let uses = examples::forward();
    let checked: Vec<_> = uses
        .iter()
        .filter(|u| examples::has_gradient(u) && !OTHERWISE.contains(&u.op.name()) && !u.inputs.is_empty())
        .collect();
    assert!(checked.len() > 60);
    checked.into_iter().for_each(check);
}
