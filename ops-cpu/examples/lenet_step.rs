//! Times whole training steps of LeNet and of an MLP, and their pieces, on one and two threads.
//!
//! `cargo run --release -p varflow-cpu --example lenet_step`
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::hint::spin_loop;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Scope;
use std::time::Instant;
use varflow_cpu::compute::*;

const BATCH: usize = 64;

/// Numbers that begin on a cache line, as those of an arena do: a vector across two lines takes twice as long to load.
struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

impl Buffer {
    fn zeros(len: usize) -> Buffer {
        Buffer { lines: vec![Line([0.0; 16]); len.div_ceil(16)], len }
    }

    fn noise(len: usize, scale: f32) -> Buffer {
        let mut buffer = Buffer::zeros(len);
        let mut state = 0x2545_f491_u32;
        for x in buffer.iter_mut() {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            *x = (state as f32 / u32::MAX as f32 - 0.5) * scale;
        }
        buffer
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

type Body<'a> = &'a (dyn Fn(usize) + Sync);

/// Threads that spin between loops.
struct Spinning {
    width: usize,
    next: AtomicUsize,
    end: AtomicUsize,
    round: AtomicUsize,
    idle: AtomicUsize,
    quit: AtomicBool,
    body: Mutex<Option<Body<'static>>>,
}

impl Spinning {
    fn new(width: usize) -> Spinning {
        Spinning {
            width,
            next: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            round: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            quit: AtomicBool::new(false),
            body: Mutex::new(None),
        }
    }

    fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        for _ in 1..self.width {
            scope.spawn(|| {
                let mut seen = 0;
                loop {
                    while self.round.load(Ordering::Acquire) == seen {
                        if self.quit.load(Ordering::Relaxed) {
                            return;
                        }
                        spin_loop();
                    }
                    seen = self.round.load(Ordering::Acquire);
                    let body = *self.body.lock().expect("no loop body panics");
                    if let Some(body) = body {
                        self.work(body);
                    }
                    self.idle.fetch_add(1, Ordering::Release);
                }
            });
        }
    }

    fn work(&self, body: Body<'_>) {
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= self.end.load(Ordering::Relaxed) {
                return;
            }
            body(i);
        }
    }
}

impl Par for Spinning {
    #[expect(unsafe_code, reason = "the helpers borrow the loop body")]
    fn for_each(&self, n: usize, body: Body<'_>) {
        if self.width == 1 {
            return (0..n).for_each(body);
        }
        // SAFETY: the reference is dropped below, after all helpers are idle again.
        let long: Body<'static> = unsafe { std::mem::transmute(body) };
        *self.body.lock().expect("no loop body panics") = Some(long);
        self.end.store(n, Ordering::Relaxed);
        self.next.store(0, Ordering::Relaxed);
        self.idle.store(0, Ordering::Relaxed);
        self.round.fetch_add(1, Ordering::Release);
        self.work(body);
        while self.idle.load(Ordering::Acquire) < self.width - 1 {
            spin_loop();
        }
        *self.body.lock().expect("no loop body panics") = None;
    }

    fn width(&self) -> usize {
        self.width
    }
}

