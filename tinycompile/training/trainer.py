"""Runs training steps in NumPy: the definition that generated code matches bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinycompile import interpreter
from tinycompile.ir import Array
from tinycompile.numerics.block_floating import factor
from tinycompile.numerics.training_losses import LOSS_BITS
from tinycompile.training.accumulation import applied
from tinycompile.training.step import TrainingStep


class Trainer:
    """A model that learns, sample by sample.

    Attributes:
        states: of the step, by name: the trained parameters among them.
    """

    def __init__(self, step: TrainingStep) -> None:
        self.step = step
        self._prediction = step.prediction()
        self.states: dict[str, Array] = interpreter.initial(step.graph)

    def set_learning_rate(self, rate: float) -> None:
        """Of all steps to come; above 0."""
        self.states[self.step.learning_rate] = np.array(factor(rate), np.int32)

    def predict(self, *inputs: Array) -> Mapping[str, Array]:
        """Every value of an inference with the present parameters."""
        return interpreter.run(self._prediction, inputs, self.states)

    def train(self, label: int | Array, *inputs: Array) -> float:
        """One step; the loss before it."""
        loss = self.accumulate(label, *inputs)
        self.apply()
        return loss

    def apply(self) -> None:
        """Changes the parameters by what was accumulated; nothing where each step changes them itself."""
        for name, accumulator in self.step.accumulators.items():
            self.states[name] = applied(self.states[name], self.states[accumulator])
            self.states[accumulator] = np.zeros_like(self.states[accumulator])

    def accumulate(self, label: int | Array, *inputs: Array) -> float:
        """The graph's step, which changes the accumulators where there are some; the loss before it."""
        step = self.step
        t = step.graph.types[step.label]
        self.states[step.label] = np.broadcast_to(np.asarray(label, t.dtype.carrier), t.shape)
        values = interpreter.run(step.graph, inputs, self.states)
        self.states = interpreter.following(step.graph, values)
        return int(self.states[step.loss][0]) / (1 << LOSS_BITS)
