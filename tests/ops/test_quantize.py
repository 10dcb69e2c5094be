"""QUANTIZE against LiteRT: from float32, and between 8-bit types."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.oracle import check, full_range, only_site, quick, scales, seeds, thorough, zero_points
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.dtypes import FLOAT32, INT8, INT32, INT64
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.ops.quantize import Quantize

dtypes = st.sampled_from(["int8", "uint8"])


def check_quantize(values, dtype, scale, zero_point, x_quant=None):
    b = TfliteBuilder()
    x = b.tensor(values.shape, *(x_quant or ()), dtype=values.dtype.name)
    y = b.tensor(values.shape, scale, zero_point, dtype=dtype)
    b.op("QUANTIZE", [x], [y])
    return check(b, [y], {x: values})


@thorough
@given(dtypes, scales, zero_points, seeds)
def test_float(dtype, scale, zero_point, seed):
    rng = np.random.default_rng(seed)
    zero_point += 128 if dtype == "uint8" else 0
    ties = (np.arange(-300, 300) + 0.5) * np.float32(scale)
    values = np.concatenate([rng.normal(0, 100 * scale, 500), ties, [0.0, -0.0, 1e6 * scale, -1e6 * scale]])
    check_quantize(values.astype(np.float32), dtype, scale, zero_point)


@thorough
@given(dtypes, dtypes, scales, zero_points, scales, zero_points, seeds)
def test_between_8_bit_types(source, target, x_scale, x_zero, y_scale, y_zero, seed):
    x_zero, y_zero = x_zero + 128 * (source == "uint8"), y_zero + 128 * (target == "uint8")
    values = full_range(np.random.default_rng(seed), (500,), source)
    graph = check_quantize(values, target, y_scale, y_zero, (x_scale, x_zero))
    site = only_site(graph)
    table = site.node.op.table(site.sig)
    (expected,) = site.node.op.evaluate(site.sig, [values])
    assert np.array_equal(table[values.view(np.uint8)], expected)


@quick
@given(st.sampled_from(["int8", "int16"]), scales, zero_points, scales, seeds)
def test_between_8_and_16_bits(source, scale, zero_point, wide_scale, seed):
    wide, narrow = (wide_scale / 256, 0), (scale, zero_point)
    values = full_range(np.random.default_rng(seed), (500,), source)
    if source == "int8":
        check_quantize(values, "int16", *wide, narrow)
    else:
        check_quantize(values, "int8", *narrow, wide)


@quick
@given(dtypes)
def test_signedness_only(source):
    target = {"int8": "uint8", "uint8": "int8"}[source]
    zero = {"int8": -128, "uint8": 0}
    values = full_range(np.random.default_rng(0), (500,), source)
    check_quantize(values, target, 0.25, zero[target], (0.25, zero[source]))


@pytest.mark.parametrize(
    ("ties", "zero", "expected"),
    [("away", 3, [-128] * 4), ("away", -3, [127] * 4), ("even", 3, [-128, 127, -128, 127])],
)
def test_beyond_int32(ties, zero, expected):
    """LiteRT has INT32_MIN for all of these, and adds the zero point modulo 2^32; ONNX saturates."""
    x, y = TensorType((4,), FLOAT32), TensorType((4,), INT8, Quantization.per_tensor(0.5, zero))
    values = np.array([np.nan, np.inf, -np.inf, 1e38], np.float32)
    (result,) = Quantize(INT8, ties).evaluate(Signature((x,), (y,)), [values])
    assert result.tolist() == expected


@pytest.mark.parametrize("dtype", [INT64, INT32], ids=str)
def test_other_types_are_refused(dtype):
    x = TensorType((4,), FLOAT32)
    y = TensorType((4,), dtype, Quantization.per_tensor(0.5, 0))
    assert dtype.name in (Quantize(dtype).unsupported(Signature((x,), (y,))) or "")
