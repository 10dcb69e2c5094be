"""Fully connected layers of several rows, offered as convolutions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.kernel_checks import M7, check, int8, site_of
from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import Quantization, Site, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.rows_as_pixels import as_conv2d
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

DEPTH, CHANNELS = 32, 10


def layer(rows: tuple[int, ...], clamp: tuple[int, int] = (-128, 127)) -> Site:
    rng = np.random.default_rng(0)
    scales = rng.uniform(0.002, 0.006, CHANNELS).astype(np.float32)
    weights = rng.integers(-127, 128, (CHANNELS, DEPTH)).astype(np.int8)
    bias = rng.integers(-3000, 3000, CHANNELS).astype(np.int32)
    types = [
        int8((*rows, DEPTH), 0.05, 7),
        TensorType(weights.shape, INT8, Quantization(scales, np.zeros(CHANNELS, np.int64), 0)),
        TensorType(bias.shape, INT32),
    ]
    return site_of(FullyConnected(clamp), types, [None, weights, bias], int8((), 0.05, -5))


@pytest.mark.parametrize(("rows", "clamp"), [((2,), (-128, 127)), ((2, 7), (-100, 90))])
def test_the_same_results(rows: tuple[int, ...], clamp: tuple[int, int]) -> None:
    site = layer(rows, clamp)
    other = as_conv2d(site)
    assert other is not None
    x = np.random.default_rng(0).integers(-128, 128, site.sig.input.shape).astype(np.int8)
    (one,) = site.node.op.evaluate(site.sig, [x, *site.constants[1:]])
    (two,) = other.node.op.evaluate(other.sig, [x.reshape(other.sig.input.shape), *other.constants[1:]])
    np.testing.assert_array_equal(one, two.reshape(one.shape))


def test_not_a_single_row_nor_computed_weights() -> None:
    assert as_conv2d(layer((1,))) is None
    several = layer((3,))
    assert as_conv2d(replace(several, constants=(None, None, several.constants[2]))) is None


def test_the_convolutions_kernels_are_offered_and_compute_it() -> None:
    def lane(site: Site, core: Core) -> Kernel:
        return next(kernel for kernel in kernels_of(site, core) if kernel.variant == "conv2d_lane")

    check(lane, layer((2, 3)), M7)
