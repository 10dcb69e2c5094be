"""Channels that can't learn: what is left of a model learns the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from tests.training.networks import RandomNetwork
from tinycompile import interpreter
from tinycompile.ir import Array, Graph
from tinycompile.ops._training.parameters import RoundedWeights
from tinycompile.ops._training.trained_layer import TrainedLayer
from tinycompile.training.learnable import Learnable
from tinycompile.training.scheme import layers_of, read_scheme
from tinycompile.training.step import TrainingStep, training_step
from tinycompile.training.trainer import Trainer
from tinycompile.work import work_of

CHAIN = ["clamped", "depthwise", "clamped", "average", "convolution"]
PART_OF_DEPTHWISE = "{2}:0.5"
SCHEMES = ("all", "biases", "last:3, biases", "{1}:0.5, {3}:0.5, biases", "last:1", "{0}", PART_OF_DEPTHWISE)

States = Mapping[str, Array]


def with_dead_channels(seed: int) -> Graph:
    """A network in which some channels of every hidden layer are clamped whatever the input is, one has no weights."""
    network = RandomNetwork(seed)
    graph = network.chain(CHAIN)
    constants, rng = dict(graph.constants), np.random.default_rng(seed)
    hidden = layers_of(graph)[:-1]
    for node in hidden:
        bias = constants[node.inputs[2]].copy()
        dead = rng.random(bias.size) < 0.4
        dead[0] = False
        bias[dead] = rng.choice([-(1 << 22), 1 << 22], int(dead.sum()))
        constants[node.inputs[2]] = bias
    empty = constants[hidden[-1].inputs[1]].copy()
    empty[1] = 0
    return replace(graph, constants={**constants, hidden[-1].inputs[1]: empty})


@pytest.mark.parametrize("seed", (0, 2, 5))
def test_what_is_left_learns_the_same(seed: int) -> None:
    """Removed parameters never change in the whole network; the others differ by roundings of sums of fewer terms."""
    graph = with_dead_channels(seed)
    names = [node.name for node in layers_of(graph)]
    (x,), (y,) = graph.inputs, graph.outputs
    samples = np.random.default_rng(seed).integers(-128, 128, (5, *graph.types[x].shape)).astype(np.int8)
    smaller = 0
    for text in SCHEMES:
        scheme = read_scheme(text.format(*names), graph)
        if text == PART_OF_DEPTHWISE and graph.types[names[2]].shape[-1] != graph.types[names[1]].shape[-1]:
            continue  # three of six channels aren't those of whole inputs
        left = Learnable.of(graph, scheme)
        smaller += left.graph.macs() < graph.macs()
        steps = training_step(graph, scheme, rate=0.05), training_step(left.graph, left.scheme, rate=0.05)
        work = work_of(steps[1].graph, names)
        assert {name: work[name] for name in names} == work_of(left.graph)  # what the report takes from the model's
        whole, part = map(Trainer, steps)
        assert whole.predict(samples[0])[y].tolist() == part.predict(samples[0])[y].tolist()
        for number, sample in enumerate(samples):
            for trainer in (whole, part):
                trainer.train(number % 5, sample)
        assert_alike(whole.states, part.states, steps, left)
        learned = with_learned(graph, left, steps[1], part.states)
        assert interpreter.run(learned, [samples[0]])[y].tolist() == part.predict(samples[0])[y].tolist()
    assert smaller >= 4


def assert_alike(
    whole: Mapping[str, Array], part: Mapping[str, Array], steps: tuple[TrainingStep, ...], left: Learnable
):
    starts = [{state.name: state.initial for state in step.graph.states} for step in steps]
    for name in steps[0].parameters:
        moved = whole[name].astype(np.int64) - starts[0][name]
        rest = moved.copy()
        if name in steps[1].parameters:
            own = part[name].astype(np.int64) - starts[1][name]
            there = where_kept(name, starts[0][name], own.shape, left)
            assert np.abs(own - moved[there]).max() <= 2 + 0.01 * np.abs(moved).max(), name
            rest[there] = 0
        assert not rest.any(), f"{name}: what was removed changes"


def where_kept(name: str, initial: Array, shape: tuple[int, ...], left: Learnable) -> tuple[Array, ...]:
    """Of a layer's parameter, by the channels that are left of its values."""
    layer, _, kind = name.rpartition("/")
    node = next(node for node in left.graph.nodes if node.name == layer)
    outputs = left.kept.get(node.outputs[0], np.arange(left.graph.types[node.outputs[0]].shape[-1]))
    inputs = left.kept.get(node.inputs[0], np.arange(left.graph.types[node.inputs[0]].shape[-1]))
    if kind == "bias":
        return np.ix_(outputs)
    middle = [np.arange(size) for size in shape[1:-1]]
    depthwise = initial.shape[0] == 1 and len(shape) == 4 and node.op.kind.startswith("depthwise")
    axes = (np.arange(1), *middle, outputs) if depthwise else (outputs, *middle, inputs)
    return np.ix_(*axes[:-1], axes[-1][: shape[-1]])


def with_learned(graph: Graph, left: Learnable, step: TrainingStep, states: States) -> Graph:
    """The whole network with what was learned in its places."""
    constants, producers = dict(graph.constants), step.graph.producers()
    nodes = {node.name: node for node in graph.nodes}
    for node in step.graph.nodes:
        if not isinstance(node.op, TrainedLayer):
            continue
        rounding = producers.get(node.inputs[1])
        if rounding is not None and isinstance(rounding.op, RoundedWeights):
            own = [states[n] if n in states else step.graph.constants[n] for n in rounding.inputs]
            (values,) = rounding.op.evaluate(step.graph.signature(rounding), own)
            constants[nodes[node.name].inputs[1]] = left.whole(graph, node.name, 1, values)
        if node.inputs[2] in states:
            values = node.op.taken(states[node.inputs[2]])
            constants[nodes[node.name].inputs[2]] = left.whole(graph, node.name, 2, values)
    return replace(graph, constants=constants)
