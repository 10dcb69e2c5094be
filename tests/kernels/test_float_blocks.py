"""Layers of floats whose weights are kept as the integers that they came from."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Node, Quantization, Signature, Site, TensorType
from tinycompile.kernels.base import Factory
from tinycompile.kernels.float_blocks import fully_connected
from tinycompile.numerics.block_scales import whole_numbers
from tinycompile.ops.fully_connected import FullyConnected

RANGES = {"middle": (-8, 7, 4), "beside 0": (0, 15, 4), "bytes": (-128, 127, 8)}


def layer(low: int, high: int, inputs: int, block: int, *, biased: bool) -> Site:
    rng = np.random.default_rng(inputs + block)
    numbers = rng.integers(low, high + 1, (5, inputs))
    if low == 0:  # a zero point for each block
        numbers -= np.repeat(rng.integers(0, 16, (5, -(-inputs // block))), block, axis=1)[:, :inputs]
    scale = rng.uniform(0.01, 0.1, (5, -(-inputs // block))).astype(np.float32)
    scale[0, 0] = 0
    weights = numbers.astype(np.float32) * np.repeat(scale, block, axis=1)[:, :inputs]
    quant = Quantization(scale, np.zeros(scale.shape, np.int64), 0, block)
    types = [TensorType((1, 3, inputs), FLOAT32), TensorType((5, inputs), FLOAT32, quant), TensorType((5,), FLOAT32)]
    constants = [None, weights, rng.normal(0, 1, 5).astype(np.float32)]
    count = 3 if biased else 2
    op = FullyConnected(bounds=(-4.0, 1.5) if biased else (-np.inf, np.inf))
    sig = Signature(tuple(types[:count]), (TensorType((1, 3, 5), FLOAT32),))
    return Site(Node("layer", op, ("x", "w", "b")[:count], ("y",)), sig, tuple(constants[:count]))


def cases() -> list[tuple[Factory, Site]]:
    return [(fully_connected, layer(low, high, 23, 5, biased=True)) for low, high, _ in RANGES.values()]


@pytest.mark.parametrize("form", RANGES)
@pytest.mark.parametrize(("inputs", "block", "biased"), [(32, 16, True), (23, 5, False)])
def test_c(form, inputs, block, biased):
    low, high, bits = RANGES[form]
    site = layer(low, high, inputs, block, biased=biased)
    kernel = fully_connected(site, M7)
    assert kernel is not None and kernel.variant == f"fully_connected_float_blocks_{bits}"
    x = np.random.default_rng(0).normal(0, 1, (1, 3, inputs)).astype(np.float32)
    (expected,) = site.node.op.evaluate(site.sig, [x, *site.constants[1:]])
    for share in (None, 0):
        got = run_kernel(
            kernel, [x, *[None] * (len(site.constants) - 1)], site.sig.output, share_operand=share, sanitize=True
        )
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)


def test_only_multiples_of_the_scales_are_integers():
    site = layer(-8, 7, 32, 16, biased=False)
    weights, quant = site.constant(1), site.sig.inputs[1].quant
    assert quant is not None and quant.block is not None
    assert whole_numbers(weights, quant.scale, quant.block) is not None
    assert whole_numbers(np.nextafter(weights, np.float32(9)), quant.scale, quant.block) is None
