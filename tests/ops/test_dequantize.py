"""DEQUANTIZE against LiteRT."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.oracle import check, full_range, scales, thorough, zero_points
from tests.support.tflite_builder import TfliteBuilder


@thorough
@given(st.sampled_from(["int8", "uint8"]), scales, zero_points)
def test_every_value(dtype, scale, zero_point):
    b = TfliteBuilder()
    x = b.tensor((1, 500), scale, zero_point + 128 * (dtype == "uint8"), dtype=dtype)
    y = b.tensor((1, 500), dtype="float32")
    b.op("DEQUANTIZE", [x], [y])
    check(b, [y], {x: full_range(np.random.default_rng(0), (1, 500), dtype)})
