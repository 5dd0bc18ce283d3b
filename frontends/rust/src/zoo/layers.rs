//! Layers that several networks are made of.

use varflow_symbol::{Symbol, sym};

/// The parameters of a network's batch normalisations.
#[derive(Clone, Copy)]
pub(super) struct Norm {
    pub(super) eps: f64,
    pub(super) fix_gamma: bool,
}

impl Norm {
    /// `BatchNorm` with a momentum of 0.9, which is also the operator's default.
    pub(super) fn of(self, x: impl Into<Symbol>, name: &str) -> Symbol {
        let norm = sym::op("BatchNorm").input(x).name(name);
        norm.set("eps", self.eps).set("momentum", 0.9).set("fix_gamma", self.fix_gamma).build()
    }
}

/// A window of a convolution: square, as wide as `kernel`, with steps and zeroes the same on both axes.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) pad: usize,
}

/// One pixel.
pub(super) const POINT: Window = Window { kernel: 1, stride: 1, pad: 0 };

/// 3×3 pixels, for an output of the same size.
pub(super) const NEAR: Window = Window { kernel: 3, stride: 1, pad: 1 };

impl Window {
    pub(super) fn stride(self, stride: usize) -> Window {
        Window { stride, ..self }
    }

    /// A convolution with this window.
    pub(super) fn convolution(self, x: impl Into<Symbol>, num_filter: usize) -> varflow_symbol::OpBuilder {
        let Window { kernel, stride, pad } = self;
        let conv = sym::convolution(x).kernel([kernel; 2]).num_filter(num_filter);
        let conv = if stride == 1 { conv } else { conv.stride([stride; 2]) };
        if pad == 0 { conv } else { conv.pad([pad; 2]) }
    }

    /// Pooling with this window.
    pub(super) fn pooling(self, x: impl Into<Symbol>, pool_type: &str) -> varflow_symbol::OpBuilder {
        let Window { kernel, stride, pad } = self;
        let pool = sym::pooling(x).kernel([kernel; 2]).stride([stride; 2]).pool_type(pool_type);
        if pad == 0 { pool } else { pool.pad([pad; 2]) }
    }
}

/// Max pooling of 3×3 pixels with steps of 2.
pub(super) fn max_pool_3(x: impl Into<Symbol>) -> varflow_symbol::OpBuilder {
    Window { kernel: 3, stride: 2, pad: 0 }.pooling(x, "max")
}

/// The mean of each channel. The kernel has no effect, but MXNet wants one.
pub(super) fn global_average(x: impl Into<Symbol>, name: &str) -> Symbol {
    sym::pooling(x).global_pool(true).kernel([7, 7]).pool_type("avg").name(name).build()
}

/// One after the other along the channels.
pub(super) fn concat(parts: impl IntoIterator<Item = Symbol>, name: &str) -> Symbol {
    parts.into_iter().fold(sym::op("Concat"), varflow_symbol::OpBuilder::input).name(name).build()
}

/// The fully connected layer of this name, for the classes, and their softmax.
pub(super) fn classify(x: impl Into<Symbol>, name: &str, num_classes: usize) -> Symbol {
    let x = sym::flatten(x).name("flatten");
    softmax(sym::fully_connected(x).num_hidden(num_classes).name(name))
}

/// The output.
pub(super) fn softmax(x: impl Into<Symbol>) -> Symbol {
    sym::softmax_output(x).name("softmax").build()
}
