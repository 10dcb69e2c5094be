"""The second half of a global average: from sums over rows and columns to the averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.requant import Requant
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.mean import Mean


@dataclass(frozen=True, eq=False)
class MeanOfSum(Op):
    """int32 (1, 1, 1, C) to int8: what a global AVERAGE_POOL_2D or MEAN does with the sums.

    Attributes:
        average: the operator that was split. source: its input.
    """

    kind: ClassVar[str] = "mean_of_sum"

    average: AveragePool2D | Mean
    source: TensorType

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        if inputs[0].shape != (1, 1, 1, self.source.shape[3]):
            raise ValueError(f"{inputs[0]} are no sums over the rows and columns of {self.source}")
        return self.average.infer([self.source])

    @property
    def clamp(self) -> tuple[int, int]:
        """Inclusive range of the result."""
        return self.average.clamp if isinstance(self.average, AveragePool2D) else (-128, 127)

    @property
    def count(self) -> int:
        """Values per sum."""
        return self.source.shape[1] * self.source.shape[2]

    def rule(self, sig: Signature) -> Requant | None:
        """From sums of values minus their zero point; None for a rounded quotient of the sums as they are."""
        if isinstance(self.average, Mean):
            return self.average.requant(Signature((self.source,), sig.outputs))
        return self.average.rule

    def of_sum(self, sig: Signature, sums: Array) -> Array:
        """The function, of int64 sums."""
        rule = self.rule(sig)
        if rule is not None:
            return rule.apply((sums - self.source.zero_point * self.count)[..., None])[..., 0]
        rounded = np.sign(sums) * ((np.abs(sums) + self.count // 2) // self.count)
        return np.clip(rounded, *self.clamp)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (self.of_sum(sig, inputs[0].astype(np.int64)).astype(np.int8).reshape(sig.output.shape),)
