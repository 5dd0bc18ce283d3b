//! Gradients: how an operator says what its is, and the graph that it is built in.
#![expect(unsafe_code, reason = "reads the host's vf_gradient and asks it to add nodes")]

use crate::boundary::{self, c_text};
use crate::context::list;
use crate::{Error, Result};
use std::marker::PhantomData;
use varflow_abi::{Message, status};

/// The gradient of an operator.
///
/// ```
/// use varflow_sdk::Gradient;
/// // backward() is handed the gradient of the output, then input 0; it may write over the former.
/// const GRADIENT: Gradient = Gradient::kernel().inputs(&[0]).in_place(&[(0, 0)]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gradient {
    pub(crate) sort: Sort,
    pub(crate) inputs: &'static [usize],
    pub(crate) outputs: &'static [usize],
    pub(crate) without: &'static [usize],
    pub(crate) in_place: &'static [(usize, usize)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    None,
    Kernel,
    Nodes,
}

impl Gradient {
    const fn of(sort: Sort) -> Self {
        Gradient { sort, inputs: &[], outputs: &[], without: &[], in_place: &[] }
    }

    /// There is none.
    #[must_use]
    pub const fn none() -> Self {
        Gradient::of(Sort::None)
    }

    /// Computed by [`Operator::backward`](crate::Operator::backward). Its inputs are the gradients of all visible outputs, then
    /// the forward [`inputs`](Self::inputs) and [`outputs`](Self::outputs) that are listed; its outputs are the gradients of the
    /// forward inputs.
    #[must_use]
    pub const fn kernel() -> Self {
        Gradient::of(Sort::Kernel)
    }

    /// Built of other operators by [`Operator::gradient`](crate::Operator::gradient).
    #[must_use]
    pub const fn nodes() -> Self {
        Gradient::of(Sort::Nodes)
    }

    /// The forward inputs that the kernel reads.
    #[must_use]
    pub const fn inputs(self, inputs: &'static [usize]) -> Self {
        Gradient { inputs, ..self }
    }

    /// The forward outputs that the kernel reads.
    #[must_use]
    pub const fn outputs(self, outputs: &'static [usize]) -> Self {
        Gradient { outputs, ..self }
    }

    /// The forward inputs that have no gradient, such as labels and indices.
    #[must_use]
    pub const fn without(self, inputs: &'static [usize]) -> Self {
        Gradient { without: inputs, ..self }
    }

    /// Pairs (input, output), by the backward kernel's own positions, that may share memory, best first.
    #[must_use]
    pub const fn in_place(self, pairs: &'static [(usize, usize)]) -> Self {
        Gradient { in_place: pairs, ..self }
    }
}

/// One output of one graph node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    node: i64,
    output: i64,
}

impl Entry {
    /// Another output of the same node, by its number.
    #[must_use]
    pub fn output(self, output: usize) -> Entry {
        Entry { output: output as i64, ..self }
    }

    fn to_abi(self) -> varflow_abi::Entry {
        varflow_abi::Entry { node: self.node, output: self.output }
    }
}

/// The graph around one node, to which its gradient is added.
pub struct Graph<'a> {
    table: varflow_abi::Gradient,
    inputs: &'a [varflow_abi::Entry],
    outputs: &'a [varflow_abi::Entry],
    out_grads: &'a [varflow_abi::Entry],
    /// It stays in the thread that it was given to, as the host's graph does.
    marker: PhantomData<*const ()>,
}

