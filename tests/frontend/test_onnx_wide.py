"""QDQ with 16 bits: layers are integers, against onnxruntime or, where its floats tie, exact sums."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.onnx_builder import imported, kinds
from tests.support.onnx_qdq import Qdq
from tinycompile import interpreter
from tinycompile.errors import FloatIslandWarning
from tinycompile.passes import optimize

SIXTEEN = ("int16", "uint16")
OPSET = 21
"""The first whose QuantizeLinear has 16 bits."""


def wide(shape, dtype, seed=1):
    return Qdq(shape, dtype, seed, OPSET, scale=0.0003)


EDGES = {"quantize", "dequantize", "transpose", "reshape"}
"""What floats pass at inputs and outputs."""


def is_integer(graph):
    """Nothing is computed in float32."""
    inner = [node for node in graph.nodes if node.op.kind not in EDGES]
    return bool(inner) and all(graph.types[name].dtype.is_integer for node in inner for name in node.outputs)


def convolved(q, channels, attributes):
    weights, scale = q.conv_weights((8, channels // attributes.get("group", 1), 3, 3))
    return q.b.node("Conv", q.a, weights, q.bias(8, scale), **attributes)


CONVOLUTIONS = {
    "padded": {"pads": [1, 1, 1, 1]},
    "strided": {"strides": [2, 1]},
    "dilated, grouped": {"dilations": [2, 1], "group": 2},
    "depthwise": {"group": 4, "pads": [1, 0, 0, 1]},
}


@pytest.mark.parametrize("dtype", SIXTEEN)
@pytest.mark.parametrize("attributes", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolution(attributes, dtype):
    """Padding stands for the zero point, which the pass that folds it must leave alone."""
    q = wide((1, 4, 7, 6), dtype)
    graph = q.agrees(q.b.node("Relu", convolved(q, 4, attributes)), 0.002, 5)
    assert is_integer(graph)
    x = [q.rng.normal(0, 3, (1, 4, 7, 6)).astype(np.float32)]
    before, after = (interpreter.run(g, x)[g.outputs[0]] for g in (graph, optimize(graph)))
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("dtype", SIXTEEN)
def test_other_layers(dtype):
    q = wide((1, 12), dtype, 3)
    weights, scale = q.conv_weights((12, 6), axis=1)
    assert is_integer(q.agrees(q.b.node("Gemm", q.a, weights, q.bias(6, scale), alpha=0.5), 0.001))
    q = wide((1, 3, 6), dtype, 4)
    weights, _ = q.conv_weights((6, 5), axis=1)
    assert is_integer(q.agrees(q.b.node("MatMul", q.a, weights), 0.001))
    q = wide((1, 3, 4, 6), dtype, 5)
    weights, scale = q.conv_weights((3, 4, 2, 2), per_channel=False)
    assert is_integer(q.agrees(q.b.node("ConvTranspose", q.a, weights, q.bias(4, scale), strides=[2, 2]), 0.002))


@pytest.mark.parametrize("dtype", SIXTEEN)
def test_slopes_of_a_layer(dtype):
    q = wide((1, 4, 7, 6), dtype, 9)
    assert is_integer(q.agrees(q.b.node("LeakyRelu", convolved(q, 4, {}), alpha=0.2), 0.002, 5))


@pytest.mark.parametrize("dtype", SIXTEEN)
def test_means(dtype):
    q = wide((1, 4, 6, 5), dtype, 6)
    assert is_integer(q.agrees(q.b.node("AveragePool", q.a, kernel_shape=[2, 3], strides=[2, 1]), 0.0002))
    q = wide((1, 4, 6, 5), dtype, 7)
    assert is_integer(q.agrees(q.b.node("ReduceMean", q.a, q.b.constant([2, 3], np.int64), keepdims=0), 0.0001))
    q = wide((1, 4, 6, 5), dtype, 8)
    assert is_integer(q.agrees(q.b.node("GlobalAveragePool", q.a), 0.0001))


@pytest.mark.parametrize("dtype", SIXTEEN)
def test_numbers_that_only_move(dtype):
    """The rounding comes first: a concatenation of a layer's result and a tensor, chosen and moved."""
    q = wide((1, 4, 7, 6), dtype, 9)
    y = convolved(q, 4, {"pads": [1, 1, 1, 1]})
    y = q.b.node("MaxPool", q.b.node("Concat", y, q.a, axis=1), kernel_shape=[2, 2], pads=[1, 0, 0, 1])
    graph = q.agrees(q.b.node("Transpose", y, perm=[0, 2, 3, 1]), 0.002)
    assert is_integer(graph)
    assert "max_pool2d" in kinds(graph)


