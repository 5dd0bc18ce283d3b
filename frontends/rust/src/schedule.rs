//! Learning rate schedules: the rate as a pure function of how many updates were made, so that a resumed run needs to
//! remember nothing but that number.

use varflow_ops::{Error, Result};

/// A learning rate schedule.
pub trait Schedule: Send + Sync {
    /// The rate of update number `num_update` (the first is 1), where `base_lr` is the optimizer's own.
    fn lr(&self, base_lr: f64, num_update: u64) -> f64;
}

/// Multiplies the rate by `factor` after every `step` updates, down to no less than `stop_factor_lr`: MXNet's
/// `FactorScheduler`.
#[derive(Clone, Copy, Debug)]
pub struct Factor {
    step: u64,
    factor: f64,
    stop_factor_lr: f64,
}

impl Factor {
    /// `stop_factor_lr` is 1e-8 unless set.
    ///
    /// # Errors
    /// When `step` is zero, or `factor` is not above 0 and at most 1.
    pub fn new(step: u64, factor: f64) -> Result<Self> {
        if step == 0 {
            return Err(Error::Param("the schedule's step is 0, wanted at least 1 update".to_string()));
        }
        check_factor(factor)?;
        Ok(Factor { step, factor, stop_factor_lr: 1e-8 })
    }

    /// Sets the rate below which the schedule does not go.
    #[must_use]
    pub fn stop_factor_lr(mut self, lr: f64) -> Self {
        self.stop_factor_lr = lr;
        self
    }
}

impl Schedule for Factor {
    fn lr(&self, base_lr: f64, num_update: u64) -> f64 {
        let times = num_update.saturating_sub(1) / self.step;
        decayed(base_lr, self.factor, times).max(self.stop_factor_lr.min(base_lr))
    }
}

/// Multiplies the rate by `factor` after each of some numbers of updates: MXNet's `MultiFactorScheduler`.
#[derive(Clone, Debug)]
pub struct MultiFactor {
    steps: Vec<u64>,
    factor: f64,
}

impl MultiFactor {
    /// # Errors
    /// When the steps do not grow from at least 1, or `factor` is not above 0 and at most 1.
    pub fn new(steps: Vec<u64>, factor: f64) -> Result<Self> {
        if steps.first() == Some(&0) || steps.windows(2).any(|w| w[0] >= w[1]) {
            return Err(Error::Param(format!("the schedule's steps are {steps:?}, wanted growing numbers from 1")));
        }
        check_factor(factor)?;
        Ok(MultiFactor { steps, factor })
    }
}

impl Schedule for MultiFactor {
    fn lr(&self, base_lr: f64, num_update: u64) -> f64 {
        let passed = self.steps.iter().filter(|s| num_update > **s).count();
        decayed(base_lr, self.factor, passed as u64)
    }
}

fn check_factor(factor: f64) -> Result<()> {
    if factor > 0.0 && factor <= 1.0 {
        return Ok(());
    }
    Err(Error::Param(format!("the schedule's factor is {factor}, wanted above 0 and at most 1")))
}

fn decayed(lr: f64, factor: f64, times: u64) -> f64 {
    lr * factor.powi(i32::try_from(times).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MXNet's own loop.
    fn mxnet_factor(base_lr: f64, step: u64, factor: f64, stop: f64, num_update: u64) -> f64 {
        let (mut lr, mut count) = (base_lr, 0);
        while num_update > count + step {
            count += step;
            lr *= factor;
            if lr < stop {
                lr = stop;
            }
        }
        lr
    }

    #[test]
    fn factor_is_mxnets() {
        for step in [1, 3, 10] {
            for stop in [1e-8, 0.02] {
                let schedule = Factor::new(step, 0.7).unwrap().stop_factor_lr(stop);
                for n in 1..100 {
                    let (found, wanted) = (schedule.lr(0.1, n), mxnet_factor(0.1, step, 0.7, stop, n));
                    assert!((found - wanted).abs() < 1e-12, "step {step} update {n}: {found} {wanted}");
                }
            }
        }
    }

    #[test]
    fn multi_factor_drops_after_each_step() {
        let schedule = MultiFactor::new(vec![2, 5], 0.1).unwrap();
        let rates: Vec<_> = (1..=6).map(|n| schedule.lr(1.0, n)).collect();
        assert_eq!(rates, [1.0, 1.0, 0.1, 0.1, 0.1, 0.1 * 0.1]);
    }

    #[test]
    fn bad_settings_are_told() {
        for (made, wanted) in [
            (Factor::new(0, 0.5).map(|_| ()), "step is 0"),
            (Factor::new(1, 1.5).map(|_| ()), "factor is 1.5"),
            (Factor::new(1, f64::NAN).map(|_| ()), "factor is NaN"),
            (MultiFactor::new(vec![3, 3], 0.5).map(|_| ()), "[3, 3]"),
            (MultiFactor::new(vec![0, 3], 0.5).map(|_| ()), "[0, 3]"),
        ] {
            let text = made.unwrap_err().to_string();
            assert!(text.contains(wanted), "{text}");
        }
    }
}
