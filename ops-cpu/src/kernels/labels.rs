//! Labels and indices of any dtype.

use crate::compute::Number;
use half::{bf16, f16};
use std::ops::Range;
use varflow_ops::{DType, Error, KernelCtx, Result};

macro_rules! labels {
    ($($dtype:ident $t:ty),*) => {
        /// Numbers of any dtype: labels, indices, lengths, conditions.
        #[derive(Clone, Copy)]
        pub(super) enum Labels<'a> {
            $($dtype(&'a [$t]),)*
        }

        impl<'a> Labels<'a> {
            /// Input `i`.
            pub(super) fn of(ctx: &KernelCtx<'a>, i: usize) -> Result<Labels<'a>> {
                match ctx.input_desc(i).dtype {
                    $(DType::$dtype => Ok(Labels::$dtype(ctx.input(i)?)),)*
                    other => Err(Error::DType(format!("input {i} holds {other}, wanted numbers"))),
                }
            }

            pub(super) fn len(self) -> usize {
                match self {
                    $(Labels::$dtype(labels) => labels.len(),)*
                }
            }

            /// Label `i`; exact up to 2^53.
            pub(super) fn number(self, i: usize) -> f64 {
                match self {
                    $(Labels::$dtype(labels) => labels[i].to_f64(),)*
                }
            }

            /// Calls `f(label)` for those of a range, in order: faster than [`number`](Self::number) for each.
            pub(super) fn each(self, range: Range<usize>, mut f: impl FnMut(f64)) {
                match self {
                    $(Labels::$dtype(labels) => labels[range].iter().for_each(|label| f(label.to_f64())),)*
                }
            }
        }
    };
}

labels!(
    F32 f32, F64 f64, F16 f16, BF16 bf16, U8 u8, I8 i8, U16 u16, I16 i16, U32 u32, I32 i32, U64 u64, I64 i64
);

impl Labels<'_> {
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
