"""What stands between DequantizeLinear and QuantizeLinear becomes integer arithmetic as far as that is exact."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.reliability.regions import agreed
from tests.support.onnx_builder import imported, kinds
from tests.support.onnx_qdq import Qdq
from tinycompile.errors import UnsupportedError


def real(q: Qdq, *values: float) -> str:
    return q.b.constant(values[0] if len(values) == 1 else values, np.float32)


def gelu(q: Qdq) -> str:
    """As exporters below opset 20 write it."""
    erf = q.b.node("Erf", q.b.node("Div", q.a, real(q, 1.41421356)))
    return q.b.node("Mul", q.b.node("Mul", q.a, q.b.node("Add", erf, real(q, 1.0))), real(q, 0.5))


def hard_swish(q: Qdq) -> str:
    clipped = q.b.node("Clip", q.b.node("Add", q.a, real(q, 3.0)), real(q, 0.0), real(q, 6.0))
    return q.b.node("Div", q.b.node("Mul", q.a, clipped), real(q, 6.0))


def elu(q: Qdq) -> str:
    """By a comparison and a choice."""
    below = q.b.node("Sub", q.b.node("Exp", q.a), real(q, 1.0))
    return q.b.node("Where", q.b.node("Less", q.a, real(q, 0.0)), below, q.a)


def tanh_gelu(q: Qdq) -> str:
    cube = q.b.node("Pow", q.a, real(q, 3.0))
    inner = q.b.node("Add", q.a, q.b.node("Mul", cube, real(q, 0.044715)))
    tanh = q.b.node("Tanh", q.b.node("Mul", inner, real(q, 0.7978845608)))
    return q.b.node("Mul", q.b.node("Mul", q.a, real(q, 0.5)), q.b.node("Add", tanh, real(q, 1.0)))


REGIONS: dict[str, Callable[[Qdq], str]] = {
    "silu": lambda q: q.b.node("Mul", q.a, q.b.node("Sigmoid", q.a)),
    "mish": lambda q: q.b.node("Mul", q.a, q.b.node("Tanh", q.b.node("Softplus", q.a))),
    "gelu": gelu,
    "gelu, tanh": tanh_gelu,
    "hard swish": hard_swish,
    "elu": elu,
    "cast": lambda q: q.b.node("Cast", q.b.node("Greater", q.a, real(q, 0.3)), to=1),
    "no number": lambda q: q.b.node("Log", q.a),
    "relu 6": lambda q: q.b.node("Min", q.b.node("Max", q.a, real(q, 0.0)), real(q, 6.0)),
    "largest of three": lambda q: q.b.node("Max", q.a, q.b.node("Neg", q.a), real(q, 0.5)),
    "square": lambda q: q.b.node("Mul", q.a, q.a),
    "moved and back": lambda q: q.b.node(
        "Mul", q.a, q.b.node("Transpose", q.b.node("Sigmoid", q.b.node("Transpose", q.a, perm=[1, 0])), perm=[1, 0])
    ),
}


@pytest.mark.parametrize("case", REGIONS)
def test_one_element_decides(case):
    """Whatever the region computes: a table."""
    q = Qdq((3, 200), "uint8", 1)
    assert kinds(q.agrees(REGIONS[case](q), 0.05)) == ["quantize", "lookup", "dequantize"]


@pytest.mark.parametrize(
    ("kind", "constants"),
    [
        ("Mul", (0.5, 1.7, -0.9, 0.0)),
        ("Add", (3.0, -1.0, 0.5, 7.0)),
        ("PRelu", (0.25, 0.0, 0.9, -0.125)),
        ("Sub", (3.0, -1.0, 0.5, 7.0)),
        ("Div", (0.5, 1.7, -0.9, 40.0)),
        ("Max", (0.5, 1.7, -0.9, 40.0)),
    ],
)
@pytest.mark.parametrize("shape", [(1, 4, 6, 5), (3, 4, 7), (2, 4)])
def test_each_channel_has_constants_of_its_own(kind, constants, shape):
    q = Qdq(shape, "int8", 2)
    along = np.array(constants, np.float32).reshape(-1, *[1] * (len(shape) - 2))
    y = q.b.node("Relu", q.b.node(kind, q.a, q.b.constant(along)))
    assert {"depthwise_conv2d", "maximum"} & set(kinds(q.agrees(y, 0.05)))


@pytest.mark.parametrize(
    ("slopes", "turn"), [((0.25, 0.0, -1.5, 0.125), "maximum"), ((1.0, 1.25, 7.0, 2.0), "minimum")]
)
@pytest.mark.parametrize("before", ["", "Tanh"])
def test_channels_with_slopes_of_any_sign(before, slopes, turn):
    """The larger or the smaller one of the tensor and of the tensor times the slopes, an image all the way."""
    q = Qdq((1, 4, 6, 5), "int8", 2)
    y = q.b.node(
        "PRelu", q.b.node(before, q.a) if before else q.a, q.b.constant(np.reshape(slopes, (4, 1, 1)), np.float32)
    )
    found = kinds(q.agrees(y, 0.05))
    assert {"depthwise_conv2d", turn} <= set(found) and "reshape" not in found


def test_batch_normalisation_of_a_tensor():
    q = Qdq((1, 4, 6, 5), "int8", 3)
    parameters = [
        q.b.constant(q.rng.normal(0, 1, 4) if i < 3 else q.rng.uniform(0.5, 2, 4), np.float32) for i in range(4)
    ]
    y = q.b.node("Transpose", q.b.node("BatchNormalization", q.a, *parameters), perm=[0, 2, 3, 1])
    graph = q.agrees(q.b.node("Relu", y), 0.03, -128)
    assert "depthwise_conv2d" in kinds(graph)


def after_convolution(q: Qdq) -> str:
    w, scale = q.conv_weights((4, q.shape[1], 3, 3))
    return q.b.node("Conv", q.a, w, q.bias(4, scale), pads=[1, 1, 1, 1])


AFTER: dict[str, Callable[[Qdq, str], str]] = {
    "max pool": lambda q, y: q.b.node("MaxPool", q.b.node("Relu", y), kernel_shape=[2, 2], strides=[2, 2]),
    "max pool, relu": lambda q, y: q.b.node("Relu", q.b.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])),
    "global max pool": lambda q, y: q.b.node("GlobalMaxPool", y),
    "reduce max": lambda q, y: q.b.node("ReduceMax", y, axes=[1], keepdims=0),
    "flatten": lambda q, y: q.b.node("Flatten", q.b.node("Relu", y)),
    "transpose": lambda q, y: q.b.node("Transpose", y, perm=[0, 2, 3, 1]),
    "concat": lambda q, y: q.b.node("Relu", q.b.node("Concat", y, q.a, q.b.node("Sigmoid", q.a), axis=1)),
    "concat with a constant": lambda q, y: q.b.node(
        "Concat", y, q.b.constant(q.rng.normal(0, 9, (1, 2, 6, 8)), np.float32), axis=1
    ),
    "pad": lambda q, y: q.b.node("Pad", y, q.b.constant([0, 0, 1, 1, 0, 0, 0, 2], np.int64), real(q, 0.33)),
    "slice": lambda q, y: q.b.node("Slice", y, *(q.b.constant([n], np.int64) for n in (1, 3, 1))),
    "largest of two layers": lambda q, y: q.b.node("Max", y, after_convolution(q)),
    "minimum with floats": lambda q, y: q.b.node("Min", y, q.b.constant(q.rng.normal(0, 5, (4, 1, 8)), np.float32)),
    "scaled": lambda q, y: q.b.node(
        "Div", q.b.node("Add", q.b.node("Mul", y, real(q, 0.3)), real(q, 2.0)), real(q, 3.0)
    ),
    "leaky relu": lambda q, y: q.b.node("LeakyRelu", y, alpha=0.1),
    "slopes": lambda q, y: q.b.node("PRelu", y, q.b.constant([[[0.3]], [[-0.7]], [[0.0]], [[1.0]]], np.float32)),
    "slopes above 1": lambda q, y: q.b.node("PRelu", y, q.b.constant([[[1.0]], [[2.5]], [[1.1]], [[9.0]]], np.float32)),
    "batch normalisation": lambda q, y: q.b.node(
        "BatchNormalization", y, *(q.b.constant(q.rng.uniform(0.5, 2, 4), np.float32) for _ in range(4))
    ),
}


@pytest.mark.parametrize("case", AFTER)
def test_rounding_comes_first(case):
    """A convolution's result is rounded before what moves or compares its elements."""
    q = Qdq((1, 3, 6, 8), "uint8", 4)
    graph = q.agrees(AFTER[case](q, after_convolution(q)), 0.1)
    assert not {"add", "mul", "div"} & set(kinds(graph))
    assert kinds(graph).count("quantize") == kinds(graph).count("dequantize") == 1


