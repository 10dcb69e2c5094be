"""Singular value decomposition filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.numerics.fixed_point import wrap_int32
from tinycompile.ops._arithmetic import integer_lstm, real, wide
from tinycompile.ops._arithmetic.integer_lstm import Factor
from tinycompile.ops._recurrent import IDENTITY, Activation, wrong_shape
from tinycompile.ops._rules import bad_weights, first_reason, invalid, not_quantized, wrong_dtype
from tinycompile.ops._typed import Meaning, Meanings, Typed


@dataclass(frozen=True)
class Svdf(Typed):
    """int8 with an int16 state, or float32: each filter is a row of weights times the input, and its last results times
    weights of their age; `rank` filters make a unit.

    Operands: x (batch, inputs), the state (batch, filters * memory), the weights of x (filters, inputs), those of the
    results (filters, memory), a bias (units,). Results: y (batch, units), the state after the step, which ends with the
    newest result of each filter.

    Attributes:
        activation: of floats; integers have none.
    """

    kind: ClassVar[str] = "svdf"

    rank: int = 1
    activation: Activation = IDENTITY

    @property
    def updates(self) -> Mapping[int, int]:
        """Results move towards the older ones."""
        return {1: 1}

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, state = inputs[:2]
        if len(x.shape) != 2 or len(inputs) < 4 or len(inputs[2].shape) != 2 or len(inputs[3].shape) != 2:
            raise ValueError(f"an input {x}, where rows of each sequence are wanted, and matrices of weights")
        (batch, taps), (filters, memory) = x.shape, inputs[3].shape
        if self.rank < 1 or filters % self.rank:
            raise ValueError(f"{filters} filters of the rank {self.rank}")
        units = filters // self.rank
        if inputs[-1].shape != (units,):
            raise ValueError(f"{filters} filters of the rank {self.rank} are {units} units, the bias is {inputs[-1]}")
        wrong = wrong_shape(inputs[1:], [(batch, filters * memory), (filters, taps), (filters, memory), (units,)])
        if wrong is not None:
            raise ValueError(wrong)
        return ((batch, units), x.dtype), (state.shape, state.dtype)

    def macs(self, sig: Signature) -> int:
        return sig.input.shape[0] * (sig.inputs[2].elements + sig.inputs[3].elements)

    def meanings(self) -> Meanings:
        return {INT8: Meaning(self._integers, self._limits), FLOAT32: Meaning(self._real, self._real_limits)}

    def _after(self, state: Array, newest: Array, memory: int) -> Array:
        """(batch, filters, memory)."""
        before = state.reshape(*newest.shape, memory)
        return np.concatenate([before[..., 1:], newest[..., None]], axis=-1)

    def _real(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, state, w, of_time, bias = (value.astype(np.float64) for value in inputs[:5])
        with np.errstate(all="ignore"):
            after = self._after(state, (x @ w.T).astype(np.float32).astype(np.float64), of_time.shape[1])
            filtered = (after * of_time).sum(axis=-1)
            units = filtered.reshape(len(x), -1, self.rank).sum(axis=-1) + bias
            return self.activation.of(units).astype(np.float32), after.reshape(state.shape).astype(np.float32)

    def _real_limits(self, sig: Signature) -> str | None:
        return real.other_types(sig)

    def factors(self, sig: Signature) -> tuple[Factor, Factor]:
        """From sums over x to steps of the state, and from sums over the state to those of the output; LiteRT computes
        both in float32. Raises ValueError where there is no such factor.
        """
        x, state, w, of_time = (np.float32(t.scale) for t in sig.inputs[:4])
        return Factor.of(float(x * w / state)), Factor.of(float(state * of_time / np.float32(sig.output.scale)))

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, state, w, of_time, bias = inputs[:5]
        of_x, of_state = self.factors(sig)
        newest = integer_lstm.saturated(of_x.apply(integer_lstm.products(x, sig.input, w, None)))
        after = self._after(state.astype(np.int64), newest, of_time.shape[1])
        filtered = (after * of_time.astype(np.int64)).sum(axis=-1)
        units = wrap_int32(filtered.reshape(len(x), -1, self.rank).sum(axis=-1) + bias.astype(np.int64))
        y = np.clip(of_state.apply(units) + sig.output.zero_point, -128, 127)
        return y.astype(np.int8), after.reshape(state.shape).astype(np.int16)

    def _limits(self, sig: Signature) -> str | None:
        state, after = sig.inputs[1], sig.outputs[1]
        return first_reason(
            (
                not_quantized(sig.input, "the input"),
                not_quantized(sig.output, "the output"),
                wide.asymmetric(state, "the state"),
                None if after.quant is not None and after.quant.same_as(state.quant) else "the state is rescaled",
                bad_weights(sig.inputs[2], 0),
                bad_weights(sig.inputs[3], 0, INT16),
                *(not_quantized(t, "the weight tensor", INT8, INT16) for t in sig.inputs[2:4]),
                wrong_dtype(sig.inputs[4], "the bias", INT32),
                None if self.activation == IDENTITY else "an activation of integers",
                invalid(lambda: self.factors(sig)),
            )
        )
