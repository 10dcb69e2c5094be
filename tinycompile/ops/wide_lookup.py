"""Any function of one value, where operand or result has 16 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT8, INT16, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.numerics.pieces import Pieces
from tinycompile.ops._elementwise import Elementwise
from tinycompile.ops._rules import first_reason, invalid, not_quantized
from tinycompile.ops._typed import Meaning, Meanings, Typed


@dataclass(frozen=True)
class WideLookup(Elementwise, Typed):
    """int16 to int16 or int8, int8 to int16; whatever element-wise operators of a model stand between DequantizeLinear
    and QuantizeLinear, computed for all values at compile time, then rounded as QuantizeLinear does: the float32
    quotient by the scale, halves to even, a NaN to the smallest value.

    Attributes:
        values: float32, what the function makes of -128 or -32768, the next one, and so on.
        dtype: of the result.
        function: names of the operators, for the report.
    """

    kind: ClassVar[str] = "wide_lookup"

    values: bytes
    dtype: DType = INT16
    function: str = ""

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((inputs[0].shape, self.dtype),)

    def table(self, sig: Signature) -> Array:
        """Of the result's dtype: of the smallest operand, the next one, and so on."""
        return _results(_steps(self.values, sig.output.scale), sig.output.zero_point, self.dtype)

    def pieces(self, sig: Signature) -> Pieces:
        """The function of an int16 operand as parabolas. Raises ValueError."""
        quant = sig.output.quant
        if quant is None:
            raise ValueError("the output is not quantised")
        return _pieces(self.values, float(quant.scale[0]), int(quant.zero_point[0]), self.dtype)

    def meanings(self) -> Meanings:
        return {
            INT8: Meaning(self._looked_up, self._narrow_refused),
            INT16: Meaning(self._looked_up, self._wide_refused),
        }

    def _looked_up(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        low, _ = sig.input.dtype.range
        return (self.table(sig)[inputs[0].astype(np.int64) - low],)

    def _narrow_refused(self, sig: Signature) -> str | None:
        return self._refused(sig, INT16)

    def _wide_refused(self, sig: Signature) -> str | None:
        return self._refused(sig, INT8, INT16) or invalid(lambda: self.pieces(sig))

    def _refused(self, sig: Signature, *to: DType) -> str | None:
        low, high = sig.input.dtype.range
        entries = len(self.values) // np.dtype(np.float32).itemsize
        wrong = None if entries == high - low + 1 else f"the function has {entries} values instead of {high - low + 1}"
        types = (not_quantized(sig.input, "the input", INT8, INT16), not_quantized(sig.output, "the output", *to))
        return first_reason(types) or wrong


def _steps(values: bytes, scale: float) -> Array:
    """float64: the float32 quotients by a scale; of a NaN none is smaller."""
    with np.errstate(all="ignore"):
        quotients = (np.frombuffer(values, np.float32) / np.float32(scale)).astype(np.float64)
    return np.where(np.isnan(quotients), -np.inf, quotients)


def _results(steps: Array, zero_point: int, dtype: DType) -> Array:
    return np.clip(np.rint(steps) + zero_point, *dtype.range).astype(dtype.carrier)


@lru_cache(maxsize=64)
def _pieces(values: bytes, scale: float, zero_point: int, dtype: DType) -> Pieces:
    steps = _steps(values, scale)
    return Pieces.of(steps + zero_point, _results(steps, zero_point, dtype).astype(np.int64))
