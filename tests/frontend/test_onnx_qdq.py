"""QDQ and QOperator models, operator by operator, against the reference evaluator with exact sums."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from tests.support.onnx_builder import OnnxBuilder, check_model, imported, kinds
from tests.support.onnx_qdq import Qdq, random_ints

SIGNS = ("int8", "uint8")


@pytest.mark.parametrize("dtype", SIGNS)
@pytest.mark.parametrize(
    ("weights", "zero", "per_channel"),
    [("int8", 0, True), ("uint8", 128, False), ("uint8", 3, False), ("int8", -128, False), ("uint8", 0, True)],
)
def test_conv(dtype, weights, zero, per_channel):
    """Weights with a zero point that takes them beyond 8 bits included."""
    q = Qdq((1, 3, 8, 7), dtype, 1)
    w, scale = q.conv_weights((5, 3, 3, 2), weights, per_channel, zero)
    y = q.b.node("Conv", q.a, w, q.bias(5, scale), strides=[2, 1], pads=[1, 0, 2, 1], dilations=[1, 2])
    graph = q.finish(q.b.node("Relu", y))
    assert kinds(graph)[:2] == ["quantize", "transpose"], "the input is NCHW"
    assert kinds(graph).count("transpose") == 2


@pytest.mark.parametrize(("group", "depth", "outputs"), [(4, 1, 4), (4, 1, 8), (2, 2, 6), (4, 2, 4)])
@pytest.mark.parametrize("zero", [0, 5])
def test_grouped_conv(group, depth, outputs, zero):
    q = Qdq((1, group * depth, 6, 6), "uint8", 2)
    w, scale = q.conv_weights((outputs, depth, 3, 3), "uint8" if zero else "int8", True, zero)
    q.finish(q.b.node("Conv", q.a, w, q.bias(outputs, scale), group=group, pads=[1, 1, 1, 1]), 0.2)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_auto_pad(auto_pad):
    q = Qdq((1, 2, 7, 8), seed=3)
    w, _ = q.conv_weights((3, 2, 3, 4))
    q.finish(q.b.node("Conv", q.a, w, auto_pad=auto_pad, strides=[2, 2], kernel_shape=[3, 4]))


def test_conv_1d_and_float_bias():
    q = Qdq((1, 3, 20), seed=4)
    w, _ = q.conv_weights((4, 3, 5))
    bias = q.b.constant(q.rng.normal(0, 1, 4), np.float32)
    y = q.b.node("Conv", q.a, w, bias, strides=[2], pads=[2, 1])
    q.finish(q.b.node("Clip", y, q.b.constant(-0.5, np.float32), q.b.constant(1.7, np.float32)))


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 3]},
        {"strides": [2, 2], "pads": [1, 0, 1, 2]},
        {"strides": [2, 2], "output_padding": [1, 1], "dilations": [1, 2]},
        {"strides": [3, 2], "pads": [2, 2, 2, 2]},
        {"strides": [2, 2], "output_padding": [1, 0], "auto_pad": "SAME_UPPER"},  # onnx infers another row
    ],
)
def test_conv_transpose(attributes):
    q = Qdq((1, 3, 4, 5), seed=5)
    w, scale = q.conv_weights((3, 4, 3, 3), axis=1)
    q.finish(q.b.node("ConvTranspose", q.a, w, q.bias(4, scale), **attributes), 0.3)


@pytest.mark.parametrize("dtype", SIGNS)
@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(dtype, transposed):
    q = Qdq((1, 20), dtype, 6)
    w, scale = q.conv_weights((6, 20) if transposed else (20, 6), "int8", True, 0, 0 if transposed else 1)
    q.finish(q.b.node("Gemm", q.a, w, q.bias(6, scale), transB=transposed), 0.2)


def test_matmul_and_float_addition():
    q = Qdq((1, 5, 12), "uint8", 7)
    w, _ = q.conv_weights((12, 6), "uint8", False, 7, 1)
    y = q.b.node("MatMul", q.a, w)
    y = q.b.node("Add", y, q.b.constant(q.rng.normal(0, 1, 6), np.float32))
    q.finish(q.b.node("Relu", y), 0.1)


def test_gemm_after_flatten_of_an_image_moves_nothing():
    """The weights' columns are permuted instead."""
    q = Qdq((1, 3, 4, 5), seed=8)
    w, scale = q.conv_weights((6, 3, 3, 3))
    y = q.b.node("Conv", q.a, w, q.bias(6, scale), pads=[1, 1, 1, 1])
    y = q.b.activation(y, 0.05, 3)
    y = q.b.activation(q.b.node("Flatten", y), 0.05, 3)
    w, _ = q.conv_weights((7, 120))
    graph = q.finish(q.b.node("Gemm", y, w, transB=1), 0.3)
    assert kinds(graph).count("transpose") == 1


