//! Row-major indices, the slow way.

/// The multi-index of element `flat` of a tensor of this shape.
pub fn unflatten(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for (at, len) in at.iter_mut().zip(shape).rev() {
        (*at, flat) = (flat % len, flat / len);
    }
    at
}

/// The element at a multi-index.
pub fn flatten(at: &[usize], shape: &[usize]) -> usize {
    at.iter().zip(shape).fold(0, |flat, (at, len)| flat * len + at)
}

/// The element of a tensor that is repeated to a larger shape, at a multi-index of that.
pub fn flatten_repeated(at: &[usize], shape: &[usize]) -> usize {
    let own = &at[at.len() - shape.len()..];
    let own: Vec<_> = own.iter().zip(shape).map(|(at, len)| if *len == 1 { 0 } else { *at }).collect();
    flatten(&own, shape)
}
