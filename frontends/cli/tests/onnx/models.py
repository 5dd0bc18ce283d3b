"""Makes small ONNX models in a folder, each with an input and what onnxruntime computes of it.

NAME.onnx, NAME.x.npy and NAME.0.npy (and NAME.1.npy, where there are more outputs).
"""

import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

folder = sys.argv[1]
random = np.random.RandomState(7)


def weights(*shape):
    return random.uniform(-1, 1, shape).astype(np.float32)


def positive(*shape):
    return random.uniform(0.5, 2, shape).astype(np.float32)


def model(name, nodes, shape=(2, 4, 7, 8), opset=13, outputs=("y",), x=None, dims=None, **initializers):
    x = weights(*shape) if x is None else x
    arrays = [numpy_helper.from_array(np.asarray(value), key) for key, value in initializers.items()]
    info = [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims or x.shape)]
    graph = helper.make_graph(nodes, name, info, [onnx.ValueInfoProto(name=o) for o in outputs], arrays)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = 8
    path = f"{folder}/{name}.onnx"
    onnx.save(made, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    np.save(f"{folder}/{name}.x.npy", x)
    for i, y in enumerate(session.run(None, {"x": x})):
        np.save(f"{folder}/{name}.{i}.npy", np.asarray(y, dtype=np.float32))


def op(kind, inputs=("x",), outputs=("y",), **attributes):
    return helper.make_node(kind, list(inputs), list(outputs), **attributes)


def ints(*values):
    return np.array(values, dtype=np.int64)


# Convolutions and products.
w = weights(6, 2, 3, 3)
model("conv", [op("Conv", ["x", "w", "b"], group=2, pads=[1, 1, 1, 1], strides=[2, 1])], w=w, b=weights(6))
model("conv_uneven", [op("Conv", ["x", "w"], group=2, pads=[0, 1, 2, 1])], w=w)
model("conv_same", [op("Conv", ["x", "w"], group=2, auto_pad="SAME_UPPER", strides=[2, 2])], w=w)
model("conv_lower", [op("Conv", ["x", "w"], group=2, auto_pad="SAME_LOWER", strides=[2, 2])], w=w)
model("conv_dilated", [op("Conv", ["x", "w"], group=2, dilations=[2, 2], pads=[2, 2, 2, 2])], w=w)
model("gemm", [op("Gemm", ["x", "w", "b"], transB=1)], (3, 5), w=weights(4, 5), b=weights(4))
model("gemm_plain", [op("Gemm", ["x", "w", "b"])], (3, 5), w=weights(5, 4), b=weights(1, 4))
model("gemm_scaled", [op("Gemm", ["x", "w", "b"], alpha=0.5, beta=2.0, transA=1)], (5, 3), w=weights(5, 4), b=weights(3, 1))
model("matmul", [op("MatMul", ["x", "w"])], (2, 3, 5), w=weights(5, 4))
model("matmul_batch", [op("MatMul", ["x", "w"])], (2, 3, 5), w=weights(2, 5, 4))
model("matmul_four", [op("MatMul", ["x", "w"])], (2, 3, 4, 5), w=weights(2, 3, 5, 4))
t = weights(4, 3, 3, 3)
model("deconv", [op("ConvTranspose", ["x", "w"], strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])], w=t)
model("deconv_uneven", [op("ConvTranspose", ["x", "w", "b"], strides=[2, 2], pads=[0, 1, 1, 0])], w=t, b=weights(3))

# Poolings.
pool = dict(kernel_shape=[3, 3], strides=[2, 2])
model("max_pool", [op("MaxPool", **pool, pads=[1, 1, 1, 1])])
model("max_uneven", [op("MaxPool", **pool, pads=[0, 0, 1, 1])])
model("max_ceil", [op("MaxPool", **pool, ceil_mode=1)], (1, 2, 8, 7))
model("max_ceil_cut", [op("MaxPool", kernel_shape=[1, 1], strides=[2, 2], pads=[0, 0, 0, 0], ceil_mode=1)])
model("max_same", [op("MaxPool", **pool, auto_pad="SAME_UPPER")])
model("mean_pool", [op("AveragePool", **pool, pads=[1, 1, 1, 1])])
model("mean_counting", [op("AveragePool", **pool, pads=[1, 1, 1, 1], count_include_pad=1)])
model("mean_uneven", [op("AveragePool", **pool, pads=[0, 0, 1, 1])])
model("mean_uneven_counting", [op("AveragePool", **pool, pads=[0, 0, 1, 1], count_include_pad=1)])
model("global_mean", [op("GlobalAveragePool")])
model("global_max", [op("GlobalMaxPool")])

# Activations.
for kind in ["Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "LeakyRelu", "Elu", "Selu", "HardSigmoid", "Abs", "Neg",
             "Exp", "Erf", "Floor", "Ceil", "Sign", "Sin", "Cos"]:
    model(kind.lower(), [op(kind)])
model("hard_swish", [op("HardSwish")], opset=14, x=4 * weights(2, 4, 7, 8))
model("gelu", [op("Gelu")], opset=20)
model("gelu_tanh", [op("Gelu", approximate="tanh")], opset=20)
model("prelu", [op("PRelu", ["x", "s"])], s=weights(4, 1, 1))
model("clip", [op("Clip", ["x", "", "high"])], high=np.float32(0.5))
model("clip_six", [op("Clip", min=0.0, max=0.5)], opset=9)
for kind in ["Sqrt", "Log", "Reciprocal"]:
    model(kind.lower(), [op(kind)], x=positive(2, 4, 7, 8))
model("softmax", [op("Softmax", axis=1)])
model("softmax_old", [op("Softmax", axis=1)], opset=11)
model("log_softmax", [op("LogSoftmax", axis=-1)])
model("dropout", [op("Dropout")])