def test_flatten_that_something_else_reads():
    q = Qdq((1, 3, 4, 5), seed=8)
    w, _ = q.conv_weights((6, 3, 3, 3))
    y = q.b.activation(q.b.node("Conv", q.a, w), 0.05, 3)
    q.finish(q.b.node("Flatten", y), 0.06)


UNARY = {
    "Relu": {}, "Sigmoid": {}, "Tanh": {}, "HardSigmoid": {"alpha": 0.3}, "HardSwish": {}, "LeakyRelu": {"alpha": 0.2},
    "Elu": {}, "Erf": {}, "Exp": {}, "Abs": {}, "Neg": {}, "Softplus": {},
}  # fmt: skip


@pytest.mark.parametrize("dtype", SIGNS)
@pytest.mark.parametrize("kind", UNARY)
def test_unary(kind, dtype):
    q = Qdq((1, 2, 16, 16), dtype, 9)
    graph = q.finish(q.b.node(kind, q.a, **UNARY[kind]), 0.02)
    assert kinds(graph) == ["quantize", "lookup", "dequantize"]


def test_gelu_as_exported():
    """x * (1 + erf(x / sqrt 2)) / 2 is no function of one operand to ONNX; opset 20 has Gelu."""
    q = Qdq((1, 256), "int8", 10, opset=20)
    assert kinds(q.finish(q.b.node("Gelu", q.a), 0.02)) == ["quantize", "lookup", "dequantize"]


def test_a_chain_of_functions_with_constants():
    q = Qdq((1, 300), seed=11)
    y = q.b.node("Mul", q.a, q.b.constant(1.7, np.float32))
    y = q.b.node("Sub", q.b.constant(0.3, np.float32), y)
    y = q.b.node("Clip", q.b.node("Tanh", y), q.b.constant(-0.8, np.float32))
    y = q.b.node("PRelu", y, q.b.constant([0.25], np.float32))
    assert kinds(q.finish(y, 0.009)) == ["quantize", "lookup", "dequantize"]


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div", "Min", "Max"])
@pytest.mark.parametrize(
    "shapes", [((1, 4, 5, 6), (1, 4, 5, 6)), ((1, 4, 5, 6), (1, 4, 1, 1)), ((4, 1, 6), (1, 4, 5, 6))]
)
def test_binary(kind, shapes):
    b, rng = OnnxBuilder(), np.random.default_rng(12)
    names = [b.input(shape, name=f"x{i}") for i, shape in enumerate(shapes)]
    parameters = [(0.05, 3, "int8"), (0.02, 140, "uint8")]
    first, second = (b.activation(n, *p) for n, p in zip(names, parameters, strict=True))
    y = b.node("Relu", b.node(kind, first, second)) if kind != "Div" else b.node(kind, first, second)
    b.output(b.activation(y, 0.06, -10))
    inputs = {n: rng.normal(0, 3, shape).astype(np.float32) for n, shape in zip(names, shapes, strict=True)}
    if kind == "Div":
        inputs["x1"] = np.sign(inputs["x1"]) + inputs["x1"]
    check_model(b.model(), inputs)


