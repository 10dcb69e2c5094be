"""Kernels of transposed convolutions against their definition."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.floats import check_float, normal
from tests.support.full import also
from tests.support.kernel_checks import M7, check, check_all, check_if_taken, int8, site_of
from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import Quantization, TensorType
from tinycompile.kernels.lane_transpose_conv import transpose_conv_lane
from tinycompile.kernels.transpose_conv import float_transpose_conv, transpose_conv
from tinycompile.numerics.step_requant import exact_requant, real_product
from tinycompile.ops.transpose_conv import TransposeConv

quick = settings(max_examples=10, deadline=None, derandomize=True)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
kernels = st.tuples(st.integers(1, 4), st.integers(1, 4))
images = st.tuples(st.integers(1, 5), st.integers(1, 9))
clamps = st.sampled_from([(-128, 127), (-60, 70), (0, 127)])


def layer(op, image, kernel, depth, outputs, groups, seed, *, bias=True):
    """One with random weights; the sums fill the range of the output."""
    rng = np.random.default_rng(seed)
    shape = (outputs * groups, *kernel, depth)
    values = np.clip(np.round(rng.normal(0, 40, shape)), -127, 127).astype(np.int8)
    scales = rng.uniform(0.002, 0.006, shape[0]).astype(np.float32)
    types = [TensorType(shape, INT8, Quantization(scales, np.zeros(shape[0], np.int64), 0))]
    constants = [values]
    if bias:
        types.append(TensorType((shape[0],), INT32))
        constants.append(rng.integers(-3000, 3000, shape[0]).astype(np.int32))
    terms = max(1, kernel[0] * kernel[1] * depth // (op.stride[0] * op.stride[1]))
    zero_point = -128 if op.clamp == (-128, 127) and seed % 2 else 5
    y = int8((), 0.05 * 0.004 * 38 * 73 * terms**0.5 * 3 / 127, zero_point)
    x = int8((1, *image, depth * groups), 0.05, int(rng.integers(-128, 128)))
    return site_of(op, [x, *types], [None, *constants], y)


@quick
@given(
    kernels, pairs, pairs, images, st.tuples(st.integers(0, 4), st.integers(0, 4)), clamps,
    st.integers(1, 5), st.integers(1, 6), st.integers(1, 2), st.integers(0, 99),
)  # fmt: skip
def test_portable(kernel, stride, dilation, image, cut, clamp, depth, outputs, groups, seed):
    op = TransposeConv((image[0] * stride[0] + seed % 3, image[1] * stride[1]), stride, dilation, cut, clamp)
    check(transpose_conv, layer(op, image, kernel, depth, outputs, groups, seed, bias=bool(seed % 4)))


def test_portable_with_a_rule_given_by_its_steps():
    rng = np.random.default_rng(5)
    factors = real_product(0.05, rng.uniform(0.001, 0.01, 3).astype(np.float32).astype(np.float64))
    rule = exact_requant(factors, [Fraction(0)] * 3, Fraction(1, 4), -5, -128, 127)
    check(transpose_conv, layer(TransposeConv((6, 8), (2, 2), rule=rule), (3, 4), (3, 3), 4, 3, 1, 0))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_floats(groups, bias):
    op = TransposeConv((7, 9), (2, 3), (1, 2), (1, 0))
    operands = [normal(2, 3, 4, 2 * groups), normal(3 * groups, 3, 2, 2, seed=1)]
    operands += [normal(3 * groups, seed=2)] if bias else []
    check_float(float_transpose_conv, op, operands, list(range(1, len(operands))))


@quick
@given(
    kernels, pairs, pairs, images, st.tuples(st.integers(0, 4), st.integers(0, 4)), clamps,
    st.integers(1, 9), st.integers(1, 7), st.integers(0, 99),
)  # fmt: skip
def test_lanes(kernel, stride, dilation, image, cut, clamp, depth, outputs, seed):
    op = TransposeConv((image[0] * stride[0] + seed % 3, image[1] * stride[1]), stride, dilation, cut, clamp)
    check_if_taken(transpose_conv_lane, layer(op, image, kernel, depth, outputs, 1, seed, bias=bool(seed % 4)))


@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (4, 4), (1, 1)])
def test_lanes_of_usual_layers(kernel):
    """Twice as large: phases that share their windows, phases that don't, phases that read nothing."""
    cut = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2)
    sizes = [(1, 3), (2, 8), (3, 1), (5, 3), (8, 8), *also(*product((1, 5, 8), (1, 2)))]
    sites = [
        layer(TransposeConv((6, 2 * columns), (2, 2), cut=cut), (3, columns), kernel, 8, outputs, 1, 0)
        for columns, outputs in sizes
    ]
    for (columns, _), site, found in zip(sizes, sites, check_all(transpose_conv_lane, sites), strict=True):
        assert columns < 4 or found.instructions < transpose_conv(site, M7).instructions
