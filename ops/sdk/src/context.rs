//! What a kernel or reduction is handed when it runs.
#![expect(unsafe_code, reason = "turns the host's tensors into views")]

use crate::random::Random;
use crate::tensor::{self, Tensor};
use crate::views::{View, ViewMut};
use crate::{DType, Element, Error, Result, parallel};
use std::cell::Cell;
use std::marker::PhantomData;
use varflow_abi::{DLTensor, Run};

/// One run of a kernel or reduction: its inputs, outputs, workspace, random numbers, and idle workers.
///
/// An input may have the same memory as an output that was declared to be computed in its place. So tensors are handed out as
/// [`View`]s, which are computed with element by element and become slices only where they share no memory. Each output,
/// mutated input and workspace is given out once.
///
/// It stays in the thread that it was given to; closures of parallel loops take along what they need, such as
/// [`random`](Self::random).
pub struct Context<'a> {
    run: Run,
    mutated: &'a [usize],
    is_train: bool,
    /// Which outputs and mutated inputs were given out, as bits, and whether the workspace was.
    given: [Cell<u64>; 3],
    /// Whether a method of a view is at work.
    busy: Cell<bool>,
    marker: PhantomData<*const ()>,
}

impl<'a> Context<'a> {
    /// # Safety
    /// `run` is the host's, with all that it leads to, and may be used for `'a`. Inputs in `mutated` may be written.
    pub(crate) unsafe fn new(run: *const Run, mutated: &'a [usize], is_train: bool) -> Result<Self> {
        // SAFETY: by the contract.
        let run = unsafe { varflow_abi::read(run) }
            .map_err(|size| Error::new(format!("the host's vf_run has {size} bytes, which is none")))?;
        let given = [const { Cell::new(0) }; 3];
        Ok(Context { run, mutated, is_train, given, busy: Cell::new(false), marker: PhantomData })
    }

    /// Number of inputs, auxiliary states included.
    #[must_use]
    pub fn num_inputs(&self) -> usize {
        self.run.num_inputs
    }

    /// Number of outputs, unwanted ones included.
    #[must_use]
    pub fn num_outputs(&self) -> usize {
        self.run.num_outputs
    }

    /// Whether this is a training pass.
    #[must_use]
    pub fn is_train(&self) -> bool {
        self.is_train
    }

    /// Whether output `o` is to be computed. One that nobody wants has no memory.
    #[must_use]
    pub fn is_wanted(&self, o: usize) -> bool {
        self.outputs().get(o).is_some_and(is_there)
    }

    /// The element type of input `i`.
    ///
    /// # Errors
    /// When there is no such input.
    pub fn input_dtype(&self, i: usize) -> Result<DType> {
        dtype_of(find(self.inputs(), i, "input")?)
    }

    /// The element type of output `o`, wanted or not.
    ///
    /// # Errors
    /// When there is no such output.
    pub fn output_dtype(&self, o: usize) -> Result<DType> {
        dtype_of(find(self.outputs(), o, "output")?)
    }

    /// The dtype by which kernels are chosen: the first input's, or output's where there is no input.
    pub(crate) fn leading_dtype(&self) -> Result<DType> {
        if self.num_inputs() > 0 { self.input_dtype(0) } else { self.output_dtype(0) }
    }

