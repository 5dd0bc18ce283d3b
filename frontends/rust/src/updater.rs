//! Applies an optimizer to the parameters of a network.

use crate::optimizer::{Optimizer, Rates};
use crate::params::{Param, check_shape};
use crate::states::{State, States};
use std::sync::Arc;
use varflow_ops::{BoundOp, Error, Operator, Result, Run, Runtime, Tensor, bind};

/// One parameter, its gradient and its states.
struct Slot {
    param: Param,
    grad: Tensor,
    states: Vec<Tensor>,
    update: Option<BoundOp>,
}

/// Updates bound to the parameters. They are bound anew only when what the operator is told changes.
pub(crate) struct Updater {
    runtime: Runtime,
    optimizer: Arc<dyn Optimizer>,
    operator: Arc<dyn Operator>,
    /// The names of the states.
    states: Vec<String>,
    batch_size: usize,
    slots: Vec<Slot>,
    bound_for: Option<Told>,
}

/// What changes from update to update.
#[derive(Clone, Copy, PartialEq)]
struct Told {
    rates: Rates,
    /// Only for an operator that has this parameter.
    num_update: Option<u64>,
}

impl Updater {
    /// For these parameters and their gradients. Parameters whose learning rate has the factor 0 stay as they are.
    pub(crate) fn new(
        runtime: &Runtime,
        optimizer: Arc<dyn Optimizer>,
        batch_size: usize,
        params: Vec<(Param, Tensor)>,
    ) -> Result<Self> {
        let operator = runtime.registry.operator(optimizer.operator())?.clone();
        let names = optimizer.states();
        let mut slots = Vec::with_capacity(params.len());
        for (param, grad) in params {
            let zeros = |_| Tensor::zeros(&runtime.engine, param.tensor.shape().clone(), param.tensor.dtype());
            let states = names.iter().map(zeros).collect::<Result<_>>()?;
            slots.push(Slot { param, grad, states, update: None });
        }
        let runtime = runtime.clone();
        Ok(Updater { runtime, optimizer, operator, states: names, batch_size, slots, bound_for: None })
    }

    /// Pushes the tasks of update number `num_update`.
    pub(crate) fn push(&mut self, num_update: u64) -> Result<()> {
        let takes_num_update = self.operator.schema().has("num_update");
        let told =
            Told { rates: self.optimizer.rates(num_update), num_update: Some(num_update).filter(|_| takes_num_update) };
        if self.bound_for != Some(told) {
            self.bind(told)?;
        }
        let run = Run { step: num_update, ..Run::default() };
        for slot in &self.slots {
            if let Some(update) = &slot.update {
                update.push(&self.runtime.engine, None, run);
            }
        }
        Ok(())
    }

    fn bind(&mut self, told: Told) -> Result<()> {
        let (operator, rates) = (&self.operator, told.rates);
        for Slot { param, grad, states, update } in &mut self.slots {
            let own = Rates { lr: rates.lr * param.lr_mult, wd: rates.wd * param.wd_mult };
            let mut attrs = self.optimizer.attrs(own, self.batch_size);
            if let Some(num_update) = told.num_update {
                attrs.insert("num_update".to_string(), num_update.to_string());
            }
            let place = |e: Error| e.at(format!("{} of {}", operator.name(), param.name));
            let params = operator.schema().parse(&attrs).map_err(place)?;
            let inputs: Vec<Tensor> = [&param.tensor, grad].into_iter().chain(states.iter()).cloned().collect();
            let name = format!("{}_update", param.name);
            *update = Some(bind(&self.runtime.registry, &**operator, &params, &name, &inputs, Vec::new(), true)?);
        }
        self.bound_for = Some(told);
        Ok(())
    }

    /// The optimizer's operator.
    pub(crate) fn operator(&self) -> &str {
        self.optimizer.operator()
    }

    /// Copies the states out, once all updates so far are done.
    pub(crate) fn states(&self) -> Result<Vec<State>> {
        let mut arrays = Vec::new();
        for slot in &self.slots {
            for (kind, tensor) in self.states.iter().zip(&slot.states) {
                let name = format!("{kind}:{}", slot.param.name);
                arrays.push(State { name, shape: tensor.shape().clone(), values: tensor.to_vec::<f32>()? });
            }
        }
        arrays.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(arrays)
    }

