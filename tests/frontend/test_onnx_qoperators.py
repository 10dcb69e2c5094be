"""Quantised operators against onnxruntime: a few random models of each."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from tests.reliability.qoperators import difference
from tests.support.onnx_builder import OnnxBuilder, imported
from tests.support.random_qoperators import KINDS, RandomQOperators
from tinycompile.errors import FloatIslandWarning, UnsupportedError
from tinycompile.frontend.onnx import is_quantized


@pytest.mark.parametrize("kind", KINDS)
def test_random_models(kind: str) -> None:
    assert not [found for seed in range(6) if (found := difference(kind, seed))]


@pytest.mark.parametrize("kind", ["QLinearAdd", "QGemm", "QAttention", "DynamicQuantizeMatMul", "MatMulInteger"])
def test_such_files_need_no_samples(kind: str) -> None:
    assert is_quantized(RandomQOperators(kind, 0).build())


def test_dynamic_layers_say_what_is_faster() -> None:
    b = OnnxBuilder()
    operands = [b.constant(np.ones((8, 3)), np.int8), b.constant(0.1, np.float32)]
    b.output(b.node("Relu", b.node("DynamicQuantizeMatMul", b.input((1, 8)), *operands, domain="com.microsoft")))
    with pytest.warns(FloatIslandWarning) as caught:
        imported(b.model(), floats="islands")
    reasons = [str(each.message) for each in caught]
    assert "quantised statically" in reasons[0] and "is faster" in reasons[0]
    assert "Relu" in reasons[-1] and "no QuantizeLinear says how to round what it computes" in reasons[-1]


@pytest.mark.parametrize("scale", [np.inf, 0.0, -1.0, np.nan])
def test_inputs_whose_scale_is_none(scale: float) -> None:
    """The node that reads it says so; the input itself has scale 1 then."""
    b = OnnxBuilder()
    operands = [b.input((1, 2, 3, 3), "uint8"), *b.parameters(scale, 3, "uint8"), *b.parameters(0.1, 3, "uint8")]
    b.output(b.node("QLinearGlobalAveragePool", *operands, domain="com.microsoft"), "uint8")
    with pytest.raises(UnsupportedError, match="the scale is"):
        imported(b.model())
