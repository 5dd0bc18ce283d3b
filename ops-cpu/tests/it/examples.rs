//! Uses of every operator, which the uniform checks run over.

use super::graph;
use super::usage::{Array, Use};
use std::sync::LazyLock;
use varflow_ops::{DType, Philox, defs};

/// What values an input has.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// In -3..3, none within 0.01 of zero or of another: no maximum and no kink is near.
    Apart,
    /// In 0.5..2.5.
    Positive,
    /// Class numbers below this.
    Classes(usize),
    /// Class numbers as int32.
    IntClasses(usize),
    /// In 0..1.
    Share,
}
use Values::{Apart, Classes, IntClasses, Positive, Share};

impl Values {
    pub fn array(self, shape: &[usize], seed: u8) -> Array {
        let len: usize = shape.iter().product();
        let stream = Philox::new(u64::from(seed), 0, 0);
        let share = |i: usize| stream.uniform2(i as u64)[0];
        let values: Vec<f64> = match self {
            Apart => {
                let step = f64::max(6.0 / len.max(1) as f64, 0.02);
                let order = stream.permutation(len).into_iter();
                order.map(|i| (i as f64 - len as f64 / 2.0 + 0.37) * step).collect()
            }
            Positive => (0..len).map(|i| 0.5 + 2.0 * share(i)).collect(),
            Classes(n) | IntClasses(n) => (0..len).map(|i| (share(i) * n as f64).floor()).collect(),
            Share => (0..len).map(share).collect(),
        };
        let dtype = if matches!(self, IntClasses(_)) { DType::I32 } else { DType::F64 };
        Array::new(shape, dtype, values)
    }
}

type Given = &'static [(&'static str, &'static str)];
type Inputs = &'static [(&'static [usize], Values)];

const D: (&[usize], Values) = (&[2, 3, 4], Apart);
const P: (&[usize], Values) = (&[2, 3, 4], Positive);
const S: Given = &[("scalar", "1.5")];