def test_binary_with_a_quantised_constant():
    q = Qdq((1, 4, 5, 6), seed=13)
    constant = q.b.weights(random_ints((4, 1, 1), "uint8", q.rng), 0.03, 100)
    q.finish(q.b.node("Add", q.a, constant), 0.06)


POOLS = [
    {"kernel_shape": [2, 2], "strides": [2, 2]},
    {"kernel_shape": [3, 2], "strides": [1, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "VALID"},
]


@pytest.mark.parametrize("attributes", [*POOLS, {"kernel_shape": [2, 2], "count_include_pad": 1}])
@pytest.mark.parametrize(("scale", "zero"), [(0.05, None), (0.025, 100)])
def test_average_pool(attributes, scale, zero):
    """Scales of 1 : 1 and 1 : 2 with windows of 4 have ties in plenty."""
    q = Qdq((1, 5, 8, 9), "uint8", 14)
    q.finish(q.b.node("AveragePool", q.a, **attributes), scale, q.zero if zero is None else zero)


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools(kind):
    q = Qdq((1, 5, 8, 8), seed=15)
    q.finish(q.b.node(kind, q.a), 0.025)


@pytest.mark.parametrize(("axes", "keep"), [([2, 3], 1), ([2, 3], 0), ([1], 1), ([-1], 0), (None, 1)])
def test_reduce_mean(axes, keep):
    q = Qdq((1, 6, 4, 5), seed=16)
    w, _ = q.conv_weights((6, 6, 1, 1))
    y = q.b.activation(q.b.node("Conv", q.a, w), 0.05, 3)
    attributes = {} if axes is None else {"axes": axes}
    q.finish(q.b.node("ReduceMean", y, keepdims=keep, **attributes), 0.01)


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [2, 3], "auto_pad": "SAME_UPPER"},
    ],
)
def test_max_pool(attributes):
    q = Qdq((1, 5, 8, 9), "uint8", 17)
    y = q.b.node("MaxPool", q.b.node("Relu", q.a), **attributes)
    q.finish(y, 0.04)


@pytest.mark.parametrize("dtype", SIGNS)
@pytest.mark.parametrize(("shape", "axis"), [((1, 12), -1), ((1, 4, 3, 5), 1), ((1, 4, 3, 5), 3)])
def test_softmax(dtype, shape, axis):
    q = Qdq(shape, dtype, 18)
    zero = -128 if dtype == "int8" else 0
    q.finish(q.b.node("Softmax", q.a, axis=axis), 1 / 256, zero)


@pytest.mark.parametrize("axis", [1, 2])
def test_concat(axis):
    b, rng = OnnxBuilder(), np.random.default_rng(19)
    names = [b.input((1, 4, 4, 6), name=f"x{i}") for i in range(3)]
    parts = [b.activation(n, *p) for n, p in zip(names, [(0.05, 3), (0.05, 3), (0.02, -7)], strict=True)]
    joined = b.node("Concat", *parts[:2], axis=axis)
    b.output(b.activation(b.node("Concat", joined, parts[2], axis=axis), 0.04, 0))
    check_model(b.model(), {n: rng.normal(0, 3, (1, 4, 4, 6)).astype(np.float32) for n in names})


