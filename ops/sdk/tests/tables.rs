//! The tables that the SDK makes, called as a host calls them.
// Each block calls a table with arguments made beside it, as the header wants them.
#![allow(clippy::unwrap_used, clippy::undocumented_unsafe_blocks, unsafe_code)]

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;
use varflow_sdk::abi::{
    self, Call, Completion, DLDataType, DLDevice, DLTensor, Kernel, Message, Run, Status, Text, Value, kind, status,
    type_code,
};
use varflow_sdk::prelude::*;
use varflow_sdk::{Plugin, Random};

const F32: DLDataType = DLDataType { code: type_code::FLOAT, bits: 32, lanes: 1 };
const F64: DLDataType = DLDataType { code: type_code::FLOAT, bits: 64, lanes: 1 };
const I32: DLDataType = DLDataType { code: type_code::INT, bits: 32, lanes: 1 };

fn tensor(data: *mut c_void, dtype: DLDataType, shape: &[i64]) -> DLTensor {
    DLTensor {
        data,
        device: DLDevice { device_type: abi::device::CPU, device_id: 0 },
        ndim: shape.len() as i32,
        dtype,
        shape: shape.as_ptr().cast_mut(),
        strides: ptr::null_mut(),
        byte_offset: 0,
    }
}

/// Runs every other piece on a thread of its own.
unsafe extern "C" fn spread(_: *mut c_void, n: usize, body: Option<abi::Body>, closure: *mut c_void) {
    let (body, closure) = (body.unwrap(), closure as usize);
    thread::scope(|scope| {
        for first in 0..2 {
            scope.spawn(move || (first..n).step_by(2).for_each(|i| unsafe { body(closure as *mut c_void, i) }));
        }
    });
}

unsafe extern "C" fn random(_: *mut c_void, first: u64, out: *mut u32, n: usize) {
    (0..n).for_each(|k| unsafe { *out.add(k) = (first as u32 + k as u32).wrapping_mul(0x9e37_79b9) });
}

fn run_of(inputs: &[DLTensor], outputs: &[DLTensor]) -> Run {
    Run {
        struct_size: size_of::<Run>() as u32,
        reserved: 0,
        num_inputs: inputs.len(),
        num_outputs: outputs.len(),
        inputs: inputs.as_ptr(),
        outputs: outputs.as_ptr(),
        workspace: ptr::null_mut(),
        workspace_bytes: 0,
        stream: ptr::null_mut(),
        host: ptr::null_mut(),
        width: 2,
        parallel_for: Some(spread),
        random: Some(random),
    }
}

fn told(body: impl FnOnce(*mut Message) -> Status) -> (Status, String) {
    let mut buffer = [0 as c_char; 200];
    let mut message = Message { text: buffer.as_mut_ptr(), capacity: buffer.len() };
    let status = body(&raw mut message);
    (status, unsafe { CStr::from_ptr(buffer.as_ptr()) }.to_string_lossy().into_owned())
}

fn float(number: f64) -> Value {
    let none = DLDataType { code: 0, bits: 0, lanes: 0 };
    let (text, items) = (ptr::null(), ptr::null());
    Value { kind: kind::FLOAT, dtype: none, integer: 0, number, text, items, num_items: 0 }
}

fn operator<O: Operator>() -> abi::Operator {
    let plugin = Plugin::new("test", "0").operator::<O>().leak();
    unsafe { **plugin.operators }
}

/// Makes an instance, runs it once, destroys it.
fn run_kernel(kernel: &Kernel, values: &[Value], run: &Run) -> (Status, String) {
    let wanted = vec![1; run.num_outputs];
    let call = Call {
        struct_size: size_of::<Call>() as u32,
        is_train: 1,
        node: c"node".as_ptr(),
        values: values.as_ptr(),
        num_inputs: run.num_inputs,
        num_outputs: run.num_outputs,
        inputs: run.inputs,
        outputs: run.outputs,
        wanted: wanted.as_ptr(),
    };
    let (mut instance, mut bytes) = (ptr::null_mut(), 0);
    let made = told(|m| unsafe {
        kernel.create.unwrap()(kernel.context, &raw const call, &raw mut instance, &raw mut bytes, m)
    });
    if made.0 != status::OK {
        return made;
    }
    let mut space = vec![0_u64; bytes.div_ceil(8)];
    let mut run = *run;
    if bytes > 0 {
        (run.workspace, run.workspace_bytes) = (space.as_mut_ptr().cast(), bytes);
    }
    let result = match kernel.run_async {
        None => told(|m| unsafe { kernel.run.unwrap()(kernel.context, instance, &raw const run, m) }),
        Some(run_async) => {
            let (sender, receiver) = channel();
            let token = Box::into_raw(Box::new(sender)).cast();
            let done = Completion { token, complete: Some(complete) };
            let started = told(|m| unsafe { run_async(kernel.context, instance, &raw const run, done, m) });
            if started.0 == status::OK {
                receiver.recv_timeout(Duration::from_secs(20)).expect("completed within 20 s")
            } else {
                drop(unsafe { Box::from_raw(token.cast::<Sender<(Status, String)>>()) });
                assert!(receiver.recv().is_err(), "completed, and yet refused");
                started
            }
        }
    };
    unsafe { kernel.destroy.unwrap()(kernel.context, instance) };
    result
}

