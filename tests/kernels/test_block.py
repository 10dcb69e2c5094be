"""Kernels for cores without SIMD: portable C on the host, assembly for M0+ and M3 in QEMU, against the definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.test_assembly import dense
from tests.kernels.test_batch_matmul import product
from tests.kernels.test_dsp import clamps, layer, paddings, pairs, quick
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated, run_program
from tests.support.full import some
from tests.support.kernel_checks import check, check_if_taken, int8, site_of
from tinycompile.dtypes import FLOAT32, UINT8
from tinycompile.ir import Quantization, Site, TensorType
from tinycompile.kernels import block_row, packed_depthwise, packed_pixels
from tinycompile.kernels.base import Factory
from tinycompile.kernels.block import (
    conv2d,
    conv2d_2_bits,
    conv2d_4_bits,
    depthwise,
    fully_connected,
    fully_connected_2_bits,
    fully_connected_4_bits,
    low_bit_weights,
    paired_weights,
)
from tinycompile.kernels.float_edges import quantize_search
from tinycompile.kernels.matrix_tiles import matrix_tiles
from tinycompile.kernels.winograd4 import winograd4_halves
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.quantize import Quantize

M0, M7 = core_named("cortex-m0plus"), core_named("cortex-m7", dsp=True)
ONE, NONE = (1, 1), (0, 0, 0, 0)

CONVOLUTIONS = (conv2d, packed_pixels.conv2d)
DEPTHWISE = (depthwise, packed_depthwise.depthwise, packed_depthwise.depthwise_turned)


@quick
@given(pairs, pairs, pairs, paddings, clamps, st.integers(1, 9), st.integers(1, 5), st.integers(0, 99))
def test_convolution(kernel, stride, dilation, padding, clamp, depth, channels, seed):
    op = Conv2D(stride, dilation, padding, clamp)
    site = layer(op, (1, 7, 8, depth), (channels, *kernel, depth), 0, seed)
    check_if_taken(CONVOLUTIONS[seed % 2], site, M0)


@quick
@given(pairs, pairs, pairs, paddings, clamps, st.integers(1, 9), st.integers(0, 99))
def test_depthwise(kernel, stride, dilation, padding, clamp, channels, seed):
    site = layer(
        DepthwiseConv2D(stride, dilation, padding, clamp), (1, 7, 8, channels), (1, *kernel, channels), 3, seed
    )
    check_if_taken(DEPTHWISE[seed % 3], site, M0)


@pytest.mark.parametrize("multiplier", [2, 3])
@pytest.mark.parametrize("channels", [1, 4])
def test_depthwise_with_a_channel_multiplier(channels, multiplier):
    outputs = channels * multiplier
    op = DepthwiseConv2D((1, 2), ONE, (1, 1, 2, 0))
    site = layer(op, (1, 6, 7, channels), (1, 3, 4, outputs), 3, multiplier)
    check(DEPTHWISE[(channels + multiplier) % 3], site, M0)
    assert (conv2d(site, M0) is not None) == (channels == 1)
    if channels == 1:
        check(CONVOLUTIONS[multiplier % 2], site, M0)


MULTIPLIED = (packed_depthwise.depthwise_multiplied, packed_depthwise.depthwise_multiplied_turned)


def several_outputs() -> Site:
    """Of each channel, by windows larger than 3x3."""
    return layer(DepthwiseConv2D((2, 1), ONE, (1, 2, 2, 0)), (1, 9, 7, 3), (1, 5, 4, 6), 3, 5)


@pytest.mark.parametrize("factory", MULTIPLIED)
def test_windows_of_several_outputs_of_a_channel_with_lanes(factory: Factory):
    """Wherever the DSP extension is, for a multiplier only; the report says what it costs."""
    window, op = (5, 4), DepthwiseConv2D((2, 1), ONE, (1, 2, 2, 0))
    site = several_outputs()
    check(factory, site, M7)
    kernel = factory(site, M7)
    assert kernel is not None and "multiplier" in kernel.notes["reason"]
    assert factory(layer(op, (1, 9, 7, 3), (1, *window, 3), 3, 5), M7) is None


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (7, 3), (640, 8)])
def test_fully_connected(rows, inputs, outputs):
    factories = (block_row.fully_connected,) if rows == 1 else (fully_connected, packed_pixels.fully_connected)
    check(factories[inputs % len(factories)], dense(inputs, outputs, rows, (-128, 127), 0), M0)


def test_which_fully_connected_layers_are_taken():
    """A row by four channels, several as pixels."""
    for rows in (1, 3):
        site = dense(7, 3, rows, (-128, 127), 0)
        assert (block_row.fully_connected(site, M0) is None) == (rows > 1)
        assert (packed_pixels.fully_connected(site, M0) is None) == (rows == 1)


def test_weights_stand_in_pairs_of_channels():
    packed = paired_weights(np.array([[1, -128, 3, 4, 5], [6, 7, 8, 9, 127], [0, 0, 0, 0, -1]])).reshape(2, 8, 2)
    assert packed[0, :5].tolist() == [[129, 134], [0, 135], [131, 136], [132, 137], [133, 255]]
    assert np.all(packed[0, 5:] == 128) and np.all(packed[1, :, 1] == 128)


HIGH_PRODUCTS = """
#include "kernels/tc_bytes.h"

