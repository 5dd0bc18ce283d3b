//! What an optimizer's update rule is.

/// An optimizer by name: an operator that updates a weight, and the states that it keeps.
///
/// The operator's inputs are the weight, its gradient and the states, in this order; it mutates the weight and the states and
/// has no outputs. It has the parameters `lr` (learning rate), `wd` (weight decay) and `rescale_grad` (factor of the
/// gradient), and may have `num_update` (an integer, 1 at the first update); its other parameters are the optimizer's
/// settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateRule {
    /// The name, as in `--optimizer`.
    pub name: String,
    /// What it computes.
    pub doc: String,
    /// The operator.
    pub op: String,
    /// The names of its states: of the weight's shape and dtype, zero at first.
    pub states: Vec<String>,
}
