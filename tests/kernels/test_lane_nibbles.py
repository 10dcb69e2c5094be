"""Weights of 4 bits by the byte-lane product."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.test_dsp import layer
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import M7, check
from tinycompile.kernels.lane import fully_connected_long
from tinycompile.kernels.lane_conv2d import Convolution
from tinycompile.kernels.lane_nibbles import (
    conv2d_nibbles,
    conv2d_nibbles_small,
    nibble_words,
    nibbles_kernel,
)
from tinycompile.kernels.lane_pointwise import Pointwise
from tinycompile.kernels.lane_row_nibbles import fully_connected_nibbles, fully_connected_nibbles_long, products_fit
from tinycompile.numerics.latitude import Latitude
from tinycompile.ops.conv2d import Conv2D

M4 = core_named("cortex-m4", dsp=True, fpu=True)


def four_bits(op, x, weights, seed, low=-8):
    """A layer with weights from `low` to 7."""
    site = layer(op, x, weights, 0, seed)
    values = np.random.default_rng(seed).integers(low, 8, weights).astype(np.int8)
    values.flat[:2] = low, 7
    return replace(site, constants=(None, values, *site.constants[2:]))


def tiles_of(pairs):
    """A factory for tiles of so many pairs of channels."""

    def factory(site, core):
        made = Pointwise.of(site, core) or Convolution.of(site, core, straight=True) or Convolution.of(site, core)
        return nibbles_kernel(made, pairs)

    return factory


CASES = [
    (tiles_of(3), four_bits(Conv2D(padding=(0, 1, 1, 0)), (1, 3, 7, 5), (9, 2, 2, 5), 1)),
    (tiles_of(3), four_bits(Conv2D(), (1, 4, 5, 6), (9, 1, 1, 6), 3)),
    (conv2d_nibbles, four_bits(Conv2D(), (1, 4, 5, 12), (8, 1, 1, 12), 1)),
    (conv2d_nibbles, four_bits(Conv2D(clamp=(-60, 70)), (1, 1, 5, 6), (4, 1, 1, 6), 0)),
    (fully_connected_nibbles, four_bits(Conv2D(), (1, 1, 3, 22), (21, 1, 1, 22), 0)),
    (fully_connected_nibbles, four_bits(Conv2D(clamp=(-60, 70)), (1, 1, 1, 64), (8, 1, 1, 64), 1)),
    (fully_connected_nibbles_long, four_bits(Conv2D(), (1, 1, 1, 308), (70, 1, 1, 308), 1)),
    (conv2d_nibbles_small, four_bits(Conv2D(), (1, 8, 9, 64), (16, 1, 1, 64), 0)),
]
"""Windows at edges and odd channels, pixels of no whole words, all weights in one tile, pixels that fill no block, two
tiles."""


@pytest.mark.parametrize("case", [0, 4])
def test_portable_twin(case):
    """The other cases, and what cores with two pipelines have, are among those with strict alignment."""
    factory, site = CASES[case]
    kernel = check(factory, site)
    assert kernel.notes["weights"].startswith("4 bits each")


def test_on_the_core():
    check_emulated(CASES, "mps2-an386")


def test_bytes_are_half_and_instructions_few_more():
    """In 3x3 and 1x1 layers of a usual size, whatever the tiles."""
    for image, shape in (((8, 8, 64), (64, 3, 3, 64)), ((12, 12, 64), (128, 1, 1, 64))):
        padding = (shape[1] // 2,) * 4
        site = four_bits(Conv2D(padding=padding), (1, *image), shape, 1)
        plain = Pointwise.of(site, M7) or Convolution.of(site, M7, straight=True)
        fast, small = conv2d_nibbles(site, M7), conv2d_nibbles_small(site, M7)
        assert fast.constant_bytes == small.constant_bytes == plain.weights.bytes - int(np.prod(shape)) // 2
        assert plain.work.cycles < fast.cycles < 1.07 * plain.work.cycles
        assert fast.cycles < small.cycles < 1.17 * plain.work.cycles
        assert small.scratch_bytes < fast.scratch_bytes <= plain.scratch_bytes + plain.weights.bytes


def test_which_layers_qualify():
    x, shape = (1, 4, 4, 4), (8, 1, 1, 4)
    assert conv2d_nibbles(four_bits(Conv2D(), x, shape, 0), M7) is not None
    assert conv2d_nibbles(four_bits(Conv2D(), x, shape, 0, low=-9), M7) is None
    assert conv2d_nibbles(replace(four_bits(Conv2D(), x, shape, 0), latitude=Latitude()), M7) is None
    assert conv2d_nibbles(four_bits(Conv2D(), x, (1, 1, 1, 4), 0), M7) is None  # a single channel


def test_rows_of_a_matrix():
    """A layer of a usual size; one whose sums may be too large by a factor of 16."""
    site = four_bits(Conv2D(), (1, 1, 1, 640), (128, 1, 1, 640), 1)
    for core in (M7, M4):
        plain, packed = fully_connected_long(site, core), fully_connected_nibbles_long(site, core)
        assert packed.constant_bytes == plain.constant_bytes - 640 * 128 // 2
        assert packed.price <= (1.1 if core is M7 else 1.18) * plain.price
    sevens = np.full((1, 700), 7)
    assert products_fit(sevens[:, :350])
    assert not products_fit(sevens)
    assert not products_fit(-sevens)


def test_words():
    weights = np.array([[-8, -7, 7, 0], [7, 0, 1, -1]])
    assert nibble_words(weights).ravel().tolist() == [0x789F81F0]
