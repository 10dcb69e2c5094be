"""Some rows of an image whose channels become the innermost axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Planar
from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType


@dataclass(frozen=True)
class PlaneRows(Op):
    """Any type, (1, C, H, W) to the first rows of (1, H, W, C): made by the compiler from a TRANSPOSE executed by rows.

    Attributes:
        rows: of the output.
    """

    kind: ClassVar[str] = "plane_rows"

    rows: int

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        _, channels, _, width = inputs[0].shape
        return (((1, self.rows, width, channels), inputs[0].dtype),)

    def access(self, sig: Signature, operand: int) -> Access:
        return Planar()

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.ascontiguousarray(inputs[0][:, :, : self.rows].transpose(0, 2, 3, 1)),)
