//! What a kernel is, and what it is handed when it runs.
#![expect(unsafe_code, reason = "turns checked views into slices")]

use crate::async_run::AsyncRun;
use crate::operator::Operator;
use crate::schema::Params;
use crate::{DType, Element, Error, Philox, Result, Shape, Tensor, TensorDesc};
use smallvec::SmallVec;
use std::cell::Cell;
use std::ptr::NonNull;
use varflow_engine::TaskCtx;

/// One use of an operator, with everything known about it: what a kernel is made for.
pub struct KernelCall<'a> {
    /// The operator.
    pub op: &'a dyn Operator,
    /// The name of the node, for errors.
    pub node: &'a str,
    /// Its parameters.
    pub params: &'a Params,
    /// Its inputs, auxiliary states last.
    pub inputs: &'a [TensorDesc],
    /// Its outputs, hidden ones included.
    pub outputs: &'a [TensorDesc],
    /// Which outputs anyone will look at. A kernel need not compute the others, and is given no memory for them.
    pub wanted: &'a [bool],
    /// Whether this is a training pass.
    pub is_train: bool,
}

/// A prepared computation: parameters parsed, shapes checked, workspace known. Run many times.
pub trait Kernel: Send + Sync {
    /// Scratch memory that a run needs. Its contents are lost between runs.
    fn workspace_bytes(&self) -> usize {
        0
    }

    /// Computes every wanted output wholly from the inputs.
    ///
    /// # Errors
    /// Bad data, such as a label out of range.
    fn run(&self, ctx: &mut KernelCtx<'_>) -> Result<()>;

    /// Whether it is run by [`start`](Self::start), and [`run`](Self::run) is not called.
    fn is_async(&self) -> bool {
        false
    }

    /// Starts a computation that is done when `run` is [completed](AsyncRun::complete), then or later, on any thread. A run that
    /// nobody ever completes keeps its tensors, and what waits for them, for good.
    fn start(&self, run: AsyncRun) {
        run.complete(Err(contract("the kernel is synchronous, and is started".to_string())));
    }
}

impl<F: Fn(&mut KernelCtx<'_>) -> Result<()> + Send + Sync> Kernel for F {
    fn run(&self, ctx: &mut KernelCtx<'_>) -> Result<()> {
        self(ctx)
    }
}

/// A kernel made of a closure and a workspace size.
pub struct WithWorkspace<F> {
    /// Bytes of scratch memory.
    pub bytes: usize,
    /// The computation.
    pub run: F,
}

impl<F: Fn(&mut KernelCtx<'_>) -> Result<()> + Send + Sync> Kernel for WithWorkspace<F> {
    fn workspace_bytes(&self) -> usize {
        self.bytes
    }

    fn run(&self, ctx: &mut KernelCtx<'_>) -> Result<()> {
        (self.run)(ctx)
    }
}

/// Makes the kernel for one use of an operator.
pub type KernelFactory = std::sync::Arc<dyn Fn(&KernelCall<'_>) -> Result<Box<dyn Kernel>> + Send + Sync>;

/// Address, shape and dtype of a tensor.
pub(crate) struct RawView {
    start: NonNull<u8>,
    desc: TensorDesc,
}

// SAFETY: an address, to which access is given only by the unsafe functions below.
unsafe impl Send for RawView {}
// SAFETY: as above.
unsafe impl Sync for RawView {}

impl RawView {
    pub(crate) fn new(start: NonNull<u8>, desc: TensorDesc) -> Self {
        RawView { start, desc }
    }

    /// The address of its first element, for foreign code.
    pub(crate) fn address(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Shape and dtype.
    pub(crate) fn desc(&self) -> &TensorDesc {
        &self.desc
    }

    /// # Safety
    /// The tensor lives for `'a` and nobody writes it meanwhile; `T` is its element type, or bytes.
    pub(crate) unsafe fn as_slice<'a, T: Element>(&self) -> &'a [T] {
        let n = self.desc.len_bytes() / size_of::<T>();
        // SAFETY: by the contract; any bits are a valid `T`, and storage is aligned (checked at creation).
        unsafe { std::slice::from_raw_parts(self.start.cast::<T>().as_ptr(), n) }
    }

    /// # Safety
    /// The tensor lives for `'a` and nobody else touches it meanwhile; `T` is its element type, or bytes.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn as_mut_slice<'a, T: Element>(&self) -> &'a mut [T] {
        let n = self.desc.len_bytes() / size_of::<T>();
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast::<T>().as_ptr(), n) }
    }

