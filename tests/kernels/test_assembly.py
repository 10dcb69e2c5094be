"""The inline assembly in QEMU, against the same definitions as its portable twins on the host (`test_dsp`)."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.test_batch_matmul import product
from tests.kernels.test_dsp import layer
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.full import some
from tests.support.kernel_checks import int8, site_of
from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import Quantization, Site, TensorType
from tinycompile.kernels.base import Factory
from tinycompile.kernels.depthwise_bands import depthwise_bands
from tinycompile.kernels.depthwise_pairs import depthwise
from tinycompile.kernels.depthwise_rows import depthwise_rows
from tinycompile.kernels.depthwise_tiles import tiled
from tinycompile.kernels.dual_rows import fully_connected_dual
from tinycompile.kernels.elementwise import table
from tinycompile.kernels.lane import fully_connected, fully_connected_direct, fully_connected_long
from tinycompile.kernels.lane_conv2d import conv2d, conv2d_short_rows, conv2d_small, conv2d_straight
from tinycompile.kernels.lane_pointwise import conv2d_pointwise
from tinycompile.kernels.lane_strip import LONGEST_ROW, conv2d_strip, conv2d_strip_straight
from tinycompile.kernels.matrix_product import (
    matrix_product,
    matrix_product_by_columns,
    matrix_product_by_few_columns,
)
from tinycompile.kernels.matrix_row import matrix_row
from tinycompile.kernels.packed_pixels import conv2d_of_large_sums
from tinycompile.kernels.winograd import winograd
from tinycompile.kernels.winograd4 import winograd4
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.logistic import Logistic

ONE, NONE = (1, 1), (0, 0, 0, 0)


def dense(inputs: int, outputs: int, rows: int, clamp: tuple[int, int], seed: int) -> Site:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    bias = rng.integers(-3000, 3000, outputs).astype(np.int32)
    types = [
        int8((rows, inputs), 0.05, 7),
        TensorType(weights.shape, INT8, Quantization.per_tensor(0.004, 0)),
        TensorType(bias.shape, INT32),
    ]
    return site_of(FullyConnected(clamp), types, [None, weights, bias], int8((), 0.02 * inputs**0.5, -3))


def convolutions() -> list[tuple[Factory, Site]]:
    """Every number of groups modulo the loop's 4, blocks of 4 and of 3, windows inside and at the edges."""
    cases = list[tuple[Factory, Site]]()
    for seed, (depth, channels, pixels) in enumerate(
        [(4, 8, 4), (8, 2, 7), (12, 1, 9), (16, 3, 3), (20, 5, 1), (24, 6, 2), (28, 7, 5), (33, 10, 10), (64, 16, 6)]
    ):
        clamp = [(-128, 127), (-60, 70), (0, 127)][seed % 3]
        site = layer(Conv2D(ONE, ONE, NONE, clamp), (1, 1, pixels, depth), (channels, 1, 1, depth), 0, seed)
        cases += [(conv2d, site), (conv2d_small, site), (fully_connected, site)]
        if depth % 4 == 0:
            cases.append((fully_connected_direct, site))
    for seed, (stride, dilation, padding, window, depth) in enumerate(
        [
            ((1, 1), (1, 1), (1, 1, 1, 1), (3, 3), 3),
            ((2, 2), (1, 1), (0, 1, 0, 1), (3, 3), 16),
            ((1, 2), (2, 1), (2, 0, 1, 3), (3, 2), 8),
            ((2, 1), (1, 2), (0, 0, 2, 2), (1, 4), 5),
            ((2, 2), (1, 1), (4, 5, 1, 1), (10, 4), 1),
            ((2, 2), (1, 1), (0, 0, 0, 0), (1, 1), 6),
        ]
    ):
        op = Conv2D(stride, dilation, padding)
        site = layer(op, (1, 11, 9, depth), (5 + seed, *window, depth), 0, seed)
        cases += [(factory, site) for factory in (conv2d, conv2d_small)]
        if window[1] * depth < 16:
            cases.append((conv2d_short_rows, site))
        if dilation[1] == 1 and window != (1, 1) and window[1] * depth <= LONGEST_ROW:
            cases.append((conv2d_strip, site))
    return cases


