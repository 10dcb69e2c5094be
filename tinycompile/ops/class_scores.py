"""What a classifier makes of its scores: the class, and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tinycompile.dtypes import FLOAT32, INT64, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._rules import first_reason, wrong_dtype

Decision = Literal["largest", "sign", "half"]
Pair = Literal["none", "complement", "negative", "logistic"]
Transform = Literal["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]
LARGE_ENOUGH = np.float32(1e-7)
"""SOFTMAX_ZERO takes smaller ones for 0."""


@dataclass(frozen=True)
class ClassScores(Op):
    """Rows of float32 scores to the label of the best class (int64) and float32 probabilities, as ONNX-ML's classifiers
    end: NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO or PROBIT. Of equals the first class wins.

    Attributes:
        labels: of the classes, in their order.
        transform: of the scores.
        decision: "largest"; or of two classes the second where its score is positive ("sign") or above 1/2 ("half").
        pair: a single score s, of the second of two classes, becomes 1 - s and s ("complement"), -s and s ("negative"),
            or the logistic of these ("logistic"); "none" where there is one for each class, which `transform` is for.
        marked: a score of -0.0 is none, as `tree_ensemble` says it; its class doesn't win.
    """

    kind: ClassVar[str] = "class_scores"

    labels: tuple[int, ...]
    transform: Transform = "NONE"
    decision: Decision = "largest"
    pair: Pair = "none"
    marked: bool = False

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        (x,) = inputs
        if not x.shape or x.shape[-1] != (len(self.labels) if self.pair == "none" else 1):
            raise ValueError(f"{len(self.labels)} classes of {x}")
        if len(self.labels) != 2 and (self.pair != "none" or self.decision != "largest"):
            raise ValueError(f"a pair of {len(self.labels)} classes")
        if self.pair != "none" and self.decision == "largest":
            raise ValueError("the larger one of a single score")
        rows = x.shape[:-1]
        return ((rows, INT64), ((*rows, len(self.labels)), FLOAT32))

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x = inputs[0]
        missing = (x == 0) & np.signbit(x) & self.marked
        score = np.where(missing, np.float32(0), x)
        if self.decision == "largest":
            best = _first_largest(score, missing)
        else:
            best = (score[..., -1] > (0.5 if self.decision == "half" else 0)).astype(np.int64)
        with np.errstate(all="ignore"):
            found = self._transformed(score) if self.pair == "none" else self._paired(score)
        return np.array(self.labels, np.int64)[best], found.astype(np.float32)

    def _paired(self, s: Array) -> Array:
        other = np.float32(1) - s if self.pair == "complement" else -s
        both = np.concatenate([other, s], axis=-1)
        return logistic(both) if self.pair == "logistic" else both

    def _transformed(self, s: Array) -> Array:
        match self.transform:
            case "LOGISTIC":
                return logistic(s)
            case "SOFTMAX":
                return _quotients(exponential(s - s.max(-1, keepdims=True)), np.ones(s.shape, bool))
            case "SOFTMAX_ZERO":
                largest, counts = s.max(-1, keepdims=True), np.abs(s) > LARGE_ENOUGH
                values = np.where(counts, exponential(s - largest), s * exponential(-largest))
                return _quotients(values, counts)
            case "PROBIT":
                return probit(s)
            case _:
                return s

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason(
            (
                wrong_dtype(sig.input, "the tensor of scores", FLOAT32),
                wrong_dtype(sig.outputs[0], "the tensor of labels", INT64),
                wrong_dtype(sig.outputs[1], "the tensor of probabilities", FLOAT32),
            )
        )


def exponential(x: Array) -> Array:
    """Rounded once, like a good libm's expf."""
    return np.exp(x.astype(np.float64)).astype(np.float32)


def logistic(x: Array) -> Array:
    """By the exponential of what isn't positive, as onnxruntime's classifiers do."""
    one = np.float32(1)
    near = one / (one + exponential(-np.abs(x)))
    return np.where(x < 0, one - near, near)


def probit(x: Array) -> Array:
    """The quantile of the normal distribution, by onnxruntime's approximation, which is good to 0.005."""
    y = np.float32(2) * x - np.float32(1)
    log = np.log(((np.float32(1) - y) * (np.float32(1) + y)).astype(np.float64)).astype(np.float32)
    half = np.float32(2) / np.float32(np.float32(3.14159) * np.float32(0.147)) + np.float32(0.5) * log
    root = np.sqrt(half * half - np.float32(np.float32(1) / np.float32(0.147)) * log)
    return np.float32(1.41421356) * np.copysign(np.sqrt(root - half), np.where(y < 0, -1, 1)).astype(np.float32)


def _first_largest(scores: Array, missing: Array) -> Array:
    """The first class than which none is larger; one that is NaN stays if it is the first."""
    best = np.full(scores.shape[:-1], -1, np.int64)
    largest = np.zeros(scores.shape[:-1], np.float32)
    for column in range(scores.shape[-1]):
        score = scores[..., column]
        better = ~missing[..., column] & ((best < 0) | (score > largest))
        best, largest = np.where(better, column, best), np.where(better, score, largest)
    return np.maximum(best, 0)


def _quotients(values: Array, counts: Array) -> Array:
    """Divided by the sum of those that count, which is added up in float32, one after the other."""
    total = np.zeros(values.shape[:-1], np.float32)
    for column in range(values.shape[-1]):
        total = np.where(counts[..., column], total + values[..., column], total)
    return values / total[..., None]
