//! Checks of an optimizer's update rule: its operator is there and is what an update is made with.

use super::child::{Check, Finding, Passed, Teller};
use super::protocol::Title;
use std::sync::Arc;
use varflow::ops::{Attrs, Registry, UpdateRule};
use varflow::optimizer::Rule;

/// The checks of an update rule.
pub(crate) fn checks<'a>(registry: &Arc<Registry>, rule: &UpdateRule) -> Vec<Check<'a>> {
    let (registry, rule) = (registry.clone(), rule.clone());
    let title = Title { subject: format!("update rule {}", rule.name), check: "operator".to_string() };
    let body = move |_: &mut Teller| operator(&registry, &rule);
    vec![Check { title, needs: &[], body: Box::new(body) }]
}

fn operator(registry: &Registry, rule: &UpdateRule) -> Finding {
    if rule.doc.trim().is_empty() {
        return Err("it has no doc, wanted what it computes".to_string());
    }
    let op = registry.operator(&rule.op).map_err(|e| e.to_string())?;
    Rule::new(registry, &rule.name, 0.1, &Attrs::new()).map_err(|e| e.to_string())?;
    let own = op.schema().params().iter().filter(|p| !["lr", "wd", "rescale_grad"].contains(&p.name.as_str())).count();
    Ok(Passed::Ok(format!("{} updates the weight and {} states, with {own} settings", rule.op, rule.states.len())))
}