@pytest.mark.parametrize(
    ("slopes", "reason"),
    [
        ([[[0.5]], [[2.0]], [[0.1]], [[0.2]]], "some of its slopes are above 1"),
        (np.full((4, 6, 1), 0.5), "float32 arithm"),
    ],
)
def test_slopes_that_no_bytes_have(slopes, reason):
    q = Qdq((1, 3, 6, 8), "uint8", 4)
    y = q.b.node("PRelu", after_convolution(q), q.b.constant(slopes, np.float32))
    with pytest.raises(UnsupportedError, match=reason):
        q.agrees(y)


@pytest.mark.parametrize("between", ["", "Relu", "Clip"])
@pytest.mark.parametrize("before", ["convolution", "tensor"])
def test_a_scale_for_each_channel_before_a_depthwise_convolution(before, between):
    """nncf's activations there; a bound in front that isn't 0 differs from channel to channel."""
    q = Qdq((1, 4, 6, 8), "uint8", 7)
    y = q.a if before == "tensor" else after_convolution(q)
    if between:
        y = q.b.node(between, y, *([real(q, 0.0), real(q, 4.0)] if between == "Clip" else []))
    parameters = q.b.constant(q.rng.uniform(0.02, 0.08, 4), np.float32), q.b.constant([0] * 4, np.uint8)
    y = q.b.node("DequantizeLinear", q.b.node("QuantizeLinear", y, *parameters, axis=1), *parameters, axis=1)
    w, _ = q.conv_weights((8, 1, 3, 3))
    y = q.b.node("Conv", y, w, group=4, pads=[1, 1, 1, 1])
    assert kinds(q.agrees(y, 0.1)).count("dequantize") == 1


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [("HardSigmoid", {"alpha": -0.2}), ("HardSigmoid", {"alpha": 0.2}), ("LeakyRelu", {"alpha": -0.3}), ("Neg", {})],
)
@pytest.mark.parametrize("after", [False, True])
def test_a_maximum_beside_a_function_that_may_fall(kind, attributes, after):
    """The largest element isn't the one with the largest result then."""
    q = Qdq((1, 3, 6, 8), "int8", 8)
    y = q.a if after else q.b.node(kind, q.a, **attributes)
    y = q.b.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    q.agrees(q.b.node(kind, y, **attributes) if after else y, 0.01)


