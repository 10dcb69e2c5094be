"""Where along an axis the smallest element is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._arg_extreme import ArgExtreme


@dataclass(frozen=True)
class ArgMin(ArgExtreme):
    """int8, uint8, int32, bool or float32, along any axis; int32 or int64 out; the first of equals."""

    kind: ClassVar[str] = "arg_min"

    def first(self, x: Array) -> Array:
        return x.argmin(axis=self.axis)

    def worst(self) -> float:
        return np.inf
