//! A kvstore reduction as a plug-in: the mean of what the devices pushed.
#![forbid(unsafe_code)]

use varflow_sdk::prelude::*;

struct Mean;

/// Elements that a worker takes at a time: the same however many workers there are.
const PIECE: usize = 1 << 14;

impl Reduction for Mean {
    const NAME: &'static str = "mean";
    const DOC: &'static str = "The mean of what the devices pushed, element by element, added in their order.";

    fn reduce<T: Float>(&self, _key: &str, ctx: &Context) -> Result<()> {
        let inputs = (0..ctx.num_inputs()).map(|i| ctx.input::<T>(i)?.as_slice()).collect::<Result<Vec<&[T]>>>()?;
        let scale = T::ONE / T::from_f64(inputs.len() as f64);
        ctx.output::<T>(0)?.par_chunks(PIECE, |start, chunk| {
            for (i, mean) in chunk.iter_mut().enumerate() {
                *mean = inputs.iter().fold(T::ZERO, |sum, input| sum + input[start + i]) * scale;
            }
        });
        Ok(())
    }
}

varflow_sdk::plugin! { name: "mean_reduction", reductions: [Mean] }
