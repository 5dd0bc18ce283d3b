//! Uses of every operator, which the uniform checks run over.

use super::graph;
use super::usage::{Array, Use};
use std::sync::LazyLock;
use varflow_ops::defs;
use varflow_ops::examples::Values::{self, Apart, Around, Classes, Lengths, Positive, Share};
use varflow_ops::examples::{self, Given, Inputs};

/// An array of such values.
pub fn array(values: Values, shape: &[usize], seed: u8) -> Array {
    let (dtype, values) = values.draw(shape.iter().product(), u64::from(seed));
    Array::new(shape, dtype, values)
}

const S: Given = &[("scalar", "1.5")];

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
    (
        "BatchNorm",
        &[("fix_gamma", "False")],
        &[(&[8, 12, 40, 40], Apart), (&[12], Apart), (&[12], Apart), (&[12], Apart), (&[12], Positive)],
    ),
    (
        "BatchNorm",
        &[("axis", "-1"), ("fix_gamma", "False")],
        &[(&[999, 131], Apart), (&[131], Apart), (&[131], Apart), (&[131], Apart), (&[131], Positive)],
    ),
    (
        "_FusedBatchNormRelu",
        &[("fix_gamma", "False")],
        &[(&[8, 12, 40, 40], Apart), (&[12], Apart), (&[12], Apart), (&[12], Apart), (&[12], Positive)],
    ),
    (
        "RNN",
        &[("mode", "lstm"), ("state_size", "40"), ("num_layers", "2"), ("bidirectional", "True"), ("p", "0.3")],
        &[(&[3, 64, 30], Share), (&[62_080], Share), (&[4, 64, 40], Share), (&[4, 64, 40], Share)],
    ),
    (
        "RNN",
        &[("mode", "gru"), ("state_size", "64"), ("num_layers", "1"), ("state_outputs", "True")],
        &[(&[3, 64, 30], Share), (&[18_432], Share), (&[1, 64, 64], Share)],
    ),
    ("LayerNorm", &[], &[(&[131, 999], Apart), (&[999], Apart), (&[999], Apart)]),
    ("LayerNorm", &[("axis", "1")], &[(&[8, 40, 99], Apart), (&[40], Apart), (&[40], Apart)]),
    ("GroupNorm", &[("num_groups", "4")], &[(&[8, 12, 40, 40], Apart), (&[4], Apart), (&[4], Apart)]),
    ("L2Normalization", &[], &[(&[131, 999], Apart)]),
    ("L2Normalization", &[("mode", "channel")], &[(&[8, 40, 499], Apart)]),
    ("SoftmaxActivation", &[("mode", "channel")], &[(&[13, 9, 999], Apart)]),
    ("softmax_cross_entropy", &[], &[(&[999, 131], Apart), (&[999], Classes(131))]),
    ("SVMOutput", &[], &[(&[999, 131], Apart), (&[999], Classes(131))]),
    ("smooth_l1", &[], &[(&[131, 999], Apart)]),
    ("LRN", &[("nsize", "5")], &[(&[8, 12, 20, 20], Apart)]),
    ("LeakyReLU", &[], &[(&[131, 999], Apart)]),
    ("LeakyReLU", &[("act_type", "prelu")], &[(&[8, 12, 40, 40], Apart), (&[12], Positive)]),
    ("LeakyReLU", &[("act_type", "rrelu")], &[(&[131, 999], Apart)]),
    (
        "Deconvolution",
        &[("kernel", "(4, 4)"), ("num_filter", "8"), ("stride", "(2, 2)"), ("pad", "(1, 1)"), ("no_bias", "False")],
        &[(&[4, 8, 16, 16], Apart), (&[8, 8, 4, 4], Apart), (&[8], Apart)],
    ),
    ("LogisticRegressionOutput", &[], &[(&[131, 999], Apart), (&[131, 999], Share)]),
    ("MakeLoss", &[("normalization", "valid")], &[(&[131, 999], Apart)]),
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
    ("max", &[("axis", "1")], &[(&[131, 999], Apart)]),
    ("prod", &[("axis", "0")], &[(&[131, 999], Share)]),
    ("norm", &[], &[(&[131, 999], Apart)]),
    ("sin", &[], &[(&[131, 999], Apart)]),
    ("clip", &[("a_min", "-1"), ("a_max", "1")], &[(&[131, 999], Apart)]),
    ("_hypot", &[], &[(&[131, 999], Apart), (&[131, 999], Apart)]),
    ("broadcast_power", &[], &[(&[131, 999], Positive), (&[131, 1], Share)]),
    ("_arange", &[("start", "131000"), ("dtype", "float64")], &[]),
    ("batch_dot", &[("transpose_b", "True")], &[(&[7, 65, 130], Apart), (&[7, 67, 130], Apart)]),
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
    ("Concat", &[("num_args", "3"), ("dim", "1")], &[(&[99, 700], Apart), (&[99, 1], Apart), (&[99, 650], Apart)]),
    ("SliceChannel", &[("num_outputs", "3")], &[(&[131, 999], Apart)]),
    ("slice", &[("begin", "(3, 990)"), ("end", "(130, 5)"), ("step", "(1, -1)")], &[(&[131, 999], Apart)]),
    ("Pad", &[("mode", "reflect"), ("pad_width", "(0, 0, 0, 0, 5, 6, 7, 8)")], &[(&[9, 8, 40, 40], Apart)]),
    ("take", &[("axis", "1"), ("mode", "wrap")], &[(&[31, 99, 33], Apart), (&[101], Around(99))]),
    ("take", &[("axis", "-1")], &[(&[131, 999], Apart), (&[7, 71], Classes(999))]),
    ("Embedding", &[("input_dim", "1999"), ("output_dim", "65")], &[(&[35, 32], Classes(1999)), (&[1999, 65], Apart)]),
    ("pick", &[("axis", "1")], &[(&[67, 5, 999], Apart), (&[67, 999], Classes(5))]),
    ("one_hot", &[("depth", "99")], &[(&[999], Classes(99))]),
    ("where", &[], &[(&[131, 999], Classes(2)), (&[131, 999], Apart), (&[131, 999], Apart)]),
    ("where", &[], &[(&[131], Classes(2)), (&[131, 999], Apart), (&[131, 999], Apart)]),
    ("gather_nd", &[], &[(&[131, 99, 9], Apart), (&[2, 9999], Classes(99))]),
    ("scatter_nd", &[("shape", "(131, 99, 9)")], &[(&[999, 9], Apart), (&[2, 999], Classes(99))]),
    ("argmax", &[("axis", "1")], &[(&[131, 999], Apart)]),
    ("topk", &[("k", "5"), ("ret_typ", "both"), ("axis", "0")], &[(&[131, 999], Apart)]),
    ("sort", &[], &[(&[131, 999], Apart)]),
    ("SequenceMask", &[("use_sequence_length", "True")], &[(&[35, 32, 99], Apart), (&[32], Classes(35))]),
    ("SequenceReverse", &[("use_sequence_length", "True")], &[(&[35, 32, 99], Apart), (&[32], Lengths(35))]),
    (
        "ROIPooling",
        &[("pooled_size", "(6, 6)"), ("spatial_scale", "1")],
        &[(&[9, 8, 40, 40], Apart), (&[45, 5], Classes(9))],
    ),
    ("BilinearSampler", &[], &[(&[9, 8, 40, 40], Apart), (&[9, 2, 30, 50], Share)]),
    ("GridGenerator", &[("transform_type", "affine"), ("target_shape", "(99, 70)")], &[(&[9, 6], Apart)]),
    ("GridGenerator", &[("transform_type", "warp")], &[(&[9, 2, 70, 99], Apart)]),
];

