//! The kvstore reduction `local`.

use super::add_n::sum;
use varflow_ops::{DType, Element, Error, KernelCtx, Reduction, Result};

/// Sums in host memory.
pub(super) struct Local;

impl Reduction for Local {
    fn name(&self) -> &str {
        "local"
    }

    fn doc(&self) -> &str {
        "The sum in host memory, added in the order of the inputs: the same bits whatever the number of workers. Floating \
         point only; a broadcast copies any dtype."
    }

    fn reduce(&self, _: &str, ctx: &mut KernelCtx<'_>) -> Result<()> {
        match ctx.input_desc(0).dtype {
            DType::F32 => sum::<f32>(ctx),
            DType::F64 => sum::<f64>(ctx),
            other => Err(Error::DType(format!("the values are {other}, the reduction local sums float32 and float64"))),
        }
    }

    fn broadcast(&self, _: &str, ctx: &mut KernelCtx<'_>) -> Result<()> {
        match ctx.input_desc(0).dtype {
            DType::F32 => copy::<f32>(ctx),
            DType::F64 => copy::<f64>(ctx),
            DType::F16 => copy::<half::f16>(ctx),
            DType::BF16 => copy::<half::bf16>(ctx),
            DType::U8 => copy::<u8>(ctx),
            DType::I8 => copy::<i8>(ctx),
            DType::U16 => copy::<u16>(ctx),
            DType::I16 => copy::<i16>(ctx),
            DType::U32 => copy::<u32>(ctx),
            DType::I32 => copy::<i32>(ctx),
            DType::U64 => copy::<u64>(ctx),
            DType::I64 => copy::<i64>(ctx),
            DType::Bool => Err(Error::DType("the values are bool, the reduction local copies numbers".to_string())),
        }
    }
}

fn copy<T: Element>(ctx: &KernelCtx<'_>) -> Result<()> {
    let from = ctx.input::<T>(0)?;
    for o in (0..ctx.num_outputs()).filter(|o| ctx.is_wanted(*o)) {
        let to = ctx.output::<T>(o)?;
        if to.len() != from.len() {
            let (is, wanted) = (to.len(), from.len());
            return Err(Error::Shape(format!("output {o} of a broadcast has {is} elements, wanted {wanted}")));
        }
        to.copy_from_slice(from);
    }
    Ok(())
}