/// Operators, attributes and inputs.
const ROWS: &[(&str, Given, Inputs)] = &[
    ("FullyConnected", &[("num_hidden", "5")], &[D, (&[5, 12], Apart), (&[5], Apart)]),
    ("FullyConnected", &[("num_hidden", "3"), ("no_bias", "True")], &[(&[2, 7], Apart), (&[3, 7], Apart)]),
    ("FullyConnected", &[("num_hidden", "5"), ("flatten", "False")], &[D, (&[5, 4], Apart), (&[5], Apart)]),
    (
        "Convolution",
        &[("num_filter", "2"), ("kernel", "(3,)")],
        &[(&[2, 2, 9], Apart), (&[2, 2, 3], Apart), (&[2], Apart)],
    ),
    (
        "Convolution",
        &[
            ("num_filter", "4"),
            ("kernel", "(3, 2)"),
            ("stride", "(2, 1)"),
            ("pad", "(1, 2)"),
            ("dilate", "(2, 1)"),
            ("num_group", "2"),
            ("no_bias", "True"),
        ],
        &[(&[2, 4, 5, 5], Apart), (&[4, 2, 3, 2], Apart)],
    ),
    (
        "Convolution",
        &[("num_filter", "3"), ("kernel", "(2, 2)"), ("stride", "(2, 2)")],
        &[(&[2, 2, 6, 5], Apart), (&[3, 2, 2, 2], Apart), (&[3], Apart)],
    ),
    (
        "Convolution",
        &[("num_filter", "2"), ("kernel", "(1, 2, 3)")],
        &[(&[1, 2, 2, 3, 7], Apart), (&[2, 2, 1, 2, 3], Apart), (&[2], Apart)],
    ),
    ("Pooling", &[("kernel", "(2, 2)"), ("stride", "(2, 2)")], &[(&[1, 2, 4, 6], Apart)]),
    ("Pooling", &[("kernel", "(3, 2)"), ("stride", "(2, 2)"), ("pad", "(1, 0)")], &[(&[1, 2, 7, 6], Apart)]),
    (
        "Pooling",
        &[
            ("kernel", "(3, 2)"),
            ("stride", "(2, 3)"),
            ("pooling_convention", "full"),
            ("pool_type", "avg"),
            ("pad", "(1, 1)"),
        ],
        &[(&[1, 1, 8, 7], Apart)],
    ),
    ("Pooling", &[("kernel", "(3,)"), ("stride", "2"), ("pooling_convention", "same")], &[(&[2, 2, 7], Apart)]),
    (
        "Pooling",
        &[("kernel", "(3,)"), ("stride", "2"), ("pooling_convention", "same"), ("pool_type", "avg")],
        &[(&[2, 2, 7], Apart)],
    ),
    ("Pooling", &[("kernel", "(2, 2, 2)"), ("pool_type", "sum")], &[(&[1, 2, 3, 3, 3], Apart)]),
    ("Pooling", &[("global_pool", "True"), ("pool_type", "avg")], &[(&[2, 3, 3, 4], Apart)]),
    ("Activation", &[("act_type", "relu")], &[D]),
    ("Activation", &[("act_type", "sigmoid")], &[D]),
    ("Activation", &[("act_type", "tanh")], &[D]),
    ("Activation", &[("act_type", "softrelu")], &[D]),
    ("Activation", &[("act_type", "softsign")], &[D]),
    ("Flatten", &[], &[D]),
    ("Reshape", &[("shape", "(6, -1)")], &[D]),
    ("Dropout", &[], &[D]),
    ("Dropout", &[("p", "0.3"), ("axes", "(1,)"), ("mode", "always")], &[D]),
    ("Dropout", &[("p", "0.4"), ("axes", "(0, 2)")], &[D]),
    ("SoftmaxOutput", &[], &[(&[4, 5], Apart), (&[4], IntClasses(5))]),
    ("SoftmaxOutput", &[("preserve_shape", "True"), ("out_grad", "1")], &[D, (&[2, 3], Classes(4))]),
    ("softmax", &[], &[D]),
    ("softmax", &[("axis", "1"), ("temperature", "2.5")], &[D]),
    ("log_softmax", &[], &[D]),
    ("log_softmax", &[("axis", "-3"), ("temperature", "0.5")], &[D]),
    ("add_n", &[("num_args", "1")], &[D]),
    ("add_n", &[("num_args", "3")], &[D, P, D]),
    ("broadcast_add", &[], &[(&[2, 1, 4], Apart), (&[1, 3, 4], Apart)]),
    ("broadcast_sub", &[], &[D, (&[4], Apart)]),
    ("broadcast_mul", &[], &[(&[1], Apart), D]),
    ("broadcast_mul", &[], &[D, (&[3, 1], Apart)]),
    ("broadcast_div", &[], &[(&[2, 3], Apart), (&[2, 3], Positive)]),
    ("broadcast_div", &[], &[D, (&[2, 1, 4], Positive)]),
    ("elemwise_add", &[], &[D, P]),
    ("_grad_add", &[], &[D, P]),
    ("elemwise_sub", &[], &[D, P]),
    ("elemwise_mul", &[], &[D, P]),
    ("elemwise_div", &[], &[D, P]),
    ("_copy", &[], &[D]),
    ("BlockGrad", &[], &[D]),
    ("negative", &[], &[D]),
    ("square", &[], &[D]),
    ("sqrt", &[], &[P]),
    ("exp", &[], &[D]),
    ("log", &[], &[P]),
    ("abs", &[], &[D]),
    ("zeros_like", &[], &[D]),
    ("ones_like", &[], &[D]),
    ("_plus_scalar", S, &[D]),
    ("_minus_scalar", S, &[D]),
    ("_rminus_scalar", S, &[D]),
    ("_mul_scalar", S, &[D]),
    ("_div_scalar", S, &[D]),
    ("_rdiv_scalar", S, &[P]),
    ("_maximum_scalar", S, &[D]),
    ("_minimum_scalar", S, &[D]),
    ("_power_scalar", S, &[P]),
    ("sum", &[], &[D]),
    ("sum", &[("axis", "(0, 2)")], &[D]),
    ("sum", &[("axis", "1"), ("keepdims", "True")], &[D]),
    ("mean", &[("axis", "-1"), ("exclude", "True")], &[D]),
    ("mean", &[("axis", "1")], &[D]),
    ("dot", &[], &[(&[2, 3], Apart), (&[3, 4], Apart)]),
    ("dot", &[("transpose_a", "True")], &[(&[3, 2], Apart), (&[3, 4], Apart)]),
    ("dot", &[("transpose_b", "True")], &[(&[5, 2, 3], Apart), (&[4, 3], Apart)]),
    ("dot", &[("transpose_a", "1"), ("transpose_b", "1")], &[(&[3, 2], Apart), (&[4, 3], Apart)]),
    ("dot", &[], &[(&[3], Apart), (&[3], Apart)]),
    ("transpose", &[], &[D]),
    ("transpose", &[("axes", "(1, 2, 0)")], &[D]),
    ("Cast", &[("dtype", "float64")], &[D]),
    ("_zeros", &[("shape", "(2, 3)")], &[]),
    ("_ones", &[("shape", "(2,)"), ("dtype", "int32")], &[]),
    ("_random_uniform", &[("shape", "(2, 3)"), ("low", "-1")], &[]),
    ("_random_normal", &[("shape", "(2, 3)"), ("scale", "1e-2"), ("dtype", "float64")], &[]),
    ("sgd_update", &[("lr", "0.1"), ("wd", "0.01"), ("clip_gradient", "0.5")], &[D, P]),
    ("sgd_mom_update", &[("lr", "0.1"), ("momentum", "0.9"), ("rescale_grad", "0.5")], &[D, P, D]),
];

