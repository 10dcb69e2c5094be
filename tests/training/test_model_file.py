"""What was learned as a TFLite file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.reliability.test_weights import network, some_weights
from tinycompile import interpreter
from tinycompile.errors import UsageError
from tinycompile.frontend import load
from tinycompile.ir import Graph
from tinycompile.passes import optimize
from tinycompile.training.learnable import Learnable
from tinycompile.training.model_file import trained_tflite
from tinycompile.training.request import Request, requested_step
from tinycompile.training.scheme import layers_of, read_scheme
from tinycompile.training.step import training_step
from tinycompile.training.trainer import Trainer

SAMPLES = np.random.default_rng(2).integers(-128, 128, (4, 1, 6, 6, 2)).astype(np.int8)


def graph_of(content: bytes, folder: Path) -> Graph:
    (folder / "net.tflite").write_bytes(content)
    return optimize(load(folder / "net.tflite"), ())


def trainer_of(graph: Graph, scheme: str) -> Trainer:
    """After some steps towards nothing in particular."""
    trainer = Trainer(training_step(graph, read_scheme(scheme, graph), "squared_error", rate=0.5))
    target = trainer.step.graph.types[trainer.step.label]
    for sample in SAMPLES:
        trainer.train(np.full(target.shape, 20, np.int8), sample)
    return trainer


@pytest.mark.parametrize("scheme", ["{0}", "{0}:0.5"])
def test_its_predictions_are_the_trained_ones(scheme: str, tmp_path: Path) -> None:
    """Of all channels, of a part of them."""
    content = network(some_weights(3))
    graph = graph_of(content, tmp_path)
    trainer = trainer_of(graph, scheme.format(*(node.name for node in layers_of(graph))))
    parameters = {name: trainer.states[name] for name in trainer.step.parameters}
    changed = trained_tflite(content, graph, trainer.step, parameters, Learnable(graph, {}, {}))
    assert len(changed) == len(content) and changed != content
    other = graph_of(changed, tmp_path)
    for sample in SAMPLES:
        (output,) = graph.outputs
        expected = trainer.predict(sample)[output]
        np.testing.assert_array_equal(interpreter.run(other, [sample])[output], expected)
        assert np.any(interpreter.run(graph, [sample])[output] != expected)


def test_what_the_file_does_not_have_is_said(tmp_path: Path) -> None:
    """A constant that isn't the file's, a bias that it lacks."""
    content = network(some_weights(3))
    graph = graph_of(content, tmp_path)
    for index, what, whole in (0, "weights", graph_of(network(some_weights(4)), tmp_path)), (1, "bias", graph):
        layer = layers_of(graph)[index].name
        trainer = trainer_of(graph, layer)
        parameters = {name: trainer.states[name] for name in trainer.step.parameters}
        with pytest.raises(UsageError, match=f"the {what} of layer '{layer}' can't be replaced"):
            trained_tflite(content, whole, trainer.step, parameters, Learnable(whole, {}, {}))


def test_a_module_that_the_file_does_not_have_is_said(tmp_path: Path) -> None:
    content = network(some_weights(3))
    graph = graph_of(content, tmp_path)
    step = requested_step(graph, Request("lite:1"), "squared_error")
    parameters = {name: Trainer(step).states[name] for name in step.parameters}
    with pytest.raises(UsageError, match=r"the model's file has no layer .*lite_residual"):
        trained_tflite(content, graph, step, parameters, Learnable(graph, {}, {}))
