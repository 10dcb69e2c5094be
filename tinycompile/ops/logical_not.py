"""Logical negation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import BOOL
from tinycompile.ir import Array
from tinycompile.ops._integers import IntegerUnary


@dataclass(frozen=True)
class LogicalNot(IntegerUnary):
    """bool."""

    kind: ClassVar[str] = "logical_not"
    integer_types = (BOOL,)

    def integer(self, x: Array) -> Array:
        return np.logical_not(x)
