"""Products of two int8 tensors that nothing rounds: linear attention's, which are divided by others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from tests.support.onnx_builder import OnnxBuilder
from tinycompile import interpreter
from tinycompile.errors import FloatIslandWarning
from tinycompile.frontend.onnx import import_onnx
from tinycompile.ir import Graph
from tinycompile.passes import optimize


def linear_attention(folder: Path) -> tuple[Graph, onnx.ModelProto]:
    """Queries times sums of keys and values, of which the last column divides the others."""
    b = OnnxBuilder()
    b.opset = 19
    q = b.dequantize(b.input((1, 2, 6, 4), "int8", "q"), 0.02, -128)
    kv = b.dequantize(b.input((1, 2, 4, 5), "int8", "kv"), 0.05, -10)
    product = b.node("MatMul", q, kv)
    parts = [b.node("Slice", product, b.constant([a]), b.constant([e]), b.constant([3])) for a, e in ((0, 4), (4, 5))]
    b.output(b.quantize(b.node("Div", parts[0], b.node("Add", parts[1], b.constant(0.5, np.float32))), 0.05, 3), "int8")
    onnx.save(b.model(), str(folder / "m.onnx"))
    with pytest.warns(FloatIslandWarning):
        return optimize(import_onnx(folder / "m.onnx", "m", floats="islands")), b.model()


def test_sums_are_integers(tmp_path: Path) -> None:
    graph, model = linear_attention(tmp_path)
    kinds = [node.op.kind for node in graph.nodes]
    assert kinds.count("matmul_integer") == 1 and not {"batch_matmul", "dequantize", "cast"}.intersection(kinds)
    rng = np.random.default_rng(0)
    given = {
        n: rng.integers(-9, 128, shape).astype(np.int8) for n, shape in (("q", (1, 2, 6, 4)), ("kv", (1, 2, 4, 5)))
    }
    (expected,) = ReferenceEvaluator(model).run(None, given)
    values = interpreter.run(graph, [given["q"], given["kv"]])
    np.testing.assert_array_equal(values[graph.outputs[0]], expected)
