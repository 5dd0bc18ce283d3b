//! Uses of every operator that is not hidden, and of some that are: what the uniform checks run over.

use super::{attrs, builtin};
use std::sync::Arc;
use varflow_ops::examples;
use varflow_ops::{DType, Operator, Params, Shape};

/// One use of an operator.
pub struct Example {
    pub op: Arc<dyn Operator>,
    pub params: Params,
    pub attrs: varflow_ops::Attrs,
    pub inputs: Vec<Shape>,
    pub outputs: Vec<Shape>,
}

impl Example {
    /// Names and shapes of its inputs.
    pub fn named_inputs(&self) -> Vec<(String, Shape)> {
        let mut names = self.op.inputs(&self.params);
        names.extend(self.op.auxiliaries(&self.params));
        assert_eq!(names.len(), self.inputs.len(), "{self:?}");
        names.into_iter().zip(self.inputs.iter().cloned()).collect()
    }

    /// Names and shapes of its outputs.
    pub fn named_outputs(&self) -> Vec<(String, Shape)> {
        let names = self.op.outputs(&self.params);
        assert_eq!(names.len(), self.outputs.len(), "{self:?}");
        names.into_iter().zip(self.outputs.iter().cloned()).collect()
    }
}

impl std::fmt::Debug for Example {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?} {:?} -> {:?}", self.op.name(), self.attrs, self.inputs, self.outputs)
    }
}

/// The dtype of an input of an example whose data are `data`.
pub fn input_dtype(name: &str, data: DType) -> DType {
    if name == "mask" { DType::U8 } else { data }
}

type Shapes = &'static [&'static [usize]];

/// Name, attributes, shapes of inputs, shapes of outputs.
type Row = (&'static str, &'static [(&'static str, &'static str)], Shapes, Shapes);

const D: &[usize] = &[2, 3, 4];

const UNARY: &[&str] =
    &["_copy", "BlockGrad", "negative", "square", "sqrt", "exp", "log", "abs", "zeros_like", "ones_like"];
const SCALAR: &[&str] = &[
    "_plus_scalar",
    "_minus_scalar",
    "_rminus_scalar",
    "_mul_scalar",
    "_div_scalar",
    "_rdiv_scalar",
    "_maximum_scalar",
    "_minimum_scalar",
    "_power_scalar",
];
const BINARY: &[&str] = &[
    "elemwise_add",
    "elemwise_sub",
    "elemwise_mul",
    "elemwise_div",
    "_grad_add",
    "_backward_square",
    "_backward_sqrt",
    "_backward_abs",
    "_backward_softmax",
    "_backward_log_softmax",
];
const SCALAR_BACKWARD: &[&str] =
    &["_backward_rdiv_scalar", "_backward_maximum_scalar", "_backward_minimum_scalar", "_backward_power_scalar"];

