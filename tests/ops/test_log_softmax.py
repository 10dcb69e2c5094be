"""LOG_SOFTMAX against LiteRT."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.elementwise import compare, compare_floats
from tests.ops.floats import normal
from tests.ops.oracle import full_range, scales, seeds, thorough, zero_points
from tests.support.kernel_checks import int8
from tinycompile.ir import Signature
from tinycompile.ops.log_softmax import LogSoftmax


@thorough
@given(scales, zero_points, st.integers(1, 300), seeds)
def test_rows(scale, zero_point, depth, seed):
    x = full_range(np.random.default_rng(seed), (12, depth))
    spread = np.random.default_rng(seed).integers(0, 8, (12, 1))
    compare("LOG_SOFTMAX", [(x >> spread).astype(np.int8)], [(scale, zero_point), (1 / 16, 127)])


def test_long_rows():
    for depth in (1000, 4095):
        compare("LOG_SOFTMAX", [np.zeros((1, depth), np.int8)], [(0.1, 0), (1 / 16, 127)])


def test_floats():
    compare_floats("LOG_SOFTMAX", normal(3, 50), 1e-5)


def test_refuses_what_litert_refuses():
    x = int8((2, 3))
    assert "1/16" in str(LogSoftmax().unsupported(Signature((x,), (int8((2, 3), 1 / 8, 127),))))
    assert "4095" in str(LogSoftmax().unsupported(Signature((int8((1, 4096)),), (int8((1, 4096), 1 / 16, 127),))))
