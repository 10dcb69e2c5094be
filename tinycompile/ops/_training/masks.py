"""Clamped outputs have no gradient: which ones passed, as bits, and what that leaves of a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Pointwise, Whole
from tinycompile.dtypes import INT8, INT16, UINT8
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._training.gradient import Inferred


def passed(y: Array, clamp: tuple[int, int]) -> Array:
    """Where an output is inside of its clamp's range, and not at an end of it."""
    return (y > clamp[0]) & (y < clamp[1])


@dataclass(frozen=True)
class ClampMask(Op):
    """int8 outputs of a layer to a bit for each, the first in the lowest bit of a byte: whether they weren't clamped.
    Where a row of outputs fills whole bytes, the bits have rows, so that they can be made row by row.

    Attributes:
        clamp: inclusive range of the output.
    """

    kind: ClassVar[str] = "clamp_mask"

    clamp: tuple[int, int]

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        t = inputs[0]
        return ((_rows_of_bits(t) or (-(-t.elements // 8),), UINT8),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        bits = np.packbits(passed(inputs[0], self.clamp), bitorder="little")
        return (bits.reshape(sig.output.shape),)

    def access(self, sig: Signature, operand: int) -> Access:
        return Pointwise() if _rows_of_bits(sig.input) else Whole()

    def unsupported(self, sig: Signature) -> str | None:
        return None if sig.input.dtype == INT8 else f"outputs of {sig.input.dtype}"


def _rows_of_bits(t: TensorType) -> tuple[int, ...] | None:
    """(1, rows, bytes) of the bits of an image or a sequence; None where there are no rows of whole bytes."""
    if len(t.shape) not in (3, 4) or t.shape[0] != 1 or prod(t.shape[2:]) % 8:
        return None
    return 1, t.shape[1], prod(t.shape[2:]) // 8


@dataclass(frozen=True)
class MaskedGradient(Op):
    """The values of a gradient, int16, where the bits of a `ClampMask` are set, or where int8 outputs that are kept
    anyway weren't clamped; else 0.

    Attributes:
        clamp: inclusive range of these outputs; None for bits.
    """

    kind: ClassVar[str] = "masked_gradient"

    clamp: tuple[int, int] | None = None

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        values, kept = inputs
        if kept.elements != (-(-values.elements // 8) if self.clamp is None else values.elements):
            raise ValueError(f"{kept} says nothing of {values}")
        return ((values.shape, INT16),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        values, kept = inputs
        if self.clamp is None:
            passes = np.unpackbits(kept, count=values.size, bitorder="little").reshape(values.shape).astype(np.bool_)
        else:
            passes = passed(kept.reshape(values.shape), self.clamp)
        return (np.where(passes, values, np.int16(0)),)
