"""Gated recurrent unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._arithmetic import real
from tinycompile.ops._recurrent import SIGMOID, TANH, Activation, Recurrent, wrong_shape
from tinycompile.ops._typed import Meaning, Meanings


@dataclass(frozen=True)
class Gru(Recurrent):
    """float32.

    Operands: x (time, batch, inputs), the state h (batch, outputs); of the gates update, reset and hidden, one after
    the other, the weights of x (3 * outputs, inputs), those of h (3 * outputs, outputs), the biases of the products of
    x and those of the products of h (3 * outputs,). Results: y, and h after the last step.

    Attributes:
        reset_after: the reset gate multiplies products of h, bias included; else h.
        activations: of update and reset gate, of the hidden one.
        gate_clip: bound of what functions are given, both ways; 0 for none.
    """

    kind: ClassVar[str] = "gru"

    reset_after: bool = False
    activations: tuple[Activation, Activation] = (SIGMOID, TANH)
    gate_clip: float = 0.0

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, h = inputs[:2]
        _, batch, taps = self.sizes(x)
        if len(h.shape) != 2:
            raise ValueError(f"the state is {h}, a row for each sequence is wanted")
        outputs = h.shape[1]
        rows = 3 * outputs
        wrong = wrong_shape(inputs[1:], [(batch, outputs), (rows, taps), (rows, outputs), (rows,), (rows,)])
        if wrong is not None:
            raise ValueError(wrong)
        return (self.result_shape(x, outputs), x.dtype), (h.shape, h.dtype)

    def macs(self, sig: Signature) -> int:
        time, batch, taps = self.sizes(sig.input)
        outputs = sig.inputs[1].shape[1]
        return time * batch * 3 * outputs * (taps + outputs)

    def meanings(self) -> Meanings:
        return {FLOAT32: Meaning(self._real, real.other_types)}

    def _real(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, h, w, r, bias, hidden_bias = (value.astype(np.float64) for value in inputs)
        of_gates, of_hidden = self.activations
        outputs = h.shape[1]
        (update_r, reset_r, hidden_r), biases = np.split(r, 3), np.split(hidden_bias, 3)

        def step(at: Array, states: Sequence[Array]) -> Sequence[Array]:
            (state,) = states
            update, reset, hidden = np.split(at, [outputs, 2 * outputs], axis=-1)
            update = of_gates.of(self.clipped(update + state @ update_r.T + biases[0]))
            reset = of_gates.of(self.clipped(reset + state @ reset_r.T + biases[1]))
            if self.reset_after:
                products = reset * (state @ hidden_r.T + biases[2])
            else:
                products = (reset * state) @ hidden_r.T + biases[2]
            return (((1 - update) * of_hidden.of(self.clipped(hidden + products)) + update * state),)

        with np.errstate(all="ignore"):
            y, h = self.run(self.in_time(x) @ w.T + bias, [h], step)
            return self.as_operand(y, sig.input).astype(np.float32), h.astype(np.float32)

    def clipped(self, x: Array) -> Array:
        return np.clip(x, -self.gate_clip, self.gate_clip) if self.gate_clip > 0 else x
