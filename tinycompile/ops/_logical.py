"""Operators on truth values."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from tinycompile.access import Access
from tinycompile.dtypes import BOOL, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._arithmetic import integers
from tinycompile.ops._elementwise import broadcast
from tinycompile.ops._typed import Meanings, Typed


class Logical(Typed):
    """Two operands that broadcast as in NumPy."""

    @abstractmethod
    def truth(self, a: Array, b: Array) -> Array:
        """The function of two bool arrays."""

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        a, b = inputs
        return ((np.broadcast_shapes(a.shape, b.shape), BOOL),)

    def access(self, sig: Signature, operand: int) -> Access:
        return broadcast(sig.inputs[operand].shape, sig.output.shape)

    def meanings(self) -> Meanings:
        return {BOOL: integers.meaning(self.truth)}
