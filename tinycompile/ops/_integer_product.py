"""Sums of products of 8-bit integers whose zero points are operands: MatMulInteger, ConvInteger, and what follows them.

Where a tensor is quantised while the model runs, its zero point and its scale are values like others. Operands are two
int8 tensors and their zero points. The result is int32; with a scale as fifth operand it is float32: the sum as a
float, times the scale, plus the sixth operand, if there is one, each rounded once, within bounds.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np

from tinycompile.access import Access, Whole
from tinycompile.dtypes import FLOAT32, INT8, INT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.fixed_point import wrap_int32
from tinycompile.ops._rules import first_reason, wrong_dtype

_ROLES = ("the first operand", "the second operand", "its zero point", "the second zero point", "the scale", "the bias")


@dataclass(frozen=True)
class IntegerProduct(Op):
    """Base of MatMulInteger and ConvInteger.

    Attributes:
        bounds: of float results, which Relu and Clip become.
    """

    bounds: tuple[float, float] = field(default=(-inf, inf), kw_only=True)

    @abstractmethod
    def result_shape(self, x: TensorType, y: TensorType) -> tuple[int, ...]:
        """Channels are the last axis. Raises ValueError where the operands contradict each other."""

    @abstractmethod
    def sums(self, sig: Signature, x: Array, y: Array) -> Array:
        """Of products of integers, without zero points, in float64."""

    @abstractmethod
    def channels_of(self, zero_point: Array) -> Array:
        """The second operand's zero points, so that they broadcast with it."""

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        shape = self.result_shape(inputs[0], inputs[1])
        for index, t in enumerate(inputs[2:], 2):
            allowed = (1,) if index == 2 else (1, shape[-1])
            if t.elements not in allowed:
                raise ValueError(f"{_ROLES[index]} has {t.elements} elements, supported are {allowed}")
        return ((shape, FLOAT32 if len(inputs) > 4 else INT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, y, x_zero, y_zero = (value.astype(np.float64) for value in inputs[:4])
        sums = self.sums(sig, x - x_zero.reshape(()), y - self.channels_of(y_zero))
        whole = wrap_int32(sums.astype(np.int64)).astype(np.int32)
        if len(inputs) < 5:
            return (whole,)
        with np.errstate(all="ignore"):
            product = whole.astype(np.float32) * inputs[4].reshape(-1)
            real = product if len(inputs) < 6 else product + inputs[5].reshape(-1)
            return (np.minimum(np.maximum(real, np.float32(self.bounds[0])), np.float32(self.bounds[1])),)

    def access(self, sig: Signature, operand: int) -> Access:
        """The zero point of a window's padding is known when the model runs."""
        return Whole()

    def unsupported(self, sig: Signature) -> str | None:
        types = [*[INT8] * 4, FLOAT32, FLOAT32]
        if self.bounds != (-inf, inf) and len(sig.inputs) < 5:
            return "bounds of integers"
        return first_reason(wrong_dtype(t, _ROLES[i], types[i]) for i, t in enumerate(sig.inputs))
