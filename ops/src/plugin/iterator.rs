//! A plug-in's data iterator as one of the registry's.
#![expect(unsafe_code, reason = "calls the functions of a plug-in's iterator")]

use super::call::{Place, Values, call, call_next};
use super::dlpack::from_dlpack;
use super::library::Source;
use super::read;
use super::tables::IteratorTable;
use super::tensors::Tensors;
use crate::data_iter::{Batch, DataDesc, DataIter, DataIterKind, Part};
use crate::schema::{Params, Schema};
use crate::{Error, Result, Shape, Tensor, TensorDesc};
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use varflow_abi as abi;
use varflow_engine::Engine;

/// A kind of iterators of a plug-in.
pub(super) struct PluginIteratorKind {
    source: Arc<Source>,
    table: IteratorTable,
}

impl PluginIteratorKind {
    pub(super) fn new(source: Arc<Source>, table: IteratorTable) -> Self {
        PluginIteratorKind { source, table }
    }
}

impl DataIterKind for PluginIteratorKind {
    fn name(&self) -> &str {
        &self.table.name
    }

    fn doc(&self) -> &str {
        &self.table.doc
    }

    fn schema(&self) -> &Schema {
        &self.table.schema
    }

    fn examples(&self) -> Vec<String> {
        self.table.examples.clone()
    }

    fn open(&self, engine: &Engine, params: &Params, part: Part) -> Result<Box<dyn DataIter>> {
        let place = Place { source: self.source.clone(), what: format!("iterator {}", self.table.name) };
        let opened = PluginIterator::open(&self.table, place.clone(), engine, params, part);
        Ok(Box::new(opened.map_err(|e| e.at(place.to_string()))?))
    }
}

struct PluginIterator {
    table: abi::Iterator,
    instance: *mut c_void,
    place: Place,
    engine: Engine,
    provided: Provided,
}

// SAFETY: the header lets every function be called from any thread; `&mut self`, and not being `Sync`, keeps it to one at a time.
unsafe impl Send for PluginIterator {}

/// What the batches have, as the plug-in said when it was opened.
struct Provided {
    fields: Vec<DataDesc>,
    num_data: usize,
    num_samples: usize,
    num_batches: Option<usize>,
    tensors: Tensors,
}

/// More than any batch has fields.
const MOST_FIELDS: usize = 64;
/// More than any place in a stream takes to write down.
const MOST_STATE_BYTES: usize = 1 << 28;

fn refuse<T>(text: String) -> Result<T> {
    Err(Error::Plugin(text))
}

impl Provided {
    /// # Safety
    /// The pointers are as the header says.
    unsafe fn read(told: &abi::Provided) -> Result<Provided> {
        let (data, label) = (told.num_data, told.num_label);
        let count = data.checked_add(label).filter(|n| (1..=MOST_FIELDS).contains(n));
        let Some(count) = count else {
            return refuse(format!("provides {data} data and {label} labels, wanted 1 to {MOST_FIELDS} of both"));
        };
        let mut fields: Vec<DataDesc> = Vec::new();
        // SAFETY: by the contract.
        for field in unsafe { read::items("fields", count, told.fields) }? {
            // SAFETY: by the contract.
            let name = unsafe { read::name("the name of what it provides", field.name) }?;
            if fields.iter().any(|f| f.name == name) {
                return refuse(format!("provides {name} twice"));
            }
            // SAFETY: by the contract.
            let field = unsafe { data_desc(name.clone(), &field) }.map_err(|e| e.at(name))?;
            fields.push(field);
        }
        let num_samples = fields[0].shape[0];
        if let Some(other) = fields.iter().find(|f| f.shape[0] != num_samples) {
            let (first, other, n) = (&fields[0].name, &other.name, other.shape[0]);
            return refuse(format!("provides {num_samples} samples of {first} and {n} of {other} in a batch"));
        }
        let num_batches = match told.num_batches {
            -1 => None,
            n => match usize::try_from(n) {
                Ok(n) => Some(n),
                Err(_) => {
                    return refuse(format!("says that an epoch has {n} batches, wanted -1 for unknown, or 0 and more"));
                }
            },
        };
        let descs: Vec<_> = fields.iter().map(|f| TensorDesc::new(f.shape.clone(), f.dtype)).collect();
        let tensors = Tensors::new(abi::device::CPU, [], &descs)?;
        Ok(Provided { fields, num_data: data, num_samples, num_batches, tensors })
    }
}

