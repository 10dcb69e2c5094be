"""Logistic function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._arithmetic import wide
from tinycompile.ops._arithmetic.wide import TableInput
from tinycompile.ops._elementwise import WideUnary
from tinycompile.ops._real_table import RealTable


@dataclass(frozen=True)
class Logistic(RealTable, WideUnary):
    """int8, where the output has scale 1/256 and any zero point; float32."""

    kind: ClassVar[str] = "logistic"

    def wide(self, sig: Signature, x: Array) -> Array:
        return wide.logistic(TableInput.of(sig.input.scale), x)

    def wide_limits(self, sig: Signature) -> str | None:
        return wide.sigmoid_limits(sig)

    def real(self, x: Array) -> Array:
        # exp rounded once, like a good libm's expf; the sum and the quotient in float32.
        exponential = np.exp(-x.astype(np.float64)).astype(np.float32)
        return np.float32(1) / (np.float32(1) + exponential)

    def limits(self, sig: Signature) -> str | None:
        scale = sig.output.scale
        return None if scale == 1 / 256 else f"the output has scale {scale}, supported is 1/256"