unsafe extern "C" fn complete(token: *mut c_void, status: Status, message: Text) {
    let sender = unsafe { Box::from_raw(token.cast::<Sender<(Status, String)>>()) };
    let text = if message.is_null() { "".into() } else { unsafe { CStr::from_ptr(message) }.to_string_lossy() };
    sender.send((status, text.into_owned())).unwrap();
}

fn forward<O: Operator>(values: &[Value], inputs: &[DLTensor], outputs: &[DLTensor]) -> (Status, String) {
    let table = operator::<O>();
    run_kernel(unsafe { &**table.kernels }, values, &run_of(inputs, outputs))
}

fn f32s(data: &mut [f32], shape: &[i64]) -> DLTensor {
    tensor(data.as_mut_ptr().cast(), F32, shape)
}

fn ok() -> (Status, String) {
    (status::OK, String::new())
}

/// output = scale · data
struct Scale(f64);

impl Operator for Scale {
    const NAME: &'static str = "Scale";
    const DOC: &'static str = "output = scale · data.";
    const IN_PLACE: &'static [(usize, usize)] = &[(0, 0)];
    const GRADIENT: Gradient = Gradient::kernel();

    fn params() -> Vec<Param> {
        vec![Param::float("scale", "The factor.").range(-10.0..=10.0)]
    }
    fn new(params: &Params) -> Result<Self> {
        match params.float("scale") {
            0.0 => Err(Error::param("scale is 0, wanted another number")),
            scale => Ok(Scale(scale)),
        }
    }
    fn forward<T: Float>(&self, ctx: &Context) -> Result<()> {
        let scale = T::from_f64(self.0);
        ctx.output::<T>(0)?.map(&ctx.input::<T>(0)?, |x| scale * x)
    }
    fn backward<T: Float>(&self, ctx: &Context) -> Result<()> {
        self.forward::<T>(ctx)
    }
}

#[test]
fn elementwise_apart_and_in_place() {
    let n = 100_000;
    let mut x: Vec<f32> = (0..n).map(|i| i as f32).collect();
    let mut y = vec![f32::NAN; n];
    let shape = [n as i64];
    assert_eq!(forward::<Scale>(&[float(2.0)], &[f32s(&mut x, &shape)], &[f32s(&mut y, &shape)]), ok());
    assert!(y.iter().enumerate().all(|(i, y)| *y == 2.0 * i as f32));
    let same = f32s(&mut x, &shape);
    assert_eq!(forward::<Scale>(&[float(3.0)], &[same], &[same]), ok());
    assert!(x.iter().enumerate().all(|(i, x)| *x == 3.0 * i as f32));
    let mut wide = [1.0_f64, 2.0];
    let wide = tensor(wide.as_mut_ptr().cast(), F64, &[2]);
    assert_eq!(forward::<Scale>(&[float(2.0)], &[wide], &[wide]), ok());
}

#[test]
fn memory_that_is_shared_askew_is_refused() {
    let mut x = [0.0_f32; 8];
    let (a, b) = (f32s(&mut x[..4], &[4]), f32s(&mut x[2..6], &[4]));
    let (code, message) = forward::<Scale>(&[float(2.0)], &[a], &[b]);
    assert_eq!(code, status::ERROR);
    assert!(message.contains("overlaps"), "{message}");
}

