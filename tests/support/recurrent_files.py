"""TFLite models of one recurrent layer of floats: without gates, and in both directions."""

from __future__ import annotations

import numpy as np

from tests.support.tflite_builder import NO_TENSOR, TANH, TfliteBuilder

STEPS, BATCH, INPUTS, UNITS = 3, 3, 4, 5
"""As many steps as sequences, so that either may come first."""

NAMES = (
    "RNN",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
)


class _File:
    def __init__(self) -> None:
        self.b, self.rng = TfliteBuilder(), np.random.default_rng(0)

    def weights(self, *shape: int) -> int:
        return self.b.constant(self.rng.normal(0, 0.4, shape).astype(np.float32))

    def state(self) -> int:
        index = self.b.tensor((BATCH, UNITS), dtype="float32")
        self.b.tensors[index].is_variable = True
        return index

    def rnn(self) -> list[int]:
        """Weights of the input and of the state, bias, state."""
        return [self.weights(UNITS, INPUTS), self.weights(UNITS, UNITS), self.weights(UNITS), self.state()]

    def lstm(self) -> list[int]:
        """All but the states of a direction, without peepholes and projection."""
        found = [self.weights(UNITS, INPUTS) for _ in range(4)] + [self.weights(UNITS, UNITS) for _ in range(4)]
        return [*found, *[NO_TENSOR] * 3, *(self.weights(UNITS) for _ in range(4)), NO_TENSOR, NO_TENSOR]


def recurrent_parts(
    name: str, *, merged: bool = True, time_major: bool = False, activation: int = TANH
) -> tuple[TfliteBuilder, list[int], list[int]]:
    """(model, inputs, outputs)."""
    f = _File()
    order = (BATCH,) if name == "RNN" else (BATCH, STEPS)
    x, both = f.b.tensor((*order, INPUTS), dtype="float32", name="x"), name.startswith("BIDIRECTIONAL")
    sizes = [2 * UNITS] if both and merged else [UNITS] * (2 if both else 1)
    fields: dict[str, int | float | bool] = {"FusedActivationFunction": activation}
    fields |= {} if name == "RNN" else {"TimeMajor": time_major}
    fields |= {"MergeOutputs": merged} if both else {}
    if name.endswith("LSTM"):
        directions = [*f.lstm(), *f.lstm()]
        operands = [*directions, *(f.state() for _ in range(4)), *[NO_TENSOR] * 9]
        fields |= {"CellClip": 0.7, "ProjClip": 0.0}
    else:
        operands = [*f.rnn(), *(f.rnn() if both else [])] + ([NO_TENSOR] * 3 if both else [])
    outputs = [f.b.tensor((*order, size), dtype="float32") for size in sizes]
    f.b.op(name, [x, *operands], outputs, **fields)
    return f.b, [x], outputs


def recurrent_inputs(name: str, inferences: int) -> list[np.ndarray]:
    order = (BATCH,) if name == "RNN" else (BATCH, STEPS)
    return list(np.random.default_rng(1).normal(0, 1, (inferences, *order, INPUTS)).astype(np.float32))
