"""Models that are QDQ ONNX learn as others do."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.onnx_builder import OnnxBuilder, imported
from tinycompile.interpreter import run
from tinycompile.ir import Array, Graph
from tinycompile.training.request import Request, requested_step
from tinycompile.training.scheme import copies_of_channels, layers_of, read_scheme
from tinycompile.training.step import training_step
from tinycompile.training.trainer import Trainer

RNG = np.random.default_rng(5)
X_SCALE, WEIGHT_SCALE, RATE = 0.05, 0.01, 0.004
SAMPLE = RNG.integers(-90, 100, (1, 12)).astype(np.int8)
REAL = (SAMPLE.astype(float) - 3) * X_SCALE


def network(zero_point: int) -> Graph:
    """A product with weights that are wider than 8 bits where the zero point is far from 0; scores of 4 classes."""
    b = OnnxBuilder(17)
    x = b.activation(b.input((1, 12)), X_SCALE, 3)
    weights = RNG.integers(-100, 100, (12, 4)).astype(np.int8)
    scores = b.node("MatMul", x, b.weights(weights, WEIGHT_SCALE, zero_point))
    b.output(b.node("Softmax", b.activation(scores, 0.1, 0), axis=-1))
    graph, _ = imported(b.model(), floats="islands")
    return graph


def learned(zero_point: int, text: str = "all") -> tuple[Array, Array, Graph]:
    """(change of the real weights (C_out, C_in, copies), of the real bias) after a step of class 1."""
    graph = network(zero_point)
    (layer,) = layers_of(graph)
    copies = copies_of_channels(graph, layer)
    assert copies == (1 if zero_point == 0 else 2)
    trainer = Trainer(training_step(graph, read_scheme(text, graph), rate=RATE))
    names = f"{layer.name}/weights", f"{layer.name}/bias"
    before = [trainer.states[name].astype(np.int64) for name in names]
    trainer.train(1, graph_sample(graph))
    weights, bias = (trainer.states[name] - old for name, old in zip(names, before, strict=True))
    return weights.reshape(4, -1, copies) * WEIGHT_SCALE / 256, bias * WEIGHT_SCALE * X_SCALE, graph


def graph_sample(graph: Graph) -> Array:
    return REAL.astype(np.float32) if graph.types[graph.inputs[0]].dtype.name == "float32" else SAMPLE


def expected(graph: Graph, scheme: str = "all") -> Array:
    """The step by the scores."""
    trainer = Trainer(training_step(graph, read_scheme(scheme, graph)))
    scores = next(n for n in trainer.step.graph.nodes if n.op.kind == "cross_entropy_gradient").inputs[0]
    begin = next(n for n in trainer.step.graph.nodes if scores in n.outputs).inputs[0]
    logits = trainer.predict(graph_sample(graph))[begin].ravel() * graph.types[begin].scale
    powers = np.exp(logits - logits.max())
    return -RATE * (powers / powers.sum() - (np.arange(4) == 1))


@pytest.mark.parametrize("zero_point", [0, 90, -100])
def test_a_step_of_weights_in_parts_is_that_of_their_sum(zero_point):
    weights, bias, graph = learned(zero_point)
    step = expected(graph)
    np.testing.assert_allclose(weights.sum(axis=2), np.outer(step, REAL), rtol=0.02, atol=2 * WEIGHT_SCALE / 256)
    np.testing.assert_allclose(bias, step, rtol=0.02, atol=2 * WEIGHT_SCALE * X_SCALE)


def test_a_fraction_has_all_parts_of_its_channels():
    weights, _, _ = learned(90, f"{layers_of(network(90))[0].name}:0.4")
    assert weights.shape == (4, 5, 2)


@pytest.mark.parametrize(("kind", "negative"), [("Add", 1), ("Mul", -1), ("Mul", 0), ("Sub", 1)])
def test_a_number_for_each_channel_is_a_straight_line(kind: str, negative: int) -> None:
    """Also where its outputs have an end that no input reaches: the layer in front learns by the numbers' slope."""
    b = OnnxBuilder(17)
    weights = b.weights(RNG.integers(-127, 128, (12, 4)).astype(np.int8), WEIGHT_SCALE, 0)
    sums = b.activation(b.node("MatMul", b.activation(b.input((1, 12)), X_SCALE, 3), weights), 0.1, -5)
    numbers = np.array([30, 90, 50, 70 * negative], np.int8)
    scores = b.activation(b.node(kind, sums, b.weights(numbers, 0.02, 0)), 0.11, 0)
    b.output(b.node("Softmax", scores, axis=-1))
    graph, _ = imported(b.model(), floats="islands")
    layer, behind = layers_of(graph)
    trainer = Trainer(training_step(graph, read_scheme(f"{layer.name}:bias", graph), rate=RATE))
    (name,) = trainer.step.parameters
    before = trainer.states[name]
    trainer.train(1, graph_sample(graph))
    found = (trainer.states[name] - before) * WEIGHT_SCALE * X_SCALE
    slopes = numbers * 0.02 if kind == "Mul" else 1
    np.testing.assert_allclose(found, expected(graph, behind.name) * slopes, rtol=0.02, atol=WEIGHT_SCALE * X_SCALE)


def test_an_image_is_compared_with_one_of_its_layout() -> None:
    """Planes of floats out: the loss is that of the integers behind them, in their order."""
    b = OnnxBuilder(17)
    weights = b.weights(RNG.integers(-127, 128, (3, 2, 3, 3)).astype(np.int8), WEIGHT_SCALE, 0)
    b.output(b.activation(b.node("Conv", b.activation(b.input((1, 2, 5, 4)), X_SCALE, 3), weights), 0.1, -5))
    graph, _ = imported(b.model())
    sample = RNG.normal(size=(1, 2, 5, 4)).astype(np.float32)
    trainer = Trainer(requested_step(graph, Request("all"), "squared_error", rate=0.05))
    (output,), label = graph.outputs, trainer.step.graph.types[trainer.step.label]
    found = trainer.predict(sample)[output]
    np.testing.assert_array_equal(found, run(graph, [sample])[output])
    target = np.rint(found / label.scale + label.zero_point).astype(np.int8)
    assert target.shape == label.shape == (1, 3, 3, 2)
    assert trainer.train(target, sample) == 0
    target[0, 1] += 5
    first = trainer.train(target, sample)
    assert 0 < trainer.train(target, sample) < first
