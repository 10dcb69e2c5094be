"""Boxes of a detector that overlap with none better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, INT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._boxes import kept
from tinycompile.ops._rules import first_reason, wrong_dtype


@dataclass(frozen=True)
class NonMaxSuppression(Op):
    """NON_MAX_SUPPRESSION_V4 and NON_MAX_SUPPRESSION_V5 of float32 boxes and scores, where the number of results and
    the thresholds are known when the model is compiled: positions, of V5 scores as well, and how many count; the rest
    is 0. Among equal scores the order is LiteRT's, and an empty box stays again and again, as it does there.

    Operands: boxes (N, 4), by two opposite corners, and scores (N,).

    Attributes:
        size: how many boxes stay at most.
        overlap: intersection over union with a box that stays, from which on another one goes.
        least: a score of more than this is needed.
        sigma: of a Gaussian by which overlap lowers scores; 0 for none.
        scored: whether scores are a result.
    """

    kind: ClassVar[str] = "non_max_suppression"

    size: int
    overlap: float
    least: float
    sigma: float = 0.0
    scored: bool = False

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        boxes, scores = inputs
        if len(boxes.shape) != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1] or self.size < 1:
            raise ValueError(f"{self.size} of the boxes {boxes} with scores {scores}")
        values = (((self.size,), FLOAT32),) if self.scored else ()
        return ((self.size,), INT32), *values, ((), INT32)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        found, scores = kept(inputs[0], inputs[1], self.size, self.overlap, self.least, self.sigma)
        places, values = np.zeros(self.size, np.int32), np.zeros(self.size, np.float32)
        places[: found.size], values[: found.size] = found, scores
        return places, *((values,) if self.scored else ()), np.array(found.size, np.int32)

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason(
            (
                wrong_dtype(sig.inputs[0], "the tensor of boxes", FLOAT32),
                wrong_dtype(sig.inputs[1], "the tensor of scores", FLOAT32),
                "a threshold or sigma is no number" if np.isnan([self.overlap, self.least, self.sigma]).any() else None,
            )
        )
