"""Logical or."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._logical import Logical


@dataclass(frozen=True)
class LogicalOr(Logical):
    """bool operands that broadcast as in NumPy, one of them may be a constant."""

    kind: ClassVar[str] = "logical_or"

    def truth(self, a: Array, b: Array) -> Array:
        return np.logical_or(a, b)
