//! A gradient that a plug-in builds of graph nodes.
#![expect(unsafe_code, reason = "a function that plug-ins call back")]

use super::call::{c_text, call};
use super::read;
use crate::operator::{Entry, Gradient, GraphBuilder};
use crate::{Attrs, Error, Result};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use varflow_abi::{self as abi, Message, Status, Text, Texts, status};

/// What [`abi::Gradient::host`] leads to.
struct Host<'a> {
    node: &'a str,
    graph: &'a mut dyn GraphBuilder,
    /// The error of a node that could not be added: the plug-in is told its text only.
    failed: Option<Error>,
}

const NONE: abi::Entry = abi::Entry { node: -1, output: 0 };

fn to_abi(entry: Entry) -> abi::Entry {
    abi::Entry { node: entry.node as i64, output: entry.output as i64 }
}

fn from_abi(entry: abi::Entry) -> Result<Entry> {
    match (usize::try_from(entry.node), usize::try_from(entry.output)) {
        (Ok(node), Ok(output)) => Ok(Entry { node, output }),
        _ => Err(Error::Plugin(format!(
            "names output {} of node {}, wanted one that it was given or has added",
            entry.output, entry.node
        ))),
    }
}

impl Host<'_> {
    /// # Safety
    /// The pointers are as the header says.
    unsafe fn add(
        &mut self,
        op: Text,
        suffix: Text,
        attrs: Texts,
        inputs: (usize, *const abi::Entry),
    ) -> Result<Entry> {
        // SAFETY: by the contract.
        let (op, suffix, texts, inputs) = unsafe {
            (
                read::text("the operator", op)?,
                read::text("the suffix", suffix)?,
                read::texts("the attributes", attrs)?.unwrap_or_default(),
                read::items("inputs", inputs.0, inputs.1)?,
            )
        };
        if texts.len() % 2 != 0 {
            let text = format!("adds {op} with {} attribute texts, wanted pairs of name and value", texts.len());
            return Err(Error::Plugin(text));
        }
        let attrs: Attrs = texts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        let inputs = inputs.into_iter().map(from_abi).collect::<Result<Vec<_>>>()?;
        self.graph.add(&op, &format!("{}_backward_{suffix}", self.node), attrs, &inputs)
    }
}

/// # Safety
/// `host` leads to a [`Host`] that nobody else uses; the rest is as the header says.
unsafe extern "C" fn add(
    host: *mut c_void,
    op: Text,
    suffix: Text,
    attrs: Texts,
    num_inputs: usize,
    inputs: *const abi::Entry,
    out: *mut abi::Entry,
    message: *mut Message,
) -> Status {
    // SAFETY: by the contract.
    let host = unsafe { &mut *host.cast::<Host<'_>>() };
    // SAFETY: by the contract.
    let added = catch_unwind(AssertUnwindSafe(|| unsafe { host.add(op, suffix, attrs, (num_inputs, inputs)) }));
    let added = added.unwrap_or_else(|_| Err(Error::Contract("the graph panicked".to_string())));
    match added {
        Ok(entry) => {
            // SAFETY: by the contract.
            unsafe { out.write(to_abi(entry)) };
            status::OK
        }
        Err(e) => {
            // SAFETY: by the contract: null, or room for as many bytes as it says.
            unsafe { write_message(message, &e.to_string()) };
            host.failed = Some(e);
            status::ERROR
        }
    }
}

/// # Safety
/// `message` is null, or leads to one with the room that it says.
unsafe fn write_message(message: *mut Message, text: &str) {
    if message.is_null() {
        return;
    }
    // SAFETY: by the contract.
    unsafe {
        let Message { text: to, capacity } = *message;
        if to.is_null() || capacity == 0 {
            return;
        }
        let mut len = text.len().min(capacity - 1);
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        std::ptr::copy_nonoverlapping(text.as_ptr(), to.cast(), len);
        to.add(len).write(0);
    }
}

/// Calls a plug-in's function with what the gradient starts from, and returns what it built.
///
/// # Errors
/// Nodes that cannot be added, what the function says, entries that nobody has made.
pub(super) fn build(
    grad: &mut Gradient<'_>,
    function: impl FnOnce(*mut abi::Gradient, *mut Message) -> Status,
) -> Result<Vec<Option<Entry>>> {
    let node = c_text("the node's name", grad.node)?;
    let inputs: Vec<_> = grad.inputs.iter().copied().map(to_abi).collect();
    let outputs: Vec<_> = grad.outputs.iter().copied().map(to_abi).collect();
    let out_grads = (0..outputs.len()).map(|o| grad.out_grads.get(o).copied().flatten().map_or(NONE, to_abi));
    let out_grads: Vec<_> = out_grads.collect();
    let mut in_grads = vec![NONE; inputs.len()];
    let mut host = Host { node: grad.node, graph: &mut *grad.graph, failed: None };
    let mut told = abi::Gradient {
        struct_size: size_of::<abi::Gradient>() as u32,
        reserved: 0,
        node: node.as_ptr(),
        num_inputs: inputs.len(),
        num_outputs: outputs.len(),
        inputs: inputs.as_ptr(),
        outputs: outputs.as_ptr(),
        out_grads: out_grads.as_ptr(),
        in_grads: in_grads.as_mut_ptr(),
        host: (&raw mut host).cast(),
        add: Some(add),
    };
    let called = call(|message| function(&raw mut told, message));
    // Whatever the plug-in makes of it: a node that could not be added is why.
    host.failed.map_or(called, Err)?;
    in_grads.into_iter().map(|e| if e.node == -1 { Ok(None) } else { from_abi(e).map(Some) }).collect()
}
