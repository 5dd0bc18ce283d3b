//! What a plug-in brings, as a provider.

use super::iterator::PluginIteratorKind;
use super::kernel::factory;
use super::library::Library;
use super::operator::PluginOperator;
use super::reduction::PluginReduction;
use crate::operator::Operator;
use crate::registry::Provider;
use std::sync::Arc;

impl Library {
    /// All that the plug-in brings, as a provider of its name and preference.
    ///
    /// A gradient that is a kernel becomes an operator of its own, `_backward_<name>`.
    #[must_use]
    pub fn provider(&self) -> Provider {
        let source = self.source();
        let mut provider = Provider { preference: self.preference(), ..Provider::new(self.name()) };
        for table in self.operators() {
            let operator = Arc::new(PluginOperator::new(source.clone(), table.clone()));
            let what = format!("operator {}", table.name);
            let kernels = table.kernels.iter();
            provider.kernels.extend(
                kernels.map(|k| (table.name.clone(), k.device, factory(source.clone(), what.clone(), k.clone()))),
            );
            if let (Some(backward), Some(table)) = (operator.backward(), &table.backward) {
                let what = format!("the gradient of {what}");
                let (name, kernels) = (backward.name().to_string(), table.kernels.iter());
                provider.kernels.extend(
                    kernels.map(|k| (name.clone(), k.device, factory(source.clone(), what.clone(), k.clone()))),
                );
                provider.operators.push(Arc::new(backward));
            }
            provider.operators.push(operator);
        }
        for table in self.iterators() {
            provider.iterators.push(Arc::new(PluginIteratorKind::new(source.clone(), table.clone())));
        }
        for table in self.reductions() {
            provider.reductions.push(Arc::new(PluginReduction::new(source.clone(), table.clone())));
        }
        provider.update_rules.extend(self.update_rules().iter().cloned().map(Arc::new));
        provider
    }
}