const ROWS: &[Row] = &[
    ("FullyConnected", &[("num_hidden", "5")], &[&[2, 3, 4], &[5, 12], &[5]], &[&[2, 5]]),
    ("FullyConnected", &[("num_hidden", "5"), ("no_bias", "True")], &[&[2, 7], &[5, 7]], &[&[2, 5]]),
    ("FullyConnected", &[("num_hidden", "5"), ("flatten", "False")], &[&[2, 3, 4], &[5, 4], &[5]], &[&[2, 3, 5]]),
    (
        "_backward_FullyConnected",
        &[("num_hidden", "5")],
        &[&[2, 5], &[2, 3, 4], &[5, 12]],
        &[&[2, 3, 4], &[5, 12], &[5]],
    ),
    ("Convolution", &[("num_filter", "6"), ("kernel", "(3,)")], &[&[2, 4, 9], &[6, 4, 3], &[6]], &[&[2, 6, 7]]),
    (
        "Convolution",
        &[
            ("num_filter", "6"),
            ("kernel", "(3, 5)"),
            ("stride", "(2, 1)"),
            ("pad", "(1, 2)"),
            ("dilate", "(2, 1)"),
            ("num_group", "2"),
            ("no_bias", "True"),
            ("cudnn_tune", "limited_workspace"),
            ("layout", "NCHW"),
        ],
        &[&[2, 4, 9, 8], &[6, 2, 3, 5]],
        &[&[2, 6, 4, 8]],
    ),
    (
        "Convolution",
        &[("num_filter", "2"), ("kernel", "(1, 2, 3)"), ("workspace", "512"), ("cudnn_tune", "None")],
        &[&[1, 3, 4, 5, 6], &[2, 3, 1, 2, 3], &[2]],
        &[&[1, 2, 4, 4, 4]],
    ),
    (
        "_backward_Convolution",
        &[("num_filter", "6"), ("kernel", "(3,)")],
        &[&[2, 6, 7], &[2, 4, 9], &[6, 4, 3]],
        &[&[2, 4, 9], &[6, 4, 3], &[6]],
    ),
    ("Pooling", &[("kernel", "(2, 2)"), ("stride", "(2, 2)")], &[&[2, 3, 7, 8]], &[&[2, 3, 3, 4]]),
    (
        "Pooling",
        &[
            ("kernel", "(3, 2)"),
            ("stride", "(2, 2)"),
            ("pooling_convention", "full"),
            ("pool_type", "avg"),
            ("pad", "(1, 0)"),
        ],
        &[&[2, 3, 8, 7]],
        &[&[2, 3, 5, 4]],
    ),
    ("Pooling", &[("kernel", "(3,)"), ("stride", "2"), ("pooling_convention", "same")], &[&[2, 3, 7]], &[&[2, 3, 4]]),
    ("Pooling", &[("kernel", "(2, 2, 2)"), ("pool_type", "sum")], &[&[2, 3, 4, 5, 6]], &[&[2, 3, 3, 4, 5]]),
    ("Pooling", &[("global_pool", "True"), ("pool_type", "avg")], &[&[2, 3, 7, 8]], &[&[2, 3, 1, 1]]),
    ("_backward_Pooling", &[("kernel", "(2, 2)")], &[&[2, 3, 6, 7], &[2, 3, 7, 8]], &[&[2, 3, 7, 8]]),
    ("_backward_Pooling", &[("kernel", "(2, 2)"), ("pool_type", "avg")], &[&[2, 3, 6, 7]], &[&[2, 3, 7, 8]]),
    ("Activation", &[("act_type", "relu")], &[D], &[D]),
    ("Activation", &[("act_type", "softsign")], &[D], &[D]),
    ("_backward_Activation", &[("act_type", "tanh")], &[D, D], &[D]),
    ("Flatten", &[], &[&[2, 3, 4]], &[&[2, 12]]),
    ("Flatten", &[], &[&[2]], &[&[2, 1]]),
    ("Reshape", &[("shape", "(4, 0, 2)")], &[&[2, 3, 4]], &[&[4, 3, 2]]),
    ("Reshape", &[("shape", "(6, -1)")], &[&[2, 3, 4]], &[&[6, 4]]),
    ("Reshape", &[("shape", "(-4, -1, 2, -2)")], &[&[4, 3, 4]], &[&[2, 2, 3, 4]]),
    ("Reshape", &[("shape", "(-1, 0)"), ("reverse", "True")], &[&[10, 5, 4]], &[&[50, 4]]),
    ("Reshape", &[("target_shape", "(2, 0)")], &[&[2, 3, 4]], &[&[2, 12]]),
    ("Reshape", &[("target_shape", "(0, 12)"), ("keep_highest", "True")], &[&[2, 3, 4]], &[&[2, 12]]),
    ("_backward_reshape", &[], &[&[4, 6]], &[&[2, 3, 4]]),
    ("Dropout", &[], &[D], &[D, D]),
    ("Dropout", &[("p", "0.3"), ("axes", "(1,)"), ("mode", "always")], &[D], &[D, &[2, 1, 4]]),
    ("_backward_Dropout", &[("axes", "(1, -1)")], &[D, &[2, 1, 1]], &[D]),
    ("SoftmaxOutput", &[], &[&[4, 5], &[4]], &[&[4, 5]]),
    ("SoftmaxOutput", &[], &[&[4, 5], &[4, 5]], &[&[4, 5]]),
    ("SoftmaxOutput", &[("multi_output", "True")], &[&[4, 5, 2, 3], &[4, 6]], &[&[4, 5, 2, 3]]),
    ("SoftmaxOutput", &[("multi_output", "True")], &[&[4, 5, 2, 3], &[4, 2, 3]], &[&[4, 5, 2, 3]]),
    ("SoftmaxOutput", &[("multi_output", "True")], &[&[4, 5, 2, 3], &[4, 1, 2, 3]], &[&[4, 5, 2, 3]]),
    ("SoftmaxOutput", &[("preserve_shape", "True"), ("out_grad", "1")], &[&[4, 2, 5], &[4, 2]], &[&[4, 2, 5]]),
    ("_backward_SoftmaxOutput", &[], &[&[4, 5], &[4]], &[&[4, 5]]),
    ("_backward_SoftmaxOutput", &[("out_grad", "True")], &[&[4, 5], &[4], &[4, 5]], &[&[4, 5]]),
    ("softmax", &[], &[D], &[D]),
    ("softmax", &[("axis", "1"), ("temperature", "2.5")], &[D], &[D]),
    ("log_softmax", &[("axis", "-3")], &[D], &[D]),
    ("add_n", &[("num_args", "3")], &[D, D, D], &[D]),
    ("broadcast_add", &[], &[&[2, 1, 4], &[1, 3, 4]], &[&[2, 3, 4]]),
    ("broadcast_sub", &[], &[&[2, 3, 4], &[4]], &[&[2, 3, 4]]),
    ("broadcast_mul", &[], &[&[1], &[2, 3, 4]], &[&[2, 3, 4]]),
    ("broadcast_div", &[], &[&[2, 3], &[2, 3]], &[&[2, 3]]),
    ("_backward_broadcast_add", &[], &[&[2, 3, 4]], &[&[2, 1, 4], &[1, 3, 4]]),
    ("_backward_broadcast_sub", &[], &[&[2, 3, 4]], &[&[2, 3, 4], &[4]]),
    ("_backward_broadcast_mul", &[], &[&[2, 3, 4], &[1], &[2, 3, 4]], &[&[1], &[2, 3, 4]]),
    ("_backward_broadcast_div", &[], &[&[2, 3], &[2, 3], &[2, 3]], &[&[2, 3], &[2, 3]]),
    ("sum", &[], &[D], &[&[1]]),
    ("sum", &[("axis", "(0, 2)")], &[D], &[&[3]]),
    ("sum", &[("axis", "1"), ("keepdims", "True")], &[D], &[&[2, 1, 4]]),
    ("mean", &[("axis", "-1"), ("exclude", "True")], &[D], &[&[4]]),
    ("mean", &[("axis", "None"), ("keepdims", "True")], &[D], &[&[1, 1, 1]]),
    ("_backward_sum", &[("axis", "(0, 2)")], &[&[3]], &[D]),
    ("_backward_mean", &[], &[&[1]], &[D]),
    ("dot", &[], &[&[2, 3], &[3, 4]], &[&[2, 4]]),
    ("dot", &[("transpose_a", "True")], &[&[3, 2], &[3, 4]], &[&[2, 4]]),
    ("dot", &[("transpose_b", "True")], &[&[5, 2, 3], &[4, 3]], &[&[5, 2, 4]]),
    ("dot", &[], &[&[2, 3], &[3, 4, 5]], &[&[2, 4, 5]]),
    ("dot", &[], &[&[3], &[3]], &[&[1]]),
    ("_backward_dot", &[], &[&[2, 4], &[2, 3], &[3, 4]], &[&[2, 3], &[3, 4]]),
    ("transpose", &[], &[D], &[&[4, 3, 2]]),
    ("transpose", &[("axes", "(1, 2, 0)")], &[D], &[&[3, 4, 2]]),
    ("Cast", &[("dtype", "float64")], &[D], &[D]),
    ("_backward_cast", &[("dtype", "float64")], &[D], &[D]),
    ("_zeros", &[("shape", "(2, 3)")], &[], &[&[2, 3]]),
    ("_ones", &[("shape", "(2,)"), ("dtype", "int32"), ("ctx", "cpu(0)")], &[], &[&[2]]),
    ("_random_uniform", &[("shape", "(2, 3)"), ("low", "-1")], &[], &[&[2, 3]]),
    ("_random_normal", &[("shape", "[2, 3]"), ("scale", "1e-2")], &[], &[&[2, 3]]),
    ("sgd_update", &[("lr", "0.1")], &[D, D], &[]),
    ("sgd_mom_update", &[("lr", "0.1"), ("momentum", "0.9")], &[D, D, D], &[]),
];

