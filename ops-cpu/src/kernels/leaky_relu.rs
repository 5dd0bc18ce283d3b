//! `LeakyReLU` and its gradients.

use super::dtype::Real;
use super::pair::copied;
use super::par::{Workers, chunks};
use crate::compute::{Channels, Mismatch, Par, map_in_place, normal_cdf, zip_in_place};
use varflow_ops::defs::leaky_relu_saves_output;
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Philox, Result, Shape, WithWorkspace};

/// Klambauer and others, NIPS 2017: the fixed point of mean 0 and variance 1.
const SELU: (f64, f64) = (1.050_700_987_355_480_5, 1.673_263_242_354_377_2);

/// Numbers of rrelu's mask that are worth a part of their own.
const GRAIN: usize = 16 * 1024;

/// A rectifier without inputs but data.
#[derive(Clone, Copy)]
pub(super) enum Rectifier<T> {
    Leaky {
        slope: T,
    },
    /// `scale · x`, and `slope · (e^x - 1)` of negative numbers.
    Exponential {
        scale: T,
        slope: T,
    },
    Gelu,
}

impl<T: Real> Rectifier<T> {
    fn of(call: &KernelCall<'_>) -> Rectifier<T> {
        Rectifier::new(call.params.text("act_type"), call.params.float("slope"))
    }

    pub(super) fn new(act_type: &str, slope: f64) -> Rectifier<T> {
        let slope = T::from_f64(slope);
        match act_type {
            "elu" => Rectifier::Exponential { scale: T::ONE, slope },
            "selu" => Rectifier::Exponential { scale: T::from_f64(SELU.0), slope: T::from_f64(SELU.0 * SELU.1) },
            "gelu" => Rectifier::Gelu,
            _ => Rectifier::Leaky { slope },
        }
    }

    pub(super) fn forward(self, par: &dyn Par, x: &mut [T]) {
        match self {
            Rectifier::Leaky { slope } => map_in_place(par, x, |x| if x > T::ZERO { x } else { slope * x }),
            Rectifier::Exponential { scale, slope } => {
                map_in_place(par, x, |x| if x > T::ZERO { scale * x } else { slope * (x.exp() - T::ONE) });
            }
            Rectifier::Gelu => map_in_place(par, x, |x| T::from_f64(x.to_f64() * normal_cdf(x.to_f64()))),
        }
    }

    /// `d` times the derivative, from the output or the input of the forward pass.
    pub(super) fn backward(self, par: &dyn Par, of_output: bool, d: &mut [T], saved: &[T]) -> Result<(), Mismatch> {
        match self {
            Rectifier::Leaky { slope } => zip_in_place(par, d, saved, |d, s| if s > T::ZERO { d } else { d * slope }),
            Rectifier::Exponential { scale, slope } if of_output => {
                zip_in_place(par, d, saved, |d, y| d * if y > T::ZERO { scale } else { y + slope })
            }
            Rectifier::Exponential { scale, slope } => {
                zip_in_place(par, d, saved, |d, x| d * if x > T::ZERO { scale } else { slope * x.exp() })
            }
            Rectifier::Gelu => zip_in_place(par, d, saved, |d, x| {
                let x = x.to_f64();
                let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
                d * T::from_f64(normal_cdf(x) + x * density)
            }),
        }
    }
}

/// Where the channels of prelu lie: those of axis 1, or all as one.
fn channels(data: &Shape, gamma: &Shape) -> Result<Channels> {
    let d = data.dims();
    if gamma.len() == 1 {
        return Ok(Channels { outer: 1, channels: 1, inner: data.len() });
    }
    match *d {
        [outer, channels, ref rest @ ..] if gamma.len() == channels => {
            Ok(Channels { outer, channels, inner: rest.iter().product() })
        }
        _ => Err(Error::Shape(format!("gamma has shape {gamma}, wanted one number, or one a channel of data {data}"))),
    }
}

/// The slopes of rrelu: drawn in training, else the mean. An element's depends on its number alone.
fn draw<T: Real>(par: &dyn Par, drawn: Option<Philox>, (lower, upper): (f64, f64), data: &[T], mask: &mut [T]) {
    let mean = T::from_f64(lower + 0.5 * (upper - lower));
    chunks(par, mask, 4, GRAIN, |start, mask| {
        let data = &data[start..start + mask.len()];
        for (block, (mask, data)) in (start as u64 / 4..).zip(mask.chunks_mut(4).zip(data.chunks(4))) {
            let slopes = drawn.map(|rng| rng.uniform4(block));
            for (i, (mask, x)) in mask.iter_mut().zip(data).enumerate() {
                let slope = slopes.map_or(mean, |u| T::from_f64(lower + (upper - lower) * f64::from(u[i])));
                *mask = if *x > T::ZERO { T::ONE } else { slope };
            }
        }
    });
}

