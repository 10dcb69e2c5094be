"""Depthwise convolutions as Toeplitz matrices: windows inside of, around and beside images, kinds of requantisation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.kernels.test_dsp import layer
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import M7, check
from tinycompile.ir import Site
from tinycompile.kernels.depthwise_frame import Frame
from tinycompile.kernels.depthwise_toeplitz import Columns, depthwise_toeplitz
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D

ANY, CLAMP, RELU = (-128, 127), (-60, 70), (5, 70)


def site_of_layer(
    image: tuple[int, int, int],
    window: tuple[int, int],
    stride: int,
    padding: tuple[int, int, int, int],
    clamp: tuple[int, int],
    seed: int,
) -> Site:
    op = DepthwiseConv2D((stride, stride), (1, 1), padding, clamp)
    return layer(op, (1, *image), (1, *window, image[2]), 3, seed)


LAYERS = [
    site_of_layer(image, window, stride, padding, clamp, seed)
    for seed, (image, window, stride, padding, clamp) in enumerate(
        [
            ((5, 5, 8), (7, 7), 1, (3, 3, 3, 3), ANY),
            ((3, 3, 7), (4, 4), 1, (1, 2, 1, 2), CLAMP),
            ((5, 5, 6), (5, 5), 2, (2, 2, 2, 2), RELU),
            ((4, 7, 5), (4, 3), 1, (1, 2, 1, 1), RELU),
            ((2, 8, 4), (2, 7), 1, (0, 1, 3, 3), ANY),
            ((5, 5, 200), (4, 3), 1, (1, 2, 1, 1), ANY),
            ((6, 2, 4), (4, 1), 1, (5, 0, 0, 0), CLAMP),
            ((3, 1, 5), (5, 3), 1, (2, 2, 1, 1), ANY),
            ((7, 6, 4), (5, 4), 2, (1, 2, 1, 2), ANY),
        ]
    )
]
CASES = [(depthwise_toeplitz, site) for site in LAYERS]


def test_every_kind_of_requantisation_occurs() -> None:
    requants = [frame.requant for site in LAYERS if (frame := Frame.of(site))]
    assert {(r.signed, r.clamp_steps > 0) for r in requants} == set(product((False, True), repeat=2))


def test_assembly() -> None:
    check_emulated(CASES, "mps2-an386")


@pytest.mark.parametrize("case", [0, 2])
def test_portable_twins(case: int) -> None:
    """On the host; in place where output and input are as large."""
    assert check(*CASES[case]).in_place == (case == 0)


def test_pairs_of_weights_are_the_convolution() -> None:
    """Rows of every width under windows of every width, with any padding: of what is left out all is 0."""
    rng = np.random.default_rng(0)
    for width, columns, left, right in product(range(1, 8), range(1, 8), range(3), range(3)):
        out_width = width + left + right - columns + 1
        if out_width < 1:
            continue
        row, taps = rng.integers(-99, 99, width), rng.integers(-99, 99, (1, 1, columns))
        pixels = np.pad(row, (0, width % 2)).reshape(-1, 2)
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(row, (left, right)), columns)
        expected = windows @ taps[0, 0]
        for odd in range(min(2, out_width)):
            each = Columns.of((out_width + 1 - odd) // 2, left - odd, columns, len(pixels))
            words, found = each.weights(taps)[0, 0], np.zeros(each.sums, np.int64)
            for i, j in each.products(width):
                found[i] += words[j - i - each.first] @ pixels[j]
            np.testing.assert_array_equal(found, expected[odd::2])


@pytest.mark.parametrize(
    "site",
    [
        site_of_layer((4, 9, 8), (5, 5), 1, (2, 2, 2, 2), ANY, 0),
        site_of_layer((3, 3, 3), (5, 5), 1, (2, 2, 2, 2), ANY, 0),
        site_of_layer((3, 8, 4), (4, 3), 1, (1, 2, 2, 2), ANY, 0),
        site_of_layer((3, 8, 600), (5, 5), 1, (2, 2, 2, 2), ANY, 0),
        site_of_layer((20, 8, 8), (5, 5), 1, (2, 2, 2, 2), ANY, 0),
        site_of_layer((5, 5, 8), (3, 3), 1, (1, 1, 1, 1), ANY, 0),
    ],
    ids=["wide", "few channels", "many outputs", "out of reach", "much code", "a small window"],
)
def test_other_layers_take_other_kernels(site: Site) -> None:
    assert depthwise_toeplitz(site, M7) is None