def moves(q: Qdq) -> dict[str, str]:
    b, ints = q.b, lambda *v: q.b.constant(v, np.int64)
    return {
        "slice": b.node("Slice", q.a, ints(1, -1), ints(5, -100), ints(1, 3), ints(2, -1)),
        "gather": b.node("Gather", q.a, ints(2, 0, -1), axis=2),
        "gather scalar": b.node("Gather", q.a, b.constant(1, np.int64), axis=1),
        "pad": b.node("Pad", q.a, ints(0, 1, 2, 0, 0, 0, 1, 3)),
        "pad reflect": b.node("Pad", q.a, ints(0, 0, 1, 2, 0, 0, 2, 1), mode="reflect"),
        "pad edge": b.node("Pad", q.a, ints(0, 0, 1, 2, 0, 0, 2, 1), mode="edge"),
        "transpose": b.node("Transpose", q.a, perm=[0, 2, 3, 1]),
        "transpose 2": b.node("Transpose", q.a, perm=[1, 3, 0, 2]),
        "reshape": b.node("Reshape", q.a, ints(1, 6, -1)),
        "squeeze": b.node("Squeeze", q.a, ints(0)),
        "unsqueeze": b.node("Unsqueeze", q.a, ints(0, 5)),
        "depth to space": b.node("DepthToSpace", q.a, blocksize=2),
        "depth to space crd": b.node("DepthToSpace", q.a, blocksize=2, mode="CRD"),
        "space to depth": b.node("SpaceToDepth", q.a, blocksize=2),
        "resize": b.node("Resize", q.a, "", b.constant([1, 1, 2, 1.5], np.float32), mode="nearest"),
        "resize asymmetric": b.node(
            "Resize", q.a, "", "", ints(1, 8, 3, 11), mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        ),
        "identity": b.node("Dropout", b.node("Identity", q.a)),
    }  # fmt: skip


@pytest.mark.parametrize("case", moves(Qdq((1, 8, 4, 6))))
@pytest.mark.parametrize("after_conv", [False, True])
def test_moves(case, after_conv):
    """From ONNX's own layout and from NHWC."""
    q = Qdq((1, 8, 4, 6), "uint8", 20)
    if after_conv:
        w, _ = q.conv_weights((8, 8, 1, 1), "uint8", False, 128)
        q.a = q.b.activation(q.b.node("Conv", q.a, w), 0.3, 120, "uint8")
    y = moves(q)[case]
    q.b.nodes = [n for n in q.b.nodes if n.output[0] in _needed(q.b.nodes, y)]
    q.finish(y, 0.3 if after_conv else 0.05, 120 if after_conv else q.zero)


def _needed(nodes, name):
    found, pending = set(), [name]
    producers = {n.output[0]: n for n in nodes}
    while pending:
        value = pending.pop()
        if value in producers and value not in found:
            found.add(value)
            pending += producers[value].input
    return found


def test_split():
    q = Qdq((1, 9, 4, 4), seed=21)
    names = [q.b.name("part") for _ in range(3)]
    q.b.nodes.append(helper.make_node("Split", [q.a, q.b.constant([2, 3, 4], np.int64)], names, axis=1))
    q.b.output(q.b.activation(names[0], 0.05, q.zero))
    q.finish(q.b.node("Relu", names[2]), 0.05)


# QOperator.


@pytest.mark.parametrize("dtype", SIGNS)
@pytest.mark.parametrize("per_channel", [False, True])
def test_qlinear_conv(dtype, per_channel):
    b, rng = OnnxBuilder(), np.random.default_rng(22)
    x = b.input((1, 3, 6, 6), dtype)
    shift = 128 if dtype == "uint8" else 0
    scale = rng.uniform(0.001, 0.01, 4).astype(np.float32) if per_channel else np.float32(0.005)
    w = b.constant(random_ints((4, 3, 3, 3), "int8", rng))
    zeros = b.constant(np.zeros(np.shape(scale)), np.int8)
    y = b.node(
        "QLinearConv", x, *b.parameters(0.05, 3 + shift, dtype), w, b.constant(scale), zeros,
        *b.parameters(0.1, shift - 5, dtype), b.constant(rng.integers(-900, 900, 4), np.int32), pads=[1, 1, 1, 1],
    )  # fmt: skip
    b.output(y, dtype)
    check_model(b.model(), {x: random_ints((1, 3, 6, 6), dtype, rng)})


