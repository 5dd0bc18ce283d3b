//! An optimizer as a plug-in: an operator that updates a weight, and the rule that makes it known.
#![forbid(unsafe_code)]

use varflow_sdk::prelude::*;

/// Lion (Chen et al., "Symbolic discovery of optimization algorithms", 2023).
struct LionUpdate {
    lr: f64,
    wd: f64,
    rescale_grad: f64,
    beta1: f64,
    beta2: f64,
}

impl Operator for LionUpdate {
    const NAME: &'static str = "lion_update";
    const DOC: &'static str = "One step of Lion. With g = rescale_grad · grad: weight -= lr · (sign(beta1 · mom + (1 - beta1) · g) + wd · weight), then mom = beta2 · mom + (1 - beta2) · g.";
    const INPUTS: &'static [&'static str] = &["weight", "grad", "mom"];
    const OUTPUTS: &'static [&'static str] = &[];
    const MUTATED: &'static [usize] = &[0, 2];

    fn params() -> Vec<Param> {
        vec![
            Param::float("lr", "Learning rate.").default(1e-4).range(0.0..=f64::MAX),
            Param::float("wd", "Weight decay, decoupled from the gradient.").default(0.0).range(0.0..=f64::MAX),
            Param::float("rescale_grad", "Factor of the gradient.").default(1.0),
            Param::float("beta1", "Weight of the momentum in the step.").default(0.9).range(0.0..=1.0),
            Param::float("beta2", "Decay of the momentum.").default(0.99).range(0.0..=1.0),
        ]
    }

    fn new(p: &Params) -> Result<Self> {
        let (lr, wd, rescale_grad) = (p.float("lr"), p.float("wd"), p.float("rescale_grad"));
        Ok(LionUpdate { lr, wd, rescale_grad, beta1: p.float("beta1"), beta2: p.float("beta2") })
    }

    fn forward<T: Float>(&self, ctx: &Context) -> Result<()> {
        let (mut weight, grad, mut mom) = (ctx.mutated::<T>(0)?, ctx.input::<T>(1)?, ctx.mutated::<T>(2)?);
        let [lr, wd, scale, b1, b2] =
            [self.lr, self.wd, self.rescale_grad, self.beta1, self.beta2].map(|v| T::from_f64(v));
        weight.update2(&grad, &mom, |w, g, m| w - lr * (sign(b1 * m + (T::ONE - b1) * scale * g) + wd * w))?;
        mom.update(&grad, |m, g| b2 * m + (T::ONE - b2) * scale * g)
    }
}

/// -1, 0 or 1.
fn sign<T: Float>(x: T) -> T {
    if x > T::ZERO {
        T::ONE
    } else if x < T::ZERO {
        -T::ONE
    } else {
        x
    }
}

const LION: UpdateRule = UpdateRule {
    name: "lion",
    doc: "Lion: the sign of an interpolated momentum (Chen et al., 2023). Wants a learning rate 3 to 10 times less than Adam's.",
    op: "lion_update",
    states: &["mom"],
};

varflow_sdk::plugin! { name: "lion", operators: [LionUpdate], update_rules: [LION] }
