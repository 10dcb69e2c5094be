"""L2_NORMALIZATION against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.floats import check_float
from tests.ops.oracle import check, full_range, only_site, scales, seeds, thorough, zero_points
from tests.support.kernel_checks import int8
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.ir import Signature
from tinycompile.kernels.searches import l2_normalization_float
from tinycompile.ops.l2_normalization import L2Normalization

UNIT = (1 / 128, 0)


@thorough
@given(scales, zero_points, st.integers(1, 60), seeds)
def test_random(scale, zero_point, depth, seed):
    """Long vectors and short ones, of which some are zero."""
    rng, b = np.random.default_rng(seed), TfliteBuilder()
    near = np.clip(zero_point + rng.integers(-3, 4, (20, depth)) * (rng.random((20, 1)) < 0.8), -128, 127)
    x = np.concatenate([near.astype(np.int8), full_range(rng, (20, depth))])
    tensor, y = b.tensor(x.shape, scale, zero_point), b.tensor(x.shape, *UNIT)
    b.op("L2_NORMALIZATION", [tensor], [y])
    assert only_site(check(b, [y], {tensor: x})).node.op == L2Normalization()


def test_floats():
    x = np.random.default_rng(0).normal(0, 2, (5, 7)).astype(np.float32)
    x[0], x[1] = 0, 1e-8
    check_float(l2_normalization_float, L2Normalization(), [x])


@pytest.mark.parametrize(
    ("shape", "quant", "reason"),
    [((2, 5), (1 / 127, 0), "1/128"), ((2, 5), (1 / 128, 1), "1/128"), ((1, 9000), UNIT, "supported are 8256")],
)
def test_refused(shape, quant, reason):
    sig = Signature((int8(shape, 0.1, 3),), (int8(shape, *quant),))
    assert reason in str(L2Normalization().unsupported(sig))
