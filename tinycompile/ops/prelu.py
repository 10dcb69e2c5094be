"""Parametric rectified linear unit: a slope for each negative element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, INT16
from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier
from tinycompile.ops._arithmetic import onnx
from tinycompile.ops._elementwise import RealBinary, TfliteBinary
from tinycompile.ops._rules import first_reason, invalid, not_quantized, wrong_dtype
from tinycompile.ops._typed import Meaning, Meanings


@dataclass(frozen=True)
class Prelu(TfliteBinary, RealBinary):
    """int8 operands of any scales and zero points, or float32, that broadcast as in NumPy, one of them may be a
    constant: the elements, and their slopes. By ONNX's rule int16 elements and constant float32 slopes.
    """

    kind: ClassVar[str] = "prelu"
    wide: ClassVar[bool] = False  # LiteRT reads int16 slopes as if they were int8

    def factors(self, sig: Signature) -> tuple[Array, Array]:
        """(multiplier, shift) of elements and of products of elements with slopes. Raises ValueError without them."""
        x, slope, y = (np.float32(t.scale) for t in (*sig.inputs, sig.output))
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            return quantize_multiplier(np.array([x / y, x * slope / y], np.float64))

    def combine(self, sig: Signature, a: Array, b: Array) -> Array:
        multiplier, shift = self.factors(sig)
        a, b = np.broadcast_arrays(a, b)
        which = (a < 0).astype(np.intp)
        scaled = multiply_by_quantized_multiplier(np.where(a < 0, a * b, a), multiplier[which], shift[which])
        return scaled + sig.output.zero_point

    def real(self, a: Array, b: Array) -> Array:
        return np.where(a < 0, a * b, a)

    def meanings(self) -> Meanings:
        own = {INT16: Meaning(self._of_wide, self._wide_limits)} if self.rule == "onnx" else {}
        return {**super().meanings(), **own}

    def _of_wide(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x = sig.input
        element = (inputs[0].astype(np.int64) - x.zero_point).astype(np.float32) * np.float32(x.scale)
        return self.clamped(sig, onnx.steps(self.real(element, inputs[1]), sig.output))

    def _wide_limits(self, sig: Signature) -> str | None:
        x, slope = sig.inputs
        reasons = (
            not_quantized(x, "the first operand", INT16),
            wrong_dtype(slope, "the second operand", FLOAT32),
            not_quantized(sig.output, "the output", INT16),
        )
        return first_reason(reasons) or onnx.has_no_number(replace(sig, inputs=(x,)))

    def limits(self, sig: Signature) -> str | None:
        return invalid(lambda: self.factors(sig))
