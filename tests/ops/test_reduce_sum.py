"""SUM against LiteRT; floats against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests.ops.floats import check_float_reduction
from tests.ops.oracle import check_model, full_range, only_site, quick, scales, seeds, thorough, zero_points
from tests.ops.reductions import DEFAULT, check_reduction, reduction_model
from tests.support.litert import Oracle
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import TensorType
from tinycompile.ops._elementwise import requantized
from tinycompile.ops.reduce_sum import ReduceSum


@thorough
@given(scales, zero_points, scales, zero_points, seeds)
def test_int8(x_scale, x_zero, y_scale, y_zero, seed):
    check_reduction("SUM", seed, ((x_scale, x_zero), (y_scale, y_zero)), resolver=DEFAULT)


@thorough
@given(scales, zero_points, scales, zero_points, seeds)
def test_the_rule_as_steps(x_scale, x_zero, y_scale, y_zero, seed):
    """Of all sums of ten values: what kernels compute is what LiteRT does in float32."""
    site = only_site(check_reduction("SUM", seed, ((x_scale, x_zero), (y_scale, y_zero)), resolver=DEFAULT))
    op, sig = site.node.op, site.sig
    count = op.count(sig)
    totals = np.arange(-128 * count, 127 * count + 1, max(1, count // 8))
    steps = requantized(op.requant(sig), totals, x_zero * count)
    np.testing.assert_array_equal(steps, op._tflite(sig, totals))


@pytest.mark.parametrize("ratio", [1.0, 2.0, 3.0, 10.0])
@pytest.mark.parametrize("keep_dims", [False, True])
def test_ties(ratio, keep_dims):
    """Halves, away from zero."""
    rng, quants = np.random.default_rng(0), ((0.25, 5), (0.25 * ratio, -7))
    check_model(
        reduction_model("SUM", (4, 9, 5, 8), (1, 2), keep_dims, quants), [full_range(rng, (4, 9, 5, 8))], DEFAULT
    )


def test_the_reference_is_wrong():
    """What docs/numerics.md says, and why the default kernel is followed."""
    rng, sums = np.random.default_rng(0), (40, -128, 127, 1)
    x = np.stack([rng.permutation(np.full(4, total // 4)) for total in sums]).astype(np.int8)
    model = reduction_model("SUM", (4, 4), (1,), False, ((0.5, 0), (0.25, 0)))
    assert Oracle(model, DEFAULT).run([x])[1].tolist() == [80, -128, 127, 0]
    assert Oracle(model).run([x])[1].tolist() != [80, -128, 127, 0]


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@quick
@given(seeds)
def test_other_integers(dtype, seed):
    check_reduction("SUM", seed, dtype=dtype)


def test_floats():
    check_float_reduction(ReduceSum)


def test_axes():
    with pytest.raises(ValueError, match="axes"):
        ReduceSum((2,), keep_dims=True).infer([TensorType((3, 4), FLOAT32)])
