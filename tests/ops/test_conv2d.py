"""CONV_2D against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.convolutions import check_convolution, output_shape, paddings, sizes
from tests.ops.floats import check_float, normal
from tests.ops.oracle import activations, only_site, pairs, seeds, thorough, zero_points
from tests.support.tflite_builder import SAME, VALID
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import TensorType
from tinycompile.kernels import float_fused
from tinycompile.kernels.float_layers import conv2d
from tinycompile.ops.conv2d import Conv2D


@thorough
@given(
    sizes, pairs, pairs, pairs, paddings, activations, zero_points, zero_points, st.booleans(), seeds,
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 3)),
)  # fmt: skip
def test_random(size, kernel, stride, dilation, padding, activation, zx, zy, per_channel, seed, channels):
    depth, outputs, groups = channels
    y_shape = output_shape(size, kernel, stride, dilation, padding, outputs * groups)
    check_convolution(
        "CONV_2D", (1, *size, depth * groups), (outputs * groups, *kernel, depth), y_shape, seed,
        per_channel=per_channel, zero_points=(zx, zy), Padding=padding, FusedActivationFunction=activation,
        StrideH=stride[0], StrideW=stride[1], DilationHFactor=dilation[0], DilationWFactor=dilation[1],
    )  # fmt: skip


@pytest.mark.parametrize("y_scale", [1e-3, 0.01, 0.3, 100.0, 1e5])
def test_factors_above_one_and_far_below(y_scale):
    graph = check_convolution(
        "CONV_2D", (1, 5, 6, 3), (8, 1, 1, 3), (1, 5, 6, 8), 1,
        scales=(0.9, y_scale), zero_points=(-128, 127), bias=60, Padding=VALID, StrideH=1, StrideW=1,
    )  # fmt: skip
    site = only_site(graph)
    assert (site.node.op.requant(site.sig).shift > 0).any() == (y_scale < 0.04)


@pytest.mark.parametrize("power", range(-3, 12))
def test_ties(power):
    """Power-of-two scales: many accumulators are exact ties."""
    graph = check_convolution(
        "CONV_2D", (1, 9, 9, 1), (1, 1, 1, 1), (1, 9, 9, 1), 3, per_channel=False,
        scales=(1.0, 0.03125 * 2.0**power), Padding=SAME, StrideH=1, StrideW=1,
    )  # fmt: skip
    assert graph.macs() == 81


def test_many_taps_need_float64():
    check_convolution(
        "CONV_2D", (1, 3, 3, 64), (3, 3, 3, 64), (1, 3, 3, 3), 0, Padding=SAME, StrideH=1, StrideW=1,
        zero_points=(-128, 3),
    )  # fmt: skip


@pytest.mark.parametrize(("groups", "outputs"), [(1, 5), (2, 4), (4, 4), (4, 8)])
@pytest.mark.parametrize("op", [Conv2D(), Conv2D((2, 1), (1, 2), (1, 0, 2, 1))])
def test_floats(groups, outputs, op):
    weights = normal(outputs, 3, 2, 4 // groups, seed=1)
    check_float(conv2d, op, [normal(2, 7, 6, 4), weights, normal(outputs, seed=2)], constants=(1, 2))
    check_float(conv2d, op, [normal(1, 7, 6, 4), weights], constants=(1,))


@pytest.mark.parametrize("outputs", [1, 4, 5, 8, 13])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("op", [Conv2D(bounds=(0, 6)), Conv2D((2, 1), (1, 2), (1, 0, 2, 5), bounds=(0, np.inf))])
def test_fused_floats(outputs, depth, op):
    """Windows at the image's edges and outside of it; blocks of eight and of four outputs."""
    weights = normal(outputs, 3, 2, depth, seed=1)
    check_float(float_fused.conv2d, op, [normal(2, 7, 6, depth), weights, normal(outputs, seed=2)], constants=(1, 2))
    check_float(float_fused.conv2d, op, [normal(1, 7, 6, depth), weights], constants=(1,))
    check_float(conv2d, op, [normal(1, 7, 6, depth), weights], constants=(1,))


def test_float_weights_that_do_not_fit():
    with pytest.raises(ValueError, match="don't divide"):
        Conv2D().infer([TensorType((1, 5, 5, 4), FLOAT32), TensorType((4, 1, 1, 3), FLOAT32)])