@pytest.mark.parametrize("case", ["max pool", "largest", "least"])
def test_the_largest_of_elements_that_may_be_nan(case):
    """A NaN becomes the smallest value; the largest of a NaN and a number is a NaN, or isn't."""
    q = Qdq((1, 3, 6, 8), "int8", 5)
    y = q.b.node("Log", q.a)
    if case == "max pool":
        y = q.b.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    else:
        other = q.b.activation(q.b.input((1, 3, 6, 8), name="other"), 0.05, 0)
        y = q.b.node("Max" if case == "largest" else "Min", y, other)
    q.b.output(q.b.activation(y, 0.05, 0))
    with pytest.raises(UnsupportedError, match="elements may be NaN"):
        imported(q.b.model(), floats="none")
    assert "lookup" not in kinds(imported(q.b.model(), floats="islands")[0])


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("channels", [3, 8])
@pytest.mark.parametrize(
    ("scales", "transformation"), [((2, 2), "half_pixel"), ((4, 1), "pytorch_half_pixel"), ((2, 8), "asymmetric")]
)
def test_linear_interpolation(scales, transformation, channels, dtype):
    """Rounded halves to even, of which there are many."""
    q = Qdq((1, channels, 5, 6), dtype, 6)
    factors = q.b.constant([1, 1, *scales], np.float32)
    y = q.b.node("Resize", q.a, "", factors, mode="linear", coordinate_transformation_mode=transformation)
    assert "resize_bilinear" in kinds(q.agrees(y, q.scale, q.zero - 128 if dtype == "uint8" else q.zero))