/// # Safety
/// The pointers are as the header says.
unsafe fn data_desc(name: String, field: &abi::Field) -> Result<DataDesc> {
    let ndim = usize::try_from(field.ndim).ok().filter(|n| (1..=abi::MAX_NDIM).contains(n));
    let Some(ndim) = ndim else {
        return Err(Error::Shape(format!("has {} axes, wanted 1 to {}", field.ndim, abi::MAX_NDIM)));
    };
    // SAFETY: by the contract.
    let dims = unsafe { read::items("dimensions", ndim, field.shape) }?;
    let shape: Option<Shape> =
        dims.iter().map(|d| usize::try_from(*d).ok().filter(|d| *d > 0)).collect::<Option<Vec<_>>>().map(Shape::from);
    let dtype = from_dlpack(field.dtype)?;
    let fits = |s: &Shape| s.checked_len().and_then(|n| n.checked_mul(dtype.size_bytes())).is_some();
    match shape.filter(fits) {
        Some(shape) => Ok(DataDesc { name, shape, dtype }),
        None => {
            Err(Error::Shape(format!("has shape {dims:?}, wanted positive sizes of a tensor that fits into memory")))
        }
    }
}

impl PluginIterator {
    fn open(table: &IteratorTable, place: Place, engine: &Engine, params: &Params, part: Part) -> Result<Self> {
        let functions = table.table;
        let (Some(create), Some(describe)) = (functions.create, functions.describe) else {
            return refuse("has no create or no describe".to_string());
        };
        let narrow = |what: &str, n: usize| {
            u32::try_from(n).map_err(|_| Error::Param(format!("{what} is {n}, wanted at most {}", u32::MAX)))
        };
        let (part_index, num_parts) = (narrow("the part", part.index)?, narrow("the number of parts", part.num_parts)?);
        if part_index >= num_parts {
            return Err(Error::Param(format!(
                "the part is {part_index} of {num_parts}, wanted less than their number"
            )));
        }
        let struct_size = size_of::<abi::Part>() as u32;
        let part = abi::Part { struct_size, part_index, num_parts, reserved: 0, seed: part.seed };
        let values = Values::new(&table.schema, params)?;
        let mut instance = ptr::null_mut();
        // SAFETY: a function of the table, called as the header says.
        call(|message| unsafe {
            create(functions.context, values.as_ptr(), &raw const part, &raw mut instance, message)
        })?;
        let mut told = abi::Provided {
            struct_size: size_of::<abi::Provided>() as u32,
            reserved: 0,
            num_data: 0,
            num_label: 0,
            fields: ptr::null(),
            num_batches: -1,
        };
        // SAFETY: as above; it fills in what the header says.
        let described = call(|message| unsafe { describe(functions.context, instance, &raw mut told, message) })
            .and_then(|()| unsafe { Provided::read(&told) });
        match described {
            Ok(provided) => Ok(PluginIterator { table: functions, instance, place, engine: engine.clone(), provided }),
            Err(e) => {
                destroy(&functions, instance);
                Err(e)
            }
        }
    }

