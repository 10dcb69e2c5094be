"""Operators with two operands as ONNX means them: dequantised, computed in float32, quantised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._elementwise import Binary
from tinycompile.ops._float import ARITHMETIC
from tinycompile.ops._rules import first_reason


@dataclass(frozen=True)
class OnnxBinary(Binary):
    """int8 operands of any scales and zero points that broadcast as in NumPy, one of them may be a constant: Add, Sub,
    Mul, Div, Min and Max of ONNX between DequantizeLinear and QuantizeLinear; a Relu or Clip in front of the latter is
    fused.

    Every operation is rounded to float32, as the specification's operators are (onnx.ai, QuantizeLinear and
    DequantizeLinear); the quotient by the output's scale goes to the nearest integer, halves to even.

    Attributes:
        function: a key of `ARITHMETIC`.
    """

    kind: ClassVar[str] = "onnx_binary"

    function: str = "add"

    @property
    def label(self) -> str:
        return self.function

    def combine(self, sig: Signature, a: Array, b: Array) -> Array:
        first, second = (x.astype(np.float32) * np.float32(t.scale) for x, t in zip((a, b), sig.inputs, strict=True))
        with np.errstate(all="ignore"):
            quotient = ARITHMETIC[self.function](first, second) / np.float32(sig.output.scale)
        # Beyond int32 the specification leaves the conversion open; a NaN, which takes 0 / 0, becomes 0.
        bounded = np.clip(np.nan_to_num(np.rint(quotient), posinf=1e9, neginf=-1e9), -1e9, 1e9)
        return bounded.astype(np.int64) + sig.output.zero_point

    def unsupported(self, sig: Signature) -> str | None:
        known = None if self.function in ARITHMETIC else f"the function {self.function!r} is unknown"
        return first_reason((super().unsupported(sig), known))
