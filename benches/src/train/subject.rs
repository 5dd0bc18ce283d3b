//! varflow's side of the train table: the counterpart of `benches/peers/train_*.py`. Runs in a process of its own.

use crate::Result;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use varflow::Runtime;
use varflow::prelude::*;

/// What to train.
#[derive(clap::Args)]
pub struct SubjectArgs {
    network: String,
    batch_size: usize,
    threads: usize,
    seconds: f64,
}

/// Trains on one batch again and again, as `Module::fit` does with many: copy the batch in, forward and backward, update.
///
/// # Errors
/// An unknown network, a failed step.
pub fn subject(args: &SubjectArgs) -> Result<()> {
    let rt = varflow::runtime(args.threads)?;
    let mut module = Module::new(&rt, zoo::by_name(&args.network)?.symbol)?;
    let data = Shape::new(&[args.batch_size, 1, 28, 28]);
    let label = Shape::new(&[args.batch_size]);
    let inputs = [("data", data.clone()), ("softmax_label", label.clone())];
    module.bind(&inputs)?;
    module.init(&Xavier::magnitude(2.0), 0)?;
    module.init_optimizer(&inputs, Arc::new(Sgd::new(0.01).momentum(0.9).wd(1e-4)))?;
    let batch = synthetic(&rt, data, label)?;
    let mut steps = |n: usize| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..n {
            module.train_step(&batch)?;
        }
        rt.engine.wait_all()?;
        Ok(start.elapsed().as_secs_f64())
    };
    steps(2)?;
    let once = steps(5)? / 5.0;
    let n = ((args.seconds / once) as usize).clamp(2, 1_000_000);
    let samples_per_s = (n * args.batch_size) as f64 / steps(n)?;
    let version = env!("CARGO_PKG_VERSION");
    println!("{}", json!({"version": version, "workload": args.network, "unit": "samples/s", "value": samples_per_s}));
    Ok(())
}

/// Pictures of values spread evenly over -1 to 1, and the labels 0 to 9 in turn.
fn synthetic(rt: &Runtime, data: Shape, label: Shape) -> Result<Batch> {
    let pixels: Vec<f32> = (0..data.len()).map(|i| (i * 7919 % 2001) as f32 / 1000.0 - 1.0).collect();
    let labels: Vec<f32> = (0..label.len()).map(|i| (i % 10) as f32).collect();
    let index = (0..label.len() as u64).collect();
    let data = vec![Tensor::from_slice(&rt.engine, data, &pixels)?];
    let label = vec![Tensor::from_slice(&rt.engine, label, &labels)?];
    Ok(Batch { data, label, pad: 0, index })
}
