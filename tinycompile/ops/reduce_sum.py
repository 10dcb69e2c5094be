"""Sum over any axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.ir import Array
from tinycompile.ops._reduce import Reduction


@dataclass(frozen=True)
class ReduceSum(Reduction):
    """float32, over any constant set of axes, with or without keeping them."""

    kind: ClassVar[str] = "reduce_sum"

    def real(self, x: Array) -> Array:
        return x.sum(axis=self.axes, keepdims=self.keep_dims)
