"""Several images at a time: a node for each, whose tensors are parts of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.agreement import agree
from tests.ops.oracle import full_range
from tests.support.kernel_checks import M7
from tests.support.tflite_builder import SAME, TYPES, TfliteBuilder
from tinycompile.frontend.tflite import import_tflite
from tinycompile.kernels import kernels_of

STEPS = {"StrideH": 2, "StrideW": 1, "Padding": SAME}
KINDS = ["CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_BILINEAR"]


def model(kind: str, dtype: str) -> tuple[TfliteBuilder, int, int]:
    b, rng, scale = TfliteBuilder(), np.random.default_rng(0), 0.0004 if dtype == "int16" else 0.05
    shape = {"TRANSPOSE_CONV": (3, 10, 6, 2), "RESIZE_BILINEAR": (3, 7, 9, 2)}.get(kind, (3, 3, 6, 2))
    x, y = b.tensor((3, 5, 6, 2), scale, dtype=dtype), b.tensor(shape, scale, dtype=dtype)
    weights = {"CONV_2D": (2, 3, 3, 2), "DEPTHWISE_CONV_2D": (1, 3, 3, 2), "TRANSPOSE_CONV": (2, 3, 3, 2)}.get(kind)
    options = dict(STEPS) if kind != "RESIZE_BILINEAR" else {}
    operands = [x]
    if kind.endswith("POOL_2D"):
        options |= {"FilterHeight": 3, "FilterWidth": 2}
    if kind == "RESIZE_BILINEAR":
        operands.append(b.constant(np.array(shape[1:3], np.int32)))
    if weights:
        bias = "int64" if dtype == "int16" else "int32"
        operands += [b.constant(full_range(rng, weights), 0.01), b.constant(np.array([70, -50], bias), scale * 0.01)]
        if kind == "TRANSPOSE_CONV":
            operands = [b.constant(np.array(shape, np.int32)), operands[1], x, operands[2]]
        if kind != "DEPTHWISE_CONV_2D":
            options["QuantizedBiasType"] = TYPES[bias]
    b.op(kind, operands, [y], **options)
    return b, x, y


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_image(kind, dtype):
    b, x, y = model(kind, dtype)
    samples = [[full_range(np.random.default_rng(seed), (3, 5, 6, 2), dtype)] for seed in range(3)]
    graph = agree(b, [x], [y], samples, kernels=False)
    assert sum(node.op.kind not in ("slice", "concatenation") for node in graph.nodes) == 3


def test_parts_are_no_code():
    """An image is a view of its batch, and its result is computed where the whole wants it."""
    b, x, y = model("CONV_2D", "int8")
    graph = import_tflite(b.build([x], [y]), "m", "m.tflite")
    for node in graph.nodes:
        if node.op.kind != "conv2d":
            assert any(kernel.function is None for kernel in kernels_of(graph.site(node), M7)), node.op
    assert len(graph.constants) == 2
