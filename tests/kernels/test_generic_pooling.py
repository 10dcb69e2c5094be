"""Pooling, means and their divisions against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kernel_checks import check, int8, site_of
from tinycompile.kernels.integer_forms import scaled_form
from tinycompile.kernels.pooling import average_pool, max_pool, mean
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.mean import Mean

quick = settings(max_examples=10, deadline=None, derandomize=True)


@st.composite
def pools(draw):
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, kernel[axis] - 1)) for axis in (0, 0, 1, 1))
    clamp = draw(st.sampled_from([(-128, 127), (-20, 90)]))
    return kernel, stride, padding, clamp, (1, 6, 7, draw(st.integers(1, 9)))


@quick
@given(pools())
def test_average_pool(pool):
    *attributes, shape = pool
    check(average_pool, site_of(AveragePool2D(*attributes), [int8(shape)], [None], int8(())))


@quick
@given(pools())
def test_max_pool(pool):
    *attributes, shape = pool
    check(max_pool, site_of(MaxPool2D(*attributes), [int8(shape)], [None], int8(())))


@pytest.mark.parametrize("shape", [(1, 8, 8, 12), (1, 25, 5, 7), (1, 1, 300, 4), (1, 40, 40, 5)])
def test_global_average_pool(shape):
    kernel = check(average_pool, site_of(AveragePool2D(shape[1:3], (1, 1)), [int8(shape)], [None], int8(())))
    assert kernel.overlap == {0: 0}


@pytest.mark.parametrize("axes", [(1, 2), (1,), (2,), (3,), (1, 3), (0, 1, 2, 3), (2, 3), ()])
@pytest.mark.parametrize("shape", [(1, 6, 5, 9)])
def test_mean(axes, shape):
    check(mean, site_of(Mean(axes, True), [int8(shape, 0.1, 12)], [None], int8((), 0.07, -31)))


def test_mean_of_many():
    check(mean, site_of(Mean((1, 2), False), [int8((1, 30, 31, 6), 0.1, -100)], [None], int8((), 0.2, 3)))
    check(mean, site_of(Mean((0, 2, 4), False), [int8((3, 2, 5, 4, 7), 0.1, -100)], [None], int8((), 0.05, 3)))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 9, 25, 49, 64, 125, 256])
def test_divisions_are_linear(count):
    """Halves away from zero, on both sides of it, by one multiplication: for every possible sum."""

    def divide(total):
        return np.sign(total) * ((np.abs(total) + count // 2) // count)

    total = np.arange(-128 * count, 127 * count + 1)
    form = scaled_form(divide, int(total[0]), int(total[-1]))
    assert form is not None
    product = total * form.multiplier
    assert np.abs(product).max() < 2**31 and np.abs(product + form.start).max() <= 2**31
    np.testing.assert_array_equal(np.clip((product + form.start) >> form.shift, -128, 127), divide(total))


def test_a_division_without_linear_form():
    assert scaled_form(lambda x: x // 1000 + (x > 1001), 0, 3000) is None
