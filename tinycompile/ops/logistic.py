"""Logistic function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._float_table import FloatTable


@dataclass(frozen=True)
class Logistic(FloatTable):
    """int8; the output has scale 1/256 and any zero point."""

    kind: ClassVar[str] = "logistic"

    def real(self, x: Array) -> Array:
        # exp rounded once, like a good libm's expf; the sum and the quotient in float32.
        exponential = np.exp(-x.astype(np.float64)).astype(np.float32)
        return np.float32(1) / (np.float32(1) + exponential)

    def unsupported(self, sig: Signature) -> str | None:
        reason = super().unsupported(sig)
        if reason is None and sig.output.scale != 1 / 256:
            return f"the output has scale {sig.output.scale}, supported is 1/256"
        return reason
