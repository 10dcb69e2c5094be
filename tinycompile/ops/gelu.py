"""Gaussian error linear unit."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._arithmetic import tflite, wide_table
from tinycompile.ops._real_table import WideRealTable

_ERFC = np.vectorize(erfc, otypes=[np.float64])


@dataclass(frozen=True)
class Gelu(WideRealTable):
    """int8 and int16; input and output may differ in scale and zero point. float32. Both forms.

    Attributes:
        approximate: by tanh.
    """

    kind: ClassVar[str] = "gelu"

    approximate: bool = False

    def real(self, x: Array) -> Array:
        wide = x.astype(np.float64)
        if self.approximate:
            return 0.5 * wide * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)))
        return 0.5 * wide * _ERFC(-wide / np.sqrt(2))

    def of(self, sig: Signature, x: Array) -> Array:
        return tflite.tabulated(self._single, sig, x)

    def wide_table(self, sig: Signature) -> Array:
        return wide_table.sampled(self._single, sig)

    def _single(self, x: Array) -> Array:
        """With every operation rounded to float32, as tables are filled: where the sum nearly cancels, that is seen."""
        one = np.float32
        x = x.astype(one)
        if not self.approximate:
            upper = _ERFC((x * one(-np.sqrt(0.5))).astype(np.float64)).astype(one)
            return one(0.5) * x * upper
        inner = one(np.sqrt(2 / np.pi)) * (x + one(0.044715) * x * x * x)
        return one(0.5) * x * (one(1) + np.tanh(inner.astype(np.float64)).astype(one))
