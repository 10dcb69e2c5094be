"""What comparisons of two tensors share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from tinycompile.access import Access
from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT16, INT32, INT64, UINT8, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.numerics.fixed_point import quantize_multiplier, rounding_divide_by_pot
from tinycompile.numerics.fixed_point import saturating_rounding_doubling_high_mul as high_mul
from tinycompile.ops._elementwise import broadcast
from tinycompile.ops._integers import PLAIN
from tinycompile.ops._rules import first_reason, not_quantized, wrong_dtype
from tinycompile.ops._typed import Meaning, Meanings, Typed

_LEFT_SHIFT = 8


class Comparison(Typed):
    """Two operands of one type that broadcast as in NumPy; the result is bool."""

    types: ClassVar[tuple[DType, ...]] = (FLOAT32, INT32, INT64, INT16)
    """Those that are compared as they are, and that LiteRT has."""

    @abstractmethod
    def holds(self, a: Array, b: Array) -> Array:
        """Whether it is so, of two arrays of numbers."""

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        a, b = inputs
        return ((np.broadcast_shapes(a.shape, b.shape), BOOL),)

    def access(self, sig: Signature, operand: int) -> Access:
        return broadcast(sig.inputs[operand].shape, sig.output.shape)

    def meanings(self) -> Meanings:
        plain, scaled = Meaning(self._plain, _unlike), Meaning(self._scaled, _unscaled)
        return {INT8: scaled, UINT8: scaled, **dict.fromkeys(self.types, plain)}

    def plain_meanings(self) -> Meanings:
        return dict.fromkeys(PLAIN, Meaning(self._plain, _unlike))

    def _plain(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.asarray(self.holds(inputs[0], inputs[1])),)

    def _scaled(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        a, b = (levels(t, x) for t, x in zip(sig.inputs, inputs, strict=True))
        return (np.asarray(self.holds(a, b)),)


def levels(t: TensorType, x: Array) -> Array:
    """The real numbers behind 8-bit values, times 256 and rounded, as LiteRT compares them (`ComparisonQuantized`)."""
    (multiplier,), (shift,) = quantize_multiplier(np.array([t.scale]))
    shifted = (x.astype(np.int64) - t.zero_point) << _LEFT_SHIFT
    return rounding_divide_by_pot(high_mul(shifted, multiplier), -shift)


def _unlike(sig: Signature) -> str | None:
    a, b = sig.inputs
    return first_reason((wrong_dtype(b, "the second operand", a.dtype), wrong_dtype(sig.output, "the output", BOOL)))


def _unscaled(sig: Signature) -> str | None:
    """From a scale of 1 on, LiteRT's shift is one by a negative number, which C++ leaves undefined."""
    a, b = sig.inputs
    quantized = first_reason((not_quantized(a, "the first operand", a.dtype), not_quantized(b, "the second", a.dtype)))
    large = any(t.quant is not None and t.quant.scale.max() >= 1 for t in sig.inputs)
    return quantized or _unlike(sig) or ("a scale is 1 or more, where LiteRT's rule is undefined" if large else None)