#[test]
fn bad_uses_say_what_is_wanted() {
    let (mut x, mut y) = ([0.0_f32; 4], [0.0_f32; 3]);
    let (x, y) = (f32s(&mut x, &[4]), f32s(&mut y, &[3]));
    assert_eq!(
        forward::<Scale>(&[float(0.0)], &[x], &[x]),
        (status::BAD_PARAM, "scale is 0, wanted another number".to_string())
    );
    assert_eq!(forward::<Scale>(&[float(1.0)], &[x], &[y]).0, status::BAD_SHAPE);
    let whole = DLTensor { dtype: I32, ..x };
    assert_eq!(
        forward::<Scale>(&[float(1.0)], &[whole], &[whole]),
        (status::BAD_DTYPE, "Scale is handed int32, wanted one of float32, float64".to_string())
    );
    let mixed = DLTensor { dtype: I32, ..y };
    assert_eq!(forward::<Scale>(&[float(1.0)], &[x], &[mixed]).0, status::BAD_DTYPE);
    let negative = f32s(&mut [], &[-3]);
    assert_eq!(forward::<Scale>(&[float(1.0)], &[negative], &[negative]).0, status::BAD_SHAPE);
    let huge = f32s(&mut [], &[i64::MAX, i64::MAX]);
    assert_eq!(forward::<Scale>(&[float(1.0)], &[huge], &[huge]).0, status::BAD_SHAPE);
    let small = Run { struct_size: 8, ..run_of(&[x], &[x]) };
    let table = operator::<Scale>();
    assert_eq!(run_kernel(unsafe { &**table.kernels }, &[float(1.0)], &small).0, status::ERROR);
    // Nothing to compute, nowhere to put it.
    let none = tensor(ptr::null_mut(), F32, &[0]);
    assert_eq!(forward::<Scale>(&[float(1.0)], &[none], &[none]), ok());
}

#[test]
fn the_table_says_what_the_trait_says() {
    let table = operator::<Scale>();
    let text = |t: Text| unsafe { CStr::from_ptr(t) }.to_str().unwrap();
    assert_eq!((text(table.name), text(table.doc)), ("Scale", "output = scale · data."));
    let param = unsafe { **table.params };
    assert_eq!((text(param.name), param.kind, param.default_value.is_null()), ("scale", kind::FLOAT, true));
    assert_eq!((param.float_min, param.float_max), (-10.0, 10.0));
    let backward = unsafe { *table.backward };
    assert_eq!((backward.num_inputs, backward.num_kernels), (0, 1));
    assert!(table.gradient.is_none() && table.names.is_none() && table.flops.is_none());
    let values = [float(0.0)];
    assert_eq!(told(|m| unsafe { table.check.unwrap()(table.context, values.as_ptr(), m) }).0, status::BAD_PARAM);
}

/// Says all that planners may make use of.
struct Sayer {
    scale: f64,
}

impl Operator for Sayer {
    const NAME: &'static str = "Sayer";
    const DOC: &'static str = "Says things.";
    fn params() -> Vec<Param> {
        vec![Param::float("scale", "What it says goes by this.")]
    }
    fn new(params: &Params) -> Result<Self> {
        Ok(Sayer { scale: params.float("scale") })
    }
    fn is_cheap(&self) -> bool {
        self.scale > 0.0
    }
    fn per_sample(&self, call: &Call_) -> Option<Vec<usize>> {
        assert!(self.scale < 9.0, "a fault");
        (call.input_shape(0).ok()?.len() > 1).then(|| vec![1, 7])
    }
    fn view(&self, call: &Call_) -> Option<usize> {
        Some(4 * (call.input_shape(0).ok()?[0] - call.output_shape(0).ok()?[0]))
    }
    fn forward<T: Float>(&self, _: &Context) -> Result<()> {
        Ok(())
    }
}