/// The least time of each piece.
#[derive(Default)]
struct Pieces(BTreeMap<&'static str, f64>);

impl Pieces {
    fn time(&mut self, name: &'static str, run: impl FnOnce() -> Result<(), Mismatch>) {
        let start = Instant::now();
        run().expect("the lengths fit");
        let time = start.elapsed().as_secs_f64();
        let least = self.0.entry(name).or_insert(f64::MAX);
        *least = least.min(time);
    }
}

/// Weight, gradient and momentum.
struct Weight {
    value: Buffer,
    gradient: Buffer,
    momentum: Buffer,
}

impl Weight {
    fn new(len: usize, inputs: usize) -> Weight {
        Weight {
            value: Buffer::noise(len, 3.0 / (inputs as f32).sqrt()),
            gradient: Buffer::zeros(len),
            momentum: Buffer::zeros(len),
        }
    }

    fn update(&mut self, par: &dyn Par) -> Result<(), Mismatch> {
        let sgd = Sgd { lr: 0.01, wd: 1e-4, rescale_grad: 1.0 / BATCH as f32, clip_gradient: -1.0 };
        sgd_momentum_update(par, sgd, 0.9, &self.gradient, &mut self.momentum, &mut self.value)
    }
}

/// A dense layer with its activations.
struct Dense {
    names: [&'static str; 4],
    inputs: usize,
    outputs: usize,
    weight: Weight,
    bias: Weight,
    y: Buffer,
    dy: Buffer,
}

impl Dense {
    fn new(names: [&'static str; 4], inputs: usize, outputs: usize) -> Dense {
        Dense {
            names,
            inputs,
            outputs,
            weight: Weight::new(inputs * outputs, inputs),
            bias: Weight::new(outputs, inputs),
            y: Buffer::zeros(BATCH * outputs),
            dy: Buffer::zeros(BATCH * outputs),
        }
    }

    fn forward(&mut self, par: &dyn Par, pieces: &mut Pieces, x: &[f32]) {
        pieces.time(self.names[0], || {
            let x = Matrix::new(x, BATCH, self.inputs)?;
            let w = Matrix::new(&self.weight.value, self.outputs, self.inputs)?;
            gemm(par, 1.0, x, w.t(), 0.0, &mut self.y)?;
            binary_in_place(
                par,
                Binary::Add,
                (&mut self.y, &[BATCH, self.outputs]),
                (&self.bias.value, &[self.outputs]),
            )
        });
    }

    fn backward(&mut self, par: &dyn Par, pieces: &mut Pieces, x: &[f32], dx: Option<&mut [f32]>) {
        if let Some(dx) = dx {
            pieces.time(self.names[1], || {
                let dy = Matrix::new(&self.dy, BATCH, self.outputs)?;
                gemm(par, 1.0, dy, Matrix::new(&self.weight.value, self.outputs, self.inputs)?, 0.0, dx)
            });
        }
        pieces.time(self.names[2], || {
            let dy = Matrix::new(&self.dy, BATCH, self.outputs)?;
            gemm(par, 1.0, dy.t(), Matrix::new(x, BATCH, self.inputs)?, 0.0, &mut self.weight.gradient)?;
            reduce(par, Reduction::Sum, &self.dy, &[BATCH, self.outputs], &[0], &mut self.bias.gradient)
        });
        pieces.time(self.names[3], || {
            self.weight.update(par)?;
            self.bias.update(par)
        });
    }
}

fn loss(par: &dyn Par, pieces: &mut Pieces, p: &mut [f32], labels: &[f32], dy: &mut [f32]) {
    pieces.time("softmax", || {
        softmax_in_place(par, 10, p)?;
        softmax_cross_entropy_backward(par, 10, p, labels, CrossEntropy { scale: 1.0, ignore_label: None }, dy)
    });
}

struct Mlp {
    layers: [Dense; 3],
}

impl Mlp {
    fn new() -> Mlp {
        Mlp {
            layers: [
                Dense::new(["fc1 y", "fc1 dx", "fc1 dw", "fc1 sgd"], 784, 128),
                Dense::new(["fc2 y", "fc2 dx", "fc2 dw", "fc2 sgd"], 128, 64),
                Dense::new(["fc3 y", "fc3 dx", "fc3 dw", "fc3 sgd"], 64, 10),
            ],
        }
    }

    fn step(&mut self, par: &dyn Par, pieces: &mut Pieces, x: &[f32], labels: &[f32]) {
        let [fc1, fc2, fc3] = &mut self.layers;
        fc1.forward(par, pieces, x);
        pieces.time("relu y", || {
            unary_in_place(par, Unary::Relu, &mut fc1.y);
            Ok(())
        });
        fc2.forward(par, pieces, &fc1.y);
        pieces.time("relu y", || {
            unary_in_place(par, Unary::Relu, &mut fc2.y);
            Ok(())
        });
        fc3.forward(par, pieces, &fc2.y);
        loss(par, pieces, &mut fc3.y, labels, &mut fc3.dy);
        fc3.backward(par, pieces, &fc2.y, Some(&mut fc2.dy));
        pieces.time("relu dx", || unary_backward_in_place(par, Unary::Relu, &fc2.y, &mut fc2.dy));
        fc2.backward(par, pieces, &fc1.y, Some(&mut fc1.dy));
        pieces.time("relu dx", || unary_backward_in_place(par, Unary::Relu, &fc1.y, &mut fc1.dy));
        fc1.backward(par, pieces, x, None);
    }
}

/// A convolution, tanh and 2x2 max pooling.
struct Stage {
    names: [&'static str; 8],
    conv: Conv,
    pool: Pool,
    weight: Weight,
    bias: Weight,
    y: Buffer,
    dy: Buffer,
    pooled: Buffer,
    dpooled: Buffer,
    workspace: Buffer,
}

impl Stage {
    fn new(names: [&'static str; 8], channels: usize, side: usize, filters: usize) -> Result<Stage, Mismatch> {
        let conv = Conv::new(BATCH, channels, &[side; 2], filters, &[5; 2], &[1; 2], &[1; 2], &[0; 2], 1)?;
        let out = side - 4;
        let pool = Pool::new(PoolKind::Max, BATCH * filters, &[out; 2], &[2; 2], &[2; 2], &[0; 2], false)?;
        let y_len = BATCH * conv.output_len();
        let workspace = conv
            .forward_workspace_len::<f32>()
            .max(conv.backward_data_workspace_len::<f32>())
            .max(conv.backward_weight_workspace_len::<f32>());
        Ok(Stage {
            names,
            weight: Weight::new(conv.weight_len(), channels * 25),
            bias: Weight::new(filters, channels * 25),
            y: Buffer::zeros(y_len),
            dy: Buffer::zeros(y_len),
            pooled: Buffer::zeros(y_len / 4),
            dpooled: Buffer::zeros(y_len / 4),
            workspace: Buffer::zeros(workspace),
            conv,
            pool,
        })
    }

    fn forward(&mut self, par: &dyn Par, pieces: &mut Pieces, x: &[f32]) {
        let Stage { weight, bias, y, workspace, .. } = self;
        pieces.time(self.names[0], || self.conv.forward(par, x, &weight.value, Some(&bias.value), y, workspace));
        pieces.time(self.names[1], || {
            unary_in_place(par, Unary::Tanh, y);
            Ok(())
        });
        pieces.time(self.names[2], || self.pool.forward(par, y, &mut self.pooled));
    }

    fn backward(&mut self, par: &dyn Par, pieces: &mut Pieces, x: &[f32], dx: Option<&mut [f32]>) {
        let Stage { weight, bias, y, dy, workspace, .. } = self;
        pieces.time(self.names[3], || self.pool.backward(par, y, &self.dpooled, dy));
        pieces.time(self.names[4], || unary_backward_in_place(par, Unary::Tanh, y, dy));
        if let Some(dx) = dx {
            pieces.time(self.names[5], || self.conv.backward_data(par, &weight.value, dy, dx, workspace));
        }
        pieces.time(self.names[6], || {
            self.conv.backward_weight(par, x, dy, &mut weight.gradient, workspace)?;
            self.conv.backward_bias(par, dy, &mut bias.gradient)
        });
        pieces.time(self.names[7], || {
            weight.update(par)?;
            bias.update(par)
        });
    }
}

struct LeNet {
    stages: [Stage; 2],
    layers: [Dense; 2],
}

impl LeNet {
    fn new() -> Result<LeNet, Mismatch> {
        let first = ["conv1 y", "tanh1 y", "pool1 y", "pool1 dx", "tanh1 dx", "conv1 dx", "conv1 dw", "conv1 sgd"];
        let second = ["conv2 y", "tanh2 y", "pool2 y", "pool2 dx", "tanh2 dx", "conv2 dx", "conv2 dw", "conv2 sgd"];
        Ok(LeNet {
            stages: [Stage::new(first, 1, 28, 20)?, Stage::new(second, 20, 12, 50)?],
            layers: [
                Dense::new(["fc1 y", "fc1 dx", "fc1 dw", "fc1 sgd"], 800, 500),
                Dense::new(["fc2 y", "fc2 dx", "fc2 dw", "fc2 sgd"], 500, 10),
            ],
        })
    }

    fn step(&mut self, par: &dyn Par, pieces: &mut Pieces, x: &[f32], labels: &[f32]) {
        let [first, second] = &mut self.stages;
        let [fc1, fc2] = &mut self.layers;
        first.forward(par, pieces, x);
        second.forward(par, pieces, &first.pooled);
        fc1.forward(par, pieces, &second.pooled);
        pieces.time("tanh3 y", || {
            unary_in_place(par, Unary::Tanh, &mut fc1.y);
            Ok(())
        });
        fc2.forward(par, pieces, &fc1.y);
        loss(par, pieces, &mut fc2.y, labels, &mut fc2.dy);
        fc2.backward(par, pieces, &fc1.y, Some(&mut fc1.dy));
        pieces.time("tanh3 dx", || unary_backward_in_place(par, Unary::Tanh, &fc1.y, &mut fc1.dy));
        fc1.backward(par, pieces, &second.pooled, Some(&mut second.dpooled));
        second.backward(par, pieces, &first.pooled, Some(&mut first.dpooled));
        first.backward(par, pieces, x, None);
    }
}

/// Samples a second in the best of some rounds.
fn measure(name: &str, steps: usize, mut step: impl FnMut(&mut Pieces)) {
    let mut pieces = Pieces::default();
    for _ in 0..steps / 4 {
        step(&mut pieces);
    }
    let mut least = f64::MAX;
    for _ in 0..8 {
        let start = Instant::now();
        for _ in 0..steps {
            step(&mut pieces);
        }
        least = least.min(start.elapsed().as_secs_f64() / steps as f64);
    }
    println!("{name}: {:.0} samples/s, {:.0} us a step", BATCH as f64 / least, least * 1e6);
    print!("  least time of each piece, in us: sum {:.0}", pieces.0.values().sum::<f64>() * 1e6);
    for (name, time) in &pieces.0 {
        print!(", {name} {:.1}", time * 1e6);
    }
    println!();
}

fn main() -> Result<(), Mismatch> {
    let x = Buffer::noise(BATCH * 784, 2.0);
    let labels: Vec<f32> = (0..BATCH).map(|i| (i % 10) as f32).collect();
    for width in [1, 2] {
        let par = Spinning::new(width);
        std::thread::scope(|scope| {
            par.start(scope);
            let mut mlp = Mlp::new();
            measure(&format!("MLP 784-128-64-10, {width} threads"), 400, |pieces| {
                mlp.step(&par, pieces, &x, &labels);
            });
            let result = LeNet::new().map(|mut lenet| {
                measure(&format!("LeNet, {width} threads"), 30, |pieces| lenet.step(&par, pieces, &x, &labels));
            });
            par.quit.store(true, Ordering::Relaxed);
            result
        })?;
    }
    Ok(())
}
