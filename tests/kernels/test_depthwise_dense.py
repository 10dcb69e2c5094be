"""Depthwise convolutions of small images as matrices: every number of words, kinds of requantisation, far outputs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.test_dsp import layer
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import M7, check
from tinycompile.ir import Site
from tinycompile.kernels.depthwise_dense import depthwise_dense, matrix
from tinycompile.kernels.depthwise_frame import Frame
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D

ANY, CLAMP, RELU = (-128, 127), (-60, 70), (5, 70)


def site_of_layer(
    image: tuple[int, int, int], window: tuple[int, int], stride: int, clamp: tuple[int, int], seed: int
) -> Site:
    reach = [(size - 1) // 2 for size in window]
    op = DepthwiseConv2D((stride, stride), (1, 1), (reach[0], reach[0], reach[1], reach[1]), clamp)
    return layer(op, (1, *image), (1, *window, image[2]), 3, seed)


LAYERS = [
    site_of_layer(image, window, stride, clamp, seed)
    for seed, (image, window, stride, clamp) in enumerate(
        [
            ((3, 3, 8), (7, 7), 1, ANY),
            ((1, 1, 4), (3, 3), 1, ANY),
            ((2, 2, 7), (5, 5), 1, RELU),
            ((2, 3, 6), (7, 5), 1, CLAMP),
            ((4, 2, 5), (7, 7), 2, RELU),
            ((2, 4, 600), (7, 7), 1, ANY),
        ]
    )
]
CASES = [(depthwise_dense, site) for site in LAYERS]


def test_every_kind_of_requantisation_and_number_of_words_occurs() -> None:
    requants = [frame.requant for site in LAYERS if (frame := Frame.of(site))]
    assert {(r.signed, r.clamp_steps > 0) for r in requants} == {(a, b) for a in (False, True) for b in (False, True)}
    assert {-(-site.sig.input.shape[1] * site.sig.input.shape[2] // 2) for site in LAYERS} == {1, 2, 3, 4, 5}


def test_assembly() -> None:
    check_emulated(CASES, "mps2-an386")


@pytest.mark.parametrize("case", [0, 4])
def test_portable_twins(case: int) -> None:
    """On the host; in place where output and input are as large."""
    assert check(*CASES[case]).in_place == (case == 0)


def test_a_matrix_is_the_convolution() -> None:
    rng = np.random.default_rng(0)
    op = DepthwiseConv2D((2, 1), (1, 2), (1, 2, 3, 0))
    weights, image = rng.integers(-9, 9, (2, 3, 2)), rng.integers(-9, 9, (2, 3, 4))
    padded = np.pad(image, ((0, 0), (1, 2), (3, 0)))
    output = np.zeros((2, 2, 5), np.int64)
    for c, y, x, i, j in np.ndindex(2, 2, 5, 3, 2):
        output[c, y, x] += weights[c, i, j] * padded[c, 2 * y + i, x + 2 * j]
    found = np.einsum("cop,cp->co", matrix(op, (3, 4), (2, 5), weights), image.reshape(2, -1))
    np.testing.assert_array_equal(found, output.reshape(2, -1))


@pytest.mark.parametrize(
    ("image", "window"), [((3, 3, 8), (3, 3)), ((3, 4, 8), (7, 7)), ((3, 3, 3), (7, 7))], ids=["small", "large", "few"]
)
def test_other_layers_take_other_kernels(image: tuple[int, int, int], window: tuple[int, int]) -> None:
    """Matrices larger than their windows, images beyond the registers, channels that aren't packed together."""
    assert depthwise_dense(site_of_layer(image, window, 1, ANY, 0), M7) is None
