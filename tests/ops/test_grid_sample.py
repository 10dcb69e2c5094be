"""GridSample against onnx's reference, and its kernel."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from tests.ops.agreement import check_kernels
from tinycompile import interpreter
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Graph, Node, Signature, TensorType
from tinycompile.ops.grid_sample import GridSample, Taps

MODES: dict[Taps, str] = {1: "nearest", 2: "linear", 4: "cubic"}


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 2, 2, 3, 4)], ids=str)
def test_all_ways(shape: tuple[int, ...]):
    """Cubic interpolation of volumes isn't onnx's; at borders its evaluator differs from PyTorch and onnxruntime, which
    tests/frontend/attributes.py compares with.
    """
    rng, axes = np.random.default_rng(0), len(shape) - 2
    x = rng.normal(size=shape).astype(np.float32)
    grid = rng.uniform(-2, 2, (shape[0], *(3,) * axes, axes)).astype(np.float32)
    types = [TensorType(value.shape, FLOAT32) for value in (x, grid)]
    for taps, padding, corners in product(MODES, ("zeros", "border", "reflection"), (False, True)):
        if taps == 4 and (axes == 3 or padding == "border"):
            continue
        op = GridSample(taps, padding, corners)
        ((result, _),) = op.infer(types)
        node = Node("n", op, ("x", "grid"), ("y",))
        known = {"x": types[0], "grid": types[1], "y": TensorType(result, FLOAT32)}
        graph = Graph("sample", ("x", "grid"), ("y",), (node,), known, {})
        found = interpreter.run(graph, [x, grid])["y"]
        attributes = {"mode": MODES[taps], "padding_mode": padding, "align_corners": int(corners)}
        np.testing.assert_allclose(found, _reference(x, grid, attributes), rtol=1e-4, atol=1e-5)
        check_kernels(graph, node, {"x": x, "grid": grid, "y": found}, 1e-5)


def _reference(x: np.ndarray, grid: np.ndarray, attributes: dict[str, Any]) -> np.ndarray:
    node = helper.make_node("GridSample", ["x", "grid"], ["y"], **attributes)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "grid", "y")]
    graph = helper.make_graph([node], "g", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    evaluator: Any = ReferenceEvaluator(model)  # `run` isn't typed
    return np.asarray(evaluator.run(None, {"x": x, "grid": grid})[0])


def test_what_is_refused():
    t = TensorType((1, 2, 3, 3), INT8)
    assert "float32" in str(GridSample().unsupported(Signature((t, t), (t,))))
    with pytest.raises(ValueError, match="at the places"):
        GridSample().infer([TensorType((1, 2, 3), FLOAT32), TensorType((1, 2, 3, 2), FLOAT32)])
