#![allow(missing_docs)]
use DeviceKind::Cpu;
use varflow_ops::*;
fn io(c: &mut KernelCtx<'_>, i: usize, f: impl Fn(usize, f32) -> f32) -> Result<()> {
    match c.pair::<f32>(i, 0)? {
        Pair::Same(x) => x.iter_mut().enumerate().for_each(|(i, x)| *x = f(i, *x)),
        Pair::Apart(x, y) => y.iter_mut().zip(x).enumerate().for_each(|(i, (y, x))| *y = f(i, *x)),
    }
    Ok(())
}
fn soft(row: &mut [f32]) {
    let m = row.iter().fold(f32::MIN, |a, b| a.max(*b));
    row.iter_mut().for_each(|v| *v = (*v - m).exp());
    let s: f32 = row.iter().sum();
    row.iter_mut().for_each(|v| *v /= s);
}
pub fn provider() -> Provider {
    Provider::new("scratch")
        .kernel("FullyConnected", Cpu, |_| {
            Ok(Box::new(|c: &mut KernelCtx<'_>| {
                let (x, w, b, y) = (c.input::<f32>(0)?, c.input::<f32>(1)?, c.input::<f32>(2)?, c.output::<f32>(0)?);
                let (n, h) = (c.input_shape(0)[0], b.len());
                let k = x.len() / n;
                for i in 0..n {
                    for j in 0..h {
                        y[i * h + j] = b[j] + (0..k).map(|q| x[i * k + q] * w[j * k + q]).sum::<f32>();
                    }
                }
                Ok(())
            }))
        })
        .kernel("_backward_FullyConnected", Cpu, |_| {
            Ok(Box::new(|c: &mut KernelCtx<'_>| {
                let (g, x, w) = (c.input::<f32>(0)?, c.input::<f32>(1)?, c.input::<f32>(2)?);
                let n = c.input_shape(0)[0];
                let h = g.len() / n;
                let k = x.len() / n;
                if c.is_wanted(0) {
                    let d = c.output::<f32>(0)?;
                    for i in 0..n {
                        for q in 0..k {
                            d[i * k + q] = (0..h).map(|j| g[i * h + j] * w[j * k + q]).sum();
                        }
                    }
                }
                if c.is_wanted(1) {
                    let d = c.output::<f32>(1)?;
                    for j in 0..h {
                        for q in 0..k {
                            d[j * k + q] = (0..n).map(|i| g[i * h + j] * x[i * k + q]).sum();
                        }
                    }
                }
                if c.is_wanted(2) {
                    let d = c.output::<f32>(2)?;
                    for j in 0..h {
                        d[j] = (0..n).map(|i| g[i * h + j]).sum();
                    }
                }
                Ok(())
            }))
        })
        .kernel("Activation", Cpu, |_| Ok(Box::new(|c: &mut KernelCtx<'_>| io(c, 0, |_, x| x.max(0.0)))))
        .kernel("_backward_Activation", Cpu, |_| {
            Ok(Box::new(|c: &mut KernelCtx<'_>| {
                let y = c.input::<f32>(1)?;
                io(c, 0, |i, g| if y[i] > 0.0 { g } else { 0.0 })
            }))
        })
        .kernel("Flatten", Cpu, |_| Ok(Box::new(|c: &mut KernelCtx<'_>| io(c, 0, |_, x| x))))
        .kernel("Dropout", Cpu, |call| {
            let t = call.is_train;
            let p = call.params.float("p") as f32;
            Ok(Box::new(move |c: &mut KernelCtx<'_>| {
                if !t {
                    return io(c, 0, |_, x| x);
                }
                let r = c.rng();
                let keep = move |i: usize| r.uniform4(i as u64)[0] >= p;
                if c.is_wanted(1) {
                    c.output::<u8>(1)?.iter_mut().enumerate().for_each(|(i, m)| *m = u8::from(keep(i)));
                }
                io(c, 0, |i, x| if keep(i) { x / (1.0 - p) } else { 0.0 })
            }))
        })
        .kernel("_backward_Dropout", Cpu, |call| {
            let p = call.params.float("p") as f32;
            Ok(Box::new(move |c: &mut KernelCtx<'_>| {
                let m = c.input::<u8>(1)?;
                io(c, 0, |i, x| x * f32::from(m[i]) / (1.0 - p))
            }))
        })
        .kernel("SoftmaxOutput", Cpu, |_| {
            Ok(Box::new(|c: &mut KernelCtx<'_>| {
                let k = c.input_shape(0)[1];
                match c.pair::<f32>(0, 0)? {
                    Pair::Same(x) => x.chunks_mut(k).for_each(soft),
                    Pair::Apart(x, y) => {
                        y.copy_from_slice(x);
                        y.chunks_mut(k).for_each(soft);
                    }
                }
                Ok(())
            }))
        })
        .kernel("_backward_SoftmaxOutput", Cpu, |_| {
            Ok(Box::new(|c: &mut KernelCtx<'_>| {
                let k = c.input_shape(0)[1];
                let l = c.input::<f32>(1)?;
                io(c, 0, |i, p| p - f32::from(u8::from(i % k == l[i / k] as usize)))
            }))
        })
        .kernel("sgd_update", Cpu, |call| {
            let p = call.params.clone();
            Ok(Box::new(move |c: &mut KernelCtx<'_>| {
                let (lr, wd, r) = (p.float("lr") as f32, p.float("wd") as f32, p.float("rescale_grad") as f32);
                let g = c.input::<f32>(1)?;
                c.mutated::<f32>(0)?.iter_mut().zip(g).for_each(|(w, g)| *w -= lr * (r * g + wd * *w));
                Ok(())
            }))
        })
        .kernel("sgd_mom_update", Cpu, |call| {
            let p = call.params.clone();
            Ok(Box::new(move |c: &mut KernelCtx<'_>| {
                let (lr, wd, r, mo) = (
                    p.float("lr") as f32,
                    p.float("wd") as f32,
                    p.float("rescale_grad") as f32,
                    p.float("momentum") as f32,
                );
                let g = c.input::<f32>(1)?;
                let m = c.mutated::<f32>(2)?;
                c.mutated::<f32>(0)?.iter_mut().zip(m).zip(g).for_each(|((w, m), g)| {
                    *m = mo * *m - lr * (r * g + wd * *w);
                    *w += *m;
                });
                Ok(())
            }))
        })
}
