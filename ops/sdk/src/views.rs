//! Tensors as kernels see them.
//!
//! # Why safe code cannot misuse them
//! An input may lie at the same address as an output, so neither a `&[T]` of the one nor a `&mut [T]` of the other may exist
//! while the other is reached. Elementwise methods read and write through addresses, one element at a time, each index by one
//! thread: same index, same bytes (checked), so a value is read before it is overwritten and never by another thread.
//! Slices are handed out only of what overlaps nothing. Views are neither `Send` nor `Sync`, so all are used in the run's own
//! thread; and a method that is called there while another's closure runs, as views in a thread-local may be, panics
//! ([`Context::alone`]). So while a method of one view is at work no other view's is.
#![expect(unsafe_code, reason = "reads and writes through addresses")]

use crate::tensor::{Tensor, overlap};
use crate::{Context, Element, Error, Result};
use std::ops::Range;

/// Elements that one piece of a parallel loop computes.
const GRAIN: usize = 1 << 14;

/// Which tensor shares memory: its sort and position.
type Sharer = Option<(&'static str, usize)>;

/// A tensor to be read.
///
/// ```compile_fail
/// # use varflow_sdk::{Context, Result};
/// fn forward(ctx: &Context<'_>) -> Result<()> {
///     let x = ctx.input::<f32>(0)?;
///     let mut y = ctx.output::<f32>(0)?;
///     // A view does not go along to other threads.
///     y.par_chunks(1024, |_, chunk| chunk.fill(x.as_slice().unwrap()[0]));
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy)]
pub struct View<'a, T> {
    tensor: Tensor<'a, T>,
    shared: Sharer,
}

/// A tensor to be written.
///
/// ```compile_fail
/// # use varflow_sdk::{Context, Pending, Result};
/// fn start(pending: Pending) -> Result<()> {
///     let y = pending.context().output::<f32>(0)?.into_slice()?;
///     pending.complete(Ok(()));
///     // The host has it again.
///     y[0] = 1.0;
///     Ok(())
/// }
/// ```
pub struct ViewMut<'a, T> {
    ctx: &'a Context<'a>,
    tensor: Tensor<'a, T>,
    shared: Sharer,
}

impl<'a, T: Element> View<'a, T> {
    /// # Safety
    /// The tensor stays for `'a`. Nobody writes it meanwhile but, if it is `shared`, through the view of that output.
    pub(crate) unsafe fn new(tensor: Tensor<'a, T>, shared: Sharer) -> Self {
        View { tensor, shared }
    }

    /// Its dimensions.
    #[must_use]
    pub fn shape(&self) -> &'a [usize] {
        self.tensor.shape
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tensor.len
    }

    /// Whether it has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its elements, row by row.
    ///
    /// # Errors
    /// When it has the same memory as an output, which can only be if the operator declares them as an in-place pair.
    pub fn as_slice(&self) -> Result<&'a [T]> {
        unshared(self.shared)?;
        // SAFETY: it stays for `'a` and, as it is not shared, nobody writes it; any bits are values of `T`.
        Ok(unsafe { std::slice::from_raw_parts(self.tensor.at, self.tensor.len) })
    }
}

impl<'a, T: Element> ViewMut<'a, T> {
    /// # Safety
    /// The tensor stays for `'a`. It is reached meanwhile through this view alone but, if it is `shared`, through views of
    /// that input.
    pub(crate) unsafe fn new(ctx: &'a Context<'a>, tensor: Tensor<'a, T>, shared: Sharer) -> Self {
        ViewMut { ctx, tensor, shared }
    }

