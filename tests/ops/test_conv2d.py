"""CONV_2D against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.convolutions import check_convolution, output_shape, paddings, sizes
from tests.ops.oracle import activations, only_site, pairs, seeds, thorough, zero_points
from tests.support.tflite_builder import SAME, VALID
from tinycompile.dtypes import INT8
from tinycompile.ir import Region, Signature, TensorType
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


@given(pairs, pairs, pairs, st.tuples(*[st.integers(0, 3)] * 4), seeds)
@thorough
def test_input_region_is_what_the_region_needs(kernel, stride, dilation, padding, seed):
    """Spoil everything outside of `input_region`: the region of the output doesn't change."""
    rng = np.random.default_rng(seed)
    op = Conv2D(stride, dilation, padding)
    types = [TensorType((1, 9, 8, 2), INT8), TensorType((2, *kernel, 2), INT8)]
    ((shape, _),) = op.infer(types)
    window = op.window(*types)
    y0, x0 = int(rng.integers(shape[1])), int(rng.integers(shape[2]))
    region = Region(y0, int(rng.integers(y0, shape[1])) + 1, x0, int(rng.integers(x0, shape[2])) + 1)
    sig = Signature(tuple(types), (TensorType(shape, INT8),))
    needed = op.input_region(sig, region, 0)
    assert op.input_region(sig, region, 1) is None
    x = rng.integers(-128, 128, (1, 9, 8, 2)).astype(np.int32)
    w = rng.integers(1, 128, types[1].shape).astype(np.int8)
    spoiled = rng.integers(-128, 128, x.shape).astype(np.int32)
    rows = slice(max(needed.y0, 0), max(needed.y1, 0))
    columns = slice(max(needed.x0, 0), max(needed.x1, 0))
    spoiled[:, rows, columns] = x[:, rows, columns]
    full, partial = (op.accumulate(window, window.pad(image, 0), w) for image in (x, spoiled))
    box = (0, slice(region.y0, region.y1), slice(region.x0, region.x1))
    assert np.array_equal(full[box], partial[box])
    assert (needed.y1 - needed.y0, needed.x1 - needed.x0) == tuple(
        (n - 1) * s + e
        for n, s, e in zip((region.y1 - region.y0, region.x1 - region.x0), stride, window.extent, strict=True)
    )
