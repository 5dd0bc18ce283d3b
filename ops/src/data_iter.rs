//! What a data iterator is.

use crate::schema::{Params, Schema};
use crate::{DType, Error, Result, Shape, Tensor};
use varflow_engine::Engine;

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

    /// Where it is in its stream, for [`restore_state`](Self::restore_state).
    ///
    /// # Errors
    /// [`Error::Contract`] by default: it cannot tell.
    fn save_state(&self) -> Result<Vec<u8>> {
        Err(Error::Contract("this iterator cannot save its state".to_string()))
    }

    /// Goes to where an iterator of the same kind, with the same parameters, was when it saved its state.
    ///
    /// # Errors
    /// [`Error::Contract`] by default; [`Error::Data`] for bytes that are no state of it.
    fn restore_state(&mut self, _state: &[u8]) -> Result<()> {
        Err(Error::Contract("this iterator cannot restore a state".to_string()))
    }
}

/// Which share of the samples an iterator is to give, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which part: less than `num_parts`.
    pub index: usize,
    /// How many parts there are: between them they give every sample once.
    pub num_parts: usize,
    /// The order of samples depends on this, the epoch and the parameters only.
    pub seed: u64,
}

impl Default for Part {
    /// All samples, seed 0.
    fn default() -> Self {
        Part { index: 0, num_parts: 1, seed: 0 }
    }
}

/// A kind of iterator, found by name: a value that opens iterators.
pub trait DataIterKind: Send + Sync {
    /// The name, such as `MNISTIter`.
    fn name(&self) -> &str;

    /// What it reads and what it gives.
    fn doc(&self) -> &str;

    /// Its parameters.
    fn schema(&self) -> &Schema;

    /// Parameters with which checks may open it, written `name=value; name=value`.
    fn examples(&self) -> Vec<String> {
        Vec::new()
    }

    /// Opens an iterator, at the start of epoch 0.
    ///
    /// # Errors
    /// A parameter that does not fit, a file that cannot be read.
    fn open(&self, engine: &Engine, params: &Params, part: Part) -> Result<Box<dyn DataIter>>;
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

    fn save_state(&self) -> Result<Vec<u8>> {
        (**self).save_state()
    }

    fn restore_state(&mut self, state: &[u8]) -> Result<()> {
        (**self).restore_state(state)
    }
}
