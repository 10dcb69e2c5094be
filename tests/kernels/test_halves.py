"""Kernels that only layers on two cores need: those of some channels, sums that are exactly where an operand is, and
layers that both compute together, here by one core."""

from __future__ import annotations

from functools import wraps

from tests.kernels.test_block import winograd_cases
from tests.kernels.test_dsp import layer
from tests.kernels.test_fused import M3, convolution, with_sum
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import M7, check
from tinycompile.ir import Site
from tinycompile.kernels import block, depthwise_strips, for_halves, packed_depthwise, packed_pixels
from tinycompile.kernels.base import Factory, Kernel
from tinycompile.kernels.winograd import winograd_together
from tinycompile.kernels.winograd4 import winograd4_together
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.sub import Sub
from tinycompile.targets import Core


def all_channels(of_channels: for_halves.OfChannels) -> Factory:
    """What such a kernel computes of every channel; `tests/planner/test_halves` has halves."""

    @wraps(of_channels)
    def factory(site: Site, core: Core) -> Kernel | None:
        half = of_channels(site, core, range(site.sig.output.shape[-1]))
        return None if half is None else half.kernel

    return factory


_DEPTHWISE = all_channels(block.depthwise_channels)
_IMAGE = layer(DepthwiseConv2D((1, 1), (1, 1), (1, 1, 1, 1)), (1, 5, 4, 8), (1, 3, 3, 8), 3, 1)
LANES: tuple[tuple[Factory, Site], ...] = (
    (all_channels(depthwise_strips.depthwise_strips_of_channels), _IMAGE),
    (winograd_together, layer(Conv2D(padding=(1, 1, 1, 1)), (1, 5, 9, 6), (5, 3, 3, 6), 0, 1)),
    (winograd_together, layer(Conv2D(padding=(1, 1, 1, 1)), (1, 4, 8, 8), (6, 3, 3, 8), 0, 1)),
    (winograd4_together, layer(Conv2D(padding=(1, 1, 1, 1)), (1, 5, 9, 8), (5, 3, 3, 8), 0, 1)),
)
CASES: tuple[tuple[Factory, Site], ...] = (
    (all_channels(packed_depthwise.depthwise_channels), _IMAGE),
    (all_channels(packed_depthwise.depthwise_turned_channels), _IMAGE),
    (_DEPTHWISE, layer(DepthwiseConv2D((1, 1), (1, 1), (1, 1, 1, 1)), (1, 4, 5, 3), (1, 3, 3, 3), 3, 1)),
    (_DEPTHWISE, layer(DepthwiseConv2D((2, 1), (1, 2), (0, 0, 0, 0)), (1, 7, 6, 4), (1, 3, 2, 4), 3, 2)),
    (packed_pixels.linear_and_in_place, with_sum(convolution(depth=8, channels=6))),
    (packed_pixels.linear_and_in_place, with_sum(convolution(depth=5, channels=9, size=1), Sub, reverse=True)),
    *((winograd4_together, site) for _, site in winograd_cases()[1::2]),
    (winograd4_together, layer(Conv2D(), (1, 6, 18, 4), (6, 3, 3, 4), 0, 5)),
)


def test_the_definition_on_the_host() -> None:
    """A sum in the place of its operand, of which the kernel for one core has to be behind by a block."""
    for factory, site in (*LANES, *CASES):
        kernel = check(factory, site, M7 if (factory, site) in LANES else M3)
        if factory is packed_pixels.linear_and_in_place:
            assert kernel.overlap[3] == 0


def test_pairs_of_channels_that_one_core_has_to_compute() -> None:
    """An odd channel is computed with the one before it."""
    found = [winograd4_together(layer(Conv2D(), (1, 6, 6, 4), (n, 3, 3, 4), 0, 1), M3) for n in range(2, 8)]
    assert [kernel and kernel.together and kernel.together.channels for kernel in found] == [
        None,
        None,
        (range(2), range(2, 4)),
        (range(2), range(2, 5)),
        (range(2), range(2, 6)),
        (range(4), range(4, 7)),
    ]


def test_the_definition_in_qemu() -> None:
    check_emulated(CASES, "mps2-an385")