fn rrelu<T: Real>(call: &KernelCall<'_>) -> Box<dyn Kernel> {
    let bounds = (call.params.float("lower_bound"), call.params.float("upper_bound"));
    let (len, is_train) = (call.inputs[0].shape.len(), call.is_train);
    // The mask is drawn even if nobody wants it afterwards.
    let bytes = if call.wanted[1] { 0 } else { len * size_of::<T>() };
    let run = move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        let mask: &mut [T] = match bytes {
            _ if ctx.is_wanted(1) => ctx.output(1)?,
            0 => &mut [],
            _ => &mut ctx.workspace()?[..len],
        };
        let drawn = is_train.then(|| ctx.rng());
        if !ctx.is_wanted(0) {
            draw(&par, drawn, bounds, ctx.input(0)?, mask);
            return Ok(());
        }
        let output = copied::<T>(ctx, 0, 0)?;
        draw(&par, drawn, bounds, output, mask);
        Ok(zip_in_place(&par, output, mask, |x, slope| x * slope)?)
    };
    Box::new(WithWorkspace { bytes, run })
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    match call.params.text("act_type") {
        "rrelu" => Ok(rrelu::<T>(call)),
        "prelu" => {
            let channels = channels(&call.inputs[0].shape, &call.inputs[1].shape)?;
            Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
                let (gamma, output) = (ctx.input::<T>(1)?, copied::<T>(ctx, 0, 0)?);
                let of = |c: usize| move |x: T, _| if x > T::ZERO { x } else { gamma[c] * x };
                Ok(channels.zip(&Workers::of(ctx), (None, None), output, of)?)
            }))
        }
        _ => {
            let rectifier = Rectifier::<T>::of(call);
            Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
                rectifier.forward(&Workers::of(ctx), copied(ctx, 0, 0)?);
                Ok(())
            }))
        }
    }
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    match call.params.text("act_type") {
        "rrelu" => Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
            let (mask, d_data) = (ctx.input::<T>(1)?, copied::<T>(ctx, 0, 0)?);
            Ok(zip_in_place(&Workers::of(ctx), d_data, mask, |d, slope| d * slope)?)
        })),
        "prelu" => {
            let channels = channels(&call.inputs[1].shape, &call.inputs[2].shape)?;
            Ok(Box::new(move |ctx: &mut KernelCtx<'_>| prelu_backward::<T>(ctx, channels)))
        }
        _ => {
            let (rectifier, of_output) = (Rectifier::<T>::of(call), leaky_relu_saves_output(call.params));
            Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
                let (saved, d_data) = (ctx.input(1)?, copied(ctx, 0, 0)?);
                Ok(rectifier.backward(&Workers::of(ctx), of_output, d_data, saved)?)
            }))
        }
    }
}

fn prelu_backward<T: Real>(ctx: &KernelCtx<'_>, channels: Channels) -> Result<()> {
    let (par, data, gamma) = (Workers::of(ctx), ctx.input::<T>(1)?, ctx.input::<T>(2)?);
    let d_data = if ctx.is_wanted(0) { Some(copied::<T>(ctx, 0, 0)?) } else { None };
    if ctx.is_wanted(1) {
        let out_grad = match &d_data {
            Some(d_data) => &**d_data,
            None => ctx.input(0)?,
        };
        let mut sums = vec![[0.0; 2]; channels.channels];
        let below = |g: T, x: T| (if x > T::ZERO { T::ZERO } else { g * x }, T::ZERO);
        channels.sums(&par, out_grad, data, &mut sums, |_| below)?;
        ctx.output::<T>(1)?.iter_mut().zip(sums).for_each(|(to, sums)| *to = T::from_f64(sums[0]));
    }
    if let Some(d_data) = d_data {
        let of = |c: usize| move |g: T, x: T| if x > T::ZERO { g } else { g * gamma[c] };
        channels.zip(&par, (None, Some(data)), d_data, of)?;
    }
    Ok(())
}
