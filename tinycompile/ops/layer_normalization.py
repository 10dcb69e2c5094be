"""Rows along the last axis with a mean of 0 and a variance of 1, times a factor and plus a summand of each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Pointwise, Whole
from tinycompile.dtypes import FLOAT32, INT8, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._arithmetic.normalisation import MAX_DEPTH, NormalisationForm
from tinycompile.ops._rules import first_reason, invalid, not_quantized, wrong_dtype
from tinycompile.ops._typed import Meaning, Meanings, Typed


@dataclass(frozen=True)
class LayerNormalization(Typed):
    """int8 of any scales and zero points, at most 2048 elements in a row, or float32, along the last axis; constant
    float32 factors and summands of the columns. int8 is the real number's rounding, halves to even.

    Attributes:
        epsilon: what is added to the variance.
        centred: whether the mean is subtracted; without it is what RMSNormalization does.
    """

    kind: ClassVar[str] = "layer_normalization"

    epsilon: float = 1e-5
    centred: bool = True

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, scale, bias = inputs
        if not x.shape or scale.shape != x.shape[-1:] or bias.shape != x.shape[-1:]:
            raise ValueError(f"factors {scale} and summands {bias} of the columns of {x}")
        return ((x.shape, x.dtype),)

    def access(self, sig: Signature, operand: int) -> Access:
        return Pointwise() if operand == 0 else Whole()

    def meanings(self) -> Meanings:
        return {INT8: Meaning(self._integers, self._limits), FLOAT32: Meaning(self._real, _no_floats)}

    def form(self, sig: Signature, scale: Array, bias: Array) -> NormalisationForm:
        """Of int8."""
        return NormalisationForm.of(sig, self.epsilon, self.centred, scale, bias)

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (self.form(sig, inputs[1], inputs[2]).apply(inputs[0]),)

    def _real(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, scale, bias = (value.astype(np.float64) for value in inputs)
        with np.errstate(all="ignore"):
            distance = x - x.mean(axis=-1, keepdims=True) if self.centred else x
            power = np.square(distance).mean(axis=-1, keepdims=True)
            return ((distance / np.sqrt(power + self.epsilon) * scale + bias).astype(np.float32),)

    def _limits(self, sig: Signature) -> str | None:
        depth = sig.input.shape[-1]
        return first_reason(
            (
                not_quantized(sig.input, "the input"),
                *(wrong_dtype(t, "an operand", FLOAT32) for t in sig.inputs[1:]),
                not_quantized(sig.output, "the output"),
                None if 0 < depth <= MAX_DEPTH else f"rows of {depth} elements, supported are {MAX_DEPTH}",
            )
        ) or invalid(lambda: self.form(sig, np.zeros(depth, np.float32), np.zeros(depth, np.float32)))


def _no_floats(sig: Signature) -> str | None:
    return first_reason(wrong_dtype(t, "a tensor", FLOAT32) for t in (*sig.inputs, *sig.outputs))
