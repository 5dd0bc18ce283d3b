//! What a data iterator is.
#![expect(unsafe_code, reason = "writes the host's tensors")]

use crate::context::list;
use crate::tensor::Tensor;
use crate::{DType, Element, Error, Param, Params, Result};
use std::cell::Cell;

/// A stream of batches in epochs.
pub trait DataIter: Sized + Send + 'static {
    /// The name.
    const NAME: &'static str;

    /// What it reads and what it gives.
    const DOC: &'static str;

    /// Parameters with which `varflow plugin check` may open it: `"batch_size=4; classes=3"`.
    const EXAMPLES: &'static [&'static str] = &[];

    /// Whether it can [`save`](Self::save) and [`restore`](Self::restore) where it is.
    const CAN_RESTORE: bool = false;

    /// Its parameters.
    #[must_use]
    fn params() -> Vec<Param> {
        Vec::new()
    }

    /// Opens it, at the start of epoch 0.
    ///
    /// # Errors
    /// A parameter that does not fit, a file that cannot be read.
    fn new(params: &Params<'_>, part: Part) -> Result<Self>;

    /// What a batch has. Asked once.
    fn fields(&self) -> Vec<Field>;

    /// Batches in an epoch, if known. Asked once.
    fn num_batches(&self) -> Option<usize> {
        None
    }

    /// Fills in the next batch of this epoch.
    ///
    /// # Errors
    /// A failed read, bad data: with the file and place.
    fn next(&mut self, batch: &mut Batch<'_>) -> Result<Next>;

    /// Starts an epoch from its beginning. The order of samples depends on the part's seed, this number and the parameters only.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    fn reset(&mut self, epoch: u64) -> Result<()>;

    /// Where it is, so that another one with the same parameters and part goes on with the next batch.
    ///
    /// # Errors
    /// By default it cannot tell.
    fn save(&self) -> Result<Vec<u8>> {
        Err(Error::unsupported(format!("{} cannot save where it is", Self::NAME)))
    }

    /// Goes to where another one was when it [saved](Self::save).
    ///
    /// # Errors
    /// By default it cannot; [`Error::data`] for bytes that are no state of it.
    fn restore(&mut self, _state: &[u8]) -> Result<()> {
        Err(Error::unsupported(format!("{} cannot restore where it was", Self::NAME)))
    }
}

/// Whether there was a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is filled in.
    Batch,
    /// The epoch has no further one.
    End,
}

/// Which share of the samples to give, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which part: less than `num_parts`.
    pub index: usize,
    /// How many parts there are: between them they give every sample once.
    pub num_parts: usize,
    /// The order of samples depends on this, the epoch and the parameters only.
    pub seed: u64,
}

/// Name, dtype and shape of one tensor of a batch; the first axis is the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    pub(crate) is_label: bool,
}

impl Field {
    /// Data, which feeds the variable of this name.
    #[must_use]
    pub fn data(name: &str, dtype: DType, shape: &[usize]) -> Self {
        Field { name: name.to_string(), dtype, shape: shape.to_vec(), is_label: false }
    }

    /// A label. Labels come after all data.
    #[must_use]
    pub fn label(name: &str, dtype: DType, shape: &[usize]) -> Self {
        Field { is_label: true, ..Field::data(name, dtype, shape) }
    }
}

/// A batch to be filled in.
pub struct Batch<'a> {
    table: &'a mut varflow_abi::Batch,
    /// Which tensors were given out, as bits.
    given: Cell<u64>,
}

impl<'a> Batch<'a> {
    /// # Safety
    /// The table is the host's, with all that it leads to, and stays for `'a`; what is in it is of nobody else meanwhile.
    pub(crate) unsafe fn new(table: &'a mut varflow_abi::Batch) -> Self {
        Batch { table, given: Cell::new(0) }
    }

    /// Samples in it.
    #[must_use]
    pub fn num_samples(&self) -> usize {
        self.table.num_samples
    }

    /// The tensor of field `i`, data first, then labels, to be written wholly: row by row. Each is given out once.
    ///
    /// # Errors
    /// When there is no such field, it has another dtype, or it was asked for before.
    pub fn tensor<T: Element>(&self, i: usize) -> Result<&'a mut [T]> {
        // SAFETY: by the contract of `new`.
        let tensors = unsafe { list(self.table.tensors, self.table.num_tensors) };
        let tensor = tensors
            .get(i)
            .ok_or_else(|| Error::new(format!("field {i} is asked for, and there are {}", tensors.len())))?;
        // SAFETY: as above.
        let tensor = unsafe { Tensor::<T>::read(tensor, "field", i) }?;
        let bit = 1_u64.checked_shl(i as u32).ok_or_else(|| Error::unsupported(format!("field {i} is above 63")))?;
        if self.given.get() & bit != 0 {
            return Err(Error::new(format!("field {i} is asked for twice")));
        }
        self.given.set(self.given.get() | bit);
        // SAFETY: of nobody else, and given out once; any bits are values of `T`.
        Ok(unsafe { std::slice::from_raw_parts_mut(tensor.at, tensor.len) })
    }

    /// The number of each sample in its source: 0, 1, 2, … at first.
    #[must_use]
    pub fn index(&mut self) -> &mut [u64] {
        if self.table.index.is_null() {
            return &mut [];
        }
        // SAFETY: one for each sample, of nobody else; borrowed with `self`.
        unsafe { std::slice::from_raw_parts_mut(self.table.index, self.table.num_samples) }
    }

    /// Says how many samples at its end are there only to fill it.
    pub fn set_pad(&mut self, pad: usize) {
        self.table.pad = pad;
    }
}