/// Uses whose work is cut into parts.
const LARGE: &[(&str, Given, Inputs)] = &[
    ("FullyConnected", &[("num_hidden", "96")], &[(&[64, 800], Apart), (&[96, 800], Apart), (&[96], Apart)]),
    (
        "Convolution",
        &[("num_filter", "20"), ("kernel", "(5, 5)")],
        &[(&[16, 3, 28, 28], Apart), (&[20, 3, 5, 5], Apart), (&[20], Apart)],
    ),
    (
        "Convolution",
        &[("num_filter", "16"), ("kernel", "(3, 3)"), ("stride", "(2, 2)"), ("pad", "(1, 1)")],
        &[(&[8, 16, 16, 16], Apart), (&[16, 16, 3, 3], Apart), (&[16], Apart)],
    ),
    ("Pooling", &[("kernel", "(2, 2)"), ("stride", "(2, 2)")], &[(&[8, 8, 48, 48], Apart)]),
    ("Pooling", &[("kernel", "(3,)"), ("stride", "2"), ("pooling_convention", "same")], &[(&[16, 16, 499], Apart)]),
    ("Activation", &[("act_type", "tanh")], &[(&[131, 999], Apart)]),
    ("Dropout", &[], &[(&[131, 999], Apart)]),
    ("Dropout", &[("axes", "(1,)")], &[(&[13, 9, 999], Apart)]),
    ("SoftmaxOutput", &[("out_grad", "1")], &[(&[999, 131], Apart), (&[999], Classes(131))]),
    ("softmax", &[("axis", "1")], &[(&[13, 9, 999], Apart)]),
    ("log_softmax", &[], &[(&[131, 999], Apart)]),
    ("add_n", &[("num_args", "3")], &[(&[131, 999], Apart), (&[131, 999], Share), (&[131, 999], Positive)]),
    ("broadcast_div", &[], &[(&[131, 999], Apart), (&[999], Positive)]),
    ("elemwise_div", &[], &[(&[131, 999], Apart), (&[131, 999], Positive)]),
    ("exp", &[], &[(&[131, 999], Apart)]),
    ("_power_scalar", S, &[(&[131, 999], Positive)]),
    ("sum", &[], &[(&[131, 999], Apart)]),
    ("mean", &[("axis", "0")], &[(&[131, 999], Apart)]),
    ("dot", &[], &[(&[131, 199], Apart), (&[199, 101], Apart)]),
    ("transpose", &[], &[(&[131, 999], Apart)]),
    ("_random_uniform", &[("shape", "(131, 999)")], &[]),
    ("_random_normal", &[("shape", "(131, 999)")], &[]),
    ("sgd_update", &[("lr", "0.1"), ("wd", "0.01")], &[(&[131, 999], Apart), (&[131, 999], Apart)]),
    (
        "sgd_mom_update",
        &[("lr", "0.1"), ("momentum", "0.9")],
        &[(&[131, 999], Apart), (&[131, 999], Apart), (&[131, 999], Apart)],
    ),
];

fn make(rows: &[(&str, Given, Inputs)]) -> Vec<Use> {
    let inputs = |inputs: Inputs| (1..).zip(inputs).map(|(seed, (shape, values))| values.array(shape, seed)).collect();
    rows.iter().map(|(op, given, ins)| Use::new(op, given, inputs(ins))).collect()
}

/// A use of every operator that has a name of its own in symbols, in float64.
pub fn forward() -> Vec<Use> {
    make(ROWS)
}

pub fn has_gradient(usage: &Use) -> bool {
    !usage.op.name().starts_with("sgd_")
}

/// A gradient of the first output.
pub fn out_grad(usage: &Use) -> Option<Array> {
    let desc = &usage.outputs[0];
    (!usage.op.is_loss(&usage.params)).then(|| Apart.array(desc.shape.dims(), 99).cast(desc.dtype))
}

fn with_backward(uses: Vec<Use>) -> Vec<Use> {
    let both = |usage: Use| {
        if !has_gradient(&usage) {
            return vec![usage];
        }
        graph::backward(&usage, out_grad(&usage)).unwrap_or_else(|e| panic!("{usage:?}: {e}")).uses
    };
    uses.into_iter().flat_map(both).collect()
}

/// Uses of all operators, those of gradients included, in float64.
pub fn all() -> &'static [Use] {
    static ALL: LazyLock<Vec<Use>> = LazyLock::new(|| with_backward(make(ROWS)));
    &ALL
}

/// Uses that are large enough to be cut into parts, and their gradients, in float64.
pub fn large() -> Vec<Use> {
    with_backward(make(LARGE))
}

#[test]
fn every_operator_has_a_use() {
    let used: std::collections::BTreeSet<_> = all().iter().map(|u| u.op.name().to_string()).collect();
    let operators = defs::provider().operators;
    let missing: Vec<_> = operators.iter().map(|op| op.name()).filter(|name| !used.contains(*name)).collect();
    assert_eq!(missing, [""; 0]);
}
