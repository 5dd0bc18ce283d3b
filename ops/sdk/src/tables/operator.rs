//! The table of an operator.
#![expect(unsafe_code, reason = "functions that the host calls")]

use super::size;
use crate::boundary::{guard, leak_list, leak_text, leak_texts, lock};
use crate::context::list;
use crate::gradient::Sort;
use crate::half::{BF16, F16};
use crate::params::leak_params;
use crate::pending::start;
use crate::{Call, Context, DType, DTypes, Error, Graph, Names, Operator, Param, Params, PartialShape, Result, Shapes};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::Mutex;
use varflow_abi::{Completion, DLDataType, Kernel, Message, Pair, Run, Status, Value, device, flags, status};

/// What the functions of an operator's table find at their `context`.
struct Schema {
    params: Vec<Param>,
}

/// A kernel's instance.
struct Instance<O> {
    op: O,
    mutated: Vec<usize>,
    is_train: bool,
}

/// Builds the table, which stays for the rest of the process.
pub(crate) fn table<O: Operator>() -> &'static varflow_abi::Operator {
    let schema: &'static Schema = Box::leak(Box::new(Schema { params: O::params() }));
    let context = ptr::from_ref(schema).cast_mut().cast::<c_void>();
    let params = leak_params(&schema.params);
    let in_place = pairs(O::IN_PLACE);
    let mutated = positions(O::MUTATED);
    let kernels = leak_list(vec![kernel::<O, false>(context)]);
    let flag = |is: bool, flag: u32| if is { flag } else { 0 };
    Box::leak(Box::new(varflow_abi::Operator {
        struct_size: size::<varflow_abi::Operator>(),
        flags: flag(O::IS_VARIADIC, flags::VARIADIC)
            | flag(O::IS_RANDOM, flags::RANDOM)
            | flag(O::IS_LOSS, flags::LOSS),
        name: leak_text(O::NAME),
        doc: leak_text(O::DOC),
        aliases: leak_texts(O::ALIASES),
        inputs: leak_texts(O::INPUTS),
        auxiliaries: leak_texts(O::AUXILIARIES),
        outputs: leak_texts(O::OUTPUTS),
        num_hidden_outputs: O::NUM_HIDDEN_OUTPUTS,
        num_params: params.len(),
        params: params.as_ptr(),
        num_inplace: in_place.len(),
        inplace: in_place.as_ptr(),
        num_mutated: mutated.len(),
        mutated: mutated.as_ptr(),
        examples: leak_texts(O::EXAMPLES),
        context,
        check: Some(check::<O>),
        names: O::NAMES.map(|_| names::<O> as _),
        infer_shape: Some(infer_shape::<O>),
        infer_dtype: Some(infer_dtype::<O>),
        backward: if O::GRADIENT.sort == Sort::Kernel { backward::<O>(context) } else { ptr::null() },
        gradient: (O::GRADIENT.sort == Sort::Nodes).then_some(gradient::<O> as _),
        num_kernels: kernels.len(),
        kernels: kernels.as_ptr(),
        flops: O::FLOPS.map(|_| flops::<O> as _),
        is_cheap: Some(is_cheap::<O>),
        per_sample: Some(per_sample::<O>),
        view: Some(view::<O>),
    }))
}

fn kernel<O: Operator, const BACKWARD: bool>(context: *mut c_void) -> *const Kernel {
    let dtypes = leak_list(O::DTYPES.iter().map(|d| d.to_abi()).collect());
    let is_async = O::IS_ASYNC && !BACKWARD;
    Box::leak(Box::new(Kernel {
        struct_size: size::<Kernel>(),
        device: device::CPU,
        num_dtypes: dtypes.len(),
        dtypes: dtypes.as_ptr(),
        context,
        create: Some(create::<O, BACKWARD>),
        destroy: Some(destroy::<O>),
        run: Some(run::<O, BACKWARD>),
        run_async: is_async.then_some(run_async::<O> as _),
    }))
}

fn backward<O: Operator>(context: *mut c_void) -> *const varflow_abi::Backward {
    let gradient = O::GRADIENT;
    let (inputs, outputs) = (positions(gradient.inputs), positions(gradient.outputs));
    let (without, in_place) = (positions(gradient.without), pairs(gradient.in_place));
    let kernels = leak_list(vec![kernel::<O, true>(context)]);
    Box::leak(Box::new(varflow_abi::Backward {
        struct_size: size::<varflow_abi::Backward>(),
        reserved: 0,
        num_inputs: inputs.len(),
        inputs: inputs.as_ptr(),
        num_outputs: outputs.len(),
        outputs: outputs.as_ptr(),
        num_no_gradient: without.len(),
        no_gradient: without.as_ptr(),
        num_inplace: in_place.len(),
        inplace: in_place.as_ptr(),
        num_kernels: kernels.len(),
        kernels: kernels.as_ptr(),
    }))
}

