//! Calls kernels through their tables, on memory that is watched.
#![expect(unsafe_code, reason = "calls the functions of a plug-in's kernel")]

use super::cases::Case;
use super::guarded::{Guarded, Place};
use super::protocol::Block;
use std::ffi::{CStr, CString, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use varflow::ops::plugin::{Values, to_dlpack};
use varflow::ops::{Philox, TensorDesc};
use varflow_abi::{self as abi, DLDevice, DLTensor, Message, Status, device, status};

/// Shape and address of a tensor; the shape stays where the tensor looks for it.
pub(crate) struct Views {
    pub(crate) tensors: Vec<DLTensor>,
    _shapes: Vec<Box<[i64]>>,
}

// SAFETY: the shapes are its own; the data is the stage's, which goes with it.
unsafe impl Send for Views {}

impl Views {
    pub(crate) fn new(descs: &[TensorDesc]) -> Views {
        let dims = |d: &TensorDesc| d.shape.dims().iter().map(|n| *n as i64).collect::<Box<[i64]>>();
        let mut shapes: Vec<Box<[i64]>> = descs.iter().map(dims).collect();
        let tensor = |(desc, shape): (&TensorDesc, &mut Box<[i64]>)| DLTensor {
            data: ptr::null_mut(),
            device: DLDevice { device_type: device::CPU, device_id: 0 },
            ndim: shape.len() as i32,
            dtype: to_dlpack(desc.dtype),
            shape: shape.as_mut_ptr(),
            strides: ptr::null_mut(),
            byte_offset: 0,
        };
        let tensors = descs.iter().zip(&mut shapes).map(tensor).collect();
        Views { tensors, _shapes: shapes }
    }
}

/// Calls a function that may say why it fails.
///
/// # Errors
/// Its status and message.
pub(crate) fn call(function: impl FnOnce(*mut Message) -> Status) -> Result<(), (Status, String)> {
    let mut text = [0_u8; 512];
    let mut message = Message { text: text.as_mut_ptr().cast(), capacity: text.len() };
    match function(&raw mut message) {
        status::OK => Ok(()),
        status => {
            let said = CStr::from_bytes_until_nul(&text).unwrap_or(c"a message without end").to_string_lossy();
            Err((status, said.into_owned()))
        }
    }
}

/// What a status other than OK means, in words.
pub(crate) fn explain((status, message): &(Status, String)) -> String {
    let word = match *status {
        status::END => "returned VF_END",
        status::ERROR => "failed",
        status::BAD_SHAPE => "refused the shapes",
        status::BAD_DTYPE => "refused the dtype",
        status::BAD_PARAM => "refused the parameters",
        status::BAD_DATA => "refused the data",
        status::UNSUPPORTED => "does not support it",
        status::PANICKED => "panicked",
        _ => return format!("returned the unknown status {status}: {message}"),
    };
    format!("{word}: {}", if message.is_empty() { "it gave no message" } else { message })
}

/// A kernel's instance for one case.
pub(crate) struct Instance {
    kernel: abi::Kernel,
    instance: *mut c_void,
    workspace_bytes: usize,
}

// SAFETY: the header lets every function of a kernel be called from any thread, and from several at once.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    /// Makes one.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn create(kernel: &abi::Kernel, case: &Case) -> Result<Instance, (Status, String)> {
        Instance::create_for(kernel, case, &vec![true; case.outputs.len()], true)
    }

    /// Makes one for runs in which only these outputs are wanted, of training or of inference.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn create_for(
        kernel: &abi::Kernel,
        case: &Case,
        wanted: &[bool],
        is_train: bool,
    ) -> Result<Instance, (Status, String)> {
        let mut made = Instance { kernel: *kernel, instance: ptr::null_mut(), workspace_bytes: 0 };
        let Some(create) = kernel.create else { return Ok(made) };
        let refuse = |e: String| (status::ERROR, e);
        let values = Values::new(case.op.schema(), &case.params).map_err(|e| refuse(e.to_string()))?;
        let node = CString::new("checked").map_err(|e| refuse(e.to_string()))?;
        let (inputs, outputs) = (Views::new(&case.inputs), Views::new(&case.outputs));
        let wanted: Vec<u8> = wanted.iter().map(|w| u8::from(*w)).collect();
        let told = abi::Call {
            struct_size: size_of::<abi::Call>() as u32,
            is_train: i32::from(is_train),
            node: node.as_ptr(),
            values: values.as_ptr(),
            num_inputs: inputs.tensors.len(),
            num_outputs: outputs.tensors.len(),
            inputs: inputs.tensors.as_ptr(),
            outputs: outputs.tensors.as_ptr(),
            wanted: wanted.as_ptr(),
        };
        let (instance, bytes) = (&raw mut made.instance, &raw mut made.workspace_bytes);
        // SAFETY: a function of the table, called as the header says with what lives until it returns.
        let created = call(|message| unsafe { create(kernel.context, &raw const told, instance, bytes, message) });
        if let Err(e) = created {
            // An instance that was not made is not destroyed.
            made.instance = ptr::null_mut();
            made.kernel.destroy = None;
            return Err(e);
        }
        Ok(made)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let (Some(destroy), true) = (self.kernel.destroy, self.kernel.create.is_some()) {
            // SAFETY: made by this kernel's create, and not used any more.
            unsafe { destroy(self.kernel.context, self.instance) };
        }
    }
}

