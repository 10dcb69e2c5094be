"""Kernels for some 30 registers: portable C on the host, RISC-V's assembly in QEMU; runs of sums, a row's groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.test_assembly import dense
from tests.kernels.test_dsp import layer
from tests.kernels.test_packed import worst
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import M7, check, int8, random_values, site_of
from tests.support.recurrent_models import recurrent_site
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Site, TensorType
from tinycompile.kernels import kernels_of, paired_row, woven
from tinycompile.kernels.base import Factory, Kernel
from tinycompile.kernels.float_recurrent import rnn
from tinycompile.kernels.plain_sum import plain_sum
from tinycompile.kernels.plane_depthwise import depthwise_plane
from tinycompile.kernels.winograd4 import winograd4_halves
from tinycompile.kernels.woven import FIVES, THREES, Weave, channel_blocks, run_count, run_taps, woven_stream
from tinycompile.kernels.woven_winograd import woven_winograd
from tinycompile.numerics.latitude import Latitude
from tinycompile.ops.add import Add
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.rnn import Rnn
from tinycompile.ops.sub import Sub
from tinycompile.targets import Core, load_board

RV32 = load_board("qemu-riscv32").core


def _with_weights(site: Site, value: int) -> Site:
    """All weights alike: the longest runs and groups, or those of the fewest taps."""
    weights = site.constants[1]
    assert weights is not None
    return replace(site, constants=(site.constants[0], np.full_like(weights, value), *site.constants[2:]))


def threes(site: Site, core: Core) -> Kernel | None:
    return woven.woven_kernel(site, core, THREES)


def fives(site: Site, core: Core) -> Kernel | None:
    return woven.woven_kernel(site, core, FIVES)


WINDOWS = layer(Conv2D((1, 1), (1, 1), (1, 1, 2, 0)), (1, 5, 7, 3), (5, 3, 3, 3), 0, 1)
WOVEN = (
    WINDOWS,
    _with_weights(WINDOWS, -128),
    _with_weights(WINDOWS, 127),
    layer(Conv2D((2, 1), (1, 2), (0, 0, 0, 0)), (1, 6, 5, 4), (2, 2, 2, 4), 0, 2),
    layer(Conv2D((1, 1)), (1, 1, 1, 40), (1, 1, 1, 40), 0, 3),
    dense(333, 7, 4, (-128, 127), 0),
    dense(8, 3, 2, (-128, 127), 0),
    dense(12, 4, 19, (-128, 127), 0),
)
PLANES = (
    layer(DepthwiseConv2D((1, 1), (1, 1), (1, 1, 1, 1)), (1, 5, 10, 3), (1, 3, 3, 3), 3, 0),
    layer(DepthwiseConv2D((2, 2), (1, 1), (0, 1, 0, 1)), (1, 8, 6, 2), (1, 3, 3, 2), 3, 1),
    layer(DepthwiseConv2D((1, 2), (2, 1), (0, 0, 1, 2)), (1, 6, 3, 2), (1, 2, 4, 4), 3, 2),
    layer(DepthwiseConv2D((1, 1)), (1, 1, 2, 5), (1, 1, 1, 5), 3, 3),
)
BEHIND = np.arange(-128, 120, 31, dtype=np.int8)
TILES = layer(Conv2D((1, 1), (1, 1), (1, 1, 1, 0)), (1, 7, 13, 8), (3, 3, 3, 8), 0, 4)
STRIDED = layer(Conv2D((2, 2), (1, 1), (0, 1, 1, 1)), (1, 8, 18, 40), (6, 3, 3, 40), 0, 6)
WOVEN_TILES = (
    TILES,
    layer(Conv2D((1, 1), (1, 1), (1, 1, 1, 1)), (1, 8, 8, 3), (7, 3, 3, 3), 0, 7),
    _with_weights(layer(Conv2D((1, 1)), (1, 6, 6, 24), (2, 3, 3, 24), 0, 8), -128),
    STRIDED,
    _with_weights(STRIDED, 127),
)
CASES: tuple[tuple[Factory, Site], ...] = (
    *((factory, site) for site in WOVEN for factory in (threes, fives)),
    (winograd4_halves, TILES),
    (winograd4_halves, layer(Conv2D((1, 1), (1, 1), (0, 0, 0, 0), (-128, 127)), (1, 6, 18, 4), (2, 3, 3, 4), 0, 5)),
    *((woven_winograd, site) for site in WOVEN_TILES),
    *((depthwise_plane, site) for site in PLANES),
    (plain_sum, site_of(Add(), [int8((3, 13), 0.025, 5), int8((3, 13), 0.05, -9)], [None, None], int8((), 0.05, 3))),
    (
        plain_sum,
        site_of(Sub((-128, 9)), [int8((8,), 0.02, 5), int8((8,), 0.04, 0)], [None, BEHIND], int8((), 0.05, -128)),
    ),
    (woven.conv2d, WINDOWS),
    (woven.fully_connected, dense(40, 6, 5, (-128, 127), 0)),
    (paired_row.fully_connected, dense(600, 9, 1, (-128, 127), 0)),
    (paired_row.fully_connected, _with_weights(dense(640, 8, 1, (-128, 127), 0), 1)),
    (paired_row.fully_connected, _with_weights(dense(64, 2, 1, (-128, 127), 0), -127)),
)


def extremes(t: TensorType, rng: np.random.Generator) -> Array:
    """Some pixels have nothing but the lowest value, or the highest: the largest sums beside each other."""
    if t.dtype == FLOAT32:
        return random_values(t, rng)
    low, high = t.dtype.range
    values = random_values(t, rng)
    kind = rng.integers(0, 3, (*t.shape[:-1], 1))
    return np.where(kind == 0, low, np.where(kind == 1, high, values)).astype(t.dtype.carrier)


def test_the_definition_on_the_host() -> None:
    for factory, site in (CASES[2], CASES[5], (winograd4_halves, TILES), (depthwise_plane, PLANES[2]), CASES[-1]):
        check(factory, site, RV32)
    for site in (WOVEN_TILES[2], STRIDED):
        check(woven_winograd, site, RV32)


def test_the_definition_in_assembly() -> None:
    """And floats by functions of the C library, with their constants."""
    check_emulated([*CASES, (rnn, recurrent_site(Rnn()))], "qemu-riscv32", values_of=extremes)


@pytest.mark.parametrize("weave", [THREES, FIVES])
@pytest.mark.parametrize("deviation", [2, 40, 100])
def test_runs_are_as_long_as_their_sums_allow(deviation: int, weave: Weave) -> None:
    rng = np.random.default_rng(deviation)
    matrix = np.clip(np.rint(rng.normal(0, deviation, (3, 1201))), -128, 127).astype(np.int64)
    runs, limit = run_count(matrix, weave), 1 << (weave.bits - 1)

    def largest(taps: int) -> int:
        return max(worst(row[at : at + taps]) for row in matrix for at in range(0, 1201, taps))

    taps = run_taps(1201, runs)
    assert taps % 4 == 0 and (runs - 1) * taps < 1201 <= runs * taps
    assert largest(taps) < limit and (runs == 1 or largest(taps + 4) >= limit or run_taps(1201, runs - 1) > taps + 4)


def test_channels_are_woven_by_three_and_by_two() -> None:
    blocks = [channel_blocks(channels) for channels in range(1, 9)]
    assert blocks == [(0, 1), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0), (1, 2), (2, 1)]
    stream = woven_stream(np.arange(25).reshape(5, 5))
    three = [[0, 5, 10], [1, 6, 11], [2, 7, 12], [3, 8, 13], [4, 9, 14], *[[0, 0, 0]] * 3]
    two = [[15, 20], [16, 21], [17, 22], [18, 23], [19, 24], *[[0, 0]] * 3]
    assert stream.tolist() == [*np.ravel(three), *np.ravel(two)]
    assert woven_stream(np.array([[1, 2, 3, 4]])).tolist() == [1, 0, 2, 0, 3, 0, 4, 0]


def test_where_it_is_offered() -> None:
    """Where there are registers for it, and to layers whose weights stay; there it takes the fewest instructions."""
    site = layer(Conv2D((2, 2), (1, 1), (1, 1, 1, 1)), (1, 12, 12, 16), (16, 5, 5, 16), 0, 1)
    assert min(kernels_of(site, RV32), key=lambda kernel: kernel.instructions).variant == "conv2d_woven"
    assert "conv2d_woven" not in {kernel.variant for kernel in kernels_of(site, M7)}
    assert woven.conv2d(replace(site, latitude=Latitude()), RV32) is None
    assert woven.fully_connected(dense(7, 3, 1, (-128, 127), 0), RV32) is None


def test_planes_are_those_of_few_taps_and_weights_that_stay() -> None:
    op = DepthwiseConv2D((1, 1), (1, 1), (2, 2, 2, 2))
    assert depthwise_plane(layer(op, (1, 8, 8, 2), (1, 5, 5, 2), 3, 0), RV32) is None
    assert depthwise_plane(replace(PLANES[0], latitude=Latitude()), RV32) is None


def test_which_rows_are_taken() -> None:
    """Those of an even number of inputs, whose weights stay and are no two times -128."""
    site = dense(8, 3, 1, (-128, 127), 0)
    taken = (site, _with_weights(site, -127))
    others = (_with_weights(site, -128), replace(site, latitude=Latitude()), dense(7, 3, 1, (-128, 127), 0))
    assert all(paired_row.fully_connected(case, RV32) for case in taken)
    assert not any(paired_row.fully_connected(case, RV32) for case in (*others, dense(8, 3, 2, (-128, 127), 0)))


def test_rows_of_eights() -> None:
    matrix = np.arange(-20, 20).reshape(10, 4)
    words = paired_row.weights_of_eights(matrix).view(np.uint8).reshape(2, 4, 2, 4)
    assert words[0, 1].tolist() == [
        [109, 117, 113, 121],
        [125, 133, 129, 137],
    ]  # of tap 1: channels 0, 2, 1, 3, 4, 6, 5, 7
    assert words[1, 3, 0].tolist() == [143, 128, 147, 128]
    ends = paired_row.pair_ends(np.array([[100, 100, 0, 55, 1, 0, 90, 90]]))
    assert ends is not None and paired_row.counts_of_groups(ends).tolist() == [2, 2, 0]
