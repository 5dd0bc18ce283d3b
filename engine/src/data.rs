//! A typed value and its var in one.
#![expect(unsafe_code, reason = "hands out the value that the engine's ordering protects")]

use crate::access::Mode;
use crate::bounds::Room;
use crate::engine::Engine;
use crate::error::Error;
use crate::sync::Arc;
use crate::var::Var;
use std::cell::UnsafeCell;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

/// A value that only tasks touch, and only those that name it: `&T` to those that read, `&mut T` to those that write.
/// Clones stand for the same value. Made by [`Engine::data`](crate::Engine::data), and by
/// [`compute`](crate::TaskBuilder::compute) from a task's result.
///
/// ```
/// use varflow_engine::Engine;
/// # fn main() -> Result<(), varflow_engine::Error> {
/// let engine = Engine::builder().cpu_workers(2).build()?;
/// let words = engine.data(vec!["a"]);
/// engine.task("push").write(&words).run(|words| words.push("b"));
/// let len = engine.task("len").read(&words).compute(|words| words.len());
/// assert_eq!((len.wait()?, words.wait()?), (2, vec!["a", "b"]));
/// # Ok(()) }
/// ```
pub struct Data<T>(Arc<Cell<T>>);

struct Cell<T> {
    var: Var,
    // None until the first write of a value made by `compute`.
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is reached only through `Fetch::fetch`, whose caller is a running task that holds the var: shared
// for `&T` (needs T: Sync), alone for `&mut T` (needs T: Send). Dropping happens with the last handle, on any thread
// (needs T: Send); the engine's queues keep no task of this var then, since tasks hold handles.
unsafe impl<T: Send + Sync> Send for Cell<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Cell<T> {}

impl<T> Clone for Data<T> {
    fn clone(&self) -> Self {
        Data(self.0.clone())
    }
}

impl<T: Send + Sync + 'static> Data<T> {
    pub(crate) fn new(var: Var, value: Option<T>) -> Self {
        Data(Arc::new(Cell { var, value: UnsafeCell::new(value) }))
    }

    /// The var that orders the tasks over this value.
    #[must_use]
    pub fn var(&self) -> &Var {
        &self.0.var
    }

    /// Waits for the tasks pushed so far that write the value, and gives a copy of it, made by a task named `read`. The value
    /// is a future as well.
    ///
    /// # Errors
    /// As [`Var::wait`]; a failure with [`Cause::ShutDown`](crate::Cause::ShutDown) when the engine has shut down;
    /// [`Error::Unwritten`] if there is no value.
    #[track_caller]
    pub fn wait(&self) -> Result<T, Error>
    where
        T: Clone,
    {
        self.copy().wait()
    }

    #[track_caller]
    fn copy(&self) -> Copied<T>
    where
        T: Clone,
    {
        let engine = Engine::from_core(self.0.var.core().clone());
        let to = Arc::new(std::sync::Mutex::new(None));
        let done = engine.var();
        let (from, into) = (Read(self.clone()), to.clone());
        let room = Room::beyond_bound(engine.core());
        engine.raw("read").room(room).read(self.var()).overwrite(&done).run(move |_| {
            // SAFETY: the task reads the var.
            let value = unsafe { from.fetch() }.cloned();
            *into.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = value;
        });
        Copied { to, done, from: self.var().clone() }
    }
}

struct Copied<T> {
    to: Arc<std::sync::Mutex<Option<T>>>,
    done: Var,
    from: Var,
}

impl<T> Copied<T> {
    fn wait(self) -> Result<T, Error> {
        self.done.wait()?;
        self.take()
    }

    fn take(self) -> Result<T, Error> {
        let value = self.to.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        value.ok_or_else(|| Error::Unwritten(format!("{:?}", self.from)))
    }
}

impl<T: Clone + Send + Sync + 'static> IntoFuture for Data<T> {
    type Output = Result<T, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let copied = self.copy();
        Box::pin(async move {
            (&copied.done).await?;
            copied.take()
        })
    }
}