fn positions(of: &[usize]) -> &'static [u32] {
    leak_list(of.iter().map(|p| *p as u32).collect())
}

fn pairs(of: &[(usize, usize)]) -> &'static [Pair] {
    leak_list(of.iter().map(|(i, o)| Pair { input: *i as u32, output: *o as u32 }).collect())
}

/// The use of an operator with these values.
///
/// # Safety
/// `context` is the table's; there is a value for each parameter.
unsafe fn with<O: Operator>(context: *mut c_void, values: *const Value) -> Result<O> {
    // SAFETY: by the contract; tables are never freed.
    let schema = unsafe { &*context.cast::<Schema>() };
    // SAFETY: by the contract.
    O::new(&unsafe { Params::from_abi(&schema.params, values) })
}

fn names_of<O: Operator>(op: &O, num_inputs: usize) -> Names {
    let mut names = O::NAMES.map_or_else(Names::usual::<O>, |names| names(op));
    if O::IS_VARIADIC {
        let n = num_inputs.saturating_sub(names.auxiliaries.len());
        names.inputs = (0..n).map(|i| format!("arg{i}")).collect();
    }
    names
}

/// A name for each of `n` tensors, whatever the names say.
fn padded(names: impl Iterator<Item = String>, n: usize, what: &str) -> Vec<String> {
    let mut names: Vec<_> = names.take(n).collect();
    (names.len()..n).for_each(|i| names.push(format!("{what} {i}")));
    names
}

fn all_names<O: Operator>(op: &O, num_inputs: usize, num_outputs: usize) -> (Vec<String>, Vec<String>) {
    let names = names_of(op, num_inputs);
    let inputs = names.inputs.into_iter().chain(names.auxiliaries);
    (padded(inputs, num_inputs, "input"), padded(names.outputs.into_iter(), num_outputs, "output"))
}

// Below: what the header says of each field of vf_operator and vf_kernel holds for the arguments, and makes the calls sound.

unsafe extern "C" fn check<O: Operator>(context: *mut c_void, values: *const Value, message: *mut Message) -> Status {
    // SAFETY: by the header.
    unsafe { guard(message, || with::<O>(context, values).map(|_| status::OK)) }
}

