"""Two pixels to a word, for cores without SIMD: groups, and block functions against their twins (`packed_blocks.c`).

The kernels on the host and in QEMU are in `test_block`, beside the other ones for these cores.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.test_block import CONVOLUTIONS, DEPTHWISE, M0
from tests.kernels.test_dsp import layer
from tests.support.emulated_kernel import run_program
from tests.support.kernel_checks import M7, check
from tinycompile.ir import Array
from tinycompile.kernels import kernels_of, packed_pixels
from tinycompile.kernels.packed_depthwise import groups_of, longest_groups
from tinycompile.kernels.packed_pixels import LARGEST_SUM, group_ends, group_stream
from tinycompile.numerics.latitude import Latitude
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D


def worst(weights: Array) -> int:
    """The largest magnitude of a group's sum, with any int8 inputs."""
    return max(int(np.maximum(-128 * sign * weights, 127 * sign * weights).sum()) for sign in (-1, 1))


@pytest.mark.parametrize(("deviation", "lowest"), [(5, -127), (40, -127), (100, -128), (0, -128)])
def test_groups_are_as_long_as_their_sums_allow(deviation: int, lowest: int) -> None:
    rng = np.random.default_rng(deviation)
    matrix = np.clip(np.rint(rng.normal(0, deviation, (6, 300))), lowest, 127).astype(np.int64)
    ends = group_ends(matrix)
    stream = group_stream(matrix, ends)
    assert stream.size == matrix.size + int(ends.sum()) + len(matrix)
    at = 0
    for row in matrix:
        taps = 0
        while length := int(stream[at].view(np.uint8)):
            group = row[taps : taps + length]
            np.testing.assert_array_equal(stream[at + 1 : at + 1 + length], group)
            assert worst(group) <= LARGEST_SUM
            following = row[taps : taps + length + 1]
            assert following.size == length or length == 255 or worst(following) > LARGEST_SUM
            at, taps = at + 1 + length, taps + length
        assert taps == row.size
        at += 1
    assert at == stream.size


def test_groups_of_windows() -> None:
    """A channel of small weights takes whole rows; one row whose sum is too large cuts all of its channel's."""
    weights = np.full((5, 3, 5), 20)
    assert longest_groups(weights).tolist() == [5] * 5 and groups_of(weights)[:2] == (5, 5)
    weights[1, 2] = [100, -100, 60, 0, 0]
    weights[3] = 127
    assert longest_groups(weights).tolist() == [5, 2, 5, 2, 5]
    longer, shorter, short = groups_of(weights)
    assert (longer, shorter, short.tolist()) == (5, 2, [False, True, False, True, False])
    weights[4] = -128
    assert groups_of(weights)[1] == 1


CORES = {
    "M0+": ("mps2-an385", ("-mcpu=cortex-m0plus", "-mthumb")),
    "M3": ("mps2-an385", None),
    "M4": ("mps2-an386", None),
}


@pytest.mark.parametrize(("target", "core"), CORES.values(), ids=CORES)
def test_the_assembly_is_its_twin(target: str, core: tuple[str, ...] | None) -> None:
    run_program((Path(__file__).parent / "packed_blocks.c").read_text(), target, core=core)


def test_with_dsp_where_sums_are_too_large_for_byte_lanes() -> None:
    """9 x 512 products of int8 reach 2^23."""
    for depth, taken in ((16, False), (512, True)):
        site = layer(Conv2D(), (1, 4, 5, depth), (3, 3, 3, depth), 0, 1)
        assert packed_pixels.conv2d(site, M7) is None
        assert (packed_pixels.conv2d_of_large_sums(site, M7) is not None) == taken
        if taken:
            check(packed_pixels.conv2d_of_large_sums, site, M7)
            assert min(kernels_of(site, M7), key=lambda kernel: kernel.instructions).variant == "conv2d_packed"


def test_not_where_weights_can_be_replaced() -> None:
    """The groups depend on them."""
    convolution = layer(Conv2D((1, 1)), (1, 5, 6, 3), (4, 2, 2, 3), 0, 0)
    spatial = layer(DepthwiseConv2D((1, 1)), (1, 5, 6, 4), (1, 2, 2, 4), 3, 0)
    for site, factories in ((convolution, CONVOLUTIONS[1:]), (spatial, DEPTHWISE[1:])):
        for factory in factories:
            assert factory(site, M0) is not None
            assert factory(replace(site, latitude=Latitude()), M0) is None