    /// Its dimensions.
    #[must_use]
    pub fn shape(&self) -> &'a [usize] {
        self.tensor.shape
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tensor.len
    }

    /// Whether it has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its elements, row by row. Those of an output are arbitrary at first.
    ///
    /// # Errors
    /// When it has the same memory as an input, which can only be if the operator declares them as an in-place pair.
    pub fn into_slice(self) -> Result<&'a mut [T]> {
        unshared(self.shared)?;
        // SAFETY: it stays for `'a` and, as it is not shared, is reached through this view alone, which ends here.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.tensor.at, self.tensor.len) })
    }

    /// Sets every element to a value.
    pub fn fill(&mut self, value: T) {
        self.par_chunks(GRAIN, |_, chunk| chunk.fill(value));
    }

    /// Sets every element to that of another tensor.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    pub fn copy_from(&mut self, x: &impl Source<Item = T>) -> Result<()> {
        self.map(x, |x| x)
    }

    /// Sets every element to `f` of the elements of `x` at its place, on idle workers too.
    ///
    /// # Errors
    /// When `x` has another number of elements, or lies in the same memory otherwise than element upon element.
    pub fn map<A: Source>(&mut self, x: &A, f: impl Fn(A::Item) -> T + Sync) -> Result<()> {
        let (y, x) = (Address(self.tensor.at), x.address(self)?);
        // SAFETY: see `each`; `address` checked both.
        self.each(|i| unsafe { y.set(i, f(x.at(i))) });
        Ok(())
    }

    /// The same of two tensors.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    pub fn map2<A: Source, B: Source>(&mut self, a: &A, b: &B, f: impl Fn(A::Item, B::Item) -> T + Sync) -> Result<()> {
        let (y, a, b) = (Address(self.tensor.at), a.address(self)?, b.address(self)?);
        // SAFETY: as in `map`.
        self.each(|i| unsafe { y.set(i, f(a.at(i), b.at(i))) });
        Ok(())
    }

    /// The same of three tensors.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    pub fn map3<A: Source, B: Source, C: Source>(
        &mut self,
        a: &A,
        b: &B,
        c: &C,
        f: impl Fn(A::Item, B::Item, C::Item) -> T + Sync,
    ) -> Result<()> {
        let (y, a, b, c) = (Address(self.tensor.at), a.address(self)?, b.address(self)?, c.address(self)?);
        // SAFETY: as in `map`.
        self.each(|i| unsafe { y.set(i, f(a.at(i), b.at(i), c.at(i))) });
        Ok(())
    }

    /// Sets every element to `f` of itself and the element of `x` at its place. For mutated inputs, and outputs that were
    /// written before.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    pub fn update<A: Source>(&mut self, x: &A, f: impl Fn(T, A::Item) -> T + Sync) -> Result<()> {
        let (y, x) = (Address(self.tensor.at), x.address(self)?);
        // SAFETY: as in `map`.
        self.each(|i| unsafe { y.set(i, f(y.at(i), x.at(i))) });
        Ok(())
    }

    /// The same with two tensors.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    pub fn update2<A: Source, B: Source>(
        &mut self,
        a: &A,
        b: &B,
        f: impl Fn(T, A::Item, B::Item) -> T + Sync,
    ) -> Result<()> {
        let (y, a, b) = (Address(self.tensor.at), a.address(self)?, b.address(self)?);
        // SAFETY: as in `map`.
        self.each(|i| unsafe { y.set(i, f(y.at(i), a.at(i), b.at(i))) });
        Ok(())
    }

    /// Calls `body(start, chunk)` for chunks of `grain` elements (the last may be shorter), on idle workers too; `start` is the
    /// place of the chunk's first element.
    ///
    /// `grain` must not depend on the number of workers, or results might.
    pub fn par_chunks(&mut self, grain: usize, body: impl Fn(usize, &mut [T]) + Sync) {
        let at = Address(self.tensor.at);
        // SAFETY: pieces are disjoint, and `self` is borrowed mutably. If an input shares the memory: no view of it is at work
        // meanwhile (see above), and no slice of it was given out.
        self.pieces(grain, |range| body(range.start, unsafe { at.slice(range) }));
    }

    /// Calls `body(i)` for each element once; no two threads for the same. As `self` is borrowed mutably, and the addresses
    /// that `body` reads were checked, it may read and write elements `i`.
    fn each(&mut self, body: impl Fn(usize) + Sync) {
        self.pieces(GRAIN, |range| range.for_each(&body));
    }

    fn pieces(&mut self, grain: usize, body: impl Fn(Range<usize>) + Sync) {
        let (len, grain) = (self.tensor.len, grain.max(1));
        self.ctx.alone(|| self.ctx.parallel_for(len.div_ceil(grain), |p| body(p * grain..len.min((p + 1) * grain))));
    }
}

fn unshared(shared: Sharer) -> Result<()> {
    let Some((what, i)) = shared else { return Ok(()) };
    Err(Error::new(format!("a slice is asked for of what has the same memory as {what} {i}: compute it by map()")))
}

/// What elementwise methods read: a [`View`] or [`ViewMut`].
pub trait Source: sealed::Tensor {
    /// Its elements.
    type Item: Element;

    #[doc(hidden)]
    fn address<T: Element>(&self, written: &ViewMut<'_, T>) -> Result<Address<Self::Item>>;
}

mod sealed {
    pub trait Tensor {}
}

impl<T> sealed::Tensor for View<'_, T> {}
impl<T> sealed::Tensor for ViewMut<'_, T> {}

impl<A: Element> Source for View<'_, A> {
    type Item = A;

    fn address<T: Element>(&self, written: &ViewMut<'_, T>) -> Result<Address<A>> {
        matching(&self.tensor, &written.tensor)
    }
}

impl<A: Element> Source for ViewMut<'_, A> {
    type Item = A;

    fn address<T: Element>(&self, written: &ViewMut<'_, T>) -> Result<Address<A>> {
        matching(&self.tensor, &written.tensor)
    }
}

/// Where `x` is, if element `i` of it may be read by who then writes element `i` of `y`, while others are at other elements.
fn matching<A: Element, T: Element>(x: &Tensor<'_, A>, y: &Tensor<'_, T>) -> Result<Address<A>> {
    if x.len != y.len {
        return Err(Error::shape(format!("{:?} is computed elementwise from {:?}", y.shape, x.shape)));
    }
    let is_same = x.bytes() == y.bytes();
    if !is_same && overlap(&x.bytes(), &y.bytes()) {
        return Err(Error::new("an input overlaps the output that is computed from it, but is not in the same place"));
    }
    Ok(Address(x.at))
}

/// An address that goes along to other threads.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Address<T>(*mut T);

// SAFETY: an address, to which access is given only by the unsafe functions below; elements are plain values.
unsafe impl<T: Element> Send for Address<T> {}
// SAFETY: as above.
unsafe impl<T: Element> Sync for Address<T> {}

impl<T: Element> Address<T> {
    /// # Safety
    /// There is an element `i`, which nobody writes meanwhile.
    #[inline]
    unsafe fn at(self, i: usize) -> T {
        // SAFETY: by the contract; any bits are a value of `T`.
        unsafe { self.0.add(i).read() }
    }

    /// # Safety
    /// There is an element `i`, which nobody else reaches meanwhile.
    #[inline]
    unsafe fn set(self, i: usize, value: T) {
        // SAFETY: by the contract.
        unsafe { self.0.add(i).write(value) }
    }

    /// # Safety
    /// There are these elements, which nobody else reaches for `'s`.
    unsafe fn slice<'s>(self, range: Range<usize>) -> &'s mut [T] {
        // SAFETY: by the contract; any bits are values of `T`.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(range.start), range.len()) }
    }
}
