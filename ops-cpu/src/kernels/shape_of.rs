//! `shape_array` and `size_array`.

use varflow_ops::{Kernel, KernelCall, KernelCtx, Result};

fn constant(numbers: Vec<usize>) -> Box<dyn Kernel> {
    Box::new(move |ctx: &mut KernelCtx<'_>| {
        let output = ctx.output::<i64>(0)?;
        // Lengths are never more than isize::MAX.
        output.iter_mut().zip(&numbers).for_each(|(out, n)| *out = *n as i64);
        Ok(())
    })
}

pub(super) fn shape(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    Ok(constant(call.inputs[0].shape.dims().to_vec()))
}

pub(super) fn size(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    Ok(constant(vec![call.inputs[0].shape.len()]))
}
