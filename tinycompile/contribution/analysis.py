"""How much each layer contributes when it alone is trained, by short trainings on this machine.

Source: Lin et al., "On-Device Training Under 256KB Memory" (NeurIPS 2022), section 3.2: contribution analysis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile.errors import UnsupportedError
from tinycompile.host_trainer import HostTrainer
from tinycompile.ir import Array, Graph, Node
from tinycompile.ops._convolution import Convolution
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.passes.channel_facts import Scheme, Trained
from tinycompile.training.scheme import copies_of_channels, layers_of, read_scheme, short_name
from tinycompile.training.step import TrainingStep, training_step

FRACTIONS = (0.25, 0.5, 1.0)
STEPS = (40, 400)
"""Of a training: at least, at most."""

WORK = 4 * 10**10
"""Multiply-accumulates that all of them together are to take: a minute or so. Time would say something else on every
machine, and other layers would be chosen.
"""

MEASURED = 200
"""Samples at most that accuracy is measured with."""


@dataclass(frozen=True)
class Candidate:
    """A layer trained in one way.

    Attributes:
        part: of `--train` that says so.
        bytes: of its parameters in RAM, and of the activations that are kept for them.
        gain: what it adds to the accuracy, in percentage points.
    """

    layer: str
    part: str
    trained: Trained
    bytes: int
    gain: float = 0.0


@dataclass(frozen=True)
class Samples:
    """Inputs (n, *shape) as the model takes them, and their classes: to learn from, and to measure with."""

    inputs: Array
    labels: Array
    test_inputs: Array
    test_labels: Array

    @staticmethod
    def of(inputs: Array, labels: Array, seed: int = 0) -> Samples:
        """A quarter measures, at most `MEASURED`."""
        order = np.random.default_rng(seed).permutation(len(inputs))
        count = min(MEASURED, max(1, len(inputs) // 4))
        test, known = order[:count], order[count:]
        return Samples(inputs[known], labels[known], inputs[test], labels[test])


def trainable_part(graph: Graph, rate: float) -> tuple[TrainingStep, Scheme]:
    """The step that trains as many of the last layers as can be.

    Raises:
        UnsupportedError: not even the last one.
    """
    last: UnsupportedError | None = None
    for number in range(len(layers_of(graph)), 0, -1):
        scheme = read_scheme(f"last:{number}", graph)
        try:
            return training_step(graph, scheme, rate=rate), scheme
        except UnsupportedError as error:
            last = error
    raise last or UnsupportedError([("model", "no layer has constant weights")], where=graph.name)


def candidates_of(graph: Graph, scheme: Scheme) -> list[Candidate]:
    """In the order of execution."""
    return [each for node in layers_of(graph) if node.name in scheme for each in _of_layer(graph, node)]


def _of_layer(graph: Graph, node: Node) -> list[Candidate]:
    x, weights = (graph.types[name] for name in node.inputs[:2])
    depthwise = isinstance(node.op, DepthwiseConv2D)
    axis = node.op.weight_axis if isinstance(node.op, Convolution) else 0
    bias = 4 * weights.shape[axis]
    short = short_name(node.name, [each.name for each in layers_of(graph)])
    found = [Candidate(node.name, f"{short}:bias", Trained(bias=True), bias)]
    depth, copies = weights.shape[-1], copies_of_channels(graph, node)
    divisible = depth == x.shape[-1] and not (depthwise and depth != x.shape[-1])
    for fraction in FRACTIONS if divisible else (1.0,):
        channels = copies * int(np.ceil(fraction * depth / copies))
        if fraction < 1 and channels == depth:
            continue
        kept = x.elements * channels // depth if divisible else x.elements
        size = bias + 2 * weights.elements * channels // depth + kept
        part = short if fraction == 1 else f"{short}:{fraction}"
        found.append(Candidate(node.name, part, Trained(None if fraction == 1 else channels, bias=True), size))
    return found


class Analysis:
    """Trainings of one layer at a time, from the beginning.

    Attributes:
        before: the accuracy in %. steps: of each training.
    """

    def __init__(self, step: TrainingStep, samples: Samples, candidates: Sequence[Candidate]) -> None:
        self._step, self._samples, self._trainer = step, samples, HostTrainer(step)
        self._initial = {name: values for name, values in self._trainer.states.items() if name in step.parameters}
        self.before, self.steps = self._accuracy(), steps_within(step, len(samples.test_inputs), len(candidates))

    def measured(self, candidate: Candidate, seed: int = 0) -> float:
        """Percentage points that training this alone adds to the accuracy."""
        self._trainer.reset()
        frozen = {name: values for name, values in self._initial.items() if not self._trains(candidate, name)}
        for index in np.random.default_rng(seed).integers(0, len(self._samples.inputs), self.steps):
            self._trainer.train(int(self._samples.labels[index]), self._samples.inputs[index])
            self._restore(frozen, candidate)
        return self._accuracy() - self.before

    def _trains(self, candidate: Candidate, name: str) -> bool:
        return name == f"{candidate.layer}/bias" or (
            name == f"{candidate.layer}/weights" and candidate.trained.weights != 0
        )

    def _restore(self, frozen: Mapping[str, Array], candidate: Candidate) -> None:
        """What isn't trained is as it was: the same bits as a step that trains this alone."""
        for name, values in frozen.items():
            self._trainer.set_state(name, values)
        channels = candidate.trained.weights
        if channels:
            name = f"{candidate.layer}/weights"
            own: Array = self._trainer.state(name).copy()
            own[..., channels:] = self._initial[name][..., channels:]
            self._trainer.set_state(name, own)

    def _accuracy(self) -> float:
        found = list[int]()
        for index in range(len(self._samples.test_inputs)):
            sample: Array = self._samples.test_inputs[index]
            scores: Array = self._trainer.predict(sample)[0]
            found.append(int(scores.argmax()))
        hits: Array = np.array(found) == self._samples.test_labels
        return 100 * float(hits.mean())


def steps_within(step: TrainingStep, samples: int, candidates: int) -> int:
    """Of each of so many trainings, which end with predictions of so many samples."""
    left = WORK // max(1, candidates) - samples * step.prediction().macs()
    return int(np.clip(left // max(1, step.graph.macs()), *STEPS))