static const int32_t edges[] = {0, 1, -1, 0x7FFF, 0x8000, -0x8000, 0xFFFF, 0x10000, -0x10000, 0x7FFF0000, 0x7FFF7FFF,
                                0x7FFF8000, 0x7FFFFFFF, -0x7FFFFFFF, -0x7FFFFFFF - 1, 0x12345678, -0x12345678};

int main(void)
{
    uint32_t random = 1;
    const uint32_t count = sizeof edges / sizeof edges[0];
    for (uint32_t i = 0; i < 20000; i++) {
        random = random * 1664525u + 1013904223u;
        const int32_t a = i < count * count ? edges[i / count] : (int32_t)random;
        random = random * 1664525u + 1013904223u;
        const int32_t b = i < count * count ? edges[i % count] : (int32_t)random;
        const int64_t product = (int64_t)a * b;
        if (tc_smmla(a, b, 5) != (int32_t)((uint32_t)(product >> 32) + 5u)) {
            return 4;
        }
        if (tc_smmlar(a, b, 5) != (int32_t)((uint32_t)((product + 0x80000000) >> 32) + 5u)) {
            return 5;
        }
        const int32_t low = (int16_t)((uint32_t)b & 0xFFFFu);
        if (tc_multiply_low(5, a, (uint32_t)b) != (int32_t)((uint32_t)(((int64_t)a * low) >> 16) + 5u)) {
            return 6;
        }
        if (tc_multiply_high(5, a, (uint32_t)b) != (int32_t)((uint32_t)(((int64_t)a * (b >> 16)) >> 16) + 5u)) {
            return 7;
        }
    }
    return 0;
}
"""


def test_high_products_from_halves_are_exact():
    run_program(HIGH_PRODUCTS, "mps2-an385", core=("-mcpu=cortex-m0plus", "-mthumb"))


def with_bits(bits: int, site: Site) -> Site:
    """The layer with smaller weights."""
    weights = np.clip(site.constant(1) // (1 << 7 - bits), -(1 << bits - 1), (1 << bits - 1) - 1).astype(np.int8)
    return replace(site, constants=(None, weights, *site.constants[2:]))


@pytest.mark.parametrize(("bits", "factory"), [(4, conv2d_4_bits), (2, conv2d_2_bits)])
def test_weights_of_few_bits(bits: int, factory: Factory):
    site = layer(Conv2D(padding=(1, 1, 1, 1)), (1, 6, 5, 5), (5, 3, 3, 5), 0, 3)
    assert factory(site, M0) is None
    plain, packed = conv2d(with_bits(bits, site), M0), check(factory, with_bits(bits, site), M0)
    assert packed.constants[0].bytes == plain.constants[0].bytes * bits // 8
    assert plain.instructions <= packed.instructions <= 1.12 * plain.instructions


def test_how_weights_share_bytes():
    assert low_bit_weights(np.array([[-8, 7, 0, 1], [7, -8, 0, -1]]), 4).tolist() == [0xF0, 0x0F, 0x88, 0x79]
    four = np.array([[-8, 7, 0, 0], [7, -8, 0, 0], [0, 0, 1, 0], [-1, 0, 0, 0]])
    assert block_row.weights_of_fours(four, 4).tolist() == [0xF0, 0x78, 0x0F, 0x88, 0x88, 0x89, 0x88, 0x88]
    assert block_row.weights_of_fours(four.clip(-2, 1), 2).tolist() == [0x6C, 0xA3, 0xBA, 0xAA]
    assert low_bit_weights(np.array([[-2, 1, 0, 1], [1, -2, 0, -1]]), 2).tolist() == [0x3C, 0x7A]


def cases() -> list[tuple[Factory, Site]]:
    """Taps beside a multiple of 4 and 8, odd channels and pixels, every kind of window, clamp and line."""
    found: list[tuple[Factory, Site]] = [
        (fully_connected, dense(37, 19, 2, (-128, 127), 0)),
        (packed_pixels.fully_connected, dense(37, 19, 13, (-128, 127), 0)),
        (block_row.fully_connected, dense(37, 19, 1, (-60, 70), 0)),
        (block_row.fully_connected, dense(4, 3, 1, (-128, 127), 0)),
        (matrix_tiles, product(((2,), (2,)), (5, 37, 9), (False, False), (3, -7, 5))),
        (matrix_tiles, product(((2,), ()), (1, 18, 3), (True, True), (-128, 127, 0))),
    ]
    for seed, (window, depth, channels, stride, dilation, padding) in enumerate(
        [
            ((1, 1), 64, 6, ONE, ONE, NONE),
            ((1, 1), 20, 5, (2, 2), ONE, NONE),
            ((3, 3), 3, 8, ONE, ONE, (1, 1, 1, 1)),
            ((3, 3), 8, 7, (2, 2), ONE, (0, 1, 0, 1)),
            ((3, 2), 4, 2, (1, 2), (2, 1), (2, 0, 1, 3)),
            ((1, 4), 5, 3, (2, 1), (1, 2), (0, 0, 2, 2)),
            ((10, 4), 1, 8, (2, 2), ONE, (4, 5, 1, 1)),
        ]
    ):
        clamp = [(-128, 127), (-60, 70), (0, 127)][seed % 3]
        op = Conv2D(stride, dilation, padding, clamp)
        site = layer(op, (1, 11, 9, depth), (channels, *window, depth), 0, seed)
        found.append((CONVOLUTIONS[1 - seed % 2], site))
        spatial = DepthwiseConv2D(stride, dilation, padding, clamp)
        site = layer(spatial, (1, 11, 9, channels), (1, *window, channels), 3, seed)
        found.append((DEPTHWISE[(2, 0, 2, 1, 1, 0, 0)[seed]], site))
    padded = layer(Conv2D((2, 2), ONE, (0, 1, 0, 1)), (1, 11, 9, 8), (7, 3, 3, 8), 0, 3)
    found += [(conv2d_4_bits, with_bits(4, padded)), (conv2d_2_bits, with_bits(2, padded))]
    rows = dense(37, 19, 3, (-60, 70), 0)
    found += [(fully_connected_4_bits, with_bits(4, rows)), (fully_connected_2_bits, with_bits(2, rows))]
    row = dense(37, 19, 1, (-60, 70), 0)
    found.append((block_row.fully_connected_4_bits, with_bits(4, row)))
    found.append((block_row.fully_connected_2_bits, with_bits(2, row)))
    floats = TensorType((1, 300), FLOAT32)
    for ties, y in (("away", int8((), 0.25, -5)), ("even", TensorType((), UINT8, Quantization.per_tensor(0.4, 130)))):
        found.append((quantize_search, site_of(Quantize(y.dtype, ties=ties), [floats], [None], y)))
    return found


def winograd_cases() -> list[tuple[Factory, Site]]:
    """Every kind of loop over pairs of input channels; whole blocks and blocks at the edges, odd channels, clamps."""
    return [
        (winograd4_halves, layer(Conv2D(ONE, ONE, padding, clamp), (1, *image, depth), (channels, 3, 3, depth), 0, 1))
        for image, padding, depth, channels, clamp in (
            ((4, 6), NONE, 4, 2, (-128, 127)),
            ((8, 8), (1, 1, 1, 1), 12, 5, (-60, 70)),
            ((5, 14), (0, 2, 1, 0), 16, 3, (0, 127)),
            ((6, 7), (2, 0, 1, 1), 32, 4, (-128, 127)),
        )
    ]


def test_thumb1_on_a_larger_core():
    """The M3 runs ARMv6-M code; start-up makes it trap unaligned access like the M0+."""
    check_emulated(cases(), "mps2-an385", isa=M0, core=("-mcpu=cortex-m0plus", "-mthumb"))


@pytest.mark.parametrize("flags", [("-O0",), ("-Os",), ("-O2", "-DTC_PORTABLE")])
def test_other_ways_to_compile(flags):
    check_emulated(some(cases()), "mps2-an385", *flags, isa=M0, core=("-mcpu=cortex-m0plus", "-mthumb"))


def test_thumb2_without_simd():
    check_emulated([*cases(), *winograd_cases()], "mps2-an385")


def test_where_winograd_is_offered():
    """Cores with assembly for it: a Thumb-1 core or a PC would take longer than with the products as they are."""
    (_, site), *_ = winograd_cases()
    taken = {name: winograd4_halves(site, core_named(name)) for name in ("cortex-m3", "cortex-m0plus", "host")}
    assert [name for name, kernel in taken.items() if kernel] == ["cortex-m3"]
    assert winograd4_halves(site, M7) is None