/// The memory of one run: inputs, outputs, workspace.
pub(crate) struct Stage {
    inputs: Vec<Guarded>,
    outputs: Vec<Option<Guarded>>,
    /// For each output the input whose memory it takes.
    alias: Vec<Option<usize>>,
    workspace: Guarded,
    instance: Arc<Instance>,
    /// Whether its operator says that it draws random numbers.
    may_draw: bool,
    views: (Views, Views),
    /// Leaked: a kernel that completes a run a second time, late, finds it still there.
    done: &'static Done,
}

/// Where a completion tells.
#[derive(Default)]
struct Done {
    status: Mutex<Option<(Status, String)>>,
    told: Condvar,
}

/// How to run.
#[derive(Clone, Copy)]
pub(crate) struct How {
    /// How many threads `parallel_for` uses.
    pub(crate) width: usize,
    /// What outputs and workspace are filled with first.
    pub(crate) poison: u8,
    /// In which order a loop that is run by one thread goes.
    pub(crate) order: Order,
}

/// The order in which a thread calls the body of a loop: any will do for a body that keeps the contract.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Up,
    Down,
}

impl Stage {
    /// Memory for runs of an instance. `pairs` are in-place pairs (input, output) to be used.
    ///
    /// # Errors
    /// When there is no memory.
    pub(crate) fn new(
        case: &Case,
        instance: Arc<Instance>,
        pairs: &[(usize, usize)],
        place: Place,
    ) -> Result<Stage, String> {
        let block = |n: usize| Guarded::new(n, place).map_err(|e| format!("no memory of {n} bytes: {e}"));
        let inputs = case.inputs.iter().map(|d| block(d.len_bytes())).collect::<Result<Vec<_>, _>>()?;
        let input_of = |o: usize| pairs.iter().find(|(_, to)| *to == o).map(|(i, _)| *i);
        let alias: Vec<_> = (0..case.outputs.len()).map(input_of).collect();
        let outputs = case.outputs.iter().zip(&alias).map(|(d, a)| match a {
            Some(_) => Ok(None),
            None => block(d.len_bytes()).map(Some),
        });
        let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        let workspace = block(instance.workspace_bytes)?;
        let mut views = (Views::new(&case.inputs), Views::new(&case.outputs));
        for (view, block) in views.0.tensors.iter_mut().zip(&inputs) {
            view.data = block.start().cast();
        }
        for (o, view) in views.1.tensors.iter_mut().enumerate() {
            let block = outputs[o].as_ref().or(alias[o].and_then(|i| inputs.get(i)));
            view.data = block.map_or(ptr::null_mut(), |b| b.start().cast());
        }
        let may_draw = !case.op.is_deterministic();
        Ok(Stage { inputs, outputs, alias, workspace, instance, may_draw, views, done: Box::leak(Box::default()) })
    }

