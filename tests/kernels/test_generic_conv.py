"""The portable convolutions and fully connected layers against their definitions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cores import core_named
from tests.support.kernel_checks import check, int8, site_of
from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import Quantization, TensorType
from tinycompile.kernels.generic_conv import conv2d, depthwise, fully_connected
from tinycompile.numerics.rounded_product import RoundedProductRequant
from tinycompile.numerics.step_requant import exact_requant, real_product
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected

quick = settings(max_examples=8, deadline=None, derandomize=True)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.tuples(*[st.integers(0, 2)] * 4)
clamps = st.sampled_from([(-128, 127), (-20, 90)])


def weights_of(shape, axis, rng):
    scales = rng.uniform(0.001, 0.01, shape[axis]).astype(np.float32)
    quant = Quantization(scales, np.zeros(shape[axis], np.int64), axis)
    values = rng.integers(-128, 128, shape).astype(np.int8)
    bias = rng.integers(-3000, 3000, shape[axis]).astype(np.int32)
    return [TensorType(shape, INT8, quant), TensorType(bias.shape, INT32)], [values, bias]


@quick
@given(pairs, pairs, pairs, paddings, clamps, st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_conv2d(kernel, stride, dilation, padding, clamp, groups, depth, seed):
    rng = np.random.default_rng(seed)
    types, constants = weights_of((groups * 2, *kernel, depth), 0, rng)
    x = int8((1, 7, 8, groups * depth), 0.05, int(rng.integers(-128, 128)))
    op = Conv2D(stride, dilation, padding, clamp)
    check(conv2d, site_of(op, [x, *types], [None, *constants], int8((), 0.3, int(rng.integers(-50, 50)))))


@quick
@given(pairs, pairs, pairs, paddings, clamps, st.integers(1, 3), st.integers(1, 5), st.integers(0, 99))
def test_depthwise(kernel, stride, dilation, padding, clamp, multiplier, channels, seed):
    rng = np.random.default_rng(seed)
    types, constants = weights_of((1, *kernel, channels * multiplier), 3, rng)
    x = int8((1, 7, 8, channels), 0.05, int(rng.integers(-128, 128)))
    op = DepthwiseConv2D(stride, dilation, padding, clamp)
    check(depthwise, site_of(op, [x, *types], [None, *constants], int8((), 0.2, int(rng.integers(-50, 50)))))


@quick
@given(st.integers(1, 4), st.integers(1, 20), st.integers(1, 20), clamps, st.integers(0, 99))
def test_fully_connected(rows, inputs, outputs, clamp, seed):
    rng = np.random.default_rng(seed)
    types, constants = weights_of((outputs, inputs), 0, rng)
    x = int8((rows, inputs), 0.05, int(rng.integers(-128, 128)))
    site = site_of(FullyConnected(clamp), [x, *types], [None, *constants], int8((), 0.3, -5))
    check(fully_connected, site)


def tied_site(y_scale, seed=3):
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (30, 16)).astype(np.int8)
    types = [TensorType(weights.shape, INT8, Quantization.per_tensor(0.125, 0))]
    return site_of(FullyConnected(), [int8((20, 16), 0.5, 3), *types], [None, weights], int8((), y_scale, 1))


def test_fully_connected_ties():
    """A factor of 1/64: every 64th accumulator is a tie."""
    kernel = check(fully_connected, tied_site(4.0))
    assert kernel.notes["requantisation"] == "exact"


def test_fully_connected_in_double(monkeypatch):
    never = lambda self, low, high: np.zeros(self.channels, bool)  # noqa: E731
    monkeypatch.setattr(RoundedProductRequant, "is_fixed_point", never)
    for y_scale in (4.0, 3.3, 0.01):
        kernel = check(fully_connected, tied_site(y_scale, seed=4))  # a layer that nobody has asked about before
        assert kernel.notes["requantisation"] == "float64"


def test_accumulators_wrap_and_factors_above_one():
    rng = np.random.default_rng(0)
    types, constants = weights_of((3, 1, 1, 4), 0, rng)
    constants[1] = np.array([2**31 - 1, -(2**31), 2**31 - 200], np.int32)
    site = site_of(Conv2D(), [int8((1, 3, 3, 4), 50, 100), *types], [None, *constants], int8((), 0.01, 7))
    check(conv2d, site)


def test_no_bias():
    rng = np.random.default_rng(1)
    types, constants = weights_of((3, 2, 2, 4), 0, rng)
    check(conv2d, site_of(Conv2D(), [int8((1, 4, 4, 4), 0.05, 9), types[0]], [None, constants[0]], int8((), 0.3, 7)))


def test_weights_computed_at_run_time_are_refused():
    rng = np.random.default_rng(1)
    types, _ = weights_of((3, 2, 2, 4), 0, rng)
    site = site_of(Conv2D(), [int8((1, 4, 4, 4)), types[0]], [None, None], int8(()))
    assert conv2d(site, core_named("cortex-m3")) is None


def step_rule(site_scale, channels, y_scale, rng, ties=False):
    scales = np.full(channels, 2.0**-7) if ties else rng.uniform(0.001, 0.01, channels)
    product = real_product(site_scale, scales.astype(np.float32).astype(np.float64))
    offset = [Fraction(0) if ties else Fraction(int(n), 100_000) for n in rng.integers(-9, 9, channels)]
    return exact_requant(product, offset, Fraction(y_scale), -5, -128, 127)


@pytest.mark.parametrize("form", ["line", "ties", "search"])
def test_onnx_requantisation(form, monkeypatch):
    """Conv2D, DepthwiseConv2D and FullyConnected with a rule given by its steps."""
    if form == "search":
        monkeypatch.setattr("tinycompile.kernels.generic_finish.step_line", lambda *_: None)
    rng = np.random.default_rng(5)
    rule = step_rule(0.5, 6, 0.25, rng, form == "ties")
    clamped = rule.clamped(-20, 90)
    types, constants = weights_of((6, 3, 3, 2), 0, rng)
    x = int8((1, 7, 8, 4), 0.5, 3)
    op = Conv2D((1, 2), (1, 1), (1, 1, 1, 1), (-20, 90), clamped)
    kernel = check(conv2d, site_of(op, [x, *types], [None, *constants], int8((), 0.25, -5)))
    assert kernel.notes["requantisation"] == ("search" if form == "search" else "exact")
    assert ("even" in kernel.function.body) == (form == "ties")
    types, constants = weights_of((1, 3, 3, 6), 3, rng)
    op = DepthwiseConv2D((1, 1), (1, 1), (1, 1, 1, 1), rule=rule)
    check(depthwise, site_of(op, [int8((1, 7, 8, 6), 0.5, 3), *types], [None, *constants], int8((), 0.25, -5)))
    types, constants = weights_of((6, 20), 0, rng)
    op = FullyConnected(rule=rule)
    check(fully_connected, site_of(op, [int8((2, 20), 0.5, 3), *types], [None, *constants], int8((), 0.25, -5)))
