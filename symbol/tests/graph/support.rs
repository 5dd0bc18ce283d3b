//! Operators for tests of the graph, beside the built-in ones.

use varflow_ops::{Operator, Params, Provider, Registry, Result, Schema, Shapes, defs};

/// The built-in operators and those of this file.
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.install(defs::provider()).unwrap();
    let mut provider = Provider::new("test").operator(Norm(Schema::new().bool("fix_gamma", Some(true), "")));
    provider.preference = 1;
    registry.install(provider.operator(Split(Schema::new().int("n", 1..=100, Some(2), "")))).unwrap();
    registry
}

/// Batch normalisation's signature: auxiliary states, hidden outputs.
struct Norm(Schema);

impl Operator for Norm {
    fn name(&self) -> &str {
        "BatchNorm"
    }
    fn doc(&self) -> &str {
        "data, with auxiliary states."
    }
    fn schema(&self) -> &Schema {
        &self.0
    }
    fn inputs(&self, _: &Params) -> Vec<String> {
        ["data", "gamma", "beta"].map(String::from).to_vec()
    }
    fn auxiliaries(&self, _: &Params) -> Vec<String> {
        ["moving_mean", "moving_var"].map(String::from).to_vec()
    }
    fn outputs(&self, _: &Params) -> Vec<String> {
        ["output", "mean", "var"].map(String::from).to_vec()
    }
    fn num_visible_outputs(&self, _: &Params) -> usize {
        1
    }
    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        let channels = s.input(0).dim(1);
        let channels = varflow_ops::PartialShape::new([channels]);
        (1..5).try_for_each(|i| s.set_input(i, channels.clone(), "from channels of data"))?;
        (1..3).try_for_each(|o| s.set_output(o, channels.clone(), "from channels of data"))
    }
}

/// `n` copies of its input.
struct Split(Schema);

impl Operator for Split {
    fn name(&self) -> &str {
        "split_test"
    }
    fn doc(&self) -> &str {
        "n copies of data."
    }
    fn schema(&self) -> &Schema {
        &self.0
    }
    fn outputs(&self, params: &Params) -> Vec<String> {
        (0..params.usize("n")).map(|i| format!("output{i}")).collect()
    }
    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        let outputs: Vec<_> = (0..s.num_outputs()).collect();
        s.same(&[0], &outputs)
    }
    fn gradient(&self, grad: &mut varflow_ops::Gradient<'_>) -> Result<Vec<Option<varflow_ops::Entry>>> {
        Ok(vec![grad.out_grads.iter().copied().flatten().next()])
    }
}
