"""Negation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.ir import Array, Signature
from tinycompile.ops._elementwise import RealUnary, Unary, WideUnary
from tinycompile.ops._integers import IntegerUnary
from tinycompile.ops._rules import rescales


@dataclass(frozen=True)
class Neg(Unary, WideUnary, RealUnary, IntegerUnary):
    """int8 and int16 of zero point 0, where input and output have the same scale; the smallest number stays. float32,
    int32, int64.
    """

    kind: ClassVar[str] = "neg"

    def of(self, sig: Signature, x: Array) -> Array:
        return -x

    def wide(self, sig: Signature, x: Array) -> Array:
        return -x

    def real(self, x: Array) -> Array:
        return -x

    def integer(self, x: Array) -> Array:
        return -x

    def limits(self, sig: Signature) -> str | None:
        """LiteRT negates the byte, whatever the zero point: far off the real value unless that is 0."""
        if sig.input.zero_point or sig.output.zero_point:
            return "the zero point isn't 0, and LiteRT's kernel ignores it"
        return rescales(sig.input, sig.output)

    def wide_limits(self, sig: Signature) -> str | None:
        return rescales(sig.input, sig.output)