# Normalisations.
c = dict(s=weights(4), b=weights(4))
model("batch_norm", [op("BatchNormalization", ["x", "s", "b", "m", "v"], epsilon=1e-3)], m=weights(4), v=positive(4), **c)
model("instance_norm", [op("InstanceNormalization", ["x", "s", "b"])], **c)
model("layer_norm", [op("LayerNormalization", ["x", "s", "b"])], opset=17, s=weights(8), b=weights(8))
model("lrn", [op("LRN", size=3, alpha=0.01, beta=0.6, bias=2.0)])

# Arithmetic.
for kind in ["Add", "Sub", "Mul", "Div", "Max", "Min"]:
    model(f"{kind.lower()}_wide", [op(kind, ["x", "w"])], w=positive(4, 1, 1))
    model(f"{kind.lower()}_scalar", [op(kind, ["w", "x"])], w=np.float32(1.5))
model("pow", [op("Pow", ["x", "w"])], x=positive(2, 3), w=np.float32(2.5))
model("pow_left", [op("Pow", ["w", "x"])], (2, 3), w=np.float32(2.5))
model("mean", [op("Mean", ["x", "w", "x"])], w=weights(4, 1, 8))
model("sum", [op("Sum", ["x", "w", "x"])], w=weights(2, 4, 7, 8))
for kind in ["ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2"]:
    model(kind.lower(), [op(kind, axes=[2, -1])])
    model(f"{kind.lower()}_bare", [op(kind, axes=[1], keepdims=0)])
model("reducesum", [op("ReduceSum", ["x", "a"])], a=ints(2, 3))
model("reducesum_all", [op("ReduceSum", keepdims=1)])
model("argmax", [op("ArgMax", axis=1, keepdims=0)])

# What moves elements.
model("concat", [op("Relu", outputs=["r"]), op("Concat", ["x", "r", "x"], axis=1)])
model("split", [op("Split", outputs=["y", "z"], axis=1)], outputs=("y", "z"))
model("split_uneven", [op("Split", ["x", "p"], outputs=["y", "z"], axis=1)], outputs=("y", "z"), p=ints(1, 3))
model("slice", [op("Slice", ["x", "b", "e", "a", "s"])], b=ints(-1, 1), e=ints(-100, 2**63 - 1), a=ints(3, 2), s=ints(-2, 3))
model("slice_old", [op("Slice", starts=[1, 0], ends=[100, -1], axes=[1, 3])], opset=9)
model("pad", [op("Pad", ["x", "p", "v"])], p=ints(0, 1, 2, 0, 0, 2, 0, 1), v=np.float32(0.5))
model("pad_reflect", [op("Pad", ["x", "p"], mode="reflect")], p=ints(0, 0, 2, 1, 0, 0, 0, 1))
model("pad_three", [op("Pad", ["x", "p"])], (2, 3, 4), p=ints(0, 1, 2, 1, 0, 1))
model("reshape", [op("Reshape", ["x", "s"])], s=ints(0, -1, 4))
model("flatten", [op("Flatten")])
model("flatten_two", [op("Flatten", axis=2)])
model("transpose", [op("Transpose", perm=[0, 2, 3, 1])])
model("squeeze", [op("Squeeze", ["x", "a"])], (2, 1, 3, 1), a=ints(1))
model("unsqueeze", [op("Unsqueeze", ["x", "a"])], (2, 3), a=ints(0, -1))
model("gather", [op("Gather", ["x", "i"], axis=1)], i=ints(3, 0))
model("gather_one", [op("Gather", ["x", "i"], axis=1)], i=np.int64(-1))
model("upsample", [op("Upsample", ["x", "s"])], opset=9, s=np.array([1, 1, 2, 2], np.float32))
up = dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
model("resize", [op("Resize", ["x", "", "s"], **up)], s=np.array([1, 1, 3, 2], np.float32))
model("resize_half", [op("Resize", ["x", "", "", "z"])], z=ints(2, 4, 21, 24))
model("tile", [op("Tile", ["x", "r"])], (2, 3), r=ints(2, 2))
model("cast", [op("Cast", outputs=["i"], to=TensorProto.INT32), op("Cast", ["i"], to=TensorProto.FLOAT)], x=4 * weights(2, 3))

# Shapes computed in the network, of a batch whose size the file leaves open.
model(
    "dynamic",
    [
        op("Shape", outputs=["shape"]),
        op("Gather", ["shape", "zero"], ["n"], axis=0),
        op("Unsqueeze", ["n", "axes"], ["n1"]),
        op("Concat", ["n1", "rest"], ["to"], axis=0),
        op("Reshape", ["x", "to"]),
    ],
    dims=["batch", 4, 7, 8],
    zero=np.int64(0),
    axes=ints(0),
    rest=ints(-1),
)

# A network of several layers: a residual block and a classifier.
model(
    "residual",
    [
        op("Conv", ["x", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        op("BatchNormalization", ["c1", "s", "b", "m", "v"], ["n1"]),
        op("Relu", ["n1"], ["r1"]),
        op("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        op("BatchNormalization", ["c2", "s", "b", "m", "v"], ["n2"]),
        op("Add", ["n2", "x"], ["sum"]),
        op("Relu", ["sum"], ["r2"]),
        op("GlobalAveragePool", ["r2"], ["pooled"]),
        op("Flatten", ["pooled"], ["flat"]),
        op("Gemm", ["flat", "fc", "fb"], ["scores"], transB=1),
        op("Softmax", ["scores"]),
    ],
    w1=weights(4, 4, 3, 3), w2=weights(4, 4, 3, 3), m=weights(4), v=positive(4), fc=weights(5, 4), fb=weights(5), **c,
)
