"""Helium kernels: portable C on the host, MVE in QEMU's Cortex-M55, against the definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.test_assembly import dense
from tests.kernels.test_dsp import clamps, layer, paddings, pairs, quick
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.full import some
from tests.support.kernel_checks import check, check_if_taken
from tinycompile.ir import Site
from tinycompile.kernels.base import Factory
from tinycompile.kernels.mve import conv2d, fully_connected, grouped_weights
from tinycompile.kernels.mve_depthwise import depthwise, tiled_weights
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D

M55 = core_named("cortex-m55", dsp=True, mve=True, fpu=True)
ONE, NONE = (1, 1), (0, 0, 0, 0)


@quick
@given(pairs, pairs, pairs, paddings, clamps, st.integers(1, 20), st.integers(1, 9), st.integers(0, 99))
def test_convolution(kernel, stride, dilation, padding, clamp, depth, channels, seed):
    op = Conv2D(stride, dilation, padding, clamp)
    site = layer(op, (1, 7, 8, depth), (channels, *kernel, depth), 0, seed)
    check_if_taken(conv2d, site, M55)


@pytest.mark.parametrize(("depth", "channels", "pixels"), [(16, 5, 1), (16, 16, 2), (32, 8, 7), (48, 50, 4)])
def test_pointwise_reads_the_image_itself(depth, channels, pixels):
    site = layer(Conv2D(ONE, ONE, NONE), (1, 1, pixels, depth), (channels, 1, 1, depth), 0, pixels)
    assert check(conv2d, site, M55).scratch_bytes == 0


@quick
@given(pairs, pairs, pairs, paddings, clamps, st.integers(1, 35), st.integers(0, 99))
def test_depthwise(kernel, stride, dilation, padding, clamp, channels, seed):
    op = DepthwiseConv2D(stride, dilation, padding, clamp)
    site = layer(op, (1, 7, 8, channels), (1, *kernel, channels), 3, seed)
    check_if_taken(depthwise, site, M55)


@pytest.mark.parametrize("window", [(5, 5), (7, 7), (4, 9), (9, 4), (1, 5)])
def test_depthwise_windows_of_several_tiles(window):
    op = DepthwiseConv2D((1, 2), ONE, (2, 3, 4, 1))
    check(depthwise, layer(op, (1, 11, 12, 18), (1, *window, 18), 3, 5), M55)


def test_depthwise_of_one_input_channel_is_a_convolution():
    check(conv2d, layer(DepthwiseConv2D((2, 2), ONE, (4, 5, 3, 3)), (1, 12, 9, 1), (1, 10, 8, 8), 3, 1), M55)


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (16, 8), (37, 19), (640, 6)])
def test_fully_connected(rows, inputs, outputs):
    check(fully_connected, dense(inputs, outputs, rows, (-128, 127), 0), M55)


def test_weights_stand_in_groups_of_16_taps():
    packed = grouped_weights(np.arange(5 * 20).reshape(5, 20) - 50).reshape(2, 2, 4, 16)
    assert packed[0, 0, 1].tolist() == list(range(-30, -14))
    assert packed[0, 1, 1].tolist() == [-14, -13, -12, -11, *[0] * 12]
    assert packed[1, 0, 0, 0] == 30 and not packed[1, :, 1:].any()


def test_depthwise_weights_stand_column_by_column():
    packed = tiled_weights(np.arange(1, 11).reshape(1, 5, 2)).reshape(4, 2, 2, 4)
    assert packed[0].tolist() == [[[1, 3, 5, 7], [2, 4, 6, 8]], [[9, 0, 0, 0], [10, 0, 0, 0]]]
    assert not packed[1:].any()


def cases() -> list[tuple[Factory, Site]]:
    """Taps beside a multiple of 16, channels beside one of 4 and 16, odd pixels, every kind of window, clamp, line."""
    found: list[tuple[Factory, Site]] = [
        (fully_connected, dense(37, 19, 2, (-128, 127), 0)),
        (fully_connected, dense(64, 8, 1, (-60, 70), 1)),
    ]
    for seed, (window, depth, channels, stride, dilation, padding) in enumerate(
        [
            ((1, 1), 64, 6, ONE, ONE, NONE),
            ((1, 1), 20, 5, (2, 2), ONE, NONE),
            ((3, 3), 3, 8, ONE, ONE, (1, 1, 1, 1)),
            ((3, 3), 16, 17, (2, 2), ONE, (0, 1, 0, 1)),
            ((3, 2), 4, 34, (1, 2), (2, 1), (2, 0, 1, 3)),
            ((1, 4), 5, 3, (2, 1), (1, 2), (0, 0, 2, 2)),
            ((5, 7), 2, 18, ONE, ONE, (2, 2, 3, 3)),
            ((10, 4), 1, 8, (2, 2), ONE, (4, 5, 1, 1)),
        ]
    ):
        clamp = [(-128, 127), (-60, 70), (0, 127)][seed % 3]
        op = Conv2D(stride, dilation, padding, clamp)
        found.append((conv2d, layer(op, (1, 11, 9, depth), (channels, *window, depth), 0, seed)))
        spatial = DepthwiseConv2D(stride, dilation, padding, clamp)
        found.append((depthwise, layer(spatial, (1, 11, 9, channels), (1, *window, channels), 3, seed)))
    return found


def test_on_the_m55():
    check_emulated(cases(), "mps3-an547")


@pytest.mark.parametrize("flags", [("-O1",), ("-Os",), ("-O3",), ("-O2", "-DTC_PORTABLE")])
def test_other_ways_to_compile(flags):
    check_emulated(some(cases()), "mps3-an547", *flags)
