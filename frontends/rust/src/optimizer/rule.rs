//! Optimizers found by name.

use super::{Optimizer, Rates, check_not_negative};
use crate::schedule::Schedule;
use std::sync::Arc;
use varflow_ops::{Attrs, Error, Kind, Operator, Params, Registry, Result, UpdateRule};

/// The parameters that no one but the training loop sets.
const SET_BY_TRAINING: [&str; 3] = ["lr", "wd", "num_update"];

/// An optimizer made of an [`UpdateRule`] that a provider or plug-in brought.
///
/// ```
/// use varflow::optimizer::{Optimizer, Rule};
/// use varflow::ops::Attrs;
/// let registry = varflow::registry()?;
/// let settings = Attrs::from([("momentum".to_string(), "0.9".to_string())]);
/// let rule = Rule::new(&registry, "sgd_mom", 0.1, &settings)?.wd(1e-4);
/// assert_eq!(rule.operator(), "sgd_mom_update");
/// # Ok::<(), varflow::Error>(())
/// ```
#[derive(Clone)]
pub struct Rule {
    rule: Arc<UpdateRule>,
    lr: f64,
    wd: f64,
    /// The settings; `rescale_grad` may be among them.
    settings: Attrs,
    schedule: Option<Arc<dyn Schedule>>,
}

impl Rule {
    /// The update rule of this name with this learning rate, without weight decay. The settings are parameters of its
    /// operator, as texts; without `rescale_grad` among them, gradients are divided by the batch size.
    ///
    /// # Errors
    /// No rule of this name: with those that there are. A learning rate that is negative or not finite, a setting that the
    /// operator does not have or accept, an operator that is not as [`UpdateRule`] says.
    pub fn new(registry: &Registry, name: &str, lr: f64, settings: &Attrs) -> Result<Rule> {
        let rule = registry.update_rule(name)?.clone();
        let place = |e: Error| e.at(format!("optimizer \"{name}\""));
        let operator = registry.operator(&rule.op).map_err(place)?;
        check_rate_params(&**operator).map_err(place)?;
        check_names(&**operator, settings).map_err(place)?;
        let made = Rule { rule, lr, wd: 0.0, settings: settings.clone(), schedule: None };
        made.check().map_err(place)?;
        let parsed = operator.schema().parse(&made.attrs(made.rates(1), 1));
        let params = parsed.and_then(|p| operator.check(&p).map(|()| p)).map_err(place)?;
        check_tensors(&**operator, &params, &made.rule).map_err(place)?;
        Ok(made)
    }

    /// Sets the weight decay.
    #[must_use]
    pub fn wd(mut self, wd: f64) -> Self {
        self.wd = wd;
        self
    }

    /// Sets the factor of the gradient; one over the batch size unless set.
    #[must_use]
    pub fn rescale_grad(mut self, factor: f64) -> Self {
        self.settings.insert("rescale_grad".to_string(), factor.to_string());
        self
    }

    /// Sets the schedule of the learning rate; constant unless set.
    #[must_use]
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedule = Some(Arc::new(schedule));
        self
    }

    /// Checks the rates.
    ///
    /// # Errors
    /// A value that is not finite or negative: which, and what was wanted.
    pub fn check(&self) -> Result<()> {
        check_not_negative(&[("learning rate", self.lr), ("weight decay", self.wd)])
    }
}

impl Optimizer for Rule {
    fn operator(&self) -> &str {
        &self.rule.op
    }

    fn states(&self) -> Vec<String> {
        self.rule.states.clone()
    }

    fn rates(&self, num_update: u64) -> Rates {
        let lr = self.schedule.as_ref().map_or(self.lr, |s| s.lr(self.lr, num_update));
        Rates { lr, wd: self.wd }
    }

    fn attrs(&self, rates: Rates, batch_size: usize) -> Attrs {
        let rescale = 1.0 / batch_size.max(1) as f64;
        let rates = [("lr", rates.lr), ("wd", rates.wd), ("rescale_grad", rescale)];
        let mut attrs: Attrs = rates.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        attrs.extend(self.settings.clone());
        attrs
    }
}

fn check_rate_params(operator: &dyn Operator) -> Result<()> {
    let is_float = |name: &str| {
        let mut params = operator.schema().params().iter();
        params.any(|p| p.name == name && matches!(p.kind, Kind::Float(..)))
    };
    match ["lr", "wd", "rescale_grad"].into_iter().find(|name| !is_float(name)) {
        Some(name) => {
            let op = operator.name();
            Err(Error::Contract(format!("its operator {op} has no parameter {name}, wanted one that is a number")))
        }
        None => Ok(()),
    }
}

fn check_names(operator: &dyn Operator, settings: &Attrs) -> Result<()> {
    let schema = operator.schema();
    let own: Vec<_> = schema.params().iter().map(|p| &p.name[..]).filter(|p| !SET_BY_TRAINING.contains(p)).collect();
    match settings.keys().find(|name| !own.contains(&&name[..])) {
        Some(name) if SET_BY_TRAINING.contains(&&name[..]) => {
            let text = format!("parameter \"{name}\" is set by training: wanted one of {}", own.join(", "));
            Err(Error::Param(text))
        }
        Some(name) => Err(Error::Param(format!("unknown parameter \"{name}\": wanted one of {}", own.join(", ")))),
        None => Ok(()),
    }
}

