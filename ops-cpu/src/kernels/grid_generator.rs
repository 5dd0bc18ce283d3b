//! `GridGenerator` and its gradient: places (x, y) from affine maps or from shifts of pixels.

use super::dtype::Real;
use super::par::{Workers, chunks};
use varflow_ops::defs::grid_is_affine;
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Result, Shape};

const GRAIN: usize = 16 * 1024;

/// The pixels of a grid.
#[derive(Clone, Copy)]
struct Pixels {
    height: usize,
    width: usize,
}

impl Pixels {
    fn of(grid: &Shape) -> Result<Pixels> {
        match grid.dims() {
            &[_, 2, height, width] => Ok(Pixels { height, width }),
            _ => Err(Error::Shape(format!("the grid has shape {grid}, wanted (N, 2, H, W)"))),
        }
    }

    fn len(self) -> usize {
        self.height * self.width
    }

    /// Column and row of a pixel.
    fn at(self, i: usize) -> [usize; 2] {
        [i % self.width, i / self.width]
    }

    /// The place of a pixel: -1 is the first of an axis and 1 the last.
    fn place<T: Real>(self, i: usize) -> [T; 2] {
        let [column, row] = self.at(i);
        [(column, self.width), (row, self.height)].map(|(at, len)| {
            let step = 2.0 / (len.max(2) - 1) as f64;
            T::from_f64(at as f64) * T::from_f64(step) - T::ONE
        })
    }

    /// Half of what pixels count along x and y.
    fn halves<T: Real>(self) -> [T; 2] {
        [self.width, self.height].map(|len| T::from_f64((len as f64 - 1.0) / 2.0))
    }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (pixels, affine) = (Pixels::of(&call.outputs[0].shape)?, grid_is_affine(call.params));
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (data, out) = (ctx.input::<T>(0)?, ctx.output::<T>(0)?);
        let halves = pixels.halves::<T>();
        // A plane is the x or the y of one grid.
        chunks(&Workers::of(ctx), out, pixels.len(), GRAIN, |start, out| {
            let first = start / pixels.len();
            for (plane, out) in (first..).zip(out.chunks_exact_mut(pixels.len())) {
                let axis = plane % 2;
                if affine {
                    let map = &data[plane * 3..][..3];
                    for (i, out) in out.iter_mut().enumerate() {
                        let [x, y] = pixels.place::<T>(i);
                        *out = map[0] * x + map[1] * y + map[2];
                    }
                } else {
                    let shifts = &data[plane * pixels.len()..][..pixels.len()];
                    for (i, (out, shift)) in out.iter_mut().zip(shifts).enumerate() {
                        *out = (*shift + T::from_f64(pixels.at(i)[axis] as f64)) / halves[axis] - T::ONE;
                    }
                }
            }
        });
        Ok(())
    }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (pixels, affine) = (Pixels::of(&call.inputs[0].shape)?, grid_is_affine(call.params));
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (out_grad, d_data) = (ctx.input::<T>(0)?, ctx.output::<T>(0)?);
        let halves = pixels.halves::<T>();
        let item = if affine { 3 } else { pixels.len() };
        let grain = if affine { 1 } else { GRAIN };
        chunks(&Workers::of(ctx), d_data, item, grain, |start, d_data| {
            for (plane, d) in (start / item..).zip(d_data.chunks_exact_mut(item)) {
                let grads = &out_grad[plane * pixels.len()..][..pixels.len()];
                if affine {
                    let mut sums = [0.0; 3];
                    for (i, g) in grads.iter().enumerate() {
                        let ([x, y], g) = (pixels.place::<T>(i), g.to_f64());
                        let terms = [g * x.to_f64(), g * y.to_f64(), g];
                        sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
                    }
                    d.iter_mut().zip(sums).for_each(|(d, sum)| *d = T::from_f64(sum));
                } else {
                    d.iter_mut().zip(grads).for_each(|(d, g)| *d = *g / halves[plane % 2]);
                }
            }
        });
        Ok(())
    }))
}