@pytest.mark.parametrize("dtype", SIGNS)
def test_qlinear_matmul(dtype):
    """Powers of two: halves in plenty, and an odd zero point, which QLinearMatMul adds before it rounds."""
    b, rng = OnnxBuilder(), np.random.default_rng(23)
    x = b.input((2, 3, 8), dtype)
    w = b.constant(random_ints((8, 5), dtype, rng))
    y = b.node(
        "QLinearMatMul", x, *b.parameters(0.5, 7, dtype), w, *b.parameters(0.25, 3, dtype), *b.parameters(16, 5, dtype)
    )
    b.output(y, dtype)
    check_model(b.model(), {x: random_ints((2, 3, 8), dtype, rng)})


def test_com_microsoft():
    """QGemm, QLinearAdd, QLinearSigmoid and pools mean DequantizeLinear, the float operator, QuantizeLinear."""
    b, rng = OnnxBuilder(), np.random.default_rng(24)
    ms = {"domain": "com.microsoft"}
    x = b.input((1, 12), "uint8")
    w = b.constant(random_ints((6, 12), "int8", rng))
    bias = b.constant(rng.integers(-900, 900, 6), np.int32)
    u8 = lambda scale, zero: b.parameters(scale, zero, "uint8")  # noqa: E731
    y = b.node("QGemm", x, *u8(0.05, 120), w, *b.parameters(0.01, 0, "int8"), bias, *u8(0.1, 100), transB=1, **ms)
    s = b.node("QLinearSigmoid", y, *u8(0.1, 100), *u8(1 / 256, 0), **ms)
    z = b.node("QLinearAdd", y, *u8(0.1, 100), s, *u8(1 / 256, 0), *u8(0.12, 90), **ms)
    b.output(b.node("QLinearConcat", *u8(0.12, 90), z, *u8(0.12, 90), s, *u8(1 / 256, 0), axis=1, **ms), "uint8")
    check_model(b.model(), {x: random_ints((1, 12), "uint8", rng)})


@pytest.mark.parametrize("layout", ["model", "nhwc"])
def test_layout_of_inputs_and_outputs(layout):
    q = Qdq((1, 3, 4, 5), seed=25)
    w, _ = q.conv_weights((6, 3, 3, 3))
    y = q.b.node("Conv", q.a, w, pads=[1, 1, 1, 1])
    q.b.output(q.b.activation(y, 0.2, 0))
    graph, _ = imported(q.b.model(), layout=layout)
    expected = {"model": (1, 3, 4, 5), "nhwc": (1, 4, 5, 3)}[layout]
    assert graph.types[graph.inputs[0]].shape == expected
    assert graph.types[graph.outputs[0]].shape == {"model": (1, 6, 4, 5), "nhwc": (1, 4, 5, 6)}[layout]
    assert kinds(graph).count("transpose") == (2 if layout == "model" else 0)


@pytest.mark.parametrize("kind", ["AveragePool", "GlobalAveragePool", "MaxPool"])
def test_pools_of_sequences(kind):
    """Their results have three axes, as outputs too."""
    q = Qdq((1, 3, 12), seed=23)
    attributes = {} if kind.startswith("Global") else {"kernel_shape": [3], "strides": [2]}
    graph = q.finish(q.b.node(kind, q.a, **attributes))
    assert len(graph.types[graph.outputs[0]].shape) == 3


def test_a_quantised_bias_behind_the_product_is_no_rounded_float():
    """-2390 * 0.05f * 0.02f + 174 * 0.01f is 1e-7 steps of 0.1f below -6.5; with a bias in float32 it is above."""
    b = OnnxBuilder()
    x, w = b.input((1, 2)), b.weights(np.array([[-20], [-10]], np.int8), 0.02, 0)
    bias = b.dequantize(b.constant(np.array([174]), np.int32), 0.01, 0, "int32")
    b.output(b.activation(b.node("Add", b.node("MatMul", b.activation(x, 0.05, 10), w), bias), 0.1, 17))
    check_model(b.model(), {x: np.array([[100, 39]], np.float32) * np.float32(0.05)})
