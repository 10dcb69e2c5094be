"""Maximum over any axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.dtypes import INT8, INT16, INT32, INT64, UINT8, DType
from tinycompile.ir import Array
from tinycompile.ops._reduce import Reduction


@dataclass(frozen=True)
class ReduceMax(Reduction):
    """int8, uint8, int16, int32, int64 or float32, over any constant set of axes, with or without keeping them;
    quantised input and output have the same scale and zero point.
    """

    kind: ClassVar[str] = "reduce_max"

    exact: ClassVar[tuple[DType, ...]] = (INT8, UINT8, INT16, INT32, INT64)

    def real(self, x: Array) -> Array:
        return x.max(axis=self.axes, keepdims=self.keep_dims)
