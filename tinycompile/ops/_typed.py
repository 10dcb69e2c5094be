"""Operators whose meaning follows from the types of their operands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Op, Signature
from tinycompile.ops._rules import wrong_dtype


@dataclass(frozen=True)
class Meaning:
    """What an operator computes of operands of some types.

    Attributes:
        evaluate: as `Op.evaluate`.
        unsupported: as `Op.unsupported`; it looks at the types of the further operands and of the results, too.
    """

    evaluate: Callable[[Signature, Sequence[Array]], tuple[Array, ...]]
    unsupported: Callable[[Signature], str | None]


Meanings = Mapping[DType, Meaning]
"""By the element type of operand 0."""


class Typed(Op):
    """An operator that means the same for several element types, which compute it in an arithmetic of their own."""

    def meanings(self) -> Meanings:
        """What it computes for each type that it takes; base classes add theirs to `super().meanings()`."""
        return {}

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return self.meanings()[sig.input.dtype].evaluate(sig, inputs)

    def unsupported(self, sig: Signature) -> str | None:
        meanings = self.meanings()
        found = meanings.get(sig.input.dtype)
        return wrong_dtype(sig.input, "the input", *meanings) if found is None else found.unsupported(sig)