unsafe extern "C" fn names<O: Operator>(
    context: *mut c_void,
    values: *const Value,
    out: *mut varflow_abi::Names,
    message: *mut Message,
) -> Status {
    /// Each set of names is leaked once: the host keeps it.
    static LEAKED: Mutex<BTreeMap<Names, varflow_abi::Names>> = Mutex::new(BTreeMap::new());
    let body = || {
        // SAFETY: by the header.
        let op = unsafe { with::<O>(context, values) }?;
        let names = names_of(&op, 0);
        let mut leaked = lock(&LEAKED);
        let table = leaked.entry(names).or_insert_with_key(|names| varflow_abi::Names {
            struct_size: size::<varflow_abi::Names>(),
            reserved: 0,
            inputs: leak_texts(&names.inputs),
            auxiliaries: leak_texts(&names.auxiliaries),
            outputs: leak_texts(&names.outputs),
        });
        // SAFETY: by the header; its size stays what the host said it is.
        unsafe {
            (*out).inputs = table.inputs;
            (*out).auxiliaries = table.auxiliaries;
            (*out).outputs = table.outputs;
        }
        Ok(status::OK)
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

unsafe extern "C" fn infer_shape<O: Operator>(
    context: *mut c_void,
    values: *const Value,
    shapes: *mut varflow_abi::Shapes,
    message: *mut Message,
) -> Status {
    let body = || {
        // SAFETY: by the header.
        let (op, table) = unsafe { (with::<O>(context, values)?, read(shapes)?) };
        let (inputs, outputs) = all_names(&op, table.num_inputs, table.num_outputs);
        // SAFETY: by the header, there are as many.
        let (known_in, known_out) =
            unsafe { (list(table.inputs, table.num_inputs), list(table.outputs, table.num_outputs)) };
        let named = |names: Vec<String>, known: &[varflow_abi::Shape]| {
            names.into_iter().zip(known.iter().map(PartialShape::from_abi)).collect::<Vec<_>>()
        };
        let mut shapes = Shapes { inputs: named(inputs, known_in), outputs: named(outputs, known_out) };
        op.infer_shape(&mut shapes)?;
        for (to, shapes) in [(table.inputs, &shapes.inputs), (table.outputs, &shapes.outputs)] {
            for (i, (name, shape)) in shapes.iter().enumerate() {
                let shape = shape.to_abi().map_err(|e| Error::shape(format!("{name} {e}")))?;
                // SAFETY: as above; the slices that were read from are not used any more.
                unsafe { *to.add(i) = shape };
            }
        }
        Ok(status::OK)
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

unsafe extern "C" fn infer_dtype<O: Operator>(
    context: *mut c_void,
    values: *const Value,
    dtypes: *mut varflow_abi::DTypes,
    message: *mut Message,
) -> Status {
    let body = || {
        // SAFETY: by the header.
        let (op, table) = unsafe { (with::<O>(context, values)?, read(dtypes)?) };
        let (inputs, outputs) = all_names(&op, table.num_inputs, table.num_outputs);
        // SAFETY: by the header, there are as many.
        let (known_in, known_out) =
            unsafe { (list(table.inputs, table.num_inputs), list(table.outputs, table.num_outputs)) };
        let named = |names: Vec<String>, known: &[DLDataType]| {
            let known = known.iter().map(|d| DType::from_abi(*d));
            names.into_iter().zip(known).map(|(name, d)| Ok((name, d?))).collect::<Result<Vec<_>>>()
        };
        let mut dtypes = DTypes { inputs: named(inputs, known_in)?, outputs: named(outputs, known_out)? };
        op.infer_dtype(&mut dtypes)?;
        for (to, dtypes) in [(table.inputs, &dtypes.inputs), (table.outputs, &dtypes.outputs)] {
            for (i, (_, dtype)) in dtypes.iter().enumerate() {
                let Some(dtype) = dtype else { continue };
                // SAFETY: as above; the slices that were read from are not used any more.
                unsafe { *to.add(i) = dtype.to_abi() };
            }
        }
        Ok(status::OK)
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

unsafe extern "C" fn gradient<O: Operator>(
    context: *mut c_void,
    values: *const Value,
    gradient: *mut varflow_abi::Gradient,
    message: *mut Message,
) -> Status {
    let body = || {
        // SAFETY: by the header.
        let (op, mut graph) = unsafe { (with::<O>(context, values)?, Graph::new(gradient)?) };
        op.gradient(&mut graph).map(|()| status::OK)
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

/// Not known, if the operator cannot say.
unsafe extern "C" fn flops<O: Operator>(context: *mut c_void, call: *const varflow_abi::Call) -> f64 {
    let mut known = f64::NAN;
    let body = || {
        let Some(flops) = O::FLOPS else { return Ok(status::OK) };
        // SAFETY: by the header.
        known = unsafe { flops(&with::<O>(context, (*call).values)?, &Call::new(call)?) };
        Ok(status::OK)
    };
    // SAFETY: there is no message.
    unsafe { guard(ptr::null_mut(), body) };
    known
}

/// No, if the operator cannot say; so are the two below.
unsafe extern "C" fn is_cheap<O: Operator>(context: *mut c_void, values: *const Value) -> i32 {
    let mut is = false;
    let body = || {
        // SAFETY: by the header.
        is = unsafe { with::<O>(context, values) }?.is_cheap();
        Ok(status::OK)
    };
    // SAFETY: there is no message.
    unsafe { guard(ptr::null_mut(), body) };
    i32::from(is)
}

unsafe extern "C" fn per_sample<O: Operator>(
    context: *mut c_void,
    call: *const varflow_abi::Call,
    holds_samples: *mut u8,
) -> i32 {
    let mut is = false;
    let body = || {
        // SAFETY: by the header; `values` is among the first fields.
        let (op, call) = unsafe { (with::<O>(context, (*call).values)?, Call::new(call)?) };
        let inputs = op.per_sample(&call);
        is = inputs.is_some();
        for i in inputs.into_iter().flatten().filter(|i| *i < call.num_inputs()) {
            // SAFETY: by the header, there is one for each input.
            unsafe { *holds_samples.add(i) = 1 };
        }
        Ok(status::OK)
    };
    // SAFETY: there is no message.
    unsafe { guard(ptr::null_mut(), body) };
    i32::from(is)
}

unsafe extern "C" fn view<O: Operator>(context: *mut c_void, call: *const varflow_abi::Call) -> i64 {
    let mut offset = None;
    let body = || {
        // SAFETY: by the header; `values` is among the first fields.
        let (op, call) = unsafe { (with::<O>(context, (*call).values)?, Call::new(call)?) };
        offset = op.view(&call);
        Ok(status::OK)
    };
    // SAFETY: there is no message.
    unsafe { guard(ptr::null_mut(), body) };
    offset.and_then(|offset| i64::try_from(offset).ok()).unwrap_or(-1)
}

unsafe extern "C" fn create<O: Operator, const BACKWARD: bool>(
    context: *mut c_void,
    call: *const varflow_abi::Call,
    instance: *mut *mut c_void,
    workspace_bytes: *mut usize,
    message: *mut Message,
) -> Status {
    let body = || {
        // SAFETY: by the header; `values` is among the first fields.
        let mut op = unsafe { with::<O>(context, (*call).values) }?;
        // SAFETY: by the header.
        let call = unsafe { Call::new(call) }?;
        let bytes = if BACKWARD { op.prepare_backward(&call) } else { op.prepare(&call) }?;
        let mutated = if BACKWARD { Vec::new() } else { mutated(&op, call.num_inputs()) };
        let made = Box::new(Instance { op, mutated, is_train: call.is_train() });
        // SAFETY: by the header.
        unsafe {
            *workspace_bytes = bytes;
            *instance = Box::into_raw(made).cast();
        }
        Ok(status::OK)
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

/// The positions of the inputs that are mutated: auxiliary states come last.
fn mutated<O: Operator>(op: &O, num_inputs: usize) -> Vec<usize> {
    let num_auxiliaries = names_of(op, num_inputs).auxiliaries.len();
    let auxiliaries = num_inputs.saturating_sub(num_auxiliaries)..num_inputs;
    O::MUTATED.iter().copied().chain(auxiliaries).collect()
}

unsafe extern "C" fn destroy<O: Operator>(_context: *mut c_void, instance: *mut c_void) {
    let body = || {
        if !instance.is_null() {
            // SAFETY: `create` made it, and the host does not use it any more.
            drop(unsafe { Box::from_raw(instance.cast::<Instance<O>>()) });
        }
        Ok(status::OK)
    };
    // SAFETY: there is no message.
    unsafe { guard(ptr::null_mut(), body) };
}

unsafe extern "C" fn run<O: Operator, const BACKWARD: bool>(
    _context: *mut c_void,
    instance: *mut c_void,
    run: *const Run,
    message: *mut Message,
) -> Status {
    let body = || {
        // SAFETY: `create` made the instance; the rest by the header.
        let (instance, ctx) = unsafe {
            let instance = &*instance.cast::<Instance<O>>();
            (instance, Context::new(run, &instance.mutated, instance.is_train)?)
        };
        compute::<O, BACKWARD>(&instance.op, &ctx).map(|()| status::OK)
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

fn compute<O: Operator, const BACKWARD: bool>(op: &O, ctx: &Context<'_>) -> Result<()> {
    let dtype = ctx.leading_dtype()?;
    match (dtype, BACKWARD) {
        _ if !O::DTYPES.contains(&dtype) => Err(unserved::<O>(dtype)),
        (DType::F32, false) => op.forward::<f32>(ctx),
        (DType::F64, false) => op.forward::<f64>(ctx),
        (DType::F16, false) => op.forward::<F16>(ctx),
        (DType::BF16, false) => op.forward::<BF16>(ctx),
        (_, false) => op.forward_other(dtype, ctx),
        (DType::F32, true) => op.backward::<f32>(ctx),
        (DType::F64, true) => op.backward::<f64>(ctx),
        (DType::F16, true) => op.backward::<F16>(ctx),
        (DType::BF16, true) => op.backward::<BF16>(ctx),
        (_, true) => Err(Error::dtype(format!("{} has no gradient for {dtype}", O::NAME))),
    }
}

fn unserved<O: Operator>(dtype: DType) -> Error {
    let served: Vec<_> = O::DTYPES.iter().map(|d| d.name()).collect();
    Error::dtype(format!("{} is handed {dtype}, wanted one of {}", O::NAME, served.join(", ")))
}

unsafe extern "C" fn run_async<O: Operator>(
    _context: *mut c_void,
    instance: *mut c_void,
    run: *const Run,
    done: Completion,
    message: *mut Message,
) -> Status {
    let body = || {
        // SAFETY: `create` made the instance, and the host keeps it and the run until `done` is completed.
        let (instance, ctx) = unsafe {
            let instance = &*instance.cast::<Instance<O>>();
            (instance, Context::new(run, &instance.mutated, instance.is_train)?)
        };
        let dtype = ctx.leading_dtype()?;
        if !O::DTYPES.contains(&dtype) {
            return Err(unserved::<O>(dtype));
        }
        // SAFETY: as above.
        unsafe {
            start(ctx, done, |pending| match dtype {
                DType::F32 => instance.op.start::<f32>(pending),
                DType::F64 => instance.op.start::<f64>(pending),
                DType::F16 => instance.op.start::<F16>(pending),
                DType::BF16 => instance.op.start::<BF16>(pending),
                _ => pending.finish_with(|ctx| instance.op.forward_other(dtype, ctx)),
            })
        }
    };
    // SAFETY: by the header.
    unsafe { guard(message, body) }
}

/// # Safety
/// `table` is the host's.
unsafe fn read<T: varflow_abi::Table>(table: *const T) -> Result<T> {
    // SAFETY: by the contract.
    unsafe { varflow_abi::read(table) }
        .map_err(|size| Error::new(format!("a table of the host has {size} bytes, which is none")))
}
