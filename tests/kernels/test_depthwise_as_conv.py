"""Depthwise layers of few input channels, offered as convolutions."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.test_dsp import layer
from tests.support.cores import core_named
from tests.support.kernel_checks import check
from tinycompile.ir import Site
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.depthwise_as_conv import MOST_CHANNELS, as_conv2d
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core

M7 = core_named("cortex-m7", dsp=True)


def site_of(channels: int, multiplier: int, seed: int, op: DepthwiseConv2D | None = None) -> Site:
    op = op or DepthwiseConv2D((2, 1), (1, 1), (1, 0, 2, 1), (-100, 90))
    return layer(op, (1, 7, 6, channels), (1, 3, 2, channels * multiplier), 3, seed)


@pytest.mark.parametrize(("channels", "multiplier"), [(1, 1), (1, 8), (2, 5), (4, 4), (MOST_CHANNELS, 9)])
def test_the_same_results(channels: int, multiplier: int) -> None:
    site = site_of(channels, multiplier, seed=channels)
    other = as_conv2d(site)
    assert other is not None
    x = np.random.default_rng(channels).integers(-128, 128, site.sig.input.shape).astype(np.int8)
    (one,) = site.node.op.evaluate(site.sig, [x, *site.constants[1:]])
    (two,) = other.node.op.evaluate(other.sig, [x, *other.constants[1:]])
    assert np.array_equal(one, two)


@pytest.mark.parametrize(("channels", "multiplier"), [(2, 1), (5, 4), (MOST_CHANNELS + 1, MOST_CHANNELS + 1)])
def test_not_where_most_products_would_be_with_zeros(channels: int, multiplier: int) -> None:
    assert as_conv2d(site_of(channels, multiplier, seed=0)) is None


def test_the_convolutions_kernels_are_offered_and_compute_it() -> None:
    def lane(site: Site, core: Core) -> Kernel:
        return next(kernel for kernel in kernels_of(site, core) if kernel.variant == "conv2d_lane")

    check(lane, site_of(1, 3, seed=1), M7)
    check(lane, site_of(2, 2, seed=2), M7)
