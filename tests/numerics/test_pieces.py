from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tinycompile.numerics.pieces import INPUTS, Pieces

X = (np.arange(INPUTS) - 41000).astype(np.float32) * np.float32(0.0003)
FUNCTIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "a sigmoid": (lambda x: 60000 / (1 + np.exp(-x)) - 30000, 4000),
    "a square root": (lambda x: 9000 * np.sqrt(np.maximum(x, 0)) - 30000, 8000),
    "a kink": (lambda x: np.maximum(x * np.float32(7000), -20000), 4000),
    "steps": (lambda x: np.floor(x) * 3001, 1000),
    "turns": (lambda x: 32000 * np.sin(np.float32(2) * x), 20000),
}


@pytest.mark.parametrize(("function", "most"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_all_results_are_the_functions(function, most):
    reals = function(X).astype(np.float32).astype(np.float64)
    results = np.clip(np.rint(reals), -(1 << 15), (1 << 15) - 1).astype(np.int64)
    form = Pieces.of(reals, results)
    np.testing.assert_array_equal(form.results(), results)
    assert form.bytes < most


def test_exceptions_are_near_where_results_change():
    """Nobody looks for them elsewhere."""
    reals = 30000 * np.tanh(X.astype(np.float64))
    form = Pieces.of(reals, np.rint(reals).astype(np.int64))
    shifted, above = form.before_exceptions()
    off = shifted != np.rint(reals)
    one = 1 << form.fraction
    assert form.exceptions.tolist() == np.flatnonzero(off).tolist()
    assert np.all((above[off] < form.near) | (above[off] >= one - form.near))
    assert 0 < form.near < one // 10
    with pytest.raises(ValueError, match="1,024 parabolas"):
        Pieces.of(reals, np.rint(reals).astype(np.int64) + 2)
