"""Weights with a scale for every block of a row."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.kernel_checks import M7
from tests.support.tflite_builder import NO_TENSOR, RELU, TfliteBuilder
from tinycompile import interpreter
from tinycompile.dtypes import DType
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.kernels import kernels_of
from tinycompile.report.weights import layer_weights

pytestmark = pytest.mark.filterwarnings("ignore::tinycompile.errors.FloatIslandWarning")


def model(dtype: str = "int4", blocks: dict[int, int] | None = None) -> tuple[bytes, np.ndarray]:
    """A FULLY_CONNECTED of 3 rows of 8 weights, and the numbers that they stand for."""
    rng, b, t = np.random.default_rng(0), TfliteBuilder(), DType.of(dtype)
    values = rng.integers(t.range[0], t.range[1] + 1, (3, 8)).astype(t.carrier)
    scales = rng.uniform(0.1, 1, (3, 2)).astype(np.float16)
    x, y = b.tensor((2, 8), dtype="float32"), b.tensor((2, 3), dtype="float32")
    where = b.constant(scales)
    weights = b.tensor((3, 8), dtype=dtype, data=t.pack(values).tobytes(), name="weights")
    b.tensors[weights].blocks = {0: where, 1: -1, 2: 4} if blocks is None else blocks
    b.op("FULLY_CONNECTED", [x, weights, NO_TENSOR], [y], FusedActivationFunction=RELU)
    return b.build([x], [y]), values * np.repeat(scales.astype(np.float32), 4, axis=1)


@pytest.mark.parametrize("dtype", ["int2", "int4", "int8"])
def test_a_weight_is_the_number_that_it_stands_for(dtype: str) -> None:
    content, weights = model(dtype)
    graph = import_tflite(content, "model", "model.tflite")
    x = np.random.default_rng(1).normal(0, 1, (2, 8)).astype(np.float32)
    np.testing.assert_allclose(interpreter.run(graph, [x])[graph.outputs[0]], np.maximum(x @ weights.T, 0), rtol=1e-5)
    assert any("'weights' has a scale for every 4 elements" in note for note in graph.notes)
    (layer,) = graph.nodes
    assert layer_weights(graph, layer).bits == DType.of(dtype).bits
    kept = {kernel.variant for kernel in kernels_of(graph.site(layer), M7)}
    assert f"fully_connected_float_blocks_{max(4, DType.of(dtype).bits)}" in kept


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({0: 2, 1: -1, 2: 3}, "6 scales for blocks of 3 in the shape .3, 8."),
        ({0: 2, 1: -1, 2: 0}, "blocks without scales"),
        ({0: 99, 1: -1, 2: 4}, "blocks without scales"),
        ({0: 0, 1: -1, 2: 4}, "blocks without scales"),
        ({0: 2, 1: 1, 2: 4}, "a zero point for every block"),
    ],
)
def test_what_is_not_read_is_named(blocks: dict[int, int], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        import_tflite(model(blocks=blocks)[0], "model", "model.tflite")
