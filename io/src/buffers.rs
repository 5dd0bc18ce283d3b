//! Memory of batches, used again when nobody holds the batch any more.

use std::sync::Arc;
use varflow_engine::{Engine, Var};
use varflow_ops::{Result, Storage, Tensor, TensorDesc};

/// Sets that are kept for later use; beyond that they are freed with their batch.
const MAX_KEPT: usize = 32;

/// Hands out sets of tensors of the same shapes.
///
/// A set is free again when all its tensors and their clones are gone, those inside pushed tasks included. So a batch
/// stays what it is for as long as anyone can see it, and a training loop settles on as many sets as it has in flight.
pub(crate) struct Buffers {
    engine: Engine,
    descs: Vec<TensorDesc>,
    sets: Vec<Vec<Buffer>>,
}

struct Buffer {
    // Kept with the memory, so that tasks which have let go of a tensor but are not done yet still come first.
    var: Var,
    storage: Arc<Storage>,
}

impl Buffers {
    pub(crate) fn new(engine: &Engine, descs: Vec<TensorDesc>) -> Self {
        Buffers { engine: engine.clone(), descs, sets: Vec::new() }
    }

    /// A set of tensors, one of each description, with arbitrary contents.
    pub(crate) fn take(&mut self) -> Result<Vec<Tensor>> {
        // `get_mut` sees a storage as free only after all that its last holder did to it.
        let is_free = |set: &mut Vec<Buffer>| set.iter_mut().all(|b| Arc::get_mut(&mut b.storage).is_some());
        if let Some(at) = self.sets.iter_mut().position(is_free) {
            return self.tensors(&self.sets[at]);
        }
        let buffer = |desc: &TensorDesc| {
            Ok(Buffer { var: self.engine.var(), storage: Arc::new(Storage::zeroed(desc.len_bytes())?) })
        };
        let set = self.descs.iter().map(buffer).collect::<Result<Vec<_>>>()?;
        let tensors = self.tensors(&set);
        if self.sets.len() < MAX_KEPT {
            self.sets.push(set);
        }
        tensors
    }

    fn tensors(&self, set: &[Buffer]) -> Result<Vec<Tensor>> {
        let tensor = |(b, desc): (&Buffer, &TensorDesc)| {
            Tensor::in_storage(&self.engine, b.var.clone(), b.storage.clone(), 0, desc.clone())
        };
        set.iter().zip(&self.descs).map(tensor).collect()
    }

    #[cfg(test)]
    fn num_sets(&self) -> usize {
        self.sets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varflow_ops::DType;

    #[test]
    fn memory_is_used_again_when_it_is_free() {
        let engine = Engine::serial();
        let mut buffers =
            Buffers::new(&engine, vec![TensorDesc::new([2], DType::F32), TensorDesc::new([1], DType::F32)]);
        let first = buffers.take().unwrap();
        let (held, second) = (first[1].clone(), buffers.take().unwrap());
        drop(first);
        drop(buffers.take().unwrap());
        assert_eq!(buffers.num_sets(), 3, "one tensor of the first set is still held");
        drop((held, second));
        for _ in 0..10 {
            drop(buffers.take().unwrap());
        }
        assert_eq!(buffers.num_sets(), 3);
        let many: Vec<_> = (0..2 * MAX_KEPT).map(|_| buffers.take().unwrap()).collect();
        assert_eq!((many.len(), buffers.num_sets()), (2 * MAX_KEPT, MAX_KEPT));
    }
}
