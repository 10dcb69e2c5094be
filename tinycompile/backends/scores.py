"""`class` and `top_k`: which of a classifier's scores are the largest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.backends.floats import HEADER
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

    @property
    def headers(self) -> tuple[str, ...]:
        """What comparing them needs."""
        return (HEADER,) if self.type.dtype == FLOAT32 else ()

    def compared(self, score: str) -> str:
        """In C, what is compared in the place of a score: of floats numbers of 32 bits in the same order."""
        return f"tc_edge_order({score})" if self.type.dtype == FLOAT32 else score


def best_first(scores: Array) -> Array:
    """Numbers of the classes, (classes,), of equal ones the lower first; a NaN is the smallest of all."""
    values = scores.reshape(-1).astype(np.float64)
    missing = np.isnan(values)
    return np.lexsort((np.where(missing, 0, -values), missing))


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

    scores: Scores
    folded: bool = False

    @property
    def headers(self) -> tuple[str, ...]:
        return self.scores.headers

    def __call__(self, scores: Array) -> int:
        """Of one sample, (classes,)."""
        return int(best_first(scores)[0])


@dataclass(frozen=True)
class TopK:
    """The k classes with the largest scores, the best first, of equals the lower number."""

    kind: ClassVar[str] = "top_k"

    scores: Scores
    k: int

    @property
    def headers(self) -> tuple[str, ...]:
        return self.scores.headers

    @staticmethod
    def of(request: Request, outputs: Sequence[TensorType]) -> TopK:
        """Raises UsageError: no such output, or fewer classes."""
        scores = scores_of(request, outputs)
        return TopK(scores, request.whole("k", min(3, scores.classes), 1, scores.classes))

    def __call__(self, scores: Array) -> list[tuple[int, float]]:
        """(class, score) of one sample, (classes,)."""
        values = scores.reshape(-1)
        return [(number, values[number].item()) for number in best_first(scores)[: self.k].tolist()]
