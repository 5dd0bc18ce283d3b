//! Steps that are pushed and not yet done: their results are read late, so that the pusher runs ahead of the engine, but
//! only by so many steps.

use std::collections::VecDeque;
use varflow_engine::Engine;
use varflow_ops::{Element, Result, Shape, Tensor};

/// How many steps are pushed before the result of the first is waited for.
pub(crate) const DEPTH: usize = 3;

/// Tensors into which steps write their results, used in turn. `M` is what is remembered of a step.
pub(crate) struct RunAhead<M> {
    idle: Vec<Tensor>,
    busy: VecDeque<(M, Tensor)>,
}

impl<M> RunAhead<M> {
    /// For [`DEPTH`] steps whose results have this shape, with elements `T`.
    pub(crate) fn new<T: Element>(engine: &Engine, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        let idle = (0..DEPTH).map(|_| Tensor::zeros(engine, shape.clone(), T::DTYPE)).collect::<Result<_>>()?;
        Ok(RunAhead { idle, busy: VecDeque::with_capacity(DEPTH) })
    }

    /// Hands a tensor to `step`, which pushes tasks that overwrite it. If all were busy, waits for the oldest step first
    /// and gives what it was and its result.
    pub(crate) fn push<T: Element>(&mut self, of: M, step: impl FnOnce(&Tensor)) -> Result<Option<(M, Vec<T>)>> {
        let done = if self.idle.is_empty() { self.pop()? } else { None };
        if let Some(tensor) = self.idle.pop() {
            step(&tensor);
            self.busy.push_back((of, tensor));
        }
        Ok(done)
    }

    /// Waits for the oldest step, if there is one.
    pub(crate) fn pop<T: Element>(&mut self) -> Result<Option<(M, Vec<T>)>> {
        let Some((of, tensor)) = self.busy.pop_front() else { return Ok(None) };
        let values = tensor.to_vec::<T>();
        self.idle.push(tensor);
        Ok(Some((of, values?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_late() {
        let engine = Engine::builder().cpu_workers(2).build().unwrap();
        let mut ahead = RunAhead::new::<f32>(&engine, [1]).unwrap();
        let mut seen = Vec::new();
        for i in 0..10 {
            let done = ahead.push(i, |t| t.set(vec![i as f32]).unwrap()).unwrap();
            assert_eq!(done.is_some(), i >= DEPTH);
            seen.extend(done);
        }
        while let Some(done) = ahead.pop().unwrap() {
            seen.push(done);
        }
        assert_eq!(seen, (0..10).map(|i| (i, vec![i as f32])).collect::<Vec<_>>());
    }
}
