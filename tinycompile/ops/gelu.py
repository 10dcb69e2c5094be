"""Gaussian error linear unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._arithmetic import libm
from tinycompile.ops._real_table import WideRealTable

_ROOT_2_PI, _ROOT_HALF = np.float32(np.sqrt(2 / np.pi)), np.float32(np.sqrt(0.5))


@dataclass(frozen=True)
class Gelu(WideRealTable):
    """int8 and int16; input and output may differ in scale and zero point. float32. Both forms.

    Attributes:
        approximate: by tanh.
    """

    kind: ClassVar[str] = "gelu"

    approximate: bool = False

    def real(self, x: Array) -> Array:
        """Each step rounded to float32, as in `GeluTransform`: entries of int16 tables are so wide that it shows."""
        x = x.astype(np.float32)
        half = np.float32(0.5) * x
        if self.approximate:
            return half * (np.float32(1) + libm.tanh(_ROOT_2_PI * (x + np.float32(0.044715) * x * x * x)))
        return half * libm.erfc(x * -_ROOT_HALF)
