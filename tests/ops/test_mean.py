"""MEAN against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.floats import check_float_reduction
from tests.ops.oracle import check, full_range, only_site, scales, seeds, thorough, zero_points
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.ops.mean import Mean


def check_mean(shape, axes, keep_dims, x_quant, y_quant, seed=0):
    rng, b = np.random.default_rng(seed), TfliteBuilder()
    x = b.tensor(shape, *x_quant)
    reduced = tuple({axis % len(shape) for axis in axes})
    y = b.tensor(np.zeros(shape).mean(axis=reduced, keepdims=keep_dims).shape, *y_quant)
    b.op("MEAN", [x, b.constant(np.array(axes, np.int32))], [y], KeepDims=keep_dims)
    return check(b, [y], {x: full_range(rng, shape)})


quantizations = st.tuples(scales, zero_points)
axes = st.lists(st.integers(-4, 3), min_size=1, max_size=4)


@thorough
@given(axes, st.booleans(), quantizations, quantizations, seeds)
def test_random(axes, keep_dims, x_quant, y_quant, seed):
    check_mean((1, 7, 5, 6), axes, keep_dims, x_quant, y_quant, seed)


@pytest.mark.parametrize("axes", [(1, 2), (2, 1), (1,), (-1,), (1, 1, 2), (0, 1, 2, 3)])
@pytest.mark.parametrize("keep_dims", [False, True])
@pytest.mark.parametrize("y_quant", [(0.5, 3), (0.5, -4), (0.05, 100), (5.0, 0), (0.50001, 3)])
def test_axes(axes, keep_dims, y_quant):
    check_mean((1, 7, 5, 8), axes, keep_dims, (0.5, 3), y_quant)


@pytest.mark.parametrize("shape", [(9,), (6, 9), (2, 3, 4), (1, 3, 4, 5, 2)])
def test_ranks(shape):
    check_mean(shape, (-1,), False, (0.3, 5), (0.2, -7))


def test_more_elements_than_fit_into_a_power_of_two():
    site = only_site(check_mean((1, 40, 40, 2), (1, 2), True, (0.3, 5), (0.2, -7)))
    assert site.node.op.count(site.sig) == 1600
    assert site.node.op.requant(site.sig).channels == 1


def test_floats():
    check_float_reduction(Mean)
