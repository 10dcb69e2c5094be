"""What layers that go through a sequence step by step share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinycompile.ir import Array, TensorType
from tinycompile.ops._typed import Typed

Function = Literal[
    "affine",
    "elu",
    "hard_sigmoid",
    "identity",
    "leaky_relu",
    "relu",
    "relu6",
    "scaled_tanh",
    "sigmoid",
    "softplus",
    "softsign",
    "tanh",
    "thresholded_relu",
]

DEFAULTS: dict[Function, tuple[float, float]] = {
    "affine": (0.0, 0.0),
    "elu": (1.0, 0.0),
    "hard_sigmoid": (0.2, 0.5),
    "leaky_relu": (0.01, 0.0),
    "scaled_tanh": (0.0, 0.0),
    "thresholded_relu": (0.0, 0.0),
}
"""(alpha, beta) as onnxruntime has them where a model doesn't say any; functions that aren't here have neither."""


@dataclass(frozen=True)
class Activation:
    """A function of one real number, with up to two parameters."""

    function: Function
    alpha: float = 0.0
    beta: float = 0.0

    def of(self, x: Array) -> Array:
        """Of float64 values."""
        a, b = np.float32(self.alpha).astype(float), np.float32(self.beta).astype(float)
        match self.function:
            case "affine":
                return a * x + b
            case "elu":
                return np.where(x >= 0, x, a * np.expm1(np.minimum(x, 0)))
            case "hard_sigmoid":
                return np.clip(a * x + b, 0, 1)
            case "identity":
                return x
            case "leaky_relu":
                return np.where(x >= 0, x, a * x)
            case "relu":
                return np.maximum(x, 0)
            case "relu6":
                return np.clip(x, 0, 6)
            case "scaled_tanh":
                return a * np.tanh(b * x)
            case "sigmoid":
                return 1 / (1 + np.exp(-x))
            case "softplus":
                return np.logaddexp(x, 0)
            case "softsign":
                return x / (1 + np.abs(x))
            case "tanh":
                return np.tanh(x)
            case "thresholded_relu":
                return np.where(x > a, x, 0)


IDENTITY, SIGMOID, TANH = Activation("identity"), Activation("sigmoid"), Activation("tanh")


def wrong_shape(operands: Sequence[TensorType], wanted: Sequence[tuple[int, ...]]) -> str | None:
    """Why operands behind the sequence don't fit it, in words; None if they do."""
    if len(operands) != len(wanted):
        return f"{1 + len(operands)} operands where there should be {1 + len(wanted)}"
    pairs = zip(operands, wanted, strict=True)
    return next(
        (f"an operand is {t}, its shape should be {list(shape)}" for t, shape in pairs if t.shape != shape), None
    )


@dataclass(frozen=True)
class Recurrent(Typed):
    """A layer whose operand 0 is a sequence, (time, batch, inputs), or (batch, inputs) for a single step.

    Attributes:
        time_major: else the sequence is (batch, time, inputs), and so is the result.
        backward: from the last step to the first; results stand where the steps do.
        lengths: of each sequence of the batch, whose steps behind that have the result 0 and leave the states as they
            are; None where all are as long as operand 0.
    """

    time_major: bool = True
    backward: bool = False
    lengths: tuple[int, ...] | None = None

    @property
    def updates(self) -> Mapping[int, int]:
        """A kernel copies the states first, and works on the copies."""
        return {1: 1}

    def sizes(self, x: TensorType) -> tuple[int, int, int]:
        """(steps, sequences, inputs). Raises ValueError where it is no sequence."""
        if len(x.shape) not in (2, 3):
            raise ValueError(f"a sequence has two or three axes, not {len(x.shape)}")
        first, second, inputs = (1, *x.shape) if len(x.shape) == 2 else x.shape
        alone = len(x.shape) == 2
        time, batch = (first, second) if self.time_major or alone else (second, first)
        if self.lengths is not None and (
            len(self.lengths) != batch or not 0 <= min(self.lengths) <= max(self.lengths) <= time
        ):
            raise ValueError(f"the lengths {list(self.lengths)} of {batch} sequences of at most {time} steps")
        return time, batch, inputs

    def result_shape(self, x: TensorType, outputs: int) -> tuple[int, ...]:
        return (*x.shape[:-1], outputs)

    def in_time(self, x: Array) -> Array:
        """As (time, batch, inputs)."""
        if x.ndim == 2:
            return x[None]
        return x if self.time_major else x.swapaxes(0, 1)

    def run(
        self,
        x: Array,
        states: Sequence[Array],
        step: Callable[[Array, Sequence[Array]], Sequence[Array]],
    ) -> tuple[Array, ...]:
        """(results, states after the last step).

        Args:
            x: any array whose first axes are those of the operand 0, `in_time`.
            states: (batch, ...) each, the first of which is a step's result.
            step: from what belongs to a step and the states to the states after it.
        """
        time, batch = x.shape[:2]
        lengths = np.array(self.lengths or [time] * batch)
        current, results = list(states), np.zeros((time, *states[0].shape), states[0].dtype)
        for position in range(time):
            at = np.where(self.backward, lengths - 1 - position, position)
            (live,) = np.nonzero(position < lengths)
            found = step(x[at[live], live], [state[live] for state in current])
            for index, state in enumerate(found):
                current[index] = current[index].copy()
                current[index][live] = state
            results[at[live], live] = found[0]
        return results, *current

    def as_operand(self, results: Array, x: TensorType) -> Array:
        """`in_time` undone."""
        if len(x.shape) == 2:
            return results[0]
        return np.ascontiguousarray(results if self.time_major else results.swapaxes(0, 1))