UPSAMPLINGS = [((1, 1, 2, 2), "half_pixel"), ((1, 1, 4, 1), "asymmetric"), ((1, 2, 4, 1), "half_pixel")]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(("scales", "transformation"), UPSAMPLINGS)
def test_linear_interpolation_as_a_layer(scales, transformation, dtype):
    """Rounded to another scale; of integers themselves, whose fractions onnxruntime cuts off; with channels last."""

    def resized(x):
        factors = q.b.constant(scales, np.float32)
        return q.b.node("Resize", x, "", factors, mode="linear", coordinate_transformation_mode=transformation)

    q = Qdq((1, 3, 5, 6), dtype, 6)
    assert "transpose_conv" in kinds(q.agrees(q.b.node("Relu", resized(q.a)), 0.03, 9))
    q = Qdq((1, 3, 5, 6), dtype, 7)
    integers = resized(q.b.quantize(q.x, 0.05, q.zero, dtype))
    assert "resize_bilinear" in kinds(q.agrees(q.b.dequantize(integers, 0.05, q.zero, dtype), 0.06))


def test_linear_interpolation_to_other_sizes():
    """It takes float32, and integers are refused."""
    q = Qdq((1, 3, 5, 6), "int8", 8)
    y = q.b.node("Resize", q.a, "", q.b.constant([1, 1, 3, 1.5], np.float32), mode="linear")
    with pytest.raises(UnsupportedError, match="linear resizing"):
        q.agrees(y, 0.03)
    q = Qdq((1, 3, 5, 6), "int8", 8)
    y = q.b.quantize(q.x, 0.05, 0)
    y = q.b.node("Resize", y, "", q.b.constant([1, 1, 3, 2], np.float32), mode="linear")
    with pytest.raises(UnsupportedError, match="multiples of 1/1024"):
        q.agrees(q.b.dequantize(y, 0.05, 0), 0.06)


@pytest.mark.parametrize("function", ["Relu", "Max", "factor"])
def test_a_function_that_keeps_to_steps_of_one_size(function):
    """It needn't be rounded for an operator that takes 8 bits."""
    q = Qdq((1, 3, 6, 8), "int8", 5)
    q.a = q.b.activation(q.x, 0.05, 0)
    if function == "Max":
        q.a = q.b.node("Max", q.a, real(q, 0.0))
    elif function == "Relu":
        q.a = q.b.node("Relu", q.a)
    else:
        q.a = q.b.node("Mul", q.a, real(q, 4.0))
    assert kinds(q.agrees(after_convolution(q), 0.1)).count("dequantize") == 1


def test_random_networks():
    """Most of them are int8 altogether; `make reliability` tries more, and their C."""
    whole = [agreed(seed)[1] for seed in range(60)]
    assert sum(whole) > 40