    /// Takes the memory of an output away, which nobody wants.
    pub(crate) fn leave_out(&mut self, o: usize) {
        self.outputs[o] = None;
        self.views.1.tensors[o].data = ptr::null_mut();
    }

    /// The memory, for who must explain a fault.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let block = |name: String, b: &Guarded| Block { name, start: b.start().addr(), len_bytes: b.bytes().len() };
        let inputs = self.inputs.iter().enumerate().map(|(i, b)| block(format!("input {i}"), b));
        let outputs =
            self.outputs.iter().enumerate().filter_map(|(o, b)| Some(block(format!("output {o}"), b.as_ref()?)));
        let workspace = std::iter::once(block("the workspace".to_string(), &self.workspace));
        inputs.chain(outputs).chain(workspace).collect()
    }

    /// Lets the inputs be read only, but for these.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn protect_inputs(&mut self, but: &[usize]) -> Result<(), String> {
        let inputs =
            self.inputs.iter_mut().enumerate().filter(|(i, _)| !but.contains(i) && !self.alias.contains(&Some(*i)));
        for (_, block) in inputs {
            block.set_read_only(true).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Fills the inputs with these bytes, the rest with poison.
    pub(crate) fn fill(&mut self, inputs: &[Vec<u8>], poison: u8) {
        for (block, bytes) in self.inputs.iter_mut().zip(inputs) {
            block.renew_canaries();
            block.bytes_mut().copy_from_slice(bytes);
        }
        for block in self.outputs.iter_mut().flatten().chain([&mut self.workspace]) {
            block.renew_canaries();
            block.bytes_mut().fill(poison);
        }
    }

    /// The bytes of an input.
    pub(crate) fn input(&self, i: usize) -> &[u8] {
        self.inputs[i].bytes()
    }

    /// The bytes of an output.
    pub(crate) fn output(&self, o: usize) -> &[u8] {
        match (&self.outputs[o], self.alias[o]) {
            (Some(block), _) => block.bytes(),
            (None, Some(i)) => self.inputs[i].bytes(),
            (None, None) => &[],
        }
    }

    /// Copies of all outputs.
    pub(crate) fn output_bytes(&self) -> Vec<Vec<u8>> {
        (0..self.outputs.len()).map(|o| self.output(o).to_vec()).collect()
    }

    /// Which block was strayed out of, and how far before and behind it.
    pub(crate) fn strayed(&self) -> Option<(String, usize, usize)> {
        let inputs = self.inputs.iter().enumerate().map(|(i, b)| (format!("input {i}"), b));
        let outputs = self.outputs.iter().enumerate().filter_map(|(o, b)| Some((format!("output {o}"), b.as_ref()?)));
        let all = inputs.chain(outputs).chain([("the workspace".to_string(), &self.workspace)]);
        all.map(|(name, b)| (name, b.strayed())).find(|(_, s)| *s != (0, 0)).map(|(name, (a, b))| (name, a, b))
    }

    /// Fills and runs.
    ///
    /// # Errors
    /// The kernel's status and message.
    pub(crate) fn run(&mut self, inputs: &[Vec<u8>], how: How) -> Result<(), (Status, String)> {
        self.fill(inputs, how.poison);
        self.run_filled(how)
    }

    /// Runs on what the memory holds.
    ///
    /// # Errors
    /// The kernel's status and message.
    pub(crate) fn run_filled(&mut self, how: How) -> Result<(), (Status, String)> {
        let host = Host { how, drew: AtomicBool::new(false) };
        self.call(&host)?;
        // Relaxed: what drew has ended.
        if host.drew.load(Ordering::Relaxed) && !self.may_draw {
            let wanted = "wanted its flag VF_RANDOM, which is IS_RANDOM in Rust";
            return Err((status::ERROR, format!("it draws random numbers, and does not say so: {wanted}")));
        }
        Ok(())
    }

    fn call(&self, host: &Host) -> Result<(), (Status, String)> {
        let instance = &self.instance;
        let kernel = &instance.kernel;
        let run = abi::Run {
            struct_size: size_of::<abi::Run>() as u32,
            reserved: 0,
            num_inputs: self.views.0.tensors.len(),
            num_outputs: self.views.1.tensors.len(),
            inputs: self.views.0.tensors.as_ptr(),
            outputs: self.views.1.tensors.as_ptr(),
            workspace: if instance.workspace_bytes == 0 { ptr::null_mut() } else { self.workspace.start().cast() },
            workspace_bytes: instance.workspace_bytes,
            stream: ptr::null_mut(),
            host: ptr::from_ref(host).cast_mut().cast(),
            width: host.how.width,
            parallel_for: Some(parallel_for),
            random: Some(random),
        };
        if let Some(run_async) = kernel.run_async {
            *self.done.status.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let done = abi::Completion { token: ptr::from_ref(self.done).cast_mut().cast(), complete: Some(complete) };
            // SAFETY: a function of the table, called as the header says; all lives until it has completed.
            call(|m| unsafe { run_async(kernel.context, instance.instance, &raw const run, done, m) })?;
            let status = self.done.status.lock().unwrap_or_else(PoisonError::into_inner);
            let mut status = self.done.told.wait_while(status, |s| s.is_none()).unwrap_or_else(PoisonError::into_inner);
            return status.take().filter(|(s, _)| *s != status::OK).map_or(Ok(()), Err);
        }
        let Some(function) = kernel.run else { return Err((status::UNSUPPORTED, "there is no run".to_string())) };
        // SAFETY: a function of the table, called as the header says; all lives until it returns.
        call(|m| unsafe { function(kernel.context, instance.instance, &raw const run, m) })
    }
}

