"""DEPTHWISE_CONV_2D against LiteRT."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.convolutions import check_convolution, output_shape, paddings, sizes
from tests.ops.floats import check_float, normal
from tests.ops.oracle import activations, pairs, seeds, thorough, zero_points
from tests.support.tflite_builder import SAME, VALID
from tinycompile.kernels import float_fused
from tinycompile.kernels.float_layers import depthwise
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D


@thorough
@given(
    sizes, pairs, pairs, pairs, paddings, activations, zero_points, zero_points, st.booleans(), seeds,
    st.integers(1, 5), st.integers(1, 3),
)  # fmt: skip
def test_random(size, kernel, stride, dilation, padding, activation, zx, zy, per_channel, seed, channels, multiplier):
    outputs = channels * multiplier
    y_shape = output_shape(size, kernel, stride, dilation, padding, outputs)
    check_convolution(
        "DEPTHWISE_CONV_2D", (1, *size, channels), (1, *kernel, outputs), y_shape, seed,
        per_channel=per_channel, zero_points=(zx, zy), Padding=padding, FusedActivationFunction=activation,
        StrideH=stride[0], StrideW=stride[1], DilationHFactor=dilation[0], DilationWFactor=dilation[1],
        DepthMultiplier=multiplier,
    )  # fmt: skip


@pytest.mark.parametrize("y_scale", [1e-3, 0.01, 100.0, 1e5])
def test_factors_above_one_and_far_below(y_scale):
    check_convolution(
        "DEPTHWISE_CONV_2D", (1, 5, 6, 8), (1, 1, 1, 8), (1, 5, 6, 8), 1, scales=(0.9, y_scale),
        zero_points=(127, -128), bias=60, Padding=VALID, StrideH=1, StrideW=1, DepthMultiplier=1,
    )  # fmt: skip


def test_depth_multiplier():
    graph = check_convolution(
        "DEPTHWISE_CONV_2D", (1, 5, 5, 2), (1, 3, 3, 6), (1, 5, 5, 6), 4, Padding=SAME, StrideH=1, StrideW=1,
        DepthMultiplier=3,
    )  # fmt: skip
    (node,) = graph.nodes
    assert node.op.multiplier(graph.signature(node)) == 3
    assert graph.macs() == 5 * 5 * 6 * 9


@pytest.mark.parametrize("outputs", [4, 8])
@pytest.mark.parametrize("op", [DepthwiseConv2D(), DepthwiseConv2D((2, 1), (1, 2), (1, 0, 2, 1))])
def test_floats(outputs, op):
    weights = normal(1, 3, 2, outputs, seed=1)
    check_float(depthwise, op, [normal(2, 7, 6, 4), weights, normal(outputs, seed=2)], constants=(1, 2))
    check_float(depthwise, op, [normal(1, 7, 6, 4), weights], constants=(1,))


@pytest.mark.parametrize("channels", [4, 8, 12])
@pytest.mark.parametrize("op", [DepthwiseConv2D(bounds=(-1, 3)), DepthwiseConv2D((2, 1), (1, 2), (1, 0, 2, 5))])
def test_fused_floats(channels, op):
    """Windows at the image's edges and outside of it; blocks of eight and of four channels."""
    weights, bias = normal(1, 3, 2, channels, seed=1), normal(channels, seed=2)
    check_float(float_fused.depthwise, op, [normal(2, 7, 6, channels), weights, bias], constants=(1, 2))
    check_float(float_fused.depthwise, op, [normal(1, 7, 6, channels), weights], constants=(1,))
    check_float(depthwise, op, [normal(1, 7, 6, channels), weights], constants=(1,))
