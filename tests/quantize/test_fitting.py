"""Integers for a layer's weights that are chosen together."""

from __future__ import annotations

import numpy as np
import pytest

from tinycompile.ir import Array
from tinycompile.quantize.rounding import descended, one_by_one


def as_published(wanted: Array, moment: Array) -> Array:
    """GPTQ's algorithm 1, row by row: what a column's rounding costs is spread by the inverse's Cholesky factor."""
    result, left = np.empty_like(wanted), wanted.copy()
    for group in range(len(wanted)):
        factor = np.linalg.cholesky(np.linalg.inv(moment[group])).T
        for column in range(wanted.shape[2]):
            result[group, :, column] = np.clip(np.rint(left[group, :, column]), -127, 127)
            error = (left[group, :, column] - result[group, :, column]) / factor[column, column]
            left[group, :, column:] -= error[:, None] * factor[column, column:]
    return result


@pytest.mark.parametrize(("groups", "outputs", "depth"), [(1, 8, 24), (6, 1, 9), (2, 3, 12)])
def test_the_integers_of_gptq_without_its_inverse(groups: int, outputs: int, depth: int) -> None:
    rng = np.random.default_rng(depth)
    x = rng.normal(size=(groups, depth, 200))
    x[:, 1:] += 0.9 * x[:, :-1]
    moment, wanted = x @ x.swapaxes(1, 2) / 200 + 0.05 * np.eye(depth), rng.normal(0, 60, (groups, outputs, depth))

    def cost(integers: Array) -> Array:
        error = integers - wanted
        return np.einsum("gok,gkl,gol->go", error, moment, error)

    found = one_by_one(wanted, moment)
    np.testing.assert_array_equal(found, as_published(wanted, moment))
    assert cost(found).sum() < cost(np.clip(np.rint(wanted), -127, 127)).sum()
    lower = descended(found.copy(), wanted, moment)
    assert np.abs(lower).max() <= 127 and np.all(cost(lower) <= cost(found) + 1e-9)