    /// An input, to be read.
    ///
    /// # Errors
    /// When there is no such input, it holds another dtype, or it is declared as mutated: see [`mutated`](Self::mutated).
    pub fn input<T: Element>(&self, i: usize) -> Result<View<'_, T>> {
        let tensor = find(self.inputs(), i, "input")?;
        if self.mutated.contains(&i) {
            return Err(Error::new(format!("input {i} is mutated: ask for it by mutated({i})")));
        }
        // SAFETY: the host's tensors stay as long as the run, which `self` does not outlive.
        let tensor = unsafe { Tensor::read(tensor, "input", i) }?;
        let shared = position(self.outputs(), &tensor, usize::MAX);
        // SAFETY: the host lets nobody write it but through the outputs and mutated inputs of this run; `mutated` gives out
        // none that overlaps an input, and `shared` says if an output does.
        Ok(unsafe { View::new(tensor, shared.map(|o| ("output", o))) })
    }

    /// A wanted output, to be written wholly. What is in it at first is arbitrary.
    ///
    /// # Errors
    /// When there is no such output, nobody wants it, it holds another dtype, or it was asked for before.
    pub fn output<T: Element>(&self, o: usize) -> Result<ViewMut<'_, T>> {
        let tensor = find(self.outputs(), o, "output")?;
        if !is_there(tensor) {
            return Err(Error::new(format!("output {o} is asked for, which nobody wants: ask whether it is_wanted")));
        }
        // SAFETY: as for inputs.
        let tensor = unsafe { Tensor::read(tensor, "output", o) }?;
        let shared = position(self.inputs(), &tensor, usize::MAX);
        self.give(0, o, "output")?;
        // SAFETY: the host gives outputs to this run alone, none overlaps another, and each is given out once; `shared` says
        // if it overlaps an input.
        Ok(unsafe { ViewMut::new(self, tensor, shared.map(|i| ("input", i))) })
    }

    /// An input that the operator declares as mutated, or an auxiliary state, to be read and written.
    ///
    /// # Errors
    /// When there is no such input, it is not declared, holds another dtype, was asked for before, or shares memory with
    /// another input or an output.
    pub fn mutated<T: Element>(&self, i: usize) -> Result<ViewMut<'_, T>> {
        let tensor = find(self.inputs(), i, "input")?;
        if !self.mutated.contains(&i) {
            return Err(Error::new(format!("input {i} is not declared as mutated")));
        }
        // SAFETY: as for inputs.
        let tensor = unsafe { Tensor::read(tensor, "input", i) }?;
        if let Some(other) = position(self.inputs(), &tensor, i) {
            return Err(Error::new(format!("mutated input {i} has the same memory as input {other}")));
        }
        if let Some(o) = position(self.outputs(), &tensor, usize::MAX) {
            return Err(Error::new(format!("mutated input {i} has the same memory as output {o}")));
        }
        self.give(1, i, "mutated input")?;
        // SAFETY: the host gives mutated inputs to this run alone; it overlaps nothing else and is given out once.
        Ok(unsafe { ViewMut::new(self, tensor, None) })
    }

    /// The scratch memory that [`prepare`](crate::Operator::prepare) asked for, as elements of `T`. Its contents are arbitrary.
    /// Empty if it asked for none.
    ///
    /// # Errors
    /// When it was given out before.
    #[expect(clippy::mut_from_ref, reason = "given out once")]
    pub fn workspace<T: Element>(&self) -> Result<&mut [T]> {
        let Run { workspace, workspace_bytes, .. } = self.run;
        if workspace.is_null() {
            return Ok(&mut []);
        }
        if !(workspace as usize).is_multiple_of(align_of::<T>()) {
            return Err(Error::new(format!("the host's workspace at {workspace:p} is not aligned to 64 bytes")));
        }
        self.give(2, 0, "workspace")?;
        // SAFETY: the host gives it to this run alone, with so many bytes; it is given out once; all bits are values of `T`.
        Ok(unsafe { std::slice::from_raw_parts_mut(workspace.cast(), workspace_bytes / size_of::<T>()) })
    }

    /// The random numbers of this node at this step. For reductions, and operators that say [`IS_RANDOM`](crate::Operator::IS_RANDOM): the
    /// host refuses the run of another that draws any.
    #[must_use]
    pub fn random(&self) -> Random<'_> {
        // SAFETY: the run may be used as long as `self`.
        unsafe { Random::new(&self.run) }
    }

    /// How many threads [`parallel_for`](Self::parallel_for) may use.
    #[must_use]
    pub fn width(&self) -> usize {
        self.run.width.max(1)
    }

    /// Runs the work of one view. Views of one run may share memory, so no other's is done meanwhile.
    ///
    /// # Panics
    /// When it is called in a closure that such a method calls.
    pub(crate) fn alone(&self, work: impl FnOnce()) {
        /// Says that the work is done, also if it panicked.
        struct Done<'a>(&'a Cell<bool>);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        assert!(!self.busy.replace(true), "a view is used in a closure that a method of another view calls");
        let _done = Done(&self.busy);
        work();
    }

    /// Calls `body(i)` for every `i < n`, on idle workers too. How work is cut into `n` pieces must not depend on
    /// [`width`](Self::width), or results would.
    pub fn parallel_for(&self, n: usize, body: impl Fn(usize) + Sync) {
        // SAFETY: the run may be used as long as `self`.
        unsafe { parallel::parallel_for(&self.run, n, &body) };
    }

    fn inputs(&self) -> &[DLTensor] {
        // SAFETY: by the contract of `new`.
        unsafe { list(self.run.inputs, self.run.num_inputs) }
    }

    fn outputs(&self) -> &[DLTensor] {
        // SAFETY: by the contract of `new`.
        unsafe { list(self.run.outputs, self.run.num_outputs) }
    }

    fn give(&self, shelf: usize, i: usize, what: &str) -> Result<()> {
        let given = &self.given[shelf];
        let bit = u32::try_from(i).ok().and_then(|i| 1_u64.checked_shl(i));
        let bit = bit.ok_or_else(|| Error::unsupported(format!("{what} {i} is above 63")))?;
        if given.get() & bit != 0 {
            return Err(Error::new(format!("{what} {i} is asked for twice")));
        }
        given.set(given.get() | bit);
        Ok(())
    }
}

/// A list of the host; a null pointer is an empty one.
///
/// # Safety
/// There are `n` items, which stay for `'a`.
pub(crate) unsafe fn list<'a, T>(items: *const T, n: usize) -> &'a [T] {
    if items.is_null() || n == 0 {
        return &[];
    }
    // SAFETY: by the contract.
    unsafe { std::slice::from_raw_parts(items, n) }
}

fn find<'t>(tensors: &'t [DLTensor], i: usize, what: &str) -> Result<&'t DLTensor> {
    tensors.get(i).ok_or_else(|| Error::new(format!("{what} {i} is asked for, and there are {}", tensors.len())))
}

fn dtype_of(tensor: &DLTensor) -> Result<DType> {
    DType::from_abi(tensor.dtype)?.ok_or_else(|| Error::dtype("a tensor has no dtype"))
}

/// A tensor without elements is there too, whatever its address.
fn is_there(tensor: &DLTensor) -> bool {
    // SAFETY: only the host's tensors are asked about, while they stay.
    !tensor.data.is_null() || unsafe { tensor::shape(tensor) }.is_ok_and(|s| s.contains(&0))
}

/// The first of these, other than `but`, that has memory in common with a tensor.
fn position<T: Element>(tensors: &[DLTensor], with: &Tensor<'_, T>, but: usize) -> Option<usize> {
    let range = with.bytes();
    // SAFETY: only the host's tensors are asked about, while they stay.
    let overlaps = |t: &DLTensor| tensor::overlap(&unsafe { tensor::bytes(t) }, &range);
    tensors.iter().enumerate().find(|(i, t)| *i != but && overlaps(t)).map(|(i, _)| i)
}
