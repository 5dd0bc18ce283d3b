//! Class labels of any dtype.

use varflow_ops::{DType, Error, KernelCtx, Result};

/// Labels, read as numbers.
#[derive(Clone, Copy)]
pub(super) enum Labels<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    U8(&'a [u8]),
    I8(&'a [i8]),
    I32(&'a [i32]),
    I64(&'a [i64]),
}

impl<'a> Labels<'a> {
    /// Input `i`.
    pub(super) fn of(ctx: &KernelCtx<'a>, i: usize) -> Result<Labels<'a>> {
        Ok(match ctx.input_desc(i).dtype {
            DType::F32 => Labels::F32(ctx.input(i)?),
            DType::F64 => Labels::F64(ctx.input(i)?),
            DType::U8 => Labels::U8(ctx.input(i)?),
            DType::I8 => Labels::I8(ctx.input(i)?),
            DType::I32 => Labels::I32(ctx.input(i)?),
            DType::I64 => Labels::I64(ctx.input(i)?),
            other => {
                let wanted = "float32, float64, uint8, int8, int32 or int64";
                return Err(Error::DType(format!("label holds {other}, wanted {wanted}")));
            }
        })
    }

    pub(super) fn len(self) -> usize {
        match self {
            Labels::F32(labels) => labels.len(),
            Labels::F64(labels) => labels.len(),
            Labels::U8(labels) => labels.len(),
            Labels::I8(labels) => labels.len(),
            Labels::I32(labels) => labels.len(),
            Labels::I64(labels) => labels.len(),
        }
    }

    /// Label `i`; exact up to 2^53.
    pub(super) fn number(self, i: usize) -> f64 {
        match self {
            Labels::F32(labels) => f64::from(labels[i]),
            Labels::F64(labels) => labels[i],
            Labels::U8(labels) => f64::from(labels[i]),
            Labels::I8(labels) => f64::from(labels[i]),
            Labels::I32(labels) => f64::from(labels[i]),
            Labels::I64(labels) => labels[i] as f64,
        }
    }

    /// How many labels, as integers, are not `ignored`.
    pub(super) fn count_others(self, ignored: f64) -> usize {
        (0..self.len()).filter(|i| self.number(*i).trunc() != ignored).count()
    }

    /// Fails if a label is neither a class, a number from 0 to below `classes`, nor `ignored`.
    pub(super) fn check(self, classes: usize, ignored: Option<f64>) -> Result<()> {
        for i in 0..self.len() {
            let label = self.number(i);
            let is_class = label >= 0.0 && label < classes as f64;
            if !is_class && ignored != Some(label.trunc()) {
                let last = classes.saturating_sub(1);
                return Err(Error::Data(format!("label {i} is {label}, wanted a class from 0 to {last}")));
            }
        }
        Ok(())
    }
}
