//! `sgd_update`, `sgd_mom_update`: stochastic gradient descent.

use crate::{Operator, Params, Result, Schema, Shapes, UpdateRule};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(schema);
static MOMENTUM_SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    schema().float("momentum", f64::MIN..=f64::MAX, Some(0.0), "The part of the last step that is taken again.")
});

fn schema() -> Schema {
    let any = || f64::MIN..=f64::MAX;
    Schema::new()
        .float("lr", any(), None, "Learning rate.")
        .float("wd", any(), Some(0.0), "Weight decay: the gradient of wd/2 · weight² is added.")
        .float("rescale_grad", any(), Some(1.0), "Factor of the gradient, such as one over the batch size.")
        .float("clip_gradient", any(), Some(-1.0), "Bound of the rescaled gradient's size; none if not above zero.")
        .bool("lazy_update", Some(true), "Concerns sparse gradients only. Without effect.")
}

/// The optimizers `sgd` and `sgd_mom`.
pub(super) fn update_rules() -> [UpdateRule; 2] {
    let rule = |name: &str, doc: &str, states: &[&str]| UpdateRule {
        name: name.to_string(),
        doc: doc.to_string(),
        op: format!("{name}_update"),
        states: states.iter().map(ToString::to_string).collect(),
    };
    [
        rule("sgd", "Stochastic gradient descent.", &[]),
        rule("sgd_mom", "Stochastic gradient descent with momentum.", &["mom"]),
    ]
}

/// One step of gradient descent, with or without momentum. The weight, and the momentum, are changed where they are.
pub(super) struct Update {
    /// Whether there is momentum.
    pub(super) momentum: bool,
}

impl Operator for Update {
    fn name(&self) -> &str {
        if self.momentum { "sgd_mom_update" } else { "sgd_update" }
    }

    fn doc(&self) -> &str {
        if self.momentum {
            "With g = clip(rescale_grad · grad, ±clip_gradient) + wd · weight: mom = momentum · mom - lr · g, then weight = \
             weight + mom. All of one shape; changes weight and mom and has no output."
        } else {
            "weight = weight - lr · (clip(rescale_grad · grad, ±clip_gradient) + wd · weight). Both of one shape; changes \
             weight and has no output."
        }
    }

    fn schema(&self) -> &Schema {
        if self.momentum { &MOMENTUM_SCHEMA } else { &SCHEMA }
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        let names: &[&str] = if self.momentum { &["weight", "grad", "mom"] } else { &["weight", "grad"] };
        names.iter().map(ToString::to_string).collect()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        Vec::new()
    }

    fn mutates(&self, _: &Params) -> Vec<usize> {
        if self.momentum { vec![0, 2] } else { vec![0] }
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        let inputs: Vec<_> = (0..s.num_inputs()).collect();
        s.same(&inputs, &[])
    }
}
