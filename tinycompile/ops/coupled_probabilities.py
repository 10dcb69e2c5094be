"""Probabilities of classes from those of their pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._rules import first_reason, wrong_dtype
from tinycompile.ops.class_scores import logistic

LEAST = np.float32(1e-7)
"""Of the probability of one of two classes."""
MOST_STEPS = 100


@dataclass(frozen=True)
class CoupledProbabilities(Op):
    """A support vector machine's float32 scores of pairs of classes to probabilities of classes: a logistic function
    of each (Platt), then the iteration of Wu, Lin and Weng (2004, second method), as onnxruntime does both.

    Attributes:
        classes: how many; of the pairs the first class goes up last.
        a, b: of each pair's logistic function.
    """

    kind: ClassVar[str] = "coupled_probabilities"

    classes: int
    a: tuple[float, ...]
    b: tuple[float, ...]

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        (x,) = inputs
        pairs = self.classes * (self.classes - 1) // 2
        if self.classes < 2 or x.shape[-1:] != (pairs,) or len(self.a) != pairs or len(self.b) != pairs:
            raise ValueError(f"{self.classes} classes of {x} with {len(self.a)} and {len(self.b)} parameters")
        return (((*x.shape[:-1], self.classes), FLOAT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x = inputs[0].reshape(-1, sig.input.shape[-1])
        with np.errstate(all="ignore"):
            return (self._coupled(self._pairs(x)).reshape(sig.output.shape),)

    def _pairs(self, x: Array) -> Array:
        """(rows, classes, classes): how likely the first class is of two."""
        one = np.float32(1)
        first = one - logistic(x * np.array(self.a, np.float32) + np.array(self.b, np.float32))
        first = np.minimum(np.maximum(first, LEAST), one - LEAST)
        r = np.zeros((len(x), self.classes, self.classes), np.float32)
        for number, (i, j) in enumerate(combinations(range(self.classes), 2)):
            r[:, i, j], r[:, j, i] = first[:, number], one - first[:, number]
        return r

    def _coupled(self, r: Array) -> Array:
        count, one = self.classes, np.float32(1)
        q = np.zeros_like(r)
        for i in range(count):
            for j in range(count):
                if i != j:
                    q[:, i, i] += r[:, j, i] * r[:, j, i]
                    q[:, i, j] = -(r[:, j, i] * r[:, i, j])
        p = np.full((len(r), count), one / np.float32(count), np.float32)
        limit, open_rows = np.float32(0.005) / np.float32(count), np.arange(len(r))
        for _ in range(MOST_STEPS):
            step = self._products(q[open_rows], p[open_rows])
            error = np.abs(step[0] - step[1][:, None]).max(-1)
            going = ~(error < limit)
            open_rows = open_rows[going]
            if not open_rows.size:
                break
            p[open_rows] = self._step(q[open_rows], p[open_rows], step[0][going], step[1][going])
        return p

    def _products(self, q: Array, p: Array) -> tuple[Array, Array]:
        """Q p and p Q p, added up one after the other."""
        qp, pqp = np.zeros_like(p), np.zeros(len(p), np.float32)
        for j in range(self.classes):
            qp = qp + q[:, :, j] * p[:, j : j + 1]
        for i in range(self.classes):
            pqp = pqp + p[:, i] * qp[:, i]
        return qp, pqp

    def _step(self, q: Array, p: Array, qp: Array, pqp: Array) -> Array:
        one, two = np.float32(1), np.float32(2)
        for i in range(self.classes):
            difference = (-qp[:, i] + pqp) / q[:, i, i]
            p[:, i] += difference
            scale = one + difference
            pqp = (pqp + difference * (difference * q[:, i, i] + two * qp[:, i])) / scale / scale
            qp = (qp + difference[:, None] * q[:, i]) / scale[:, None]
            p = p / scale[:, None]
        return p

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason(wrong_dtype(t, "a tensor", FLOAT32) for t in (sig.input, sig.output))
