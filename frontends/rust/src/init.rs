//! Initialisers: the first values of parameters. The numbers depend on the seed and the parameter's name only, not on
//! what else is initialised.

mod attr;
mod structured;

pub use attr::from_attr;
pub use structured::{Bilinear, LstmBias, Orthogonal};

use varflow_ops::{Error, Philox, Result, Shape, name_hash};

/// What is to be initialised.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The parameter's name, which names its stream of random numbers.
    pub name: &'a str,
    /// Its shape.
    pub shape: &'a Shape,
    /// The seed of the program's random numbers.
    pub seed: u64,
}

impl Target<'_> {
    fn stream(&self) -> Philox {
        Philox::new(self.seed, name_hash(self.name), 0)
    }

    fn uniform(&self, low: f64, high: f64) -> Vec<f32> {
        let stream = self.stream();
        let pairs = (0..self.shape.len().div_ceil(2) as u64).flat_map(|i| stream.uniform2(i));
        pairs.map(|u| (low + (high - low) * u) as f32).take(self.shape.len()).collect()
    }

    fn normal(&self, sigma: f64) -> Vec<f32> {
        let stream = self.stream();
        let pairs = (0..self.shape.len().div_ceil(2) as u64).flat_map(|i| stream.normal2(i));
        pairs.map(|z| (sigma * z) as f32).take(self.shape.len()).collect()
    }
}

/// Makes the first values of weights. What is no weight (biases, norms, running statistics) starts as
/// [`default_of_role`] says.
pub trait Initializer: Send + Sync {
    /// The values, row-major.
    ///
    /// # Errors
    /// When the shape does not suit.
    fn values(&self, target: Target<'_>) -> Result<Vec<f32>>;
}

/// The same number everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Constant(pub f32);

impl Initializer for Constant {
    fn values(&self, target: Target<'_>) -> Result<Vec<f32>> {
        Ok(vec![self.0; target.shape.len()])
    }
}

/// Uniform between minus and plus this scale.
#[derive(Clone, Copy, Debug)]
pub struct Uniform(pub f64);

impl Initializer for Uniform {
    fn values(&self, target: Target<'_>) -> Result<Vec<f32>> {
        Ok(target.uniform(-self.0, self.0))
    }
}

/// Normal of mean zero and this standard deviation.
#[derive(Clone, Copy, Debug)]
pub struct Normal(pub f64);

impl Initializer for Normal {
    fn values(&self, target: Target<'_>) -> Result<Vec<f32>> {
        Ok(target.normal(self.0))
    }
}

/// Which fan [`Xavier`] divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fan {
    /// Inputs of one output.
    In,
    /// Outputs that one input reaches.
    Out,
    /// Their mean.
    #[default]
    Avg,
}

/// Of scale `s = √(magnitude / fan)`: uniform in `±s`, or normal of standard deviation `s` (Glorot and Bengio 2010; He et
/// al. 2015 with [`Fan::In`] and magnitude 2). For a weight of shape `(out, in, …)` the fans are `in` and `out`
/// times the product of the rest. As MXNet's `Xavier`.
#[derive(Clone, Copy, Debug)]
pub struct Xavier {
    gaussian: bool,
    fan: Fan,
    magnitude: f64,
}

impl Default for Xavier {
    /// Uniform, mean fan, magnitude 3.
    fn default() -> Self {
        Xavier { gaussian: false, fan: Fan::Avg, magnitude: 3.0 }
    }
}

impl Xavier {
    /// Uniform, mean fan, of this magnitude.
    #[must_use]
    pub fn magnitude(magnitude: f64) -> Self {
        Xavier { magnitude, ..Xavier::default() }
    }

    /// Draws from the normal distribution.
    #[must_use]
    pub fn gaussian(mut self) -> Self {
        self.gaussian = true;
        self
    }

