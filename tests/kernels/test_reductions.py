"""Reductions over axes against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cores import core_named
from tests.support.host_kernel import compile_for_arm
from tests.support.kernel_checks import check, check_all, int8, site_of
from tinycompile.dtypes import BOOL, INT16, INT32, INT64, UINT8
from tinycompile.ir import Site, TensorType
from tinycompile.kernels.pooling import mean
from tinycompile.kernels.reductions import extreme, product, reduction
from tinycompile.ops.mean import Mean
from tinycompile.ops.reduce_all import ReduceAll
from tinycompile.ops.reduce_any import ReduceAny
from tinycompile.ops.reduce_max import ReduceMax
from tinycompile.ops.reduce_min import ReduceMin
from tinycompile.ops.reduce_prod import ReduceProd
from tinycompile.ops.reduce_sum import ReduceSum

some = settings(max_examples=6, deadline=None, derandomize=True)
M3 = core_named("cortex-m3")


@st.composite
def reductions(draw, most: int = 6):
    """(shape, axes, keep_dims) with long rows now and then."""
    rank = draw(st.integers(1, most))
    shape = [draw(st.integers(1, 4)) for _ in range(rank)]
    shape[draw(st.integers(0, rank - 1))] = draw(st.integers(1, 21))
    axes = draw(st.sets(st.integers(0, rank - 1), min_size=1))
    return tuple(shape), tuple(sorted(axes)), draw(st.booleans())


@pytest.mark.parametrize("op", [ReduceMax, ReduceMin])
@some
@given(reductions())
def test_extremes(op, reduced):
    shape, *attributes = reduced
    check(extreme, site_of(op(*attributes), [int8(shape, 0.1, 3)], [None], int8((), 0.1, 3)))


@pytest.mark.parametrize("op", [ReduceMax, ReduceMin])
@pytest.mark.parametrize("core", [M3, None])
def test_global_extremes(op, core):
    """Eight columns at a time, then four, then single ones."""
    kernel = check(extreme, site_of(op((1, 2), False), [int8((1, 5, 6, 31))], [None], int8(())), *filter(None, [core]))
    assert kernel.overlap == {0: 0}


def test_extremes_of_any_width_compile_without_warnings() -> None:
    """GCC 12 saw undefined behaviour in a loop for single columns that never runs: behind some eights and a four."""
    for width in (28, 60):
        kernel = extreme(site_of(ReduceMax((1,), False), [int8((1, 5, width))], [None], int8(())), M3)
        assert kernel is not None
        compile_for_arm(kernel, "cortex-m3", "-O2")


@pytest.mark.parametrize("op", [ReduceAll, ReduceAny])
@some
@given(reductions())
def test_bools(op, reduced):
    shape, *attributes = reduced
    check(extreme, site_of(op(*attributes), [TensorType(shape, BOOL)], [None], TensorType((), BOOL)))


@some
@given(reductions())
def test_other_integers(reduced):
    (shape, *attributes), sites = reduced, list[Site]()
    for op in (Mean, ReduceMax, ReduceMin, ReduceSum, ReduceProd):
        for dtype in (UINT8, INT16, INT32, INT64):
            scaled = dtype == INT16 and op in (Mean, ReduceSum, ReduceProd)  # tests/ops/test_wide*.py
            if dtype in op(*attributes).meanings() and not scaled:
                sites.append(site_of(op(*attributes), [TensorType(shape, dtype)], [None], TensorType((), dtype)))
    check_all(reduction, sites)


@some
@given(reductions(), st.integers(-128, 127), st.integers(-128, 127))
def test_sums(reduced, x_zero, y_zero):
    shape, *attributes = reduced
    y = int8((), float(np.float32(0.1 * np.prod(shape) ** 0.5)), y_zero)
    check(mean, site_of(ReduceSum(*attributes), [int8(shape, 0.1, x_zero)], [None], y))


@some
@given(reductions())
def test_means(reduced):
    shape, *attributes = reduced
    check(mean, site_of(Mean(*attributes), [int8(shape, 0.1, 12)], [None], int8((), 0.07, -31)))


@some
@given(reductions(), st.integers(-128, 127), st.floats(2**-8, 0.5, width=32))
def test_products(reduced, zero_point, scale):
    shape, *attributes = reduced
    check(product, site_of(ReduceProd(*attributes), [int8(shape, scale, zero_point)], [None], int8((), 0.1, -5)))


def test_seven_axes():
    """More alternations than the kernels have loops for."""
    shape, axes = (2,) * 8, (0, 2, 4, 6)
    for factory, op in ((extreme, ReduceMax), (product, ReduceProd), (mean, ReduceSum)):
        assert factory(site_of(op(axes, False), [int8(shape)], [None], int8(())), M3) is None
