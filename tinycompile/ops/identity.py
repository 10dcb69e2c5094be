"""A copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tinycompile.access import Access, Pointwise
from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature, TensorType


@dataclass(frozen=True)
class Identity(Op):
    """Any type; made for a model output that is an input, a constant or another output as well."""

    kind: ClassVar[str] = "identity"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((inputs[0].shape, inputs[0].dtype),)

    def access(self, sig: Signature, operand: int) -> Access:
        return Pointwise()

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (inputs[0].copy(),)
