"""Integers of 2 and 4 bits as tensors. `test_onnx_nodes.py` has onnx's own cases."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.support.onnx_agreement import Agreement
from tests.support.onnx_builder import OnnxBuilder, imported, kinds
from tinycompile.dtypes import DType
from tinycompile.errors import UnsupportedError


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "INT2", "UINT2"])
@pytest.mark.parametrize("raw", [False, True])
def test_activations_of_few_bits(kind, raw):
    """A layer's bounds, a function's table; weights that are packed in the file, or a number in each int32."""
    dtype, rng, b = DType.of(kind.lower()), np.random.default_rng(0), OnnxBuilder(25)
    low, high = dtype.range

    def stored(values: np.ndarray) -> str:
        name = b.name("packed")
        data = dtype.pack(values.astype(dtype.carrier)).tobytes() if raw else values.ravel().tolist()
        b.initializers.append(helper.make_tensor(name, getattr(TensorProto, kind), values.shape, data, raw=raw))
        return name

    def rounded(x: str, scale: float) -> str:
        parameters = b.constant(scale, np.float32), stored(np.array((low + high) // 2))
        return b.node("DequantizeLinear", b.node("QuantizeLinear", x, *parameters), *parameters)

    x = b.input((5, 8))
    w = b.node("DequantizeLinear", stored(rng.integers(low, high + 1, (8, 3))), b.constant(0.1, np.float32))
    y = rounded(b.node("MatMul", rounded(x, 0.5), w), 0.3)
    b.output(rounded(b.node("Sigmoid", y), 0.25))
    model = b.model()
    model.ir_version = 13
    graph, _ = imported(model)
    feed = rng.normal(0, 2, (5, 8)).astype(np.float32)
    assert not Agreement(model, graph).difference({x: feed})
    assert kinds(graph.without_dead()) == ["quantize", "lookup", "fully_connected", "lookup", "dequantize"]


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float4_e2m1fn", "int32"])
def test_other_types_are_named(dtype):
    b = OnnxBuilder(23)
    x = b.input((3,), dtype)
    b.output(b.node("DequantizeLinear", x, b.constant(0.5, np.float32)))
    model = b.model()
    model.ir_version = 11
    with pytest.raises(UnsupportedError, match=f"its operand is {dtype}, supported are integers of 2, 4, 8 and 16"):
        imported(model, floats="all")
