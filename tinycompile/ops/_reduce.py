"""What reductions share: one element from all along some axes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Pointwise, Whole
from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._arithmetic import real
from tinycompile.ops._rules import rescales, wrong_dtype
from tinycompile.ops._typed import Meaning, Meanings, Typed


@dataclass(frozen=True)
class Axes(Op):
    """Over any constant set of axes.

    Attributes:
        axes: sorted, distinct, not negative.
        keep_dims: reduced axes stay with size 1.
    """

    axes: tuple[int, ...]
    keep_dims: bool

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


@dataclass(frozen=True)
class Reduction(Axes, Typed):
    """float32, and `exact` types."""

    exact: ClassVar[tuple[DType, ...]] = ()
    """Types whose elements are reduced as they are; quantised ones keep their scale."""

    @abstractmethod
    def real(self, x: Array) -> Array:
        """The reduction of an array of float64, or of an `exact` type, whose sums and products wrap."""

    def meanings(self) -> Meanings:
        as_they_are = dict.fromkeys(self.exact, Meaning(self._exact, _same_numbers))
        return {**super().meanings(), **as_they_are, FLOAT32: real.meaning(self._wide)}

    def _wide(self, x: Array) -> Array:
        return self.real(x.astype(np.float64))

    def _exact(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(over="ignore"):
            return (np.asarray(self.real(inputs[0])),)


def _same_numbers(sig: Signature) -> str | None:
    """LiteRT loads a model whose scales differ, and fails when it runs."""
    wrong = wrong_dtype(sig.output, "the output", sig.input.dtype)
    if wrong is not None or (sig.input.quant is None and sig.output.quant is None):
        return wrong
    if sig.input.quant is None or sig.output.quant is None:
        return "only one of input and output is quantised"
    if not (sig.input.quant.is_per_tensor and sig.output.quant.is_per_tensor):
        return "a tensor is quantised per channel, supported is one scale for the whole tensor"
    return rescales(sig.input, sig.output)
