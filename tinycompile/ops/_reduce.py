"""What reductions share: one element from all along some axes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tinycompile.access import Access, Pointwise, Whole
from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._arithmetic import real
from tinycompile.ops._typed import Meanings, Typed


@dataclass(frozen=True)
class Reduction(Typed):
    """float32, over any constant set of axes.

    Attributes:
        axes: sorted, distinct, not negative.
        keep_dims: reduced axes stay with size 1.
    """

    axes: tuple[int, ...]
    keep_dims: bool

    @abstractmethod
    def real(self, x: Array) -> Array:
        """The reduction of a float64 array."""

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        shape = inputs[0].shape
        if list(self.axes) != sorted(set(self.axes)) or not set(self.axes) <= set(range(len(shape))):
            raise ValueError(f"axes {self.axes} are not axes of {inputs[0]}")
        kept = ((1 if i in self.axes else n, i in self.axes) for i, n in enumerate(shape))
        return ((tuple(n for n, reduced in kept if self.keep_dims or not reduced), inputs[0].dtype),)

    def access(self, sig: Signature, operand: int) -> Access:
        """By positions where only channels are reduced, and stay as an axis."""
        channels = len(sig.input.shape) - 1
        return Pointwise() if self.keep_dims and self.axes == (channels,) and channels > 0 else Whole()

    def count(self, sig: Signature) -> int:
        """How many elements become one."""
        return prod(sig.input.shape[axis] for axis in self.axes)

    def meanings(self) -> Meanings:
        return {**super().meanings(), FLOAT32: real.meaning(self._wide)}

    def _wide(self, x: Array) -> Array:
        return self.real(x.astype(np.float64))
