"""PAD folds into convolutions exactly where the fill is the zero point."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.tflite_builder import SAME, VALID, TfliteBuilder
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
        z = b.tensor((1, 9, 7, depth), 0.1, 7)
        b.op(kind, [y], [z], Padding=SAME, FilterHeight=3, FilterWidth=3, StrideH=1, StrideW=1)
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
    ],
)
def test_folds_where_exact(value: int | None, kind: str, channels_too: bool, folds: bool) -> None:
    before = import_tflite(padded_network(value, kind, channels_too), "net", "net.tflite")
    after = optimize(before)
    assert ("pad" not in [node.op.kind for node in after.nodes]) == folds
    x = np.random.default_rng(0).integers(-128, 128, (1, 6, 5, 4)).astype(np.int8)
    expected, got = (interpreter.run(graph, [x])[graph.outputs[0]] for graph in (before, after))
    np.testing.assert_array_equal(got, expected)