    fn overlaps(&self, other: &RawView) -> bool {
        let (a, b) = (self.start.as_ptr() as usize, other.start.as_ptr() as usize);
        a < b + other.desc.len_bytes() && b < a + self.desc.len_bytes()
    }
}

/// The memory of an input and of the output that may take its place.
pub enum Pair<'a, T> {
    /// They are the same memory: update it in place.
    Same(&'a mut [T]),
    /// They are apart: the input, then the output.
    Apart(&'a [T], &'a mut [T]),
}

/// What a kernel is handed when it runs: its inputs, outputs, workspace, random numbers, and idle workers.
///
/// Slices may be held together: each output and each mutable input is given out once, and an input that shares memory
/// with an output (see [`Operator::inplace`]) only through [`pair`](KernelCtx::pair).
pub struct KernelCtx<'a> {
    task: Option<&'a TaskCtx<'a>>,
    inputs: &'a [Tensor],
    mutated: &'a [usize],
    outputs: &'a [Option<Tensor>],
    /// Outputs and mutated inputs that were given out.
    taken: (Taken, Taken),
    workspace: Option<&'a Tensor>,
    rng: Philox,
}

impl<'a> KernelCtx<'a> {
    /// # Safety
    /// For `'a` the task holds all tensors: the inputs not in `mutated` against writers; those in `mutated`, the outputs and
    /// the workspace alone. Outputs overlap neither each other nor the workspace.
    pub(crate) unsafe fn new(
        task: Option<&'a TaskCtx<'a>>,
        inputs: &'a [Tensor],
        mutated: &'a [usize],
        outputs: &'a [Option<Tensor>],
        workspace: Option<&'a Tensor>,
        rng: Philox,
    ) -> Self {
        let taken = (Taken::none_of(outputs.len()), Taken::none_of(inputs.len()));
        KernelCtx { task, inputs, mutated, outputs, taken, workspace, rng }
    }

