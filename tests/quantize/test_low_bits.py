"""Codes and scales of few bits for the weights of a layer."""

from __future__ import annotations

import numpy as np
import pytest

from tinycompile.ir import Array
from tinycompile.quantize.low_bits import (
    WEIGHT_BITS,
    WEIGHT_METHODS,
    LowBitWeights,
    column_blocks,
    fit_weights,
    levels_of,
)

SHAPES = [(1, 8, 24), (6, 1, 9), (2, 3, 12)]


def layer(parts: int, outputs: int, depth: int) -> tuple[Array, Array]:
    """(weights, moment) with operands that depend on each other and differ in power."""
    rng = np.random.default_rng(depth)
    x = rng.normal(size=(parts, depth, 200)) * rng.uniform(0.1, 3, (1, depth, 1))
    x[:, 1:] += 0.9 * x[:, :-1]
    return rng.normal(0, 0.1, (parts, outputs, depth)).astype(np.float32), x @ x.swapaxes(1, 2) / 200


def squares(found: LowBitWeights, weights: Array, moment: Array) -> Array:
    error = found.weights.astype(np.float64) - weights
    return np.einsum("god,gde,goe->go", error, moment, error)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", WEIGHT_BITS)
def test_learned_is_never_worse_and_bits_pay(shape: tuple[int, int, int], bits: int) -> None:
    weights, moment = layer(*shape)
    found = {method: fit_weights(weights, moment, bits, method=method, damping=1e-6) for method in WEIGHT_METHODS}
    low, high = levels_of(bits)
    for each in found.values():
        assert each.codes.min() >= low and each.codes.max() <= high and each.scales.min() > 0
        np.testing.assert_allclose(each.errors, squares(each, weights, moment), rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(each.power, np.einsum("god,gde,goe->go", weights, moment, weights), rtol=1e-4)
    for other in ("nearest", "awq"):
        assert np.all(found["learned"].errors <= found[other].errors * (1 + 1e-4))
    assert found["learned"].noise < 0.9 * found["nearest"].noise
    if bits < 8:
        assert fit_weights(weights, moment, bits * 2 if bits < 3 else 8).noise < found["learned"].noise / 3


def test_the_codes_of_weights_that_are_on_a_grid_are_found() -> None:
    rng = np.random.default_rng(1)
    codes, scales = rng.integers(-8, 8, (1, 16, 40)), rng.uniform(0.01, 1, (1, 16, 1)).astype(np.float32)
    codes[..., 0] = -8
    weights = (codes * scales).astype(np.float32)
    for method in WEIGHT_METHODS:
        found = fit_weights(weights, None, 4, method=method)
        np.testing.assert_allclose(found.weights, weights, rtol=1e-5)
        np.testing.assert_array_equal(found.codes, codes)


@pytest.mark.parametrize("group", [8, 10])
def test_a_scale_for_each_group_costs_less_than_one_for_all(group: int) -> None:
    weights, moment = layer(1, 8, 24)
    weights *= np.repeat([0.1, 1.0, 5.0], 8)
    blocks = column_blocks(24, group)
    for method in WEIGHT_METHODS:
        found = fit_weights(weights, moment, 3, blocks=blocks, method=method)
        assert found.scales.shape == (1, 8, 3)
        assert found.noise < fit_weights(weights, moment, 3, method=method).noise
        np.testing.assert_array_equal(found.weights, found.codes * np.repeat(found.scales, np.bincount(blocks), axis=2))
        # Each row's scales are one number times 1 to 15, exactly: what int32 sums of all blocks can be made of.
        factors = found.scales / (found.scales.max(axis=2, keepdims=True).astype(np.float64) / 15)
        assert set(factors.ravel()) <= set(range(1, 16))


def test_the_last_group_may_be_smaller() -> None:
    assert column_blocks(6, None).tolist() == [0] * 6
    assert column_blocks(5, 2).tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e15])
def test_of_any_size(factor: float) -> None:
    """Rows of zeros, operands that are always zero, and units as strange as float32 has."""
    weights, moment = layer(1, 8, 24)
    weights[0, 3] = 0
    moment[:, 5] = moment[:, :, 5] = 0
    for method in WEIGHT_METHODS:
        plain = fit_weights(weights, moment, 4, method=method)
        found = fit_weights(weights * np.float32(factor), moment, 4, method=method)
        assert np.all(np.isfinite(found.scales)) and not found.codes[0, 3].any()
        assert found.noise == pytest.approx(plain.noise, rel=0.05)
