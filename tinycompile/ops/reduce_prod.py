"""Product over any axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT8, INT16, INT32, INT64, DType
from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import quantize_multiplier, wrap_int32
from tinycompile.ops._reduce import Reduction
from tinycompile.ops._rules import first_reason, invalid, not_quantized
from tinycompile.ops._typed import Meaning, Meanings

FACTOR_BITS = 15
"""Of the multiplier, which LiteRT shortens for products of 64 bits."""

LARGEST_SHIFT = 7
"""`MultiplyByQuantizedMultiplier` of 64 bits takes no larger one."""


@dataclass(frozen=True)
class ReduceProd(Reduction):
    """int8, int16, int32, int64 or float32, over any constant set of axes, with or without keeping them; int8 and int16
    input and output may differ in scale and zero point, and every product is rounded; products of int32 and int64 wrap.
    """

    kind: ClassVar[str] = "reduce_prod"

    exact: ClassVar[tuple[DType, ...]] = (INT32, INT64)

    def meanings(self) -> Meanings:
        return {**super().meanings(), **dict.fromkeys((INT8, INT16), Meaning(self._integers, self._limits))}

    def real(self, x: Array) -> Array:
        return x.prod(axis=self.axes, dtype=x.dtype, keepdims=self.keep_dims)

    def factor(self, sig: Signature) -> tuple[int, int]:
        """(multiplier, right shift) between one product and the next: input scale / (output scale ** (1 / count)).

        `GetQuantProdScaling`, and what `MultiplyByQuantizedMultiplier` of 64 bits makes of it. Raises ValueError where
        that has no rule.
        """
        nth_root = np.power(float(sig.output.scale), 1.0 / self.count(sig))
        (multiplier,), (shift,) = quantize_multiplier(np.array([float(sig.input.scale) / nth_root]), LARGEST_SHIFT)
        half = 1 << FACTOR_BITS
        short = (int(multiplier) + half) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
        return short, FACTOR_BITS - int(shift)

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        multiplier, right = self.factor(sig)

        def scaled(product: Array) -> Array:
            return wrap_int32((product * multiplier + (1 << (right - 1))) >> right)

        shape = sig.input.shape
        kept = [axis for axis in range(len(shape)) if axis not in self.axes]
        centred = inputs[0].astype(np.int64) - sig.input.zero_point
        rows = centred.transpose(*kept, *self.axes).reshape(*(shape[axis] for axis in kept), -1)
        product = rows[..., 0]
        for index in range(1, rows.shape[-1]):
            product = scaled(product * rows[..., index])
        result = np.clip(scaled(product) + sig.output.zero_point, *sig.output.dtype.range).astype(inputs[0].dtype)
        return (result.reshape(sig.output.shape),)

    def _limits(self, sig: Signature) -> str | None:
        return first_reason(
            (
                not_quantized(sig.input, "the input", INT8, INT16),
                not_quantized(sig.output, "the output", sig.input.dtype),
                None if self.count(sig) else "the product of no elements",
                invalid(lambda: self.factor(sig)),
            )
        )
