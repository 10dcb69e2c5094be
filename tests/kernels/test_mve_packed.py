"""Weights of 4 and 2 bits by Helium."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.test_assembly import dense
from tests.kernels.test_dsp import layer
from tests.kernels.test_mve import M55
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import check
from tinycompile.ir import Site
from tinycompile.kernels import mve
from tinycompile.kernels.base import Factory
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.mve import conv2d_2_bits, conv2d_4_bits, fully_connected_2_bits, fully_connected_4_bits
from tinycompile.kernels.mve_packed import Packing
from tinycompile.ops.conv2d import Conv2D


def within(low: int, high: int, site: Site) -> Site:
    """The layer with weights from `low` to `high`, both among them; -8 beside one below 0 can't be folded."""
    weights = np.random.default_rng(-low).integers(low, high, site.constant(1).shape, endpoint=True)
    weights[0].flat[:2], weights[1].flat[:2] = low, (low, high)
    return replace(site, constants=(None, weights.astype(np.int8), *site.constants[2:]))


def convolution(clamp: tuple[int, int] = (-128, 127)) -> Site:
    """Several rows and partial blocks of channels."""
    return layer(Conv2D((1, 2), padding=(1, 0, 1, 1), clamp=clamp), (1, 5, 7, 18), (7, 3, 2, 18), 0, 1)


def cases() -> list[tuple[Factory, Site]]:
    """Every way, by pairs of pixels and by single ones; groups in a loop; several rows; odd channels."""
    found = list[tuple[Factory, Site]]()
    for low, high in ((-7, 7), (-8, 7), (-2, 1)):
        rows, windows = (
            (fully_connected_2_bits, conv2d_2_bits) if low == -2 else (fully_connected_4_bits, conv2d_4_bits)
        )
        found.append((rows, within(low, high, dense(37, 19, 3, (-128, 127), 0))))
        found.append((rows, within(low, high, dense(230, 8, 1, (-60, 70), 1))))
        found.append((windows, within(low, high, convolution())))
    return found


@pytest.mark.parametrize("case", [1, 3, 8])
def test_portable_twin(case: int) -> None:
    kernel = check(*cases()[case], M55)
    assert kernel.notes["weights"].endswith(" bits each, unpacked in registers")


def test_on_the_core() -> None:
    check_emulated(cases(), "mps3-an547")


def test_bytes_are_fewer_and_instructions_few_more() -> None:
    site = dense(640, 128, 1, (-128, 127), 0)
    plain = mve.fully_connected(site, M55)
    assert plain is not None
    for factory, low, high, bits, most in (
        (fully_connected_4_bits, -7, 7, 4, 1.05),
        (fully_connected_4_bits, -8, 7, 4, 1.24),
        (fully_connected_2_bits, -2, 1, 2, 1.35),
    ):
        packed = factory(within(low, high, site), M55)
        assert packed is not None and packed.constant_bytes == plain.constant_bytes - 640 * 128 * (8 - bits) // 8
        assert packed.price <= most * plain.price


def test_which_ways_layers_have() -> None:
    """A pair of channels folds where 16 times the second one's weight plus the first one's is a byte."""
    site = dense(2, 3, 1, (-128, 127), 0)

    def way(*weights: tuple[int, int]) -> Packing | None:
        return Packing.of(
            LinearLayer.of(replace(site, constants=(None, np.array(weights, np.int8), *site.constants[2:]))), 4
        )

    assert way((-8, 7), (-7, -8), (-8, -8)) == Packing(4, folded=True)
    assert way((-8, 7), (-8, 7), (0, 0)) == Packing(4, folded=False)
    assert way((-9, 7), (0, 0), (0, 0)) is None
