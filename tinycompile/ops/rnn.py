"""Recurrent layer without gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._arithmetic import real
from tinycompile.ops._recurrent import TANH, Activation, Recurrent, wrong_shape
from tinycompile.ops._typed import Meaning, Meanings


@dataclass(frozen=True)
class Rnn(Recurrent):
    """float32.

    Operands: x (time, batch, inputs), the state h (batch, outputs), the weights of x (outputs, inputs), those of h
    (outputs, outputs), a bias (outputs,). Results: y, and h after the last step.

    Attributes:
        activation: of the sum, which is the next h.
        gate_clip: bound of what it is given, both ways; 0 for none.
    """

    kind: ClassVar[str] = "rnn"

    activation: Activation = TANH
    gate_clip: float = 0.0

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, h = inputs[:2]
        _, batch, taps = self.sizes(x)
        if len(h.shape) != 2:
            raise ValueError(f"the state is {h}, a row for each sequence is wanted")
        outputs = h.shape[1]
        wrong = wrong_shape(inputs[1:], [(batch, outputs), (outputs, taps), (outputs, outputs), (outputs,)])
        if wrong is not None:
            raise ValueError(wrong)
        return (self.result_shape(x, outputs), x.dtype), (h.shape, h.dtype)

    def macs(self, sig: Signature) -> int:
        time, batch, taps = self.sizes(sig.input)
        outputs = sig.inputs[1].shape[1]
        return time * batch * outputs * (taps + outputs)

    def meanings(self) -> Meanings:
        return {FLOAT32: Meaning(self._real, real.other_types)}

    def _real(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, h, w, r, bias = (value.astype(np.float64) for value in inputs)

        def step(at: Array, states: Sequence[Array]) -> Sequence[Array]:
            sums = at + states[0] @ r.T
            sums = np.clip(sums, -self.gate_clip, self.gate_clip) if self.gate_clip > 0 else sums
            return (self.activation.of(sums),)

        with np.errstate(all="ignore"):
            y, h = self.run(self.in_time(x) @ w.T + bias, [h], step)
            return self.as_operand(y, sig.input).astype(np.float32), h.astype(np.float32)
