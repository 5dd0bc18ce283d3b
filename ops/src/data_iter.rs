//! What a data iterator is.

use crate::{DType, Result, Shape, Tensor};

/// The name, shape and dtype of what an iterator provides. The first axis is the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDesc {
    /// The variable that it feeds, such as `data` or `softmax_label`.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// Its element type.
    pub dtype: DType,
}

/// One batch.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Tensors in the order of [`DataIter::provide_data`].
    pub data: Vec<Tensor>,
    /// Tensors in the order of [`DataIter::provide_label`].
    pub label: Vec<Tensor>,
    /// How many samples at its end are there only to fill it.
    pub pad: usize,
    /// The number of each sample in its source, the padding included.
    pub index: Vec<u64>,
}

/// A stream of batches in epochs.
pub trait DataIter: Send {
    /// What the batches' data look like.
    fn provide_data(&self) -> Vec<DataDesc>;

    /// What the batches' labels look like.
    fn provide_label(&self) -> Vec<DataDesc>;

    /// The next batch of this epoch, or `None` at its end.
    ///
    /// # Errors
    /// A failed read, bad data: with the file and place.
    fn next(&mut self) -> Result<Option<Batch>>;

    /// Starts epoch number `epoch` from the beginning. The order of samples depends only on the iterator's seed and this
    /// number, so that a resumed run sees what the uninterrupted one would have seen.
    ///
    /// # Errors
    /// As [`next`](DataIter::next).
    fn reset(&mut self, epoch: u64) -> Result<()>;

    /// Batches in an epoch, if known.
    fn num_batches(&self) -> Option<usize> {
        None
    }
}

impl<I: DataIter + ?Sized> DataIter for Box<I> {
    fn provide_data(&self) -> Vec<DataDesc> {
        (**self).provide_data()
    }

    fn provide_label(&self) -> Vec<DataDesc> {
        (**self).provide_label()
    }

    fn next(&mut self) -> Result<Option<Batch>> {
        (**self).next()
    }

    fn reset(&mut self, epoch: u64) -> Result<()> {
        (**self).reset(epoch)
    }

    fn num_batches(&self) -> Option<usize> {
        (**self).num_batches()
    }
}
