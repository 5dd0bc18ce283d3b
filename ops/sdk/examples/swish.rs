//! An activation function with its gradient, as a plug-in.
#![forbid(unsafe_code)]

use varflow_sdk::prelude::*;

/// x · σ(βx)
struct Swish {
    beta: f64,
}

impl Operator for Swish {
    const NAME: &'static str = "Swish";
    const DOC: &'static str = "output = data · sigmoid(beta · data), elementwise (Ramachandran et al., 2017).";
    const IN_PLACE: &'static [(usize, usize)] = &[(0, 0)];
    const GRADIENT: Gradient = Gradient::kernel().inputs(&[0]).in_place(&[(0, 0)]);

    fn params() -> Vec<Param> {
        vec![Param::float("beta", "Slope of the sigmoid.").default(1.0)]
    }

    fn new(params: &Params) -> Result<Self> {
        Ok(Swish { beta: params.float("beta") })
    }

    fn forward<T: Float>(&self, ctx: &Context) -> Result<()> {
        let beta = T::from_f64(self.beta);
        ctx.output::<T>(0)?.map(&ctx.input::<T>(0)?, |x| x / (T::ONE + (-beta * x).exp()))
    }

    fn backward<T: Float>(&self, ctx: &Context) -> Result<()> {
        let (grad, data, beta) = (ctx.input::<T>(0)?, ctx.input::<T>(1)?, T::from_f64(self.beta));
        ctx.output::<T>(0)?.map2(&grad, &data, |g, x| {
            let s = T::ONE / (T::ONE + (-beta * x).exp());
            g * s * (T::ONE + beta * x * (T::ONE - s))
        })
    }
}

varflow_sdk::plugin! { name: "swish", operators: [Swish] }