/// What the functions below are handed.
struct Host {
    how: How,
    /// Whether random numbers were asked for.
    drew: AtomicBool,
}

unsafe extern "C" fn complete(token: *mut c_void, status: Status, message: abi::Text) {
    // SAFETY: the token that `run_filled` waits with; the message is null or a text.
    let (done, message) = unsafe {
        let text =
            if message.is_null() { String::new() } else { CStr::from_ptr(message).to_string_lossy().into_owned() };
        (&*token.cast::<Done>(), text)
    };
    *done.status.lock().unwrap_or_else(PoisonError::into_inner) = Some((status, message));
    done.told.notify_all();
}

unsafe extern "C" fn parallel_for(host: *mut c_void, n: usize, body: Option<abi::Body>, closure: *mut c_void) {
    /// A pointer that the plug-in wants handed to its body on every thread.
    #[derive(Clone, Copy)]
    struct Closure(*mut c_void);
    // SAFETY: the header has bodies run on several threads.
    unsafe impl Send for Closure {}
    impl Closure {
        fn run(self, body: abi::Body, i: usize) {
            // SAFETY: as the header says.
            unsafe { body(self.0, i) }
        }
    }
    // SAFETY: the host that `run_filled` handed on.
    let How { width, order, .. } = unsafe { &*host.cast::<Host>() }.how;
    let Some(body) = body else { return };
    let closure = Closure(closure);
    if width <= 1 {
        let at = |k| if order == Order::Up { k } else { n - 1 - k };
        (0..n).for_each(|k| closure.run(body, at(k)));
        return;
    }
    std::thread::scope(|scope| {
        for t in 0..width {
            scope.spawn(move || (t..n).step_by(width).for_each(|i| closure.run(body, i)));
        }
    });
}

unsafe extern "C" fn random(host: *mut c_void, first: u64, out: *mut u32, n: usize) {
    // SAFETY: the host that `run_filled` handed on. Relaxed: see there.
    unsafe { &*host.cast::<Host>() }.drew.store(true, Ordering::Relaxed);
    if n == 0 {
        return;
    }
    // SAFETY: room for n numbers, by the header.
    let out = unsafe { std::slice::from_raw_parts_mut(out, n) };
    let stream = Philox::new(1, 2, 3);
    for (k, word) in (first..).zip(out) {
        *word = stream.block(k / 4)[(k % 4) as usize];
    }
}
