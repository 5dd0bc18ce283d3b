//! The optimizer that the command line names.

use crate::args::{not_negative, setting};
use crate::failure::Failure;
use crate::source::attrs;
use clap::Args;
use varflow::ops::Registry;
use varflow::optimizer::Rule;

#[derive(Args)]
pub(crate) struct OptimizerArgs {
    /// Optimizer: sgd or any other update rule there is.
    #[arg(long, value_name = "NAME", default_value = "sgd")]
    optimizer: String,
    /// A parameter of --optimizer; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    opt_param: Vec<(String, String)>,
    /// Momentum of --optimizer sgd, by default 0.7.
    #[arg(long, visible_alias = "momentum", value_parser = not_negative)]
    mom: Option<f64>,
}

impl OptimizerArgs {
    /// The optimizer of this learning rate. `sgd` stands for two update rules: that with momentum if there is any.
    pub(crate) fn rule(&self, registry: &Registry, lr: f64) -> Result<Rule, Failure> {
        let mut settings = attrs(&self.opt_param)?;
        let mut name = &self.optimizer[..];
        match (name, self.mom) {
            ("sgd", mom) => {
                let mom = mom.unwrap_or(0.7);
                if mom != 0.0 {
                    name = "sgd_mom";
                    settings.entry("momentum".to_string()).or_insert_with(|| mom.to_string());
                }
            }
            (_, Some(_)) => {
                return Err(Failure::Usage(format!(
                    "--mom is the momentum of --optimizer sgd: wanted --opt-param for a parameter of {name}"
                )));
            }
            (_, None) => {}
        }
        Rule::new(registry, name, lr, &settings).map_err(|e| Failure::Usage(e.to_string()))
    }
}
