"""`class` and `top_k`: which of a classifier's scores are the largest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tinycompile.backends.request import Request
from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, UINT8
from tinycompile.ir import Array, TensorType

TYPES = (INT8, UINT8, INT16, INT32, FLOAT32)
"""Of scores."""


@dataclass(frozen=True)
class Scores:
    """An output with a score for each class. Attributes: output: its number."""

    output: int
    type: TensorType

    @property
    def classes(self) -> int:
        return self.type.elements

    @property
    def ctype(self) -> str:
        """Of a score in C."""
        return self.type.dtype.ctype


def scores_of(request: Request, outputs: Sequence[TensorType]) -> Scores:
    """The output that `output` names, or the first one with several scores.

    Raises:
        UsageError: there is none.
    """
    fitting = [number for number, t in enumerate(outputs) if _are_scores(t)]
    number = request.whole("output", fitting[0] if fitting else 0, 0, len(outputs) - 1)
    if number not in fitting:
        found = ", ".join(f"{t}" for t in outputs)
        raise request.fail(f"output {number} has no score for each class", why=f"the outputs are: {found}")
    return Scores(number, outputs[number])


def _are_scores(t: TensorType) -> bool:
    return t.dtype in TYPES and [size for size in t.shape if size != 1] == [t.elements] and t.elements > 1


@dataclass(frozen=True)
class LargestScore:
    """The class with the largest score, of equals the one with the lower number.

    Attributes:
        folded: the scores are the logits of a softmax that isn't computed.
    """

    kind: ClassVar[str] = "class"
    headers: ClassVar[tuple[str, ...]] = ()

    scores: Scores
    folded: bool = False

    def __call__(self, scores: Array) -> int:
        """Of one sample, (classes,)."""
        return int(scores.reshape(-1).argmax())


@dataclass(frozen=True)
class TopK:
    """The k classes with the largest scores, the best first, of equals the lower number."""

    kind: ClassVar[str] = "top_k"
    headers: ClassVar[tuple[str, ...]] = ()

    scores: Scores
    k: int

    @staticmethod
    def of(request: Request, outputs: Sequence[TensorType]) -> TopK:
        """Raises UsageError: no such output, or fewer classes."""
        scores = scores_of(request, outputs)
        return TopK(scores, request.whole("k", min(3, scores.classes), 1, scores.classes))

    def __call__(self, scores: Array) -> list[tuple[int, float]]:
        """(class, score) of one sample, (classes,)."""
        values = scores.reshape(-1)
        order = sorted(range(len(values)), key=lambda number: (-values[number].item(), number))
        return [(number, values[number].item()) for number in order[: self.k]]