    /// For layers before a PReLU of this slope: normal, of magnitude `2 / (1 + slope²)` (He et al. 2015). As MXNet's
    /// `MSRAPrelu`, whose slope is 0.25 and fan the mean by default.
    #[must_use]
    pub fn msra_prelu(fan: Fan, slope: f64) -> Self {
        Xavier { gaussian: true, fan, magnitude: 2.0 / (1.0 + slope * slope) }
    }

    /// Sets the fan.
    #[must_use]
    pub fn fan(mut self, fan: Fan) -> Self {
        self.fan = fan;
        self
    }
}

impl Initializer for Xavier {
    fn values(&self, target: Target<'_>) -> Result<Vec<f32>> {
        let dims = target.shape.dims();
        let [out, inner, rest @ ..] = dims else {
            let text =
                format!("Xavier cannot initialise {} of shape {}: wanted two axes or more", target.name, target.shape);
            return Err(Error::Shape(text));
        };
        let area = rest.iter().product::<usize>() as f64;
        let (fan_in, fan_out) = (*inner as f64 * area, *out as f64 * area);
        let fan = match self.fan {
            Fan::In => fan_in,
            Fan::Out => fan_out,
            Fan::Avg => (fan_in + fan_out) / 2.0,
        };
        let scale = (self.magnitude / fan).sqrt();
        Ok(if self.gaussian { target.normal(scale) } else { target.uniform(-scale, scale) })
    }
}

/// The first value of a parameter that its operator uses in this role, the name of the operator's input: zero for biases,
/// shifts, running means and states, one for scales and running variances. `None` for weights, whose values an
/// [`Initializer`] makes.
#[must_use]
pub fn default_of_role(role: &str) -> Option<Constant> {
    match role {
        "bias" | "beta" | "moving_mean" | "running_mean" | "state" | "state_cell" => Some(Constant(0.0)),
        "gamma" | "moving_var" | "running_var" => Some(Constant(1.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(init: &dyn Initializer, name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
        init.values(Target { name, shape: &Shape::new(shape), seed }).unwrap()
    }

    fn moments(values: &[f32]) -> (f64, f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let var = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
        let most = values.iter().fold(0.0_f64, |m, v| m.max(f64::from(v.abs())));
        (mean, var.sqrt(), most)
    }

    #[test]
    fn xavier_scales_by_its_fans() {
        // A convolution's weight: fan in 20 · 25, fan out 50 · 25.
        let shape = [50, 20, 5, 5];
        for (fan, size) in [(Fan::In, 500.0), (Fan::Out, 1250.0), (Fan::Avg, 875.0)] {
            let scale = (2.0_f64 / size).sqrt();
            let xavier = Xavier::magnitude(2.0).fan(fan);
            let (mean, sigma, most) = moments(&values(&xavier, "w", &shape, 1));
            assert!(
                mean.abs() < scale * 0.02 && most <= scale && most > 0.99 * scale,
                "{fan:?}: {mean} {most} {scale}"
            );
            assert!((sigma - scale / 3.0_f64.sqrt()).abs() < scale * 0.02);
            let (mean, sigma, _) = moments(&values(&xavier.gaussian(), "w", &shape, 1));
            assert!(mean.abs() < scale * 0.03 && (sigma - scale).abs() < scale * 0.03, "{fan:?}: {sigma} {scale}");
        }
    }

    #[test]
    fn streams_are_named_by_seed_and_parameter() {
        let make = |name, seed| values(&Uniform(1.0), name, &[7], seed);
        assert_eq!(make("a", 1), make("a", 1));
        assert_ne!(make("a", 1), make("b", 1));
        assert_ne!(make("a", 1), make("a", 2));
        assert_eq!(values(&Uniform(1.0), "a", &[3], 1), make("a", 1)[..3]);
    }

    #[test]
    fn xavier_refuses_a_vector_by_name() {
        let error =
            Xavier::default().values(Target { name: "fc1_bias", shape: &Shape::new(&[4]), seed: 0 }).unwrap_err();
        assert!(error.to_string().contains("fc1_bias of shape (4,)"), "{error}");
    }
}