def straight_convolutions() -> list[tuple[Factory, Site]]:
    """With and without a loop over inputs, two pairs a round, odd channels, other blocks; windows that share words."""
    cases = list[tuple[Factory, Site]]()
    for seed, (depth, channels, pixels, clamp) in enumerate(
        [
            (4, 2, 4, (0, 127)),
            (20, 8, 4, (-60, 70)),
            (33, 5, 7, (-60, 70)),
            (132, 6, 7, (-128, 127)),
            (196, 3, 9, (-60, 70)),
        ]
    ):
        site = layer(Conv2D(ONE, ONE, NONE, clamp), (1, 1, pixels, depth), (channels, 1, 1, depth), 0, seed)
        cases.append((conv2d_straight, site))
    for seed, (depth, channels, pixels, clamp) in enumerate(
        [(8, 5, 8, (-60, 70)), (14, 8, 16, (-128, 127)), (33, 3, 11, (-60, 70)), (72, 4, 12, (0, 127))]
    ):
        site = layer(Conv2D(ONE, ONE, NONE, clamp), (1, 1, pixels, depth), (channels, 1, 1, depth), 0, seed)
        cases.append((conv2d_pointwise, site))
    for seed, (image, window, depth, stride, dilation, padding) in enumerate(
        [
            ((17, 16), (3, 3), 3, (2, 2), ONE, (0, 1, 0, 1)),
            ((9, 12), (5, 3), 2, ONE, (2, 1), (2, 1, 1, 1)),
            ((6, 9), (3, 3), 3, ONE, ONE, (1, 1, 1, 1)),
        ]
    ):
        site = layer(Conv2D(stride, dilation, padding), (1, *image, depth), (4 + seed, *window, depth), 0, seed)
        cases.append((conv2d_strip_straight, site))
    return cases


def winograd_convolutions() -> list[tuple[Factory, Site]]:
    """Whole blocks and blocks at the edges, odd channels, padding of every kind."""
    return [
        (factory, layer(Conv2D(ONE, ONE, padding, clamp), (1, *image, depth), (channels, 3, 3, depth), 0, seed))
        for seed, (image, padding, depth, channels, clamp) in enumerate(
            [
                ((6, 16), (1, 1, 1, 1), 8, 4, (-128, 127)),
                ((5, 7), (1, 1, 1, 1), 5, 3, (-60, 70)),
                ((9, 11), (0, 2, 1, 0), 12, 5, (-128, 127)),
                ((4, 10), NONE, 4, 2, (0, 127)),
            ]
        )
        for factory in (winograd, winograd4)
        if factory is winograd or depth % 4 == 0
    ]


def depthwise_convolutions() -> list[tuple[Factory, Site]]:
    """Odd and even sizes, one column, channels beside a multiple of 4, every kind of window and clamp."""
    general, rows, bands = [depthwise], [depthwise_rows, depthwise_bands], [depthwise_bands]
    cases = list[tuple[Factory, Site]]()
    for seed, (kernels, image, window, stride, padding, clamp, channels) in enumerate(
        [
            (general, (9, 8), (3, 3), (2, 1), (1, 1, 1, 1), (-128, 127), 8),
            (general, (9, 8), (5, 5), (2, 2), (2, 2, 2, 2), (-60, 70), 3),
            (general, (9, 8), (3, 2), (3, 1), NONE, (-128, 127), 1),
            (rows, (6, 8), (3, 3), ONE, (1, 1, 1, 1), (-128, 127), 8),
            (rows, (5, 7), (3, 3), ONE, (1, 1, 1, 1), (-128, 127), 7),
            (rows, (5, 3), (2, 3), ONE, (0, 0, 1, 0), (-60, 70), 5),
            (rows, (3, 1), (3, 3), ONE, (1, 1, 1, 1), (0, 127), 4),
            (rows, (8, 9), (3, 3), (2, 2), (0, 1, 0, 1), (-128, 127), 6),
            (rows, (7, 6), (3, 1), (2, 2), (1, 1, 1, 1), (-60, 70), 4),
            (rows, (5, 2), (3, 3), (2, 2), (1, 0, 0, 1), (-128, 127), 9),
            ([tiled(4), tiled(8)], (6, 19), (3, 3), ONE, (1, 1, 1, 1), (-128, 127), 7),
            ([tiled(4), tiled(8)], (7, 21), (3, 3), (2, 2), (0, 1, 0, 1), (-60, 70), 8),
            (bands, (15, 8), (5, 5), ONE, (2, 2, 2, 2), (-128, 127), 5),
            (bands, (13, 7), (7, 7), ONE, (3, 3, 3, 3), (-60, 70), 4),
            (bands, (9, 8), (4, 6), (2, 2), (1, 2, 3, 0), (-128, 127), 6),
            (bands, (12, 5), (7, 7), (2, 2), (3, 3, 3, 3), (0, 127), 8),
        ]
    ):
        op = DepthwiseConv2D(stride, ONE, padding, clamp)
        site = layer(op, (1, *image, channels), (1, *window, channels), 3, seed)
        cases += [(kernel, site) for kernel in kernels]
    for seed, (depth, multiplier, stride) in enumerate([(4, 2, ONE), (6, 3, (2, 2)), (9, 2, ONE)]):
        op = DepthwiseConv2D(stride, ONE, (1, 1, 1, 1))
        cases.append((depthwise_rows, layer(op, (1, 7, 6, depth), (1, 3, 3, depth * multiplier), 3, seed)))
    return cases


