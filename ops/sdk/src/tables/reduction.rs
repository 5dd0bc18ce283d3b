//! The table of a kvstore reduction.
#![expect(unsafe_code, reason = "functions that the host calls")]

use super::size;
use crate::boundary::{guard, leak_text, text};
use crate::half::{BF16, F16};
use crate::pending::start;
use crate::{Context, DType, Error, Reduction, Result};
use std::ffi::c_void;
use std::ptr;
use varflow_abi::{Completion, Message, Run, Status, Text, status};

/// Builds the table, which stays, with the reduction, for the rest of the process.
pub(crate) fn table<R: Reduction>(reduction: R) -> &'static varflow_abi::Reduction {
    let context = Box::into_raw(Box::new(reduction)).cast();
    Box::leak(Box::new(varflow_abi::Reduction {
        struct_size: size::<varflow_abi::Reduction>(),
        flags: 0,
        name: leak_text(R::NAME),
        doc: leak_text(R::DOC),
        context,
        ordering_key: R::ORDERING_KEY.map(|_| ordering_key::<R> as _),
        reduce: Some(run::<R, false>),
        broadcast: Some(run::<R, true>),
        reduce_async: R::IS_ASYNC.then_some(run_async::<R, false> as _),
        broadcast_async: R::IS_ASYNC.then_some(run_async::<R, true> as _),
    }))
}

// Below: what the header says of each field of vf_reduction holds for the arguments, and makes the calls sound. `context` is the
// reduction that `table` leaked.

unsafe extern "C" fn ordering_key<R: Reduction>(context: *mut c_void, key: Text) -> u64 {
    let mut ordering = 0;
    let body = || {
        // SAFETY: by the header.
        let (reduction, key) = unsafe { (&*context.cast::<R>(), text(key)) };
        ordering = R::ORDERING_KEY.map_or(0, |of| of(reduction, &key));
        Ok(status::OK)
    };
    // SAFETY: there is no message.
    unsafe { guard(ptr::null_mut(), body) };
    ordering
}

unsafe extern "C" fn run<R: Reduction, const BROADCAST: bool>(
    context: *mut c_void,
    key: Text,
    run: *const Run,
    message: *mut Message,
) -> Status {
    let body = || {
        // SAFETY: by the header.
        let (reduction, key, ctx) = unsafe { (&*context.cast::<R>(), text(key), Context::new(run, &[], false)?) };
        match (served(&ctx)?, BROADCAST) {
            (Served::F32, false) => reduction.reduce::<f32>(&key, &ctx),
            (Served::F64, false) => reduction.reduce::<f64>(&key, &ctx),
            (Served::F16, false) => reduction.reduce::<F16>(&key, &ctx),
            (Served::BF16, false) => reduction.reduce::<BF16>(&key, &ctx),
            (Served::F32, true) => reduction.broadcast::<f32>(&key, &ctx),
            (Served::F64, true) => reduction.broadcast::<f64>(&key, &ctx),
            (Served::F16, true) => reduction.broadcast::<F16>(&key, &ctx),
            (Served::BF16, true) => reduction.broadcast::<BF16>(&key, &ctx),
        }?;
        Ok(status::OK)
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

unsafe extern "C" fn run_async<R: Reduction, const BROADCAST: bool>(
    context: *mut c_void,
    key: Text,
    run: *const Run,
    done: Completion,
    message: *mut Message,
) -> Status {
    let body = || {
        // SAFETY: by the header; the run stays until `done` is completed.
        let (reduction, key, ctx) = unsafe { (&*context.cast::<R>(), text(key), Context::new(run, &[], false)?) };
        let served = served(&ctx)?;
        // SAFETY: as above.
        unsafe {
            start(ctx, done, |pending| match (served, BROADCAST) {
                (Served::F32, false) => reduction.start_reduce::<f32>(&key, pending),
                (Served::F64, false) => reduction.start_reduce::<f64>(&key, pending),
                (Served::F16, false) => reduction.start_reduce::<F16>(&key, pending),
                (Served::BF16, false) => reduction.start_reduce::<BF16>(&key, pending),
                (Served::F32, true) => reduction.start_broadcast::<f32>(&key, pending),
                (Served::F64, true) => reduction.start_broadcast::<f64>(&key, pending),
                (Served::F16, true) => reduction.start_broadcast::<F16>(&key, pending),
                (Served::BF16, true) => reduction.start_broadcast::<BF16>(&key, pending),
            })
        }
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

/// The dtypes that the functions of a reduction are made for.
enum Served {
    F32,
    F64,
    F16,
    BF16,
}

fn served(ctx: &Context<'_>) -> Result<Served> {
    match ctx.leading_dtype()? {
        DType::F32 => Ok(Served::F32),
        DType::F64 => Ok(Served::F64),
        DType::F16 => Ok(Served::F16),
        DType::BF16 => Ok(Served::BF16),
        other => Err(Error::dtype(format!("values are {other}, wanted a floating-point type"))),
    }
}
