"""Weights of 4 and 2 bits with a factor for each block, by the byte-lane product."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.ops.samples import blockwise
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import M7, check
from tinycompile.ir import Node, Site
from tinycompile.kernels.base import Factory
from tinycompile.kernels.blockwise_layers import portable
from tinycompile.kernels.blockwise_packed import blockwise_packed
from tinycompile.numerics.latitude import Latitude


def site(shape: tuple[int, ...], outputs: int, block: int, *, wide: bool, bits: int = 4) -> Site:
    """The first two rows of weights are the least and the largest throughout."""
    sample = blockwise(np.random.default_rng(block), shape, outputs, block, wide=wide)
    low, high = -(1 << bits - 1), 1 << bits - 1
    weights = np.random.default_rng(outputs).integers(low, high, (outputs, shape[-1])).astype(np.int8)
    if wide:  # of others the rule knows how far sums reach
        weights[0], weights[1] = low, high - 1
    else:
        weights = np.clip(sample.constants[1], low, high - 1)
    constants = (None, weights, sample.constants[2])
    return Site(Node("layer", sample.op, ("x", "w", "f"), ("y",)), sample.sig, constants)


def cases() -> list[tuple[Factory, Site]]:
    """Odd groups, a shorter last block, one of no whole group; channels that fill no eight; all bits and sums."""
    return [
        (blockwise_packed, site((3, 100), 11, 32, wide=False)),
        (blockwise_packed, site((1, 37), 8, 12, wide=True)),
        (blockwise_packed, site((2, 300), 9, 256, wide=True)),
        (blockwise_packed, site((1, 70), 12, 16, wide=False, bits=2)),
        (blockwise_packed, site((1, 300), 5, 256, wide=True, bits=2)),
    ]


@pytest.mark.parametrize("case", [0, 4])
def test_portable_twin(case: int) -> None:
    check(*cases()[case])


def test_on_the_core() -> None:
    check_emulated(cases(), "mps2-an386")


def test_which_layers_qualify() -> None:
    four = site((1, 64), 8, 32, wide=True)
    assert blockwise_packed(four, M7) is not None
    assert blockwise_packed(site((1, 64), 8, 32, wide=True, bits=5), M7) is None
    assert blockwise_packed(site((1, 64), 8, 6, wide=True), M7) is None
    assert blockwise_packed(site((1, 600), 8, 300, wide=True), M7) is None
    assert blockwise_packed(replace(four, latitude=Latitude()), M7) is None


def test_bytes_and_instructions_are_fewer() -> None:
    layer = site((1, 640), 128, 32, wide=True)
    plain, packed = portable(layer, M7), blockwise_packed(layer, M7)
    assert plain is not None and packed is not None
    assert packed.price < 0.4 * plain.price
    assert packed.constants[0].bytes == plain.constants[0].bytes // 2
