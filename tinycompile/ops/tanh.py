"""Hyperbolic tangent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.choices import Runtime
from tinycompile.ir import Array, Signature
from tinycompile.ops._arithmetic import tflite, wide
from tinycompile.ops._arithmetic.wide import TableInput
from tinycompile.ops._elementwise import WideUnary
from tinycompile.ops._real_table import RealTable


@dataclass(frozen=True)
class Tanh(RealTable, WideUnary):
    """int8, any scales and zero points; float32.

    Attributes:
        runtime: whose int8 rule: LiteRT rounds the function, TFLM has it in fixed point, for an output of scale 1/128
            and zero point 0 whatever the file says.
    """

    kind: ClassVar[str] = "tanh"

    runtime: Runtime = "litert"

    def of(self, sig: Signature, x: Array) -> Array:
        return super().of(sig, x) if self.runtime == "litert" else tflite.tanh(sig.input, x)

    def wide(self, sig: Signature, x: Array) -> Array:
        return wide.tanh(TableInput.of(sig.input.scale), x)

    def wide_limits(self, sig: Signature) -> str | None:
        return wide.sigmoid_limits(sig)

    def real(self, x: Array) -> Array:
        return np.tanh(x.astype(np.float64)).astype(np.float32)