FUNCTIONS = {
    "Tanh": lambda q: q.b.node("Tanh", q.a),
    "SiLU": lambda q: q.b.node("Mul", q.a, q.b.node("Sigmoid", q.a)),
    "HardSwish": lambda q: q.b.node("HardSwish", q.a),
    "Clip": lambda q: q.b.node("Clip", q.a, q.b.constant(0, np.float32), q.b.constant(6, np.float32)),
    "another scale": lambda q: q.a,
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_of_one_element(function):
    q = wide((1, 4, 5, 6), "uint16", 10)
    graph = q.agrees(function(q), 0.0002)
    assert is_integer(graph)
    assert kinds(graph).count("wide_lookup") == 1


def test_functions_of_two_tensors():
    """Sums, products, the larger one; one operand that broadcasts, one that is constant."""
    q = wide((1, 4, 5, 6), "uint16", 11)
    column = q.b.activation(q.b.node("ReduceMean", q.a, q.b.constant([2, 3], np.int64)), 0.0001, 1 << 15, "uint16")
    values = q.rng.integers(0, 1 << 16, (4, 1, 1)).astype(np.uint16)
    constant = q.b.dequantize(q.b.constant(values), np.float32(0.001), 40000, "uint16")
    for kind, other in (("Sub", column), ("Mul", constant), ("Max", column), ("Div", constant), ("Add", q.a)):
        q.a = q.b.activation(q.b.node(kind, q.a, other), 0.0005, 30000, "uint16")
    graph = q.agrees(q.a, 0.0005)
    assert is_integer(graph)
    assert {"sub", "mul", "maximum", "div"} <= set(kinds(graph))


def test_channels_that_differ():
    """A slope and a normalisation for each channel; a softmax."""
    q = wide((1, 4, 5, 6), "uint16", 12)
    slopes = q.b.constant(q.rng.normal(0, 0.5, (4, 1, 1)), np.float32)
    q.a = q.b.activation(q.b.node("PRelu", q.a, slopes), 0.0003, 30000, "uint16")
    statistics = [q.b.constant(q.rng.uniform(-1, 1, 4), np.float32) for _ in range(3)]
    variance = q.b.constant(q.rng.uniform(0.5, 2, 4), np.float32)
    normalised = q.b.node("BatchNormalization", q.a, *statistics, variance)
    q.a = q.b.activation(normalised, 0.0003, 30000, "uint16")
    graph = q.agrees(q.b.node("Softmax", q.a, axis=1), 1 / 65535, -(1 << 15))
    assert is_integer(graph)
    assert {"prelu", "depthwise_conv2d", "softmax"} <= set(kinds(graph))


@pytest.mark.parametrize("scale", [0.0003, 0.00047], ids=["same scale", "another one"])
def test_interpolation(scale):
    q = wide((1, 4, 5, 6), "uint16", 13)
    sizes = q.b.constant([1, 4, 10, 24], np.int64)
    y = q.b.node("Resize", q.a, "", "", sizes, mode="linear")
    assert is_integer(q.agrees(y, scale, q.zero - (1 << 15)))


def test_sixteen_bits_beside_eight():
    q = Qdq((1, 9), "int8", 14, OPSET, scale=0.03)
    q.a = q.b.activation(q.b.node("Sigmoid", q.a), 1 / 65535, 0, "uint16")
    q.a = q.b.activation(q.b.node("Sqrt", q.a), 1 / 127, 0, "int8")
    assert is_integer(q.agrees(q.a, 1 / 127))


MIXED = {
    "to 16 bits": ("int8", "int16"),
    "to uint16": ("uint8", "uint16"),
    "from 16 bits": ("int16", "uint8"),
    "from uint16": ("uint16", "int8"),
}
"""Types of what a layer reads and of what it makes."""


@pytest.mark.parametrize("types", MIXED.values(), ids=MIXED)
def test_layers_with_8_bits_on_one_side(types):
    """A convolution that pads, a mean and a joined layer, whose results are clamped."""
    source, result = types
    scales = {"int8": 0.05, "uint8": 0.05}
    step = 0.07 if result in scales else 0.0007
    q = Qdq((1, 4, 7, 6), source, 12, OPSET, scale=scales.get(source, 0.0003))
    q.type_name = result
    y = convolved(q, 4, CONVOLUTIONS["depthwise"])
    graph = q.agrees(q.b.node("Relu", q.b.node("Reshape", y, q.b.constant([1, 8, 30], np.int64))), step, 5)
    assert is_integer(graph)
    q = Qdq((1, 4, 6, 5), source, 7, OPSET, scale=scales.get(source, 0.0003))
    q.type_name = result
    assert is_integer(q.agrees(q.b.node("GlobalAveragePool", q.a), step / 20))


def test_what_takes_float32():
    """Steps too many for pieces."""
    q = wide((1, 9), "int16", 10)
    q.b.output(q.b.activation(q.b.node("Sin", q.b.node("Mul", q.a, q.b.constant(9999, np.float32))), 3e-5, 0, "int16"))
    with pytest.warns(FloatIslandWarning, match="change too often for 1,024 parabolas"):
        assert not is_integer(imported(q.b.model(), floats="islands")[0])
