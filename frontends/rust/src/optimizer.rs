//! Optimizers: which operator updates a weight, with which states and parameters.

mod rule;

use crate::schedule::Schedule;
pub use rule::Rule;
use std::sync::Arc;
use varflow_ops::{Attrs, Error, Result};

/// An optimizer describes its update as an operator. The operator's inputs are the weight, its gradient and the states;
/// it changes the weight and the states in place and has no outputs. The module binds it once for each parameter, and
/// anew when the rates change; before each update if the operator has a parameter `num_update`, which is then set.
pub trait Optimizer: Send + Sync {
    /// The operator.
    fn operator(&self) -> &str;

    /// The names of the states kept for each weight: of its shape, zero at first.
    fn states(&self) -> Vec<String>;

    /// The learning rate and weight decay of update number `num_update` (the first is 1), before a weight's own
    /// multipliers.
    fn rates(&self, num_update: u64) -> Rates;

    /// The operator's parameters for one weight. Gradients are sums over `batch_size` samples.
    fn attrs(&self, rates: Rates, batch_size: usize) -> Attrs;
}

/// Learning rate and weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Learning rate.
    pub lr: f64,
    /// Weight decay: the gradient of `wd / 2 · |w|²` is added to the loss's.
    pub wd: f64,
}

/// Stochastic gradient descent, with momentum and weight decay if asked for: the operators `sgd_update` and
/// `sgd_mom_update`.
#[derive(Clone)]
pub struct Sgd {
    lr: f64,
    momentum: f64,
    wd: f64,
    clip_gradient: Option<f64>,
    rescale_grad: Option<f64>,
    schedule: Option<Arc<dyn Schedule>>,
}

impl Sgd {
    /// Of this learning rate, without momentum or weight decay.
    #[must_use]
    pub fn new(lr: f64) -> Self {
        Sgd { lr, momentum: 0.0, wd: 0.0, clip_gradient: None, rescale_grad: None, schedule: None }
    }

    /// Sets the momentum.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Sets the weight decay.
    #[must_use]
    pub fn wd(mut self, wd: f64) -> Self {
        self.wd = wd;
        self
    }

    /// Limits each element of the rescaled gradient to `-limit..=limit`.
    #[must_use]
    pub fn clip_gradient(mut self, limit: f64) -> Self {
        self.clip_gradient = Some(limit);
        self
    }

    /// Sets the factor of the gradient; one over the batch size unless set.
    #[must_use]
    pub fn rescale_grad(mut self, factor: f64) -> Self {
        self.rescale_grad = Some(factor);
        self
    }

    /// Sets the schedule of the learning rate; constant unless set.
    #[must_use]
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedule = Some(Arc::new(schedule));
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// A value that is not finite or negative: which, and what was wanted.
    pub fn check(&self) -> Result<()> {
        check_not_negative(&[("learning rate", self.lr), ("momentum", self.momentum), ("weight decay", self.wd)])
    }
}

fn check_not_negative(values: &[(&str, f64)]) -> Result<()> {
    match values.iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
        Some((what, v)) => Err(Error::Param(format!("the {what} is {v}, wanted a finite number of at least 0"))),
        None => Ok(()),
    }
}

impl Optimizer for Sgd {
    fn operator(&self) -> &str {
        if self.momentum == 0.0 { "sgd_update" } else { "sgd_mom_update" }
    }

    fn states(&self) -> Vec<String> {
        if self.momentum == 0.0 { Vec::new() } else { vec!["mom".to_string()] }
    }

    fn rates(&self, num_update: u64) -> Rates {
        let lr = self.schedule.as_ref().map_or(self.lr, |s| s.lr(self.lr, num_update));
        Rates { lr, wd: self.wd }
    }

    fn attrs(&self, rates: Rates, batch_size: usize) -> Attrs {
        let rescale = self.rescale_grad.unwrap_or(1.0 / batch_size.max(1) as f64);
        let mut attrs = Attrs::new();
        let mut set = |name: &str, value: f64| attrs.insert(name.to_string(), value.to_string());
        set("lr", rates.lr);
        set("wd", rates.wd);
        set("rescale_grad", rescale);
        if self.momentum != 0.0 {
            set("momentum", self.momentum);
        }
        if let Some(limit) = self.clip_gradient {
            set("clip_gradient", limit);
        }
        attrs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Factor;

    #[test]
    fn momentum_chooses_the_operator() {
        assert_eq!((Sgd::new(0.1).operator(), Sgd::new(0.1).states().len()), ("sgd_update", 0));
        let heavy = Sgd::new(0.1).momentum(0.9);
        assert_eq!((heavy.operator(), heavy.states()), ("sgd_mom_update", vec!["mom".to_string()]));
    }

    #[test]
    fn attributes_say_what_was_set() {
        let sgd = Sgd::new(0.5).momentum(0.9).wd(1e-4).clip_gradient(2.0);
        let attrs = sgd.attrs(sgd.rates(1), 64);
        let wanted = [
            ("clip_gradient", "2"),
            ("lr", "0.5"),
            ("momentum", "0.9"),
            ("rescale_grad", "0.015625"),
            ("wd", "0.0001"),
        ];
        let found: Vec<_> = attrs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn the_schedule_sets_the_rate() {
        let sgd = Sgd::new(0.8).schedule(Factor::new(2, 0.5).unwrap());
        let rates: Vec<_> = (1..=5).map(|n| sgd.rates(n).lr).collect();
        assert_eq!(rates, [0.8, 0.8, 0.4, 0.4, 0.2]);
    }

    #[test]
    fn bad_rates_are_told() {
        let text = Sgd::new(f64::NAN).check().unwrap_err().to_string();
        assert!(text.contains("learning rate is NaN"), "{text}");
        assert!(Sgd::new(0.1).wd(-1.0).check().is_err());
    }
}