#[test]
fn planners_are_told_what_the_trait_says() {
    let table = operator::<Sayer>();
    let call = |values: &[Value], inputs: &[DLTensor], outputs: &[DLTensor]| Call {
        struct_size: size_of::<Call>() as u32,
        is_train: 0,
        node: c"".as_ptr(),
        values: values.as_ptr(),
        num_inputs: inputs.len(),
        num_outputs: outputs.len(),
        inputs: inputs.as_ptr(),
        outputs: outputs.as_ptr(),
        wanted: ptr::null(),
    };
    let cheap = |scale| unsafe { table.is_cheap.unwrap()(table.context, [float(scale)].as_ptr()) };
    assert_eq!((cheap(1.0), cheap(-1.0)), (1, 0));
    let of = |shape: &'static [i64]| tensor(ptr::null_mut(), F32, shape);
    let samples = |scale, shape| {
        let (values, inputs, mut holds) = ([float(scale)], [of(shape), of(shape)], [0; 2]);
        let told = call(&values, &inputs, &[]);
        (unsafe { table.per_sample.unwrap()(table.context, &raw const told, holds.as_mut_ptr()) }, holds)
    };
    assert_eq!(samples(1.0, &[2, 3]), (1, [0, 1]), "an input that is not there is left out");
    assert_eq!(samples(1.0, &[2]), (0, [0, 0]));
    assert_eq!(samples(9.0, &[2, 3]), (0, [0, 0]), "a panic says nothing");
    let (values, inputs, outputs) = ([float(1.0)], [of(&[5])], [of(&[2])]);
    let view = |outputs: &[DLTensor]| {
        let told = call(&values, &inputs, outputs);
        unsafe { table.view.unwrap()(table.context, &raw const told) }
    };
    assert_eq!((view(&outputs), view(&[])), (12, -1));
}

#[test]
fn shapes_go_both_ways_and_contradictions_name_both() {
    let table = operator::<Scale>();
    let shape = |dims: &[i64]| {
        let mut all = [-1; abi::MAX_NDIM];
        all[..dims.len()].copy_from_slice(dims);
        abi::Shape { ndim: dims.len() as i32, reserved: 0, dims: all }
    };
    let infer = |input: abi::Shape, output: abi::Shape| {
        let (mut inputs, mut outputs) = ([input], [output]);
        let mut shapes = abi::Shapes {
            struct_size: size_of::<abi::Shapes>() as u32,
            reserved: 0,
            num_inputs: 1,
            num_outputs: 1,
            inputs: inputs.as_mut_ptr(),
            outputs: outputs.as_mut_ptr(),
        };
        let values = [float(1.0)];
        let result =
            told(|m| unsafe { table.infer_shape.unwrap()(table.context, values.as_ptr(), &raw mut shapes, m) });
        (result, inputs[0].dims[..3].to_vec(), outputs[0].dims[..3].to_vec())
    };
    let (result, inputs, outputs) = infer(shape(&[2, -1]), shape(&[-1, 3]));
    assert_eq!((result, inputs, outputs), (ok(), vec![2, 3, -1], vec![2, 3, -1]));
    let (result, ..) = infer(shape(&[2, 3]), shape(&[2, 4]));
    assert_eq!(result, (status::BAD_SHAPE, "output has shape (2, 4), wanted (2, 3) from data (2, 3)".to_string()));
}

/// What goes wrong, by its parameter.
struct Faulty(i64);

impl Operator for Faulty {
    const NAME: &'static str = "Faulty";
    const DOC: &'static str = "Does what should not be done.";
    const IN_PLACE: &'static [(usize, usize)] = &[(0, 0)];

    fn params() -> Vec<Param> {
        vec![Param::float("how", "What goes wrong.")]
    }
    fn new(params: &Params) -> Result<Self> {
        Ok(Faulty(params.float("how") as i64))
    }
    fn prepare(&mut self, _: &Call_) -> Result<usize> {
        Ok(if self.0 == 6 { 64 } else { 0 })
    }
    fn forward<T: Float>(&self, ctx: &Context) -> Result<()> {
        match self.0 {
            0 => panic!("it is broken"),
            1 => ctx.output::<T>(0)?.map(&ctx.input::<T>(0)?, |_| panic!("inside a loop")),
            2 => ctx.input::<T>(0)?.as_slice().map(|_| ()),
            3 => ctx.output::<T>(0)?.into_slice().map(|_| ()),
            4 => ctx.output::<T>(0).and_then(|_| ctx.output::<T>(0)).map(|_| ()),
            5 => ctx.workspace::<T>().map(|_| ()),
            6 => {
                assert_eq!(ctx.workspace::<f64>()?.len(), 8);
                ctx.workspace::<f64>().map(|_| ())
            }
            7 => ctx.mutated::<T>(0).map(|_| ()),
            8 => ctx.input::<T>(7).map(|_| ()),
            9 => std::panic::panic_any(7),
            _ => Ok(()),
        }
    }
}
type Call_<'a> = varflow_sdk::Call<'a>;

