"""Channels that carry much are given larger weights: exactly, and to the advantage of what reads them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.onnx_builder import OnnxBuilder
from tinycompile.frontend.onnx_file import static_model
from tinycompile.quantize.awq import activation_aware
from tinycompile.quantize.fitting import fitted
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.low_bit_layers import LowBitPlan
from tinycompile.quantize.network import Network, Setting
from tinycompile.quantize.prepare import prepared, with_biases

RNG = np.random.default_rng(11)
SAMPLES = [{"x": RNG.normal(0, 1, (1, 6, 6, 6)).astype(np.float32)} for _ in range(24)]


def uneven(norm: bool) -> FloatGraph:
    """Pointwise layers, or a normalisation and a matrix, with channels between that differ in size by far."""
    b, rng = OnnxBuilder(), np.random.default_rng(3)
    c = lambda value: b.constant(value, np.float32)  # noqa: E731
    sizes = np.exp(rng.normal(0, 1.0, 64))
    x = b.input((1, 6, 6, 6))
    if norm:
        y = b.node("Flatten", b.node("Conv", x, c(rng.normal(0, 1, (64, 6, 6, 6)))))
        y = b.node("LayerNormalization", y, c(sizes), c(sizes * 0.1))
        y = b.node("Gemm", y, c(rng.normal(0, 1, (64, 12))))
    else:
        y = b.node("Relu", b.node("Conv", x, c(rng.normal(0, 1, (64, 6, 1, 1)) * sizes.reshape(-1, 1, 1, 1))))
        y = b.node("Conv", y, c(rng.normal(0, 1, (12, 64, 1, 1))))
    b.output(y)
    model = b.model()
    return with_biases(prepared(model, static_model(model, "test").shapes))


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("group", [None, 8])
def test_the_function_stays_and_roundings_cost_less(norm: bool, group: int | None) -> None:
    graph = uneven(norm)
    plain = Network(graph, SAMPLES)
    last = graph.outputs[0]
    plan = LowBitPlan({last: 3}, group, "awq")
    aware = Network(activation_aware(graph, plain.floats, plan), SAMPLES)
    np.testing.assert_allclose(aware.floats[last], plain.floats[last], rtol=1e-4, atol=1e-4)
    noises = [each.noise(fitted(each, Setting({}), weights=False, plan=plan).values) for each in (plain, aware)]
    assert noises[1] < 0.8 * noises[0]


def test_channels_that_something_else_reads_stay() -> None:
    graph = uneven(norm=False)
    between = next(node.output[0] for node in graph.nodes if node.op_type == "Relu")
    graph.proto.graph.output.append(type(graph.proto.graph.output[0])(name=between))
    floats = Network(graph, SAMPLES).floats
    aware = activation_aware(graph, floats, LowBitPlan({graph.outputs[0]: 3}))
    assert [list(node.input) for node in aware.nodes] == [list(node.input) for node in graph.nodes]
