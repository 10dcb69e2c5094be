"""`--train` from options to the graph that is planned."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import DIGITS
from tinycompile.errors import UsageError
from tinycompile.lowering import imported, ready
from tinycompile.options import Options
from tinycompile.passes.own_states import own_states
from tinycompile.training.step import training_of
from tinycompile.training.trainer import Trainer


def test_a_file_learns():
    options = Options(train="last:2, biases", learning_rate=0.02)
    graph = ready(imported(DIGITS / "digits_int8.tflite", options), options)
    step = training_of(graph)
    assert step is not None
    assert (step.learning_rate, step.label, step.loss, step.classes) == ("learning_rate", "label", "loss", 10)
    trainer, rng = Trainer(step), np.random.default_rng(0)
    t = graph.types[graph.inputs[0]]
    sample = rng.integers(0, 100, t.shape).astype(t.dtype.carrier)
    losses = [trainer.train(4, sample) for _ in range(10)]
    assert losses[-1] < losses[0] / 2


def test_states_that_the_caller_writes_have_no_copy():
    options = Options(train="head")
    graph = ready(imported(DIGITS / "digits_int8.tflite", options), options)
    kept = [state.name for state in graph.states if state.next == state.name]
    assert kept == ["learning_rate", "label"]
    assert not [node for node in graph.nodes if not set(kept).isdisjoint(node.outputs)]
    assert [node.name for node in own_states(graph).nodes] == [node.name for node in graph.nodes]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"slide": "1=1"}, "--slide"),
        ({"weights": "separate"}, "--weights separate"),
        ({"dtype": "float32"}, "--dtype float32"),
        ({"learning_rate": 0.0}, "no rate to learn with"),
        ({"loss": "hinge"}, "--loss 'hinge' is unknown"),
    ],
)
def test_options_that_it_does_not_go_with(other, said):
    with pytest.raises(UsageError, match=said):
        Options(train="all", **other).check()


@pytest.mark.parametrize("other", [{"loss": "squared_error"}, {"learning_rate": 0.1}])
def test_options_that_only_it_has(other):
    name = next(iter(other)).replace("_", "-")
    with pytest.raises(UsageError, match=f"--{name} needs --train"):
        Options(**other).check()
