//! What an optimizer's update rule is.

/// An optimizer by name: an [operator](crate::Operator) that updates a weight, and the states that it keeps.
///
/// The operator's inputs are the weight, its gradient and the states, in this order; it mutates the weight and the states and
/// has no outputs. It has the parameters `lr` (learning rate), `wd` (weight decay) and `rescale_grad` (factor of the gradient),
/// all [numbers](crate::Param::float), and may have `num_update` (an integer, 1 at the first update); its other parameters are
/// the optimizer's settings.
#[derive(Clone, Copy, Debug)]
pub struct UpdateRule {
    /// The name, as in `--optimizer`.
    pub name: &'static str,
    /// What it computes.
    pub doc: &'static str,
    /// The operator's name.
    pub op: &'static str,
    /// The names of its states: of the weight's shape and dtype, zero at first.
    pub states: &'static [&'static str],
}