    /// Takes the states of an earlier run.
    ///
    /// # Errors
    /// States of another operator, a missing array, another shape.
    pub(crate) fn restore(&self, states: &States) -> Result<()> {
        let operator = self.operator();
        if states.operator != operator {
            let text = format!(
                "the optimizer states belong to operator {}, the optimizer now uses {operator}: take the same optimizer \
                 and momentum setting, or remove the states file to start with fresh states",
                states.operator
            );
            return Err(Error::Data(text));
        }
        for slot in &self.slots {
            for (kind, tensor) in self.states.iter().zip(&slot.states) {
                let name = format!("{kind}:{}", slot.param.name);
                let state = states.arrays.iter().find(|s| s.name == name);
                let state = state.ok_or_else(|| Error::Data(format!("the optimizer states have no array {name}")))?;
                check_shape(&name, &state.shape, tensor.shape()).map_err(|e| e.at("the optimizer states"))?;
                tensor.set(state.values.clone())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::Rule;
    use varflow_ops::{Attrs, DType, DeviceKind, KernelCall, KernelCtx, Params, Provider, Schema, Shapes, UpdateRule};

    /// Adds `lr · num_update` to the weight.
    struct Counting(Schema);

    impl Operator for Counting {
        fn name(&self) -> &str {
            "counting_update"
        }
        fn doc(&self) -> &str {
            "Counts updates."
        }
        fn schema(&self) -> &Schema {
            &self.0
        }
        fn inputs(&self, _: &Params) -> Vec<String> {
            vec!["weight".to_string(), "grad".to_string()]
        }
        fn outputs(&self, _: &Params) -> Vec<String> {
            Vec::new()
        }
        fn mutates(&self, _: &Params) -> Vec<usize> {
            vec![0]
        }
        fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
            s.same(&[0, 1], &[])
        }
    }

    #[test]
    fn an_operator_that_wants_the_number_of_the_update_is_told_each_time() {
        let runtime = {
            let mut runtime = crate::runtime(1).unwrap();
            let rates = ["lr", "wd", "rescale_grad"].into_iter();
            let schema = rates.fold(Schema::new(), |s, name| s.float(name, f64::MIN..=f64::MAX, Some(0.0), "A rate."));
            let schema = schema.int("num_update", 1..=i64::MAX, Some(1), "The number of the update.");
            let rule = UpdateRule {
                name: "counting".to_string(),
                doc: "Counts.".to_string(),
                op: "counting_update".to_string(),
                states: Vec::new(),
            };
            let kernel = |call: &KernelCall<'_>| -> Result<Box<dyn varflow_ops::Kernel>> {
                let step = call.params.float("lr") * call.params.int("num_update") as f64;
                Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
                    ctx.mutated::<f32>(0)?.iter_mut().for_each(|w| *w += step as f32);
                    Ok(())
                }))
            };
            let provider = Provider::new("test").operator(Counting(schema)).update_rule(rule);
            let mut registry = crate::registry().unwrap();
            registry.install(provider.kernel("counting_update", DeviceKind::Cpu, kernel)).unwrap();
            runtime.registry = Arc::new(registry);
            runtime
        };
        let x = varflow_symbol::sym::fully_connected(varflow_symbol::sym::var("data")).num_hidden(1).no_bias(true);
        let mut module = crate::Module::new(&runtime, x.name("fc")).unwrap();
        module.bind(&[("data", [1, 1].into())]).unwrap();
        let param = module.params()[0].clone();
        let grad = Tensor::zeros(&runtime.engine, param.tensor.shape().clone(), DType::F32).unwrap();
        let rule = Rule::new(&runtime.registry, "counting", 0.5, &Attrs::new()).unwrap();
        let mut updater = Updater::new(&runtime, Arc::new(rule), 1, vec![(param.clone(), grad)]).unwrap();
        (1..=4).for_each(|n| updater.push(n).unwrap());
        assert_eq!(param.tensor.to_vec::<f32>().unwrap(), [5.0]);
        let told = Attrs::from([("num_update".to_string(), "3".to_string())]);
        let text = Rule::new(&runtime.registry, "counting", 0.5, &told).err().unwrap().to_string();
        assert!(text.contains("\"num_update\" is set by training"), "{text}");
    }
}
