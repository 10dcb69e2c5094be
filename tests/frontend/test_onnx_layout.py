"""Images have channels last inside, floats and int8 alike: axes move at the edges of a model, if at all."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from tests.support.onnx_builder import OnnxBuilder, imported
from tinycompile.ir import Graph

onnxruntime = pytest.importorskip("onnxruntime", reason="the reference for float models")


def network() -> onnx.ModelProto:
    """Windows, a residual sum with a constant per channel, concatenation, a branch on the input, reductions."""
    b, rng = OnnxBuilder(), np.random.default_rng(0)
    x = b.input((1, 3, 8, 8))
    y = b.node("Conv", x, b.constant(rng.normal(0, 0.3, (4, 3, 3, 3)), np.float32), pads=[1, 1, 1, 1])
    z = b.node("Conv", x, b.constant(rng.normal(0, 0.3, (4, 3, 1, 1)), np.float32))
    y = b.node("Add", b.node("Relu", y), z)
    y = b.node("Mul", y, b.constant(rng.normal(0, 1, (4, 1, 1)), np.float32))
    y = b.node("Concat", y, b.node("MaxPool", y, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), axis=1)
    y = b.node("Conv", y, b.constant(rng.normal(0, 0.3, (8, 1, 3, 3)), np.float32), group=8, strides=[2, 2])
    b.output(y, "float32")
    b.output(b.node("ReduceMean", y, axes=[2, 3], keepdims=0), "float32")
    y = b.node("Flatten", y)
    b.output(b.node("Gemm", y, b.constant(rng.normal(0, 0.3, (72, 5)), np.float32)), "float32")
    return b.model()


def kinds(graph: Graph) -> Counter[str]:
    return Counter(node.op.kind for node in graph.nodes)


def test_axes_move_at_the_edges_only() -> None:
    model = network()
    inside, _ = imported(model, floats="all", layout="nhwc")
    assert kinds(inside)["transpose"] == 0
    assert {kind for kind in kinds(inside) if kind.endswith("conv2d")} == {"conv2d", "depthwise_conv2d"}
    own, _ = imported(model, floats="all", layout="model")
    assert kinds(own)["transpose"] == 2, "the input, which two convolutions read, and the output that is an image"


@pytest.mark.parametrize("layout", ["model", "nhwc"])
def test_the_results_are_onnxruntimes(layout: str) -> None:
    from tinycompile import interpreter

    model = network()
    graph, _ = imported(model, floats="all", layout=layout)
    x = np.random.default_rng(1).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})
    values = interpreter.run(graph, [x if layout == "model" else x.transpose(0, 2, 3, 1)])
    for name, want in zip(graph.outputs, expected, strict=True):
        moved = want if want.ndim != 4 or layout == "model" else want.transpose(0, 2, 3, 1)
        np.testing.assert_allclose(values[name], moved, rtol=1e-5, atol=1e-5)