CASES = [
    *convolutions(),
    *straight_convolutions(),
    *winograd_convolutions(),
    *depthwise_convolutions(),
    (conv2d_of_large_sums, layer(Conv2D(), (1, 2, 3, 3000), (2, 1, 1, 3000), 0, 0)),
    (fully_connected, dense(37, 19, 2, (-128, 127), 0)),
    (fully_connected_long, dense(149, 23, 4, (-128, 127), 0)),
    (fully_connected, dense(1501, 6, 2, (-128, 127), 0)),
    (fully_connected_long, dense(2398, 9, 1, (-60, 70), 1)),
    (fully_connected_direct, dense(1924, 9, 2, (0, 127), 2)),
    (fully_connected_direct, dense(192, 3, 2, (-60, 70), 3)),
    (fully_connected_long, dense(1000, 4, 1, (-128, 127), 4)),
    (fully_connected_dual, dense(1501, 6, 2, (-128, 127), 0)),
    (fully_connected_dual, dense(4000, 4, 1, (-60, 70), 1)),
    (fully_connected_dual, dense(22, 3, 3, (0, 127), 2)),
    (fully_connected_dual, dense(7, 2, 1, (0, 127), 2)),
    (fully_connected_dual, dense(4, 4, 1, (-128, 127), 3)),
    (matrix_product, product(((2,), (2,)), (5, 37, 9), (False, False), (3, -7, 5))),
    (matrix_product, product(((2,), ()), (3, 18, 3), (True, True), (-128, 127, 0))),
    (matrix_row, product(((2,), (2,)), (1, 19, 6), (False, True), (3, -128, 5))),
    (matrix_row, product(((2,), (2,)), (1, 18, 5), (False, False), (3, -7, 5))),
    (matrix_product_by_columns, product(((), ()), (4, 7, 41), (False, True), (5, -9, 3))),
    (matrix_product_by_few_columns, product(((), ()), (4, 7, 22), (True, False), (5, -9, 3))),
]


def test_all() -> None:
    check_emulated(CASES, "mps2-an500")


def test_tables() -> None:
    """Of whole rounds, of what is left of them, of neither."""
    y = int8((), 1 / 256, -128)
    sites = [site_of(Logistic(), [int8((size,), 0.05, 3)], [None], y) for size in (64, 119, 31)]
    check_emulated([(table, site) for site in sites], "mps2-an386")


@pytest.mark.parametrize("target", ["mps2-an386", "mps2-an505"])
def test_other_dsp_cores(target: str) -> None:
    check_emulated(some(CASES, 12), target)


def test_a_dsp_core_without_fpu_keeps_its_slots_on_the_stack() -> None:
    isa = core_named("cortex-m4", dsp=True)
    check_emulated(some(CASES, 12), "mps2-an386", isa=isa, core=("-mcpu=cortex-m4+nofp", "-mthumb", "-mfloat-abi=soft"))


@pytest.mark.parametrize("flags", [("-O0",), ("-Os",), ("-O2", "-DTC_PORTABLE")])
def test_other_ways_to_compile(flags: tuple[str, ...]) -> None:
    check_emulated(some(CASES, 12), "mps2-an500", *flags)
