"""PAD folds into convolutions exactly where the fill is the zero point, into maxima where it is the least number."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.tflite_builder import VALID, TfliteBuilder
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.passes import optimize


def padded_network(padv2_value: int | None, kind: str, channels_too: bool = False) -> bytes:
    """PAD or PADV2 in front of a convolution or pool."""
    b, rng = TfliteBuilder(), np.random.default_rng(3)
    x = b.tensor((1, 6, 5, 4), 0.1, 7)
    amounts = np.array([[0, 0], [1, 2], [2, 0], [0, 4 if channels_too else 0]], np.int32)
    depth = 8 if channels_too else 4
    y = b.tensor((1, 9, 7, depth), 0.1, 7)
    operands = [x, b.constant(amounts)]
    if padv2_value is not None:
        operands.append(b.constant(np.array([padv2_value], np.int8), 0.1, 7))
    b.op("PAD" if padv2_value is None else "PADV2", operands, [y])
    if kind == "MAX_POOL_2D":
        z = b.tensor((1, 7, 5, depth), 0.1, 7)
        b.op(kind, [y], [z], Padding=VALID, FilterHeight=3, FilterWidth=3, StrideH=1, StrideW=1)
        return b.build([x], [z])
    shape, axis = ((3, 3, 3, depth), 0) if kind == "CONV_2D" else ((1, 3, 3, depth), 3)
    outputs = shape[axis]
    w = b.constant(rng.integers(-127, 128, shape).astype(np.int8), 0.01, axis=axis)
    bias = b.constant(rng.integers(-900, 900, outputs).astype(np.int32), 0.001)
    z = b.tensor((1, 7, 5, outputs), 0.3, -5)
    fields = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1, "Padding": VALID}
    if kind == "DEPTHWISE_CONV_2D":
        fields["DepthMultiplier"] = 1
    b.op(kind, [y, w, bias], [z], **fields)
    return b.build([x], [z])


@pytest.mark.parametrize(
    ("value", "kind", "channels_too", "folds"),
    [
        (None, "CONV_2D", False, True),
        (7, "CONV_2D", False, True),
        (0, "CONV_2D", False, False),
        (None, "CONV_2D", True, False),
        (None, "DEPTHWISE_CONV_2D", False, True),
        (-128, "DEPTHWISE_CONV_2D", False, False),
        (None, "MAX_POOL_2D", False, False),
        (-128, "MAX_POOL_2D", False, True),
        (-128, "MAX_POOL_2D", True, False),
    ],
)
def test_folds_where_exact(value: int | None, kind: str, channels_too: bool, folds: bool) -> None:
    before = import_tflite(padded_network(value, kind, channels_too), "net", "net.tflite")
    after = optimize(before)
    assert ("pad" not in [node.op.kind for node in after.nodes]) == folds
    x = np.random.default_rng(0).integers(-128, 128, (1, 6, 5, 4)).astype(np.int8)
    expected, got = (interpreter.run(graph, [x])[graph.outputs[0]] for graph in (before, after))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("fill", "window", "folds"), [(-np.inf, 3, True), (-3e38, 3, False), (-np.inf, 2, False)])
def test_maxima_of_floats(fill: float, window: int, folds: bool) -> None:
    """Whose window is larger than the padding, so that none is of padding alone."""
    b = TfliteBuilder()
    x, y = b.tensor((1, 4, 4, 2), dtype="float32"), b.tensor((1, 8, 8, 2), dtype="float32")
    amounts = b.constant(np.array([[0, 0], [2, 2], [2, 2], [0, 0]], np.int32))
    b.op("PADV2", [x, amounts, b.constant(np.array([fill], np.float32))], [y])
    z = b.tensor((1, 9 - window, 9 - window, 2), dtype="float32")
    b.op("MAX_POOL_2D", [y], [z], Padding=VALID, FilterHeight=window, FilterWidth=window, StrideH=1, StrideW=1)
    before = import_tflite(b.build([x], [z]), "net", "net.tflite", floats="all")
    after = optimize(before)
    assert ("pad" not in [node.op.kind for node in after.nodes]) == folds
    value = np.random.default_rng(0).normal(0, 1, (1, 4, 4, 2)).astype(np.float32)
    expected, got = (interpreter.run(graph, [value])[graph.outputs[0]] for graph in (before, after))
    np.testing.assert_array_equal(got, expected)
