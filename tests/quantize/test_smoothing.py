"""What is uneven behind a normalisation goes from its factors into the weights that read it (SmoothQuant)."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quantize.test_scores import graph_of
from tests.support.onnx_builder import OnnxBuilder
from tinycompile.quantize.channels import groups_of, norms_of
from tinycompile.quantize.equalize import equalized
from tinycompile.quantize.measure import float_outputs
from tinycompile.quantize.network import Network
from tinycompile.quantize.prepare import with_biases
from tinycompile.quantize.ways import AUTO, attempts

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")

TOKENS, WIDTH = 5, 12


def block(kind: str) -> OnnxBuilder:
    """A normalisation of which two columns are large, and two layers that read it with small weights there."""
    b, rng = OnnxBuilder(), np.random.default_rng(2)
    b.opset = 23
    scale, loud = rng.uniform(0.5, 1.5, WIDTH), np.array([3, 7])
    scale[loud] *= 30
    columns = [scale, rng.normal(0, 0.3, WIDTH)] if kind == "LayerNormalization" else [scale]
    x, operands = b.input((1, TOKENS, WIDTH)), [b.constant(column, np.float32) for column in columns]
    if kind == "written out":
        power = b.node("ReduceMean", b.node("Mul", x, x), b.constant([-1]))
        deviation = b.node("Sqrt", b.node("Add", power, b.constant(1e-5, np.float32)))
        y = b.node("Mul", operands[0], b.node("Div", x, deviation))
    else:
        y = b.node(kind, x, *operands)
    weights = rng.normal(0, 1, (2, WIDTH, 8))
    weights[:, loud] /= 30
    first, second = (b.node("MatMul", y, b.constant(w, np.float32)) for w in weights)
    b.output(b.node("Mul", first, b.node("Tanh", second)))
    return b


def data(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{"x": rng.normal(0, 2, (1, TOKENS, WIDTH)).astype(np.float32)} for _ in range(count)]


@pytest.mark.parametrize("kind", ["LayerNormalization", "RMSNormalization", "written out"])
def test_columns_are_evened_out(kind: str) -> None:
    """Exactly, and not those with a strength of 0."""
    model, samples = block(kind).model(), data(8)
    graph = graph_of(model)
    (norm,) = norms_of(graph)
    name = norm.output[0]
    numbers = groups_of(graph).by_column(name)
    assert numbers is not None and groups_of(graph).free[numbers].all()
    floats = Network(graph, samples).floats
    even = equalized(graph, floats, 0.5)
    for wanted, got in zip(float_outputs(model, samples), float_outputs(even.model(), samples), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    before, after = (np.abs(Network(g, samples).floats[name]).reshape(-1, WIDTH).max(axis=0) for g in (graph, even))
    assert np.ptp(np.log(after)) < 0.7 * np.ptp(np.log(before))
    left = equalized(graph, floats, 0.5, dict.fromkeys(floats, 0.0))
    assert list(left.nodes[graph.nodes.index(norm)].input) == list(norm.input)


def test_that_is_what_is_chosen() -> None:
    """It is worth several decibels of such a block."""
    graph, samples = with_biases(graph_of(block("LayerNormalization").model())), data(64)
    ways = {
        equalising: attempts(graph, samples, samples, AUTO, "default", None, False, equalising=equalising)[0].trial
        for equalising in (True, False)
    }
    assert ways[True].equalized and ways[True].sqnr > ways[False].sqnr + 5