/// Checks that the operator takes weight, gradient and states, changes all but the gradient, and gives nothing.
fn check_tensors(operator: &dyn Operator, params: &Params, rule: &UpdateRule) -> Result<()> {
    let (op, states) = (operator.name(), rule.states.join(", "));
    let refuse = |why: String| Err(Error::Contract(format!("its operator {op} {why}")));
    let mut inputs = operator.inputs(params);
    inputs.extend(operator.auxiliaries(params));
    if inputs.len() != 2 + rule.states.len() {
        let wanted = format!("{}: weight, gradient and the states ({states})", 2 + rule.states.len());
        return refuse(format!("has {} inputs ({}), wanted {wanted}", inputs.len(), inputs.join(", ")));
    }
    let outputs = operator.outputs(params);
    if !outputs.is_empty() {
        return refuse(format!("has outputs ({}), wanted none: it changes the weight", outputs.join(", ")));
    }
    let mutated = operator.mutates(params);
    match (0..inputs.len()).find(|i| mutated.contains(i) != (*i != 1)) {
        Some(1) => refuse("changes the gradient, which it may not".to_string()),
        Some(i) => refuse(format!("does not say that it changes {}, which it is to update", inputs[i])),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::Sgd;
    use crate::schedule::Factor;
    use varflow_ops::{Provider, Schema, Shapes};

    fn attrs(pairs: &[(&str, &str)]) -> Attrs {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn a_rule_is_the_optimizer_of_the_same_operator() {
        let registry = crate::registry().unwrap();
        let settings = attrs(&[("momentum", "0.9"), ("clip_gradient", "2")]);
        let schedule = || Factor::new(2, 0.5).unwrap();
        let rule = Rule::new(&registry, "sgd_mom", 0.5, &settings).unwrap().wd(1e-4).schedule(schedule());
        let sgd = Sgd::new(0.5).momentum(0.9).clip_gradient(2.0).wd(1e-4).schedule(schedule());
        assert_eq!((rule.operator(), rule.states()), (sgd.operator(), sgd.states()));
        for n in [1, 3, 8] {
            assert_eq!(rule.attrs(rule.rates(n), 64), sgd.attrs(sgd.rates(n), 64));
        }
        assert_eq!(rule.rescale_grad(0.5).attrs(sgd.rates(1), 64)["rescale_grad"], "0.5");
    }

    #[test]
    fn what_does_not_fit_is_told_at_once() {
        let registry = crate::registry().unwrap();
        let refuse = |name: &str, lr: f64, settings: &[(&str, &str)], texts: &[&str]| {
            let text = Rule::new(&registry, name, lr, &attrs(settings)).err().unwrap().to_string();
            texts.iter().for_each(|t| assert!(text.contains(t), "no \"{t}\" in: {text}"));
        };
        refuse("magic", 0.1, &[], &["update rule \"magic\"", "sgd, sgd_mom"]);
        refuse("sgd_mom", 0.1, &[("beta", "1")], &["optimizer \"sgd_mom\"", "\"beta\"", "rescale_grad, clip_gradient"]);
        refuse("sgd_mom", 0.1, &[("momentum", "much")], &["momentum", "\"much\"", "a number"]);
        refuse("sgd", 0.1, &[("lr", "1")], &["\"lr\" is set by training"]);
        refuse("sgd", -1.0, &[], &["learning rate is -1"]);
        assert!(Rule::new(&registry, "sgd", 0.1, &Attrs::new()).unwrap().wd(f64::NAN).check().is_err());
    }

    struct Odd {
        schema: Schema,
        inputs: usize,
        outputs: usize,
        mutated: Vec<usize>,
    }

    impl Operator for Odd {
        fn name(&self) -> &str {
            "odd_update"
        }
        fn doc(&self) -> &str {
            "Is not as it should be."
        }
        fn schema(&self) -> &Schema {
            &self.schema
        }
        fn inputs(&self, _: &Params) -> Vec<String> {
            (0..self.inputs).map(|i| format!("in{i}")).collect()
        }
        fn outputs(&self, _: &Params) -> Vec<String> {
            (0..self.outputs).map(|i| format!("out{i}")).collect()
        }
        fn mutates(&self, _: &Params) -> Vec<usize> {
            self.mutated.clone()
        }
        fn infer_shape(&self, _: &Params, _: &mut Shapes) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn operators_that_break_the_contract_are_refused() {
        let rates = |names: &[&str]| {
            names
                .iter()
                .fold(Schema::new(), |schema, name| schema.float(name, f64::MIN..=f64::MAX, Some(0.0), "A rate."))
        };
        let all = ["lr", "wd", "rescale_grad"];
        let refuse = |names: &[&str], inputs: usize, outputs: usize, mutated: &[usize]| {
            let odd = Odd { schema: rates(names), inputs, outputs, mutated: mutated.to_vec() };
            let states = vec!["mean".to_string()];
            let rule = UpdateRule { name: "odd".into(), doc: "Odd.".into(), op: "odd_update".into(), states };
            let mut registry = Registry::new();
            registry.install(Provider::new("test").operator(odd).update_rule(rule)).unwrap();
            Rule::new(&registry, "odd", 0.1, &Attrs::new()).map(|_| ()).map_err(|e| e.to_string())
        };
        assert_eq!(refuse(&all, 3, 0, &[0, 2]), Ok(()));
        let told = |result: Result<(), String>, text: &str| {
            let found = result.unwrap_err();
            assert!(
                found.starts_with("optimizer \"odd\": its operator odd_update ") && found.contains(text),
                "{found}"
            );
        };
        told(refuse(&all[..2], 3, 0, &[0, 2]), "has no parameter rescale_grad");
        told(refuse(&all, 2, 0, &[0]), "has 2 inputs (in0, in1), wanted 3: weight, gradient and the states (mean)");
        told(refuse(&all, 3, 1, &[0, 2]), "has outputs (out0), wanted none");
        told(refuse(&all, 3, 0, &[0]), "does not say that it changes in2");
        told(refuse(&all, 3, 0, &[0, 1, 2]), "changes the gradient");
    }
}
