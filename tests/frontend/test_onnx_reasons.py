"""Why a node is refused, and why one runs in float32: the true reasons, all of them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.support.onnx_builder import OnnxBuilder, imported
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.onnx import FloatIslandWarning


def islands(b: OnnxBuilder) -> dict[str, str]:
    """Reasons by operator type."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        imported(b.model(), floats="islands")
    assert all(w.category is FloatIslandWarning for w in caught)
    texts = [str(w.message).removeprefix("test.onnx: ") for w in caught]
    return {text.split()[0]: text.partition("runs in float32: ")[2] for text in texts}


def convolution(**attributes: object) -> tuple[OnnxBuilder, str]:
    """An int8 Conv whose result isn't rounded yet."""
    b, rng = OnnxBuilder(), np.random.default_rng(0)
    x = b.activation(b.input((1, 3, 8, 8)), 0.05, 3)
    w = b.weights(rng.integers(-127, 128, (4, 3, 3, 3), np.int8), 0.01, 0)
    return b, b.node("Conv", x, w, **attributes)


def test_what_makes_a_convolution_float():
    """Exp of a sum is neither a table nor a scale: it is named as the cause."""
    b, y = convolution()
    b.output(b.activation(b.node("Exp", y), 0.1, 0))
    found = islands(b)
    assert set(found) == {"Conv", "Exp"}
    assert "Exp 'exp_" in found["Conv"] and "(node 4), which reads it, runs in float32" in found["Conv"]
    assert "between a float operator and QuantizeLinear" in found["Exp"]
    assert found["Conv"].endswith("(144 elements)")


def test_a_chain_of_causes():
    """Each names the next."""
    b, y = convolution()
    y = b.node("Exp", b.node("MaxPool", b.node("Relu", y), kernel_shape=[2, 2]))
    b.output(b.activation(y, 0.1, 0))
    found = islands(b)
    assert set(found) == {"Conv", "Relu", "MaxPool", "Exp"}
    assert "Relu '" in found["Conv"] and "MaxPool '" in found["Relu"]


@pytest.mark.parametrize("kind", ["Conv", "Softmax", "Relu"])
def test_a_float_operator_at_an_output(kind):
    if kind == "Conv":
        b, y = convolution()
    else:
        b = OnnxBuilder()
        y = b.node(kind, b.activation(b.input((1, 7)), 0.05, 3))
    b.output(y)
    found = islands(b)
    assert set(found) == {kind}
    assert "it is an output of the model, and no QuantizeLinear rounds it" in found[kind]


def test_nothing_to_warn_of():
    b, y = convolution()
    b.output(b.activation(b.node("Relu", y), 0.1, 0))
    assert islands(b) == {}


def test_both_reasons():
    """The one in 8 bits and the one in float32."""
    b = OnnxBuilder()
    x = b.activation(b.input((1, 2, 4, 4, 4, 4)), 0.05, 3)
    b.output(b.activation(b.node("AveragePool", x, kernel_shape=[2, 2, 2, 2]), 0.1, 0))
    with pytest.raises(UnsupportedError) as caught:
        imported(b.model(), floats="islands")
    (problem,) = caught.value.problems
    assert "supported are 1-D and 2-D pooling; in float32: its operand has 6 dimensions" in problem[1]


def test_the_only_reason():
    """An operator without a float form has the reason of its int8 form."""
    b = OnnxBuilder(21)
    operands = [b.input((1, 4), "int8"), *b.parameters(0.1, 0, "int8"), b.constant(np.ones((4, 2), np.int8))]
    y = b.node("QLinearMatMul", *operands, *b.parameters(0.1, 0, "int8"), *b.parameters(0.1, 0, "int16"))
    b.output(y, "int16")
    with pytest.raises(UnsupportedError, match="its result is int16, supported are int8 and uint8") as caught:
        imported(b.model(), floats="islands")
    assert "not supported" not in caught.value.problems[0][1]


def test_zero_points_that_are_floats():
    """onnx's checker lets them through, onnxruntime doesn't; as integers they would be cut off."""
    for weights in (True, False):
        b = OnnxBuilder()
        x = b.activation(b.input((1, 4)), 0.05, 3)
        q = b.constant(np.arange(12).reshape(4, 3), np.int8) if weights else b.nodes[-1].input[0]
        zero_point = b.constant([0.5, 1.5, 2] if weights else 0.5, np.float32)
        scale = b.constant([0.1, 0.2, 0.3] if weights else 0.1, np.float32)
        y = b.node("DequantizeLinear", q, scale, zero_point, **({"axis": 1} if weights else {}))
        b.output(b.node("MatMul", x, y) if weights else y)
        with pytest.raises(UnsupportedError, match="the zero point is a float"):
            imported(b.model(), floats="islands")


def test_an_axis_that_a_tensor_of_computed_shape_lacks():
    """onnx infers no shape then; below opset 13 Softmax becomes such a Flatten."""
    b = OnnxBuilder()
    x = b.input((1, 3, 4, 4))
    axes = b.constant([0], np.int64)
    batch = b.node("Unsqueeze", b.node("Gather", b.node("Shape", x), b.constant(0, np.int64)), axes)
    flat = b.node("Reshape", x, b.node("Concat", batch, b.constant([-1], np.int64), axis=0))
    b.output(b.node("Flatten", flat, axis=3))
    with pytest.raises(UnsupportedError, match=r"\[1, 48\] .* Invalid value\(3\) for attribute .axis."):
        imported(b.model(), floats="all")


@pytest.mark.parametrize(
    ("kind", "shape", "operands", "attributes", "reason"),
    [
        ("Add", (3, 4, 5), [np.ones((3, 4, 5, 5), np.float32)], {}, r"\[3, 4, 5\] and \[3, 4, 5, 5\] don't broadcast"),
        ("PRelu", (1, 6), [np.ones(5, np.float32)], {}, r"\[1, 6\] and \[5\] don't broadcast"),
        (
            "Greater",
            (3, 4),
            [np.ones((3, 5), np.float32)],
            {},
            r"\[3, 4\] and \[3, 5\] .* Incompatible",
        ),
        ("MatMul", (1, 4), [np.ones((5, 3), np.float32)], {}, "Incompatible dimensions for matrix multiplication"),
        ("Gemm", (1, 4), [np.ones((4, 3), np.float32), np.ones(2, np.float32)], {}, r"bias has shape \[2\]"),
        ("Pad", (1, 6), [np.ones(3, np.int64)], {}, "Pads has incorrect number of values"),
        ("Softmax", (1, 6), [], {"axis": 5}, "Its actual value is: 5"),
    ],
)
def test_operands_that_contradict_each_other(kind, shape, operands, attributes, reason):
    """Not stumbled over, and not called dynamic: onnx's inference leaves such a result without a shape."""
    b = OnnxBuilder()
    b.output(b.node(kind, b.input(shape), *map(b.constant, operands), **attributes))
    with pytest.raises(UnsupportedError, match=reason):
        imported(b.model(), floats="all")


def test_an_input_without_elements_is_not_called_dynamic():
    b = OnnxBuilder()
    b.output(b.node("Relu", b.input((1, 0, 4))))
    with pytest.raises(UnsupportedError, match="its shape 1x0x4 has no elements: give --shape x=1,64,4"):
        imported(b.model(), floats="all")