    fn named<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|e| e.at(self.place.to_string()))
    }

    fn try_next(&mut self) -> Result<Option<Batch>> {
        let Some(next) = self.table.next else { return refuse("has no next".to_string()) };
        let provided = &self.provided;
        let fresh = provided.fields.iter().map(|f| Tensor::zeros(&self.engine, f.shape.clone(), f.dtype));
        let fresh = fresh.collect::<Result<Vec<_>>>()?;
        let mut tensors = provided.tensors.outputs().to_vec();
        for (to, tensor) in tensors.iter_mut().zip(&fresh) {
            // Nobody else has the tensor yet, so no task is needed to write it.
            to.data = tensor.view().address().cast();
        }
        let mut index: Vec<u64> = (0..provided.num_samples as u64).collect();
        let mut batch = abi::Batch {
            struct_size: size_of::<abi::Batch>() as u32,
            reserved: 0,
            num_tensors: tensors.len(),
            tensors: tensors.as_ptr(),
            num_samples: index.len(),
            index: index.as_mut_ptr(),
            pad: 0,
        };
        let (context, instance) = (self.table.context, self.instance);
        // SAFETY: a function of the table, called as the header says: the tensors are written while `fresh` has them alone.
        if !call_next(|message| unsafe { next(context, instance, &raw mut batch, message) })? {
            return Ok(None);
        }
        if batch.pad >= provided.num_samples {
            let (pad, n) = (batch.pad, provided.num_samples);
            return refuse(format!("says that {pad} of {n} samples are padding, wanted less than all"));
        }
        let mut data = fresh;
        let label = data.split_off(provided.num_data);
        Ok(Some(Batch { data, label, pad: batch.pad, index }))
    }

    fn try_save(&self) -> Result<Vec<u8>> {
        let Some(save) = self.table.save else {
            return Err(Error::Contract("this iterator cannot save its state".to_string()));
        };
        let mut state = State { bytes: Vec::new(), is_broken: false };
        let sink = abi::Sink { host: (&raw mut state).cast(), append: Some(append) };
        // SAFETY: a function of the table, called as the header says; not at the same time as others, since `self` is not `Sync`.
        call(|message| unsafe { save(self.table.context, self.instance, &raw const sink, message) })?;
        if state.is_broken {
            return refuse(format!("saves more than {MOST_STATE_BYTES} bytes, or bytes that are not there"));
        }
        Ok(state.bytes)
    }
}

/// What [`abi::Sink::host`] leads to.
struct State {
    bytes: Vec<u8>,
    is_broken: bool,
}

/// # Safety
/// `host` leads to a [`State`] that nobody else uses, and `bytes` to as many.
unsafe extern "C" fn append(host: *mut c_void, bytes: *const u8, num_bytes: usize) {
    // SAFETY: by the contract.
    let state = unsafe { &mut *host.cast::<State>() };
    let fits = state.bytes.len().checked_add(num_bytes).is_some_and(|n| n <= MOST_STATE_BYTES);
    if !fits || (bytes.is_null() && num_bytes > 0) {
        state.is_broken = true;
    } else if num_bytes > 0 {
        // SAFETY: by the contract.
        state.bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(bytes, num_bytes) });
    }
}

fn destroy(table: &abi::Iterator, instance: *mut c_void) {
    if let Some(destroy) = table.destroy {
        // SAFETY: made by `create` of the same table, and not used again.
        unsafe { destroy(table.context, instance) };
    }
}

impl DataIter for PluginIterator {
    fn provide_data(&self) -> Vec<DataDesc> {
        self.provided.fields[..self.provided.num_data].to_vec()
    }

    fn provide_label(&self) -> Vec<DataDesc> {
        self.provided.fields[self.provided.num_data..].to_vec()
    }

    fn next(&mut self) -> Result<Option<Batch>> {
        let batch = self.try_next();
        self.named(batch)
    }

    fn reset(&mut self, epoch: u64) -> Result<()> {
        let (context, instance) = (self.table.context, self.instance);
        let done = match self.table.reset {
            // SAFETY: a function of the table, called as the header says.
            Some(reset) => call(|message| unsafe { reset(context, instance, epoch, message) }),
            None => refuse("has no reset".to_string()),
        };
        self.named(done)
    }

    fn num_batches(&self) -> Option<usize> {
        self.provided.num_batches
    }

    fn save_state(&self) -> Result<Vec<u8>> {
        self.named(self.try_save())
    }

    fn restore_state(&mut self, state: &[u8]) -> Result<()> {
        let (context, instance) = (self.table.context, self.instance);
        let done = match self.table.restore {
            Some(restore) => {
                // SAFETY: a function of the table, called as the header says.
                call(|message| unsafe { restore(context, instance, state.as_ptr(), state.len(), message) })
            }
            None => Err(Error::Contract("this iterator cannot restore a state".to_string())),
        };
        self.named(done)
    }
}

impl Drop for PluginIterator {
    fn drop(&mut self) {
        destroy(&self.table, self.instance);
    }
}
