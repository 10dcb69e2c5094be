"""A delay line: rows that move on as new ones come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._movement import not_movable


@dataclass(frozen=True)
class DelayLine(Op):
    """Any type: the first rows of a line (..., n, ...) leave it, and as many of some others (..., m, ...) follow behind
    its last ones. Made by the compiler for what stays in a sliding window.

    Attributes:
        axis: of the rows.
        begin, count: the rows of operand 1 that follow; at most n.
    """

    kind: ClassVar[str] = "delay_line"

    axis: int
    begin: int
    count: int

    @property
    def updates(self) -> Mapping[int, int]:
        """Rows move towards the older ones."""
        return {0: 0}

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        line, rows = inputs
        if not 0 <= self.axis < len(line.shape):
            raise ValueError(f"axis {self.axis} is not an axis of {line}")
        others = [(*t.shape[: self.axis], *t.shape[self.axis + 1 :]) for t in inputs]
        if others[0] != others[1] or line.dtype != rows.dtype:
            raise ValueError(f"{rows} are no rows of {line}")
        if self.begin < 0 or not 0 < self.count <= min(line.shape[self.axis], rows.shape[self.axis] - self.begin):
            raise ValueError(f"{self.count} rows from {self.begin} on, of {rows}, don't follow in {line}")
        return ((line.shape, line.dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        line, rows = (np.moveaxis(x, self.axis, 0) for x in inputs)
        moved = np.concatenate([line[self.count :], rows[self.begin : self.begin + self.count]])
        return (np.ascontiguousarray(np.moveaxis(moved, 0, self.axis)),)

    def unsupported(self, sig: Signature) -> str | None:
        return not_movable(sig.input)
