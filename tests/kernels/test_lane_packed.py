"""Weights of 4, 3 and 2 bits by the byte-lane product."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.test_dsp import layer
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import M7, check
from tinycompile.kernels.depthwise_bands import depthwise_bands_compact
from tinycompile.kernels.depthwise_rows import depthwise_rows_compact
from tinycompile.kernels.lane import fully_connected_long
from tinycompile.kernels.lane_conv2d import Convolution
from tinycompile.kernels.lane_packed import (
    conv2d_2_bits,
    conv2d_2_bits_looped,
    conv2d_2_bits_small,
    conv2d_3_bits,
    conv2d_3_bits_looped,
    conv2d_3_bits_small,
    conv2d_4_bits,
    conv2d_4_bits_looped,
    conv2d_4_bits_small,
    packed_kernel,
)
from tinycompile.kernels.lane_pointwise import Pointwise
from tinycompile.kernels.lane_row_packed import (
    fully_connected_2_bits,
    fully_connected_2_bits_long,
    fully_connected_4_bits,
    fully_connected_4_bits_long,
    products_fit,
)
from tinycompile.kernels.low_bits import packed_groups, shared_words
from tinycompile.numerics.latitude import Latitude
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D

M4 = core_named("cortex-m4", dsp=True, fpu=True)


def low_bits(bits, op, x, weights, seed, low=None):
    """A layer with weights of so many bits, both ends among them."""
    site = layer(op, x, weights, 3 if isinstance(op, DepthwiseConv2D) else 0, seed)
    low, high = -(1 << bits - 1) if low is None else low, 1 << bits - 1
    values = np.random.default_rng(seed).integers(low, high, weights).astype(np.int8)
    values.flat[:2] = low, high - 1
    return replace(site, constants=(None, values, *site.constants[2:]))


def extreme(bits, inputs, seed):
    """A fully connected layer with weights at the ends, where differences are largest."""
    site = low_bits(bits, Conv2D(), (1, 1, 1, inputs), (20, 1, 1, inputs), seed)
    values = np.random.default_rng(seed).choice([-(1 << bits - 1), (1 << bits - 1) - 1], site.constant(1).shape)
    values[:4], values[4:6] = -(1 << bits - 1), (1 << bits - 1) - 1
    return replace(site, constants=(None, values.astype(np.int8), *site.constants[2:]))


def tiles_of(pairs, bits):
    """A factory for tiles of so many pairs of channels."""

    def factory(site, core):
        made = Pointwise.of(site, core) or Convolution.of(site, core, straight=True) or Convolution.of(site, core)
        return packed_kernel(made, pairs, bits)

    return factory


CASES = [
    (tiles_of(3, 4), low_bits(4, Conv2D(padding=(0, 1, 1, 0)), (1, 3, 7, 5), (9, 2, 2, 5), 1)),
    (tiles_of(3, 4), low_bits(4, Conv2D(), (1, 4, 5, 6), (9, 1, 1, 6), 3)),
    (conv2d_4_bits, low_bits(4, Conv2D(), (1, 4, 5, 12), (8, 1, 1, 12), 1)),
    (conv2d_4_bits, low_bits(4, Conv2D(clamp=(-60, 70)), (1, 1, 5, 6), (4, 1, 1, 6), 0)),
    (fully_connected_4_bits, low_bits(4, Conv2D(), (1, 1, 3, 22), (21, 1, 1, 22), 0)),
    (fully_connected_4_bits, low_bits(4, Conv2D(clamp=(-60, 70)), (1, 1, 1, 64), (8, 1, 1, 64), 1)),
    (fully_connected_4_bits_long, low_bits(4, Conv2D(), (1, 1, 1, 308), (70, 1, 1, 308), 1)),
    (conv2d_4_bits_small, low_bits(4, Conv2D(), (1, 8, 9, 64), (16, 1, 1, 64), 0)),
    (tiles_of(2, 3), low_bits(3, Conv2D(padding=(0, 1, 1, 0)), (1, 3, 7, 5), (11, 2, 2, 5), 1)),
    (tiles_of(4, 2), low_bits(2, Conv2D(padding=(0, 1, 1, 0)), (1, 3, 7, 5), (11, 2, 2, 5), 2)),
    (conv2d_3_bits, low_bits(3, Conv2D(), (1, 4, 5, 28), (6, 1, 1, 28), 1)),
    (conv2d_3_bits_small, low_bits(3, Conv2D(), (1, 8, 9, 64), (16, 1, 1, 64), 0)),
    (conv2d_2_bits, low_bits(2, Conv2D(), (1, 4, 5, 28), (6, 1, 1, 28), 1)),
    (conv2d_2_bits_small, low_bits(2, Conv2D(), (1, 8, 9, 64), (16, 1, 1, 64), 0)),
    (fully_connected_2_bits, low_bits(2, Conv2D(clamp=(-60, 70)), (1, 1, 3, 22), (21, 1, 1, 22), 0)),
    (fully_connected_2_bits_long, low_bits(2, Conv2D(), (1, 1, 1, 308), (70, 1, 1, 308), 1)),
    *((fully_connected_4_bits_long, extreme(4, inputs, 0)) for inputs in (514, 1537)),
    *((fully_connected_2_bits_long, extreme(2, inputs, 0)) for inputs in (514, 1537)),
    *(
        (factory, low_bits(bits, DepthwiseConv2D(padding=(1, 1, 1, 1)), (1, 5, 6, 9), (1, *window, 9), bits))
        for bits in (4, 2)
        for factory, window in ((depthwise_rows_compact, (3, 3)), (depthwise_bands_compact, (5, 3)))
    ),
    (fully_connected_4_bits, extreme(4, 518, 1)),
    (fully_connected_2_bits, extreme(2, 518, 1)),
    *(
        (looped, low_bits(bits, Conv2D(), (1, 4, 5, 28), (9, 1, 1, 28), bits))
        for looped, bits in ((conv2d_4_bits_looped, 4), (conv2d_3_bits_looped, 3), (conv2d_2_bits_looped, 2))
    ),
]
"""Windows at edges and odd channels, pixels of no whole words, all weights in one tile, pixels that fill no block, two
tiles; rows as a whole, and in parts; taps of no whole words."""


@pytest.mark.parametrize("case", [8, 14, 16, 18, 20, 23])
def test_portable_twin(case):
    """The other cases, and what cores with two pipelines have, are among those with strict alignment."""
    factory, site = CASES[case]
    kernel = check(factory, site)
    assert " bits each, unpacked" in kernel.notes["weights"]


def test_depthwise_taps_take_fewer_bytes():
    x, shape = (1, 5, 6, 9), (1, 3, 3, 9)
    sizes = {
        bits: depthwise_rows_compact(low_bits(bits, DepthwiseConv2D(), x, shape, 1), M7).constant_bytes
        for bits in (8, 4, 2)
    }
    assert sizes[8] - sizes[4] == sizes[4] - sizes[2] == 9 * 4  # three words, two and one


def test_on_the_core():
    check_emulated(CASES, "mps2-an386")


@pytest.mark.parametrize(("bits", "price", "small_price"), [(4, 1.07, 1.17), (3, 1.14, 1.24), (2, 1.09, 1.19)])
def test_bytes_are_fewer_and_instructions_few_more(bits, price, small_price):
    """In 3x3 and 1x1 layers of a usual size, whatever the tiles."""
    factories = {
        4: (conv2d_4_bits, conv2d_4_bits_small, conv2d_4_bits_looped),
        3: (conv2d_3_bits, conv2d_3_bits_small, conv2d_3_bits_looped),
        2: (conv2d_2_bits, conv2d_2_bits_small, conv2d_2_bits_looped),
    }[bits]
    for image, shape in (((8, 8, 64), (64, 3, 3, 64)), ((12, 12, 64), (128, 1, 1, 64))):
        padding = (shape[1] // 2,) * 4
        site = low_bits(bits, Conv2D(padding=padding), (1, *image), shape, 1)
        plain = Pointwise.of(site, M7) or Convolution.of(site, M7, straight=True)
        fast, small, looped = (factory(site, M7) for factory in factories)
        assert fast.constant_bytes == plain.weights.bytes - int(np.prod(shape)) * (8 - bits) // 8
        assert small is None or small.constant_bytes == fast.constant_bytes
        assert looped.constant_bytes == fast.constant_bytes and looped.code_bytes < 0.4 * fast.code_bytes
        assert looped.cycles < 1.5 * fast.cycles
        assert plain.work.cycles < fast.cycles < price * plain.work.cycles
        assert small is None or fast.cycles < small.cycles < small_price * plain.work.cycles
        assert small is None or small.scratch_bytes < fast.scratch_bytes <= plain.scratch_bytes + plain.weights.bytes


def test_which_layers_qualify():
    x, shape = (1, 4, 4, 4), (8, 1, 1, 4)
    for bits, factory in ((4, conv2d_4_bits), (3, conv2d_3_bits), (2, conv2d_2_bits)):
        assert factory(low_bits(bits, Conv2D(), x, shape, 0), M7) is not None
        assert factory(low_bits(bits, Conv2D(), x, shape, 0, low=-(1 << bits - 1) - 1), M7) is None
        assert factory(replace(low_bits(bits, Conv2D(), x, shape, 0), latitude=Latitude()), M7) is None
        assert factory(low_bits(bits, Conv2D(), x, (1, 1, 1, 4), 0), M7) is None  # a single channel


def test_rows_of_a_matrix():
    """A layer of a usual size; one whose differences may be too large, so that it is multiplied in parts."""
    four, two = (low_bits(bits, Conv2D(), (1, 1, 1, 640), (128, 1, 1, 640), 1) for bits in (4, 2))
    for core in (M7, M4):
        plain = fully_connected_long(four, core)
        for site, factory, bits in ((four, fully_connected_4_bits_long, 4), (two, fully_connected_2_bits_long, 2)):
            packed = factory(site, core)
            assert packed.constant_bytes == plain.constant_bytes - 640 * 128 * (8 - bits) // 8
            assert packed.price <= (1.1 if bits == 4 else 1.16) * plain.price
    sevens = np.full((2, 700), 7)
    assert products_fit(sevens[:, :350], 4)
    assert not products_fit(sevens, 4)
    assert not products_fit(-sevens, 4)
    assert products_fit(sevens[:1], 4)  # a first channel's may wrap


def test_words():
    weights = np.array([[-8, -7, 7, 0], [7, 0, 1, -1]])
    assert shared_words(weights, 4).ravel().tolist() == [0x789F81F0]
    weights = np.array([[-2, -1, 0, 1], [1, 1, 1, 1], [-2, -2, -2, 1], [0, 0, 0, 1]])
    assert shared_words(weights, 2).ravel().tolist() == [0xFF8E8D8C]
    weights = np.array([[-4, 3, 0, 0, 3, -4, -4, -4], *[[-4] * 8] * 2, [-1, -4, -4, -4, 3, -4, -4, -4]])
    assert packed_groups(weights, 3).view(np.uint32).ravel().tolist() == [0x000003C0, 0x000000C3, 0x01010190]
    assert packed_groups(weights[:, :4], 3).view(np.uint32).ravel().tolist() == [0x000003C0, 0x01010100]