impl Graph<'_> {
    /// # Safety
    /// `gradient` is the host's, with all that it leads to, and may be used for as long as this.
    pub(crate) unsafe fn new(gradient: *mut varflow_abi::Gradient) -> Result<Self> {
        // SAFETY: by the contract.
        let table = unsafe { varflow_abi::read(gradient) }
            .map_err(|size| Error::new(format!("the host's vf_gradient has {size} bytes, which is none")))?;
        // SAFETY: by the contract.
        let (inputs, outputs, out_grads) = unsafe {
            (
                list(table.inputs, table.num_inputs),
                list(table.outputs, table.num_outputs),
                list(table.out_grads, table.num_outputs),
            )
        };
        Ok(Graph { table, inputs, outputs, out_grads, marker: PhantomData })
    }

    /// The forward node's name.
    #[must_use]
    pub fn node(&self) -> String {
        // SAFETY: by the contract of `new`.
        unsafe { boundary::text(self.table.node) }.into_owned()
    }

    /// Number of inputs, auxiliary states included.
    #[must_use]
    pub fn num_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Number of outputs, hidden ones included.
    #[must_use]
    pub fn num_outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Input `i` of the forward node.
    ///
    /// # Errors
    /// When there is no such input.
    pub fn input(&self, i: usize) -> Result<Entry> {
        entry(self.inputs, i, "input")?.ok_or_else(|| Error::new(format!("input {i} is no entry of the graph")))
    }

    /// Output `o` of the forward node.
    ///
    /// # Errors
    /// When there is no such output.
    pub fn output(&self, o: usize) -> Result<Entry> {
        entry(self.outputs, o, "output")?.ok_or_else(|| Error::new(format!("output {o} is no entry of the graph")))
    }

    /// The gradient of output `o`; `None`: it is zero.
    ///
    /// # Errors
    /// When there is no such output.
    pub fn out_grad(&self, o: usize) -> Result<Option<Entry>> {
        entry(self.out_grads, o, "output")
    }

    /// Adds a node of an operator, named `<node>_backward_<suffix>`, with parameters as in symbol JSON, and returns its first
    /// output.
    ///
    /// # Errors
    /// When nobody provides the operator, or parameters or inputs do not fit it.
    pub fn add(&mut self, op: &str, suffix: &str, params: &[(&str, &str)], inputs: &[Entry]) -> Result<Entry> {
        let add = self.table.add.ok_or_else(|| Error::unsupported("the host adds no graph nodes"))?;
        let (op, suffix) = (c_text(op), c_text(suffix));
        let texts: Vec<_> = params.iter().flat_map(|(name, value)| [c_text(name), c_text(value)]).collect();
        let attrs: Vec<_> = texts.iter().map(|t| t.as_ptr()).chain([std::ptr::null()]).collect();
        let inputs: Vec<_> = inputs.iter().map(|e| e.to_abi()).collect();
        let mut out = varflow_abi::Entry { node: -1, output: 0 };
        let mut buffer = [0_u8; 512];
        let mut message = Message { text: buffer.as_mut_ptr().cast(), capacity: buffer.len() };
        // SAFETY: by the contract of `new`; all that is handed over stays until the call returns.
        let status = unsafe {
            add(
                self.table.host,
                op.as_ptr(),
                suffix.as_ptr(),
                attrs.as_ptr(),
                inputs.len(),
                inputs.as_ptr(),
                &raw mut out,
                &raw mut message,
            )
        };
        if status != status::OK {
            return Err(boundary::heard(status, &buffer));
        }
        Ok(Entry { node: out.node, output: out.output })
    }

    /// Says what the gradient of input `i` is. Inputs for which nothing is said have none.
    ///
    /// # Errors
    /// When there is no such input.
    pub fn set_in_grad(&mut self, i: usize, grad: Entry) -> Result<()> {
        if i >= self.inputs.len() || self.table.in_grads.is_null() {
            return Err(Error::new(format!(
                "input {i} is given a gradient, and there are {} inputs",
                self.inputs.len()
            )));
        }
        // SAFETY: there is one for each input, for us to write.
        unsafe { *self.table.in_grads.add(i) = grad.to_abi() };
        Ok(())
    }
}

fn entry(entries: &[varflow_abi::Entry], i: usize, what: &str) -> Result<Option<Entry>> {
    let entry = entries
        .get(i)
        .ok_or_else(|| Error::new(format!("{what} {i} is asked for, and there are {}", entries.len())))?;
    Ok((entry.node >= 0).then_some(Entry { node: entry.node, output: entry.output }))
}