#[test]
fn faults_become_errors() {
    let mut x = vec![1.0_f32; 40_000];
    let x = f32s(&mut x, &[40_000]);
    let fault = |how: i64| forward::<Faulty>(&[float(how as f64)], &[x], &[x]);
    assert_eq!(fault(0), (status::PANICKED, "it is broken".to_string()));
    assert_eq!(fault(1), (status::PANICKED, "inside a loop".to_string()));
    let shared = |sort| format!("a slice is asked for of what has the same memory as {sort} 0: compute it by map()");
    assert_eq!(fault(2), (status::ERROR, shared("output")));
    assert_eq!(fault(3), (status::ERROR, shared("input")));
    assert_eq!(fault(4).1, "output 0 is asked for twice");
    assert_eq!(fault(5), ok());
    assert_eq!(fault(6).1, "workspace 0 is asked for twice");
    assert_eq!(fault(7).1, "input 0 is not declared as mutated");
    assert_eq!(fault(8).1, "input 7 is asked for, and there are 1");
    assert_eq!(fault(9), (status::PANICKED, "a panic without a message".to_string()));
    assert_eq!(fault(10), ok());
}

/// Asynchronous, and what goes wrong with it.
struct Later(i64);

impl Operator for Later {
    const NAME: &'static str = "Later";
    const DOC: &'static str = "output = data, later.";
    const IS_ASYNC: bool = true;

    fn params() -> Vec<Param> {
        vec![Param::float("how", "What goes wrong.")]
    }
    fn new(params: &Params) -> Result<Self> {
        Ok(Later(params.float("how") as i64))
    }
    fn forward<T: Float>(&self, ctx: &Context) -> Result<()> {
        ctx.output::<T>(0)?.copy_from(&ctx.input::<T>(0)?)
    }
    fn start<T: Float>(&self, run: Pending) {
        let how = self.0;
        match how {
            0 => drop(run),
            1 => panic!("before it began"),
            7 => run.finish_with(|ctx| self.forward::<T>(ctx)),
            9 => {
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                    let _run = run;
                    panic!("caught by the plug-in");
                }));
            }
            _ => {
                let (go, wait) = channel::<()>();
                let later = thread::spawn(move || {
                    let _ = wait.recv();
                    match how {
                        2 => drop(run),
                        3 => panic!("elsewhere"),
                        4 => run.finish_with(|_| panic!("while computing")),
                        5 => run.complete(Err(Error::data("a broken record"))),
                        _ => run.finish_with(|ctx| Later(0).forward::<T>(ctx)),
                    }
                });
                if how == 8 {
                    drop(go);
                    let _ = later.join();
                    panic!("after it was done");
                }
            }
        }
    }
}

#[test]
fn asynchronous_runs_complete_once_whatever_happens() {
    let (mut x, mut y) = ([1.0_f32, 2.0], [0.0_f32; 2]);
    let (tx, ty) = (f32s(&mut x, &[2]), f32s(&mut y, &[2]));
    let later = |how: i64| forward::<Later>(&[float(how as f64)], &[tx], &[ty]);
    assert_eq!(later(0), (status::ERROR, "the plug-in dropped this run without completing it".to_string()));
    assert_eq!(later(1), (status::PANICKED, "before it began".to_string()));
    assert_eq!(later(2).1, "the plug-in dropped this run without completing it");
    assert_eq!(later(3), (status::PANICKED, "the thread that was to complete this run panicked".to_string()));
    assert_eq!(later(4), (status::PANICKED, "while computing".to_string()));
    assert_eq!(later(5), (status::BAD_DATA, "a broken record".to_string()));
    assert_eq!(later(8), ok());
    assert_eq!(later(9), (status::PANICKED, "a panic that the plug-in caught dropped this run".to_string()));
    y.fill(0.0);
    assert_eq!(later(6), ok());
    assert_eq!(y, [1.0, 2.0]);
    y.fill(0.0);
    assert_eq!(later(7), ok());
    assert_eq!(y, [1.0, 2.0]);
}

/// Adds noise; draws in parallel.
struct Noise;

impl Operator for Noise {
    const NAME: &'static str = "Noise";
    const DOC: &'static str = "Uniform noise.";
    const IS_RANDOM: bool = true;
    fn new(_: &Params) -> Result<Self> {
        Ok(Noise)
    }
    fn forward<T: Float>(&self, ctx: &Context) -> Result<()> {
        let random: Random = ctx.random();
        ctx.output::<T>(0)?.par_chunks(100, |start, chunk| random.uniform(start as u64, chunk));
        Ok(())
    }
}