/// Every example.
pub fn all() -> Vec<Example> {
    let registry = builtin();
    let families = [(UNARY, 1, false), (SCALAR, 1, true), (BINARY, 2, false), (SCALAR_BACKWARD, 2, true)];
    let mut rows: Vec<Row> = ROWS.to_vec();
    for (names, n, scalar) in families {
        let given: &[_] = if scalar { &[("scalar", "2.5"), ("is_int", "False")] } else { &[] };
        let inputs: Shapes = if n == 1 { &[D] } else { &[D, D] };
        rows.extend(names.iter().map(|name| -> Row { (name, given, inputs, &[D]) }));
    }
    let make = |(name, given, inputs, outputs): (&str, examples::Given, Vec<&[usize]>, Shapes)| {
        let op = registry.operator(name).unwrap().clone();
        assert_eq!(op.name(), name);
        let attrs = attrs(given);
        let params = op.schema().parse(&attrs).unwrap();
        op.check(&params).unwrap();
        let shapes = |s: &[&[usize]]| s.iter().map(|s| Shape::new(s)).collect();
        Example { op, params, attrs, inputs: shapes(&inputs), outputs: shapes(outputs) }
    };
    let rows = rows.into_iter().map(|(name, given, inputs, outputs)| (name, given, inputs.to_vec(), outputs));
    let shared = examples::all().map(|(name, given, inputs, outputs)| {
        (*name, *given, inputs.iter().map(|(shape, _)| *shape).collect(), *outputs)
    });
    rows.chain(shared).map(make).collect()
}
