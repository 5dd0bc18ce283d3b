//! What must hold of the in-place pairs that an operator declares, whatever its shapes.

use crate::{Error, Result};
use std::collections::BTreeSet;

/// Checks the in-place pairs (input, output) of an operator that has so many inputs, auxiliary states included, and outputs, and
/// changes the inputs `mutated`.
///
/// Sizes and dtypes are not looked at: a pair of which they differ, as with broadcasting, is merely not used.
///
/// # Errors
/// [`Error::Contract`] that names the pair and what is wanted: one of an input or output that is not there or of an input that
/// the operator changes, and one that is declared twice.
pub fn check_inplace(pairs: &[(usize, usize)], num_inputs: usize, num_outputs: usize, mutated: &[usize]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for &(input, output) in pairs {
        let wrong = if input >= num_inputs {
            format!("wanted an input below {num_inputs}")
        } else if output >= num_outputs {
            format!("wanted an output below {num_outputs}")
        } else if mutated.contains(&input) {
            format!("and that it changes input {input}: wanted an input that it only reads")
        } else if !seen.insert((input, output)) {
            "wanted each pair once".to_string()
        } else {
            continue;
        };
        return Err(Error::Contract(format!(
            "declares that output {output} may take the memory of input {input}, {wrong}"
        )));
    }
    Ok(())
}
