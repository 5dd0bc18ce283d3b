//! The table of a kind of data iterators.
#![expect(unsafe_code, reason = "functions that the host calls")]

use super::size;
use crate::boundary::{c_text, guard, leak_text, leak_texts};
use crate::context::list;
use crate::iterator::{Batch, Next, Part};
use crate::params::leak_params;
use crate::{DataIter, Error, Param, Params, Result};
use std::ffi::{CString, c_void};
use std::ptr;
use varflow_abi::{Message, Provided, Sink, Status, Value, status};

/// What `create` finds at the table's `context`.
struct Schema {
    params: Vec<Param>,
}

/// An iterator, and what the host was told of its batches.
struct Instance<I> {
    iter: I,
    fields: Vec<varflow_abi::Field>,
    num_data: usize,
    num_batches: i64,
    /// What `fields` leads to.
    _names: Vec<CString>,
    _shapes: Vec<Vec<i64>>,
}

/// Builds the table, which stays for the rest of the process.
pub(crate) fn table<I: DataIter>() -> &'static varflow_abi::Iterator {
    let schema: &'static Schema = Box::leak(Box::new(Schema { params: I::params() }));
    let params = leak_params(&schema.params);
    Box::leak(Box::new(varflow_abi::Iterator {
        struct_size: size::<varflow_abi::Iterator>(),
        flags: 0,
        name: leak_text(I::NAME),
        doc: leak_text(I::DOC),
        num_params: params.len(),
        params: params.as_ptr(),
        examples: leak_texts(I::EXAMPLES),
        context: ptr::from_ref(schema).cast_mut().cast(),
        create: Some(create::<I>),
        destroy: Some(destroy::<I>),
        describe: Some(describe::<I>),
        next: Some(next::<I>),
        reset: Some(reset::<I>),
        save: I::CAN_RESTORE.then_some(save::<I> as _),
        restore: I::CAN_RESTORE.then_some(restore::<I> as _),
    }))
}

impl<I: DataIter> Instance<I> {
    fn new(iter: I) -> Result<Self> {
        let told = iter.fields();
        let num_data = told.iter().take_while(|f| !f.is_label).count();
        if let Some(data) = told[num_data..].iter().find(|f| !f.is_label) {
            return Err(Error::new(format!("the field {} is data and comes after a label", data.name)));
        }
        let names: Vec<_> = told.iter().map(|f| c_text(&f.name)).collect();
        let shapes: Vec<Vec<i64>> = told.iter().map(|f| f.shape.iter().map(|d| *d as i64).collect()).collect();
        let fields = told.iter().zip(&names).zip(&shapes).map(|((field, name), shape)| varflow_abi::Field {
            name: name.as_ptr(),
            dtype: field.dtype.to_abi(),
            ndim: shape.len() as i32,
            shape: shape.as_ptr(),
        });
        let fields = fields.collect();
        let num_batches = iter.num_batches().and_then(|n| i64::try_from(n).ok()).unwrap_or(-1);
        Ok(Instance { iter, fields, num_data, num_batches, _names: names, _shapes: shapes })
    }
}

// Below: what the header says of each field of vf_iterator holds for the arguments, and makes the calls sound. The functions of
// one instance are called one at a time.

unsafe extern "C" fn create<I: DataIter>(
    context: *mut c_void,
    values: *const Value,
    part: *const varflow_abi::Part,
    instance: *mut *mut c_void,
    message: *mut Message,
) -> Status {
    let body = || {
        // SAFETY: by the header; tables are never freed.
        let schema = unsafe { &*context.cast::<Schema>() };
        // SAFETY: by the header.
        let (params, part) = unsafe { (Params::from_abi(&schema.params, values), varflow_abi::read(part)) };
        let part = part.map_err(|size| Error::new(format!("the host's vf_part has {size} bytes, which is none")))?;
        let part = Part { index: part.part_index as usize, num_parts: part.num_parts as usize, seed: part.seed };
        let made = Box::new(Instance::new(I::new(&params, part)?)?);
        // SAFETY: by the header.
        unsafe { *instance = Box::into_raw(made).cast() };
        Ok(status::OK)
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

unsafe extern "C" fn destroy<I: DataIter>(_context: *mut c_void, instance: *mut c_void) {
    let body = || {
        if !instance.is_null() {
            // SAFETY: `create` made it, and the host does not use it any more.
            drop(unsafe { Box::from_raw(instance.cast::<Instance<I>>()) });
        }
        Ok(status::OK)
    };
    // SAFETY: there is no message.
    unsafe { guard(ptr::null_mut(), body) };
}

unsafe extern "C" fn describe<I: DataIter>(
    _context: *mut c_void,
    instance: *mut c_void,
    provided: *mut Provided,
    message: *mut Message,
) -> Status {
    let body = || {
        // SAFETY: `create` made the instance; the rest by the header. The size stays what the host said it is.
        unsafe {
            let instance = &*instance.cast::<Instance<I>>();
            (*provided).num_data = instance.num_data;
            (*provided).num_label = instance.fields.len() - instance.num_data;
            (*provided).fields = instance.fields.as_ptr();
            (*provided).num_batches = instance.num_batches;
        }
        Ok(status::OK)
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

unsafe extern "C" fn next<I: DataIter>(
    _context: *mut c_void,
    instance: *mut c_void,
    batch: *mut varflow_abi::Batch,
    message: *mut Message,
) -> Status {
    let body = || {
        // SAFETY: `create` made the instance; the rest by the header: fields of version 1 only are touched.
        let (iter, mut batch) = unsafe { (&mut (*instance.cast::<Instance<I>>()).iter, Batch::new(&mut *batch)) };
        Ok(match iter.next(&mut batch)? {
            Next::Batch => status::OK,
            Next::End => status::END,
        })
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

unsafe extern "C" fn reset<I: DataIter>(
    _context: *mut c_void,
    instance: *mut c_void,
    epoch: u64,
    message: *mut Message,
) -> Status {
    // SAFETY: `create` made the instance.
    let body = || unsafe { &mut (*instance.cast::<Instance<I>>()).iter }.reset(epoch).map(|()| status::OK);
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

unsafe extern "C" fn save<I: DataIter>(
    _context: *mut c_void,
    instance: *mut c_void,
    sink: *const Sink,
    message: *mut Message,
) -> Status {
    let body = || {
        // SAFETY: `create` made the instance; the rest by the header.
        let (iter, sink) = unsafe { (&(*instance.cast::<Instance<I>>()).iter, *sink) };
        let state = iter.save()?;
        let append = sink.append.ok_or_else(|| Error::new("the host takes no bytes"))?;
        // SAFETY: by the header.
        unsafe { append(sink.host, state.as_ptr(), state.len()) };
        Ok(status::OK)
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

unsafe extern "C" fn restore<I: DataIter>(
    _context: *mut c_void,
    instance: *mut c_void,
    bytes: *const u8,
    num_bytes: usize,
    message: *mut Message,
) -> Status {
    let body = || {
        // SAFETY: `create` made the instance; the rest by the header.
        let (iter, state) = unsafe { (&mut (*instance.cast::<Instance<I>>()).iter, list(bytes, num_bytes)) };
        iter.restore(state).map(|()| status::OK)
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}