/// One typed access of a task.
pub trait Fetch: Send + 'static {
    /// What the task body is handed.
    type Out<'a>;

    /// How the value is touched.
    const MODE: Mode;

    /// The var.
    fn data_var(&self) -> Var;

    /// Whether there is a value to hand out.
    ///
    /// # Safety
    /// As [`fetch_out`](Fetch::fetch_out).
    unsafe fn is_written(&self) -> bool;

    /// The value.
    ///
    /// # Safety
    /// The caller is inside a running task that holds this access, hands the result to nobody who outlives the task,
    /// names the value once in all its accesses if any of them writes it, and has seen [`is_written`](Fetch::is_written).
    unsafe fn fetch_out<'a>(&'a self) -> Self::Out<'a>;
}

/// Shared access to a [`Data`].
pub struct Read<T>(pub(crate) Data<T>);
/// Exclusive access to a [`Data`], which may look at the old value.
pub struct Write<T>(pub(crate) Data<T>);

impl<T> Read<T> {
    /// # Safety
    /// As [`Fetch::fetch_out`], but for the last clause.
    unsafe fn fetch(&self) -> Option<&T> {
        // SAFETY: the task holds the var, so nobody writes now.
        unsafe { &*self.0.0.value.get() }.as_ref()
    }
}

impl<T: Send + Sync + 'static> Fetch for Read<T> {
    type Out<'a> = &'a T;

    const MODE: Mode = Mode::Read;

    fn data_var(&self) -> Var {
        self.0.var().clone()
    }

    unsafe fn is_written(&self) -> bool {
        // SAFETY: passed on.
        unsafe { self.fetch() }.is_some()
    }

    unsafe fn fetch_out(&self) -> &T {
        // SAFETY: passed on.
        let value = unsafe { self.fetch() };
        // SAFETY: the caller has seen that there is one.
        unsafe { value.unwrap_unchecked() }
    }
}

impl<T: Send + Sync + 'static> Fetch for Write<T> {
    type Out<'a> = &'a mut T;

    const MODE: Mode = Mode::Write;

    fn data_var(&self) -> Var {
        self.0.var().clone()
    }

    unsafe fn is_written(&self) -> bool {
        // SAFETY: the task holds the var alone, so a shared look is fine.
        unsafe { &*self.0.0.value.get() }.is_some()
    }

    unsafe fn fetch_out(&self) -> &mut T {
        // SAFETY: the task holds the var alone and names it once, so this is the only reference.
        let value = unsafe { &mut *self.0.0.value.get() };
        // SAFETY: the caller has seen that there is one.
        unsafe { value.as_mut().unwrap_unchecked() }
    }
}

/// Exclusive access to a [`Data`] whose value is replaced, and which need not have one.
pub struct Overwrite<T>(pub(crate) Data<T>);

impl<T: Send + Sync + 'static> Fetch for Overwrite<T> {
    type Out<'a> = &'a mut Option<T>;

    const MODE: Mode = Mode::Overwrite;

    fn data_var(&self) -> Var {
        self.0.var().clone()
    }

    unsafe fn is_written(&self) -> bool {
        true
    }

    unsafe fn fetch_out(&self) -> &mut Option<T> {
        // SAFETY: the task holds the var alone and names it once, so this is the only reference.
        let value = unsafe { &mut *self.0.0.value.get() };
        *value = None; // what is left of the old value is not to be seen
        value
    }
}

/// The result of a `compute` task: overwritten without being looked at.
pub(crate) struct Put<T>(pub(crate) Data<T>);

impl<T: Send + Sync + 'static> Put<T> {
    /// # Safety
    /// The caller is inside a running task that overwrites the var.
    pub(crate) unsafe fn put(&self, value: T) {
        // SAFETY: the task holds the var alone.
        unsafe { *self.0.0.value.get() = Some(value) };
    }
}
