"""Sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT32
from tinycompile.ir import Array
from tinycompile.ops._elementwise import RealUnary
from tinycompile.ops._integers import IntegerUnary


@dataclass(frozen=True)
class Sign(RealUnary, IntegerUnary):
    """float32, int32: -1, 0 or 1."""

    kind: ClassVar[str] = "sign"
    integer_types = (INT32,)

    def real(self, x: Array) -> Array:
        return np.sign(x)

    def integer(self, x: Array) -> Array:
        return np.sign(x)
