"""Kernels that bring their constants to RAM first: whole, or tile by tile with output channels outside."""

from __future__ import annotations

import pytest

from tests.kernels.test_dsp import layer
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import M7, check
from tinycompile.ir import Site
from tinycompile.kernels.base import Factory, Sweeps, tilings
from tinycompile.kernels.lane import Rows
from tinycompile.kernels.lane_conv2d import Convolution, conv2d_straight
from tinycompile.kernels.lane_pointwise import Pointwise
from tinycompile.kernels.lane_row_tiles import row_tiles_kernel
from tinycompile.kernels.lane_tiles import pairs_of_tile, tiles_kernel
from tinycompile.kernels.staged import staged
from tinycompile.ops.conv2d import Conv2D


def tiled(kind, pairs, places):
    """A factory for tiles of so many pairs of channels; "kept": all blocks stay expanded."""

    def factory(site, core):
        made = (
            Pointwise.of(site, core) if kind == "pointwise" else Convolution.of(site, core, straight=kind == "straight")
        )
        return None if made is None else tiles_kernel(made, pairs, places, keeps=kind == "kept")

    return factory


CASES = [
    ("plain", (1, 3, 7, 5), (9, 2, 2, 5), 3, 1),  # an odd number of channels, windows at edges
    ("plain", (1, 1, 5, 6), (4, 1, 1, 6), 1, 2),  # pixels that fill no block
    ("straight", (1, 5, 4, 6), (7, 2, 2, 6), 2, 2),
    ("kept", (1, 3, 7, 5), (9, 2, 2, 5), 3, 2),
    ("kept", (1, 1, 5, 6), (6, 1, 1, 6), 1, 1),
    ("kept", (1, 4, 4, 3), (6, 3, 3, 3), 2, 1),  # no pixels are left behind blocks of 4
    ("pointwise", (1, 4, 5, 6), (8, 1, 1, 6), 2, 1),  # two pairs of channels in a round
    ("pointwise", (1, 4, 5, 6), (9, 1, 1, 6), 3, 2),
]


@pytest.mark.parametrize(("kind", "x", "weights", "pairs", "places"), [CASES[5], CASES[7]])
def test_tiles_of_channels(kind, x, weights, pairs, places):
    padding = (0, weights[1] - 1, 1, weights[1] - 2) if weights[1] > 1 else (0, 0, 0, 0)
    kernel = check(tiled(kind, pairs, places), layer(Conv2D(padding=padding, clamp=(-60, 70)), x, weights, 0, 1))
    assert kernel.sweeps == Sweeps(1)
    assert not kernel.overlap  # the input is read again for every tile


def cases() -> list[tuple[Factory, Site]]:
    """Of every kind."""
    found = list[tuple[Factory, Site]]()
    for kind, x, weights, pairs, places in CASES:
        padding = (0, weights[1] - 1, 1, weights[1] - 2) if weights[1] > 1 else (0, 0, 0, 0)
        found.append((tiled(kind, pairs, places), layer(Conv2D(padding=padding), x, weights, 0, 1)))
    for x, outputs, blocks, places in ROWS:
        found.append((row_tiled(blocks, places), layer(Conv2D(), x, (outputs, 1, 1, x[3]), 0, 1)))
    return [*found, (copied, found[2][1])]


def test_tiles_and_copies_on_the_core():
    """The assembly takes tiles as the portable twins do."""
    check_emulated(cases())


ROWS = [((1, 1, 1, 37), 21, 1, 2), ((1, 1, 3, 12), 35, 2, 1)]
"""Input, outputs, blocks of 8 outputs in a tile, places for tiles: a row, and several, expanded for each tile."""


def row_tiled(blocks, places):
    """A factory for tiles of so many blocks of channels."""

    def factory(site, core):
        return row_tiles_kernel(Rows.of(site, core, whole=True), blocks, places)

    return factory


def test_tiles_of_rows():
    x, outputs, blocks, places = ROWS[1]
    kernel = check(row_tiled(blocks, places), layer(Conv2D(), x, (outputs, 1, 1, x[3]), 0, 1))
    assert (kernel.sweeps, kernel.ahead, kernel.overlap) == (Sweeps(1), False, {})


def test_a_single_row_is_offered_tiles_only_where_they_come_ahead():
    site = layer(Conv2D(), (1, 1, 1, 64), (64, 1, 1, 64), 0, 1)
    for places in (1, 2):
        found = [k for k in tilings(site, M7, places) if k.variant.startswith("fully_connected")]
        assert {kernel.ahead for kernel in found} == ({True} if places == 2 else set())
        assert all(kernel.overlap for kernel in found)  # the row is expanded before anything is written


def test_blocks_that_stay_expanded_take_scratch_and_save_work():
    site = layer(Conv2D(padding=(1, 1, 1, 1)), (1, 6, 6, 12), (8, 3, 3, 12), 0, 1)
    kept, again = (tiled(kind, 2, 1)(site, M7) for kind in ("kept", "straight"))
    assert kept.instructions < again.instructions
    assert kept.scratch_bytes > again.scratch_bytes + 6 * 6 * 9 * 12


def copied(site, core):
    """A kernel with its constants in scratch."""
    return staged(conv2d_straight(site, core))


@pytest.mark.parametrize("channels", range(2, 30))
def test_tiles_are_about_as_large_and_none_has_only_the_channel_that_is_repeated(channels):
    total = (channels + 1) // 2
    for room in range(1, 16):
        for together in (1, 2) if channels % 4 == 0 else (1,):
            pairs = pairs_of_tile(channels, 1, room, together)
            if pairs is None:
                continue
            assert pairs <= room
            assert pairs < total
            assert pairs % together == 0
            assert channels % 2 == 0 or total - (total - 1) // pairs * pairs > 1
            assert -(-total // pairs) <= -(-total // (room // together * together)) + 1


def test_a_kernel_with_its_constants_in_scratch():
    site = layer(Conv2D(padding=(0, 1, 1, 0)), (1, 5, 4, 6), (5, 2, 2, 6), 0, 0)
    plain = conv2d_straight(site, M7)
    kernel = check(copied, site)
    assert kernel.scratch_bytes == -(-plain.scratch_bytes // 8) * 8 + -(-plain.constant_bytes // 8) * 8
    assert plain.instructions < kernel.instructions < plain.instructions + plain.constant_bytes
    assert (kernel.sweeps, kernel.overlap) == (Sweeps(1), plain.overlap)
