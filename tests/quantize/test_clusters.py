"""Few different weights: k-means that nothing beats, and weights chosen together that lose less."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from tinycompile.quantize.clusters import cluster_weights, means_of


def lost(counts: np.ndarray, values: np.ndarray) -> float:
    points = np.arange(-127, 128)
    return float((counts * np.square(points[:, None] - values).min(axis=1)).sum())


@pytest.mark.parametrize("number", [2, 3])
def test_no_other_whole_numbers_are_nearer(number: int) -> None:
    counts = np.zeros(255)
    counts[127 + np.array([-9, -7, -2, 0, 1, 5, 8])] = [3, 1, 0.5, 9, 2, 1, 4]
    found = means_of(counts, number)
    least = min(lost(counts, np.array(each)) for each in combinations(range(-10, 10), number))
    assert lost(counts, found) == pytest.approx(least)
    assert found.size == number


def test_as_many_values_as_there_are_lose_nothing() -> None:
    counts = np.zeros(255)
    counts[[0, 100, 254]] = 1
    assert means_of(counts, 16).tolist() == [-127, -27, 127]
    assert means_of(np.zeros(255), 4).size == 0


def problem(parts: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    weights = rng.normal(0, 1, (parts, 24, 18)).astype(np.float32)
    weights *= rng.uniform(0.1, 3, (parts, 24, 1)).astype(np.float32)
    x = rng.normal(0, 1, (parts, 18, 18)) @ rng.normal(0, 1, (parts, 18, 400))
    return weights, np.abs(weights).max(axis=2) / 127, (x @ x.swapaxes(1, 2) / 400).astype(np.float32)


@pytest.mark.parametrize(("parts", "number"), [(1, 16), (1, 4), (2, 2)])
def test_weights_chosen_together_lose_less(parts: int, number: int) -> None:
    weights, scales, moment = problem(parts)
    found = cluster_weights(weights, scales, moment, number, 0.01)
    assert np.unique(found.codes).size <= number
    error = found.codes * found.scales[..., None] - weights
    form = np.einsum("god,gde,goe->", error, moment, error) / np.einsum("god,gde,goe->", weights, moment, weights)
    assert found.noise == pytest.approx(form, rel=1e-3)
    points = np.rint(weights / scales[..., None]).astype(int)
    each = np.einsum("gkk->gk", moment)[:, None] * np.square(scales)[..., None]
    values = means_of(np.bincount((points + 127).ravel(), each.ravel(), minlength=255), number)
    nearest = values[np.abs(points[..., None] - values).argmin(axis=-1)] * scales[..., None] - weights
    alone = np.einsum("god,gde,goe->", nearest, moment, nearest) / np.einsum("god,gde,goe->", weights, moment, weights)
    assert found.noise < 0.6 * alone


def test_weights_or_operands_of_zero() -> None:
    weights, scales, moment = problem()
    assert not np.any(cluster_weights(0 * weights, scales, moment, 4, 0.01).codes)
    found = cluster_weights(weights, scales, 0 * moment, 4, 0.01)
    assert np.isfinite(found.scales).all() and np.unique(found.codes).size <= 4
