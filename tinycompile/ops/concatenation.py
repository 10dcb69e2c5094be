"""Concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Pointwise, Whole
from tinycompile.dtypes import FLOAT32, INT8, INT16, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._arithmetic import real
from tinycompile.ops._rules import first_reason, not_quantized, rescales
from tinycompile.ops._typed import Meaning, Meanings, Typed


@dataclass(frozen=True)
class Concatenation(Typed):
    """int8 or float32, any number of operands along any axis, constants included; int8 ones all have the scale and zero
    point of the output.

    Attributes:
        axis: not negative.
    """

    kind: ClassVar[str] = "concatenation"

    axis: int

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        first = inputs[0].shape
        if not 0 <= self.axis < len(first):
            raise ValueError(f"axis {self.axis} is not an axis of {inputs[0]}")
        others = {(*t.shape[: self.axis], *t.shape[self.axis + 1 :]) for t in inputs}
        if len(others) != 1 or len({len(t.shape) for t in inputs}) != 1:
            raise ValueError(f"{', '.join(map(str, inputs))} differ in more than axis {self.axis}")
        total = sum(t.shape[self.axis] for t in inputs)
        return (((*first[: self.axis], total, *first[self.axis + 1 :]), inputs[0].dtype),)

    def meanings(self) -> Meanings:
        integers = Meaning(self._joined, self._limits)
        return {INT8: integers, INT16: integers, FLOAT32: Meaning(self._joined, real.other_types)}

    def _joined(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.concatenate(inputs, axis=self.axis),)

    def _limits(self, sig: Signature) -> str | None:
        dtype = sig.input.dtype
        quantized = (
            *(not_quantized(t, f"operand {index}", dtype) for index, t in enumerate(sig.inputs)),
            not_quantized(sig.output, "the output", dtype),
        )
        return first_reason(quantized) or first_reason(rescales(t, sig.output) for t in sig.inputs)

    def access(self, sig: Signature, operand: int) -> Access:
        return Pointwise() if self.axis == len(sig.output.shape) - 1 > 0 else Whole()
