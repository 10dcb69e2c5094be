"""Constants that aren't finite, such as the mask of causal attention, on the way through C."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.support.litert import Oracle
from tests.support.tflite_builder import NONE, TfliteBuilder

SIZE = 5


def masked() -> tuple[bytes, np.ndarray, np.ndarray]:
    """(model, input, LiteRT's output): scores plus a mask, once added and once selected, and their softmax."""
    shape = (1, SIZE, SIZE)
    future = np.triu(np.ones((SIZE, SIZE), bool), 1)
    b = TfliteBuilder()
    x, y = b.tensor(shape, dtype="float32"), b.tensor(shape, dtype="float32")
    added, chosen = b.tensor(shape, dtype="float32"), b.tensor(shape, dtype="float32")
    mask = b.constant(np.where(future, -np.inf, 0).astype(np.float32))
    lowest = b.constant(np.full(shape, -np.inf, np.float32))
    b.op("ADD", [x, mask], [added], FusedActivationFunction=NONE)
    b.op("SELECT_V2", [b.constant(future[None]), lowest, added], [chosen])
    b.op("SOFTMAX", [chosen], [y], Beta=1.0)
    model, values = b.build([x], [y]), np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)
    return model, values, Oracle(model).run([values])[y]


@pytest.mark.parametrize(
    ("target", "weights"), [("host", "embedded"), ("host", "separate"), ("mps2-an386", "embedded")]
)
@pytest.mark.filterwarnings("ignore::tinycompile.errors.FloatIslandWarning")
def test_a_causal_mask(target: str, weights: str, tmp_path: Path) -> None:
    model, values, expected = masked()
    path = tmp_path / "m.tflite"
    path.write_bytes(model)
    build = tinycompile.compile(path, target=target, weights=weights, output=tmp_path / "out")
    (y,) = build.run(values[None])
    np.testing.assert_allclose(y.reshape(expected.shape), expected, rtol=1e-5)
    assert (y.reshape(expected.shape)[0][np.triu_indices(SIZE, 1)] == 0).all()
