"""Operators on 8-bit integers with computed zero points, and onnxruntime's results for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import Signature, TensorType
from tinycompile.ops._integer_product import IntegerProduct


@cache
def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def onnxruntime_results(
    kind: str, operands: Sequence[np.ndarray], results: Sequence[str], **attributes: Any
) -> list[np.ndarray]:
    """Of one node; `results` are their types."""
    code = helper.np_dtype_to_tensor_dtype
    names = [f"x{i}" for i in range(len(operands))], [f"y{i}" for i in range(len(results))]
    inputs = [helper.make_tensor_value_info(n, code(x.dtype), x.shape) for n, x in zip(names[0], operands, strict=True)]
    outputs = [
        helper.make_tensor_value_info(n, code(np.dtype(t)), None) for n, t in zip(names[1], results, strict=True)
    ]
    graph = helper.make_graph([helper.make_node(kind, *names, **attributes)], "node", inputs, outputs)
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    feeds = dict(zip(names[0], operands, strict=True))
    return [np.asarray(y) for y in _session(model.SerializeToString()).run(None, feeds)]


def compare(op: IntegerProduct, kind: str, *operands: np.ndarray, **attributes: Any) -> None:
    """`operands` as ONNX has them, uint8 among them, images with channels second."""
    (want,) = onnxruntime_results(kind, operands, ["int32"], **attributes)
    signed = [v if v.dtype == np.int8 else (v.astype(np.int16) - 128).astype(np.int8) for v in operands]
    if kind == "ConvInteger":
        signed[:2] = [np.ascontiguousarray(v.transpose(0, 2, 3, 1)) for v in signed[:2]]
    types = [TensorType(v.shape, INT8) for v in signed]
    ((shape, dtype),) = op.infer(types)
    (got,) = op.evaluate(Signature(tuple(types), (TensorType(shape, dtype),)), signed)
    assert dtype == INT32
    np.testing.assert_array_equal(got.transpose(0, 3, 1, 2) if kind == "ConvInteger" else got, want)