fn usage(op: &str, given: Given, inputs: Inputs) -> Use {
    let inputs = (1..).zip(inputs).map(|(seed, (shape, values))| array(*values, shape, seed));
    Use::new(op, given, inputs.collect())
}

/// A use of every operator that has a name of its own in symbols, in float64.
pub fn forward() -> Vec<Use> {
    examples::all().map(|(op, given, inputs, _)| usage(op, given, inputs)).collect()
}

pub fn has_gradient(usage: &Use) -> bool {
    let without = ["sgd_", "_FusedConvolution", "_FusedElementwise", "_BatchNorm"];
    !without.iter().any(|prefix| usage.op.name().starts_with(prefix))
}

/// A gradient of the first output.
pub fn out_grad(usage: &Use) -> Option<Array> {
    let desc = &usage.outputs[0];
    (!usage.op.is_loss(&usage.params)).then(|| array(Apart, desc.shape.dims(), 99).cast(desc.dtype))
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
    static ALL: LazyLock<Vec<Use>> = LazyLock::new(|| with_backward(forward()));
    &ALL
}

/// Uses that are large enough to be cut into parts, and their gradients, in float64.
pub fn large() -> Vec<Use> {
    with_backward(LARGE.iter().map(|(op, given, inputs)| usage(op, given, inputs)).collect())
}

#[test]
fn every_operator_has_a_use() {
    let used: std::collections::BTreeSet<_> = all().iter().map(|u| u.op.name().to_string()).collect();
    let operators = defs::provider().operators;
    let missing: Vec<_> = operators.iter().map(|op| op.name()).filter(|name| !used.contains(*name)).collect();
    assert_eq!(missing, [""; 0]);
}
