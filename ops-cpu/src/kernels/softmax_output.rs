//! `SoftmaxOutput` and its gradient, that of the cross entropy.

use super::columns::{Columns, MOST};
use super::dtype::Real;
use super::labels::Labels;
use super::pair::copied;
use super::par::{Workers, chunks};
use super::softmax::Tables;
use varflow_ops::defs::softmax_output_axes;
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Result};

/// Numbers that are worth a part of their own.
const GRAIN: usize = 32 * 1024;

/// Classes are the rows of tables, one a sample, with a column for each of the sample's labels.
fn tables(call: &KernelCall<'_>) -> Tables {
    let [_, rows, columns] = softmax_output_axes(call.params, &call.inputs[0].shape);
    Tables { rows, columns }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let tables = tables(call);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| tables.softmax::<T>(&Workers::of(ctx), copied(ctx, 0, 0)?)))
}

/// What the gradient is divided by.
enum Divisor {
    Fixed(usize),
    /// The number of labels other than `ignore_label`.
    Valid,
}

/// The gradient where labels are classes.
struct ByClass {
    tables: Tables,
    grad_scale: f64,
    divisor: Divisor,
    ignore_label: f64,
    use_ignore: bool,
    smooth_alpha: f64,
}

impl ByClass {
    fn new(call: &KernelCall<'_>) -> Result<ByClass> {
        let (output, label) = (&call.inputs[0].shape, &call.inputs[1].shape);
        let tables = tables(call);
        let labels = output.len().checked_div(tables.rows).unwrap_or(0);
        if label.len() != labels {
            return Err(Error::Shape(format!("label has shape {label}, wanted {labels} labels for output {output}")));
        }
        let divisor = match call.params.text("normalization") {
            "valid" => Divisor::Valid,
            "batch" => Divisor::Fixed(labels),
            _ => Divisor::Fixed(tables.columns),
        };
        Ok(ByClass {
            tables,
            grad_scale: call.params.float("grad_scale"),
            divisor,
            ignore_label: call.params.float("ignore_label").trunc(),
            use_ignore: call.params.bool("use_ignore"),
            smooth_alpha: call.params.float("smooth_alpha"),
        })
    }

    /// The output becomes its gradient.
    fn run<T: Real>(&self, par: &Workers<'_>, labels: Labels<'_>, d: &mut [T]) -> Result<()> {
        let classes = self.tables.rows;
        let ignored = self.use_ignore.then_some(self.ignore_label);
        labels.check(classes, ignored)?;
        let divisor = match self.divisor {
            Divisor::Fixed(divisor) => divisor,
            Divisor::Valid => labels.count_others(self.ignore_label),
        };
        let scale = T::from_f64(self.grad_scale / divisor.max(1) as f64);
        let at_label = T::from_f64(1.0 - self.smooth_alpha);
        let elsewhere = T::from_f64(if classes > 1 { self.smooth_alpha / (classes - 1) as f64 } else { 0.0 });
        self.tables.each(par, d, |start, d| {
            for block in Columns::blocks(self.tables.columns) {
                let (mut label, mut factor) = ([0.0; MOST], [scale; MOST]);
                for (i, column) in block.range.clone().enumerate() {
                    label[i] = labels.number(start / classes + column).trunc();
                    if ignored == Some(label[i]) {
                        factor[i] = T::ZERO;
                    }
                }
                for (class, row) in d.chunks_mut(self.tables.columns).enumerate() {
                    let class = class as f64;
                    for ((d, label), factor) in row[block.range.clone()].iter_mut().zip(label).zip(factor) {
                        let target = if label == class { at_label } else { elsewhere };
                        *d = if factor == T::ZERO { T::ZERO } else { (*d - target) * factor };
                    }
                }
            }
        });
        Ok(())
    }
}

/// The gradient where label has the shape of the output: it is the target itself.
fn by_target<T: Real>(par: &Workers<'_>, labels: Labels<'_>, scale: T, d: &mut [T]) {
    chunks(par, d, 1, GRAIN, |start, d| {
        for (i, d) in (start..).zip(d) {
            *d = (*d - T::from_f64(labels.number(i))) * scale;
        }
    });
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let is_target = call.inputs[0].shape == call.inputs[1].shape;
    let by_class = if is_target { None } else { Some(ByClass::new(call)?) };
    let grad_scale = T::from_f64(call.params.float("grad_scale"));
    let has_out_grad = call.params.bool("out_grad");
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, labels, d_data) = (Workers::of(ctx), Labels::of(ctx, 1)?, copied::<T>(ctx, 0, 0)?);
        match &by_class {
            Some(by_class) => by_class.run(&par, labels, d_data)?,
            None => by_target(&par, labels, grad_scale, d_data),
        }
        if has_out_grad {
            crate::compute::zip_in_place(&par, d_data, ctx.input(2)?, |d: T, g| d * g)?;
        }
        Ok(())
    }))
}
