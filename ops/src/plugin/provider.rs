//! What a plug-in brings, as a provider.

use super::iterator::PluginIteratorKind;
use super::kernel::factory;
use super::library::{Library, Source};
use super::operator::PluginOperator;
use super::reduction::PluginReduction;
use super::tables::KernelTable;
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
            add(&mut provider, source, operator.clone(), &what, &table.kernels);
            if let (Some(backward), Some(table)) = (operator.backward(), &table.backward) {
                add(&mut provider, source, Arc::new(backward), &format!("the gradient of {what}"), &table.kernels);
            }
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

/// Adds an operator and its kernels.
fn add(provider: &mut Provider, source: &Arc<Source>, op: Arc<dyn Operator>, what: &str, kernels: &[KernelTable]) {
    for kernel in kernels {
        let factory = factory(source.clone(), op.clone(), what.to_string(), kernel.clone());
        provider.kernels.push((op.name().to_string(), kernel.device, factory));
    }
    provider.operators.push(op);
}
