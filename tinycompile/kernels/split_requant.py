"""Requantisation by two 32-bit products in C and assembly (`runtime/kernels/tc_split_requant.h`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tinycompile.ir import Array
from tinycompile.kernels.base import Constant, Deferred
from tinycompile.kernels.generic_c import Fields
from tinycompile.kernels.linear_layer import KEPT_LAYERS, LinearLayer
from tinycompile.numerics.fixed_point import wrap_int32
from tinycompile.numerics.split_line import SplitLine, split_line


@dataclass(frozen=True, eq=False)
class SplitRequant:
    """A proved line."""

    line: SplitLine
    base: Array

    @staticmethod
    def of(layer: LinearLayer) -> SplitRequant | None:
        """None where there is no line, and where weights can be replaced: the code depends on them."""
        line = _line_of(layer) if layer.latitude is None else None
        return None if line is None else SplitRequant(line, layer.base)

    @property
    def fields(self) -> Fields:
        """Members of a `tc_split_requant`."""
        return {"low_bits": self.line.low_bits, "is_signed": int(self.line.signed)}

    @property
    def form(self) -> str:
        """For the report."""
        return "two products, signed" if self.line.signed else "two products"

    def channels(self, extra: Array | int = 0) -> Constant:
        """int32 per channel: start, high, multiplier, offset and, in the signed form, low and step.

        Args:
            extra: what the kernel's sum has beside acc_raw, per channel.
        """
        line = self.line
        fields = [wrap_int32(self.base - line.centre - extra), line.high, line.multiplier, wrap_int32(line.offset)]
        if line.signed:
            fields += [line.low, line.step]
        words = Deferred(
            len(fields) * line.high.size, np.int32, lambda: np.stack(fields, axis=1).astype(np.int32).ravel()
        )
        signed = ", low, step" if line.signed else ""
        return Constant("requant", "int32_t", words, f"per channel: start, high, multiplier, offset{signed}")


@lru_cache(KEPT_LAYERS)
def _line_of(layer: LinearLayer) -> SplitLine | None:
    return split_line(layer.rule, *layer.acc_range)