#[test]
fn random_numbers_do_not_depend_on_the_cut() {
    let mut y = vec![0.0_f32; 1000];
    let t = f32s(&mut y, &[1000]);
    assert_eq!(forward::<Noise>(&[], &[], &[t]), ok());
    let table = operator::<Noise>();
    let mut z = vec![0.0_f32; 1000];
    let t = [f32s(&mut z, &[1000])];
    let alone = Run { width: 1, ..run_of(&[], &t) };
    assert_eq!(run_kernel(unsafe { &**table.kernels }, &[], &alone), ok());
    assert_eq!(y, z);
    assert!(y.iter().all(|v| (0.0..1.0).contains(v)) && y.iter().any(|v| *v != y[0]));
}

/// The mean, and copies.
struct Mean;

impl Reduction for Mean {
    const NAME: &'static str = "mean";
    const DOC: &'static str = "The mean of what was pushed.";
    const IS_ASYNC: bool = true;
    const ORDERING_KEY: Option<fn(&Self, &str) -> u64> = Some(|_, key| key.len() as u64);
    fn reduce<T: Float>(&self, key: &str, ctx: &Context) -> Result<()> {
        if key == "bad" {
            return Err(Error::data("no such key"));
        }
        let mut y = ctx.output::<T>(0)?;
        y.copy_from(&ctx.input::<T>(0)?)?;
        (1..ctx.num_inputs()).try_for_each(|i| y.update(&ctx.input::<T>(i)?, |y, x| y + x))?;
        let n = T::from_f64(ctx.num_inputs() as f64);
        y.par_chunks(1024, |_, chunk| chunk.iter_mut().for_each(|y| *y = *y / n));
        Ok(())
    }
}

#[test]
fn reductions() {
    let plugin = Plugin::new("test", "0").reduction(Mean).leak();
    let table = unsafe { **plugin.reductions };
    assert_eq!(unsafe { table.ordering_key.unwrap()(table.context, c"abc".as_ptr()) }, 3);
    let (mut a, mut b, mut y) = ([1.0_f32, 2.0], [3.0_f32, 6.0], [0.0_f32; 2]);
    let many = [f32s(&mut a, &[2]), f32s(&mut b, &[2])];
    let one = [f32s(&mut y, &[2])];
    let run = run_of(&many, &one);
    let reduce = |key: &CStr, run: &Run| {
        told(|m| unsafe { table.reduce.unwrap()(table.context, key.as_ptr(), ptr::from_ref(run), m) })
    };
    assert_eq!(reduce(c"w", &run), ok());
    assert_eq!(reduce(c"bad", &run), (status::BAD_DATA, "no such key".to_string()));
    let whole = [DLTensor { dtype: I32, ..one[0] }];
    assert_eq!(reduce(c"w", &run_of(&whole, &whole)).0, status::BAD_DTYPE);
    assert_eq!(y, [2.0, 4.0]);
    let run = run_of(&one, &many);
    let (sender, receiver) = channel::<(Status, String)>();
    let done = Completion { token: Box::into_raw(Box::new(sender)).cast(), complete: Some(complete) };
    let started =
        told(|m| unsafe { table.broadcast_async.unwrap()(table.context, c"w".as_ptr(), &raw const run, done, m) });
    assert_eq!(started, ok());
    assert_eq!(receiver.recv_timeout(Duration::from_secs(20)).unwrap(), ok());
    assert_eq!((a, b), ([2.0, 4.0], [2.0, 4.0]));
}

/// Counts to three.
struct Three(u8);

impl DataIter for Three {
    const NAME: &'static str = "Three";
    const DOC: &'static str = "Three batches.";
    const CAN_RESTORE: bool = true;
    fn new(_: &Params, part: Part) -> Result<Self> {
        if part.num_parts == 1 { Ok(Three(0)) } else { Err(Error::unsupported("one part only")) }
    }
    fn fields(&self) -> Vec<Field> {
        vec![Field::data("data", DType::F32, &[2, 1]), Field::label("label", DType::F32, &[2])]
    }
    fn next(&mut self, batch: &mut Batch) -> Result<Next> {
        if self.0 == 3 {
            return Ok(Next::End);
        }
        self.0 += 1;
        batch.tensor::<f32>(0)?.fill(f32::from(self.0));
        batch.tensor::<f32>(1)?.fill(0.0);
        assert!(batch.tensor::<f32>(1).is_err() && batch.tensor::<f32>(2).is_err());
        batch.index()[1] = 9;
        batch.set_pad(1);
        Ok(Next::Batch)
    }
    fn reset(&mut self, _: u64) -> Result<()> {
        self.0 = 0;
        Ok(())
    }
    fn save(&self) -> Result<Vec<u8>> {
        Ok(vec![self.0])
    }
    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.0 = *state.first().ok_or_else(|| Error::data("the state has 0 bytes, wanted 1"))?;
        Ok(())
    }
}

