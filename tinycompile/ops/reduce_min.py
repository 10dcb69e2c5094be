"""Minimum over any axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.ir import Array
from tinycompile.ops._reduce import Reduction


@dataclass(frozen=True)
class ReduceMin(Reduction):
    """float32, over any constant set of axes, with or without keeping them."""

    kind: ClassVar[str] = "reduce_min"

    def real(self, x: Array) -> Array:
        return x.min(axis=self.axes, keepdims=self.keep_dims)
