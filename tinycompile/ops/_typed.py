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

    def plain_meanings(self) -> Meanings:
        """What it computes of integers without a scale, whose types may mean something else with one."""
        return {}

    def is_plain(self, sig: Signature) -> bool:
        """Whether its operands are integers without a scale."""
        return bool(sig.inputs) and sig.input.quant is None and sig.input.dtype in self.plain_meanings()

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        meanings = self.plain_meanings() if self.is_plain(sig) else self.meanings()
        return meanings[sig.input.dtype].evaluate(sig, inputs)

    def unsupported(self, sig: Signature) -> str | None:
        return self._reason(sig, self.plain_meanings() if self.is_plain(sig) else self.meanings())

    def unscaled(self, sig: Signature) -> str | None:
        """Why integers without a scale that it could have can't be had where only `meanings` count."""
        return self._reason(sig, self.meanings()) if self.is_plain(sig) else None

    def _reason(self, sig: Signature, meanings: Meanings) -> str | None:
        found = meanings.get(sig.input.dtype)
        return wrong_dtype(sig.input, "the input", *meanings) if found is None else found.unsupported(sig)
