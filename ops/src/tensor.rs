//! A tensor: a var, a piece of storage and a shape.
#![expect(unsafe_code, reason = "computes addresses inside a storage")]

use crate::kernel::{KernelCtx, RawView};
use crate::storage::Storage;
use crate::{DType, Element, Error, Result, Shape};
use std::sync::Arc;
use varflow_engine::{Engine, Mode, Recorder, Var};

/// What a tensor looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorDesc {
    /// Extent along each axis.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
}

impl TensorDesc {
    /// A description.
    pub fn new(shape: impl Into<Shape>, dtype: DType) -> Self {
        TensorDesc { shape: shape.into(), dtype }
    }

    /// Bytes of all elements.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.shape.len() * self.dtype.size_bytes()
    }
}

/// A dense row-major tensor in host memory. Clones are the same tensor. What it holds changes only in engine tasks;
/// reading it from outside waits for them.
#[derive(Clone)]
pub struct Tensor(Arc<Inner>);

struct Inner {
    engine: Engine,
    var: Var,
    storage: Arc<Storage>,
    /// Where it lies in `storage`, which keeps it.
    view: RawView,
}

impl Tensor {
    /// A tensor of zeroes, in a storage and with a var of its own.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn zeros(engine: &Engine, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        let desc = TensorDesc { shape: shape.into(), dtype };
        let n = desc.shape.checked_len().and_then(|n| n.checked_mul(dtype.size_bytes()));
        let n = n.ok_or_else(|| Error::Shape(format!("a tensor of shape {} is too large", desc.shape)))?;
        Ok(Tensor::at(engine.clone(), engine.var(), Arc::new(Storage::zeroed(n)?), 0, desc))
    }

    /// A tensor with these elements.
    ///
    /// # Errors
    /// When their number is not that of the shape.
    pub fn from_slice<T: Element>(engine: &Engine, shape: impl Into<Shape>, values: &[T]) -> Result<Tensor> {
        let tensor = Tensor::zeros(engine, shape, T::DTYPE)?;
        tensor.check_len(values.len())?;
        // SAFETY: nobody else has the tensor yet, the view is inside the storage, and its length and type are checked.
        unsafe { tensor.view().as_mut_slice::<T>() }.copy_from_slice(values);
        Ok(tensor)
    }

    /// A view of `storage` that starts `offset_bytes` into it, ordered by `var`.
    ///
    /// # Errors
    /// When it does not fit into the storage or is not aligned to its elements.
    pub fn in_storage(
        engine: &Engine,
        var: Var,
        storage: Arc<Storage>,
        offset_bytes: usize,
        desc: TensorDesc,
    ) -> Result<Tensor> {
        let n = desc.shape.checked_len().and_then(|n| n.checked_mul(desc.dtype.size_bytes()));
        let end = n.and_then(|n| n.checked_add(offset_bytes));
        if end.is_none_or(|end| end > storage.len_bytes()) || !offset_bytes.is_multiple_of(desc.dtype.size_bytes()) {
            return Err(Error::Shape(format!(
                "a {} tensor of shape {} at byte {offset_bytes} does not fit into a storage of {} bytes",
                desc.dtype,
                desc.shape,
                storage.len_bytes()
            )));
        }
        Ok(Tensor::at(engine.clone(), var, storage, offset_bytes, desc))
    }

    /// Panics unless it lies within the storage.
    fn at(engine: Engine, var: Var, storage: Arc<Storage>, offset_bytes: usize, desc: TensorDesc) -> Tensor {
        assert!(offset_bytes + desc.len_bytes() <= storage.len_bytes());
        // SAFETY: inside the storage.
        let start = unsafe { storage.start().add(offset_bytes) };
        Tensor(Arc::new(Inner { engine, var, storage, view: RawView::new(start, desc) }))
    }

    /// The same memory under another shape, which takes no more of it.
    fn under(&self, shape: Shape) -> Tensor {
        let Inner { engine, var, storage, .. } = &*self.0;
        let desc = TensorDesc { shape, dtype: self.dtype() };
        Tensor::at(engine.clone(), var.clone(), storage.clone(), self.byte_range().start, desc)
    }

    /// The same elements under another shape of as many. Shares var and storage.
    ///
    /// # Errors
    /// When the number of elements differs.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        self.check_len(shape.len())?;
        Ok(self.under(shape))
    }

    /// The first elements under a shape of no more than there are. Shares var and storage.
    ///
    /// # Errors
    /// When the shape has more elements.
    pub fn first(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        match shape.checked_len() {
            Some(n) if n <= self.shape().len() => Ok(self.under(shape)),
            _ => Err(Error::Shape(format!("a tensor of shape {} has no room for shape {shape}", self.shape()))),
        }
    }

    /// A tensor in a part of this one's memory, from `offset_bytes` on. Shares var and storage.
    ///
    /// # Errors
    /// When it does not lie within this one, or is not aligned to its elements.
    pub fn part(&self, offset_bytes: usize, desc: TensorDesc) -> Result<Tensor> {
        self.part_by(self.var().clone(), offset_bytes, desc)
    }

    fn part_by(&self, var: Var, offset_bytes: usize, desc: TensorDesc) -> Result<Tensor> {
        let n = desc.shape.checked_len().and_then(|n| n.checked_mul(desc.dtype.size_bytes()));
        let end = n.and_then(|n| n.checked_add(offset_bytes));
        if end.is_none_or(|end| end > self.desc().len_bytes()) {
            let (dtype, shape) = (desc.dtype, &desc.shape);
            return Err(Error::Shape(format!(
                "a {dtype} tensor of shape {shape} at byte {offset_bytes} does not fit into one of {} bytes",
                self.desc().len_bytes()
            )));
        }
        let Inner { engine, storage, .. } = &*self.0;
        Tensor::in_storage(engine, var, storage.clone(), self.byte_range().start + offset_bytes, desc)
    }

    /// A tensor in this one's memory, from its start, ordered by a var of its own. As with [`in_storage`](Self::in_storage), who
    /// uses both sees to it that one is done with before the other begins.
    ///
    /// # Errors
    /// As [`part`](Self::part).
    pub fn beneath(&self, var: Var, desc: TensorDesc) -> Result<Tensor> {
        self.part_by(var, 0, desc)
    }

    fn check_len(&self, n: usize) -> Result<()> {
        if n == self.shape().len() {
            return Ok(());
        }
        let (shape, wanted) = (self.shape(), self.shape().len());
        Err(Error::Shape(format!("a tensor of shape {shape} has {wanted} elements, not {n}")))
    }

    fn check_dtype(&self, dtype: DType) -> Result<()> {
        if dtype == self.dtype() {
            return Ok(());
        }
        Err(Error::DType(format!("the tensor holds {}, not {dtype}", self.dtype())))
    }

    /// Copies the elements out, once the tasks pushed so far that write them are done.
    ///
    /// # Errors
    /// The root cause, if one of them failed; a dtype other than the tensor's.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.check_dtype(T::DTYPE)?;
        let out = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (from, to, done) = (self.clone(), out.clone(), self.0.engine.var());
        self.0.engine.raw("read_tensor").read(self.var()).overwrite(&done).run(move |_| {
            // SAFETY: this task reads the tensor, so nobody writes it; length and type are the view's own.
            let values = unsafe { from.view().as_slice::<T>() };
            *to.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = values.to_vec();
        });
        done.wait()?;
        let values = std::mem::take(&mut *out.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        Ok(values)
    }

    /// A tensor with the elements that these bytes are, in this machine's order.
    ///
    /// # Errors
    /// When they are not as many as `desc` says.
    pub fn from_bytes(engine: &Engine, desc: TensorDesc, bytes: &[u8]) -> Result<Tensor> {
        let TensorDesc { shape, dtype } = desc;
        let tensor = Tensor::zeros(engine, shape, dtype)?;
        let wanted = tensor.desc().len_bytes();
        if bytes.len() != wanted {
            let text = format!("a {dtype} tensor of shape {} is {wanted} bytes, not {}", tensor.shape(), bytes.len());
            return Err(Error::Shape(text));
        }
        // SAFETY: nobody else has the tensor yet, the view is inside the storage, and its length is checked.
        unsafe { tensor.view().as_mut_slice::<u8>() }.copy_from_slice(bytes);
        Ok(tensor)
    }

    /// The bytes of the elements in this machine's order, once the tasks pushed so far that write them are done.
    ///
    /// # Errors
    /// The root cause, if one of them failed.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let out = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (to, done) = (out.clone(), self.0.engine.var());
        self.push_read("read_tensor", &done, move |_, bytes| {
            *to.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = bytes.to_vec();
        });
        done.wait()?;
        let bytes = std::mem::take(&mut *out.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        Ok(bytes)
    }

    /// Pushes a task that shows the bytes of the elements to `body`. It names `order` as overwritten, so that such tasks
    /// follow each other.
    pub fn push_read(
        &self,
        name: impl Into<varflow_engine::Name>,
        order: &Var,
        body: impl FnOnce(&TensorDesc, &[u8]) + Send + 'static,
    ) {
        let from = self.clone();
        self.0.engine.raw(name).read(self.var()).overwrite(order).run(move |_| {
            // SAFETY: this task reads the tensor, so nobody writes it; the view's elements are seen as bytes.
            body(from.desc(), unsafe { from.view().as_slice::<u8>() });
        });
    }

    /// Records a task that does the same each time.
    pub fn record_read(
        &self,
        recorder: &mut Recorder,
        name: impl Into<varflow_engine::Name>,
        order: &Var,
        body: impl Fn(&TensorDesc, &[u8]) + Send + Sync + 'static,
    ) {
        let from = self.clone();
        self.0.engine.raw(name).read(self.var()).overwrite(order).record(recorder, move |_| {
            // SAFETY: as above.
            body(from.desc(), unsafe { from.view().as_slice::<u8>() });
        });
    }

    /// Pushes a task that replaces the elements by these.
    ///
    /// # Errors
    /// When number or type differ from the tensor's.
    pub fn set<T: Element>(&self, values: Vec<T>) -> Result<()> {
        self.check_dtype(T::DTYPE)?;
        self.check_len(values.len())?;
        let to = self.clone();
        self.0.engine.raw("write_tensor").overwrite(self.var()).run(move |_| {
            // SAFETY: this task has the tensor alone; length and type are checked.
            unsafe { to.view().as_mut_slice::<T>() }.copy_from_slice(&values);
        });
        Ok(())
    }

    /// Pushes a task that replaces the elements by those of `other`, which has the same dtype and as many.
    ///
    /// # Errors
    /// When number or type differ.
    pub fn copy_from(&self, other: &Tensor) -> Result<()> {
        self.check_dtype(other.dtype())?;
        self.check_len(other.shape().len())?;
        if self.var().same(other.var()) {
            return Ok(());
        }
        let (to, from) = (self.clone(), other.clone());
        self.0.engine.raw("copy").read(other.var()).overwrite(self.var()).run(move |_| {
            // SAFETY: the task reads `from` and has `to` alone.
            let (to, from) = unsafe { (to.view().as_mut_slice::<u8>(), from.view().as_slice::<u8>()) };
            to.copy_from_slice(from);
        });
        Ok(())
    }

    /// Pushes a task over tensors: `body` gets a context with `inputs` as inputs and `outputs` as outputs, each of
    /// which it must write wholly.
    pub fn push_task(
        engine: &Engine,
        name: impl Into<varflow_engine::Name>,
        inputs: &[&Tensor],
        outputs: &[&Tensor],
        body: impl FnOnce(&mut KernelCtx<'_>) -> Result<()> + Send + 'static,
    ) {
        let mut task = engine.raw(name);
        for t in inputs {
            task = task.access(t.var(), Mode::Read);
        }
        for t in outputs {
            task = task.access(t.var(), Mode::Overwrite);
        }
        let inputs: Vec<Tensor> = inputs.iter().map(|t| (*t).clone()).collect();
        let outputs: Vec<Option<Tensor>> = outputs.iter().map(|t| Some((*t).clone())).collect();
        task.run(move |task| {
            let rng = crate::Philox::new(0, 0, 0);
            // SAFETY: the task reads the inputs and has the outputs alone.
            let mut ctx = unsafe { KernelCtx::new(Some(task), &inputs, &[], &outputs, None, rng) };
            body(&mut ctx)
        });
    }

    /// Waits until the tasks pushed so far that write the tensor are done.
    ///
    /// # Errors
    /// The root cause, if one of them failed.
    pub fn wait(&self) -> Result<()> {
        Ok(self.var().wait()?)
    }

    /// The var that orders its tasks.
    #[must_use]
    pub fn var(&self) -> &Var {
        &self.0.var
    }

    /// The engine of its var.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Shape and dtype.
    #[must_use]
    pub fn desc(&self) -> &TensorDesc {
        self.0.view.desc()
    }

    /// Extent along each axis.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.desc().shape
    }

    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.desc().dtype
    }

    /// The bytes of its storage that it covers.
    #[must_use]
    pub fn byte_range(&self) -> std::ops::Range<usize> {
        let start = self.view().address().addr() - self.0.storage.start().addr().get();
        start..start + self.desc().len_bytes()
    }

    /// Whether both are views of one storage and share bytes of it.
    #[must_use]
    pub fn overlaps(&self, other: &Tensor) -> bool {
        let (a, b) = (self.byte_range(), other.byte_range());
        Arc::ptr_eq(&self.0.storage, &other.0.storage) && a.start < b.end && b.start < a.end
    }

    /// Address, shape and dtype, for kernels. The address is valid while the tensor lives.
    #[inline]
    pub(crate) fn view(&self) -> &RawView {
        &self.0.view
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({} {})", self.dtype(), self.shape())
    }
}
