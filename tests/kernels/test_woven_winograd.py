"""Winograd's tiles woven into words: transforms, groups of channels, runs that no input lets leave their bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.test_dsp import layer
from tests.kernels.test_many_registers import RV32, STRIDED, TILES
from tests.kernels.test_packed import worst
from tests.support.kernel_checks import M7
from tinycompile.ir import Array
from tinycompile.kernels import kernels_of
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.woven_winograd import ONE, TWO, Algorithm, channel_groups, run_channels, stream, woven_winograd
from tinycompile.numerics.latitude import Latitude
from tinycompile.ops.conv2d import Conv2D

INPUTS = {
    ONE: ((2, -5, 0, 5, -2, 0), (0, -2, 3, 3, -2, 0), (0, -2, 7, -7, 2, 0))
    + ((0, 1, -2, -1, 2, 0), (0, 2, -1, -2, 1, 0), (0, -2, 5, 0, -5, 2)),
    TWO: ((1, 0, -1, 0, 0), (0, 0, 1, 0, 0), (0, 0, 1, 0, -1), (0, 1, 0, 0, 0), (0, 0, 0, 1, 0)),
}
OUTPUTS = {
    ONE: ((1, 1, 1, 1, 8, 0), (0, 1, -1, 2, 4, 0), (0, 1, 1, 4, 2, 0), (0, 1, -1, 8, 1, 1)),
    TWO: ((1, 1, 0, 1, 0), (0, 1, -1, 0, 1)),
}
"""As the header has them; with stride 2 the last two positions of an axis have the same weights."""


def _direct(tile: Array, weights: Array, stride: int, side: int) -> Array:
    at = [stride * i for i in range(side)]
    return np.array([[np.sum(tile[y : y + 3, x : x + 3] * weights) for x in at] for y in at])


@pytest.mark.parametrize("algorithm", [ONE, TWO])
def test_weights_reproduce_the_convolution(algorithm: Algorithm) -> None:
    """Times 4 and 81, with stride 2 times 1; 81 of one position is the input's. Weights fit int16."""
    rng, a, b = np.random.default_rng(0), np.array(OUTPUTS[algorithm]), np.array(INPUTS[algorithm])
    weights, tile = rng.integers(-128, 128, (1, 3, 3, 1)), rng.integers(-128, 128, b.shape)
    different = len(algorithm.matrix)
    u = algorithm.transformed(weights).reshape(different, different)
    if algorithm is ONE:
        u[1, 1] *= 81
    same = [min(i, different - 1) for i in range(algorithm.span)]
    products = u[np.ix_(same, same)] * (b @ tile @ b.T)
    direct = _direct(tile, weights[0, :, :, 0], 1 if algorithm is ONE else 2, algorithm.side)
    np.testing.assert_array_equal(a @ products @ a.T, direct * (324 if algorithm is ONE else 1))
    signs = np.sign(np.random.default_rng(1).normal(size=(999, 3, 3, 1))).astype(np.int64)
    assert np.abs(algorithm.transformed(128 * signs)).max() < 2**15


@pytest.mark.parametrize(("algorithm", "depth"), [(ONE, 8), (ONE, 40), (TWO, 40), (TWO, 100)])
def test_runs_are_as_long_as_their_sums_allow(algorithm: Algorithm, depth: int) -> None:
    found = LinearLayer.of(layer(Conv2D((1, 1)), (1, 4, 4, depth), (5, 3, 3, depth), 0, depth))
    run = run_channels(found, algorithm.pre)
    runs = -(-depth // run)

    def largest(channels: int) -> int:
        at = range(0, depth, channels)
        return max(worst(row[..., first : first + channels].ravel()) for row in found.weights for first in at)

    room = 1 << 23 - algorithm.pre
    assert largest(run) < room
    assert runs == 1 or largest(-(-depth // (runs - 1))) >= room


def test_channels_are_six_or_four_together() -> None:
    groups = [channel_groups(channels) for channels in (1, 4, 5, 6, 8, 10, 16, 32, 64)]
    assert groups == [(0, 1), (0, 1), (1, 0), (1, 0), (0, 2), (1, 1), (2, 1), (4, 2), (10, 1)]
    found = LinearLayer.of(layer(Conv2D((1, 1)), (1, 4, 4, 3), (9, 3, 3, 3), 0, 1))
    words, u = stream(found, ONE, 2), ONE.transformed(found.weights)
    assert words.size == 10 * 36 * 3
    six, four = words[: 6 * 36 * 3], words[6 * 36 * 3 :]
    np.testing.assert_array_equal(six[: 36 * 2 * 6].reshape(36, 2, 6), u[:6, :, :2].transpose(1, 2, 0))
    np.testing.assert_array_equal(six[36 * 2 * 6 :].reshape(36, 1, 6), u[:6, :, 2:].transpose(1, 2, 0))
    last = four[36 * 2 * 4 :].reshape(36, 4)
    np.testing.assert_array_equal(last[:, :3], u[6:, :, 2].T)
    assert not last[:, 3].any()


def test_where_it_is_offered() -> None:
    """Where there are registers for it, to layers whose weights stay."""
    site = layer(Conv2D((1, 1), (1, 1), (1, 1, 1, 1)), (1, 16, 16, 16), (16, 3, 3, 16), 0, 1)
    cheapest = min(kernels_of(site, RV32), key=lambda kernel: kernel.instructions)
    assert cheapest.variant == "conv2d_woven_winograd"
    assert "conv2d_woven_winograd" not in {kernel.variant for kernel in kernels_of(site, M7)}
    others = (
        layer(Conv2D((1, 2)), (1, 6, 6, 4), (4, 3, 3, 4), 0, 1),
        layer(Conv2D((1, 1), (2, 2)), (1, 8, 8, 4), (4, 3, 3, 4), 0, 1),
        layer(Conv2D((2, 2)), (1, 8, 8, 4), (4, 5, 5, 4), 0, 1),
        replace(TILES, latitude=Latitude()),
    )
    assert woven_winograd(STRIDED, RV32) is not None
    assert not any(woven_winograd(other, RV32) for other in others)