unsafe extern "C" fn append(host: *mut c_void, bytes: *const u8, n: usize) {
    unsafe { (*host.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes, n)) };
}

#[test]
fn iterators() {
    let plugin = Plugin::new("test", "0").iterator::<Three>().leak();
    let table = unsafe { **plugin.iterators };
    let size = size_of::<abi::Part>() as u32;
    let mut part = abi::Part { struct_size: size, part_index: 0, num_parts: 2, reserved: 0, seed: 0 };
    let mut it = ptr::null_mut();
    let create = |part: &abi::Part, it: &mut *mut c_void| {
        told(|m| unsafe { table.create.unwrap()(table.context, ptr::null(), ptr::from_ref(part), it, m) })
    };
    assert_eq!(create(&part, &mut it), (status::UNSUPPORTED, "one part only".to_string()));
    part.num_parts = 1;
    assert_eq!(create(&part, &mut it), ok());
    let mut provided: abi::Provided = unsafe { std::mem::zeroed() };
    assert_eq!(told(|m| unsafe { table.describe.unwrap()(table.context, it, &raw mut provided, m) }), ok());
    assert_eq!((provided.num_data, provided.num_label, provided.num_batches), (1, 1, -1));
    let label = unsafe { *provided.fields.add(1) };
    assert_eq!((label.ndim, unsafe { *label.shape }), (1, 2));

    let (mut x, mut y, mut index) = ([0.0_f32; 2], [5.0_f32; 2], [0, 1]);
    let tensors = [f32s(&mut x, &[2, 1]), f32s(&mut y, &[2])];
    let mut batch: abi::Batch = unsafe { std::mem::zeroed() };
    (batch.num_tensors, batch.tensors, batch.num_samples) = (2, tensors.as_ptr(), 2);
    batch.index = index.as_mut_ptr();
    let mut next = || told(|m| unsafe { table.next.unwrap()(table.context, it, &raw mut batch, m) }).0;
    assert_eq!((next(), next()), (status::OK, status::OK));
    let mut state = Vec::<u8>::new();
    let sink = abi::Sink { host: (&raw mut state).cast(), append: Some(append) };
    assert_eq!(told(|m| unsafe { table.save.unwrap()(table.context, it, &raw const sink, m) }), ok());
    assert_eq!((next(), next(), next()), (status::OK, status::END, status::END));
    let restore =
        |state: &[u8]| told(|m| unsafe { table.restore.unwrap()(table.context, it, state.as_ptr(), state.len(), m) });
    assert_eq!(restore(&state), ok());
    assert_eq!(restore(&[]), (status::BAD_DATA, "the state has 0 bytes, wanted 1".to_string()));
    assert_eq!((next(), next()), (status::OK, status::END));
    assert_eq!(told(|m| unsafe { table.reset.unwrap()(table.context, it, 1, m) }), ok());
    assert_eq!(next(), status::OK);
    assert_eq!((x, y, index, batch.pad), ([1.0; 2], [0.0; 2], [0, 9], 1));
    unsafe { table.destroy.unwrap()(table.context, it) };
}

#[test]
fn long_messages_are_cut_between_characters() {
    let table = operator::<Scale>();
    let values = [float(0.0)];
    for capacity in 0..60 {
        let mut buffer = [b'x' as c_char; 60];
        let mut message = Message { text: buffer.as_mut_ptr(), capacity };
        let code = unsafe { table.check.unwrap()(table.context, values.as_ptr(), &raw mut message) };
        assert_eq!(code, status::BAD_PARAM);
        let end = buffer.iter().position(|c| *c == 0);
        assert_eq!(end.is_some(), capacity > 0);
        assert!(end.is_none_or(|end| end < capacity));
    }
}