    /// The same as at first, for as long as this one is not used.
    pub(crate) fn reborrow(&mut self) -> KernelCtx<'_> {
        KernelCtx {
            task: self.task,
            inputs: self.inputs,
            mutated: self.mutated,
            outputs: self.outputs,
            taken: (Taken::none_of(self.outputs.len()), Taken::none_of(self.inputs.len())),
            workspace: self.workspace,
            rng: self.rng,
        }
    }

    /// The views of all inputs, for foreign code, which is bound by the same rules: of inputs it writes the mutated only.
    pub(crate) fn input_views(&self) -> impl ExactSizeIterator<Item = &RawView> {
        self.inputs.iter().map(Tensor::view)
    }

    /// The views of all outputs, likewise; `None` for those that nobody wants.
    pub(crate) fn output_views(&self) -> impl ExactSizeIterator<Item = Option<&RawView>> {
        self.outputs.iter().map(|t| t.as_ref().map(Tensor::view))
    }

    /// The view of the workspace, likewise, unless it is taken.
    pub(crate) fn workspace_view(&self) -> Option<&RawView> {
        self.workspace.map(Tensor::view)
    }

    /// Number of inputs, auxiliary states included.
    #[must_use]
    pub fn num_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Number of outputs, unwanted ones included.
    #[must_use]
    pub fn num_outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Shape and dtype of an input.
    #[must_use]
    pub fn input_desc(&self, i: usize) -> &TensorDesc {
        self.inputs[i].desc()
    }

    /// Shape of an input.
    #[must_use]
    pub fn input_shape(&self, i: usize) -> &Shape {
        self.inputs[i].shape()
    }

    /// Shape and dtype of an output; `None` if nobody wants it.
    #[must_use]
    pub fn output_desc(&self, o: usize) -> Option<&TensorDesc> {
        self.outputs[o].as_ref().map(Tensor::desc)
    }

    /// Whether output `o` is to be computed.
    #[must_use]
    pub fn is_wanted(&self, o: usize) -> bool {
        self.outputs[o].is_some()
    }

    /// The elements of an input.
    ///
    /// # Errors
    /// When it holds another dtype, is one of the mutated inputs, or shares memory with an output.
    pub fn input<T: Element>(&self, i: usize) -> Result<&'a [T]> {
        let view = self.typed_input::<T>(i)?;
        if self.mutated.contains(&i) {
            return Err(contract(format!("input {i} is mutated: ask for it with mutated()")));
        }
        if let Some(o) = self.output_views().position(|o| o.is_some_and(|o| o.overlaps(view))) {
            return Err(contract(format!("input {i} shares memory with output {o}: ask for both with pair()")));
        }
        // SAFETY: held against writers by the contract of `new`, and no output given out overlaps it.
        Ok(unsafe { view.as_slice() })
    }

    /// The elements of a wanted output, to be written wholly.
    ///
    /// # Errors
    /// When it holds another dtype, is not wanted, was asked for before, or shares memory with an input.
    pub fn output<T: Element>(&self, o: usize) -> Result<&'a mut [T]> {
        let view = self.typed_output::<T>(o)?;
        if let Some(i) = self.input_views().position(|i| i.overlaps(view)) {
            return Err(contract(format!("output {o} shares memory with input {i}: ask for both with pair()")));
        }
        self.taken.0.take(o, "output")?;
        // SAFETY: the task has it alone, and it is given out once.
        Ok(unsafe { view.as_mut_slice() })
    }

    /// An input that the operator declares as mutated, to be updated.
    ///
    /// # Errors
    /// When it holds another dtype, is not declared, or was asked for before.
    pub fn mutated<T: Element>(&self, i: usize) -> Result<&'a mut [T]> {
        let view = self.typed_input::<T>(i)?;
        let overlap = self.input_views().enumerate().any(|(j, v)| j != i && v.overlaps(view));
        if !self.mutated.contains(&i) || overlap {
            return Err(contract(format!("input {i} is not declared as mutated, or overlaps another input")));
        }
        self.taken.1.take(i, "mutated input")?;
        // SAFETY: the task has it alone, it is given out once, and no other input overlaps it. Outputs that do are
        // refused by `output` and, since it is no plain input, by `pair`.
        Ok(unsafe { view.as_mut_slice() })
    }

    /// Whether an input and a wanted output share memory: where an operator has several in-place pairs, which of them to
    /// ask [`pair`](Self::pair) for.
    #[must_use]
    pub fn shares(&self, i: usize, o: usize) -> bool {
        let (input, output) = (self.inputs.get(i), self.outputs.get(o).and_then(Option::as_ref));
        input.zip(output).is_some_and(|(input, output)| input.view().overlaps(output.view()))
    }

    /// An input and the output that may share its memory.
    ///
    /// # Errors
    /// As [`input`](Self::input) and [`output`](Self::output), but for the sharing of these two.
    pub fn pair<T: Element>(&self, i: usize, o: usize) -> Result<Pair<'a, T>> {
        let (from, to) = (self.typed_input::<T>(i)?, self.typed_output::<T>(o)?);
        if !from.overlaps(to) {
            return Ok(Pair::Apart(self.input(i)?, self.output(o)?));
        }
        let others = self.input_views().enumerate().any(|(j, v)| j != i && v.overlaps(to));
        let others =
            others || self.output_views().enumerate().any(|(p, v)| p != o && v.is_some_and(|v| v.overlaps(from)));
        if from.start != to.start || from.desc.len_bytes() != to.desc.len_bytes() || others || self.mutated.contains(&i)
        {
            return Err(contract(format!("input {i} and output {o} overlap otherwise than in place")));
        }
        self.taken.0.take(o, "output")?;
        // SAFETY: the task has the output alone, it is given out once, the input is the same memory and `input` refuses
        // it, and no other view overlaps it.
        Ok(Pair::Same(unsafe { to.as_mut_slice() }))
    }

    /// Scratch memory: at least the bytes that the kernel asked for, as elements of `T`. Its contents are arbitrary.
    ///
    /// # Errors
    /// When asked for twice, or the kernel asked for none.
    pub fn workspace<T: Element>(&mut self) -> Result<&'a mut [T]> {
        let tensor =
            self.workspace.take().ok_or_else(|| contract("there is no workspace, or it is taken".to_string()))?;
        // SAFETY: the task has it alone, it is taken out of the context, and storage is aligned for any element.
        Ok(unsafe { tensor.view().as_mut_slice() })
    }

    /// Random numbers of this node at this step.
    #[must_use]
    pub fn rng(&self) -> Philox {
        self.rng
    }

    /// Calls `body(i)` for all `i < n`, on idle workers too. How work is cut into `n` pieces must not depend on
    /// [`width`](Self::width), or results would.
    pub fn parallel_for(&self, n: usize, body: &(dyn Fn(usize) + Sync)) {
        match self.task {
            Some(task) => task.parallel_for(n, body),
            None => (0..n).for_each(body),
        }
    }

    /// How many threads [`parallel_for`](Self::parallel_for) may use.
    #[must_use]
    pub fn width(&self) -> usize {
        self.task.map_or(1, TaskCtx::width)
    }

    /// The engine's task context; none in an asynchronous run, which may outlive the call that started it.
    #[must_use]
    pub fn task(&self) -> Option<&'a TaskCtx<'a>> {
        self.task
    }

    fn typed_input<T: Element>(&self, i: usize) -> Result<&RawView> {
        let n = self.inputs.len();
        let tensor = self.inputs.get(i).ok_or_else(|| contract(format!("input {i} of {n} is asked for")))?;
        let view = tensor.view();
        check_dtype("input", i, view.desc.dtype, T::DTYPE)?;
        Ok(view)
    }

    fn typed_output<T: Element>(&self, o: usize) -> Result<&RawView> {
        let tensor = self.outputs.get(o).and_then(Option::as_ref);
        let view = tensor.ok_or_else(|| contract(format!("output {o} is asked for, which nobody wants")))?.view();
        check_dtype("output", o, view.desc.dtype, T::DTYPE)?;
        Ok(view)
    }
}

fn check_dtype(what: &str, i: usize, is: DType, wanted: DType) -> Result<()> {
    if is == wanted {
        return Ok(());
    }
    Err(Error::DType(format!("{what} {i} holds {is}, the kernel wants {wanted}")))
}

/// Which tensors were given out, as bits: in place up to 64, which is all but always enough.
struct Taken(SmallVec<[Cell<u64>; 1]>);

impl Taken {
    /// None yet, of `n` tensors.
    fn none_of(n: usize) -> Taken {
        Taken(SmallVec::from_elem(Cell::new(0), n.div_ceil(64)))
    }

    fn take(&self, i: usize, what: &str) -> Result<()> {
        let word =
            self.0.get(i / 64).ok_or_else(|| contract(format!("{what} {i} is asked for, which there is not")))?;
        let bit = 1 << (i % 64);
        if word.get() & bit != 0 {
            return Err(contract(format!("{what} {i} is asked for twice")));
        }
        word.set(word.get() | bit);
        Ok(())
    }
}

fn contract(text: String) -> Error {
    Error::Contract(text)
}
